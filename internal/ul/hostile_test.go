package ul

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"
)

const (
	abortUnrecognized = "07 00 00000004 00 00 02 01"
	abortUnexpected   = "07 00 00000004 00 00 02 02"
	abortUnexpectedPV = "07 00 00000004 00 00 02 05"
	abortInvalid      = "07 00 00000004 00 00 02 06"
	abortUser         = "07 00 00000004 00 00 00 00"
)

// Before an association, whatever is no acceptable A-ASSOCIATE-RQ is answered by
// A-ABORT at once (AA-1), without waiting for more.
func TestWhatIsNoAssociateRequestIsAbortedAtOnce(t *testing.T) {
	for name, send := range map[string]string{
		"HTTP":                        "\"GET / HTTP/1.1\"\n0d0a",
		"TLS":                         "16 03 01 02 00 01",
		"one byte of no PDU type":     "5a",
		"zeros":                       "00 00 00 00 00 00",
		"unknown PDU type":            "08 00 00000004 00000000",
		"request of 4 bytes":          "01 00 00000004",
		"request of 4 GiB":            "01 00 ffffffff",
		"request over the limit":      "01 00 00040001",
		"P-DATA of 4 GiB":             "04 00 ffffffff",
		"P-DATA":                      "04 00 0000000a 00000006 01 03 0000 0000",
		"A-RELEASE-RQ":                "05 00 00000004 00000000",
		"A-RELEASE-RP":                "06 00 00000004 00000000",
		"A-ASSOCIATE-AC":              goldenAC,
		"A-ASSOCIATE-RJ":              "03 00 00000004 00 01 01 01",
		"item past the end of the RQ": "01 00 0000004a 0001 0000" + strings.Repeat("20", 32) + strings.Repeat("00", 32) + "10 00 ff ff 31 2e",
	} {
		t.Run(name, func(t *testing.T) {
			addr, done := acceptOne(t, &AcceptorConfig{}, receiveAll)
			p := dialPeer(t, addr)
			p.send(send)
			p.expect(abortUser) // service-user source: that is AA-1
			if rest := p.expectEnd(); len(rest) > 0 {
				t.Errorf("then % x", rest)
			}
			_ = p.conn.Close()
			var abort *Abort
			if r := wait(t, done); !errors.As(r.err, &abort) || !abort.Sent {
				t.Errorf("Accept: %v", r.err)
			}
		})
	}
}

func TestAbortBeforeTheRequestClosesTheConnection(t *testing.T) {
	addr, done := acceptOne(t, &AcceptorConfig{}, receiveAll)
	p := dialPeer(t, addr)
	p.send(abortUser)
	if rest := p.expectEnd(); len(rest) > 0 {
		t.Errorf("received % x", rest)
	}
	var abort *Abort
	if r := wait(t, done); !errors.As(r.err, &abort) || abort.Sent {
		t.Errorf("Accept: %v", r.err)
	}
}

func TestRequestsThatCannotBeServedAreRejected(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*AssociateRQ)
		want   string
	}{
		"protocol version 0":        {func(rq *AssociateRQ) { rq.ProtocolVersion = 0 }, "01 02 02"},
		"other application context": {func(rq *AssociateRQ) { rq.ApplicationContext = "1.2.3" }, "01 01 02"},
		"no presentation context":   {func(rq *AssociateRQ) { rq.Contexts = nil }, "01 02 01"},
		"even context ID":           {func(rq *AssociateRQ) { rq.Contexts[1].ID = 2 }, "01 02 01"},
		"duplicate context ID":      {func(rq *AssociateRQ) { rq.Contexts[1].ID = 1 }, "01 02 01"},
		"maximum length 1":          {func(rq *AssociateRQ) { rq.User.MaxLength = 1 }, "01 02 01"},
		"maximum length 7":          {func(rq *AssociateRQ) { rq.User.MaxLength = 7 }, "01 02 01"},
		"called AE title of spaces": {func(rq *AssociateRQ) { rq.CalledAET = "    " }, "01 01 07"},
		"called AE title not ASCII": {func(rq *AssociateRQ) { rq.CalledAET = "CAF\xc9" }, "01 01 07"},
		"calling AE title with ESC": {func(rq *AssociateRQ) { rq.CallingAET = "\x1b[31m" }, "01 01 03"},
	} {
		t.Run(name, func(t *testing.T) {
			addr, done := acceptOne(t, &AcceptorConfig{}, receiveAll)
			rq := verification("PEER").propose(&Limits{MaxPDU: 16384})
			c.change(rq)
			pdu, err := rq.append(nil)
			if err != nil {
				t.Fatal(err)
			}
			p := dialPeer(t, addr)
			p.write(pdu)
			p.expect("03 00 00000004 00" + c.want)
			_ = p.conn.Close()
			var reject *Reject
			if r := wait(t, done); !errors.As(r.err, &reject) {
				t.Errorf("Accept: %v", r.err)
			}
		})
	}
}

func TestAnotherRequestAfterARejectionIsAborted(t *testing.T) {
	addr, done := acceptOne(t, &AcceptorConfig{Negotiate: func(context.Context, *Proposal) (*Decision, error) {
		return nil, errors.New("no")
	}}, receiveAll)
	pdu, _ := verification("PEER").propose(&Limits{}).append(nil)
	p := dialPeer(t, addr)
	p.write(pdu)
	p.expect("03 00 00000004 00 02 01 01") // transient, by the user, no reason
	p.write(pdu)
	p.expect(abortUser) // AA-7
	p.expectEnd()
	_ = p.conn.Close()
	wait(t, done)
}

func TestContextsThatCannotBeServedAreRefusedOneByOne(t *testing.T) {
	rq := verification("PEER").propose(&Limits{MaxPDU: 16384})
	rq.Contexts = append(rq.Contexts,
		PresentationContext{ID: 5, AbstractSyntax: strings.Repeat("1", 60_000), TransferSyntaxes: []string{implicitVR}},
		PresentationContext{ID: 7, AbstractSyntax: verificationUID},
		PresentationContext{ID: 9, AbstractSyntax: "<script>", TransferSyntaxes: []string{implicitVR}},
		PresentationContext{ID: 255, AbstractSyntax: verificationUID, TransferSyntaxes: []string{"", implicitVR}},
	)
	var offered []byte
	addr, done := acceptOne(t, &AcceptorConfig{Negotiate: func(ctx context.Context, p *Proposal) (*Decision, error) {
		for _, c := range p.Contexts {
			offered = append(offered, c.ID)
		}
		return acceptAll(ctx, p)
	}}, receiveAll)
	pdu, err := rq.append(nil)
	if err != nil {
		t.Fatal(err)
	}
	p := dialPeer(t, addr)
	p.write(pdu)
	ac, err := decodeAC(p.expectPDU(pduAssociateAC))
	if err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprint(ac.Contexts)
	want := "[{1 0 1.2.840.10008.1.2} {3 0 1.2.840.10008.1.2.1} {5 3 1.2.840.10008.1.2} {7 3 1.2.840.10008.1.2} {9 3 1.2.840.10008.1.2} {255 0 1.2.840.10008.1.2}]"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	p.send("05 00 00000004 00000000")
	p.expect("06 00 00000004 00000000")
	_ = p.conn.Close()
	wait(t, done)
	if want := []byte{1, 3, 255}; !bytes.Equal(offered, want) {
		t.Errorf("offered to the user: %d, want %d", offered, want)
	}
}

func TestALargeLegalRequestFits(t *testing.T) {
	config := verification("PEER")
	config.Contexts = nil
	for i := range 128 {
		c := PresentationContext{ID: byte(2*i + 1), AbstractSyntax: strings.Repeat("1", 64)}
		for range 25 {
			c.TransferSyntaxes = append(c.TransferSyntaxes, strings.Repeat("2", 64))
		}
		config.Contexts = append(config.Contexts, c)
	}
	addr, done := acceptOne(t, &AcceptorConfig{}, receiveAll)
	a, err := Dial(context.Background(), "tcp", addr.String(), config)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Release(context.Background()); err != nil {
		t.Error(err)
	}
	wait(t, done)
}

// In an association, what no peer may send is answered by A-ABORT (AA-8).
func TestWhatIsNoValidDataIsAborted(t *testing.T) {
	for name, c := range map[string]struct{ send, want string }{
		"PDV length 0":             {"04 00 00000006 00000000 01 03", abortInvalid},
		"PDV length 1":             {"04 00 00000006 00000001 01 03", abortInvalid},
		"PDV beyond its PDU":       {"04 00 00000008 00000005 01 03 0000", abortInvalid},
		"PDV of 4 GiB":             {"04 00 00000008 ffffffff 01 03 0000", abortInvalid},
		"PDU too short for a PDV":  {"04 00 00000003 000000", abortInvalid},
		"rest too short for a PDV": {"04 00 0000000b 00000003 01 01 00 00000002", abortInvalid},
		"context not proposed":     {"04 00 00000008 00000004 09 03 0000", abortInvalid},
		"context 0":                {"04 00 00000008 00000004 00 03 0000", abortInvalid},
		"data before command":      {"04 00 00000008 00000004 01 02 0000", abortUnexpectedPV},
		"command in two contexts":  {"04 00 00000010 00000004 01 01 0000 00000004 03 03 0000", abortUnexpectedPV},
		"unknown PDU type":         {"ff", abortUnrecognized},
		"P-DATA of 4 GiB":          {"04 00 ffffffff", abortInvalid},
		"release of 4 GiB":         {"05 00 ffffffff", abortInvalid},
		"another A-ASSOCIATE-RQ":   {goldenRQ, abortUnexpected},
		"A-ASSOCIATE-AC":           {goldenAC, abortUnexpected},
		"A-ASSOCIATE-RJ":           {"03 00 00000004 00 01 01 01", abortUnexpected},
		"A-RELEASE-RP":             {"06 00 00000004 00000000", abortUnexpected},
	} {
		t.Run(name, func(t *testing.T) {
			addr, done := acceptOne(t, &AcceptorConfig{}, receiveAll)
			p := dialPeer(t, addr).associate()
			p.send(c.send)
			p.expect(c.want)
			p.expectEnd()
			_ = p.conn.Close()
			var abort *Abort
			if r := wait(t, done); !errors.As(r.err, &abort) || !errors.Is(r.err, ErrMalformed) {
				t.Errorf("Receive: %v", r.err)
			}
		})
	}
}

func TestACommandThatNeverEndsIsAborted(t *testing.T) {
	addr, done := acceptOne(t, &AcceptorConfig{}, receiveAll)
	p := dialPeer(t, addr).associate()
	pdv := dataPDU(1, flagCommand, make([]byte, 60_000))
	p.write(pdv)
	p.write(pdv)
	p.expect(abortInvalid)
	_ = p.conn.Close()
	wait(t, done)
}

// dataPDU returns a P-DATA-TF PDU with one PDV.
func dataPDU(id, flags byte, fragment []byte) []byte {
	b := []byte{pduData, 0}
	b = binary.BigEndian.AppendUint32(b, uint32(len(fragment)+6))
	b = binary.BigEndian.AppendUint32(b, uint32(len(fragment)+2))
	return append(append(b, id, flags), fragment...)
}

func TestDataSetMayNotBeInterruptedByACommandOrAnotherContext(t *testing.T) {
	for name, second := range map[string][]byte{
		"command":         dataPDU(1, flagCommand, []byte{0, 0}),
		"another context": dataPDU(3, flagLast, []byte{0, 0}),
	} {
		addr, done := acceptOne(t, &AcceptorConfig{}, func(a *Association) error {
			m, err := a.Receive()
			if err != nil {
				return err
			}
			_, err = a.OpenDataSet(m.ContextID).WriteTo(&bytes.Buffer{})
			return err
		})
		p := dialPeer(t, addr).associate()
		p.write(dataPDU(1, flagCommand|flagLast, []byte{1, 2}))
		p.write(dataPDU(1, 0, []byte{3, 4}))
		p.write(second)
		p.expect(abortUnexpectedPV)
		_ = p.conn.Close()
		if r := wait(t, done); !errors.Is(r.err, ErrMalformed) {
			t.Errorf("%s: %v", name, r.err)
		}
	}
}

// A data set that breaks off must never look complete.
func TestADataSetThatBreaksOffIsAnError(t *testing.T) {
	for name, stop := range map[string]struct {
		do   func(p *peer)
		want error
	}{
		"reset": {func(p *peer) { _ = p.conn.(*net.TCPConn).SetLinger(0); _ = p.conn.Close() }, ErrClosed},
		"close": {func(p *peer) { _ = p.conn.Close() }, ErrClosed},
		"half close": {func(p *peer) {
			_ = p.conn.(*net.TCPConn).CloseWrite()
			p.expectEnd()
		}, ErrClosed},
		"abort": {func(p *peer) { p.send(abortUser) }, &Abort{}},
		"release": {func(p *peer) {
			p.send("05 00 00000004 00000000")
			p.expect("06 00 00000004 00000000")
			_ = p.conn.Close()
		}, ErrReleased},
		"stall": {func(p *peer) { p.expect(abortUser); p.expectEnd() }, ErrTimeout},
		"stall in a PDU": {func(p *peer) {
			p.send("04 00 00000100 000000fc 01 02 00 00")
			p.expect(abortUser)
			p.expectEnd()
		}, ErrTimeout},
	} {
		t.Run(name, func(t *testing.T) {
			var received bytes.Buffer
			addr, done := acceptOne(t, &AcceptorConfig{Limits: Limits{Progress: 200 * time.Millisecond, Linger: 200 * time.Millisecond}}, func(a *Association) error {
				m, err := a.Receive()
				if err != nil {
					return err
				}
				_, err = received.ReadFrom(a.OpenDataSet(m.ContextID))
				return err
			})
			p := dialPeer(t, addr).associate()
			p.write(dataPDU(1, flagCommand|flagLast, []byte{1, 2}))
			p.write(dataPDU(1, 0, make([]byte, 1000)))
			stop.do(p)
			r := wait(t, done)
			var abort *Abort
			if !errors.Is(r.err, stop.want) && !(errors.As(stop.want, &abort) && errors.As(r.err, &abort)) {
				t.Errorf("data set ended with %v", r.err)
			}
		})
	}
}

func TestSilentPeersAreTimedOut(t *testing.T) {
	t.Run("before the request", func(t *testing.T) {
		addr, done := acceptOne(t, &AcceptorConfig{Limits: quick}, receiveAll)
		p := dialPeer(t, addr)
		p.send("01 00 00") // half a header
		if rest := p.expectEnd(); len(rest) > 0 {
			t.Errorf("received % x", rest) // AA-2 closes without A-ABORT
		}
		if r := wait(t, done); !errors.Is(r.err, ErrTimeout) {
			t.Errorf("Accept: %v", r.err)
		}
	})
	t.Run("byte by byte", func(t *testing.T) {
		addr, done := acceptOne(t, &AcceptorConfig{Limits: quick}, receiveAll)
		p := dialPeer(t, addr)
		pdu := wire(t, goldenRQ)
		go func() {
			for i := range pdu {
				if _, err := p.conn.Write(pdu[i : i+1]); err != nil {
					return
				}
				time.Sleep(5 * time.Millisecond) // the slow peer under test
			}
		}()
		p.expectEnd()
		if r := wait(t, done); !errors.Is(r.err, ErrTimeout) {
			t.Errorf("Accept: %v", r.err)
		}
	})
	t.Run("after the request", func(t *testing.T) {
		addr, done := acceptOne(t, &AcceptorConfig{Limits: quick}, receiveAll)
		p := dialPeer(t, addr).associate()
		p.expect(abortUser)
		p.expectEnd()
		if r := wait(t, done); !errors.Is(r.err, ErrTimeout) {
			t.Errorf("Receive: %v", r.err)
		}
	})
	t.Run("that does not read", func(t *testing.T) {
		addr, done := acceptOne(t, &AcceptorConfig{Limits: quick}, func(a *Association) error {
			w, err := a.SendWithDataSet(1, []byte{1, 2})
			if err != nil {
				return err
			}
			defer w.Cancel()
			for {
				if _, err := w.Write(make([]byte, 1<<20)); err != nil {
					return err
				}
			}
		})
		dialPeer(t, addr).associate()
		if r := wait(t, done); !errors.Is(r.err, ErrTimeout) {
			t.Errorf("Write: %v", r.err)
		}
	})
}

func TestTimeSpentByTheOwnerDoesNotCountAgainstThePeer(t *testing.T) {
	addr, done := acceptOne(t, &AcceptorConfig{Limits: quick}, func(a *Association) error {
		m, err := a.Receive()
		if err != nil {
			return err
		}
		time.Sleep(3 * quick.Progress) // the slow storage under test
		var b bytes.Buffer
		if _, err := a.OpenDataSet(m.ContextID).WriteTo(&b); err != nil || b.Len() != 4 {
			return fmt.Errorf("%d bytes, %w", b.Len(), err)
		}
		return a.Send(1, []byte{9, 9})
	})
	p := dialPeer(t, addr).associate()
	p.write(dataPDU(1, flagCommand|flagLast, []byte{1, 2}))
	p.write(dataPDU(1, flagLast, []byte{1, 2, 3, 4}))
	p.expectPDU(pduData)
	_ = p.conn.Close()
	if r := wait(t, done); r.err != nil {
		t.Error(r.err)
	}
}

func TestALengthFieldAllocatesNothing(t *testing.T) {
	const peers = 50
	ln := listen(t)
	limits := Limits{MaxAssociatePDU: 1 << 30}
	for range peers {
		conn, raw := ln.pair(t)
		if _, err := raw.Write([]byte{1, 0, 0x3f, 0xff, 0xff, 0xff, 0, 1}); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan struct{})
		go func() {
			defer close(done)
			_, _ = Accept(ctx, conn, &AcceptorConfig{Limits: limits, Negotiate: acceptAll})
		}()
		t.Cleanup(func() { cancel(); <-done })
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	if m.HeapAlloc > 64<<20 {
		t.Errorf("%d peers that promise 1 GiB each cost %d MiB", peers, m.HeapAlloc>>20)
	}
}
