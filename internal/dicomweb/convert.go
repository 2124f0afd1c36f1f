package dicomweb

import (
	"context"
	"errors"
	"io"

	"pharos/internal/archive"
	"pharos/internal/dicom"
)

// convertible reports whether an instance can be sent in another transfer syntax than
// the one it is stored in: from any native one into explicit or implicit VR little
// endian. Both leave the pixels as they are.
func convertible(stored, wanted dicom.UID) bool {
	if wanted != dicom.ExplicitVRLittleEndian && wanted != dicom.ImplicitVRLittleEndian {
		return false
	}
	from := dicom.SyntaxOf(stored)
	return from.Known && !from.Encapsulated
}

// convert writes the instance as a PS3.10 file in another native transfer syntax. Long
// values are copied from the stored file while it is written.
func convert(ctx context.Context, w io.Writer, inst archive.Instance, syntax dicom.UID) error {
	header, err := inst.Header(ctx)
	if err != nil {
		return ours(err)
	}
	meta := dicom.NewFileMeta(inst.SOPClass(), inst.Ref().Instance, syntax)
	return ours(dicom.WriteFile(w, meta, header, sourceOf(ctx, inst)))
}

// sourceOf gives the long values of a stored native instance, in its own byte order.
func sourceOf(ctx context.Context, inst archive.Instance) dicom.Source {
	if dicom.SyntaxOf(inst.TransferSyntax()).Deflated {
		return func(r dicom.Range) (io.ReadCloser, error) { return openInflated(ctx, inst, r) }
	}
	return func(r dicom.Range) (io.ReadCloser, error) { return inst.Open(ctx, r.Offset, r.Length) }
}

// openInflated opens a range of a deflated data set, whose offsets count inflated bytes.
// It inflates from the beginning, there being no other way.
func openInflated(ctx context.Context, inst archive.Instance, r dicom.Range) (io.ReadCloser, error) {
	file, err := inst.Open(ctx, inst.DatasetOffset(), -1)
	if err != nil {
		return nil, err
	}
	inflated := dicom.Inflate(file, dicom.Limits{})
	if _, err := io.CopyN(io.Discard, inflated, r.Offset-inst.DatasetOffset()); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return closing{io.LimitReader(inflated, r.Length), file}, nil
}

// closing reads from one thing and closes another.
type closing struct {
	io.Reader
	io.Closer
}

// swapped reverses the bytes of each unit of r; r itself when there is nothing to swap.
func swapped(r io.ReadCloser, unit int) io.ReadCloser {
	if unit < 2 {
		return r
	}
	return closing{&swapReader{r: r, unit: unit}, r}
}

// swapReader reads whole units only, so that none is cut between two reads.
type swapReader struct {
	r    io.Reader
	unit int
	rest []byte // swapped bytes of a unit that the last read had no room for
}

// Read implements io.Reader.
func (s *swapReader) Read(p []byte) (int, error) {
	if len(s.rest) > 0 {
		n := copy(p, s.rest)
		s.rest = s.rest[n:]
		return n, nil
	}
	if len(p) < s.unit {
		one := make([]byte, s.unit)
		n, err := s.Read(one)
		s.rest = one[:n]
		if n == 0 {
			return 0, err
		}
		return s.Read(p)
	}
	n, err := io.ReadFull(s.r, p[:len(p)-len(p)%s.unit])
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = nil
	}
	swap(p[:n], s.unit)
	return n, err
}

// swap reverses each unit in b; bytes at the end that make no unit stay.
func swap(b []byte, unit int) {
	for ; len(b) >= unit; b = b[unit:] {
		for i, j := 0, unit-1; i < j; i, j = i+1, j-1 {
			b[i], b[j] = b[j], b[i]
		}
	}
}
