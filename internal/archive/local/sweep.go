package local

import (
	"context"
	"time"

	"pharos/internal/access"
	"pharos/internal/archive"
	"pharos/internal/dicom"
	"pharos/internal/index"
)

const (
	sweepEvery = time.Minute // when nobody wishes earlier
	sweepBatch = 256         // locations deleted between two notes in the index
)

// Delete implements archive.Archive. The instances are gone for everybody when it
// returns; their bytes are deleted right afterwards, in the background.
func (a *Archive) Delete(ctx context.Context, ref dicom.Ref, in access.Scope) (int, error) {
	n, err := a.index.Remove(ctx, ref, in)
	if err != nil {
		return n, err
	}
	if n == 0 {
		return 0, archive.ErrNotFound
	}
	if ref.Instance != "" {
		a.headers.grew(dicom.Ref{Study: ref.Study, Series: ref.Series}, a.now())
	}
	a.wantSweep()
	return n, nil
}

// wantSweep wakes the sweeper; a wish already pending is enough.
func (a *Archive) wantSweep() {
	select {
	case a.sweeps <- struct{}{}:
	default:
	}
}

func (a *Archive) sweepLoop(ctx context.Context) {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-a.sweeps:
		case <-tick.C:
		}
		if err := a.tidy(ctx); err != nil && ctx.Err() == nil {
			a.log.WarnContext(ctx, "bytes that are needed no longer can't be deleted; they are tried again later", "error", err)
		}
	}
}

// tidy deletes garbage and then moves what keeps its room from being freed.
func (a *Archive) tidy(ctx context.Context) error {
	swept, err := a.Sweep(ctx)
	if err != nil || swept == 0 {
		return err
	}
	_, err = a.Compact(ctx)
	return err
}

// Sweep deletes the bytes that the index lists as garbage and returns how many blobs that
// were. It runs by itself; tests and checks call it to wait for the result.
func (a *Archive) Sweep(ctx context.Context) (int, error) {
	swept := 0
	for {
		batch, err := a.garbage(ctx)
		if err != nil || len(batch) == 0 {
			return swept, err
		}
		for _, l := range batch {
			store, err := a.store(l)
			if err != nil {
				return swept, err
			}
			if err := store.Delete(ctx, l.Key); err != nil {
				return swept, err
			}
		}
		if err := a.index.Forget(ctx, batch...); err != nil {
			return swept, err
		}
		swept += len(batch)
	}
}

// garbage is the next batch of locations to delete.
func (a *Archive) garbage(ctx context.Context) ([]index.Location, error) {
	var batch []index.Location
	for l, err := range a.index.Garbage(ctx) {
		if err != nil {
			return nil, err
		}
		if batch = append(batch, l); len(batch) == sweepBatch {
			break
		}
	}
	return batch, nil
}
