package dimse

import (
	"context"
	"fmt"
	"iter"

	"pharos/internal/dicom"
	"pharos/internal/dicom/dict"
)

// maxAnswer bounds one identifier of a response, in bytes.
const maxAnswer = 8 << 20

// Find queries (PS3.4 §C.4.1) and yields the matches as they come. The identifier has
// the keys and Query/Retrieve Level (0008,0052). Whoever stops before the end cancels
// the query. A *StatusError says that the peer refused or gave up.
func (c *Client) Find(ctx context.Context, root Root, identifier *dicom.Dataset) iter.Seq2[*dicom.Dataset, error] {
	return func(yield func(*dicom.Dataset, error) bool) {
		defer c.watch(ctx)()
		id, rq, err := c.ask(CFindRQ, root.findClass(), identifier)
		if err != nil {
			yield(nil, c.broken(ctx, "C-FIND", err))
			return
		}
		for {
			match, err := c.nextMatch(rq.MessageID)
			if err != nil {
				yield(nil, c.broken(ctx, "C-FIND", err))
				return
			}
			if match == nil {
				return
			}
			if !yield(match, nil) {
				_ = c.abandon(id, rq.MessageID) // the association tells of it at its next use
				return
			}
		}
	}
}

// ask sends the request of a query or retrieval and returns its presentation context.
func (c *Client) ask(f Field, class dicom.UID, identifier *dicom.Dataset) (byte, *Command, error) {
	return c.askTo(f, class, "", identifier)
}

// askTo is ask with the destination of a C-MOVE.
func (c *Client) askTo(f Field, class dicom.UID, destination string, identifier *dicom.Dataset) (byte, *Command, error) {
	id, err := c.contextFor(class)
	if err != nil {
		return 0, nil, err
	}
	rq := &Command{Field: f, MessageID: c.messageID(), SOPClass: class, MoveDestination: destination}
	return id, rq, c.sendDataset(id, rq, identifier)
}

// nextMatch receives one response; nil when it was the final one.
func (c *Client) nextMatch(id uint16) (*dicom.Dataset, error) {
	m, err := c.await(CFindRSP, id)
	if err != nil {
		return nil, err
	}
	if !m.Status.Pending() {
		return nil, failed(&m.Command)
	}
	if !m.DataSet {
		c.assoc.Abort()
		return nil, fmt.Errorf("%w: pending response without identifier", ErrMessage)
	}
	return c.readAnswer(&m)
}

// readAnswer reads the identifier of a response.
func (c *Client) readAnswer(m *message) (*dicom.Dataset, error) {
	x, _ := c.assoc.Context(m.contextID)
	return readIdentifier(m.data, dicom.UID(x.TransferSyntax), maxAnswer)
}

// abandon cancels a query and receives what is still under way.
func (c *Client) abandon(contextID byte, id uint16) error {
	if err := c.cancel(contextID, id); err != nil {
		return err
	}
	for {
		m, err := c.await(CFindRSP, id)
		if err != nil || !m.Status.Pending() {
			return err
		}
	}
}

// cancel asks the peer to end an operation (PS3.7 §9.3.2.3).
func (c *Client) cancel(contextID byte, id uint16) error {
	return c.send(contextID, &Command{Field: CCancelRQ, MessageID: id})
}

// uidsOf are the values of a list of UIDs.
func uidsOf(d *dicom.Dataset) []dicom.UID {
	var uids []dicom.UID
	for _, v := range d.Texts(dict.FailedSOPInstanceUIDList) {
		if v != "" {
			uids = append(uids, dicom.UID(v))
		}
	}
	return uids
}
