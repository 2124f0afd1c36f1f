package dimse

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"time"

	"pharos/internal/access"
	"pharos/internal/archive"
	"pharos/internal/dicom"
	"pharos/internal/dicom/dict"
	"pharos/internal/ul"
)

// Defaults of ServerConfig.
const (
	DefaultMaxIdentifier    = 2 << 20
	DefaultMaxSubOperations = 100_000
	DefaultDrain            = 2 * time.Minute
)

// ServerConfig says how a Server answers. Only AETitle, Archive and Authenticate are
// required.
type ServerConfig struct {
	AETitle  string   // our own, for what this side requests
	Accepted []string // called AE titles accepted beside it; "*" accepts any
	Archive  archive.Archive

	// Authenticate tells who calls. An error rejects the association: with "calling AE
	// title not recognized", unless it is a *ul.Reject.
	Authenticate func(context.Context, Caller) (access.Principal, error)

	// Keys are what the archive can be asked for; nil means archive.NewKeys().
	Keys *archive.Keys

	// PrivateClasses are stored beside those of PS3.4; AnyClass stores every SOP class
	// that the standard does not know.
	PrivateClasses []dicom.UID
	AnyClass       bool

	// AlwaysRelational answers queries and retrievals that leave out unique keys of
	// higher levels even where that was not negotiated (PS3.4 §C.4.1.3.2).
	AlwaysRelational bool

	// Destination finds the node of an AE title, for C-MOVE and for reports of storage
	// commitment. Nil knows none.
	Destination func(aet string) (Node, bool)

	// Committed is told what a peer reports on a storage commitment that was requested
	// by Client.RequestCommitment. Nil refuses such reports.
	Committed func(context.Context, Commitment)

	// Observe is told of each request that was answered: the final status, and the time
	// from its command set to that. It is called by many goroutines. Nil is told nothing.
	Observe func(operation Field, status Status, took time.Duration)

	Limits Limits
	Log    *slog.Logger // nil discards
}

// Limits bound what peers can cost. Zero fields take the defaults.
type Limits struct {
	Association     ul.Limits
	MaxAssociations int // ul.DefaultMaxAssociations
	MaxPerPeer      int // ul.DefaultMaxPerPeer
	MaxHalfOpen     int // ul.DefaultMaxHalfOpen

	MaxIdentifier    int64         // bytes of an identifier; default 2 MiB
	MaxSubOperations int           // instances that one C-MOVE or C-GET may concern; default 100,000
	Drain            time.Duration // to receive and throw away the rest of a refused data set; default 2 min
	Commitment       CommitmentLimits
}

func (l Limits) withDefaults() Limits {
	l.MaxIdentifier = cmp.Or(l.MaxIdentifier, DefaultMaxIdentifier)
	l.MaxSubOperations = cmp.Or(l.MaxSubOperations, DefaultMaxSubOperations)
	l.Drain = cmp.Or(l.Drain, DefaultDrain)
	l.Commitment = l.Commitment.withDefaults()
	return l
}

// Caller is what is known of a peer that requests an association.
type Caller struct {
	CallingAET, CalledAET string
	RemoteAddr            net.Addr
	TLS                   *tls.ConnectionState // nil without TLS
	Identity              *ul.UserIdentity     // nil when none was given
}

// Server is the provider of the service classes.
type Server struct {
	config  ServerConfig
	ul      ul.Server
	commits *commitments
}

// NewServer makes a server. It answers when Serve is called.
func NewServer(config ServerConfig) *Server {
	config.Limits = config.Limits.withDefaults()
	if config.Log == nil {
		config.Log = slog.New(slog.DiscardHandler)
	}
	if config.Keys == nil {
		config.Keys = archive.NewKeys()
	}
	if config.Observe == nil {
		config.Observe = func(Field, Status, time.Duration) {}
	}
	if config.Destination == nil {
		config.Destination = func(string) (Node, bool) { return Node{}, false }
	}
	s := &Server{config: config}
	s.ul = ul.Server{
		Config:          ul.AcceptorConfig{Limits: config.Limits.Association, Negotiate: s.negotiate},
		Handle:          s.handle,
		MaxAssociations: config.Limits.MaxAssociations,
		MaxPerPeer:      config.Limits.MaxPerPeer,
		MaxHalfOpen:     config.Limits.MaxHalfOpen,
		Log:             config.Log,
	}
	s.commits = newCommitments(s)
	return s
}

// Serve answers associations on a listener until ctx is done or Shutdown is called. For
// DICOM over TLS (PS3.15 §B) the listener is one of tls.NewListener. It may be called
// for several listeners at once, which share the limits. It returns as
// ul.Server.Serve does.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	return s.ul.Serve(ctx, ln)
}

// Shutdown stops accepting, lets operations under way end, and then delivers the
// reports of storage commitment that are due. When ctx is done, the rest is aborted.
func (s *Server) Shutdown(ctx context.Context) error {
	err := s.ul.Shutdown(ctx)
	s.commits.shutdown(ctx)
	return err
}

// negotiate decides on an association (PS3.8 §7.1.1).
func (s *Server) negotiate(ctx context.Context, p *ul.Proposal) (*ul.Decision, error) {
	if !s.answersTo(p.CalledAET) {
		s.config.Log.Warn("association rejected: it calls another AE title; to answer to it too, add it to called_aets",
			"called_aet", p.CalledAET, "calling_aet", p.CallingAET, "from", p.RemoteAddr)
		return nil, &ul.Reject{Result: ul.RejectedPermanent, Source: ul.RejectedByUser, Reason: ul.RejectCalledAET}
	}
	principal, err := s.config.Authenticate(ctx, Caller{
		CallingAET: p.CallingAET, CalledAET: p.CalledAET,
		RemoteAddr: p.RemoteAddr, TLS: p.TLS, Identity: p.User.Identity,
	})
	if err != nil {
		return nil, rejection(err)
	}
	own := &session{server: s, principal: principal, options: map[dicom.UID]options{}}
	d := &ul.Decision{Session: own}
	for _, c := range p.Contexts {
		d.Contexts = append(d.Contexts, s.decide(c))
	}
	for _, r := range p.User.Roles {
		d.Roles = append(d.Roles, s.roleOf(r))
	}
	for _, x := range p.User.Extended {
		if o, answer, ok := answerExtended(x); ok {
			own.options[dicom.UID(x.SOPClassUID)] = o
			d.Extended = append(d.Extended, answer)
		}
	}
	if p.User.Identity != nil && p.User.Identity.ResponseRequired {
		d.IdentityResponse = []byte{}
	}
	return d, nil
}

func (s *Server) answersTo(called string) bool {
	return called == s.config.AETitle || slices.Contains(s.config.Accepted, called) ||
		slices.Contains(s.config.Accepted, "*")
}

// stores reports whether instances of the class are kept.
func (s *Server) stores(class string) bool {
	if dict.IsStorageClass(class) || slices.Contains(s.config.PrivateClasses, dicom.UID(class)) {
		return true
	}
	_, standard := dict.UIDByValue(class)
	return s.config.AnyClass && !standard
}

// service tells what a SOP class is about.
func (s *Server) service(class string) (service, model) {
	kind, m := serviceOf(class)
	if kind == unsupported && s.stores(class) {
		kind = storage
	}
	return kind, m
}

// decide answers one presentation context (PS3.8 §9.3.3.2).
func (s *Server) decide(c ul.PresentationContext) ul.ContextResult {
	r := ul.ContextResult{ID: c.ID, Result: ul.AbstractSyntaxNotSupported}
	usable := func(ts string) bool { return native(dicom.UID(ts)) }
	switch kind, _ := s.service(c.AbstractSyntax); kind {
	case unsupported:
		return r
	case storage:
		usable = known
	}
	ts, ok := firstKnown(c.TransferSyntaxes, usable)
	if !ok {
		r.Result = ul.TransferSyntaxesNotSupported
		return r
	}
	r.Result, r.TransferSyntax = ul.Acceptance, ts
	return r
}

// roleOf answers role selection (PS3.7 §D.3.3.4): who requests a storage class may be
// its provider, for C-GET; who requests storage commitment may be its provider, to
// report on a commitment that this side asked for.
func (s *Server) roleOf(r ul.RoleSelection) ul.RoleSelection {
	kind, _ := s.service(r.SOPClassUID)
	r.SCP = r.SCP && (kind == storage || kind == commitment && s.config.Committed != nil)
	return r
}

// rejection is the A-ASSOCIATE-RJ for a caller who was not authenticated (PS3.8 Table
// 9-21).
func rejection(err error) error {
	var own *ul.Reject
	if errors.As(err, &own) {
		return err
	}
	reject := &ul.Reject{Result: ul.RejectedPermanent, Source: ul.RejectedByUser, Reason: ul.RejectCallingAET}
	return fmt.Errorf("%w: %w", reject, err)
}
