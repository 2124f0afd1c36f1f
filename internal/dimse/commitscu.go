package dimse

import (
	"context"
	"fmt"

	"pharos/internal/dicom"
	"pharos/internal/dicom/dict"
	"pharos/internal/ul"
)

// RequestCommitment asks the peer to take responsibility for instances (PS3.4 §J.3.2).
// The outcome comes later: on this association to AwaitCommitment, or on one that the
// peer requests to ServerConfig.Committed.
func (c *Client) RequestCommitment(ctx context.Context, transaction dicom.UID, refs []Reference) error {
	id, err := c.contextFor(dict.StorageCommitmentPushModel)
	if err != nil {
		return err
	}
	defer c.watch(ctx)()
	rq := Command{
		Field: NActionRQ, MessageID: c.messageID(), ActionType: requestCommitment,
		SOPClass: dict.StorageCommitmentPushModel, SOPInstance: dict.StorageCommitmentPushModelInstance,
	}
	if err := c.sendDataset(id, &rq, requestData(transaction, refs)); err != nil {
		return c.broken(ctx, "N-ACTION", err)
	}
	rsp, err := c.await(NActionRSP, rq.MessageID)
	if err != nil {
		return c.broken(ctx, "N-ACTION", err)
	}
	return failed(&rsp.Command)
}

// AwaitCommitment waits for a report on this association until ctx is done, which
// aborts the association; the peer will then report on one of its own.
func (c *Client) AwaitCommitment(ctx context.Context) (Commitment, error) {
	defer c.watch(ctx)()
	m, err := c.receive()
	if err != nil {
		return Commitment{}, c.broken(ctx, "N-EVENT-REPORT", err)
	}
	if m.Field != NEventReportRQ {
		c.assoc.Abort()
		return Commitment{}, fmt.Errorf("dimse: %w: %v instead of a report", ErrMessage, m.Field)
	}
	report, err := c.readReport(&m, c.assoc.CalledAET())
	rsp := Command{
		Field: NEventReportRP, MessageID: m.MessageID, EventType: m.EventType,
		SOPClass: m.SOPClass, SOPInstance: m.SOPInstance,
	}
	if err != nil {
		f, _ := refusalOf(NEventReportRQ, err)
		rsp.Status, rsp.ErrorComment = f.status, f.comment
	}
	if sent := c.send(m.contextID, &rsp); sent != nil && err == nil {
		err = c.broken(ctx, "N-EVENT-REPORT", sent)
	}
	return report, err
}

// reportCommitment sends a report, this side being the provider.
func (c *Client) reportCommitment(ctx context.Context, report *Commitment) error {
	var id byte
	for _, x := range c.assoc.ContextsFor(dict.StorageCommitmentPushModel) {
		if x.Result == ul.Acceptance && x.SCP {
			id = x.ID
		}
	}
	if id == 0 {
		return notOffered(dict.StorageCommitmentPushModel)
	}
	defer c.watch(ctx)()
	rq := eventReportCommand(c.messageID(), report)
	if err := c.sendDataset(id, rq, report.data()); err != nil {
		return c.broken(ctx, "N-EVENT-REPORT", err)
	}
	rsp, err := c.await(NEventReportRP, rq.MessageID)
	if err != nil {
		return c.broken(ctx, "N-EVENT-REPORT", err)
	}
	return failed(&rsp.Command)
}
