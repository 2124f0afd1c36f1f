package dimse

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"pharos/internal/dicom"
	"pharos/internal/dicom/dict"
	"pharos/internal/ul"
)

// ErrNotOffered says that the peer did not accept a presentation context for what is
// to be done, or that none was proposed.
var ErrNotOffered = errors.New("no presentation context accepted")

// Node is a DICOM application entity on the network.
type Node struct {
	AETitle string
	Host    string
	Port    int
	TLS     *tls.Config // nil for plain TCP; see ul.ClientTLS
}

// Address is host and port as net.Dial wants them.
func (n Node) Address() string { return net.JoinHostPort(n.Host, strconv.Itoa(n.Port)) }

// DefaultPatience is how long a client waits for the next message, in place of
// ul.DefaultIdle: an archive may take its time over a large C-MOVE.
const DefaultPatience = 10 * time.Minute

// ClientConfig says how this side presents itself.
type ClientConfig struct {
	AETitle  string           // the calling AE title
	Identity *ul.UserIdentity // nil sends none
	Limits   ul.Limits        // Idle defaults to DefaultPatience
}

// Client is an association with a node, used by one goroutine at a time. An operation
// whose context ends before it does aborts the association.
type Client struct {
	link
}

// Dial requests an association for the offers, at most 128 of them. ctx bounds the
// establishment only. A rejection is a *ul.Reject. It succeeds also when no offer was
// accepted; then each operation returns ErrNotOffered.
func Dial(ctx context.Context, node Node, config ClientConfig, offers ...Offer) (*Client, error) {
	if len(offers) > maxContexts {
		return nil, fmt.Errorf("dimse: %d presentation contexts, at most %d are possible", len(offers), maxContexts)
	}
	config.Limits.Idle = cmp.Or(config.Limits.Idle, DefaultPatience)
	contexts, roles, extended := proposal(offers)
	a, err := ul.Dial(ctx, "tcp", node.Address(), &ul.RequestorConfig{
		CallingAET: config.AETitle, CalledAET: node.AETitle,
		Contexts: contexts, Roles: roles, Extended: extended,
		Identity: config.Identity, TLS: node.TLS, Limits: config.Limits,
	})
	if err != nil {
		return nil, fmt.Errorf("dimse: %w", err)
	}
	return &Client{link: link{assoc: a}}, nil
}

// Release ends the association in an orderly way.
func (c *Client) Release(ctx context.Context) error { return c.assoc.Release(ctx) }

// Close frees the connection; an association that was not released is aborted.
func (c *Client) Close() error { return c.assoc.Close() }

// Echo asks whether the peer is there (PS3.4 §A).
func (c *Client) Echo(ctx context.Context) error {
	id, err := c.contextFor(dict.Verification)
	if err != nil {
		return err
	}
	defer c.watch(ctx)()
	rq := Command{Field: CEchoRQ, MessageID: c.messageID(), SOPClass: dict.Verification}
	if err := c.send(id, &rq); err != nil {
		return c.broken(ctx, "C-ECHO", err)
	}
	rsp, err := c.await(CEchoRSP, rq.MessageID)
	if err != nil {
		return c.broken(ctx, "C-ECHO", err)
	}
	return failed(&rsp.Command)
}

// contextFor returns the first presentation context accepted for a class of which this
// side is the user. ErrNotOffered.
func (c *Client) contextFor(class dicom.UID) (byte, error) {
	for _, x := range c.assoc.Contexts() {
		if x.Result == ul.Acceptance && x.SCU && x.AbstractSyntax == string(class) {
			return x.ID, nil
		}
	}
	return 0, notOffered(class)
}

func notOffered(class dicom.UID) error {
	name := string(class)
	if u, ok := dict.UIDByValue(name); ok {
		name = u.Name
	}
	return fmt.Errorf("dimse: %w: %s", ErrNotOffered, name)
}

// broken explains why an operation ended with its association: that its context did,
// if so. What did not end the association is left as it is.
func (c *Client) broken(ctx context.Context, operation string, err error) error {
	if errors.As(err, new(*StatusError)) || errors.Is(err, ErrNotOffered) || errors.Is(err, ErrTranscode) {
		return err
	}
	if ctx.Err() != nil {
		err = fmt.Errorf("%w (%w)", context.Cause(ctx), err)
	}
	return fmt.Errorf("dimse: %s: %w", operation, err)
}

// failed returns a *StatusError for a response that tells of a failure.
func failed(c *Command) error {
	if c.Status.Failure() || c.Status == Cancelled {
		return &StatusError{Operation: c.Field, Status: c.Status, Comment: c.ErrorComment}
	}
	return nil
}
