package local

import (
	"context"
	"errors"
	"fmt"
	"io"

	"pharos/internal/archive"
	"pharos/internal/blob"
	"pharos/internal/index"
)

// recoverBatch is how many blobs the index is asked about at once.
const recoverBatch = 512

// recover looks at every blob that is newer than the mark and commits to the index those
// that it does not know: what a crash made it forget, or, when index and mark are empty,
// everything.
func (a *Archive) recover(ctx context.Context, progress func(seen, adopted int)) error {
	mark, err := a.index.Mark(ctx)
	if err != nil {
		return err
	}
	a.marks.restart(mark)
	seen, adopted := 0, 0
	for name, store := range a.volumes {
		after := mark
		if name != a.receives {
			if mark != "" {
				continue // nothing new arrives there
			}
			after = ""
		}
		for batch, err := range batches(ctx, store, after) {
			if err != nil {
				return fmt.Errorf("listing volume %q: %w", name, err)
			}
			n, err := a.recoverBlobs(ctx, name, store, batch)
			if err != nil {
				return err
			}
			seen, adopted = seen+len(batch), adopted+n
			if progress != nil {
				progress(seen, adopted)
			}
			if name == a.receives {
				a.marks.committed(batch[len(batch)-1].Key)
			}
		}
	}
	if adopted > 0 {
		a.log.InfoContext(ctx, "index was behind its blobs and has caught up", "instances", adopted)
	}
	return nil
}

// batches lists a store in portions.
func batches(ctx context.Context, s blob.Store, after blob.Key) func(yield func([]blob.Info, error) bool) {
	return func(yield func([]blob.Info, error) bool) {
		batch := make([]blob.Info, 0, recoverBatch)
		for info, err := range s.List(ctx, after) {
			if err != nil {
				yield(nil, err)
				return
			}
			if batch = append(batch, info); len(batch) == recoverBatch {
				if !yield(batch, nil) {
					return
				}
				batch = batch[:0]
			}
		}
		if len(batch) > 0 {
			yield(batch, nil)
		}
	}
}

// recoverBlobs commits those of a batch that the index does not know, and returns how
// many that were.
func (a *Archive) recoverBlobs(ctx context.Context, volume string, s blob.Store, batch []blob.Info) (int, error) {
	unknown, err := a.unknown(ctx, volume, batch)
	if err != nil {
		return 0, err
	}
	adopted := 0
	for _, info := range batch {
		if _, ok := unknown[info.Key]; !ok {
			continue
		}
		l := index.Location{Volume: volume, Key: info.Key}
		switch err := a.adopt(ctx, l, s, info); {
		case err == nil:
			adopted++
		case errors.Is(err, errNoReceipt) && isHeaders(ctx, s, info.Key):
			a.discard(ctx, l) // gathered just before the crash; they are gathered again
		case errors.Is(err, archive.ErrConflict):
			// The index refused it, as it would have then; settle deleted it.
		case errors.Is(err, blob.ErrCorrupt), errors.Is(err, archive.ErrInvalid), errors.Is(err, errNoReceipt):
			a.log.ErrorContext(ctx, "blob can't be understood and is left alone; run pharos fsck",
				"volume", volume, "key", info.Key, "error", err)
		default:
			return adopted, fmt.Errorf("blob %s of volume %q: %w", info.Key, volume, err)
		}
	}
	return adopted, nil
}

// unknown asks the index which blobs it does not name.
func (a *Archive) unknown(ctx context.Context, volume string, batch []blob.Info) (map[blob.Key]struct{}, error) {
	locations := make([]index.Location, len(batch))
	for i, info := range batch {
		locations[i] = index.Location{Volume: volume, Key: info.Key}
	}
	locations, err := a.index.Unknown(ctx, locations)
	if err != nil {
		return nil, err
	}
	keys := make(map[blob.Key]struct{}, len(locations))
	for _, l := range locations {
		keys[l.Key] = struct{}{}
	}
	return keys, nil
}

// adopt commits the instance in a blob to the index, from the blob alone. errNoReceipt
// when it holds no instance; blob.ErrCorrupt when its bytes are not those received.
func (a *Archive) adopt(ctx context.Context, l index.Location, s blob.Store, info blob.Info) error {
	r, err := readReceipt(ctx, s, info)
	if err != nil {
		return err
	}
	body, err := s.Open(ctx, info.Key, 0, r.size)
	if err != nil {
		return err
	}
	defer body.Close() //nolint:errcheck // only read from
	in, err := archive.ReadIncoming(body)
	if err != nil {
		return err
	}
	in.Gather(a.indexed)
	sum := newHashed(io.Discard, in.DatasetOffset())
	size, err := in.WriteTo(sum)
	if err != nil {
		return err
	}
	e := a.entry(in, size)
	if e.Digest = sum.digest(); e.Digest != r.digest || sum.head != r.head {
		return fmt.Errorf("%w: not what was received", blob.ErrCorrupt)
	}
	e.Location, e.Received, e.Source, e.Album = l, r.received, r.source, r.album
	_, err = a.settle(ctx, e)
	return err
}
