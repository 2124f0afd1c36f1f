package ul

import (
	"errors"
	"fmt"
)

var (
	// ErrReleased says that the association ended by an orderly release,
	// whichever side asked for it.
	ErrReleased = errors.New("ul: association released")

	// ErrClosed says that the transport connection is gone without release or
	// abort, or that the association was closed on this side.
	ErrClosed = errors.New("ul: association closed")

	// ErrTimeout says that the peer was idle or too slow; the association has
	// been aborted.
	ErrTimeout = errors.New("ul: peer timed out")

	// ErrMalformed says that the peer sent what PS3.8 forbids; the association
	// has been aborted.
	ErrMalformed = errors.New("ul: malformed PDU")

	// ErrNotAccepted says that a presentation context was not accepted and so
	// cannot carry a message.
	ErrNotAccepted = errors.New("ul: presentation context not accepted")

	// ErrTooLarge says that a message or a PDU to be sent does not fit its limit.
	ErrTooLarge = errors.New("ul: too large")
)

// RejectResult is the result field of an A-ASSOCIATE-RJ, PS3.8 Table 9-21.
type RejectResult byte

// The results of PS3.8 Table 9-21.
const (
	RejectedPermanent RejectResult = 1
	RejectedTransient RejectResult = 2
)

// RejectSource is the source field of an A-ASSOCIATE-RJ, PS3.8 Table 9-21.
type RejectSource byte

// The sources of PS3.8 Table 9-21.
const (
	RejectedByUser         RejectSource = 1
	RejectedByACSE         RejectSource = 2 // service provider, ACSE related
	RejectedByPresentation RejectSource = 3 // service provider, presentation related
)

// RejectReason is the reason field of an A-ASSOCIATE-RJ, PS3.8 Table 9-21. Its
// meaning depends on the source.
type RejectReason byte

// The reasons of PS3.8 Table 9-21.
const (
	RejectNoReason RejectReason = 1 // with RejectedByUser and RejectedByACSE

	RejectApplicationContext RejectReason = 2 // with RejectedByUser
	RejectCallingAET         RejectReason = 3 // with RejectedByUser
	RejectCalledAET          RejectReason = 7 // with RejectedByUser

	RejectProtocolVersion RejectReason = 2 // with RejectedByACSE

	RejectCongestion RejectReason = 1 // with RejectedByPresentation
	RejectLocalLimit RejectReason = 2 // with RejectedByPresentation
)

// Reject is an A-ASSOCIATE-RJ, PS3.8 §9.3.4. Dial returns it as an error when
// the peer sent one, Accept when it sent one itself.
type Reject struct {
	Result RejectResult
	Source RejectSource
	Reason RejectReason
}

func (r *Reject) Error() string {
	return fmt.Sprintf("ul: association rejected: %s, %s", r.Result, r.reason())
}

func (r RejectResult) String() string {
	switch r {
	case RejectedPermanent:
		return "permanent"
	case RejectedTransient:
		return "transient"
	}
	return fmt.Sprintf("result %d", byte(r))
}

func (r *Reject) reason() string {
	switch [2]byte{byte(r.Source), byte(r.Reason)} {
	case [2]byte{1, 1}, [2]byte{2, 1}:
		return "no reason given"
	case [2]byte{1, 2}:
		return "application context name not supported"
	case [2]byte{1, 3}:
		return "calling AE title not recognised"
	case [2]byte{1, 7}:
		return "called AE title not recognised"
	case [2]byte{2, 2}:
		return "protocol version not supported"
	case [2]byte{3, 1}:
		return "temporary congestion"
	case [2]byte{3, 2}:
		return "local limit exceeded"
	}
	return fmt.Sprintf("source %d, reason %d", byte(r.Source), byte(r.Reason))
}

// AbortSource is the source field of an A-ABORT, PS3.8 Table 9-26.
type AbortSource byte

// The sources of PS3.8 Table 9-26.
const (
	AbortedByUser     AbortSource = 0
	AbortedByProvider AbortSource = 2
)

// AbortReason is the reason field of an A-ABORT, PS3.8 Table 9-26; it is
// significant with AbortedByProvider only.
type AbortReason byte

// The reasons of PS3.8 Table 9-26.
const (
	AbortNoReason              AbortReason = 0
	AbortUnrecognizedPDU       AbortReason = 1
	AbortUnexpectedPDU         AbortReason = 2
	AbortUnrecognizedParameter AbortReason = 4
	AbortUnexpectedParameter   AbortReason = 5
	AbortInvalidParameter      AbortReason = 6
)

// Abort is an A-ABORT, PS3.8 §9.3.8. It is the error of an association that
// the peer aborted, or that this side aborted because of what the peer did.
type Abort struct {
	Source AbortSource
	Reason AbortReason
	Sent   bool  // by this side
	Cause  error // why this side sent it; nil when the peer did
}

func (a *Abort) Error() string {
	by := "by the peer"
	if a.Sent {
		by = "by this side"
	}
	s := fmt.Sprintf("ul: association aborted %s: source %d, reason %d", by, a.Source, a.Reason)
	if a.Cause != nil {
		s += ": " + a.Cause.Error()
	}
	return s
}

// Unwrap returns the cause.
func (a *Abort) Unwrap() error { return a.Cause }
