package dimse

import (
	"context"
	"errors"

	"pharos/internal/access"
	"pharos/internal/archive"
	"pharos/internal/dicom"
)

// failure is an error whose status is known where it arises.
type failure struct {
	status  Status
	comment string // for the peer; see Command.ErrorComment
	tags    []dicom.Tag
}

// Error is the comment.
func (f *failure) Error() string { return "dimse: " + f.comment }

// refusal is a row of the tables below: what an error means to the peer.
type refusal struct {
	err     error
	status  Status
	comment string
}

// storeRefusals are the statuses of C-STORE (PS3.4 Table B.2-1).
var storeRefusals = []refusal{
	{archive.ErrFull, OutOfResources, "no room left, try again later"},
	{archive.ErrConflict, UIDConflict, "another instance has this SOP Instance UID"},
	{archive.ErrInvalid, CannotUnderstand, "data set can't be read or lacks a UID"},
	{access.ErrDenied, NotAuthorized, "not allowed to store this"},
	{access.ErrHidden, NotAuthorized, "not allowed to store this"},
	{context.Canceled, OutOfResources, "shutting down, try again later"},
	{context.DeadlineExceeded, OutOfResources, "took too long, try again later"},
}

// queryRefusals are the statuses of C-FIND (PS3.4 Table C.4-1).
var queryRefusals = []refusal{
	{archive.ErrQuery, IdentifierMismatch, "a key can't be understood"},
	{access.ErrDenied, NotAuthorized, "not allowed to query"},
	// To a stranger, refused and absent look alike.
	{access.ErrHidden, Success, ""},
	{archive.ErrNotFound, Success, ""},
	{context.Canceled, OutOfResources, "shutting down, try again later"},
	{context.DeadlineExceeded, OutOfResources, "took too long, narrow the query"},
}

// retrieveRefusals are the statuses of C-MOVE and C-GET (PS3.4 Tables C.4-2, C.4-3).
var retrieveRefusals = []refusal{
	{archive.ErrQuery, IdentifierMismatch, "a key can't be understood"},
	{access.ErrDenied, NotAuthorized, "not allowed to retrieve"},
	{access.ErrHidden, Success, ""},
	{archive.ErrNotFound, Success, ""},
	{context.Canceled, CannotPerform, "shutting down, try again later"},
	{context.DeadlineExceeded, CannotPerform, "took too long, try again later"},
}

// commitRefusals are the statuses of N-ACTION (PS3.4 §J.3.2.2) and the failure reasons
// of storage commitment (PS3.3 §C.14.1.1).
var commitRefusals = []refusal{
	{archive.ErrNotFound, NoSuchInstance, "not kept here"},
	{access.ErrHidden, NoSuchInstance, "not kept here"},
	{access.ErrDenied, NotAuthorized, "not allowed to ask for commitment"},
	{context.Canceled, ResourceLimit, "shutting down, try again later"},
	{context.DeadlineExceeded, ResourceLimit, "took too long, try again later"},
}

// refusalOf maps an error to what the peer of an operation is told. known is false when
// the error is none that the tables tell of: its text is for the log only, since it
// may name anything.
func refusalOf(operation Field, err error) (f failure, known bool) {
	var own *failure
	if errors.As(err, &own) {
		return *own, true
	}
	rows, otherwise := refusalsOf(operation)
	for _, r := range rows {
		if errors.Is(err, r.err) {
			return failure{status: r.status, comment: r.comment}, true
		}
	}
	return failure{status: otherwise, comment: "internal failure"}, false
}

// refusalsOf returns the table of an operation and its status for anything else.
func refusalsOf(operation Field) ([]refusal, Status) {
	switch operation {
	case CStoreRQ:
		return storeRefusals, ProcessingFailure
	case CFindRQ:
		return queryRefusals, InternalFailure
	case CMoveRQ, CGetRQ:
		return retrieveRefusals, InternalFailure
	case NActionRQ:
		return commitRefusals, ProcessingFailure
	}
	return nil, ProcessingFailure
}
