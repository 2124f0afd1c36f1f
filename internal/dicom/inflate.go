package dicom

import (
	"compress/flate"
	"errors"
	"io"
	"math"
)

// maxRatio is more than deflate can reach (1,032 : 1), so that exceeding it means that
// the inflater is not doing what it is thought to do.
const maxRatio = 1100

// inflater is the data set behind a deflated one (PS3.5 §A.5). The deflated bytes,
// and the padding behind them, are consumed from raw and reach its tee unchanged.
type inflater struct {
	raw   *input
	z     io.ReadCloser
	first int64 // offset of the first deflated byte
	n     int64 // bytes inflated so far
	limit int64
	err   error
}

func newInflater(raw *input, limit int64) *inflater {
	return &inflater{raw: raw, z: flate.NewReader(raw), first: raw.offset(), limit: limit}
}

// Read inflates. It gives ErrTooLarge behind the limit.
func (f *inflater) Read(p []byte) (int, error) {
	if f.err != nil {
		return 0, f.err
	}
	n, err := f.z.Read(p)
	f.n += int64(n)
	switch {
	case f.n > f.limit || f.n/maxRatio > f.raw.offset()-f.first:
		f.err = ErrTooLarge
	case errors.Is(err, io.EOF):
		f.err = f.drain()
	case err != nil:
		f.err = f.reason(err)
	}
	return n, f.err
}

// drain consumes what follows the deflated stream, so that the tee gets all of it.
func (f *inflater) drain() error {
	if f.raw.tee == nil {
		return io.EOF // nobody wants the rest, and a Skipper can't pass over an unknown length
	}
	err := f.raw.skip(math.MaxInt64)
	if f.raw.fault == nil && errors.Is(f.raw.err, io.EOF) {
		return io.EOF
	}
	return err
}

// reason translates an error of the inflater.
func (f *inflater) reason(err error) error {
	var corrupt flate.CorruptInputError
	switch {
	case f.raw.fault != nil:
		return f.raw.fault
	case errors.As(err, &corrupt):
		return ErrMalformed
	case errors.Is(err, io.ErrUnexpectedEOF):
		return ErrTruncated
	}
	return err
}
