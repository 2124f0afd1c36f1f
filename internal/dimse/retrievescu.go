package dimse

import (
	"bytes"
	"context"
	"fmt"
	"io"

	"pharos/internal/dicom"
)

// Progress is told the counts of sub-operations as the peer reports them. When it
// returns false, the retrieval is cancelled. Nil is told nothing.
type Progress func(Counts) bool

// Retrieved is what became of a C-MOVE or C-GET.
type Retrieved struct {
	Counts
	Status Status      // Success or a warning
	Failed []dicom.UID // instances that were not sent, as far as the peer names them
}

// Move makes the peer send what the identifier names to a node that it knows by the AE
// title (PS3.4 §C.4.2). A *StatusError says that it refused, failed, or was cancelled;
// the counts hold then too, as far as they were told.
func (c *Client) Move(ctx context.Context, root Root, identifier *dicom.Dataset, destination string, progress Progress) (Retrieved, error) {
	defer c.watch(ctx)()
	id, rq, err := c.askTo(CMoveRQ, root.moveClass(), destination, identifier)
	if err != nil {
		return Retrieved{}, c.broken(ctx, "C-MOVE", err)
	}
	f := follower{client: c, request: rq, contextID: id, progress: progress}
	for {
		m, err := c.await(CMoveRSP, rq.MessageID)
		if err == nil {
			err = f.response(&m)
		}
		if err != nil {
			return f.result, c.broken(ctx, "C-MOVE", err)
		}
		if f.done {
			return f.result, nil
		}
	}
}

// Receive takes an instance that arrives as the PS3.10 file that r reads. Its error is
// told to the peer as the status of package archive's errors.
type Receive func(ctx context.Context, class, instance dicom.UID, r io.Reader) error

// Get makes the peer send what the identifier names on this association (PS3.4 §C.4.3),
// which must have been offered with OfferGet. Errors are as those of Move.
func (c *Client) Get(ctx context.Context, root Root, identifier *dicom.Dataset, receive Receive, progress Progress) (Retrieved, error) {
	defer c.watch(ctx)()
	id, rq, err := c.ask(CGetRQ, root.getClass(), identifier)
	if err != nil {
		return Retrieved{}, c.broken(ctx, "C-GET", err)
	}
	f := follower{client: c, request: rq, contextID: id, progress: progress}
	for !f.done && err == nil {
		var m message
		if m, err = c.receive(); err != nil {
			break
		}
		switch {
		case m.Field == CStoreRQ:
			err = c.take(ctx, &m, receive)
		case m.Field == CGetRSP && m.MessageID == rq.MessageID:
			err = f.response(&m)
		default:
			c.assoc.Abort()
			err = fmt.Errorf("%w: %v during C-GET", ErrMessage, m.Field)
		}
	}
	if err != nil {
		return f.result, c.broken(ctx, "C-GET", err)
	}
	return f.result, nil
}

// take receives one instance of a C-GET.
func (c *Client) take(ctx context.Context, m *message, receive Receive) error {
	x, _ := c.assoc.Context(m.contextID)
	rsp := Command{Field: CStoreRSP, MessageID: m.MessageID, SOPClass: m.SOPClass, SOPInstance: m.SOPInstance}
	err := checkStoreRequest(m, x.AbstractSyntax)
	if err == nil {
		meta := dicom.EncodeFileMeta(m.SOPClass, m.SOPInstance, dicom.UID(x.TransferSyntax), c.assoc.CalledAET())
		err = receive(ctx, m.SOPClass, m.SOPInstance, io.MultiReader(bytes.NewReader(meta), m.data))
	}
	if over := c.assoc.Err(); over != nil {
		return over
	}
	if err != nil {
		f, _ := refusalOf(CStoreRQ, err)
		rsp.Status, rsp.ErrorComment = f.status, f.comment
	}
	return c.send(m.contextID, &rsp)
}

// follower follows the responses of a retrieval to the final one.
type follower struct {
	client    *Client
	request   *Command
	contextID byte
	progress  Progress
	cancelled bool
	done      bool
	result    Retrieved
}

// response takes one response.
func (f *follower) response(m *message) error {
	if m.Counts != nil {
		f.result.Counts = *m.Counts
	}
	if m.Status.Pending() {
		if f.progress == nil || f.cancelled || f.progress(f.result.Counts) {
			return nil
		}
		f.cancelled = true
		return f.client.cancel(f.contextID, f.request.MessageID)
	}
	f.done = true
	f.result.Status = m.Status
	if m.DataSet {
		d, err := f.client.readAnswer(m)
		if err != nil {
			return err
		}
		f.result.Failed = uidsOf(d)
	}
	return failed(&m.Command)
}
