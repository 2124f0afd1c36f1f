package dicomweb

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/textproto"
	"strings"
	"sync"
)

const (
	// partsBuffer is how much of a multipart body is looked at at once. The boundary is
	// searched in it at the speed of memory, and sockets are read in large pieces.
	partsBuffer = 256 << 10
	// maxPartHeader bounds the header of one part in bytes.
	maxPartHeader = 16 << 10
	// maxBoundary is more lenient than RFC 2046 §5.1.1, which allows 70 characters.
	maxBoundary = 200
	// maxPreamble bounds what may stand before the first part.
	maxPreamble = 64 << 10
)

var (
	errNoBoundary = &requestError{http.StatusBadRequest, "the multipart body has no boundary that can be used"}
	errNoParts    = &requestError{http.StatusBadRequest, "the body does not begin with its boundary"}
	errPartHeader = &requestError{http.StatusBadRequest, "the header of a part is malformed or too long"}
)

// partsReader splits a multipart body (RFC 2046 §5.1) into its parts. It is like
// mime/multipart, but reads in large pieces, bounds what stands before values, and does
// not hold them.
type partsReader struct {
	r         io.Reader
	pooled    *[]byte
	buf       []byte     // *pooled
	start     int        // what was read and not consumed is buf[start:end]
	end       int        //
	delimiter []byte     // CRLF, two hyphens, boundary
	skip      [256]uint8 // how far the delimiter can be moved when this byte is at its end
	ready     int        // so many bytes at start belong to the current part
	bounded   bool       // behind them comes a delimiter
	err       error      // of r
	done      bool       // the closing delimiter was seen
}

// partsBuffers recycles buffers between requests.
var partsBuffers = sync.Pool{New: func() any { b := make([]byte, partsBuffer); return &b }}

// newParts begins to read a body. close must be called in the end.
func newParts(r io.Reader, boundary string) (*partsReader, error) {
	if boundary == "" || len(boundary) > maxBoundary || strings.ContainsAny(boundary, "\r\n\x00") {
		return nil, errNoBoundary
	}
	p := &partsReader{r: r, pooled: partsBuffers.Get().(*[]byte), delimiter: []byte("\r\n--" + boundary)}
	p.buf = *p.pooled
	p.prepareSearch()
	// The first delimiter may lack the line end before it.
	p.end = copy(p.buf, "\r\n")
	if err := p.skipPreamble(); err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

// close gives the buffer back.
func (p *partsReader) close() {
	if p.pooled != nil {
		partsBuffers.Put(p.pooled)
		p.pooled, p.buf = nil, nil
	}
}

// skipPreamble goes to the first delimiter.
func (p *partsReader) skipPreamble() error {
	for skipped := 0; ; {
		err := p.scan()
		skipped += p.ready
		p.consume(p.ready)
		switch {
		case err != nil && (errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)), skipped > maxPreamble:
			return errNoParts
		case err != nil:
			return err
		case p.bounded:
			return nil
		}
	}
}

// next goes to the next part, skipping what is left of the current one. It returns
// io.EOF after the last part.
func (p *partsReader) next() (*part, error) {
	for !p.bounded || p.ready > 0 {
		p.consume(p.ready)
		if p.bounded {
			break
		}
		if err := p.scan(); err != nil {
			return nil, err
		}
	}
	if p.done {
		return nil, io.EOF
	}
	p.consume(len(p.delimiter))
	p.bounded = false
	line, err := p.line()
	if err != nil {
		return nil, err
	}
	if bytes.HasPrefix(line, []byte("--")) {
		p.done, p.bounded = true, true
		return nil, io.EOF
	}
	if len(bytes.TrimRight(line, " \t")) > 0 {
		return nil, errPartHeader
	}
	return p.header()
}

// header reads the header of a part.
func (p *partsReader) header() (*part, error) {
	one := &part{parts: p}
	for size := 0; ; {
		line, err := p.line()
		if err != nil {
			return nil, err
		}
		if len(line) == 0 {
			break
		}
		if size += len(line); size > maxPartHeader {
			return nil, errPartHeader
		}
		name, value, ok := bytes.Cut(line, []byte{':'})
		if !ok {
			return nil, errPartHeader
		}
		switch textproto.CanonicalMIMEHeaderKey(string(bytes.TrimSpace(name))) {
		case "Content-Type":
			one.contentType = string(bytes.TrimSpace(value))
		case "Content-Location":
			one.location = string(bytes.TrimSpace(value))
		}
	}
	p.emptyPart()
	return one, nil
}

// emptyPart recognises a delimiter directly behind a header: the line end that ended the
// header then belongs to it.
func (p *partsReader) emptyPart() {
	if p.start < 2 {
		return // the line had no CR
	}
	p.start -= 2
	for p.delimits(p.buf[p.start:p.end]) == unknown {
		p.fill()
	}
	if p.delimits(p.buf[p.start:p.end]) == no {
		p.start += 2
	}
}

// line consumes a line of a header and returns it without its end.
func (p *partsReader) line() ([]byte, error) {
	for from := 0; ; {
		window := p.buf[p.start:p.end]
		if i := bytes.IndexByte(window[from:], '\n'); i >= 0 {
			i += from
			p.consume(i + 1)
			return bytes.TrimSuffix(window[:i], []byte{'\r'}), nil
		}
		// A closing delimiter may end the body without a line end.
		if p.err != nil {
			if errors.Is(p.err, io.EOF) && bytes.HasPrefix(window, []byte("--")) {
				p.consume(len(window))
				return window, nil
			}
			return nil, p.fault()
		}
		if from = len(window); from > maxPartHeader {
			return nil, errPartHeader
		}
		p.fill()
	}
}

// scan finds out how many of the next bytes belong to the current part. It makes ready
// or bounded progress, or is an error.
func (p *partsReader) scan() error {
	for {
		window := p.buf[p.start:p.end]
		at, found := p.find(window)
		switch {
		case found:
			p.ready, p.bounded = at, true
			return nil
		case at > 0:
			p.ready = at
			return nil
		case p.err != nil:
			return p.fault()
		}
		p.fill()
	}
}

// prepareSearch fills the table of the search after Horspool.
func (p *partsReader) prepareSearch() {
	n := len(p.delimiter)
	for i := range p.skip {
		p.skip[i] = uint8(n)
	}
	for i, c := range p.delimiter[:n-1] {
		p.skip[c] = uint8(n - 1 - i)
	}
}

// index finds the delimiter in the window, or is -1. It looks for its last byte with
// IndexByte, which takes many bytes at once, until that byte turns out to be frequent:
// images can hold any byte often. The first bytes, CR LF, are so in most.
func (p *partsReader) index(window []byte) int {
	n := len(p.delimiter)
	last := p.delimiter[n-1]
	for i, hits := n-1, 0; i < len(window); hits++ {
		if hits > 16+i/64 {
			return p.indexFrom(i, window)
		}
		next := bytes.IndexByte(window[i:], last)
		if next < 0 {
			return -1
		}
		if i += next; bytes.Equal(window[i-n+1:i+1], p.delimiter) {
			return i - n + 1
		}
		i += int(p.skip[last])
	}
	return -1
}

// indexFrom is index by Horspool's way, of delimiters that end at i or later: it looks at
// every byte at the end of the delimiter only, and most of them let it go on by its whole
// length.
func (p *partsReader) indexFrom(i int, window []byte) int {
	n := len(p.delimiter)
	last := p.delimiter[n-1]
	for i < len(window) {
		c := window[i]
		if c == last && bytes.Equal(window[i-n+1:i+1], p.delimiter) {
			return i - n + 1
		}
		i += int(p.skip[c])
	}
	return -1
}

// find looks for a delimiter. Without one, at is how many bytes can't be part of one.
func (p *partsReader) find(window []byte) (at int, found bool) {
	for from := 0; ; {
		i := p.index(window[from:])
		if i < 0 {
			return max(from, len(window)-len(p.delimiter)+1), false
		}
		i += from
		switch p.delimits(window[i:]) {
		case yes:
			return i, true
		case unknown:
			return i, false
		}
		from = i + 1
	}
}

type answer uint8

const (
	no answer = iota
	yes
	unknown
)

// delimits tells whether a delimiter begins here: the boundary must be followed by a
// line end, white space, or the two hyphens of the last one.
func (p *partsReader) delimits(window []byte) answer {
	n := len(p.delimiter)
	if len(window) < n+2 && p.err == nil {
		if bytes.HasPrefix(p.delimiter, window[:min(n, len(window))]) {
			return unknown
		}
		return no
	}
	if !bytes.HasPrefix(window, p.delimiter) {
		return no
	}
	switch rest := window[n:]; {
	case len(rest) > 0 && (rest[0] == '\r' || rest[0] == '\n' || rest[0] == ' ' || rest[0] == '\t'):
		return yes
	case len(rest) > 1 && rest[0] == '-' && rest[1] == '-':
		return yes
	}
	return no
}

func (p *partsReader) consume(n int) {
	p.start += n
	p.ready = max(0, p.ready-n)
}

// fill reads more, moving what is there to the front of the buffer.
func (p *partsReader) fill() {
	if p.err != nil {
		return
	}
	if p.start > 0 {
		p.end = copy(p.buf, p.buf[p.start:p.end])
		p.start = 0
	}
	for range 100 { // readers that give nothing a hundred times are broken
		n, err := p.r.Read(p.buf[p.end:])
		p.end += n
		p.err = err
		if n > 0 || err != nil {
			return
		}
	}
	p.err = io.ErrNoProgress
}

// fault is the error of a body that ended where it must not.
func (p *partsReader) fault() error {
	if errors.Is(p.err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return p.err
}

// part is one part of a multipart body. It may be read by another goroutine than the
// one that calls next, as long as one waits for the other.
type part struct {
	parts       *partsReader
	contentType string
	location    string
	err         error  // reading is over
	over        func() // called once when reading is over, if set
}

// Read implements io.Reader.
func (p *part) Read(b []byte) (int, error) {
	if p.err != nil {
		return 0, p.err
	}
	m := p.parts
	if m.ready == 0 {
		if m.bounded {
			return 0, p.end(io.EOF)
		}
		if err := m.scan(); err != nil {
			return 0, p.end(err)
		}
		if m.ready == 0 {
			return 0, p.end(io.EOF)
		}
	}
	n := copy(b, m.buf[m.start:m.start+m.ready])
	m.consume(n)
	return n, nil
}

// WriteTo implements io.WriterTo, without a buffer of its own.
func (p *part) WriteTo(w io.Writer) (int64, error) {
	var total int64
	m := p.parts
	for p.err == nil {
		if m.ready == 0 && !m.bounded {
			if err := m.scan(); err != nil {
				return total, p.end(err)
			}
		}
		if m.ready == 0 {
			_ = p.end(io.EOF)
			break
		}
		n, err := w.Write(m.buf[m.start : m.start+m.ready])
		m.consume(n)
		total += int64(n)
		if err != nil {
			return total, err
		}
	}
	if !errors.Is(p.err, io.EOF) {
		return total, p.err
	}
	return total, nil
}

// end notes that nothing more comes.
func (p *part) end(err error) error {
	p.err = err
	if p.over != nil {
		p.over()
	}
	return err
}
