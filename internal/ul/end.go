package ul

import (
	"context"
	"errors"
	"time"
)

// Release ends the association in an orderly way and closes the connection. It
// belongs to the reading goroutine and waits for a message that is being sent.
// Messages that arrive before the answer are dropped. A release collision
// (PS3.8 §7.2.2.7) is resolved. If ctx is done first, or the peer does not answer
// within Limits.Progress, the association is aborted.
//
// It returns nil if the association was released, now or before.
func (a *Association) Release(ctx context.Context) error {
	stop := context.AfterFunc(ctx, a.Abort)
	defer stop()
	a.stopWatch()
	a.smu.Lock()
	defer a.smu.Unlock()
	a.rmu.Lock()
	defer a.rmu.Unlock()
	if err := a.release(); !errors.Is(err, ErrReleased) {
		return err
	}
	return nil
}

// release carries out a release that this side begins. It returns why the
// association ended, ErrReleased when all went well. The caller holds rmu.
func (a *Association) release() error {
	if _, err := a.fire(evt11, input{}); err != nil {
		return a.sendFailed(err)
	}
	a.t.budget = a.limits.Progress
	for {
		ev, in := a.next()
		if ev == 0 {
			return a.interrupted(in.cause)
		}
		told, err := a.fire(ev, in)
		if err == nil {
			err = a.answerCollision(told)
		}
		if over := a.Err(); over != nil {
			a.linger()
			return over
		}
		if err != nil {
			return a.sendFailed(err)
		}
	}
}

// answerCollision gives the local release response where a collision asks for
// it: the requestor when it is told of the peer's request (Sta9), the acceptor
// when its own request has been answered (Sta12).
func (a *Association) answerCollision(told indication) error {
	s, _ := a.current()
	if told == toldRelease && s == sta9 || told == toldReleased && s == sta12 {
		_, err := a.fire(evt14, input{cause: ErrReleased})
		return err
	}
	return nil
}

// Abort ends the association at once: it sends an A-ABORT if one is due, waits
// at most Limits.Linger for the peer to close the connection, and makes calls
// under way in other goroutines fail.
func (a *Association) Abort() { a.abort(nil) }

func (a *Association) abort(cause error) {
	_, _ = a.fire(evt15, input{cause: cause}) // fails when the association has ended already
	a.t.interruptRead()
	if a.rmu.TryLock() {
		a.linger()
		a.rmu.Unlock()
	}
}

// Close frees the connection. An association that has not ended is aborted.
func (a *Association) Close() error {
	a.Abort()
	a.tearDown()
	return nil
}

// Drain lets the operation under way end and then releases the association:
// the next time Receive waits for a message, or now if it does, it returns
// ErrReleased. Messages that have arrived already are still delivered.
func (a *Association) Drain() { a.t.drain() }

// stopWatch ends the wait of Arrived, if there is one.
func (a *Association) stopWatch() {
	if a.watching == nil {
		return
	}
	a.t.limitRead(past)
	<-a.watching
	a.watching = nil
	a.t.limitRead(time.Time{})
}
