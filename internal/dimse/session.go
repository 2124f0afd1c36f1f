package dimse

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"pharos/internal/access"
	"pharos/internal/dicom"
	"pharos/internal/ul"
)

// session is one association that a peer requested. It belongs to one goroutine.
type session struct {
	link
	server    *Server
	principal access.Principal
	options   map[dicom.UID]options // by SOP class
	log       *slog.Logger
	answered  Status // of the latest response

	reports reports // of storage commitment, that may go out on this association
}

// handle serves an association to its end.
func (s *Server) handle(ctx context.Context, a *ul.Association) {
	own := a.Session().(*session)
	own.assoc = a
	own.log = s.config.Log.With("peer", a.CallingAET(), "address", a.RemoteAddr().String())
	own.log.Info("association opened", "called", a.CalledAET(), "principal", own.principal.Name)
	defer own.leaveReports()
	err := own.serve(access.WithPrincipal(ctx, own.principal))
	if errors.Is(err, ul.ErrReleased) {
		own.log.Info("association released")
		return
	}
	own.log.Warn("association ended", "error", err)
}

// errPanic says that a handler panicked: a fault of this program, which is to cost one
// association and not all of them.
var errPanic = errors.New("panic while answering")

// serve answers messages until the association ends and returns why it did.
func (s *session) serve(ctx context.Context) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v\n%s", errPanic, p, debug.Stack())
		}
	}()
	for {
		if err := s.reportsDue(ctx); err != nil {
			return err
		}
		m, err := s.receive()
		if err != nil {
			return err
		}
		if err := s.dispatch(ctx, &m); err != nil {
			return err
		}
	}
}

// dispatch hands a message to the handler of its service. An error ends the association.
func (s *session) dispatch(ctx context.Context, m *message) error {
	switch {
	case m.Field == NEventReportRP:
		return s.reported(m)
	case m.Field.Response() || m.Field == CCancelRQ:
		// Nobody waits for it: a cancellation that came too late, most likely
		// (PS3.7 §9.3.2.3).
		s.log.Debug("message ignored", "message", m.Field.String())
		return nil
	}
	context, _ := s.assoc.Context(m.contextID) // accepted, else the message would not have been received
	begun := time.Now()
	var err error
	if handle := s.handlerOf(m.Field, context); handle != nil {
		err = handle(ctx, m)
	} else {
		err = s.refuse(m, &failure{status: misfit(m.Field), comment: "not possible in this presentation context"})
	}
	if err == nil {
		s.server.config.Observe(m.Field, s.answered, time.Since(begun))
	}
	return err
}

// handlerOf returns what answers a request in a presentation context, or nil.
func (s *session) handlerOf(f Field, c ul.AcceptedContext) func(context.Context, *message) error {
	kind, _ := s.server.service(c.AbstractSyntax)
	switch {
	case f == NEventReportRQ && kind == commitment && c.SCU:
		return s.eventReport
	case !c.SCP:
		return nil
	case f == CEchoRQ && kind == verification:
		return s.echo
	case f == CStoreRQ && kind == storage:
		return s.store
	case f == CFindRQ && kind == find:
		return s.find
	case f == CMoveRQ && kind == move:
		return s.move
	case f == CGetRQ && kind == get:
		return s.get
	case f == NActionRQ && kind == commitment:
		return s.commit
	}
	return nil
}

// misfit is the status for a request without handler: one that is not known at all, or
// not for the SOP class.
func misfit(f Field) Status {
	switch f {
	case CEchoRQ, CStoreRQ, CFindRQ, CMoveRQ, CGetRQ, NActionRQ, NEventReportRQ:
		return NotSupported
	}
	return Unrecognized
}

// echo answers C-ECHO (PS3.7 §9.1.5).
func (s *session) echo(_ context.Context, m *message) error {
	return s.respond(m, Success, "")
}

// respond sends the final response of a message.
func (s *session) respond(m *message, status Status, comment string) error {
	return s.send(m.contextID, s.response(m, status, comment))
}

// response makes a response to a message.
func (s *session) response(m *message, status Status, comment string) *Command {
	s.answered = status
	c := &Command{
		Field: m.Field | responseBit, MessageID: m.MessageID, Status: status,
		SOPClass: m.SOPClass, ErrorComment: comment,
	}
	if m.Field == CStoreRQ || m.Field == NActionRQ || m.Field == NEventReportRQ {
		c.SOPInstance, c.EventType, c.ActionType = m.SOPInstance, m.EventType, m.ActionType
	}
	return c
}

// refuse answers a message with the status of an error, and logs it: what the tables
// do not know with its text, which never goes to the peer.
func (s *session) refuse(m *message, err error) error {
	if over := s.assoc.Err(); over != nil {
		return over
	}
	f, known := refusalOf(m.Field, err)
	level := slog.LevelWarn
	if !known {
		level = slog.LevelError
	}
	if f.status != Success {
		s.log.Log(context.Background(), level, "request refused", "message", m.Field.String(),
			"class", m.SOPClass, "instance", m.SOPInstance, "status", f.status.String(), "error", err)
	}
	c := s.response(m, f.status, f.comment)
	c.OffendingElements = f.tags
	return s.send(m.contextID, c)
}
