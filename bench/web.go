package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// webTime bounds one request.
const webTime = 10 * time.Minute

// webConn is a connection over which requests go one after the other. It costs the
// machine less than http.Client does, which matters where the server answers in a
// fraction of a millisecond.
type webConn struct {
	port int
	conn net.Conn
	br   *bufio.Reader
	buf  []byte
}

func dialWeb(ctx context.Context, port int) (*webConn, error) {
	w := &webConn{port: port, buf: make([]byte, 256<<10)}
	return w, w.connect(ctx)
}

func (w *webConn) connect(ctx context.Context) error {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", address(w.port))
	if err != nil {
		return err
	}
	w.conn = conn
	w.br = bufio.NewReaderSize(conn, 64<<10)
	return nil
}

func (w *webConn) close() error { return w.conn.Close() }

// roundTrip sends a request, which has been encoded, and calls read with the response.
func (w *webConn) roundTrip(ctx context.Context, request net.Buffers, read func(*http.Response) error) error {
	if err := w.conn.SetDeadline(time.Now().Add(webTime)); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = w.conn.Close() }) // makes what is under way fail
	defer stop()
	if _, err := request.WriteTo(w.conn); err != nil {
		return err
	}
	rsp, err := http.ReadResponse(w.br, nil)
	if err != nil {
		return err
	}
	err = errors.Join(read(rsp), rsp.Body.Close())
	if err == nil && rsp.Close {
		err = errors.Join(w.conn.Close(), w.connect(ctx))
	}
	return err
}

// get fetches a resource and returns the bytes of its body, which are thrown away.
func (w *webConn) get(ctx context.Context, path, accept string) (n int64, err error) {
	request := fmt.Sprintf("GET %s HTTP/1.1\r\nHost: %s\r\nAccept: %s\r\n\r\n", path, address(w.port), accept)
	err = w.roundTrip(ctx, net.Buffers{[]byte(request)}, func(rsp *http.Response) error {
		if rsp.StatusCode != http.StatusOK {
			return refused("GET", path, rsp)
		}
		n, err = w.discard(rsp.Body)
		return err
	})
	return n, err
}

// read is get with the body, which is to be small.
func (w *webConn) read(ctx context.Context, path, accept string) (body []byte, err error) {
	request := fmt.Sprintf("GET %s HTTP/1.1\r\nHost: %s\r\nAccept: %s\r\n\r\n", path, address(w.port), accept)
	err = w.roundTrip(ctx, net.Buffers{[]byte(request)}, func(rsp *http.Response) error {
		if rsp.StatusCode != http.StatusOK && rsp.StatusCode != http.StatusNoContent {
			return refused("GET", path, rsp)
		}
		body, err = io.ReadAll(rsp.Body)
		return err
	})
	return body, err
}

// post sends a body of known length.
func (w *webConn) post(ctx context.Context, path, contentType string, body net.Buffers) error {
	var length int64
	for _, b := range body {
		length += int64(len(b))
	}
	head := fmt.Sprintf("POST %s HTTP/1.1\r\nHost: %s\r\nAccept: application/dicom+json\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n",
		path, address(w.port), contentType, length)
	return w.roundTrip(ctx, append(net.Buffers{[]byte(head)}, body...), func(rsp *http.Response) error {
		if rsp.StatusCode != http.StatusOK {
			return refused("POST", path, rsp)
		}
		_, err := w.discard(rsp.Body)
		return err
	})
}

// discard reads to the end.
func (w *webConn) discard(r io.Reader) (int64, error) {
	var total int64
	for {
		n, err := r.Read(w.buf)
		total += int64(n)
		if errors.Is(err, io.EOF) {
			return total, nil
		}
		if err != nil {
			return total, err
		}
	}
}

// refused tells what the server said.
func refused(method, path string, rsp *http.Response) error {
	text, _ := io.ReadAll(io.LimitReader(rsp.Body, 500)) // for a message only
	return fmt.Errorf("%s %s: %s: %s", method, path, rsp.Status, text)
}
