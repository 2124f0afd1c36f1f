package local

import (
	"context"
	"fmt"
	"io"
	"iter"
	"time"

	"pharos/internal/access"
	"pharos/internal/archive"
	"pharos/internal/blob"
	"pharos/internal/dicom"
	"pharos/internal/dicom/dict"
	"pharos/internal/index"
	"pharos/internal/pixeldata"
)

// headerLimits bound what reading the header of a stored instance may cost. Long values
// stay in the file.
var headerLimits = dicom.Limits{Value: 4 << 10, Pixels: -1, Memory: 64 << 20, Elements: 2_000_000}

// Retrieve implements archive.Archive.
func (a *Archive) Retrieve(ctx context.Context, ref dicom.Ref, in access.Scope) iter.Seq2[archive.Instance, error] {
	return func(yield func(archive.Instance, error) bool) {
		found := false
		for e, err := range a.index.Locate(ctx, ref, in) {
			if err != nil {
				yield(nil, err)
				return
			}
			found = true
			i, err := a.instance(e)
			if !yield(i, err) {
				return
			}
		}
		if !found {
			yield(nil, archive.ErrNotFound)
		}
	}
}

// Query implements archive.Archive.
func (a *Archive) Query(ctx context.Context, q archive.Query, in access.Scope) iter.Seq2[*dicom.Dataset, error] {
	return a.index.Query(ctx, q, in)
}

// instance implements archive.Instance on an entry of the index.
type instance struct {
	entry  index.Entry
	store  blob.Store
	layout pixeldata.Layout
}

var _ archive.Instance = (*instance)(nil)

func (a *Archive) instance(e index.Entry) (*instance, error) {
	store, err := a.store(e.Location)
	if err != nil {
		return nil, err
	}
	layout, err := pixeldata.Unpack(e.Layout)
	if err != nil {
		return nil, fmt.Errorf("archive: index entry of instance %s: %w", e.Ref.Instance, err)
	}
	return &instance{entry: e, store: store, layout: layout}, nil
}

func (i *instance) Ref() dicom.Ref            { return i.entry.Ref }
func (i *instance) SOPClass() dicom.UID       { return i.entry.SOPClass }
func (i *instance) TransferSyntax() dicom.UID { return i.entry.TransferSyntax }
func (i *instance) Size() int64               { return i.entry.Size }
func (i *instance) DatasetOffset() int64      { return i.layout.DatasetOffset }
func (i *instance) Digest() [32]byte          { return i.entry.Digest }
func (i *instance) Received() time.Time       { return i.entry.Received }
func (i *instance) Frames() int               { return i.layout.Frames() }

// Open keeps readers inside the file: behind it in the blob stands the receipt.
func (i *instance) Open(ctx context.Context, off, n int64) (io.ReadCloser, error) {
	left := max(0, i.entry.Size-off)
	if n < 0 || n > left {
		n = left
	}
	return i.store.Open(ctx, i.entry.Location.Key, off, n)
}

// Header implements archive.Instance.
func (i *instance) Header(ctx context.Context) (*dicom.Dataset, error) {
	file := newFile(ctx, i)
	defer file.Close() //nolint:errcheck // only read from
	_, header, err := dicom.ReadFile(file, headerLimits)
	if err != nil {
		return nil, fmt.Errorf("archive: header of instance %s: %w", i.entry.Ref.Instance, err)
	}
	return header, nil
}

// Verify implements archive.Instance.
func (i *instance) Verify(ctx context.Context) error {
	info, err := i.store.Stat(ctx, i.entry.Location.Key)
	if err != nil {
		return err
	}
	noted, err := readReceipt(ctx, i.store, info)
	if err != nil {
		return err
	}
	r, err := i.Open(ctx, 0, -1)
	if err != nil {
		return err
	}
	defer r.Close() //nolint:errcheck // only read from
	sum := newHashed(io.Discard, i.layout.DatasetOffset)
	n, err := io.Copy(sum, r)
	if err != nil {
		return err
	}
	if n != i.entry.Size || sum.digest() != i.entry.Digest || sum.head != noted.head {
		return fmt.Errorf("%w: instance %s is not what was received", blob.ErrCorrupt, i.entry.Ref.Instance)
	}
	return nil
}

// Frame implements archive.Instance.
func (i *instance) Frame(ctx context.Context, n int) (archive.Value, error) {
	ranges, shift, err := i.layout.Frame(n)
	if err != nil {
		return archive.Value{}, fmt.Errorf("%w: frame %d of %d", archive.ErrNotFound, n, i.Frames())
	}
	if shift != 0 || len(ranges) > 1 {
		return i.gather(ctx, ranges, shift)
	}
	return i.value(ctx, ranges[0], dict.OW)
}

// gather joins the fragments of a frame, leaving out the item headers between them, or
// moves the bits of a frame that begins inside a byte. Such frames are rare and
// small enough to be held in memory one at a time by a reader that is bounded by the
// span it was given.
func (i *instance) gather(ctx context.Context, ranges []dicom.Range, shift int) (archive.Value, error) {
	first, last := ranges[0], ranges[len(ranges)-1]
	span, err := i.open(ctx, dicom.Range{Offset: first.Offset, Length: last.End() - first.Offset})
	if err != nil {
		return archive.Value{}, err
	}
	v := archive.Value{VR: dict.OB}
	if shift != 0 {
		v.Length = (i.layout.FrameBits + 7) / 8
		v.ReadCloser = withCloser(io.LimitReader(pixeldata.ShiftBits(span, shift), v.Length), span)
		return v, nil
	}
	v.ReadCloser = withCloser(&joined{r: span, ranges: ranges, at: first.Offset}, span)
	for _, r := range ranges {
		v.Length += r.Length
	}
	return v, nil
}

// Bulk implements archive.Instance.
func (i *instance) Bulk(ctx context.Context, path string) (archive.Value, error) {
	if path == dict.PixelData.Hex() && !i.layout.Encapsulated() && i.layout.Pixels.Length > 0 {
		return i.value(ctx, i.layout.Pixels, dict.OW)
	}
	header, err := i.Header(ctx)
	if err != nil {
		return archive.Value{}, err
	}
	e := header.At(path)
	switch {
	case e == nil:
	case e.Bulk != nil:
		return i.value(ctx, *e.Bulk, e.VR)
	case len(e.Fragments) > 0:
		return i.value(ctx, i.layout.Pixels, dict.OB)
	case len(e.Items) == 0:
		return loaded(e), nil
	}
	return archive.Value{}, fmt.Errorf("%w: no value at %s", archive.ErrNotFound, path)
}

// value opens a range of the file.
func (i *instance) value(ctx context.Context, r dicom.Range, vr dicom.VR) (archive.Value, error) {
	body, err := i.open(ctx, r)
	if err != nil {
		return archive.Value{}, err
	}
	again := func(ctx context.Context, off, n int64) (io.ReadCloser, error) {
		part := dicom.Range{Offset: r.Offset + off, Length: max(0, r.Length-off)}
		if n >= 0 {
			part.Length = min(part.Length, n)
		}
		return i.open(ctx, part)
	}
	return archive.Value{ReadCloser: body, Length: r.Length, VR: vr, Open: again}, nil
}

// open reads a range as the header counts it: in the file, or in the inflated file when
// the data set is deflated. Then everything before the range has to be inflated.
func (i *instance) open(ctx context.Context, r dicom.Range) (io.ReadCloser, error) {
	if !dicom.SyntaxOf(i.entry.TransferSyntax).Deflated {
		return i.Open(ctx, r.Offset, r.Length)
	}
	body, err := i.Open(ctx, i.layout.DatasetOffset, -1)
	if err != nil {
		return nil, err
	}
	inflated := dicom.Inflate(body, headerLimits)
	if _, err := io.CopyN(io.Discard, inflated, r.Offset-i.layout.DatasetOffset); err != nil {
		_ = body.Close()
		return nil, err
	}
	return withCloser(io.LimitReader(inflated, r.Length), body), nil
}
