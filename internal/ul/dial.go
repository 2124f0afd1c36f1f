package ul

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
)

// RequestorConfig says which association is requested.
type RequestorConfig struct {
	CallingAET, CalledAET string
	Contexts              []PresentationContext
	Roles                 []RoleSelection
	Extended              []ExtendedNegotiation
	CommonExtended        []CommonExtendedNegotiation
	AsyncWindow           *AsyncWindow  // nil proposes none, which means 1 and 1
	Identity              *UserIdentity // nil sends none
	TLS                   *tls.Config   // nil for plain TCP; see ClientTLS
	Limits                Limits
	Implementation        Implementation // DefaultImplementation if zero
	Dialer                net.Dialer     // for the transport connection
}

// Dial opens a connection to an acceptor and requests an association. The error
// is a *Reject when the peer rejected it and an *Abort when the peer aborted.
// ctx bounds the establishment only.
func Dial(ctx context.Context, network, address string, config *RequestorConfig) (*Association, error) {
	limits := config.Limits.withDefaults()
	conn, err := dialTransport(ctx, network, address, config, &limits)
	if err != nil {
		return nil, fmt.Errorf("ul: dial: %w", err)
	}
	a := newAssociation(conn, limits, true)
	stop := context.AfterFunc(ctx, a.Abort)
	err = a.associate(config.propose(&limits))
	if err == nil && !stop() {
		err = ctx.Err()
	}
	if err != nil {
		stop()
		_ = a.Close() // the error at hand says more
		return nil, fmt.Errorf("ul: association with %s at %s: %w", config.CalledAET, address, err)
	}
	return a, nil
}

// dialTransport opens the TCP connection and completes the TLS handshake.
func dialTransport(ctx context.Context, network, address string, config *RequestorConfig, limits *Limits) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, limits.ARTIM)
	defer cancel()
	if config.TLS == nil {
		return config.Dialer.DialContext(ctx, network, address)
	}
	d := tls.Dialer{NetDialer: &config.Dialer, Config: config.TLS}
	return d.DialContext(ctx, network, address)
}

// propose returns the A-ASSOCIATE-RQ.
func (c *RequestorConfig) propose(limits *Limits) *AssociateRQ {
	impl := c.Implementation.orDefault()
	return &AssociateRQ{
		ProtocolVersion:    protocolVersion,
		CalledAET:          c.CalledAET,
		CallingAET:         c.CallingAET,
		ApplicationContext: ApplicationContext,
		Contexts:           c.Contexts,
		User: UserInformation{
			MaxLength:                 limits.MaxPDU,
			ImplementationClassUID:    impl.ClassUID,
			ImplementationVersionName: impl.VersionName,
			AsyncWindow:               c.AsyncWindow,
			Roles:                     c.Roles,
			Extended:                  c.Extended,
			CommonExtended:            c.CommonExtended,
			Identity:                  c.Identity,
		},
	}
}

// associate carries out the establishment on an open connection.
func (a *Association) associate(rq *AssociateRQ) error {
	a.rmu.Lock()
	defer a.rmu.Unlock()
	if reject := a.limits.examine(rq); reject != nil {
		return fmt.Errorf("invalid request: %w", reject)
	}
	pdu, err := rq.append(nil)
	if err != nil {
		return err
	}
	if _, err := a.fire(evt1, input{}); err != nil {
		return err
	}
	if _, err := a.fire(evt2, input{pdu: pdu}); err != nil {
		return a.sendFailed(err)
	}
	a.t.budget = a.limits.ARTIM
	ev, in := a.next()
	if ev != evt3 {
		return a.end(ev, in)
	}
	body, err := a.readBody()
	if err != nil {
		return a.readEnded(err)
	}
	ac, err := decodeAC(body)
	if err == nil {
		err = checkAnswer(ac)
	}
	if err != nil {
		return a.end(evt19, input{reason: AbortInvalidParameter, cause: err})
	}
	a.established(rq, ac)
	_, err = a.fire(evt3, input{})
	return err
}

// checkAnswer rejects an answer that would make sending impossible.
func checkAnswer(ac *AssociateAC) error {
	if n := ac.User.MaxLength; n != 0 && n < smallestPDU {
		return fmt.Errorf("%w: maximum length %d", ErrMalformed, n)
	}
	return nil
}
