package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"

	"pharos/internal/access"
	"pharos/internal/archive"
	"pharos/internal/blob"
	"pharos/internal/dicom"
	"pharos/internal/index"
)

// fragmented is implemented by volumes where a deletion can leave room that comes free
// only when the blobs around it move away.
type fragmented interface {
	Fragmented(ctx context.Context) iter.Seq2[blob.Info, error]
}

// Compact moves blobs that keep room from being freed, and returns how many it moved. It
// runs by itself after deletions.
func (a *Archive) Compact(ctx context.Context) (int, error) {
	moved := 0
	for name, store := range a.volumes {
		f, ok := store.(fragmented)
		if !ok {
			continue
		}
		for info, err := range f.Fragmented(ctx) {
			if err != nil {
				return moved, err
			}
			if err := a.move(ctx, index.Location{Volume: name, Key: info.Key}, info); err != nil {
				return moved, fmt.Errorf("archive: moving blob %s of volume %q: %w", info.Key, name, err)
			}
			moved++
		}
	}
	if moved > 0 {
		a.wantSweep()
	}
	return moved, nil
}

// move copies a blob within its volume and tells the index. Whoever was faster (a deletion,
// a replacement) wins, and the copy is thrown away.
func (a *Archive) move(ctx context.Context, from index.Location, info blob.Info) error {
	tell, err := a.owner(ctx, from, info)
	if err != nil || tell == nil {
		return err
	}
	flight := a.marks.begin()
	defer a.marks.settled(flight)
	to, err := a.copyBlob(ctx, from)
	if err != nil {
		return err
	}
	if from.Volume == a.receives {
		a.marks.committed(to.Key)
	}
	err = tell(to)
	if errors.Is(err, archive.ErrConflict) || errors.Is(err, archive.ErrNotFound) {
		a.discard(ctx, to)
		return nil
	}
	return err
}

// owner finds out what in the index names the blob and returns how to tell it of another
// location; nil when nothing does, so that moving is pointless.
func (a *Archive) owner(ctx context.Context, l index.Location, info blob.Info) (tell func(to index.Location) error, err error) {
	uid, gathered, err := a.identify(ctx, l, info)
	if err != nil {
		return nil, err
	}
	for e, err := range a.index.Locate(ctx, dicom.Ref{Instance: uid}, access.All()) {
		switch {
		case err != nil:
			return nil, err
		case gathered:
			return a.headersOwner(ctx, l, dicom.Ref{Study: e.Ref.Study, Series: e.Ref.Series})
		case e.Location == l:
			return func(to index.Location) error { return a.index.Relocate(ctx, uid, l, to) }, nil
		}
	}
	return nil, nil
}

func (a *Archive) headersOwner(ctx context.Context, l index.Location, series dicom.Ref) (func(index.Location) error, error) {
	for h, err := range a.index.Headers(ctx, series, access.All()) {
		if err != nil {
			return nil, err
		}
		if h.Location == l {
			return func(to index.Location) error {
				h.Location = to
				return a.index.SetHeaders(ctx, h)
			}, nil
		}
	}
	return nil, nil
}

// identify reads which instance a blob holds, or the first one of a series' headers.
func (a *Archive) identify(ctx context.Context, l index.Location, info blob.Info) (uid dicom.UID, gathered bool, err error) {
	store, err := a.store(l)
	if err != nil {
		return "", false, err
	}
	body, err := store.Open(ctx, l.Key, 0, -1)
	if err != nil {
		return "", false, err
	}
	defer body.Close() //nolint:errcheck // only read from
	_, err = readReceipt(ctx, store, info)
	if errors.Is(err, errNoReceipt) {
		for h, err := range readHeaders(body) {
			return h.instance, true, err
		}
		return "", true, nil
	}
	if err != nil {
		return "", false, err
	}
	in, err := archive.ReadIncoming(body)
	if err != nil {
		return "", false, err
	}
	return in.Ref.Instance, false, nil
}

// copyBlob writes the bytes of a blob again, receipt and all.
func (a *Archive) copyBlob(ctx context.Context, from index.Location) (index.Location, error) {
	store, err := a.store(from)
	if err != nil {
		return index.Location{}, err
	}
	body, err := store.Open(ctx, from.Key, 0, -1)
	if err != nil {
		return index.Location{}, err
	}
	defer body.Close() //nolint:errcheck // only read from
	w, err := store.Create(ctx)
	if err != nil {
		return index.Location{}, err
	}
	defer w.Abort() //nolint:errcheck // after Commit it does nothing, before it the cause is being returned
	if _, err := io.Copy(w, body); err != nil {
		return index.Location{}, err
	}
	info, err := w.Commit()
	return index.Location{Volume: from.Volume, Key: info.Key}, err
}
