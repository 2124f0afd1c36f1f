package ul

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"
)

// eventOf tells which event the arrival of a PDU is, by its type.
var eventOf = [...]event{
	0:              evt19,
	pduAssociateRQ: evt6,
	pduAssociateAC: evt3,
	pduAssociateRJ: evt4,
	pduData:        evt10,
	pduReleaseRQ:   evt12,
	pduReleaseRP:   evt13,
	pduAbort:       evt16,
}

// next waits for the next PDU, skipping what is left of the current one, and
// tells which event it is. The values of short PDUs are in the input; what has
// a body (A-ASSOCIATE-RQ and -AC, P-DATA-TF) is left to be read, pduLeft
// bytes. Events 17 and 18 are reported here too. Event zero says that the read
// was interrupted. The caller holds rmu and has set the budget.
func (a *Association) next() (event, input) {
	typ, length, err := a.readHeader()
	if err != nil {
		return a.readFailed(err)
	}
	if err := a.checkLength(typ, length); err != nil {
		a.lost = true
		return evt19, input{reason: AbortInvalidParameter, cause: err}
	}
	a.pduLeft = length
	ev := eventOf[typ]
	in := input{received: typ, reason: AbortUnexpectedPDU}
	if length != controlPDUSize {
		return ev, in
	}
	return a.readControl(typ, ev, in)
}

// readHeader reads a PDU header. An unknown type is reported at its first byte:
// what speaks another protocol may never send the rest.
func (a *Association) readHeader() (typ byte, length int64, err error) {
	if a.lost {
		_, err := io.Copy(io.Discard, a.br)
		if err == nil {
			err = io.EOF
		}
		return 0, 0, err
	}
	if _, err := a.br.Discard(int(a.pduLeft)); err != nil {
		return 0, 0, err
	}
	a.pduLeft = 0
	head, err := a.br.Peek(1)
	if err != nil {
		return 0, 0, err
	}
	if head[0] == 0 || int(head[0]) >= len(eventOf) {
		return 0, 0, errUnknownType{head[0]}
	}
	if head, err = a.br.Peek(pduHeaderSize); err != nil {
		return 0, 0, err
	}
	typ, length = head[0], int64(binary.BigEndian.Uint32(head[2:]))
	_, err = a.br.Discard(pduHeaderSize)
	return typ, length, err
}

type errUnknownType struct{ typ byte }

func (e errUnknownType) Error() string { return fmt.Sprintf("%v: PDU type %02Xh", ErrMalformed, e.typ) }
func (e errUnknownType) Unwrap() error { return ErrMalformed }

// readFailed turns a failed read into an event.
func (a *Association) readFailed(err error) (event, input) {
	s, _ := a.current()
	var unknown errUnknownType
	switch {
	case errors.As(err, &unknown):
		a.lost = true
		return evt19, input{reason: AbortUnrecognizedPDU, cause: err}
	case errors.Is(err, errInterrupted):
		return 0, input{cause: err}
	case errors.Is(err, ErrTimeout) && (s == sta2 || s == sta13):
		return evt18, input{cause: err}
	case errors.Is(err, ErrTimeout):
		return evt15, input{cause: err} // not in the table: this side loses patience
	}
	return evt17, input{cause: fmt.Errorf("%w: %w", ErrClosed, err)}
}

// checkLength rejects lengths that no PDU of the type has, before anything is
// read or allocated.
func (a *Association) checkLength(typ byte, n int64) error {
	least, most := int64(controlPDUSize), int64(controlPDUSize)
	switch typ {
	case pduAssociateRQ, pduAssociateAC:
		least, most = fixedAssociateSize, int64(a.limits.MaxAssociatePDU)
	case pduData:
		least, most = pdvHeaderSize, max(int64(a.limits.MaxPDU), largestPDU)
	}
	if n < least || n > most {
		return fmt.Errorf("%w: PDU type %02Xh of %d bytes, want %d to %d", ErrMalformed, typ, n, least, most)
	}
	return nil
}

// readControl reads the values of a PDU of fixed size, which tell why the
// association ends if the PDU is expected.
func (a *Association) readControl(typ byte, ev event, in input) (event, input) {
	body, err := a.br.Peek(controlPDUSize)
	if err != nil {
		return a.readFailed(err)
	}
	s, _ := a.current()
	switch typ {
	case pduAbort:
		in.cause = &Abort{Source: AbortSource(body[2]), Reason: AbortReason(body[3])}
	case pduAssociateRJ:
		if s == sta5 {
			in.cause = &Reject{Result: RejectResult(body[1]), Source: RejectSource(body[2]), Reason: RejectReason(body[3])}
		}
	case pduReleaseRP:
		if s == sta7 || s == sta11 {
			in.cause = ErrReleased
		}
	}
	_, err = a.br.Discard(controlPDUSize)
	a.pduLeft = 0
	if err != nil {
		return a.readFailed(err)
	}
	return ev, in
}

// linger waits in Sta13 until the peer closes the connection or the ARTIM timer
// expires, then closes it. Closing at once could take the last PDU from the
// peer: unread bytes make the kernel reset the connection. The caller holds rmu.
func (a *Association) linger() {
	a.t.resumeRead()
	for {
		s, expires := a.current()
		if s != sta13 {
			break
		}
		a.t.budget = max(0, time.Until(expires))
		ev, in := a.next()
		if ev == 0 {
			break
		}
		if _, err := a.fire(ev, in); err != nil {
			break
		}
	}
	a.tearDown()
}
