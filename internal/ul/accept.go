package ul

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// AcceptorConfig says how associations are accepted.
type AcceptorConfig struct {
	Limits         Limits
	Implementation Implementation // DefaultImplementation if zero
	Negotiate      Negotiate
}

// Accept carries out the establishment of an association on a connection that
// a peer opened; a *tls.Conn completes its handshake first. Whatever happens,
// the connection belongs to Accept; it is closed when an error is returned. When
// this side rejected the association the error is a *Reject, when the peer sent
// what is no A-ASSOCIATE-RQ it is an *Abort.
//
// ctx bounds the establishment only.
func Accept(ctx context.Context, conn net.Conn, config *AcceptorConfig) (*Association, error) {
	a := newAssociation(conn, config.Limits.withDefaults(), false)
	stop := context.AfterFunc(ctx, a.tearDown)
	defer stop()
	if err := a.accept(ctx, config); err != nil {
		a.tearDown()
		return nil, fmt.Errorf("ul: accept %v: %w", conn.RemoteAddr(), err)
	}
	return a, nil
}

func (a *Association) accept(ctx context.Context, config *AcceptorConfig) error {
	a.rmu.Lock()
	defer a.rmu.Unlock()
	if _, err := a.fire(evt5, input{}); err != nil {
		return err
	}
	if err := a.handshake(ctx); err != nil {
		return err
	}
	_, expires := a.current()
	a.t.budget = max(0, time.Until(expires))
	rq, err := a.awaitRequest()
	if err != nil {
		return err
	}
	proposed := *rq
	proposed.Contexts = presentable(rq.Contexts)
	acc, err := config.Negotiate(ctx, &Proposal{AssociateRQ: &proposed, RemoteAddr: a.RemoteAddr(), TLS: a.TLS()})
	if err != nil {
		return a.refuse(evt8, rejectionOf(err), err)
	}
	ac := answer(rq, acc, &a.limits, config.Implementation.orDefault())
	a.session = acc.Session
	a.established(rq, ac)
	pdu, err := ac.append(nil)
	if err != nil {
		return a.refuse(evt8, rejectionOf(err), err)
	}
	_, err = a.fire(evt7, input{pdu: pdu})
	return err
}

func (i Implementation) orDefault() Implementation {
	if i == (Implementation{}) {
		return DefaultImplementation
	}
	return i
}

// handshake completes TLS within the time of ARTIM.
func (a *Association) handshake(ctx context.Context) error {
	conn, ok := a.t.conn.(*tls.Conn)
	if !ok {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, a.limits.ARTIM)
	defer cancel()
	if err := conn.HandshakeContext(ctx); err != nil {
		return fmt.Errorf("TLS handshake: %w", err)
	}
	return nil
}

// awaitRequest waits in Sta2 for an A-ASSOCIATE-RQ that can be put to the user.
func (a *Association) awaitRequest() (*AssociateRQ, error) {
	ev, in := a.next()
	if ev != evt6 {
		return nil, a.end(ev, in)
	}
	body, err := a.readBody()
	if err != nil {
		return nil, a.readEnded(err)
	}
	rq, err := decodeRQ(body)
	if err != nil {
		return nil, a.end(evt19, input{reason: AbortInvalidParameter, cause: err})
	}
	if reject := a.limits.examine(rq); reject != nil {
		return nil, a.refuse(evt6, reject, reject)
	}
	_, err = a.fire(evt6, input{})
	return rq, err
}

// refuse sends an A-ASSOCIATE-RJ, as the provider (evt6) or for the user (evt8),
// and waits for the peer to close the connection.
func (a *Association) refuse(ev event, r *Reject, cause error) error {
	pdu := appendControl(nil, pduAssociateRJ, [3]byte{byte(r.Result), byte(r.Source), byte(r.Reason)})
	_, err := a.fire(ev, input{pdu: pdu, refused: true, cause: cause})
	a.linger()
	if err != nil {
		return err
	}
	if !errors.As(cause, new(*Reject)) {
		return fmt.Errorf("%w: %w", r, cause)
	}
	return cause
}

// readBody reads the rest of the current PDU. The buffer grows with what
// arrives, not with what the header promises.
func (a *Association) readBody() ([]byte, error) {
	var body bytes.Buffer
	n, err := io.CopyN(&body, a.br, a.pduLeft)
	a.pduLeft -= n
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return body.Bytes(), err
}
