package dimse

import (
	"context"
	"errors"
	"fmt"
	"io"

	"pharos/internal/dicom"
	"pharos/internal/ul"
)

// ErrMessage says that the peer sent a message that has no place here: a response
// nobody waits for, or one that contradicts its request.
var ErrMessage = errors.New("unexpected message")

// link sends and receives messages on an association, for either side. It belongs to
// the goroutine of the association.
type link struct {
	assoc   *ul.Association
	command []byte // reused by every message sent
	lastID  uint16
}

// message is a received message.
type message struct {
	Command
	contextID byte
	data      *ul.DataSetReader // to be read before the next message is received; nil without data set
}

// receive waits for the next message. Errors are those of ul.Association.Receive, or
// ErrCommand; both end the association.
func (l *link) receive() (message, error) {
	m, err := l.assoc.Receive()
	if err != nil {
		return message{}, err
	}
	c, err := decodeCommand(m.Command)
	if err != nil {
		l.assoc.Abort()
		return message{}, err
	}
	received := message{Command: c, contextID: m.ContextID}
	if c.DataSet {
		received.data = l.assoc.OpenDataSet(m.ContextID)
	}
	return received, nil
}

// send sends a message without data set.
func (l *link) send(contextID byte, c *Command) error {
	c.DataSet = false
	l.command = c.append(l.command[:0])
	return l.assoc.Send(contextID, l.command)
}

// sendWith sends a message whose data set is written by write. When write fails
// before anything has left, the association stays usable and the error is write's.
func (l *link) sendWith(contextID byte, c *Command, write func(w io.Writer) error) error {
	c.DataSet = true
	l.command = c.append(l.command[:0])
	w, err := l.assoc.SendWithDataSet(contextID, l.command)
	if err != nil {
		return err
	}
	defer w.Cancel()
	if err := write(w); err != nil {
		return err
	}
	return w.Close()
}

// sendDataset sends a message with a small data set that is in memory.
func (l *link) sendDataset(contextID byte, c *Command, d *dicom.Dataset) error {
	ctx, ok := l.assoc.Context(contextID)
	if !ok {
		return ul.ErrNotAccepted
	}
	return l.sendWith(contextID, c, func(w io.Writer) error {
		return dicom.WriteDataset(w, d, dicom.UID(ctx.TransferSyntax), nil)
	})
}

// messageID returns the ID of the next request of this side. Zero is avoided, since
// some peers take it for absent.
func (l *link) messageID() uint16 {
	l.lastID++
	if l.lastID == 0 {
		l.lastID = 1
	}
	return l.lastID
}

// await receives the response to a request of this side. Whatever else arrives is an
// error that ends the association.
func (l *link) await(want Field, id uint16) (message, error) {
	m, err := l.receive()
	if err != nil {
		return message{}, err
	}
	if m.Field != want || m.MessageID != id {
		l.assoc.Abort()
		return message{}, fmt.Errorf("dimse: %w: %v (%d) instead of the response %v (%d)", ErrMessage, m.Field, m.MessageID, want, id)
	}
	return m, nil
}

// watch makes an association end when the context does. The result undoes that.
func (l *link) watch(ctx context.Context) (stop func()) {
	if ctx.Done() == nil {
		return func() {}
	}
	undo := context.AfterFunc(ctx, l.assoc.Abort)
	return func() { undo() }
}

// bounded reads at most limit bytes and then fails, unlike io.LimitReader.
type bounded struct {
	r    io.Reader
	left int64
}

// Read implements io.Reader.
func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, fmt.Errorf("%w: identifier is too long", dicom.ErrTooLarge)
	}
	n, err := b.r.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}
