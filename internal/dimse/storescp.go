package dimse

import (
	"bytes"
	"context"
	"io"
	"time"

	"pharos/internal/archive"
	"pharos/internal/dicom"
	"pharos/internal/dicom/dict"
)

// store answers C-STORE (PS3.4 §B.2). The response leaves only after the archive has
// the instance on stable storage.
func (s *session) store(ctx context.Context, m *message) error {
	status, err := s.keep(ctx, m)
	if over := s.assoc.Err(); over != nil {
		return over // the data set did not arrive whole, or nobody is left to hear of it
	}
	if err == nil {
		return s.respond(m, status, "")
	}
	if drained := s.drain(m); drained != nil {
		return drained
	}
	return s.refuse(m, err)
}

// keep streams the data set of the message into the archive. An instance that is held
// aside, because another has its UID, is a warning: it was kept, but is not to be found.
func (s *session) keep(ctx context.Context, m *message) (Status, error) {
	context, _ := s.assoc.Context(m.contextID)
	if err := checkStoreRequest(m, context.AbstractSyntax); err != nil {
		return 0, err
	}
	meta := dicom.EncodeFileMeta(m.SOPClass, m.SOPInstance, dicom.UID(context.TransferSyntax), s.assoc.CallingAET())
	in, err := archive.ReadIncoming(io.MultiReader(bytes.NewReader(meta), m.data))
	if err != nil {
		return 0, err
	}
	switch {
	case in.Ref.Instance != m.SOPInstance:
		return 0, &failure{status: ClassMismatch, comment: "SOP Instance UID differs from the command", tags: []dicom.Tag{dict.SOPInstanceUID}}
	case in.SOPClass != m.SOPClass:
		return 0, &failure{status: ClassMismatch, comment: "SOP Class UID differs from the command", tags: []dicom.Tag{dict.SOPClassUID}}
	}
	in.Source = s.assoc.CallingAET()
	receipt, err := s.server.config.Archive.Store(ctx, in, "")
	if receipt.Held {
		return CoercedElements, err
	}
	return Success, err
}

// checkStoreRequest refuses a command that can't become an instance.
func checkStoreRequest(m *message, abstractSyntax string) error {
	switch {
	case !m.DataSet:
		return &failure{status: CannotUnderstand, comment: "no data set"}
	case string(m.SOPClass) != abstractSyntax:
		return &failure{status: NotSupported, comment: "SOP class is not that of the presentation context"}
	case !m.SOPInstance.Valid():
		return &failure{status: InvalidInstance, comment: "Affected SOP Instance UID is missing or is not a UID"}
	}
	return nil
}

// drain receives what is left of a refused data set, so that the peer, which sends
// before it listens, gets to the response. A peer that takes too long is aborted.
func (s *session) drain(m *message) error {
	if m.data == nil {
		return nil
	}
	late := time.AfterFunc(s.server.config.Limits.Drain, s.assoc.Abort)
	defer late.Stop()
	_, err := io.Copy(io.Discard, m.data)
	return err
}
