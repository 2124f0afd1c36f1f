package ul

import (
	"context"
	"errors"
	"io"
	"net"
	"reflect"
	"testing"
	"time"
)

// requested runs Dial against a scripted acceptor.
func requested(t *testing.T, config *RequestorConfig) (*peer, <-chan result) {
	t.Helper()
	ln := listen(t)
	done := make(chan result, 1)
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	go func() {
		a, err := Dial(ctx, "tcp", ln.Addr().String(), config)
		done <- result{a, err}
	}()
	conn, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return &peer{t, conn}, done
}

// accept reads the request and accepts both contexts of verification.
func (p *peer) accept(change func(*AssociateAC)) *AssociateRQ {
	p.t.Helper()
	rq, err := decodeRQ(p.expectPDU(pduAssociateRQ))
	if err != nil {
		p.t.Fatal(err)
	}
	decision, _ := acceptAll(context.Background(), &Proposal{AssociateRQ: rq})
	ac := answer(rq, decision, &Limits{MaxPDU: 16384}, Implementation{"1.2.3", "SCRIPT"})
	if change != nil {
		change(ac)
	}
	pdu, err := ac.append(nil)
	if err != nil {
		p.t.Fatal(err)
	}
	p.write(pdu)
	return rq
}

const (
	sendReleaseRQ = "05 00 00000004 00000000"
	sendReleaseRP = "06 00 00000004 00000000"
)

func TestTheRequestorSaysWhoItIsAndLearnsWhatWasAccepted(t *testing.T) {
	config := verification("PHAROS")
	config.Roles = []RoleSelection{{storageUID, false, true}}
	config.AsyncWindow = &AsyncWindow{4, 2}
	p, done := requested(t, config)
	rq := p.accept(func(ac *AssociateAC) {
		ac.Contexts[0].Result = AbstractSyntaxNotSupported
		ac.User.Roles = []RoleSelection{{storageUID, true, true}}
		ac.User.AsyncWindow = &AsyncWindow{1, 2}
	})
	if rq.User.ImplementationClassUID != DefaultImplementation.ClassUID || rq.User.ImplementationVersionName != "PHAROS_0_1" || rq.User.MaxLength != DefaultMaxPDU {
		t.Errorf("user information %+v", rq.User)
	}
	r := wait(t, done)
	if r.err != nil {
		t.Fatal(r.err)
	}
	a := r.a
	want := []AcceptedContext{
		{ID: 1, AbstractSyntax: verificationUID, Result: AbstractSyntaxNotSupported, SCU: true},
		{ID: 3, AbstractSyntax: storageUID, TransferSyntax: explicitVR, SCU: false, SCP: true},
	}
	if !reflect.DeepEqual(a.Contexts(), want) {
		t.Errorf("contexts %+v", a.Contexts())
	}
	if c, ok := a.Context(3); !ok || c != want[1] {
		t.Errorf("context 3: %+v", c)
	}
	if _, ok := a.Context(1); ok || len(a.ContextsFor(verificationUID)) != 0 || len(a.ContextsFor(storageUID)) != 1 {
		t.Error("a refused context was found")
	}
	if a.PeerMaxPDU() != 16384 || a.PeerImplementation() != (Implementation{"1.2.3", "SCRIPT"}) || a.Window() != (AsyncWindow{1, 2}) {
		t.Errorf("peer: %d, %+v, %+v", a.PeerMaxPDU(), a.PeerImplementation(), a.Window())
	}
	_ = p.conn.Close()
	_ = a.Close()
}

func TestTheAcceptorAnswersOnlyWhatWasProposed(t *testing.T) {
	config := verification("CLIENT")
	config.Roles = []RoleSelection{{storageUID, false, true}}
	config.Identity = &UserIdentity{Type: IdentityJWT, Primary: []byte("token")}
	acceptor := &AcceptorConfig{Negotiate: func(ctx context.Context, p *Proposal) (*Decision, error) {
		if p.User.Identity == nil || string(p.User.Identity.Primary) != "token" {
			return nil, errors.New("no identity")
		}
		d, err := acceptAll(ctx, p)
		d.Roles = []RoleSelection{{storageUID, true, true}, {verificationUID, true, true}}
		d.AsyncWindow = &AsyncWindow{7, 7}
		d.IdentityResponse = []byte("not asked for")
		d.Contexts[0].TransferSyntax = "1.2.3" // was not proposed
		d.Session = "session"
		return d, err
	}}
	addr, done := acceptOne(t, acceptor, receiveAll)
	a, err := Dial(context.Background(), "tcp", addr.String(), config)
	if err != nil {
		t.Fatal(err)
	}
	u := a.Response().User
	if !reflect.DeepEqual(u.Roles, []RoleSelection{{storageUID, false, true}}) || u.AsyncWindow != nil || u.IdentityResponse != nil {
		t.Errorf("answered %+v", u)
	}
	if c := a.Contexts()[0]; c.Result != TransferSyntaxesNotSupported {
		t.Errorf("context with a transfer syntax that was not proposed: %+v", c)
	}
	if err := a.Release(context.Background()); err != nil {
		t.Error(err)
	}
	r := wait(t, done)
	if c, _ := r.a.Context(3); !c.SCU || c.SCP {
		t.Errorf("roles of the acceptor: %+v", c)
	}
	if r.a.Session() != "session" || r.a.CallingAET() != "CLIENT" || r.a.CalledAET() != "PHAROS" || !errors.Is(r.err, ErrReleased) {
		t.Errorf("%v, %q, %q, %v", r.a.Session(), r.a.CallingAET(), r.a.CalledAET(), r.err)
	}
}

// What the acceptor may answer to a request, in Sta5.
func TestTheRequestorMeetsEveryAnswer(t *testing.T) {
	for name, c := range map[string]struct {
		answer string
		expect string
		check  func(error) bool
	}{
		"rejection":    {"03 00 00000004 00 02 03 01", "", func(err error) bool { var r *Reject; return errors.As(err, &r) && r.Reason == RejectCongestion }},
		"abort":        {"07 00 00000004 00 00 02 01", "", func(err error) bool { var a *Abort; return errors.As(err, &a) && !a.Sent }},
		"request":      {goldenRQ, abortUnexpected, malformed},
		"P-DATA":       {"04 00 00000008 00000004 01 03 0000", abortUnexpected, malformed},
		"release":      {sendReleaseRQ, abortUnexpected, malformed},
		"garbage":      {"\"HTTP/1.1 400 Bad Request\"", abortUnrecognized, malformed},
		"cut short":    {"02 00 00000044 0001", abortUser, func(err error) bool { return errors.Is(err, ErrTimeout) }},
		"long":         {"02 00 ffffffff", abortInvalid, malformed},
		"broken items": {"02 00 00000046 0001" + zeros(66) + "1000", abortInvalid, malformed},
	} {
		t.Run(name, func(t *testing.T) {
			config := verification("PHAROS")
			config.Limits = Limits{ARTIM: 300 * time.Millisecond, Linger: 200 * time.Millisecond}
			p, done := requested(t, config)
			p.expectPDU(pduAssociateRQ)
			p.send(c.answer)
			p.expect(c.expect)
			p.expectEnd()
			_ = p.conn.Close()
			if r := wait(t, done); !c.check(r.err) {
				t.Errorf("Dial: %v", r.err)
			}
		})
	}
}

func malformed(err error) bool { return errors.Is(err, ErrMalformed) }

func zeros(n int) string {
	b := make([]byte, 2*n)
	for i := range b {
		b[i] = '0'
	}
	return string(b)
}

func TestAPeerThatCanTakeNoFragmentIsAborted(t *testing.T) {
	for n := range uint32(7) {
		p, done := requested(t, verification("PHAROS"))
		p.accept(func(ac *AssociateAC) { ac.User.MaxLength = n + 1 })
		p.expect(abortInvalid)
		_ = p.conn.Close()
		if r := wait(t, done); !malformed(r.err) {
			t.Errorf("maximum length %d: %v", n+1, r.err)
		}
	}
}

func TestDialEndsWithItsContext(t *testing.T) {
	ln := listen(t)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		_, err := Dial(ctx, "tcp", ln.Addr().String(), verification("PHAROS"))
		done <- err
	}()
	conn, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	p := &peer{t, conn}
	p.expectPDU(pduAssociateRQ)
	cancel()
	p.expect(abortUser)
	_ = conn.Close()
	if err := <-done; err == nil {
		t.Error("no error")
	}
}

func TestDialRefusesRequestsThatTheStandardForbids(t *testing.T) {
	config := verification("A TITLE THAT IS TOO LONG")
	addr, _ := acceptOne(t, &AcceptorConfig{}, receiveAll)
	if _, err := Dial(context.Background(), "tcp", addr.String(), config); err == nil {
		t.Error("no error")
	}
}

// Release collisions, PS3.8 §7.2.2.7: both sides sent an A-RELEASE-RQ.
func TestReleaseCollisionsAreResolved(t *testing.T) {
	t.Run("requestor", func(t *testing.T) {
		p, done := requested(t, verification("PHAROS"))
		p.accept(nil)
		a := wait(t, done).a
		released := make(chan error, 1)
		go func() { released <- a.Release(context.Background()) }()
		p.expect(sendReleaseRQ) // Sta7
		p.send(sendReleaseRQ)   // AR-8, Sta9; AR-9, Sta11
		p.expect(sendReleaseRP)
		p.send(sendReleaseRP) // AR-3
		if rest := p.expectEnd(); len(rest) > 0 {
			t.Errorf("received % x", rest)
		}
		if err := <-released; err != nil {
			t.Error(err)
		}
	})
	t.Run("acceptor", func(t *testing.T) {
		a, _, p := associated(t, 0)
		released := make(chan error, 1)
		go func() { released <- a.Release(context.Background()) }()
		p.expect(sendReleaseRQ)                        // Sta7
		p.write(dataPDU(1, flagCommand|flagLast, nil)) // AR-6: dropped
		p.send(sendReleaseRQ)                          // AR-8, Sta10
		p.send(sendReleaseRP)                          // AR-10, Sta12; AR-4
		p.expect(sendReleaseRP)
		_ = p.conn.Close()
		if err := <-released; err != nil {
			t.Error(err)
		}
		if err := a.Release(context.Background()); err != nil {
			t.Errorf("another Release: %v", err)
		}
		if err := a.Send(1, nil); !errors.Is(err, ErrReleased) {
			t.Errorf("Send after Release: %v", err)
		}
		if _, err := a.Receive(); !errors.Is(err, ErrReleased) {
			t.Errorf("Receive after Release: %v", err)
		}
	})
}

func TestReleaseIsNotAwaitedForever(t *testing.T) {
	p, done := requested(t, func() *RequestorConfig { c := verification("PHAROS"); c.Limits = quick; return c }())
	p.accept(nil)
	a := wait(t, done).a
	if err := a.Release(context.Background()); !errors.Is(err, ErrTimeout) {
		t.Errorf("Release: %v", err)
	}
	p.expect(sendReleaseRQ)
	p.expect(abortUser)

	a, _, p = associated(t, 0)
	ctx, cancel := context.WithCancel(context.Background())
	released := make(chan error, 1)
	go func() { released <- a.Release(ctx) }()
	p.expect(sendReleaseRQ)
	cancel()
	p.expect(abortUser)
	_ = p.conn.Close()
	var abort *Abort
	if err := <-released; !errors.As(err, &abort) || !abort.Sent {
		t.Errorf("Release: %v", err)
	}
}

// Abort in the states in which an association has a life of its own; the
// others are in the walk through the state table.
func TestAbortEndsWhatIsUnderWay(t *testing.T) {
	for name, begin := range map[string]func(*Association, *peer) error{
		"receiving": func(a *Association, _ *peer) error { _, err := a.Receive(); return err },
		"watching": func(a *Association, _ *peer) error {
			<-a.Arrived()
			_, err := a.Receive()
			return err
		},
		"reading a data set": func(a *Association, p *peer) error {
			p.write(dataPDU(1, flagCommand|flagLast, nil))
			p.write(dataPDU(1, 0, []byte{1, 2}))
			m, err := a.Receive()
			if err == nil {
				_, err = io.Copy(io.Discard, a.OpenDataSet(m.ContextID))
			}
			return err
		},
		"writing": func(a *Association, _ *peer) error {
			w, err := a.SendWithDataSet(1, nil)
			if err != nil {
				return err
			}
			defer w.Cancel()
			for err == nil {
				_, err = w.Write(make([]byte, 1<<20))
			}
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			a, _, p := associated(t, 0)
			done := make(chan error, 1)
			go func() { done <- begin(a, p) }()
			time.Sleep(20 * time.Millisecond) // most likely it blocks by now; it need not
			go a.Abort()
			p.expectEnd()
			_ = p.conn.Close()
			var abort *Abort
			if err := <-done; !errors.As(err, &abort) || !abort.Sent {
				t.Errorf("ended with %v", err)
			}
			if err := a.Close(); err != nil {
				t.Error(err)
			}
			if !errors.As(a.Err(), &abort) {
				t.Errorf("Err: %v", a.Err())
			}
		})
	}
}

func TestWhatArrivesIsNoticedWithoutBlocking(t *testing.T) {
	a, _, p := associated(t, 0)
	if a.Pending() {
		t.Error("pending before anything was sent")
	}
	arrived := a.Arrived()
	if err := a.Send(1, pattern(10)); err != nil { // a pending response, while watching
		t.Fatal(err)
	}
	p.message(1, 0, 10, -1)
	p.write(dataPDU(1, flagCommand|flagLast, []byte{1, 2}))
	<-arrived
	if !a.Pending() {
		t.Error("not pending after the arrival")
	}
	if m, err := a.Receive(); err != nil || len(m.Command) != 2 {
		t.Errorf("%+v, %v", m, err)
	}
	p.write(append(dataPDU(1, flagCommand|flagLast, []byte{1, 2}), dataPDU(1, flagCommand|flagLast, []byte{3, 4})...))
	<-a.Arrived()
	if m, err := a.Receive(); err != nil || m.Command[0] != 1 {
		t.Errorf("%+v, %v", m, err)
	}
	if !a.Pending() {
		t.Error("a message in the buffer is not pending")
	}
	if m, err := a.Receive(); err != nil || m.Command[0] != 3 {
		t.Errorf("%+v, %v", m, err)
	}
	_ = p.conn.Close()
	<-a.Arrived()
	if _, err := a.Receive(); !errors.Is(err, ErrClosed) {
		t.Errorf("Receive: %v", err)
	}
}

func TestWatchingDoesNotOutliveTheIdleTime(t *testing.T) {
	a, _, p := associated(t, 0)
	a.SetIdle(50 * time.Millisecond)
	a.Arrived()
	received := make(chan error, 1)
	go func() { received <- receiveAll(a) }()
	p.expect(abortUser)
	_ = p.conn.Close()
	if err := <-received; !errors.Is(err, ErrTimeout) {
		t.Errorf("Receive: %v", err)
	}
}

func TestReleaseEndsWatching(t *testing.T) {
	a, _, p := associated(t, 0)
	a.Arrived()
	released := make(chan error, 1)
	go func() { released <- a.Release(context.Background()) }()
	p.expect(sendReleaseRQ)
	p.send(sendReleaseRP)
	if err := <-released; err != nil {
		t.Error(err)
	}
}

func TestDrainReleasesWhenTheOperationIsOver(t *testing.T) {
	for name, drain := range map[string]func(a *Association, p *peer) error{
		"idle": func(a *Association, p *peer) error {
			received := make(chan error, 1)
			go func() { received <- receiveAll(a) }()
			time.Sleep(10 * time.Millisecond) // most likely it waits by now; it need not
			a.Drain()
			p.expect(sendReleaseRQ)
			p.send(sendReleaseRP)
			return <-received
		},
		"busy": func(a *Association, p *peer) error {
			p.write(dataPDU(1, flagCommand|flagLast, nil))
			m, err := a.Receive()
			if err != nil {
				return err
			}
			a.Drain()
			p.write(dataPDU(1, flagLast, pattern(200_000)))
			if _, err := io.Copy(io.Discard, a.OpenDataSet(m.ContextID)); err != nil {
				return err
			}
			if err := a.Send(1, pattern(4)); err != nil {
				return err
			}
			p.message(1, 0, 4, -1)
			received := make(chan error, 1)
			go func() { received <- receiveAll(a) }()
			p.expect(sendReleaseRQ)
			p.send(sendReleaseRP)
			return <-received
		},
	} {
		t.Run(name, func(t *testing.T) {
			a, _, p := associated(t, 0)
			if err := drain(a, p); !errors.Is(err, ErrReleased) {
				t.Errorf("ended with %v", err)
			}
		})
	}
}

func TestThePeerMayCloseWithoutReading(t *testing.T) {
	a, _, p := associated(t, 0)
	_ = p.conn.(*net.TCPConn).SetLinger(0)
	_ = p.conn.Close()
	var err error
	for range 100 {
		if err = a.Send(1, pattern(1000)); err != nil {
			break
		}
	}
	if !errors.Is(err, ErrClosed) {
		t.Errorf("Send: %v", err)
	}
	if err := receiveAll(a); !errors.Is(err, ErrClosed) {
		t.Errorf("Receive: %v", err)
	}
}
