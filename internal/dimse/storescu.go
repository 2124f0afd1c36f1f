package dimse

import (
	"context"
	"errors"
	"fmt"
	"io"

	"pharos/internal/dicom"
	"pharos/internal/ul"
)

// ErrTranscode says that an instance can't be sent, since the peer takes none of the
// transfer syntaxes that it can be had in.
var ErrTranscode = errors.New("instance can't be had in a transfer syntax that the peer accepted")

// originator names the C-MOVE that a C-STORE is part of (PS3.7 §9.3.1.1).
type originator struct {
	aet       string
	messageID uint16
}

// Store sends one instance (PS3.4 §B.2) and waits until the peer has acknowledged it.
// The status is Success or a warning. A *StatusError says that the peer refused it;
// ErrNotOffered and ErrTranscode that it could not be sent. After these the
// association can be used on, unlike after any other error.
func (c *Client) Store(ctx context.Context, o Object) (Status, error) {
	return c.store(ctx, o, Medium, originator{})
}

func (c *Client) store(ctx context.Context, o Object, p Priority, from originator) (Status, error) {
	defer c.watch(ctx)()
	rq, err := c.sendInstance(ctx, o, p, from)
	if err != nil {
		return 0, c.broken(ctx, "C-STORE", err)
	}
	rsp, err := c.await(CStoreRSP, rq.MessageID)
	if err != nil {
		return 0, c.broken(ctx, "C-STORE", err)
	}
	return rsp.Status, failed(&rsp.Command)
}

// sendInstance sends the C-STORE request of one instance. When it fails and the
// association is still alive, nothing of the request has left.
func (l *link) sendInstance(ctx context.Context, o Object, p Priority, from originator) (*Command, error) {
	to, err := l.storageContext(o)
	if err != nil {
		return nil, err
	}
	rq := &Command{
		Field: CStoreRQ, MessageID: l.messageID(), Priority: p, SOPClass: o.Class, SOPInstance: o.Instance,
		MoveOriginator: from.aet, MoveOriginatorID: from.messageID,
	}
	return rq, l.sendWith(to.ID, rq, func(w io.Writer) error {
		if dicom.UID(to.TransferSyntax) != o.Syntax {
			return reencode(ctx, w, o, dicom.UID(to.TransferSyntax))
		}
		return copyDataset(ctx, w, o)
	})
}

// copyDataset sends the data set as it is stored.
func copyDataset(ctx context.Context, w io.Writer, o Object) error {
	r, err := o.Dataset(ctx)
	if err != nil {
		return fmt.Errorf("open data set: %w", err)
	}
	defer func() { _ = r.Close() }() // it was only read
	_, err = io.Copy(w, r)
	return err
}

// storageContext chooses the presentation context for an instance: one of its own
// transfer syntax, else one that it can be re-encoded to. ErrNotOffered, ErrTranscode.
func (l *link) storageContext(o Object) (ul.AcceptedContext, error) {
	var other *ul.AcceptedContext
	offered := false
	contexts := l.assoc.Contexts()
	for i := range contexts {
		x := &contexts[i]
		if x.Result != ul.Acceptance || !x.SCU || x.AbstractSyntax != string(o.Class) {
			continue
		}
		if x.TransferSyntax == string(o.Syntax) {
			return *x, nil
		}
		offered = true
		if other == nil && o.Parts != nil && native(o.Syntax) && native(dicom.UID(x.TransferSyntax)) {
			other = x
		}
	}
	switch {
	case other != nil:
		return *other, nil
	case offered:
		return ul.AcceptedContext{}, fmt.Errorf("dimse: %w", ErrTranscode)
	}
	return ul.AcceptedContext{}, notOffered(o.Class)
}
