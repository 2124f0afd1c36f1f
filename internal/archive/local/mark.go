package local

import (
	"context"
	"errors"
	"sync"
	"time"

	"pharos/internal/blob"
	"pharos/internal/index"
)

// syncEvery bounds how much a crash can make the index forget, and so how long the next
// start takes.
const syncEvery = 2 * time.Second

// marks knows below which key every blob of the receiving volume is settled: named by
// the index, or deleted. It relies on keys that ascend in the order of commits.
type marks struct {
	mu      sync.Mutex
	last    blob.Key             // the greatest key committed
	flights map[*flight]struct{} // blobs being committed and not settled yet
	synced  blob.Key             // low() at the last Sync; guarded by Archive.syncing
}

// flight is a blob on its way from its commit to its entry.
type flight struct{ start blob.Key }

// begin must be called before the blob is committed: its key will be greater than every
// key known now.
func (m *marks) begin() *flight {
	m.mu.Lock()
	defer m.mu.Unlock()
	f := &flight{start: m.last}
	if m.flights == nil {
		m.flights = make(map[*flight]struct{})
	}
	m.flights[f] = struct{}{}
	return f
}

// committed notes the key that a blob got.
func (m *marks) committed(key blob.Key) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.last = max(m.last, key)
}

// settled ends a flight: the index has decided about the blob.
func (m *marks) settled(f *flight) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.flights, f)
}

// low is the key up to which everything is settled.
func (m *marks) low() blob.Key {
	m.mu.Lock()
	defer m.mu.Unlock()
	low := m.last
	for f := range m.flights {
		low = min(low, f.start)
	}
	return low
}

// syncLoop makes the index durable from time to time while there is something new.
func (a *Archive) syncLoop(ctx context.Context) {
	tick := time.NewTicker(syncEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := a.sync(ctx); err != nil && ctx.Err() == nil {
			a.log.ErrorContext(ctx, "index can't be made durable; what arrives is refused until it can", "error", err)
		}
	}
}

// sync makes durable what is new. An index that has lost what it had committed, since
// its disk filled up, catches up from the blobs first, as it does after a crash.
func (a *Archive) sync(ctx context.Context) error {
	a.syncing.Lock()
	defer a.syncing.Unlock()
	if err := a.catchUpLocked(ctx); err != nil {
		return err
	}
	low := a.marks.low()
	if low == a.marks.synced {
		return nil
	}
	if err := a.index.Sync(ctx, low); err != nil {
		return err
	}
	a.marks.synced = low
	return nil
}

// catchUp lets an index that lost what it had committed be used again, with nothing
// missing.
func (a *Archive) catchUp(ctx context.Context) error {
	a.syncing.Lock()
	defer a.syncing.Unlock()
	return a.catchUpLocked(ctx)
}

func (a *Archive) catchUpLocked(ctx context.Context) error {
	if _, err := a.index.Mark(ctx); errors.Is(err, index.ErrLost) {
		if err := a.index.Revive(ctx); err != nil {
			return err
		}
		a.behind = true
	}
	if !a.behind {
		return nil
	}
	if err := a.recover(ctx, nil); err != nil {
		return err
	}
	a.behind = false
	return nil
}

// restart begins again at a mark.
func (m *marks) restart(mark blob.Key) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.last, m.synced = mark, mark
}
