package local

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"

	"pharos/internal/access"
	"pharos/internal/archive"
	"pharos/internal/blob"
	"pharos/internal/dicom"
	"pharos/internal/index"
	"pharos/internal/pixeldata"
)

// Store implements archive.Archive.
func (a *Archive) Store(ctx context.Context, in *archive.Incoming, to access.AlbumID) (archive.Receipt, error) {
	w, err := a.volumes[a.receives].Create(ctx)
	if err != nil {
		return archive.Receipt{}, storeError(err)
	}
	defer w.Abort() //nolint:errcheck // after Commit it does nothing, before it the cause is being returned

	file := newHashed(w, in.DatasetOffset())
	in.Gather(a.indexed)
	size, err := in.WriteTo(file)
	if err != nil {
		return archive.Receipt{}, storeError(err)
	}
	e := a.entry(in, size)
	e.Received, e.Source, e.Album = a.now(), in.Source, to
	e.Digest = file.digest()
	if _, err := w.Write(sealReceipt(&e, file.head)); err != nil {
		return archive.Receipt{}, storeError(err)
	}
	return a.commit(ctx, w, e)
}

// hashed passes a file on and takes the digest of its data set and the checksum of what
// stands before it. They are apart because senders of one data set write different File
// Meta Information.
type hashed struct {
	w    io.Writer
	left int64  // bytes still to come before the data set
	head uint32 // CRC-32C of those before it
	sum  hash.Hash
}

func newHashed(w io.Writer, dataset int64) *hashed {
	return &hashed{w: w, left: dataset, sum: sha256.New()}
}

func (h *hashed) Write(p []byte) (int, error) {
	n, err := h.w.Write(p)
	head := p[:min(int64(n), h.left)]
	h.left -= int64(len(head))
	h.head = crc32.Update(h.head, castagnoli, head)
	h.sum.Write(p[len(head):n])
	return n, err
}

func (h *hashed) digest() (d [32]byte) {
	h.sum.Sum(d[:0])
	return d
}

// indexed reports whether the index keeps the attribute.
func (a *Archive) indexed(tag dicom.Tag) bool {
	_, ok := a.keys.Lookup(tag)
	return ok
}

// entry is what the index is to know of an instance, from its header.
func (a *Archive) entry(in *archive.Incoming, size int64) index.Entry {
	layout := pixeldata.NewLayout(in.Header(), size)
	layout.DatasetOffset = in.DatasetOffset()
	return index.Entry{
		Ref: in.Ref, SOPClass: in.SOPClass, TransferSyntax: in.TransferSyntax,
		Size: size, Layout: layout.Pack(), Attributes: in.Header(),
	}
}

// commit makes the blob durable and the instance exist.
func (a *Archive) commit(ctx context.Context, w blob.Writer, e index.Entry) (archive.Receipt, error) {
	flight := a.marks.begin()
	defer a.marks.settled(flight)
	info, err := w.Commit()
	if err != nil {
		return archive.Receipt{}, storeError(err)
	}
	a.marks.committed(info.Key)
	e.Location = index.Location{Volume: a.receives, Key: info.Key}
	receipt, err := a.settle(ctx, e)
	if errors.Is(err, index.ErrLost) {
		return a.settleAgain(ctx, e)
	}
	return receipt, err
}

// settleAgain lets the index catch up first. That may commit the very blob in question.
func (a *Archive) settleAgain(ctx context.Context, e index.Entry) (archive.Receipt, error) {
	if err := a.catchUp(ctx); err != nil {
		return archive.Receipt{}, err
	}
	unnamed, err := a.index.Unknown(ctx, []index.Location{e.Location})
	if err != nil {
		return archive.Receipt{}, err
	}
	if len(unnamed) == 0 {
		return archive.Receipt{Ref: e.Ref, Size: e.Size, Digest: e.Digest}, nil
	}
	return a.settle(ctx, e)
}

// settle lets the index decide about a durable blob, and deletes the blob if it is not
// needed.
func (a *Archive) settle(ctx context.Context, e index.Entry) (archive.Receipt, error) {
	outcome, err := a.index.Commit(ctx, e, a.policy)
	if outcome == index.Duplicate && a.mend(ctx, e) {
		return archive.Receipt{Ref: e.Ref, Size: e.Size, Digest: e.Digest, Duplicate: true}, nil
	}
	if outcome == index.Duplicate || errors.Is(err, archive.ErrConflict) {
		// When the index failed in another way the blob stays: the index may have
		// committed it all the same, and if not, it is found at the next start.
		a.discardUnnamed(ctx, e.Location)
	}
	if err != nil {
		return archive.Receipt{}, err
	}
	if outcome == index.Replaced {
		a.wantSweep()
	}
	if outcome != index.Duplicate {
		a.headers.grew(dicom.Ref{Study: e.Ref.Study, Series: e.Ref.Series}, a.now())
	}
	return archive.Receipt{
		Ref: e.Ref, Size: e.Size, Digest: e.Digest,
		Duplicate: outcome == index.Duplicate,
		Held:      outcome == index.Held,
		Replaced:  outcome == index.Replaced,
	}, nil
}

// mend puts a new copy in the place of one that is gone or damaged, so that sending an
// instance again heals it; success must not be answered for bytes that are lost. It
// reports whether it did. The new copy fits only if the index would note the same of it.
func (a *Archive) mend(ctx context.Context, e index.Entry) bool {
	for old, err := range a.index.Locate(ctx, e.Ref, access.All()) {
		if err != nil || old.Location == e.Location {
			return false
		}
		if i, err := a.instance(old); err != nil || a.sound(ctx, i) {
			return false
		}
		if old.Size != e.Size || !bytes.Equal(old.Layout, e.Layout) {
			a.log.ErrorContext(ctx, "instance is damaged, and the copy that came has another header; delete it and send it again",
				"instance", e.Ref.Instance)
			return false
		}
		if err := a.index.Relocate(ctx, e.Ref.Instance, old.Location, e.Location); err != nil {
			return false
		}
		a.log.WarnContext(ctx, "instance was damaged and is whole again: its sender sent it once more", "instance", e.Ref.Instance)
		a.wantSweep()
		return true
	}
	return false
}

// sound reports whether an instance is what was received. What can't be read at the moment
// counts as sound: it is not known to be lost.
func (a *Archive) sound(ctx context.Context, i *instance) bool {
	err := i.Verify(ctx)
	return !errors.Is(err, blob.ErrCorrupt) && !errors.Is(err, blob.ErrNotExist)
}

// discardUnnamed deletes a blob unless the index names it after all: recovery while the
// server runs may have committed the very same one.
func (a *Archive) discardUnnamed(ctx context.Context, l index.Location) {
	unnamed, err := a.index.Unknown(ctx, []index.Location{l})
	if err == nil && len(unnamed) == 1 {
		a.discard(ctx, l)
	}
}

// discard deletes a blob that nothing names. If that fails, recovery or a check finds
// it again.
func (a *Archive) discard(ctx context.Context, l index.Location) {
	store, err := a.store(l)
	if err == nil {
		err = store.Delete(context.WithoutCancel(ctx), l.Key)
	}
	if err != nil {
		a.log.WarnContext(ctx, "blob that is not needed can't be deleted", "volume", l.Volume, "key", l.Key, "error", err)
	}
}

// storeError turns a volume's errors into the archive's.
func storeError(err error) error {
	if errors.Is(err, blob.ErrFull) {
		return fmt.Errorf("%w: %w", archive.ErrFull, err)
	}
	return err
}
