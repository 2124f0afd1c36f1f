package local

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"pharos/internal/archive"
	"pharos/internal/blob"
	"pharos/internal/index"
)

// Options say what an Archive is made of.
type Options struct {
	Index    index.Index
	Volumes  map[string]blob.Store // by the names that index locations carry
	Receives string                // the volume that new instances go to
	Policy   index.Policy          // what to do about other bytes under a known UID
	Keys     *archive.Keys         // the attributes that the index keeps; nil means archive.NewKeys()
	Log      *slog.Logger          // nil discards

	// Quiet is how long a series must not have grown before its headers are gathered;
	// default 3 s.
	Quiet time.Duration
	// Progress, if not nil, is told how many blobs recovery has looked at and how many of
	// them it committed.
	Progress func(seen, adopted int)
	// Now is the clock; default time.Now.
	Now func() time.Time
}

// Archive implements archive.Archive.
type Archive struct {
	index    index.Index
	volumes  map[string]blob.Store
	receives string
	policy   index.Policy
	keys     *archive.Keys
	log      *slog.Logger
	now      func() time.Time

	marks   marks
	syncing sync.Mutex
	behind  bool // the index has to catch up before it may be synced; guarded by syncing
	headers gatherer
	sweeps  chan struct{} // holds at most one wish to sweep

	stop    context.CancelFunc
	running sync.WaitGroup
}

var _ archive.Archive = (*Archive)(nil)

// Open starts an archive. It first commits to the index what a crash made it forget.
func Open(ctx context.Context, o Options) (*Archive, error) {
	if _, ok := o.Volumes[o.Receives]; !ok {
		return nil, fmt.Errorf("archive: volume %q, which should receive, is not configured", o.Receives)
	}
	a := &Archive{
		index: o.Index, volumes: o.Volumes, receives: o.Receives, policy: o.Policy,
		keys: o.Keys, log: o.Log, now: o.Now, sweeps: make(chan struct{}, 1),
	}
	if a.keys == nil {
		a.keys = archive.NewKeys()
	}
	if a.log == nil {
		a.log = slog.New(slog.DiscardHandler)
	}
	if a.now == nil {
		a.now = time.Now
	}
	a.headers.quiet = o.Quiet
	if a.headers.quiet == 0 {
		a.headers.quiet = 3 * time.Second
	}
	if err := a.recover(ctx, o.Progress); err != nil {
		return nil, fmt.Errorf("archive: recovering: %w", err)
	}
	a.start()
	return a, nil
}

// start runs what happens in the background until Close.
func (a *Archive) start() {
	ctx, stop := context.WithCancel(context.Background())
	a.stop = stop
	for _, loop := range []func(context.Context){a.syncLoop, a.sweepLoop, a.gatherLoop} {
		a.running.Go(func() { loop(ctx) })
	}
	a.wantSweep()
}

// Close ends the background work and makes the index durable. Index and volumes stay
// open: they belong to the caller.
func (a *Archive) Close(ctx context.Context) error {
	a.stop()
	a.running.Wait()
	return a.sync(ctx)
}

// store returns the volume of a location.
func (a *Archive) store(l index.Location) (blob.Store, error) {
	if s, ok := a.volumes[l.Volume]; ok {
		return s, nil
	}
	return nil, fmt.Errorf("archive: volume %q is named by the index but not configured", l.Volume)
}
