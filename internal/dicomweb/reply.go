package dicomweb

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/klauspost/compress/gzip"

	"pharos/internal/archive"
)

// errClientGone wraps every failure to write an answer: nobody needs to hear of it.
var errClientGone = errors.New("the client is gone")

// reply is a ResponseWriter that knows whether an answer has begun, and that gives up
// on a client that does not read.
type reply struct {
	http.ResponseWriter
	ctx     context.Context
	control *http.ResponseController
	idle    time.Duration
	head    bool // a HEAD request: no body
	begun   bool
}

func newReply(w http.ResponseWriter, r *http.Request, idle time.Duration) *reply {
	return &reply{ResponseWriter: w, ctx: r.Context(), control: http.NewResponseController(w), idle: idle, head: r.Method == http.MethodHead}
}

// Unwrap lets http.ResponseController reach the connection.
func (w *reply) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// WriteHeader implements http.ResponseWriter.
func (w *reply) WriteHeader(status int) {
	w.begun = true
	w.ResponseWriter.WriteHeader(status)
}

// Write sends b. The client has the idle time to take it.
func (w *reply) Write(b []byte) (int, error) {
	if err := w.ctx.Err(); err != nil {
		return 0, errClientGone
	}
	w.begun = true
	// Not every ResponseWriter has deadlines; those of net/http do.
	_ = w.control.SetWriteDeadline(time.Now().Add(w.idle))
	n, err := w.ResponseWriter.Write(b)
	if err != nil {
		err = errClientGone
	}
	return n, err
}

// bodySize is the size of the buffer between an instance and the socket. It is what
// makes few system calls of many small parts.
const bodySize = 256 << 10

// body buffers the body of an answer. Everything goes through it, part headers and
// values alike, so that the socket sees large writes only.
type body struct {
	*bufio.Writer
	w *reply
}

// bodyBuffers recycles buffers between requests.
var bodyBuffers = sync.Pool{New: func() any { return bufio.NewWriterSize(nil, bodySize) }}

// newBody begins a body. close must be called when it is done, whatever happened.
func newBody(w *reply) *body {
	b := bodyBuffers.Get().(*bufio.Writer)
	b.Reset(w)
	return &body{b, w}
}

// close gives the buffer back. What is in it is lost unless Flush was called.
func (b *body) close() {
	b.Writer.Reset(nil)
	bodyBuffers.Put(b.Writer)
	b.Writer = nil
}

// copyValue copies exactly n bytes of r, which it closes: a shorter value would shift
// everything behind it.
func (b *body) copyValue(r io.ReadCloser, n int64) error {
	copied, err := b.ReadFrom(r)
	if closeErr := r.Close(); err == nil {
		err = closeErr
	}
	if err == nil && copied != n {
		err = io.ErrUnexpectedEOF
		if copied > n {
			err = errors.New("dicomweb: a value is longer than it should be")
		}
		err = internal{err}
	}
	return err
}

// internal keeps an error of ours from being taken for one of the request.
type internal struct{ err error }

func (e internal) Error() string { return e.err.Error() }

// ours marks an error of the archive as internal, unless the thing is gone.
func ours(err error) error {
	if err == nil || errors.Is(err, archive.ErrNotFound) || errors.Is(err, errClientGone) {
		return err
	}
	return internal{err}
}

// document begins an answer of text, JSON or XML: compressed if the client accepts that.
// The returned function ends it and must be called with the error of what was written.
func (w *reply) document(r *http.Request, contentType string, status int) (io.Writer, func(error) error) {
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Add("Vary", "Accept, Accept-Encoding")
	b := newBody(w)
	if !acceptsGzip(r.Header.Values("Accept-Encoding")) {
		w.startDocument(status)
		return b, func(err error) error { return b.finish(err) }
	}
	h.Set("Content-Encoding", "gzip")
	w.startDocument(status)
	z := gzipWriters.Get().(*gzip.Writer)
	z.Reset(b)
	return z, func(err error) error {
		if err == nil {
			err = z.Close()
		}
		z.Reset(nil)
		gzipWriters.Put(z)
		return b.finish(err)
	}
}

// whole answers 200 with a document that is all there: by its size and in one write, unless
// it is to be compressed.
func (w *reply) whole(r *http.Request, contentType string, text []byte) error {
	if acceptsGzip(r.Header.Values("Accept-Encoding")) {
		out, finish := w.document(r, contentType, http.StatusOK)
		_, err := out.Write(text)
		return finish(err)
	}
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.Itoa(len(text)))
	h.Add("Vary", "Accept, Accept-Encoding")
	if w.head {
		return nil
	}
	_, err := w.Write(text)
	return err
}

// startDocument sets a status other than 200; that one is left to the first write, so
// that a failure before it can still be told.
func (w *reply) startDocument(status int) {
	if status != http.StatusOK {
		w.WriteHeader(status)
	}
}

// finish flushes unless there was an error.
func (b *body) finish(err error) error {
	defer b.close()
	if err != nil {
		return err
	}
	return b.Flush()
}

var gzipWriters = sync.Pool{New: func() any {
	z, err := gzip.NewWriterLevel(nil, gzip.BestSpeed)
	if err != nil {
		panic(err) // the level is a constant
	}
	return z
}}

// acceptsGzip reads Accept-Encoding (RFC 9110 §12.5.3).
func acceptsGzip(fields []string) bool {
	accepts := false
	for _, f := range fields {
		for coding := range strings.SplitSeq(f, ",") {
			name, params, _ := strings.Cut(coding, ";")
			switch strings.ToLower(strings.TrimSpace(name)) {
			case "gzip", "x-gzip":
				return !refused(params)
			case "*":
				accepts = !refused(params)
			}
		}
	}
	return accepts
}

// refused reports whether parameters hold q=0.
func refused(params string) bool {
	name, value, _ := strings.Cut(strings.TrimSpace(params), "=")
	if !strings.EqualFold(strings.TrimSpace(name), "q") {
		return false
	}
	q, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
	return err == nil && q == 0
}
