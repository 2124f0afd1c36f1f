package ul

import (
	"fmt"
	"time"
)

// input goes with an event into the state machine.
type input struct {
	received byte        // type of the PDU whose arrival the event is; 0 for other events
	pdu      []byte      // encoded PDU for the actions that send A-ASSOCIATE-RQ, -AC, -RJ or P-DATA-TF
	reason   AbortReason // of the A-ABORT that AA-8 sends
	refused  bool        // evt6: the service-provider does not accept the request; pdu is the A-ASSOCIATE-RJ
	cause    error       // why the association ends, if it does
}

// fire runs one event through the state table: it takes the transition, does
// what the action says and returns what the user is to be told. An event that
// cannot happen in the current state changes nothing and returns why the
// association ended, or ErrClosed.
func (a *Association) fire(ev event, in input) (indication, error) {
	eff, err := a.transition(ev, in)
	if err != nil {
		return silent, err
	}
	switch eff.send {
	case 0:
	case pduAbort:
		a.sendAbort(eff, in)
	default:
		err = a.send(eff.send, in.pdu)
	}
	if eff.close {
		a.tearDown()
	}
	return eff.indicate, err
}

// transition looks up the action, changes the state and sets the ARTIM timer.
func (a *Association) transition(ev event, in input) (*effect, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	act := transitions[ev][a.state]
	switch {
	case act == 0:
		if a.err != nil {
			return nil, a.err
		}
		return nil, ErrClosed
	case act == ae6 && in.refused:
		act = ae6Refused
	case act == ar8 && !a.requestor:
		act = ar8Acceptor
	}
	eff := &effects[act]
	a.state = eff.next
	if eff.startARTIM {
		a.artim = time.Now().Add(a.timer(eff.next))
	}
	if eff.stopARTIM {
		a.artim = time.Time{}
	}
	if (eff.next == sta1 || eff.next == sta13) && a.err == nil {
		a.err = ended(eff, in)
	}
	return eff, nil
}

// timer returns the length of the ARTIM timer in a state.
func (a *Association) timer(s state) time.Duration {
	if s == sta13 {
		return a.limits.Linger
	}
	return a.limits.ARTIM
}

// ended returns the error that an association ends with.
func ended(eff *effect, in input) error {
	if eff.send == pduAbort {
		abort := &Abort{Sent: true, Cause: in.cause}
		if in.cause == nil && in.received != 0 {
			abort.Cause = fmt.Errorf("%w: unexpected PDU type %02Xh", ErrMalformed, in.received)
		}
		if eff.provider {
			abort.Source, abort.Reason = AbortedByProvider, in.reason
		}
		return abort
	}
	if in.cause == nil {
		return ErrClosed
	}
	return in.cause
}

// current returns the state and when the ARTIM timer expires.
func (a *Association) current() (state, time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.state, a.artim
}

// send writes one or more PDUs of a type. A-RELEASE-RQ and -RP are always the
// same bytes; the others are given.
func (a *Association) send(typ byte, pdu []byte) error {
	a.wmu.Lock()
	defer a.wmu.Unlock()
	if a.final || a.broken {
		return ErrClosed
	}
	switch typ {
	case pduReleaseRQ:
		pdu = appendControl(nil, typ, [3]byte{})
	case pduReleaseRP:
		pdu = appendControl(nil, typ, [3]byte{})
		a.final = true
	case pduAssociateRJ:
		a.final = true
	}
	err := a.t.write(pdu, a.limits.Progress)
	if err != nil {
		a.broken = true // perhaps in the middle of a PDU
	}
	return err
}

// abortTime is how long sending an A-ABORT may take. It fits into the send
// buffer of the connection unless the peer stopped reading long before.
const abortTime = time.Second

// sendAbort sends an A-ABORT and ends the sending direction. A write of
// another goroutine that the peer does not accept is cut short; then the
// A-ABORT cannot be sent any more, for it would end up inside another PDU.
func (a *Association) sendAbort(eff *effect, in input) {
	if !a.wmu.TryLock() {
		a.t.interruptWrite()
		a.wmu.Lock()
		a.t.resumeWrite()
	}
	defer a.wmu.Unlock()
	if a.broken {
		return
	}
	v := [3]byte{0, byte(AbortedByUser), byte(AbortNoReason)}
	if eff.provider {
		v = [3]byte{0, byte(AbortedByProvider), byte(in.reason)}
	}
	_ = a.t.write(appendControl(nil, pduAbort, v), abortTime) // a courtesy: the connection is closed in any case
	a.broken = true
	a.t.closeWrite()
}

// tearDown closes the transport connection.
func (a *Association) tearDown() {
	if a.tornDown.CompareAndSwap(false, true) {
		_ = a.t.conn.Close() // nothing is lost: what mattered was acknowledged above this layer
	}
}
