package sqldb

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"pharos/internal/dicom"
	"pharos/internal/index"
)

// tx is the write transaction. There is one at a time, so that what it reads stays
// true until it ends, and sequence numbers become visible in their order.
type tx struct {
	conn
	db      *DB
	cache   *writeCache
	ledger  ledger
	before  ledger
	deltas  map[int64]*delta // by series: counts that settle writes
	gone    bool             // the database has rolled it back
	journal []noted          // what deltas are made of, to be taken back
}

// ledger is the row of totals and of numbers given last.
type ledger struct {
	seq, generation, lastStudy, lastSeries int64
	index.Totals
}

// delta is what has become of the counts of a series, and with it of its study.
type delta struct {
	study            int64
	instances, bytes int64
	latest           index.Seq
}

const selectLedger = "SELECT seq, generation, last_study, last_series, studies, series, instances, bytes FROM ledger"

// noted is one change of counts, and what latest was before.
type noted struct {
	series, instances, bytes int64
	latest                   index.Seq
}

// start reads the ledger and, on PostgreSQL, locks it.
func (t *tx) start(ctx context.Context) error {
	t.deltas = make(map[int64]*delta)
	l := &t.ledger
	_, err := queryRow(ctx, t, t.db.sql.lockLedger, nil, &l.seq, &l.generation, &l.lastStudy, &l.lastSeries,
		&l.Studies, &l.Series, &l.Instances, &l.Bytes)
	if err != nil {
		return fmt.Errorf("read ledger: %w", err)
	}
	if l.generation != t.cache.generation {
		t.cache.reset()
		t.cache.generation = l.generation
	}
	t.before = t.ledger
	return nil
}

// count notes a change of the counts of a series.
func (t *tx) count(study, series, instances, bytes int64, latest index.Seq) {
	d := t.deltas[series]
	if d == nil {
		d = &delta{study: study}
		t.deltas[series] = d
	}
	t.journal = append(t.journal, noted{series, instances, bytes, d.latest})
	d.instances += instances
	d.bytes += bytes
	d.latest = max(d.latest, latest)
	t.ledger.Instances += instances
	t.ledger.Bytes += bytes
}

// nextSeq returns the number of the next change.
func (t *tx) nextSeq() index.Seq {
	t.ledger.seq++
	return index.Seq(t.ledger.seq)
}

// settle writes the counts, which are written once per transaction rather than once
// per instance, and the ledger. When it fails, it can be tried again.
func (t *tx) settle(ctx context.Context) error {
	if len(t.deltas) == 0 && t.ledger == t.before {
		return nil
	}
	if err := t.savepoint(ctx, "settle", func() error { return t.writeCounts(ctx) }); err != nil {
		return err
	}
	clear(t.deltas)
	t.journal = t.journal[:0]
	t.before = t.ledger
	return nil
}

func (t *tx) writeCounts(ctx context.Context) error {
	studies := make(map[int64]*delta)
	for _, id := range sortedIDs(t.deltas) {
		d := t.deltas[id]
		if _, err := t.exec(ctx, "UPDATE series SET instances = instances + ?, bytes = bytes + ?, latest = CASE WHEN latest > ? THEN latest ELSE ? END WHERE id = ?",
			d.instances, d.bytes, int64(d.latest), int64(d.latest), id); err != nil {
			return err
		}
		s := studies[d.study]
		if s == nil {
			s = &delta{}
			studies[d.study] = s
		}
		s.instances += d.instances
		s.bytes += d.bytes
	}
	for _, id := range sortedIDs(studies) {
		d := studies[id]
		if _, err := t.exec(ctx, "UPDATE study SET instances = instances + ?, bytes = bytes + ? WHERE id = ?", d.instances, d.bytes, id); err != nil {
			return err
		}
	}
	l := &t.ledger
	_, err := t.exec(ctx, "UPDATE ledger SET seq = ?, generation = ?, last_study = ?, last_series = ?, studies = ?, series = ?, instances = ?, bytes = ?",
		l.seq, l.generation, l.lastStudy, l.lastSeries, l.Studies, l.Series, l.Instances, l.Bytes)
	return err
}

func sortedIDs(m map[int64]*delta) []int64 {
	ids := make([]int64, 0, len(m))
	for id := range m {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// atomically runs f so that, when it fails, nothing of it stays, but what was in the
// transaction before does. f must not settle.
func (t *tx) atomically(ctx context.Context, f func() error) error {
	ledger, noted := t.ledger, len(t.journal)
	err := t.savepoint(ctx, "entry", f)
	if err != nil {
		t.ledger = ledger
		t.forget(noted)
		t.cache.reset()
		t.db.words.reset()
	}
	return err
}

// savepoint runs f and takes back what it wrote when it fails. Where a transaction is
// not shared with what others were told of, it is enough that the caller gives it up.
func (t *tx) savepoint(ctx context.Context, name string, f func() error) error {
	if !t.db.engine.lazy() {
		return f()
	}
	if _, err := t.exec(ctx, "SAVEPOINT "+name); err != nil {
		return err
	}
	err := f()
	if err == nil {
		_, err = t.exec(ctx, "RELEASE SAVEPOINT "+name)
		return err
	}
	_, undo := t.exec(ctx, "ROLLBACK TO SAVEPOINT "+name)
	if undo == nil {
		_, undo = t.exec(ctx, "RELEASE SAVEPOINT "+name)
	}
	t.gone = t.gone || undo != nil // SQLite ends the transaction itself on some errors, such as a full disk
	return errors.Join(err, undo)
}

// forget takes back the counts noted since the journal was so long.
func (t *tx) forget(noted int) {
	for _, n := range slices.Backward(t.journal[noted:]) {
		d := t.deltas[n.series]
		d.instances -= n.instances
		d.bytes -= n.bytes
		d.latest = n.latest
	}
	t.journal = t.journal[:noted]
}

// writeCache remembers studies and series that instances arrive for, as the write
// transaction sees them.
type writeCache struct {
	generation int64
	series     map[dicom.UID]*seriesState
	studies    map[dicom.UID]*studyState
}

const maxCachedSeries = 4096

type studyState struct {
	id         int64
	modalities []string           // some that are noted: there may be more
	filled     map[dicom.Tag]bool // attributes that have a value
	last       string             // packed attributes that had nothing to fill in
}

type seriesState struct {
	id      int64
	uid     dicom.UID
	study   *studyState
	parent  dicom.UID
	classes []int64
	filled  map[dicom.Tag]bool
	last    string
	albums  []int64 // where it is known to be placed
}

func (c *writeCache) reset() {
	c.series = make(map[dicom.UID]*seriesState)
	c.studies = make(map[dicom.UID]*studyState)
}

func (c *writeCache) limit() {
	if len(c.series) > maxCachedSeries {
		c.reset()
	}
}

// joinIDs and splitIDs write the SOP classes of a series.
func joinIDs(ids []int64) string {
	return strings.Trim(string(appendIDs(nil, ids)), "[]")
}

func splitIDs(s string) ([]int64, error) { return parseList("[" + s + "]") }
