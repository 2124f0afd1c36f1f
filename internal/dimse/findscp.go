package dimse

import (
	"context"
	"fmt"

	"pharos/internal/access"
	"pharos/internal/dicom"
)

// find answers C-FIND (PS3.4 §C.4.1): a pending response for each match, as the archive
// finds it, then the final one.
func (s *session) find(ctx context.Context, m *message) error {
	id, err := s.identifier(m)
	if err != nil {
		return s.refuse(m, err)
	}
	q, err := id.question(s.server.config.Keys, s.options[m.SOPClass])
	if err != nil {
		return s.refuse(m, err)
	}
	// The archive's work must end when this function does, whatever the reason.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for match, err := range s.server.config.Archive.Query(ctx, q.query, access.All()) {
		if err != nil {
			return s.refuse(m, err)
		}
		if cancelled, err := s.cancelRequested(m); cancelled || err != nil {
			return s.endCancelled(m, err)
		}
		if err := s.respondMatch(m, id, q, match); err != nil {
			return err
		}
	}
	return s.respond(m, Success, "")
}

// identifier reads and checks the identifier of a query or retrieval.
func (s *session) identifier(m *message) (*identifier, error) {
	c, _ := s.assoc.Context(m.contextID)
	if !m.DataSet {
		return nil, &failure{status: UnableToProcess, comment: "no identifier"}
	}
	if string(m.SOPClass) != c.AbstractSyntax {
		return nil, &failure{status: NotSupported, comment: "SOP class is not that of the presentation context"}
	}
	d, err := readIdentifier(m.data, dicom.UID(c.TransferSyntax), s.server.config.Limits.MaxIdentifier)
	if err != nil {
		return nil, err
	}
	_, model := s.server.service(c.AbstractSyntax)
	relational := s.server.config.AlwaysRelational || s.options[m.SOPClass].relational
	return newIdentifier(d, model, relational)
}

// respondMatch sends one match.
func (s *session) respondMatch(m *message, id *identifier, q question, match *dicom.Dataset) error {
	status := PendingStatus
	if q.unsupported {
		status = PendingUnknownKey
	}
	return s.sendDataset(m.contextID, s.response(m, status, ""), id.answer(match, s.server.config.AETitle))
}

// cancelRequested reports whether the peer has cancelled the operation that m began
// (PS3.7 §9.3.2.3), without waiting. Nothing but that and the end of the association
// may arrive while an operation is under way, as the window is one.
func (s *session) cancelRequested(m *message) (bool, error) {
	for s.assoc.Pending() {
		got, err := s.receive()
		switch {
		case err != nil:
			return false, err
		case got.Field == CCancelRQ && got.MessageID == m.MessageID:
			return true, nil
		}
		if err := s.aside(&got); err != nil {
			return false, err
		}
	}
	return false, nil
}

// aside takes a message that may arrive during an operation without concerning it. For
// any other one the association ends.
func (s *session) aside(m *message) error {
	switch m.Field {
	case CCancelRQ: // of an operation that is over
		return nil
	case NEventReportRP:
		return s.reported(m)
	}
	s.assoc.Abort()
	return fmt.Errorf("dimse: %w: %v during another operation", ErrMessage, m.Field)
}

// endCancelled sends the final response after a cancellation, unless the association
// is over.
func (s *session) endCancelled(m *message, err error) error {
	if err != nil {
		return err
	}
	return s.respond(m, Cancelled, "")
}
