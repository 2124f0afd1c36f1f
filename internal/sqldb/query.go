package sqldb

import (
	"context"
	"fmt"
	"iter"

	"pharos/internal/access"
	"pharos/internal/archive"
	"pharos/internal/dicom"
	"pharos/internal/dicom/dict"
	"pharos/internal/index"
)

// Query implements index.Index.
//
// SQL narrows the entities down, by terms of the study or by the UIDs above, to a list
// of ids, or failing that reads all of a level in the order of their ids. Either way
// they come in chunks; what a chunk has is compared by index.Matcher, counted against
// offset and limit, completed with counts, and yielded. Between chunks no statement is
// open.
func (d *DB) Query(ctx context.Context, q archive.Query, in access.Scope) iter.Seq2[*dicom.Dataset, error] {
	return func(yield func(*dicom.Dataset, error) bool) {
		err := d.checkQuery(q)
		if err == nil && !in.Empty() {
			err = d.query(ctx, q, in, yield)
		}
		if err != nil {
			yield(nil, err)
		}
	}
}

func (d *DB) query(ctx context.Context, q archive.Query, in access.Scope, yield func(*dicom.Dataset, error) bool) error {
	c, err := d.reader(ctx)
	if err != nil {
		return err
	}
	s, err := d.scope(ctx, c, in)
	if err != nil || s.empty() {
		return err
	}
	r := &run{
		ctx: ctx, db: d, c: c, sql: d.sql, q: q, in: in, scope: s, yield: yield,
		level: max(q.Level, archive.StudyLevel), skip: q.Offset, left: q.Limit,
		matcher: index.NewMatcher(q), selection: index.NewSelection(q),
		shelf: shelf{room: 32},
	}
	r.table = tables[r.level]
	return r.run()
}

// checkQuery refuses what the index can't answer.
func (d *DB) checkQuery(q archive.Query) error {
	if q.Level < archive.PatientLevel || q.Level > archive.InstanceLevel {
		return fmt.Errorf("%w: no such level", archive.ErrQuery)
	}
	if q.Limit < 0 || q.Offset < 0 {
		return fmt.Errorf("%w: limit and offset can't be negative", archive.ErrQuery)
	}
	for _, m := range q.Match {
		if len(m.Path) == 0 {
			return fmt.Errorf("%w: a condition names no attribute", archive.ErrQuery)
		}
		if m.Kind == archive.Universal {
			continue
		}
		if m.Kind == archive.Between && len(m.Values) != 2 || len(m.Values) == 0 {
			return fmt.Errorf("%w: %v has no value", archive.ErrQuery, m.Path[0])
		}
		if level, ok := d.matchLevel(m.Path[0]); !ok || level > q.Level {
			return fmt.Errorf("%w: %v can't be matched at the level %v", archive.ErrQuery, m.Path[0], q.Level)
		}
	}
	return nil
}

// matchLevel returns the level of an attribute that can be matched.
func (d *DB) matchLevel(tag dicom.Tag) (archive.Level, bool) {
	if matchesComputed(tag) {
		return archive.StudyLevel, true
	}
	k, ok := d.keys.Lookup(tag)
	return k.Level, ok
}

// matchesComputed tells the computed attributes that can be matched.
func matchesComputed(tag dicom.Tag) bool {
	return tag == dict.ModalitiesInStudy || tag == dict.SOPClassesInStudy
}

// run is one query being answered.
type run struct {
	ctx       context.Context
	db        *DB
	c         conn
	sql       *dialect
	q         archive.Query
	in        access.Scope
	scope     scope
	yield     func(*dicom.Dataset, error) bool
	level     archive.Level // of the rows that are read: studies stand for patients
	table     table
	matcher   *index.Matcher
	selection *index.Selection

	skip    int // results still to be skipped
	left    int // results still to be yielded; meaningless without limit
	yielded int
	last    int64 // id of the last result
	stopped bool  // by the consumer, or by the limit

	studies map[int64]*studyRecord
	series  map[int64]*seriesRecord
	shelf   shelf
}

// patience is how many rows are read in vain before the terms of a condition that many
// studies fulfil are looked up after all.
const patience = 4096

func (r *run) run() error {
	ids, narrowed, err := r.narrow()
	if err != nil {
		return err
	}
	after, err := r.seek(narrowed)
	if err != nil {
		return err
	}
	if narrowed {
		err = r.list(ids, after)
	} else if after >= 0 {
		err = r.scan(after)
	}
	if err == nil && r.yielded > 0 && r.left == 0 && r.q.Limit > 0 {
		r.db.pages.remember(keyOf(r.q, r.in, r.q.Offset+r.yielded), r.last)
	}
	return err
}

// seek returns the id behind which to begin, having reduced skip by what lies before;
// -1 when nothing lies behind.
func (r *run) seek(narrowed bool) (int64, error) {
	if r.skip == 0 {
		return 0, nil
	}
	if after, ok := r.db.pages.find(keyOf(r.q, r.in, r.skip)); ok {
		r.skip = 0
		return after, nil
	}
	if narrowed || !r.matcher.Empty() || r.q.Level == archive.PatientLevel {
		return 0, nil
	}
	after := int64(0)
	if r.level == archive.StudyLevel && r.scope.all {
		var err error
		if after, err = r.seekBlock(); err != nil || after < 0 || r.skip == 0 {
			return after, err
		}
	}
	condition, args := r.table.scope(r)
	found, err := queryRow(r.ctx, r.c, "SELECT "+r.table.id+" FROM "+r.table.from+" WHERE "+r.table.id+" > ?"+condition+
		" ORDER BY "+r.table.id+" LIMIT 1 OFFSET CAST(? AS bigint)", append(append([]any{after}, args...), r.skip-1), &after)
	if err != nil || !found {
		return -1, err
	}
	r.skip = 0
	return after, nil
}

// seekBlock finds the block of study ids in which the first result lies.
func (r *run) seekBlock() (int64, error) {
	var block, before int64
	found, err := queryRow(r.ctx, r.c, `SELECT block, CAST(upto - studies AS bigint) FROM
		(SELECT block, studies, SUM(studies) OVER (ORDER BY block) AS upto FROM study_block) b
		WHERE upto > ? ORDER BY block LIMIT 1`, []any{r.skip}, &block, &before)
	if err != nil || !found {
		return -1, err
	}
	r.skip -= int(before)
	return max(block<<blockBits-1, 0), nil
}

// list reads the entities with these ids.
func (r *run) list(ids []int64, after int64) error {
	for len(ids) > 0 && ids[0] <= after {
		ids = ids[1:]
	}
	if r.matcher.Empty() && r.scope.all && r.q.Level != archive.PatientLevel {
		n := min(r.skip, len(ids))
		ids, r.skip = ids[n:], r.skip-n
	}
	size := chunk
	if r.q.Limit > 0 { // of a list that terms made, nearly everything matches
		size = min(r.left+r.skip+chunk/16, chunk)
	}
	for ; len(ids) > 0 && !r.stopped; size = min(2*size, maxChunk) {
		n := min(size, len(ids))
		condition, args := r.table.scope(r)
		batch, err := r.table.load(r, r.sql.in(r.table.id)+condition+" ORDER BY "+r.table.id, append([]any{r.sql.ids(ids[:n])}, args...))
		if err == nil {
			err = r.process(batch)
		}
		if err != nil {
			return err
		}
		ids = ids[n:]
	}
	return nil
}

// scan reads the entities of the level behind an id.
func (r *run) scan(after int64) error {
	condition, args := r.table.scope(r)
	where := r.table.id + " > ?" + condition + " ORDER BY " + r.table.id + " " + limited
	seen := 0
	for size := r.firstChunk(); !r.stopped; size = min(2*size, maxChunk) {
		batch, err := r.table.load(r, where, append(append([]any{after}, args...), size))
		if err != nil {
			return err
		}
		if len(batch) > 0 {
			after = batch[len(batch)-1].id
		}
		if err := r.process(batch); err != nil || len(batch) < size {
			return err
		}
		before := seen
		if seen += size; before < patience && seen >= patience && !r.stopped {
			ids, narrowed, err := r.narrowWide()
			if err != nil || narrowed {
				if err == nil {
					err = r.list(ids, after)
				}
				return err
			}
		}
	}
	return nil
}

const maxChunk = 1024

// firstChunk is a chunk that suffices if everything matches.
func (r *run) firstChunk() int {
	if r.q.Limit > 0 && r.matcher.Empty() {
		return min(r.left+r.skip, chunk)
	}
	return chunk
}

// process decides on the rows of a chunk, completes those that are results, and yields
// them.
func (r *run) process(batch []*record) error {
	if err := r.loadParents(batch); err != nil {
		return err
	}
	if r.matchesComputed() {
		if err := r.loadAggregates(batch); err != nil {
			return err
		}
	}
	results := batch[:0]
	for _, rec := range batch {
		if r.matcher.Matches(rec.levels()...) {
			results = append(results, rec)
		}
	}
	if r.q.Level == archive.PatientLevel {
		return r.processPatients(results)
	}
	n := min(r.skip, len(results))
	r.skip -= n
	results = results[n:]
	if r.q.Limit > 0 && len(results) >= r.left {
		results = results[:r.left]
	}
	if r.wantsAggregates() {
		if err := r.loadAggregates(results); err != nil {
			return err
		}
	}
	for _, rec := range results {
		if r.emit(rec, r.result(rec)); r.stopped {
			break
		}
	}
	return nil
}

// emit yields a result and counts it.
func (r *run) emit(rec *record, d *dicom.Dataset) {
	r.last = rec.id
	r.yielded++
	r.left--
	r.stopped = !r.yield(d, nil) || r.q.Limit > 0 && r.left == 0
}

func (r *run) matchesComputed() bool {
	for _, m := range r.q.Match {
		if m.Kind != archive.Universal && matchesComputed(m.Path[0]) {
			return true
		}
	}
	return false
}

func (r *run) wantsAggregates() bool {
	for _, tag := range [...]dicom.Tag{dict.ModalitiesInStudy, dict.SOPClassesInStudy, dict.NumberOfStudyRelatedSeries, dict.NumberOfStudyRelatedInstances} {
		if r.selection.HasComputed(tag) {
			return true
		}
	}
	return false
}
