package identity

import (
	"container/list"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// limiter counts failures per address. It remembers the most recently seen addresses
// only, so that a flood from many addresses costs bounded memory.
type limiter struct {
	every time.Duration
	burst int
	size  int

	mu    sync.Mutex
	byKey map[netip.Prefix]*list.Element
	order *list.List // of *bucket, the most recent first
}

type bucket struct {
	key netip.Prefix
	*rate.Limiter
}

func newLimiter(every time.Duration, burst, size int) *limiter {
	return &limiter{every: every, burst: burst, size: size, byKey: make(map[netip.Prefix]*list.Element), order: list.New()}
}

// exhausted reports whether the address has no attempt left.
func (l *limiter) exhausted(addr netip.Addr, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	e, ok := l.byKey[network(addr)]
	return ok && e.Value.(*bucket).TokensAt(now) < 1
}

// failed takes an attempt from the address.
func (l *limiter) failed(addr netip.Addr, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	key := network(addr)
	e, ok := l.byKey[key]
	if !ok {
		e = l.order.PushFront(&bucket{key: key, Limiter: rate.NewLimiter(rate.Every(l.every), l.burst)})
		l.byKey[key] = e
		if l.order.Len() > l.size {
			oldest := l.order.Back()
			l.order.Remove(oldest)
			delete(l.byKey, oldest.Value.(*bucket).key)
		}
	}
	l.order.MoveToFront(e)
	e.Value.(*bucket).AllowN(now, 1)
}

// network is what one caller has at its disposal: an IPv4 address, or the 64 bits of
// an IPv6 network.
func network(addr netip.Addr) netip.Prefix {
	addr = addr.Unmap().WithZone("")
	bits := addr.BitLen()
	if addr.Is6() {
		bits = 64
	}
	p, err := addr.Prefix(bits)
	if err != nil {
		return netip.Prefix{} // the invalid address: all of these share one bucket
	}
	return p
}
