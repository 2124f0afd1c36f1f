package ul

import (
	"cmp"
	"container/list"
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"
)

// Server accepts associations on listeners and keeps their number within
// limits. Its fields must not change once Serve is called.
type Server struct {
	Config AcceptorConfig

	// Handle serves one association, in a goroutine of its own. When it returns,
	// the association is closed; one that is still alive is aborted. Its context
	// is done when the association is to end at once.
	Handle func(context.Context, *Association)

	// TLS, if set, is spoken on every connection. See ServerTLS.
	TLS *tls.Config

	// MaxAssociations limits the associations in all. Default 200. One too many is
	// rejected as transient, local limit exceeded.
	MaxAssociations int

	// MaxPerPeer limits the associations of one remote IP address. Default 100.
	MaxPerPeer int

	// MaxHalfOpen limits the connections without an association: before its
	// establishment, and after a rejection while the peer has not closed. Default
	// 256. When there are more, the one that waits longest is closed, but not
	// before it had a quarter of a second: so connections which stay silent cannot
	// keep others out, and a burst of connections cannot throw others out.
	MaxHalfOpen int

	// Log gets one record for each connection that did not become an association.
	// Nil is none.
	Log *slog.Logger

	mu        sync.Mutex
	closing   bool
	listeners map[net.Listener]struct{}
	halfOpen  list.List     // of halfOpen, the longest waiting in front
	left      chan struct{} // gets a value when a connection is not half-open any more
	active    map[*Association]context.CancelFunc
	taken     int            // places of associations, also of those being established
	perPeer   map[string]int // the same for each remote address
	running   sync.WaitGroup // connections being served
}

// ErrServerClosed is what Serve returns after Shutdown.
var ErrServerClosed = errors.New("ul: server closed")

// Serve accepts connections until ctx is done or Shutdown is called. It closes
// the listener. When ctx is done all associations are aborted. Serve returns
// when the handlers of its associations have returned: nil if ctx is done,
// ErrServerClosed after Shutdown, else why the listener failed.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	if !s.open(ln) {
		return errors.Join(ErrServerClosed, ln.Close())
	}
	stop := context.AfterFunc(ctx, func() { _ = ln.Close() }) // makes Accept fail
	defer stop()
	var own sync.WaitGroup
	err := s.acceptAll(ctx, ln, &own)
	s.closeListener(ln)
	own.Wait()
	switch {
	case ctx.Err() != nil:
		return nil
	case s.isClosing():
		return ErrServerClosed
	}
	return err
}

// acceptAll accepts connections until the listener fails for good.
func (s *Server) acceptAll(ctx context.Context, ln net.Listener, own *sync.WaitGroup) error {
	var pause time.Duration
	for {
		conn, err := ln.Accept()
		if err == nil {
			pause = 0
			s.makeRoom(ctx)
			if !s.spawn(ctx, conn, own) {
				_ = conn.Close() // Shutdown came first
			}
			continue
		}
		if ctx.Err() != nil || s.isClosing() || errors.Is(err, net.ErrClosed) {
			return err
		}
		// Out of file descriptors, most likely: wait for some to be freed.
		pause = min(max(2*pause, 5*time.Millisecond), time.Second)
		s.log().Warn("accepting a DICOM connection failed", "error", err, "retry", pause)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
	}
}

// halfOpen is a connection without an association.
type halfOpen struct {
	conn  net.Conn
	since time.Time
}

// grace is the time that a half-open connection has at least.
const grace = 250 * time.Millisecond

// makeRoom returns when there is room for one more half-open connection.
func (s *Server) makeRoom(ctx context.Context) {
	for ctx.Err() == nil {
		wait := s.evict()
		if wait <= 0 {
			return
		}
		select {
		case <-s.left:
		case <-time.After(wait):
		case <-ctx.Done():
		}
	}
}

// evict closes the connection that is half-open for the longest time, if there
// are too many of them, or returns how long that must wait.
func (s *Server) evict() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.halfOpen.Len() < cmp.Or(s.MaxHalfOpen, DefaultMaxHalfOpen) {
		return 0
	}
	front := s.halfOpen.Front()
	oldest := front.Value.(halfOpen)
	if wait := grace - time.Since(oldest.since); wait > 0 {
		return wait
	}
	s.halfOpen.Remove(front)
	_ = oldest.conn.Close() // ends its Accept
	return 0
}

// spawn serves one connection in a goroutine of its own.
func (s *Server) spawn(ctx context.Context, conn net.Conn, own *sync.WaitGroup) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return false
	}
	e := s.halfOpen.PushBack(halfOpen{conn, time.Now()})
	s.running.Add(1)
	own.Go(func() {
		defer s.running.Done()
		s.serveConn(ctx, conn, e)
	})
	return true
}

// leaveHalfOpen ends the time in which a connection is half-open.
func (s *Server) leaveHalfOpen(e *list.Element) {
	s.mu.Lock()
	s.halfOpen.Remove(e) // does nothing if it was closed to make room
	s.mu.Unlock()
	select {
	case s.left <- struct{}{}:
	default: // one value is there already, and wakes whoever waits
	}
}

// serveConn takes one connection from its beginning to its end.
func (s *Server) serveConn(ctx context.Context, conn net.Conn, e *list.Element) {
	place := place{server: s, peer: peerKey(conn.RemoteAddr())}
	defer place.free()
	a, err := s.accept(ctx, conn, &place)
	s.leaveHalfOpen(e)
	if err != nil {
		s.log().Info("no DICOM association", "peer", conn.RemoteAddr().String(), "error", err)
		return
	}
	s.handle(ctx, a)
}

// accept establishes an association.
func (s *Server) accept(ctx context.Context, conn net.Conn, place *place) (*Association, error) {
	config := s.Config
	config.Negotiate = func(ctx context.Context, p *Proposal) (*Decision, error) {
		if err := place.take(); err != nil {
			return nil, err
		}
		return s.Config.Negotiate(ctx, p)
	}
	if s.TLS != nil {
		conn = tls.Server(conn, s.TLS)
	}
	return Accept(ctx, conn, &config)
}

// handle runs the handler of one association.
func (s *Server) handle(ctx context.Context, a *Association) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(ctx, a.Abort)
	defer stop()
	s.enter(a, cancel)
	defer s.exit(a)
	defer func() { _ = a.Close() }() // always nil
	s.Handle(ctx, a)
}

// Shutdown stops accepting, lets the operations under way end and releases
// each association when its handler next waits for a message. When ctx is done
// the rest is aborted. It returns when all handlers have returned: nil, or the
// error of ctx if some were aborted.
func (s *Server) Shutdown(ctx context.Context) error {
	s.beginShutdown()
	done := make(chan struct{})
	go func() {
		s.running.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
	}
	s.cancelActive()
	<-done
	return ctx.Err()
}

func (s *Server) beginShutdown() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closing = true
	for ln := range s.listeners {
		_ = ln.Close() // Serve reports what matters
	}
	for e := s.halfOpen.Front(); e != nil; e = e.Next() {
		_ = e.Value.(halfOpen).conn.Close()
	}
	for a := range s.active {
		a.Drain()
	}
}

func (s *Server) cancelActive() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, cancel := range s.active {
		cancel()
	}
}

// enter records an association until exit.
func (s *Server) enter(a *Association, cancel context.CancelFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.active == nil {
		s.active = make(map[*Association]context.CancelFunc)
	}
	s.active[a] = cancel
	if s.closing {
		a.Drain()
	}
}

func (s *Server) exit(a *Association) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.active, a)
}

func (s *Server) open(ln net.Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.listeners == nil {
		s.listeners = make(map[net.Listener]struct{})
		s.left = make(chan struct{}, 1)
	}
	s.listeners[ln] = struct{}{}
	return !s.closing
}

func (s *Server) closeListener(ln net.Listener) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.listeners, ln)
	_ = ln.Close() // perhaps for the second time
}

func (s *Server) isClosing() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closing
}

func (s *Server) log() *slog.Logger {
	if s.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return s.Log
}

// place is the place of one association within the limits of a server.
type place struct {
	server *Server
	peer   string
	held   bool
}

// take takes the place or returns the rejection of PS3.8 Table 9-21 for a limit.
func (p *place) take() error {
	s := p.server
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing ||
		s.taken >= cmp.Or(s.MaxAssociations, DefaultMaxAssociations) ||
		s.perPeer[p.peer] >= cmp.Or(s.MaxPerPeer, DefaultMaxPerPeer) {
		return &Reject{RejectedTransient, RejectedByPresentation, RejectLocalLimit}
	}
	if s.perPeer == nil {
		s.perPeer = make(map[string]int)
	}
	s.taken++
	s.perPeer[p.peer]++
	p.held = true
	return nil
}

func (p *place) free() {
	if !p.held {
		return
	}
	s := p.server
	s.mu.Lock()
	defer s.mu.Unlock()
	s.taken--
	if s.perPeer[p.peer]--; s.perPeer[p.peer] == 0 {
		delete(s.perPeer, p.peer)
	}
}

// peerKey is the remote IP address without the port.
func peerKey(addr net.Addr) string {
	ap, err := netip.ParseAddrPort(addr.String())
	if err != nil {
		return addr.String()
	}
	return ap.Addr().Unmap().String()
}
