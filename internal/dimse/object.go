package dimse

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"

	"pharos/internal/archive"
	"pharos/internal/dicom"
	"pharos/internal/dicom/dict"
)

// Object is an instance to be sent.
type Object struct {
	Kind
	Instance dicom.UID

	// Dataset opens the data set as it is encoded, without File Meta Information.
	Dataset func(context.Context) (io.ReadCloser, error)

	// Parts gives the elements, and the long values among them by their ranges, so that
	// the data set can be encoded anew. Nil when that is not possible.
	Parts func(context.Context) (*dicom.Dataset, dicom.Source, error)
}

// ObjectOf is a stored instance as an Object.
func ObjectOf(i archive.Instance) Object {
	return Object{
		Kind:     Kind{Class: i.SOPClass(), Syntax: i.TransferSyntax()},
		Instance: i.Ref().Instance,
		Dataset: func(ctx context.Context) (io.ReadCloser, error) {
			return i.Open(ctx, i.DatasetOffset(), -1)
		},
		Parts: func(ctx context.Context) (*dicom.Dataset, dicom.Source, error) {
			return partsOf(ctx, i.Open, i.DatasetOffset())
		},
	}
}

// headSize is how much of a file is looked at to learn what it is: enough for the File
// Meta Information, and for a head without one.
const headSize = 64 << 10

// ReadObject looks at the beginning of a PS3.10 file and leaves the rest to be read
// when the object is sent, once. Files without File Meta Information are recognised.
// Errors are those of dicom.Reader.
func ReadObject(r io.Reader) (Object, error) {
	br := bufio.NewReaderSize(r, headSize)
	head, err := br.Peek(headSize)
	if len(head) == 0 && err != nil {
		return Object{}, fmt.Errorf("dimse: read object: %w", err)
	}
	o, offset, err := identify(head)
	if err != nil {
		return Object{}, err
	}
	if _, err := br.Discard(int(offset)); err != nil {
		return Object{}, fmt.Errorf("dimse: read object: %w", err)
	}
	o.Dataset = func(context.Context) (io.ReadCloser, error) { return io.NopCloser(br), nil }
	return o, nil
}

// FileObject is a PS3.10 file of the given size as an Object, which can be sent several
// times and be encoded anew. r must stay open.
func FileObject(r io.ReaderAt, size int64) (Object, error) {
	head := make([]byte, min(size, headSize))
	if _, err := r.ReadAt(head, 0); err != nil && int64(len(head)) < size {
		return Object{}, fmt.Errorf("dimse: read object: %w", err)
	}
	o, offset, err := identify(head)
	if err != nil {
		return Object{}, err
	}
	open := func(_ context.Context, off, n int64) (io.ReadCloser, error) {
		if n < 0 {
			n = size - off
		}
		return io.NopCloser(io.NewSectionReader(r, off, n)), nil
	}
	o.Dataset = func(ctx context.Context) (io.ReadCloser, error) { return open(ctx, offset, -1) }
	o.Parts = func(ctx context.Context) (*dicom.Dataset, dicom.Source, error) { return partsOf(ctx, open, offset) }
	return o, nil
}

// identify reads class, instance and syntax from the beginning of a file, and where
// its data set begins. Where File Meta Information and data set disagree on the UIDs,
// the data set is right: receivers check the command against it.
func identify(head []byte) (o Object, offset int64, err error) {
	r := dicom.NewReader(bytes.NewReader(head), dicom.Limits{})
	defer r.Release()
	meta, err := r.Meta()
	if err != nil {
		return Object{}, 0, fmt.Errorf("dimse: read object: %w", err)
	}
	o = Object{Kind: Kind{Class: meta.SOPClass, Syntax: meta.TransferSyntax}, Instance: meta.SOPInstance}
	if d, err := r.ReadUntil(dict.SOPInstanceUID + 1); err == nil {
		o.Class = cmp.Or(d.UID(dict.SOPClassUID), o.Class)
		o.Instance = cmp.Or(d.UID(dict.SOPInstanceUID), o.Instance)
	}
	if !o.Class.Valid() || !o.Instance.Valid() {
		return Object{}, 0, fmt.Errorf("dimse: read object: %w: SOP class or instance UID is missing", archive.ErrInvalid)
	}
	return o, meta.Length, nil
}
