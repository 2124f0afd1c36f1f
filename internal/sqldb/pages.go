package sqldb

import (
	"crypto/sha256"
	"fmt"
	"sync"
	"time"

	"pharos/internal/access"
	"pharos/internal/archive"
)

// pageCache remembers after which entity a page of a query ended, so that the next page
// continues there instead of counting from the beginning. What it remembers holds only
// as long as nothing is removed; other replicas may do so unnoticed, hence pageTime.
type pageCache struct {
	mu   sync.Mutex
	ends map[pageKey]pageEnd
}

type pageKey struct {
	query  [sha256.Size]byte
	offset int
}

type pageEnd struct {
	after int64
	until time.Time
}

const (
	pageTime = 30 * time.Second
	maxPages = 1024
)

func (p *pageCache) reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ends = make(map[pageKey]pageEnd)
}

// keyOf names the first result of an offset.
func keyOf(q archive.Query, in access.Scope, offset int) pageKey {
	text := fmt.Sprintf("%d %v %v %v %t %t", q.Level, q.Ref, q.Match, in, q.Fuzzy, q.CombinedDateTime)
	return pageKey{sha256.Sum256([]byte(text)), offset}
}

func (p *pageCache) find(k pageKey) (after int64, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	end, ok := p.ends[k]
	return end.after, ok && time.Now().Before(end.until)
}

func (p *pageCache) remember(k pageKey, after int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.ends) >= maxPages {
		p.ends = make(map[pageKey]pageEnd)
	}
	p.ends[k] = pageEnd{after, time.Now().Add(pageTime)}
}
