package ul

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"time"
)

// memoryConn is a connection whose peer sent everything already and closed.
type memoryConn struct {
	io.Reader
	written bytes.Buffer
}

func (c *memoryConn) Write(p []byte) (int, error)      { return c.written.Write(p) }
func (c *memoryConn) Close() error                     { return nil }
func (c *memoryConn) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (c *memoryConn) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (c *memoryConn) SetDeadline(time.Time) error      { return nil }
func (c *memoryConn) SetReadDeadline(time.Time) error  { return nil }
func (c *memoryConn) SetWriteDeadline(time.Time) error { return nil }

// inMemory returns an established association over what the peer sent.
func inMemory(sent io.Reader, maxLength uint32) (*Association, *memoryConn) {
	conn := &memoryConn{Reader: sent}
	a := newAssociation(conn, Limits{}.withDefaults(), false)
	a.state = sta6
	rq := verification("FUZZ").propose(&Limits{MaxPDU: maxLength})
	decision, _ := acceptAll(context.Background(), &Proposal{AssociateRQ: rq})
	a.established(rq, answer(rq, decision, &a.limits, DefaultImplementation))
	return a, conn
}

// FuzzReceive checks that whatever a peer sends in an association ends in an
// error of this package, costs bounded memory, and that what was received is
// what the PDVs held.
func FuzzReceive(f *testing.F) {
	f.Add(append(dataPDU(1, flagCommand|flagLast, pattern(20)), dataPDU(1, flagLast, pattern(300))...))
	f.Add(append(dataPDU(3, flagCommand, pattern(20)), dataPDU(3, flagCommand|flagLast, pattern(3))...))
	f.Add(append(dataPDU(3, flagCommand|flagLast, nil), 5, 0, 0, 0, 0, 4, 0, 0, 0, 0))
	f.Add([]byte{7, 0, 0, 0, 0, 4, 0, 0, 2, 1})
	f.Fuzz(func(t *testing.T, sent []byte) {
		a, conn := inMemory(bytes.NewReader(sent), 0)
		received := 0
		for {
			m, err := a.Receive()
			if err != nil {
				checkEnd(t, a, err)
				break
			}
			received += len(m.Command)
			n, err := io.Copy(io.Discard, a.OpenDataSet(m.ContextID))
			received += int(n)
			if err != nil {
				checkEnd(t, a, err)
				break
			}
		}
		if received > len(sent) || cap(a.command) > 2*a.limits.MaxCommand {
			t.Errorf("%d bytes became %d, with a buffer of %d", len(sent), received, cap(a.command))
		}
		// An A-ABORT, or an A-RELEASE-RP and an A-ABORT for what came after it.
		if conn.written.Len() > 2*(pduHeaderSize+controlPDUSize) {
			t.Errorf("answered % x", conn.written.Bytes())
		}
	})
}

// checkEnd checks that an association has ended and says why.
func checkEnd(t *testing.T, a *Association, err error) {
	t.Helper()
	if !errors.Is(err, ErrClosed) && !errors.Is(err, ErrReleased) && !errors.As(err, new(*Abort)) {
		t.Errorf("error %v", err)
	}
	if s, _ := a.current(); a.Err() == nil || s != sta1 && s != sta13 {
		t.Errorf("state %d, error %v", s, a.Err())
	}
}

// FuzzMessage checks that a message survives sending and receiving, whatever
// the peer can take and however it is written.
func FuzzMessage(f *testing.F) {
	f.Add(uint32(8), pattern(5), pattern(100), uint16(3))
	f.Add(uint32(0), pattern(100), pattern(300_000), uint16(60_000))
	f.Add(uint32(16384), pattern(100), pattern(40_000), uint16(0))
	f.Fuzz(func(t *testing.T, maxLength uint32, command, data []byte, piece uint16) {
		if maxLength != 0 && maxLength < smallestPDU || len(command) > DefaultMaxCommand {
			return
		}
		sender, conn := inMemory(bytes.NewReader(nil), maxLength)
		w, err := sender.SendWithDataSet(3, command)
		if err != nil {
			t.Fatal(err)
		}
		head := data[:min(int(piece), len(data))]
		_, err1 := w.Write(head)
		_, err2 := w.ReadFrom(bytes.NewReader(data[len(head):]))
		if err := errors.Join(err1, err2, w.Close()); err != nil {
			t.Fatal(err)
		}
		a, _ := inMemory(&conn.written, 0)
		m, err := a.Receive()
		if err != nil || m.ContextID != 3 || !bytes.Equal(m.Command, command) {
			t.Fatalf("command %v, %v", m, err)
		}
		got, err := io.ReadAll(a.OpenDataSet(3))
		if err != nil || !bytes.Equal(got, data) {
			t.Fatalf("data set of %d bytes, want %d: %v", len(got), len(data), err)
		}
	})
}
