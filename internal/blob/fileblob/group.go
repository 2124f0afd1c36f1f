package fileblob

import (
	"sync"
	"time"
)

// group lets all who need a sync at the same time share one.
type group struct {
	mu       sync.Mutex
	next     *batch // gathers while the batch before it syncs; nil when nobody waits for a turn
	syncing  bool
	released int // how many shared the last sync, or share the present one

	turn   sync.Mutex // held by the leader of the batch that syncs
	gather gathering  // guarded by turn

	failMu sync.Mutex
	failed error
}

// batch is those who share one sync.
type batch struct {
	n      int           // how many they are; guarded by mu of the group
	during bool          // it began while another one was syncing
	want   int           // with how many it is complete; 0 while nobody waits for that
	full   chan struct{} // closed when it is complete
	done   chan struct{}
	err    error
}

// wait returns when a sync that began after the call has ended. The first one of a
// batch does the work for the others. After one failure every wait fails: the
// kernel reports a lost page once and then calls it clean, so a later success would
// prove nothing. pending is how many bytes the sync would write now.
func (q *group) wait(pending func() int64, sync func() error) error {
	b, leads := q.join()
	if !leads {
		<-b.done
		return b.err
	}
	q.turn.Lock()
	if pending() <= waitBelow {
		q.await(b)
	}
	q.begin(b)
	if b.err = q.failure(); b.err == nil {
		began := time.Now()
		b.err = sync()
		q.gather.synced(time.Since(began))
		q.fail(b.err)
	}
	q.end()
	q.turn.Unlock()
	close(b.done)
	return b.err
}

// join enters the batch that gathers, or begins one and leads it.
func (q *group) join() (b *batch, leads bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if b := q.next; b != nil {
		b.n++
		if b.n == b.want {
			close(b.full)
		}
		return b, false
	}
	q.next = &batch{n: 1, during: q.syncing, full: make(chan struct{}), done: make(chan struct{})}
	return q.next, true
}

// await gives those whom the last sync released the time to come back, so that they
// and those who came meanwhile do not take turns for ever, each with half of a
// batch. Who is alone never waits.
func (q *group) await(b *batch) {
	if patience := q.gather.patience(); patience > 0 && q.lacks(b) {
		began := time.Now()
		t := time.NewTimer(patience)
		defer t.Stop()
		select {
		case <-b.full:
		case <-t.C:
		}
		q.gather.waited(time.Since(began))
	}
}

// lacks says whether more are expected in the batch: as many as were released, unless
// they are in it already.
func (q *group) lacks(b *batch) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	want := q.released
	if b.during {
		want += b.n // none of whom was released
	}
	if b.n >= want {
		return false
	}
	b.want = want
	return true
}

// begin closes the batch: whoever comes from here on may be too late for its sync.
func (q *group) begin(b *batch) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.next = nil
	q.syncing = true
	q.released = b.n
}

func (q *group) end() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.syncing = false
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
	pending := func() int64 { return g.end.Load() - g.durable.Load() }
	return g.group.wait(pending, func() error {
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
