package ul

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"testing/iotest"
)

// countedConn counts writes.
type countedConn struct {
	net.Conn
	writes atomic.Int64
}

func (c *countedConn) Write(p []byte) (int, error) {
	c.writes.Add(1)
	return c.Conn.Write(p)
}

// associated returns an association of an acceptor whose peer is scripted and
// announced a maximum length.
func associated(t testing.TB, maxLength uint32) (*Association, *countedConn, *peer) {
	t.Helper()
	conn, raw := listen(t).pair(t)
	pdu, err := verification("PEER").propose(&Limits{MaxPDU: maxLength}).append(nil)
	if err != nil {
		t.Fatal(err)
	}
	p := &peer{t, raw}
	p.write(pdu)
	counted := &countedConn{Conn: conn}
	a, err := Accept(context.Background(), counted, &AcceptorConfig{Negotiate: acceptAll})
	if err != nil {
		t.Fatal(err)
	}
	p.expectPDU(pduAssociateAC)
	counted.writes.Store(0)
	return a, counted, p
}

func (c *countedConn) CloseWrite() error { return c.Conn.(*net.TCPConn).CloseWrite() }

func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i*7 + i>>8)
	}
	return b
}

// message reads one message PDU by PDU and checks every header.
func (p *peer) message(id byte, maxLength, wantCommand, wantData int) (command, data []byte) {
	p.t.Helper()
	parts := map[byte]*[]byte{flagCommand: &command, 0: &data}
	for _, kind := range []byte{flagCommand, 0} {
		if kind == 0 && wantData < 0 {
			break
		}
		for last := false; !last; {
			body := p.expectPDU(pduData)
			if maxLength > 0 && len(body) > maxLength {
				p.t.Fatalf("PDU of %d bytes, the peer can take %d", len(body), maxLength)
			}
			n := int(body[0])<<24 | int(body[1])<<16 | int(body[2])<<8 | int(body[3])
			if n != len(body)-4 || body[4] != id || body[5]&flagCommand != kind {
				p.t.Fatalf("PDV header % x in a PDU of %d bytes", body[:6], len(body))
			}
			last = body[5]&flagLast != 0
			if !last && n%2 != 0 {
				p.t.Fatalf("odd fragment of %d bytes before the last one", n-2)
			}
			*parts[kind] = append(*parts[kind], body[6:]...)
		}
	}
	if len(command) != wantCommand || wantData >= 0 && len(data) != wantData {
		p.t.Fatalf("command of %d and data set of %d bytes, want %d and %d", len(command), len(data), wantCommand, wantData)
	}
	return command, data
}

// Messages of every size around the limits of fragments and of the buffer
// arrive as they were sent, in PDUs that the peer can take.
func TestMessagesAreFragmentedForThePeer(t *testing.T) {
	const fragment = largestSentPDU - pdvHeaderSize
	for _, c := range []struct {
		maxLength uint32
		command   int
		sizes     []int
	}{
		{8, 5, []int{0, 1, 2, 3, 1001}},
		{4096, 9000, []int{0, 4090, 4091, 8180, 100_000}},
		{16385, 100, []int{0, 1, 16378, 16379, 32756, 263_000, 700_001}},
		{0, 100, []int{0, fragment - 1, fragment, fragment + 1, 2 * fragment, 2*fragment + 1, 1 << 20}},
		{0, batchSize - 12, []int{0, 10, fragment}},
		{1 << 31, 100, []int{1 << 20}},
	} {
		for _, size := range c.sizes {
			t.Run(fmt.Sprintf("%d/%d/%d", c.maxLength, c.command, size), func(t *testing.T) {
				a, _, p := associated(t, c.maxLength)
				want, command := pattern(size), pattern(c.command)
				sources := map[string]func(*DataSetWriter) error{
					"Write": func(w *DataSetWriter) error { _, err := w.Write(want); return err },
					"ReadFrom": func(w *DataSetWriter) error {
						n, err := w.ReadFrom(bytes.NewReader(want))
						if n != int64(size) {
							err = fmt.Errorf("read %d bytes: %w", n, err)
						}
						return err
					},
					"halves": func(w *DataSetWriter) error {
						_, err1 := w.ReadFrom(iotest.HalfReader(iotest.DataErrReader(bytes.NewReader(want[:size/2]))))
						_, err2 := w.Write(want[size/2:])
						return errors.Join(err1, err2)
					},
				}
				for name, source := range sources {
					sent := make(chan error, 1)
					go func() {
						w, err := a.SendWithDataSet(3, command)
						if err == nil {
							err = errors.Join(source(w), w.Close())
						}
						sent <- err
					}()
					gotCommand, got := p.message(3, int(c.maxLength), c.command, size)
					if err := <-sent; err != nil {
						t.Errorf("%s: %v", name, err)
					}
					if !bytes.Equal(gotCommand, command) || !bytes.Equal(got, want) {
						t.Errorf("%s: the message changed on its way", name)
					}
				}
			})
		}
	}
}

func TestCommandAndShortDataSetLeaveInOneWrite(t *testing.T) {
	a, conn, p := associated(t, 16384)
	w, err := a.SendWithDataSet(3, pattern(120))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(pattern(1000)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	p.message(3, 16384, 120, 1000)
	if err := a.Send(1, pattern(120)); err != nil {
		t.Fatal(err)
	}
	p.message(1, 16384, 120, -1)
	if n := conn.writes.Load(); n != 2 {
		t.Errorf("two messages left in %d writes", n)
	}
}

func TestShortPDUsLeaveTogether(t *testing.T) {
	a, conn, p := associated(t, 16384)
	go func() {
		w, err := a.SendWithDataSet(3, pattern(120))
		if err == nil {
			_, _ = w.ReadFrom(bytes.NewReader(pattern(512 << 10)))
			_ = w.Close()
		}
	}()
	p.message(3, 16384, 120, 512<<10)
	if n := conn.writes.Load(); n > 4 {
		t.Errorf("33 PDUs left in %d writes", n)
	}
}

func TestNothingIsSentInAContextThatWasNotAccepted(t *testing.T) {
	a, conn, _ := associated(t, 0)
	if err := a.Send(5, []byte{1, 2}); !errors.Is(err, ErrNotAccepted) || conn.writes.Load() != 0 {
		t.Errorf("error %v, %d writes", err, conn.writes.Load())
	}
}

func TestACancelledMessageLeavesNoTraceUnlessSomeOfItWasSent(t *testing.T) {
	a, _, p := associated(t, 0)
	w, err := a.SendWithDataSet(3, pattern(10))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.ReadFrom(iotest.TimeoutReader(bytes.NewReader(pattern(1000)))); err == nil {
		_, err = w.ReadFrom(iotest.ErrReader(io.ErrUnexpectedEOF))
		if !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("ReadFrom: %v", err)
		}
	}
	w.Cancel()
	if err := a.Send(1, pattern(6)); err != nil {
		t.Fatal(err)
	}
	p.message(1, 0, 6, -1)

	w, err = a.SendWithDataSet(3, pattern(10))
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		_, _ = w.Write(pattern(1 << 20))
		w.Cancel()
	}()
	received := p.expectEnd()
	if !bytes.HasSuffix(received, wire(t, abortUser)) {
		t.Errorf("half a message ends with % x", received[len(received)-10:])
	}
}

func TestACommandIsGatheredFromFragmentsAndPDUs(t *testing.T) {
	a, _, p := associated(t, 0)
	p.send(`
		04 00 00000011                 | one PDU
		00000004 01 01 a1a2            | command fragment
		00000005 01 01 a3a4a5          | command fragment
		04 00 00000006 00000002 01 01  | an empty fragment
		04 00 00000014
		00000003 01 03 a6              | last command fragment
		00000003 01 00 b1              | data set in the same PDU
		00000002 01 02                 | its last fragment is empty
	`)
	m, err := a.Receive()
	if err != nil || m.ContextID != 1 || !bytes.Equal(m.Command, []byte{0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6}) {
		t.Fatalf("%+v, %v", m, err)
	}
	data, err := io.ReadAll(a.OpenDataSet(1))
	if err != nil || !bytes.Equal(data, []byte{0xb1}) {
		t.Errorf("data set % x, %v", data, err)
	}
}

func TestAnUnreadDataSetIsSkipped(t *testing.T) {
	a, _, p := associated(t, 0)
	for i := range 2 {
		p.write(dataPDU(3, flagCommand|flagLast, []byte{byte(i), 0}))
		p.write(dataPDU(3, 0, pattern(100_000)))
		p.write(dataPDU(3, flagLast, pattern(100)))
	}
	p.write(dataPDU(1, flagCommand|flagLast, []byte{2, 0}))
	for i := range 2 {
		m, err := a.Receive()
		if err != nil || m.Command[0] != byte(i) {
			t.Fatalf("%+v, %v", m, err)
		}
		if _, err := io.ReadFull(a.OpenDataSet(3), make([]byte, i*10)); err != nil {
			t.Fatal(err)
		}
	}
	if m, err := a.Receive(); err != nil || m.Command[0] != 2 || m.ContextID != 1 {
		t.Errorf("%+v, %v", m, err)
	}
}

func TestDataSetsReadTheSameByReadAndWriteTo(t *testing.T) {
	want := pattern(700_001)
	for name, read := range map[string]func(*DataSetReader) ([]byte, error){
		"Read": func(r *DataSetReader) ([]byte, error) { return io.ReadAll(struct{ io.Reader }{r}) },
		"one":  func(r *DataSetReader) ([]byte, error) { return io.ReadAll(iotest.OneByteReader(r)) },
		"large": func(r *DataSetReader) ([]byte, error) {
			b := make([]byte, len(want))
			n, err := io.ReadFull(r, b)
			return b[:n], err
		},
		"WriteTo": func(r *DataSetReader) ([]byte, error) {
			var b bytes.Buffer
			_, err := r.WriteTo(&b)
			return b.Bytes(), err
		},
	} {
		a, _, p := associated(t, 0)
		go func() {
			p.write(dataPDU(3, flagCommand|flagLast, []byte{1, 0}))
			for rest := want; len(rest) > 0; {
				n := min(len(rest), 77_777)
				flags := byte(0)
				if n == len(rest) {
					flags = flagLast
				}
				p.write(dataPDU(3, flags, rest[:n]))
				rest = rest[n:]
			}
		}()
		m, err := a.Receive()
		if err != nil {
			t.Fatal(err)
		}
		got, err := read(a.OpenDataSet(m.ContextID))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
	}
}

func TestAnErrorOfTheWriterLeavesTheAssociationUsable(t *testing.T) {
	a, _, p := associated(t, 0)
	p.write(dataPDU(3, flagCommand|flagLast, []byte{1, 0}))
	p.write(dataPDU(3, flagLast, pattern(1000)))
	p.write(dataPDU(1, flagCommand|flagLast, []byte{2, 0}))
	if _, err := a.Receive(); err != nil {
		t.Fatal(err)
	}
	full := errors.New("disk full")
	if _, err := a.OpenDataSet(3).WriteTo(writerFunc(func(p []byte) (int, error) { return len(p) / 2, full })); !errors.Is(err, full) {
		t.Errorf("WriteTo: %v", err)
	}
	if m, err := a.Receive(); err != nil || m.Command[0] != 2 {
		t.Errorf("%+v, %v", m, err)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }
