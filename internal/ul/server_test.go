package ul

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
)

const rejectedLimit = "03 00 00000004 00 02 03 02"

func TestOneAssociationTooManyIsRejectedUntilThereIsRoom(t *testing.T) {
	for name, s := range map[string]*Server{
		"in all":   {MaxAssociations: 2},
		"per peer": {MaxPerPeer: 2},
	} {
		t.Run(name, func(t *testing.T) {
			addr, ended := serve(t, s)
			first := dialPeer(t, addr).associate()
			dialPeer(t, addr).associate()
			pdu, _ := verification("THIRD").propose(&Limits{}).append(nil)
			third := dialPeer(t, addr)
			third.write(pdu)
			third.expect(rejectedLimit)
			_ = third.conn.Close()
			first.send(sendReleaseRQ)
			first.expect(sendReleaseRP)
			_ = first.conn.Close()
			<-ended
			for { // the place is free a moment after the handler has returned
				a, err := Dial(context.Background(), "tcp", addr.String(), verification("FOURTH"))
				if err == nil {
					_ = a.Close()
					break
				}
				if !errors.As(err, new(*Reject)) {
					t.Fatal(err)
				}
			}
		})
	}
}

// 300 connections that stay silent, and 1000 that come and go, do not keep
// others out.
func TestSilentConnectionsDoNotKeepOthersOut(t *testing.T) {
	addr, _ := serve(t, &Server{MaxHalfOpen: 128})
	var silent []*peer
	for range 300 {
		silent = append(silent, dialPeer(t, addr))
	}
	if err := echoOnce(addr.String(), verification("CLIENT")); err != nil {
		t.Errorf("beside 300 silent connections: %v", err)
	}
	silent[0].expectEnd() // it had to make room
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 125 {
				conn, err := net.Dial("tcp", addr.String())
				if err != nil {
					t.Error(err)
					return
				}
				_ = conn.Close()
			}
		})
	}
	for range 10 {
		if err := echoOnce(addr.String(), verification("CLIENT")); err != nil {
			t.Errorf("beside 1000 short connections: %v", err)
		}
	}
	wg.Wait()
}

func TestResetsInTheMiddleOfDataSetsLeaveTheServerWell(t *testing.T) {
	broken := make(chan error, 20)
	addr, _ := serve(t, &Server{Handle: func(_ context.Context, a *Association) {
		m, err := a.Receive()
		if err == nil {
			_, err = io.Copy(io.Discard, a.OpenDataSet(m.ContextID))
		}
		broken <- err
	}})
	for range 20 {
		p := dialPeer(t, addr).associate()
		p.write(dataPDU(3, flagCommand|flagLast, nil))
		p.write(dataPDU(3, 0, pattern(10_000)))
		_ = p.conn.(*net.TCPConn).SetLinger(0)
		_ = p.conn.Close()
		if err := <-broken; !errors.Is(err, ErrClosed) {
			t.Errorf("data set ended with %v", err)
		}
	}
}

func TestShutdownFinishesWhatIsUnderWay(t *testing.T) {
	begun := make(chan struct{}, 1)
	s := &Server{Handle: func(_ context.Context, a *Association) {
		for {
			m, err := a.Receive()
			if err != nil {
				return
			}
			begun <- struct{}{}
			if n, err := io.Copy(io.Discard, a.OpenDataSet(m.ContextID)); err != nil || n != 200 {
				t.Errorf("data set of %d bytes: %v", n, err)
			}
			if err := a.Send(m.ContextID, pattern(4)); err != nil {
				t.Error(err)
			}
		}
	}}
	addr, _ := serve(t, s)
	idle, silent := dialPeer(t, addr).associate(), dialPeer(t, addr)
	busy := dialPeer(t, addr).associate()
	busy.write(dataPDU(1, flagCommand|flagLast, nil))
	busy.write(dataPDU(1, 0, pattern(100)))
	<-begun
	done := make(chan error, 1)
	go func() { done <- s.Shutdown(context.Background()) }()
	idle.expect(sendReleaseRQ)
	idle.send(sendReleaseRP)
	silent.expectEnd()
	if _, err := net.Dial("tcp", addr.String()); err == nil {
		t.Error("the listener is open during shutdown")
	}
	busy.write(dataPDU(1, flagLast, pattern(100)))
	busy.message(1, 0, 4, -1)
	busy.expect(sendReleaseRQ)
	busy.send(sendReleaseRP)
	if err := <-done; err != nil {
		t.Errorf("Shutdown: %v", err)
	}
}

func TestShutdownAbortsWhatDoesNotEnd(t *testing.T) {
	stuck := make(chan struct{})
	s := &Server{Handle: func(ctx context.Context, _ *Association) {
		close(stuck)
		<-ctx.Done()
	}}
	addr, _ := serve(t, s)
	p := dialPeer(t, addr).associate()
	<-stuck
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Shutdown(ctx) }()
	cancel()
	p.expect(abortUser)
	_ = p.conn.Close()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("Shutdown: %v", err)
	}
	if err := s.Serve(context.Background(), listen(t).Listener); !errors.Is(err, ErrServerClosed) {
		t.Errorf("Serve after Shutdown: %v", err)
	}
}

func TestServeEndsWithItsContext(t *testing.T) {
	s := &Server{Config: AcceptorConfig{Negotiate: acceptAll}, Handle: func(_ context.Context, a *Association) { _ = receiveAll(a) }}
	ln := listen(t)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, ln.Listener) }()
	p, silent := dialPeer(t, ln.Addr()).associate(), dialPeer(t, ln.Addr())
	cancel()
	p.expect(abortUser)
	_ = p.conn.Close()
	silent.expectEnd()
	if err := <-done; err != nil {
		t.Errorf("Serve: %v", err)
	}
}

func TestConnectionsWithoutAssociationAreLogged(t *testing.T) {
	var log strings.Builder
	var mu sync.Mutex
	s := &Server{Log: slog.New(slog.NewTextHandler(writerFunc(func(p []byte) (int, error) {
		mu.Lock()
		defer mu.Unlock()
		return log.Write(p)
	}), nil))}
	addr, _ := serve(t, s)
	p := dialPeer(t, addr)
	p.send("\"GET / HTTP/1.1\"")
	p.expect(abortUser)
	_ = p.conn.Close()
	if err := s.Shutdown(context.Background()); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	defer mu.Unlock()
	if !strings.Contains(log.String(), "no DICOM association") || !strings.Contains(log.String(), "PDU type 47h") {
		t.Errorf("log: %s", log.String())
	}
}

func TestPeersAreCountedByAddressWithoutPort(t *testing.T) {
	for addr, want := range map[string]string{
		"192.0.2.1:104":          "192.0.2.1",
		"[::ffff:192.0.2.1]:104": "192.0.2.1",
		"[2001:db8::1]:104":      "2001:db8::1",
	} {
		tcp, err := net.ResolveTCPAddr("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		if got := peerKey(tcp); got != want {
			t.Errorf("%s: %s", addr, got)
		}
	}
}
