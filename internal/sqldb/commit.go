package sqldb

import (
	"context"
	"fmt"
	"math"
	"sync"
	"time"

	"pharos/internal/archive"
	"pharos/internal/dicom"
	"pharos/internal/dicom/dict"
	"pharos/internal/index"
)

// request is one call of Commit.
type request struct {
	entry   index.Entry
	policy  index.Policy
	packed  packedEntry
	outcome index.Outcome
	err     error
	done    chan struct{}
}

// packedEntry is what can be worked out before the transaction.
type packedEntry struct {
	study, series, instance []byte
	number                  int64
}

// unnumbered sorts instances without Instance Number behind the others.
const unnumbered = math.MaxInt32 + 1

func (d *DB) pack(e *index.Entry) packedEntry {
	a := e.Attributes
	if a == nil {
		a = dicom.NewDataset()
	}
	number, ok := a.Int(dict.InstanceNumber)
	if !ok || number > math.MaxInt32 || number < math.MinInt32 {
		number = unnumbered
	}
	return packedEntry{
		study:    packKeys(a, d.study, dict.StudyInstanceUID),
		series:   packKeys(a, d.series, dict.SeriesInstanceUID),
		instance: packKeys(a, d.instance, dict.SOPInstanceUID, dict.SOPClassUID),
		number:   number,
	}
}

// commitQueue gathers calls of Commit while a transaction is under way, so that they
// share the next one.
type commitQueue struct {
	mu      sync.Mutex
	waiting []*request
	leading bool
}

// maxGroup bounds how many instances share a transaction.
const maxGroup = 256

// Commit implements index.Index. Concurrent calls share a transaction: the first caller
// works for all that wait.
func (d *DB) Commit(ctx context.Context, e index.Entry, p index.Policy) (index.Outcome, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	if e.Ref.Study == "" || e.Ref.Series == "" || e.Ref.Instance == "" {
		return 0, fmt.Errorf("%w: an instance needs all three UIDs", archive.ErrInvalid)
	}
	r := &request{entry: e, policy: p, packed: d.pack(&e), done: make(chan struct{})}
	q := &d.queue
	q.mu.Lock()
	q.waiting = append(q.waiting, r)
	lead := !q.leading
	q.leading = true
	q.mu.Unlock()
	if lead {
		d.lead(context.WithoutCancel(ctx))
	}
	<-r.done
	return r.outcome, r.err
}

// lead commits what waits until nothing does.
func (d *DB) lead(ctx context.Context) {
	q := &d.queue
	for {
		q.mu.Lock()
		n := min(len(q.waiting), maxGroup)
		if n == 0 {
			q.leading = false
			q.mu.Unlock()
			return
		}
		group := q.waiting[:n:n]
		q.waiting = q.waiting[n:]
		q.mu.Unlock()
		d.commitGroup(ctx, group)
		for _, r := range group {
			close(r.done)
		}
	}
}

// commitGroup commits requests together; if that fails, one by one, so that only those
// fail that must.
func (d *DB) commitGroup(ctx context.Context, group []*request) {
	d.mu.Lock()
	defer d.mu.Unlock()
	err := d.tryGroup(ctx, group)
	if err == nil {
		return
	}
	if len(group) == 1 || d.lost != nil {
		for _, r := range group {
			r.outcome, r.err = 0, err
		}
		return
	}
	for _, r := range group {
		r.outcome, r.err = 0, nil
		if err := d.tryGroup(ctx, []*request{r}); err != nil {
			r.outcome, r.err = 0, err
		}
	}
}

func (d *DB) tryGroup(ctx context.Context, group []*request) error {
	t, err := d.transaction(ctx)
	if err != nil {
		return err
	}
	w := groupWriter{tx: t}
	err = t.atomically(ctx, func() error { return w.run(ctx, group) })
	if w.placedOld {
		d.pages.reset()
	}
	if err != nil {
		return fmt.Errorf("commit instance: %w", d.failed(err))
	}
	if !d.engine.lazy() {
		return d.finish(ctx, true)
	}
	for range group {
		d.postpone()
	}
	if d.dirty >= lazyCount {
		return d.finish(ctx, false)
	}
	return nil
}

// groupWriter writes the instances of a group. Those of known series wait in rows, to
// be inserted together.
type groupWriter struct {
	*tx
	rows      []*instanceRow
	placedOld bool // a series that existed was placed in another album
}

// run decides each request. An error is one of the database, not of a request.
func (w *groupWriter) run(ctx context.Context, group []*request) error {
	for _, r := range group {
		if err := w.add(ctx, r); err != nil {
			return err
		}
	}
	return w.flush(ctx)
}

func (w *groupWriter) add(ctx context.Context, r *request) error {
	s, err := w.findSeries(ctx, r.entry.Ref)
	if err != nil {
		return err
	}
	switch {
	case s == nil:
		return w.addWithSeries(ctx, r)
	case s.parent != r.entry.Ref.Study:
		r.err = fmt.Errorf("%w: the series belongs to another study", archive.ErrConflict)
		return nil
	}
	row, err := w.row(ctx, r, s)
	if err != nil {
		return err
	}
	w.rows = append(w.rows, row)
	return nil
}

// addWithSeries adds an instance whose series is new, unless the instance is not.
func (w *groupWriter) addWithSeries(ctx context.Context, r *request) error {
	if err := w.flush(ctx); err != nil {
		return err
	}
	old, err := w.findInstance(ctx, r.entry.Ref.Instance)
	if err != nil {
		return err
	}
	if old != nil {
		return w.decide(ctx, r, old)
	}
	return w.atomically(ctx, func() error {
		s, err := w.createSeries(ctx, r)
		if err != nil {
			return err
		}
		row, err := w.row(ctx, r, s)
		if err != nil {
			return err
		}
		w.rows = append(w.rows, row)
		return w.flush(ctx)
	})
}

// flush inserts the rows that wait, and decides on those whose UID is known.
func (w *groupWriter) flush(ctx context.Context) error {
	rows := w.rows
	w.rows = nil
	if len(rows) == 0 {
		return nil
	}
	clashing, err := w.db.engine.insertInstances(ctx, w.conn, rows)
	if err != nil {
		return err
	}
	for _, row := range clashing {
		row.clashed = true
	}
	for _, row := range rows {
		if row.clashed {
			continue
		}
		row.request.outcome = index.Added
		if err := w.arrived(ctx, row, 1, row.request.entry.Size); err != nil {
			return err
		}
	}
	for _, row := range clashing {
		old, err := w.findInstance(ctx, row.request.entry.Ref.Instance)
		if err != nil {
			return err
		}
		if err := w.decide(ctx, row.request, old); err != nil {
			return err
		}
	}
	return nil
}

// arrived notes what an instance changes beyond its own row.
func (w *groupWriter) arrived(ctx context.Context, row *instanceRow, instances, bytes int64) error {
	s := row.series
	w.count(s.study.id, s.id, instances, bytes, row.id)
	if err := w.noteClass(ctx, s, row.class); err != nil {
		return err
	}
	if err := w.fillIn(ctx, row.request, s); err != nil {
		return err
	}
	return w.place(ctx, row.request, s)
}

// instanceRow is a row of the table of instances.
type instanceRow struct {
	id                    index.Seq
	series                *seriesState
	class, syntax, volume int64
	source                int64
	request               *request
	clashed               bool
}

const insertInstance = `INSERT INTO instance (id, series_id, uid, number, class, syntax, volume, key, size, sha256, received, source, layout, attributes)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (uid) DO NOTHING`

func (r *instanceRow) args() []any {
	e, p := &r.request.entry, &r.request.packed
	return []any{
		int64(r.id), r.series.id, string(e.Ref.Instance), p.number, r.class, r.syntax, r.volume, string(e.Location.Key),
		e.Size, e.Digest[:], micros(e.Received), r.source, notNil(e.Layout), p.instance,
	}
}

func (w *groupWriter) row(ctx context.Context, r *request, s *seriesState) (*instanceRow, error) {
	row := &instanceRow{id: w.nextSeq(), series: s, request: r}
	for _, f := range []struct {
		text string
		id   *int64
	}{
		{string(r.entry.SOPClass), &row.class}, {string(r.entry.TransferSyntax), &row.syntax},
		{r.entry.Location.Volume, &row.volume}, {r.entry.Source, &row.source},
	} {
		var err error
		if *f.id, err = w.db.words.number(ctx, w.conn, f.text); err != nil {
			return nil, err
		}
	}
	return row, nil
}

// micros is how times are kept: microseconds since 1970, 0 for the zero time.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func timeOf(micros int64) time.Time {
	if micros == 0 {
		return time.Time{}
	}
	return time.UnixMicro(micros).UTC()
}

func notNil(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}
