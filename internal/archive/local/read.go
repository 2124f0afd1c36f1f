package local

import (
	"bytes"
	"context"
	"errors"
	"io"

	"pharos/internal/archive"
	"pharos/internal/dicom"
)

// firstRead is what a header is read with when nothing is known of its length.
const firstRead = 64 << 10

// file reads the PS3.10 file of an instance for somebody who will skip most of it. It
// opens ranges of the blob as they are needed: the header first, as long as the
// layout says, then whatever is read after a Skip.
type file struct {
	ctx  context.Context
	inst *instance
	at   int64
	body io.ReadCloser // nil when the next Read has to open a range
}

func newFile(ctx context.Context, i *instance) *file { return &file{ctx: ctx, inst: i} }

func (f *file) Read(p []byte) (int, error) {
	if f.at >= f.inst.entry.Size {
		return 0, io.EOF
	}
	if f.body == nil {
		n := int64(firstRead)
		if f.at == 0 {
			n = max(f.inst.layout.HeaderLength, 1)
		}
		body, err := f.inst.Open(f.ctx, f.at, n)
		if err != nil {
			return 0, err
		}
		f.body = body
	}
	n, err := f.body.Read(p)
	f.at += int64(n)
	if errors.Is(err, io.EOF) { // of the range only
		err = f.Close()
		if n == 0 && err == nil {
			return f.Read(p)
		}
	}
	return n, err
}

// Skip implements dicom.Skipper: the next Read opens another range.
func (f *file) Skip(n int64) error {
	if n > f.inst.entry.Size-f.at {
		return dicom.ErrTruncated
	}
	f.at += n
	return f.Close()
}

func (f *file) Close() error {
	if f.body == nil {
		return nil
	}
	body := f.body
	f.body = nil
	return body.Close()
}

// withCloser reads from r and closes c.
func withCloser(r io.Reader, c io.Closer) io.ReadCloser {
	return struct {
		io.Reader
		io.Closer
	}{r, c}
}

// joined reads the ranges of a span that begins at the first of them.
type joined struct {
	r      io.Reader
	ranges []dicom.Range
	at     int64
}

func (j *joined) Read(p []byte) (int, error) {
	for len(j.ranges) > 0 && j.at == j.ranges[0].End() {
		j.ranges = j.ranges[1:]
	}
	if len(j.ranges) == 0 {
		return 0, io.EOF
	}
	next := j.ranges[0]
	if gap := next.Offset - j.at; gap > 0 {
		if _, err := io.CopyN(io.Discard, j.r, gap); err != nil {
			return 0, err
		}
		j.at = next.Offset
	}
	n, err := j.r.Read(p[:min(int64(len(p)), next.End()-j.at)])
	j.at += int64(n)
	if errors.Is(err, io.EOF) && n > 0 {
		err = nil
	}
	return n, err
}

// loaded is the value of an element that is in memory.
func loaded(e *dicom.Element) archive.Value {
	again := func(_ context.Context, off, n int64) (io.ReadCloser, error) {
		part := e.Value[min(off, int64(len(e.Value))):]
		if n >= 0 {
			part = part[:min(n, int64(len(part)))]
		}
		return io.NopCloser(bytes.NewReader(part)), nil
	}
	return archive.Value{
		ReadCloser: io.NopCloser(bytes.NewReader(e.Value)),
		Length:     int64(len(e.Value)), VR: e.VR, Open: again,
	}
}
