package ul

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"
)

// patience is how long a test waits for what must happen.
const patience = 10 * time.Second

type listener struct{ net.Listener }

// listen opens a listener on loopback for the time of the test.
func listen(t testing.TB) *listener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	return &listener{ln}
}

// pair returns the two ends of a connection.
func (ln *listener) pair(t testing.TB) (conn, raw net.Conn) {
	t.Helper()
	raw, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	conn, err = ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = conn.Close(), raw.Close() })
	return conn, raw
}

// peer is a scripted peer: it sends bytes, expects bytes, and closes.
type peer struct {
	t    testing.TB
	conn net.Conn
}

func dialPeer(t testing.TB, addr net.Addr) *peer {
	t.Helper()
	conn, err := net.Dial("tcp", addr.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return &peer{t, conn}
}

// send sends annotated bytes; see wire.
func (p *peer) send(annotated string) { p.t.Helper(); p.write(wire(p.t, annotated)) }

func (p *peer) write(b []byte) {
	p.t.Helper()
	if _, err := p.conn.Write(b); err != nil {
		p.t.Fatalf("peer: %v", err)
	}
}

// expect reads exactly the annotated bytes.
func (p *peer) expect(annotated string) {
	p.t.Helper()
	want := wire(p.t, annotated)
	got := p.read(len(want))
	if !bytes.Equal(got, want) {
		p.t.Fatalf("peer received % x\nwant % x", got, want)
	}
}

func (p *peer) read(n int) []byte {
	p.t.Helper()
	_ = p.conn.SetReadDeadline(time.Now().Add(patience))
	b := make([]byte, n)
	if n, err := io.ReadFull(p.conn, b); err != nil {
		p.t.Fatalf("peer received % x, then: %v", b[:n], err)
	}
	return b
}

// expectPDU reads one PDU and returns its body.
func (p *peer) expectPDU(typ byte) []byte {
	p.t.Helper()
	head := p.read(pduHeaderSize)
	body := p.read(int(head[2])<<24 | int(head[3])<<16 | int(head[4])<<8 | int(head[5]))
	if head[0] != typ {
		p.t.Fatalf("peer received PDU % x % x, want type %02x", head, body, typ)
	}
	return body
}

// expectEnd reads to the end of the connection, which must come; what arrives
// before it is returned.
func (p *peer) expectEnd() []byte {
	p.t.Helper()
	_ = p.conn.SetReadDeadline(time.Now().Add(patience))
	b, err := io.ReadAll(p.conn)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		p.t.Fatalf("peer received % x, then nothing; want the connection closed", b)
	}
	return b
}

// associate sends the A-ASSOCIATE-RQ of verification and reads the answer.
func (p *peer) associate() *peer {
	p.t.Helper()
	pdu, err := verification("PEER").propose(&Limits{MaxPDU: 16384}).append(nil)
	if err != nil {
		p.t.Fatal(err)
	}
	p.write(pdu)
	p.expectPDU(pduAssociateAC)
	return p
}

const (
	verificationUID = "1.2.840.10008.1.1"
	storageUID      = "1.2.840.10008.5.1.4.1.1.2"
	implicitVR      = "1.2.840.10008.1.2"
	explicitVR      = "1.2.840.10008.1.2.1"
)

// verification requests contexts 1 (verification) and 3 (CT image storage).
func verification(calling string) *RequestorConfig {
	return &RequestorConfig{
		CallingAET: calling,
		CalledAET:  "PHAROS",
		Contexts: []PresentationContext{
			{ID: 1, AbstractSyntax: verificationUID, TransferSyntaxes: []string{implicitVR}},
			{ID: 3, AbstractSyntax: storageUID, TransferSyntaxes: []string{explicitVR, implicitVR}},
		},
	}
}

// acceptAll accepts every context with its first transfer syntax.
func acceptAll(_ context.Context, p *Proposal) (*Decision, error) {
	d := &Decision{}
	for _, c := range p.Contexts {
		d.Contexts = append(d.Contexts, ContextResult{ID: c.ID, TransferSyntax: c.TransferSyntaxes[0]})
	}
	return d, nil
}

// quick are limits for tests that wait for a timer.
var quick = Limits{ARTIM: 200 * time.Millisecond, Idle: 200 * time.Millisecond, Progress: 200 * time.Millisecond, Linger: 200 * time.Millisecond}

// result is how Accept and what a test does with the association ended.
type result struct {
	a   *Association
	err error
}

// acceptOne accepts one association in the background and runs do with it.
func acceptOne(t testing.TB, config *AcceptorConfig, do func(*Association) error) (net.Addr, <-chan result) {
	t.Helper()
	ln := listen(t)
	done := make(chan result, 1)
	if config.Negotiate == nil {
		config.Negotiate = acceptAll
	}
	go func() {
		conn, err := ln.Accept()
		if err != nil {
			done <- result{err: err}
			return
		}
		a, err := Accept(context.Background(), conn, config)
		if err == nil {
			err = do(a)
			_ = a.Close()
		}
		done <- result{a, err}
	}()
	return ln.Addr(), done
}

// wait returns the result, which must come.
func wait(t testing.TB, done <-chan result) result {
	t.Helper()
	select {
	case r := <-done:
		return r
	case <-time.After(patience):
		t.Fatal("the association did not end")
		return result{}
	}
}

// receiveAll receives messages until the association ends.
func receiveAll(a *Association) error {
	for {
		if _, err := a.Receive(); err != nil {
			return err
		}
	}
}
