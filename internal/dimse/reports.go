package dimse

import (
	"context"
	"fmt"

	"pharos/internal/dicom"
	"pharos/internal/dicom/dict"
)

// reports hands the outcomes of storage commitment from their goroutines to the one of
// the association on which they were requested.
type reports struct {
	ready chan *outcome // made by the first expect
	left  chan struct{} // closed when the association is over

	// What follows belongs to the association's goroutine.
	due     int      // reports that are expected and not yet answered
	current *outcome // sent, not yet answered
	sentID  uint16
}

// outcome is a report on its way through an association.
type outcome struct {
	*commitRequest
	done chan bool // gets whether the peer has acknowledged it
}

// expect announces a report that will be due.
func (r *reports) expect() {
	if r.ready == nil {
		r.ready = make(chan *outcome)
		r.left = make(chan struct{})
	}
	r.due++
}

// deliver hands over a report and waits until the peer has acknowledged it: false when
// the association ended before that.
func (r *reports) deliver(ctx context.Context, rq *commitRequest) bool {
	o := &outcome{commitRequest: rq, done: make(chan bool, 1)}
	select {
	case r.ready <- o:
	case <-r.left:
		return false
	case <-ctx.Done():
		return false
	}
	return <-o.done // answered by reported or leaveReports, one of which will run
}

// reportsDue sends a report that is ready. While one is due and none can be sent yet,
// it waits for that or for the next message of the peer, whichever comes first.
func (s *session) reportsDue(ctx context.Context) error {
	if s.reports.due == 0 || s.reports.current != nil {
		return nil
	}
	select {
	case o := <-s.reports.ready:
		return s.sendReport(o)
	default:
	}
	select {
	case o := <-s.reports.ready:
		return s.sendReport(o)
	case <-s.assoc.Arrived():
	case <-ctx.Done():
	}
	return nil
}

// sendReport sends an N-EVENT-REPORT on the association of its request.
func (s *session) sendReport(o *outcome) error {
	s.reports.current = o
	s.reports.sentID = s.messageID()
	rq := eventReportCommand(s.reports.sentID, &o.Commitment)
	return s.sendDataset(o.contextID, rq, o.data())
}

// reported takes the answer to a report.
func (s *session) reported(m *message) error {
	o := s.reports.current
	if o == nil || m.MessageID != s.reports.sentID {
		return nil // nobody waits for it
	}
	s.reports.current = nil
	s.reports.due--
	if m.Status.Failure() {
		s.log.Warn("storage commitment report refused", "transaction", o.Transaction, "status", m.Status.String())
	}
	o.done <- true // a refusal is an answer: another association would not change it
	return nil
}

// leaveReports hands back what was not reported before the association ended.
func (s *session) leaveReports() {
	if s.reports.left != nil {
		close(s.reports.left)
	}
	if s.reports.current != nil {
		s.reports.current.done <- false
	}
}

func eventReportCommand(id uint16, c *Commitment) *Command {
	return &Command{
		Field: NEventReportRQ, MessageID: id, EventType: c.eventType(),
		SOPClass: dict.StorageCommitmentPushModel, SOPInstance: dict.StorageCommitmentPushModelInstance,
	}
}

// eventReport answers a report on a commitment that this side asked for (PS3.4 §J.3.3).
func (s *session) eventReport(ctx context.Context, m *message) error {
	if s.server.config.Committed == nil {
		return s.refuse(m, &failure{status: NotSupported, comment: "no commitment was requested"})
	}
	c, err := s.readReport(m, s.assoc.CallingAET())
	if err != nil {
		return s.refuse(m, err)
	}
	s.server.config.Committed(ctx, c)
	return s.respond(m, Success, "")
}

// readReport reads the report in an N-EVENT-REPORT. Its errors carry a status.
func (l *link) readReport(m *message, from string) (Commitment, error) {
	switch {
	case m.EventType != commitmentComplete && m.EventType != commitmentFailures:
		return Commitment{}, &failure{status: NoSuchEventType, comment: "no such event"}
	case !m.DataSet:
		return Commitment{}, &failure{status: InvalidArgument, comment: "no event information"}
	}
	c, _ := l.assoc.Context(m.contextID)
	d, err := readCommitmentData(m.data, dicom.UID(c.TransferSyntax), CommitmentLimits{}.withDefaults().MaxRequest)
	if err == nil {
		var report Commitment
		if report, err = parseReport(d, from); err == nil {
			return report, nil
		}
	}
	return Commitment{}, fmt.Errorf("%w: %w", &failure{status: InvalidArgument, comment: "event information can't be understood"}, err)
}
