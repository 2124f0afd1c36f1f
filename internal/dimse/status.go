package dimse

import "fmt"

// Status is the Status (0000,0900) of a response (PS3.7 §C).
type Status uint16

// Statuses that every service class has (PS3.7 §C.1 to C.5).
const (
	Success           Status = 0x0000 // §C.1.1
	ProcessingFailure Status = 0x0110 // §C.5.19
	NoSuchInstance    Status = 0x0112 // §C.5.14
	NoSuchEventType   Status = 0x0113 // §C.5.12
	InvalidArgument   Status = 0x0115 // §C.5.6
	InvalidInstance   Status = 0x0117 // §C.5.9: the UID is not one
	NoSuchSOPClass    Status = 0x0118 // §C.5.15
	ClassConflict     Status = 0x0119 // §C.5.3: the instance is not of that class
	NotSupported      Status = 0x0122 // §C.5.24: SOP class not supported
	NoSuchActionType  Status = 0x0123 // §C.5.10
	NotAuthorized     Status = 0x0124 // §C.5.17
	DuplicateTransfer Status = 0x0131 // PS3.3 §C.14.1.1: Transaction UID is in use
	Unrecognized      Status = 0x0211 // §C.5.21: unrecognized operation
	ResourceLimit     Status = 0x0213 // §C.5.20

	Cancelled         Status = 0xFE00 // §C.4
	PendingStatus     Status = 0xFF00 // §C.2: matches with every key that was asked for
	PendingUnknownKey Status = 0xFF01 // §C.2: some optional key is not supported, PS3.4 §C.4.1.1.4
)

// Statuses of the Storage Service Class (PS3.4 Table B.2-1).
const (
	OutOfResources   Status = 0xA700
	ClassMismatch    Status = 0xA900 // the data set is not what the command says it is
	CannotUnderstand Status = 0xC000 // the data set can't be read, or a UID is missing in it
	UIDConflict      Status = 0xC111 // another instance has the same UID; of the range "cannot understand"
	CoercedElements  Status = 0xB000 // warning: stored with changes
	DiscardedValues  Status = 0xB006 // warning
	ClassMismatched  Status = 0xB007 // warning: stored although the data set does not match
)

// Statuses of the Query/Retrieve Service Class (PS3.4 Tables C.4-1 to C.4-3).
const (
	CannotCount        Status = 0xA701 // unable to calculate number of matches
	CannotPerform      Status = 0xA702 // unable to perform sub-operations
	UnknownDestination Status = 0xA801
	IdentifierMismatch Status = 0xA900 // the identifier does not match the SOP class
	UnableToProcess    Status = 0xC000 // the identifier can't be read
	InternalFailure    Status = 0xC001 // the archive failed; of the range "unable to process"
	SubOperationFailed Status = 0xB000 // warning: complete, but at least one sub-operation failed
)

// Pending reports whether more responses follow (PS3.7 §C.2).
func (s Status) Pending() bool { return s == PendingStatus || s == PendingUnknownKey }

// Warning reports whether the operation was done with a reservation (PS3.7 §C.3).
func (s Status) Warning() bool {
	return s == 0x0001 || s == 0x0107 || s == 0x0116 || s&0xF000 == 0xB000
}

// Failure reports whether the operation was refused or has failed (PS3.7 §C.5).
func (s Status) Failure() bool {
	return s != Success && s != Cancelled && !s.Pending() && !s.Warning()
}

// String is the status in hexadecimal and what it means, where that does not depend
// on the service class.
func (s Status) String() string {
	if m := statusMeaning(s); m != "" {
		return fmt.Sprintf("0x%04X (%s)", uint16(s), m)
	}
	return fmt.Sprintf("0x%04X", uint16(s))
}

func statusMeaning(s Status) string {
	switch s {
	case Success:
		return "success"
	case Cancelled:
		return "cancelled"
	case PendingStatus, PendingUnknownKey:
		return "pending"
	case ProcessingFailure:
		return "processing failure"
	case NoSuchInstance:
		return "no such instance"
	case InvalidInstance:
		return "invalid SOP instance"
	case ClassConflict:
		return "class-instance conflict"
	case NotSupported:
		return "SOP class not supported"
	case NoSuchActionType:
		return "no such action type"
	case NotAuthorized:
		return "not authorized"
	case Unrecognized:
		return "unrecognized operation"
	case ResourceLimit:
		return "resource limitation"
	case CannotCount:
		return "unable to calculate number of matches"
	case CannotPerform:
		return "unable to perform sub-operations"
	case UnknownDestination:
		return "move destination unknown"
	case UIDConflict:
		return "another instance has the same UID"
	}
	return statusFamily(s)
}

func statusFamily(s Status) string {
	switch {
	case s>>8 == 0xA7:
		return "out of resources"
	case s>>8 == 0xA9:
		return "does not match SOP class"
	case s>>12 == 0xC:
		return "cannot understand"
	case s.Warning():
		return "warning"
	}
	return ""
}

// StatusError is a response that tells of a failure or a refusal.
type StatusError struct {
	Operation Field  // of the response
	Status    Status // a failure, or Cancelled
	Comment   string // of the peer
}

// Error names operation, status and the peer's comment.
func (e *StatusError) Error() string {
	s := fmt.Sprintf("dimse: %v answered with status %v", e.Operation&^responseBit, e.Status)
	if e.Comment != "" {
		s += ": " + e.Comment
	}
	return s
}

// String is the name of the message in PS3.7.
func (f Field) String() string {
	name := "message " + fmt.Sprintf("0x%04X", uint16(f))
	switch f &^ responseBit {
	case CStoreRQ:
		name = "C-STORE"
	case CGetRQ:
		name = "C-GET"
	case CFindRQ:
		name = "C-FIND"
	case CMoveRQ:
		name = "C-MOVE"
	case CEchoRQ:
		name = "C-ECHO"
	case NEventReportRQ:
		name = "N-EVENT-REPORT"
	case NActionRQ:
		name = "N-ACTION"
	case CCancelRQ:
		name = "C-CANCEL"
	}
	return name
}
