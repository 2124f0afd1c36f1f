package main

import (
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"pharos/internal/ul"
)

// unambiguous ends the connection after a request of HTTP/1.1 with a body in chunks. If it
// had a Content-Length too, which net/http drops without a word, a proxy in front may have
// gone by that one, and what follows could be a request that it never saw (RFC 9112 §6.1).
func unambiguous(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor == 1 && len(r.TransferEncoding) > 0 {
			w.Header().Set("Connection", "close")
		}
		next.ServeHTTP(w, r)
	})
}

// newHTTPServer returns a server with limits on what a caller may take his time with.
// There is no limit on the whole of a request, for an instance may have gigabytes:
// bodies may take as long as they make progress (steadyBody, and package dicomweb for
// answers).
func newHTTPServer(c *Config, h http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           unambiguous(h),
		ReadHeaderTimeout: time.Duration(c.Limits.HeaderTime),
		IdleTimeout:       time.Duration(c.Limits.Idle),
		MaxHeaderBytes:    int(c.Limits.Header),
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug), // failed handshakes, mostly
	}
}

// httpTLS returns the TLS configuration of HTTPS, nil without a certificate.
func httpTLS(c *Config, log *slog.Logger) (*tls.Config, error) {
	if c.TLS.Cert == "" {
		return nil, nil
	}
	cert, err := ul.LoadCertificate(c.TLS.Cert, c.TLS.Key, logReload(log))
	if err != nil {
		return nil, err
	}
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		GetCertificate: cert.GetCertificate,
		NextProtos:     []string{"h2", "http/1.1"},
	}, nil
}

func logReload(log *slog.Logger) func(error) {
	return func(err error) {
		log.Error("a changed certificate can't be read; the last good one stays in use", slog.Any("error", err))
	}
}

// limitedListener lets a number of connections be open at once. Further ones wait in
// the queue of the operating system.
type limitedListener struct {
	net.Listener
	places chan struct{}
	closed chan struct{}
	once   sync.Once
}

func limitListener(ln net.Listener, n int) net.Listener {
	return &limitedListener{Listener: ln, places: make(chan struct{}, n), closed: make(chan struct{})}
}

// Accept implements net.Listener.
func (l *limitedListener) Accept() (net.Conn, error) {
	select {
	case l.places <- struct{}{}:
	case <-l.closed:
		return nil, net.ErrClosed
	}
	c, err := l.Listener.Accept()
	if err != nil {
		<-l.places
		return nil, err
	}
	return &limitedConn{Conn: c, leave: sync.OnceFunc(func() { <-l.places })}, nil
}

// Close implements net.Listener.
func (l *limitedListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

type limitedConn struct {
	net.Conn
	leave func()
}

// Close implements net.Conn.
func (c *limitedConn) Close() error {
	defer c.leave()
	return c.Conn.Close()
}

// ReadFrom keeps the way open for sendfile.
func (c *limitedConn) ReadFrom(r io.Reader) (int64, error) {
	if rf, ok := c.Conn.(io.ReaderFrom); ok {
		return rf.ReadFrom(r)
	}
	return io.Copy(struct{ io.Writer }{c.Conn}, r)
}

// steady makes sure that a request's body arrives at all: a caller who sends nothing
// for the given time is cut off. That includes what the server reads only to throw it
// away, as behind a 401.
func steady(stall time.Duration, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Body != nil && r.Body != http.NoBody {
			b := &steadyBody{ReadCloser: r.Body, control: http.NewResponseController(w), stall: stall}
			b.extend(time.Now())
			r.Body = b
		}
		next.ServeHTTP(w, r)
	})
}

type steadyBody struct {
	io.ReadCloser
	control *http.ResponseController
	stall   time.Duration
	set     time.Time
}

// Read implements io.Reader. The deadline is moved at most once a second: doing it for
// each read would cost more than it is worth. It is never moved behind the end of the
// body, since from there on the connection is watched for the caller's leaving.
func (b *steadyBody) Read(p []byte) (int, error) {
	if now := time.Now(); now.Sub(b.set) > time.Second {
		b.extend(now)
	}
	return b.ReadCloser.Read(p)
}

func (b *steadyBody) extend(now time.Time) {
	b.set = now
	_ = b.control.SetReadDeadline(now.Add(b.stall)) // every connection of net/http has deadlines
}
