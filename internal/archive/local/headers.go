package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"sync"
	"time"

	"pharos/internal/access"
	"pharos/internal/archive"
	"pharos/internal/blob"
	"pharos/internal/dicom"
	"pharos/internal/index"
)

// Metadata implements archive.Archive. A series whose headers were gathered and that has
// not changed since costs one read; another is gathered as it is sent.
func (a *Archive) Metadata(ctx context.Context, ref dicom.Ref, in access.Scope) iter.Seq2[archive.Metadata, error] {
	if ref.Instance != "" {
		return a.headersOf(ctx, a.index.Locate(ctx, ref, in), nil)
	}
	return func(yield func(archive.Metadata, error) bool) {
		found := false
		for h, err := range a.index.Headers(ctx, ref, in) {
			if err != nil {
				yield(archive.Metadata{}, err)
				return
			}
			for m, err := range a.series(ctx, h) {
				found = found || err == nil
				if !yield(m, err) || err != nil {
					return
				}
			}
		}
		if !found {
			yield(archive.Metadata{}, archive.ErrNotFound)
		}
	}
}

// series yields the headers of one series.
func (a *Archive) series(ctx context.Context, h index.SeriesHeaders) iter.Seq2[archive.Metadata, error] {
	if h.Location.Key != "" && h.Through >= h.Latest {
		return a.gathered(ctx, h)
	}
	a.headers.asked(h.Ref)
	return a.headersOf(ctx, a.index.Locate(ctx, h.Ref, access.All()), nil)
}

// gathered reads the blob that holds the headers of a series.
func (a *Archive) gathered(ctx context.Context, h index.SeriesHeaders) iter.Seq2[archive.Metadata, error] {
	return func(yield func(archive.Metadata, error) bool) {
		store, err := a.store(h.Location)
		if err != nil {
			yield(archive.Metadata{}, err)
			return
		}
		body, err := store.Open(ctx, h.Location.Key, 0, -1)
		if err != nil {
			yield(archive.Metadata{}, fmt.Errorf("archive: headers of series %s: %w", h.Ref.Series, err))
			return
		}
		defer body.Close() //nolint:errcheck // only read from
		for header, err := range readHeaders(body) {
			ref := dicom.Ref{Study: h.Ref.Study, Series: h.Ref.Series, Instance: header.instance}
			if !yield(archive.Metadata{Ref: ref, JSON: header.json}, err) || err != nil {
				return
			}
		}
	}
}

// headersOf yields the headers of entries, each read from its instance unless the next
// one of old is about the same bytes. It is archive.ErrNotFound when there are none.
func (a *Archive) headersOf(ctx context.Context, entries iter.Seq2[index.Entry, error], old *headerCursor) iter.Seq2[archive.Metadata, error] {
	return func(yield func(archive.Metadata, error) bool) {
		var buf []byte
		found := false
		for e, err := range entries {
			if err != nil {
				yield(archive.Metadata{}, err)
				return
			}
			found = true
			if kept := old.take(e.Ref.Instance, e.Digest); kept != nil {
				buf = append(buf[:0], kept...)
			} else if buf, err = a.readHeader(ctx, buf[:0], e); err != nil {
				yield(archive.Metadata{}, err)
				return
			}
			if !yield(archive.Metadata{Ref: e.Ref, JSON: buf}, nil) {
				return
			}
		}
		if !found {
			yield(archive.Metadata{}, archive.ErrNotFound)
		}
	}
}

// readHeader appends the header of an instance in JSON.
func (a *Archive) readHeader(ctx context.Context, b []byte, e index.Entry) ([]byte, error) {
	i, err := a.instance(e)
	if err != nil {
		return b, err
	}
	header, err := i.Header(ctx)
	if err != nil {
		return b, err
	}
	return dicom.AppendJSON(b, header, int(headerLimits.Value), bulkURI), nil
}

// bulkURI is relative to the instance; the server puts its address in front.
func bulkURI(path string, _ *dicom.Element) string {
	return string(rune(archive.BulkMark)) + "bulkdata/" + path
}

// worthGathering is the number of instances from which a series' headers are gathered.
// Reading fewer one by one is fast enough, and gathering them would cost more writing than
// they are worth: an archive of radiographs has one instance in each series.
const worthGathering = 16

// gatherer knows which series grew and when.
type gatherer struct {
	quiet time.Duration
	mu    sync.Mutex
	grown map[dicom.Ref]growth
}

// growth is what happened to a series lately.
type growth struct {
	last    time.Time
	changes int
}

// maxGrown bounds the memory of the gatherer. A series that it forgets is gathered when
// somebody asks for it.
const maxGrown = 100_000

// grew notes that a series changed.
func (g *gatherer) grew(series dicom.Ref, at time.Time) {
	g.note(series, growth{last: at, changes: 1})
}

// asked notes that somebody wanted headers that are not gathered.
func (g *gatherer) asked(series dicom.Ref) {
	g.note(series, growth{changes: worthGathering})
}

func (g *gatherer) note(series dicom.Ref, n growth) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.grown == nil {
		g.grown = make(map[dicom.Ref]growth)
	}
	known, ok := g.grown[series]
	if !ok && len(g.grown) >= maxGrown {
		return
	}
	if n.last.Before(known.last) {
		n.last = known.last
	}
	n.changes += known.changes
	g.grown[series] = n
}

// ripe takes the series that have been quiet for long enough, and returns those that may
// be worth gathering. One that grows by single instances is gathered when it is asked for.
func (g *gatherer) ripe(now time.Time) []dicom.Ref {
	g.mu.Lock()
	defer g.mu.Unlock()
	var series []dicom.Ref
	for ref, growth := range g.grown {
		if now.Sub(growth.last) < g.quiet {
			continue
		}
		if growth.changes >= worthGathering {
			series = append(series, ref)
		}
		delete(g.grown, ref)
	}
	return series
}

func (a *Archive) gatherLoop(ctx context.Context) {
	tick := time.NewTicker(min(time.Second, a.headers.quiet))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for _, series := range a.headers.ripe(a.now()) {
			if err := a.gather(ctx, series); err != nil && ctx.Err() == nil {
				a.log.WarnContext(ctx, "headers of a series can't be gathered; they are read one by one",
					"series", series.Series, "error", err)
			}
		}
	}
}

// gather writes the headers of a series into one blob and notes it in the index. Headers
// that were gathered before are taken over.
func (a *Archive) gather(ctx context.Context, series dicom.Ref) error {
	for h, err := range a.index.Headers(ctx, series, access.All()) {
		if err != nil {
			return err
		}
		if h.Instances < worthGathering || h.Location.Key != "" && h.Through >= h.Latest {
			continue
		}
		if err := a.gatherSeries(ctx, h); err != nil && !errors.Is(err, archive.ErrNotFound) && !errors.Is(err, archive.ErrConflict) {
			return err
		}
	}
	return nil
}

func (a *Archive) gatherSeries(ctx context.Context, h index.SeriesHeaders) error {
	old, closeOld := a.oldHeaders(ctx, h)
	defer closeOld()
	w, err := a.volumes[a.receives].Create(ctx)
	if err != nil {
		return err
	}
	defer w.Abort() //nolint:errcheck // after Commit it does nothing, before it the cause is being returned
	if err := a.writeSeries(ctx, w, h, old); err != nil {
		return err
	}
	flight := a.marks.begin()
	defer a.marks.settled(flight)
	info, err := w.Commit()
	if err != nil {
		return err
	}
	a.marks.committed(info.Key)
	// What arrived while the headers were read may be in the blob or not; Latest was
	// taken before, so the series counts as changed and is gathered once more.
	h.Through = h.Latest
	h.Location = index.Location{Volume: a.receives, Key: info.Key}
	if err := a.index.SetHeaders(ctx, h); err != nil {
		a.discard(ctx, h.Location)
		return err
	}
	a.wantSweep()
	return nil
}

func (a *Archive) writeSeries(ctx context.Context, w io.Writer, h index.SeriesHeaders, old *headerCursor) error {
	out, err := newHeaderWriter(w)
	if err != nil {
		return err
	}
	digests := make(map[dicom.UID][32]byte, h.Instances)
	entries := func(yield func(index.Entry, error) bool) {
		for e, err := range a.index.Locate(ctx, h.Ref, access.All()) {
			digests[e.Ref.Instance] = e.Digest
			if !yield(e, err) {
				return
			}
		}
	}
	for m, err := range a.headersOf(ctx, entries, old) {
		if err != nil {
			return err
		}
		if err := out.write(m.Ref.Instance, digests[m.Ref.Instance], m.JSON); err != nil {
			return err
		}
		delete(digests, m.Ref.Instance)
	}
	return out.close()
}

// oldHeaders opens what was gathered before; nothing when there is none or it can't be
// read.
func (a *Archive) oldHeaders(ctx context.Context, h index.SeriesHeaders) (*headerCursor, func()) {
	if h.Location.Key == "" {
		return nil, func() {}
	}
	store, err := a.store(h.Location)
	if err != nil {
		return nil, func() {}
	}
	body, err := store.Open(ctx, h.Location.Key, 0, -1)
	if err != nil {
		if !errors.Is(err, blob.ErrNotExist) {
			a.log.WarnContext(ctx, "gathered headers can't be read", "series", h.Ref.Series, "error", err)
		}
		return nil, func() {}
	}
	cursor := newHeaderCursor(readHeaders(body))
	return cursor, func() {
		cursor.stop()
		_ = body.Close()
	}
}
