package ul

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"
)

// Message is the command part of a DIMSE message.
type Message struct {
	ContextID byte
	Command   []byte // the whole command set; valid until the next Receive
}

// pdv is the presentation data value being read, PS3.8 §9.3.5.1.
type pdv struct {
	context byte
	flags   byte
	left    int64 // bytes not yet read
}

// Receive waits for the next message and returns its command set. If the
// command says that a data set follows, call OpenDataSet; what is left of it
// unread is skipped by the next Receive.
//
// An A-RELEASE-RQ of the peer is answered here, and the error is ErrReleased.
// Other errors are an *Abort (which may wrap ErrTimeout or ErrMalformed) or
// ErrClosed; all of them end the association.
func (a *Association) Receive() (Message, error) {
	a.t.setWaiting(true)
	defer a.t.setWaiting(false)
	idle := a.joinWatch()
	a.rmu.Lock()
	defer a.rmu.Unlock()
	if err := a.skipDataSet(); err != nil {
		return Message{}, err
	}
	a.t.budget = idle
	err := a.nextPDV()
	a.t.setWaiting(false)
	if errors.Is(err, errInterrupted) {
		err = a.release()
	}
	if err != nil {
		return Message{}, err
	}
	return a.readCommand()
}

// readCommand gathers the fragments of a command set, the first of which has begun.
func (a *Association) readCommand() (Message, error) {
	a.command = a.command[:0]
	id := a.pdv.context
	for {
		switch {
		case a.pdv.flags&flagCommand == 0:
			return Message{}, a.malformed(AbortUnexpectedParameter, "data set fragment where a command is expected")
		case a.pdv.context != id:
			return Message{}, a.malformed(AbortUnexpectedParameter, "command set changes its presentation context")
		case int64(len(a.command))+a.pdv.left > int64(a.limits.MaxCommand):
			return Message{}, a.malformed(AbortInvalidParameter, "command set of more than %d bytes", a.limits.MaxCommand)
		}
		if err := a.readFragment(); err != nil {
			return Message{}, err
		}
		if a.pdv.flags&flagLast != 0 {
			return Message{ContextID: id, Command: a.command}, nil
		}
		a.t.budget = a.limits.Progress
		if err := a.nextPDV(); err != nil {
			return Message{}, cutShort(err)
		}
	}
}

// readFragment appends the current fragment to the command set.
func (a *Association) readFragment() error {
	at := len(a.command)
	n := int(a.pdv.left)
	a.command = slices.Grow(a.command, n)[:at+n]
	if _, err := io.ReadFull(a.br, a.command[at:]); err != nil {
		return a.readEnded(err)
	}
	a.pdv.left = 0
	a.pduLeft -= int64(n)
	return nil
}

// nextPDV reads the header of the next PDV, in this PDU or the next. The caller
// has set the budget for the wait; once a PDU has begun it must arrive within
// Progress.
func (a *Association) nextPDV() error {
	if a.pduLeft == 0 {
		if err := a.awaitData(); err != nil {
			return err
		}
		a.t.budget = a.limits.Progress
	}
	if a.pduLeft < pdvHeaderSize {
		return a.malformed(AbortInvalidParameter, "%d bytes left in a PDU for a PDV", a.pduLeft)
	}
	head, err := a.br.Peek(pdvHeaderSize)
	if err != nil {
		return a.readEnded(err)
	}
	length := int64(binary.BigEndian.Uint32(head)) - 2
	a.pdv = pdv{context: head[4], flags: head[5], left: length}
	if length < 0 || length > a.pduLeft-pdvHeaderSize {
		return a.malformed(AbortInvalidParameter, "PDV of %d bytes in %d bytes of a PDU", length+2, a.pduLeft-4)
	}
	if !a.accepted[a.pdv.context] {
		return a.malformed(AbortInvalidParameter, "PDV of presentation context %d, which was not accepted", a.pdv.context)
	}
	a.pduLeft -= pdvHeaderSize
	if _, err := a.br.Discard(pdvHeaderSize); err != nil {
		return a.readEnded(err)
	}
	return nil
}

// awaitData waits for the next P-DATA-TF PDU. What ends the association is
// carried through to the end and returned.
func (a *Association) awaitData() error {
	for {
		ev, in := a.next()
		if ev == 0 {
			return a.interrupted(in.cause)
		}
		told, err := a.fire(ev, in)
		if told == toldData {
			return nil
		}
		if told == toldRelease && err == nil {
			_, err = a.fire(evt14, input{cause: ErrReleased})
		}
		if over := a.Err(); over != nil {
			a.linger()
			return over
		}
		if err != nil {
			return err
		}
	}
}

// interrupted tells an interruption for draining from one for an end that
// another goroutine began.
func (a *Association) interrupted(err error) error {
	if over := a.Err(); over != nil {
		a.linger()
		return over
	}
	return err
}

// readEnded handles a read that failed within a PDU.
func (a *Association) readEnded(err error) error {
	ev, in := a.readFailed(err)
	if ev == 0 {
		return a.interrupted(in.cause)
	}
	return a.end(ev, in)
}

// malformed aborts because of what the peer sent.
func (a *Association) malformed(reason AbortReason, format string, args ...any) error {
	a.lost = true
	cause := fmt.Errorf("%w: "+format, append([]any{ErrMalformed}, args...)...)
	return a.end(evt19, input{reason: reason, cause: cause})
}

// end fires an event that ends the association and waits for the end.
func (a *Association) end(ev event, in input) error {
	_, err := a.fire(ev, in)
	if over := a.Err(); over != nil {
		err = over
	}
	a.linger()
	return err
}

// cutShort keeps the end of an association from looking orderly in the middle
// of a message.
func cutShort(err error) error {
	return fmt.Errorf("ul: message cut short: %w", err)
}

// Arrived returns a channel that is closed when something of the peer has
// arrived that Receive would return: a message, the beginning of one, or the end
// of the association. It serves to notice a C-CANCEL or the loss of the peer
// while an operation is under way. It may only be called between messages, when
// the data set of the last one is read or of no interest; it waits for the end of
// that data set.
func (a *Association) Arrived() <-chan struct{} {
	if a.watching != nil {
		return a.watching
	}
	a.watching = make(chan struct{})
	a.rmu.Lock()
	if a.skipDataSet() != nil || a.pduLeft > 0 || a.br.Buffered() > 0 {
		close(a.watching)
		a.rmu.Unlock()
		return a.watching
	}
	go a.watch(a.watching)
	return a.watching
}

// watch waits for the first byte of the next PDU. It took over rmu.
func (a *Association) watch(arrived chan struct{}) {
	a.t.budget = unlimited
	_, _ = a.br.Peek(1) // an error is met again by the next read
	if a.Err() != nil {
		a.linger() // another goroutine ended the association and left the rest to the reader
	}
	a.rmu.Unlock()
	close(arrived)
}

// Pending reports, without blocking, whether something has arrived. See Arrived.
func (a *Association) Pending() bool {
	select {
	case <-a.Arrived():
		return true
	default:
		return false
	}
}

// joinWatch ends the wait of Arrived, if there is one, and returns what is
// left of the idle time.
func (a *Association) joinWatch() time.Duration {
	idle := time.Duration(a.idle.Load())
	if idle < 0 {
		idle = unlimited
	}
	if a.watching == nil {
		return idle
	}
	start := time.Now()
	if idle != unlimited {
		a.t.limitRead(start.Add(idle))
	}
	<-a.watching
	a.watching = nil
	a.t.limitRead(time.Time{})
	if idle == unlimited {
		return idle
	}
	return max(0, idle-time.Since(start))
}
