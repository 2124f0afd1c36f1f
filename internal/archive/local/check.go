package local

import (
	"context"
	"errors"
	"io"

	"pharos/internal/access"
	"pharos/internal/blob"
	"pharos/internal/dicom"
	"pharos/internal/index"
)

// Fault is what Check can find.
type Fault string

// The faults.
const (
	Missing  Fault = "missing"  // the index names a blob that is not there
	Damaged  Fault = "damaged"  // the blob's bytes are not those that were received
	Unnamed  Fault = "unnamed"  // a blob that nothing names: foreign, or too damaged to be adopted
	Unopened Fault = "unopened" // the blob can't be read at the moment
)

// Finding is one fault.
type Finding struct {
	Fault    Fault
	Ref      dicom.Ref // zero for an unnamed blob
	Location index.Location
	Err      error
}

// Summary counts what Check looked at.
type Summary struct {
	Instances int64
	Blobs     int64
	Bytes     int64 // read to compare digests
	Faults    int64
}

// Check compares index and volumes both ways: every instance of the index is there and,
// if digests is set, is what was received; every blob is named by the index. It reports
// each fault and changes nothing.
func (a *Archive) Check(ctx context.Context, digests bool, report func(Finding)) (Summary, error) {
	var s Summary
	found := func(f Finding) {
		s.Faults++
		report(f)
	}
	for e, err := range a.index.Locate(ctx, dicom.Ref{}, access.All()) {
		if err != nil {
			return s, err
		}
		s.Instances++
		if err := a.checkInstance(ctx, e, digests); err != nil {
			if ctx.Err() != nil {
				return s, ctx.Err()
			}
			found(Finding{Fault: faultOf(err), Ref: e.Ref, Location: e.Location, Err: err})
		}
		if digests {
			s.Bytes += e.Size
		}
	}
	settled := a.marks.low()
	for name, store := range a.volumes {
		for batch, err := range batches(ctx, store, "") {
			if err != nil {
				return s, err
			}
			s.Blobs += int64(len(batch))
			unknown, err := a.unknown(ctx, name, batch)
			if err != nil {
				return s, err
			}
			for key := range unknown {
				if name == a.receives && key > settled {
					continue // arriving while we look
				}
				found(Finding{Fault: Unnamed, Location: index.Location{Volume: name, Key: key}})
			}
		}
	}
	return s, nil
}

// checkInstance looks at the bytes of one entry.
func (a *Archive) checkInstance(ctx context.Context, e index.Entry, digest bool) error {
	i, err := a.instance(e)
	if err != nil {
		return err
	}
	if digest {
		return i.Verify(ctx)
	}
	info, err := i.store.Stat(ctx, e.Location.Key)
	if err == nil && info.Size < e.Size {
		return blob.ErrCorrupt
	}
	return err
}

func faultOf(err error) Fault {
	switch {
	case errors.Is(err, blob.ErrNotExist):
		return Missing
	case errors.Is(err, blob.ErrCorrupt), errors.Is(err, io.ErrUnexpectedEOF):
		return Damaged
	}
	return Unopened
}
