package fileblob

import "sync"

// group lets all who need a sync at the same time share one.
type group struct {
	mu   sync.Mutex
	next *batch // gathers while the batch before it syncs; nil when nobody waits for a turn

	turn   sync.Mutex // held by the leader of the batch that syncs
	failMu sync.Mutex
	failed error
}

// batch is those who share one sync.
type batch struct {
	done chan struct{}
	err  error
}

// wait returns when a sync that began after the call has ended. The first one of a
// batch does the work for the others. After one failure every wait fails: the
// kernel reports a lost page once and then calls it clean, so a later success would
// prove nothing.
func (q *group) wait(sync func() error) error {
	q.mu.Lock()
	if b := q.next; b != nil {
		q.mu.Unlock()
		<-b.done
		return b.err
	}
	b := &batch{done: make(chan struct{})}
	q.next = b
	q.mu.Unlock()

	q.turn.Lock()
	q.mu.Lock()
	q.next = nil // whoever comes from here on may be too late for this sync
	q.mu.Unlock()
	if b.err = q.failure(); b.err == nil {
		b.err = sync()
		q.fail(b.err)
	}
	q.turn.Unlock()
	close(b.done)
	return b.err
}

func (q *group) fail(err error) {
	if err == nil {
		return
	}
	q.failMu.Lock()
	defer q.failMu.Unlock()
	q.failed = err
}

func (q *group) failure() error {
	q.failMu.Lock()
	defer q.failMu.Unlock()
	return q.failed
}

// settle returns when all that was written to the segment before the call is
// durable.
func (g *segment) settle() error {
	return g.group.wait(func() error {
		end := g.end.Load()
		if g.newLarge.Swap(false) {
			if err := syncDir(g.large); err != nil {
				return err
			}
		}
		if err := g.file.sync(); err != nil {
			return err
		}
		g.durable.Store(end)
		return nil
	})
}
