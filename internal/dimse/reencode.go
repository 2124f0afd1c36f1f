package dimse

import (
	"context"
	"fmt"
	"io"

	"pharos/internal/dicom"
)

// opener opens n bytes of a PS3.10 file from off; n < 0 to the end.
type opener func(ctx context.Context, off, n int64) (io.ReadCloser, error)

// reencode writes the data set of an object in another native transfer syntax than the
// one it is stored in (PS3.5 §10). Long values are copied, not loaded.
func reencode(ctx context.Context, w io.Writer, o Object, to dicom.UID) error {
	d, src, err := o.Parts(ctx)
	if err != nil {
		return fmt.Errorf("read data set to encode it anew: %w", err)
	}
	return dicom.WriteDataset(w, d, to, src)
}

// partsOf reads the elements of a PS3.10 file that begins its data set at offset. The
// file is read instead of an index's idea of it, since only the reader knows in which
// byte order the values lie.
func partsOf(ctx context.Context, open opener, offset int64) (*dicom.Dataset, dicom.Source, error) {
	file, err := open(ctx, 0, -1)
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = file.Close() }() // it was only read
	meta, d, err := dicom.ReadFile(file, dicom.Limits{})
	if err != nil {
		return nil, nil, err
	}
	if meta.Syntax.Deflated {
		return d, inflatedSource(ctx, open, offset), nil
	}
	return d, func(r dicom.Range) (io.ReadCloser, error) { return open(ctx, r.Offset, r.Length) }, nil
}

// inflatedSource reads ranges of a deflated data set. They count in what it inflates
// to, so each is reached by inflating from the start.
func inflatedSource(ctx context.Context, open opener, offset int64) dicom.Source {
	return func(r dicom.Range) (io.ReadCloser, error) {
		deflated, err := open(ctx, offset, -1)
		if err != nil {
			return nil, err
		}
		plain := dicom.Inflate(deflated, dicom.Limits{})
		if _, err := io.CopyN(io.Discard, plain, r.Offset-offset); err != nil {
			_ = deflated.Close() // the error at hand says more
			return nil, err
		}
		return readCloser{io.LimitReader(plain, r.Length), deflated}, nil
	}
}

type readCloser struct {
	io.Reader
	io.Closer
}
