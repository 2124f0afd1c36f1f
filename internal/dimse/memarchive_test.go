package dimse

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"iter"
	"sort"
	"sync"
	"time"

	"pharos/internal/access"
	"pharos/internal/archive"
	"pharos/internal/dicom"
	"pharos/internal/dicom/dict"
	"pharos/internal/index"
)

// memArchive is an archive of a few small instances. It matches as the real ones do,
// through package index.
type memArchive struct {
	mu      sync.Mutex
	stored  []*memInstance
	storing func(*archive.Incoming) error // if set, asked before an instance is kept
}

type memInstance struct {
	ref     dicom.Ref
	class   dicom.UID
	syntax  dicom.UID
	source  string
	dataset int64
	file    []byte
	header  *dicom.Dataset
}

func (a *memArchive) Store(_ context.Context, in *archive.Incoming, _ access.AlbumID) (archive.Receipt, error) {
	if a.storing != nil {
		if err := a.storing(in); err != nil {
			return archive.Receipt{}, err
		}
	}
	var file bytes.Buffer
	if _, err := in.WriteTo(&file); err != nil {
		return archive.Receipt{}, err
	}
	i := &memInstance{
		ref: in.Ref, class: in.SOPClass, syntax: in.TransferSyntax, source: in.Source,
		dataset: in.DatasetOffset(), file: file.Bytes(), header: in.Header(),
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, old := range a.stored {
		if old.ref.Instance != i.ref.Instance {
			continue
		}
		if bytes.Equal(old.file[old.dataset:], i.file[i.dataset:]) {
			return archive.Receipt{Ref: i.ref, Duplicate: true}, nil
		}
		return archive.Receipt{}, archive.ErrConflict
	}
	a.stored = append(a.stored, i)
	return archive.Receipt{Ref: i.ref, Size: int64(len(i.file))}, nil
}

func (a *memArchive) empty() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.stored = nil
}

func (a *memArchive) instances(ref dicom.Ref) []*memInstance {
	a.mu.Lock()
	defer a.mu.Unlock()
	var found []*memInstance
	for _, i := range a.stored {
		if (ref.Study == "" || ref.Study == i.ref.Study) && (ref.Series == "" || ref.Series == i.ref.Series) &&
			(ref.Instance == "" || ref.Instance == i.ref.Instance) {
			found = append(found, i)
		}
	}
	sort.SliceStable(found, func(x, y int) bool { return found[x].number() < found[y].number() })
	return found
}

func (a *memArchive) Query(ctx context.Context, q archive.Query, in access.Scope) iter.Seq2[*dicom.Dataset, error] {
	matcher, selection := index.NewMatcher(q), index.NewSelection(q)
	return func(yield func(*dicom.Dataset, error) bool) {
		if in.Empty() {
			return
		}
		seen := map[dicom.UID]bool{}
		for _, i := range a.instances(q.Ref) {
			if unique := i.unique(q.Level); seen[unique] || !matcher.Matches(i.header) {
				continue
			} else {
				seen[unique] = true
			}
			if ctx.Err() != nil || !yield(i.selected(selection), ctx.Err()) {
				return
			}
		}
	}
}

func (i *memInstance) unique(l archive.Level) dicom.UID { return i.header.UID(uniqueKeys[l]) }

func (i *memInstance) selected(s *index.Selection) *dicom.Dataset {
	d := dicom.NewDataset()
	d.SetText(dict.SpecificCharacterSet, dict.CS, utf8)
	for e := range i.header.All() {
		if s.Has(e.Tag) {
			put(d, i.header, e)
		}
	}
	return d
}

func (a *memArchive) Retrieve(_ context.Context, ref dicom.Ref, in access.Scope) iter.Seq2[archive.Instance, error] {
	return func(yield func(archive.Instance, error) bool) {
		found := a.instances(ref)
		if len(found) == 0 || in.Empty() {
			yield(nil, archive.ErrNotFound)
			return
		}
		for _, i := range found {
			if !yield(i, nil) {
				return
			}
		}
	}
}

func (a *memArchive) Metadata(context.Context, dicom.Ref, access.Scope) iter.Seq2[archive.Metadata, error] {
	return func(yield func(archive.Metadata, error) bool) { yield(archive.Metadata{}, errors.ErrUnsupported) }
}

func (a *memArchive) Delete(context.Context, dicom.Ref, access.Scope) (int, error) {
	return 0, errors.ErrUnsupported
}

func (i *memInstance) Ref() dicom.Ref            { return i.ref }
func (i *memInstance) SOPClass() dicom.UID       { return i.class }
func (i *memInstance) TransferSyntax() dicom.UID { return i.syntax }
func (i *memInstance) Size() int64               { return int64(len(i.file)) }
func (i *memInstance) DatasetOffset() int64      { return i.dataset }
func (i *memInstance) Digest() [32]byte          { return sha256.Sum256(i.file) }
func (i *memInstance) Received() time.Time       { return time.Time{} }
func (i *memInstance) Frames() int               { return 0 }

func (i *memInstance) number() int64 {
	n, _ := i.header.Int(dict.InstanceNumber)
	return n
}

func (i *memInstance) Open(_ context.Context, off, n int64) (io.ReadCloser, error) {
	if n < 0 {
		n = int64(len(i.file)) - off
	}
	return io.NopCloser(bytes.NewReader(i.file[off : off+n])), nil
}

func (i *memInstance) Header(context.Context) (*dicom.Dataset, error) { return i.header, nil }

func (i *memInstance) Frame(context.Context, int) (archive.Value, error) {
	return archive.Value{}, archive.ErrNotFound
}

func (i *memInstance) Bulk(context.Context, string) (archive.Value, error) {
	return archive.Value{}, archive.ErrNotFound
}

func (i *memInstance) Verify(context.Context) error {
	_, _, err := dicom.ReadFile(bytes.NewReader(i.file), dicom.Limits{})
	return err
}
