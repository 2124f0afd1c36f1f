package dimse

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"pharos/internal/access"
	"pharos/internal/archive"
	"pharos/internal/dicom"
	"pharos/internal/dicom/dict"
)

// commitments are the requests for storage commitment that are not yet reported. Each
// has a goroutine from its acceptance to its report; Limits.Commitment.Requests bounds
// their number. They do not survive the process: a peer that hears nothing asks again,
// as PS3.4 §J.3.2 has it.
type commitments struct {
	server *Server
	ctx    context.Context
	cancel context.CancelFunc
	hurry  chan struct{} // closed by shutdown: no more pauses

	running  sync.WaitGroup
	checking sync.Mutex // one at a time reads the archive

	mu      sync.Mutex
	closing bool
	open    map[dicom.UID]struct{} // by Transaction UID
}

func newCommitments(s *Server) *commitments {
	ctx, cancel := context.WithCancel(context.Background())
	return &commitments{
		server: s, ctx: ctx, cancel: cancel,
		hurry: make(chan struct{}), open: map[dicom.UID]struct{}{},
	}
}

// shutdown lets what is open be reported, once more each, until ctx is done.
func (c *commitments) shutdown(ctx context.Context) {
	c.mu.Lock()
	if !c.closing {
		c.closing = true
		close(c.hurry)
	}
	c.mu.Unlock()
	stop := context.AfterFunc(ctx, c.cancel)
	defer stop()
	c.running.Wait()
	c.cancel()
}

// enter takes a place for a transaction.
func (c *commitments) enter(transaction dicom.UID) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, taken := c.open[transaction]; taken {
		return &failure{status: DuplicateTransfer, comment: "Transaction UID is in use"}
	}
	if c.closing || len(c.open) >= c.server.config.Limits.Commitment.Requests {
		return &failure{status: ResourceLimit, comment: "too many requests, try again later"}
	}
	c.open[transaction] = struct{}{}
	c.running.Add(1)
	return nil
}

func (c *commitments) leave(transaction dicom.UID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.open, transaction)
	c.running.Done()
}

// commitRequest is one request for storage commitment.
type commitRequest struct {
	Commitment // Transaction, and in the end the outcome
	refs       []Reference
	session    *session
	peer       string // AE title of who asked
	contextID  byte
	principal  access.Principal
	log        *slog.Logger
}

// commit answers N-ACTION of the Storage Commitment Push Model (PS3.4 §J.3.2): it takes
// the request on and reports later.
func (s *session) commit(_ context.Context, m *message) error {
	rq, err := s.commitRequest(m)
	if err != nil {
		return s.refuse(m, err)
	}
	all := s.server.commits
	if err := all.enter(rq.Transaction); err != nil {
		return s.refuse(m, err)
	}
	// The report may not overtake the response, hence the order.
	s.reports.expect()
	err = s.respond(m, Success, "")
	go func() {
		defer all.leave(rq.Transaction)
		all.check(rq)
		all.report(rq)
	}()
	return err
}

// commitRequest reads and checks a request.
func (s *session) commitRequest(m *message) (*commitRequest, error) {
	switch {
	case m.SOPClass != dict.StorageCommitmentPushModel:
		return nil, &failure{status: NoSuchSOPClass, comment: "not the storage commitment class"}
	case m.SOPInstance != dict.StorageCommitmentPushModelInstance:
		return nil, &failure{status: NoSuchInstance, comment: "not the storage commitment instance"}
	case m.ActionType != requestCommitment:
		return nil, &failure{status: NoSuchActionType, comment: "no such action"}
	case !m.DataSet:
		return nil, &failure{status: InvalidArgument, comment: "no action information"}
	case s.principal.May&(access.Store|access.Retrieve) == 0:
		return nil, access.ErrDenied
	}
	c, _ := s.assoc.Context(m.contextID)
	d, err := readCommitmentData(m.data, dicom.UID(c.TransferSyntax), s.server.config.Limits.Commitment.MaxRequest)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", &failure{status: InvalidArgument, comment: "action information can't be read"}, err)
	}
	rq := &commitRequest{session: s, peer: s.assoc.CallingAET(), contextID: m.contextID, principal: s.principal, log: s.log}
	rq.From = s.server.config.AETitle
	// Who may store may also ask whether it is kept: a modality has to, before it
	// deletes. Scopes apply as to any retrieval.
	rq.principal.May |= access.Retrieve
	if rq.Transaction, rq.refs, err = parseRequest(d); err != nil {
		return nil, fmt.Errorf("%w: %w", &failure{status: InvalidArgument, comment: "action information lacks a UID"}, err)
	}
	return rq, nil
}

// check verifies every instance of a request by reading it.
func (c *commitments) check(rq *commitRequest) {
	c.checking.Lock()
	defer c.checking.Unlock()
	ctx := access.WithPrincipal(c.ctx, rq.principal)
	for _, ref := range rq.refs {
		err := c.verify(ctx, ref)
		if err == nil {
			rq.Committed = append(rq.Committed, ref)
			continue
		}
		f, known := refusalOf(NActionRQ, err)
		if !known {
			rq.log.Error("commitment check failed", "instance", ref.Instance, "error", err)
		}
		rq.Failed = append(rq.Failed, FailedReference{Reference: ref, Reason: f.status})
	}
	rq.log.Info("storage commitment checked", "transaction", rq.Transaction, "committed", len(rq.Committed), "failed", len(rq.Failed))
}

// verify reports by nil that an instance is kept whole. All of several instances that
// share the UID must be.
func (c *commitments) verify(ctx context.Context, ref Reference) error {
	found := false
	for i, err := range c.server.config.Archive.Retrieve(ctx, dicom.Ref{Instance: ref.Instance}, access.All()) {
		if err != nil {
			return err
		}
		if i.SOPClass() != ref.Class {
			return &failure{status: ClassConflict, comment: "instance is of another class"}
		}
		if err := i.Verify(ctx); err != nil {
			return err
		}
		found = true
	}
	if !found {
		return archive.ErrNotFound
	}
	return nil
}

// report tells the outcome: on the association of the request while that is open, else
// on a new one.
func (c *commitments) report(rq *commitRequest) {
	if rq.session.reports.deliver(c.ctx, rq) {
		return
	}
	limits := c.server.config.Limits.Commitment
	for attempt := 1; ; attempt++ {
		err := c.reportAnew(rq)
		if err == nil {
			return
		}
		rq.log.Warn("storage commitment report failed", "transaction", rq.Transaction, "attempt", attempt, "error", err)
		if attempt >= limits.Attempts || errors.Is(err, errNoNode) || c.hurried() {
			return
		}
		select {
		case <-time.After(limits.Pause):
		case <-c.hurry:
		}
	}
}

func (c *commitments) hurried() bool {
	select {
	case <-c.hurry:
		return true
	default:
		return false
	}
}

var errNoNode = errors.New("no node is configured for the AE title")

// reportAnew reports on a new association, in the role of provider (PS3.4 §J.3.3).
func (c *commitments) reportAnew(rq *commitRequest) error {
	node, ok := c.server.config.Destination(rq.peer)
	if !ok {
		return errNoNode
	}
	offer := OfferCommitment()
	offer.Provider = true
	config := ClientConfig{AETitle: c.server.config.AETitle, Limits: c.server.config.Limits.Association}
	client, err := Dial(c.ctx, node, config, offer)
	if err != nil {
		return err
	}
	defer func() { _ = client.Close() }() // released, or of no use
	if err := client.reportCommitment(c.ctx, &rq.Commitment); err != nil {
		return err
	}
	_ = client.Release(c.ctx) // it is acknowledged, however the association ends
	return nil
}
