package ul

import (
	"errors"
	"net"
	"os"
	"sync"
	"time"
)

// unlimited is a budget that sets no deadline.
const unlimited time.Duration = -1

// errInterrupted is the error of reads and writes that another goroutine cut
// short.
var errInterrupted = errors.New("ul: interrupted")

// transport is the connection below an association. It measures how long reads
// block: the time that the owner of an association takes to consume what
// arrived must not count against the peer.
type transport struct {
	conn net.Conn

	// budget is the time that reads may still block; it belongs to whoever holds
	// Association.rmu.
	budget time.Duration

	mu       sync.Mutex // guards what follows and the setting of deadlines
	latest   time.Time  // when reads must end, whatever the budget is; zero for no limit
	waiting  bool       // the reader waits for a message to begin
	draining bool       // no more messages are wanted
	noReads  bool
	noWrites bool
}

// Read implements io.Reader for the buffered reader of the association.
func (t *transport) Read(p []byte) (int, error) {
	start := time.Now()
	if err := t.armRead(start); err != nil {
		return 0, err
	}
	n, err := t.conn.Read(p)
	if t.budget != unlimited {
		t.budget = max(0, t.budget-time.Since(start))
	}
	if err != nil && errors.Is(err, os.ErrDeadlineExceeded) {
		err = t.readTimeout()
	}
	return n, err
}

func (t *transport) armRead(start time.Time) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.readsInterrupted() {
		return errInterrupted
	}
	deadline := t.latest
	if t.budget != unlimited {
		if d := start.Add(t.budget); deadline.IsZero() || d.Before(deadline) {
			deadline = d
		}
	}
	return t.conn.SetReadDeadline(deadline)
}

func (t *transport) readTimeout() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.readsInterrupted() {
		return errInterrupted
	}
	return ErrTimeout
}

// readsInterrupted is called with mu held.
func (t *transport) readsInterrupted() bool { return t.noReads || t.waiting && t.draining }

// past is a deadline that makes reads and writes under way fail at once.
var past = time.Unix(1, 0)

// interruptRead makes the read under way and all later ones fail with
// errInterrupted, until resumeRead.
func (t *transport) interruptRead() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.noReads = true
	_ = t.conn.SetReadDeadline(past) // fails only when closed, which interrupts as well
}

// resumeRead ends all interruptions.
func (t *transport) resumeRead() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.noReads, t.draining, t.latest = false, false, time.Time{}
}

// drain makes reads fail with errInterrupted while they wait for a message to
// begin, now or later.
func (t *transport) drain() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.draining = true
	if t.waiting {
		_ = t.conn.SetReadDeadline(past)
	}
}

// setWaiting says whether the reader waits for a message to begin.
func (t *transport) setWaiting(waiting bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.waiting = waiting
	if waiting && t.draining {
		_ = t.conn.SetReadDeadline(past)
	}
}

// limitRead sets when a read that another goroutine makes must end; zero lifts
// the limit for the reads that follow.
func (t *transport) limitRead(latest time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.latest = latest
	if !latest.IsZero() && !t.readsInterrupted() {
		_ = t.conn.SetReadDeadline(latest)
	}
}

// write writes b, which is one or more whole PDUs, within d.
func (t *transport) write(b []byte, d time.Duration) error {
	if err := t.armWrite(d); err != nil {
		return err
	}
	_, err := t.conn.Write(b)
	if err != nil && errors.Is(err, os.ErrDeadlineExceeded) {
		return ErrTimeout
	}
	return err
}

func (t *transport) armWrite(d time.Duration) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.noWrites {
		return errInterrupted
	}
	return t.conn.SetWriteDeadline(time.Now().Add(d))
}

// interruptWrite makes the write under way, if it blocks, and all later ones
// fail, until resumeWrite.
func (t *transport) interruptWrite() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.noWrites = true
	_ = t.conn.SetWriteDeadline(past)
}

// resumeWrite ends an interruption.
func (t *transport) resumeWrite() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.noWrites = false
}

// closeWrite ends the sending direction, where the connection can do that, so
// that the peer sees the end without waiting for Sta13 to end here.
func (t *transport) closeWrite() {
	if c, ok := t.conn.(interface{ CloseWrite() error }); ok {
		_ = c.CloseWrite() // the connection is given up in any case
	}
}
