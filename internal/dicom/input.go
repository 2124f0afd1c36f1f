package dicom

import (
	"errors"
	"io"
	"sync"
)

const (
	bufferSize = 64 << 10
	// minRead is the least free space worth a read. With less, what is left of the
	// window moves to the front of the buffer first.
	minRead = 16 << 10
)

// buffers holds the windows of inputs that were read to their end.
var buffers = sync.Pool{New: func() any { return new([bufferSize]byte) }}

// Skipper is implemented by sources that can pass over bytes without reading them, as
// a file on disk or in a bucket can. Long values that nobody wants are skipped so.
type Skipper interface {
	// Skip passes over n bytes. ErrTruncated when there are fewer.
	Skip(n int64) error
}

// input is a window on a stream. Bytes are looked at, then consumed; what is consumed
// goes to tee, late and in large slices.
type input struct {
	r     io.Reader
	tee   io.Writer
	array *[bufferSize]byte // what buf is a slice of
	buf   []byte
	start int64 // offset of buf[0] in the stream
	pos   int   // consumed to here
	end   int   // read to here
	teed  int   // written to tee to here; not kept up to date without tee
	err   error // of r, io.EOF included; sticky
	fault error // of tee; sticky
}

func newInput(r io.Reader, start int64, tee io.Writer) *input {
	array := buffers.Get().(*[bufferSize]byte)
	return &input{r: r, tee: tee, array: array, buf: array[:], start: start}
}

// release gives the buffer back. After that the input is at its end.
func (in *input) release() {
	if in.array == nil {
		return
	}
	in.start += int64(in.pos)
	in.pos, in.end, in.teed = 0, 0, 0
	buffers.Put(in.array)
	in.array, in.buf = nil, nil
	if in.err == nil {
		in.err = io.EOF
	}
}

// offset is that of the first byte that is not consumed.
func (in *input) offset() int64 { return in.start + int64(in.pos) }

// peek returns the next n bytes without consuming them, n being at most bufferSize;
// fewer only where the stream ends or fails. They are valid until the next call.
func (in *input) peek(n int) []byte {
	if in.end-in.pos < n {
		in.fill(n)
	}
	return in.buf[in.pos:min(in.pos+n, in.end)]
}

// take consumes n bytes that were peeked at.
func (in *input) take(n int) { in.pos += n }

// fill reads until n bytes are in the window or the stream ends.
func (in *input) fill(n int) {
	if in.buf == nil {
		return
	}
	if free := len(in.buf) - in.end; free < minRead || len(in.buf)-in.pos < n {
		in.compact()
	}
	for idle := 0; in.end-in.pos < n && in.err == nil; {
		k, err := in.r.Read(in.buf[in.end:])
		in.end += k
		in.err = err
		if idle++; k > 0 {
			idle = 0
		}
		if idle == 100 {
			in.err = io.ErrNoProgress
		}
	}
}

// compact moves the window to the front of the buffer.
func (in *input) compact() {
	in.flush()
	n := copy(in.buf, in.buf[in.pos:in.end])
	in.start += int64(in.pos)
	in.pos, in.end, in.teed = 0, n, 0
}

// flush writes what is consumed and not yet written to tee.
func (in *input) flush() {
	if in.tee != nil && in.teed < in.pos && in.fault == nil {
		_, in.fault = in.tee.Write(in.buf[in.teed:in.pos])
	}
	in.teed = in.pos
}

// setTee writes what is due to the old tee and starts the new one here.
func (in *input) setTee(w io.Writer) {
	in.flush()
	in.tee = w
}

// skip consumes n bytes, or as many as there are: then it returns why.
func (in *input) skip(n int64) error {
	for n > 0 {
		if in.pos == in.end {
			if source, ok := in.r.(Skipper); ok && in.tee == nil && n > bufferSize {
				return in.skipUnread(source, n)
			}
			in.fill(1)
			if in.pos == in.end {
				return in.ended()
			}
		}
		k := min(n, int64(in.end-in.pos))
		in.pos += int(k)
		n -= k
		if in.fault != nil {
			return in.fault
		}
	}
	return nil
}

// skipUnread passes over n bytes of which none is in the window.
func (in *input) skipUnread(source Skipper, n int64) error {
	if err := source.Skip(n); err != nil {
		in.err = err
		return err
	}
	in.start += int64(in.pos) + n
	in.pos, in.end, in.teed = 0, 0, 0
	return nil
}

// read consumes len(p) bytes into p. What does not fit the window is read straight
// into p.
func (in *input) read(p []byte) error {
	k := copy(p, in.buf[in.pos:in.end])
	in.pos += k
	p = p[k:]
	for len(p) > 0 && len(p) < bufferSize/2 {
		in.fill(1)
		if in.pos == in.end {
			return in.ended()
		}
		k := copy(p, in.buf[in.pos:in.end])
		in.pos += k
		p = p[k:]
	}
	if len(p) == 0 {
		return in.fault
	}
	return in.readDirect(p)
}

// readDirect reads into p past the buffer, which is empty.
func (in *input) readDirect(p []byte) error {
	in.flush()
	if in.err != nil {
		return in.ended()
	}
	n, err := io.ReadFull(in.r, p)
	if in.tee != nil && in.fault == nil && n > 0 {
		_, in.fault = in.tee.Write(p[:n])
	}
	in.start += int64(in.pos) + int64(n)
	in.pos, in.end, in.teed = 0, 0, 0
	if err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) {
			err = io.EOF
		}
		in.err = err
		return in.ended()
	}
	return in.fault
}

// ended is the error of a stream that ends where more was expected.
func (in *input) ended() error {
	switch {
	case in.fault != nil:
		return in.fault
	case in.err == nil || errors.Is(in.err, io.EOF):
		return ErrTruncated
	}
	return in.err
}

// Read and ReadByte make the input a source for the inflater. ReadByte keeps it from
// reading past the end of the deflated stream.
func (in *input) Read(p []byte) (int, error) {
	b := in.peek(1)
	if len(b) == 0 {
		return 0, in.err
	}
	n := copy(p, in.buf[in.pos:in.end])
	in.pos += n
	return n, in.fault
}

// ReadByte consumes one byte.
func (in *input) ReadByte() (byte, error) {
	if in.pos == in.end {
		in.fill(1)
		if in.pos == in.end {
			return 0, in.err
		}
	}
	b := in.buf[in.pos]
	in.pos++
	return b, in.fault
}
