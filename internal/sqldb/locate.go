package sqldb

import (
	"context"
	"iter"
	"math"

	"pharos/internal/access"
	"pharos/internal/blob"
	"pharos/internal/dicom"
	"pharos/internal/index"
)

// chunk is how many rows a statement reads at a time. Between chunks no statement is
// open, so that a slow consumer holds nothing up.
const chunk = 256

// Locate implements index.Index.
func (d *DB) Locate(ctx context.Context, ref dicom.Ref, in access.Scope) iter.Seq2[index.Entry, error] {
	return func(yield func(index.Entry, error) bool) {
		if in.Empty() {
			return
		}
		c, err := d.reader(ctx)
		if err != nil {
			yield(index.Entry{}, err)
			return
		}
		s, err := d.scope(ctx, c, in)
		if err != nil {
			yield(index.Entry{}, err)
			return
		}
		l := locator{ctx: ctx, db: d, c: c, yield: yield}
		if ref.Instance != "" {
			err = l.instance(ref, s)
		} else {
			err = l.series(ref, s)
		}
		if err != nil && !l.stopped {
			yield(index.Entry{}, err)
		}
	}
}

type locator struct {
	ctx     context.Context
	db      *DB
	c       conn
	yield   func(index.Entry, error) bool
	stopped bool
}

const locateColumns = "SELECT i.uid, i.class, i.syntax, i.volume, i.key, i.size, i.sha256, i.received, i.source, i.layout, i.number, i.id"

func (l *locator) instance(ref dicom.Ref, in scope) error {
	if in.empty() {
		return nil
	}
	condition, args := in.series(l.db.sql, "i.series_id")
	stmt := locateColumns + ", r.uid, s.uid FROM instance i JOIN series r ON r.id = i.series_id JOIN study s ON s.id = r.study_id WHERE i.uid = ?" + condition
	var found []locatedRow
	err := each(l.ctx, l.c, stmt, append([]any{string(ref.Instance)}, args...), func(r rows) error {
		var series, study string
		row, err := l.scan(r, &series, &study)
		row.entry.Ref.Series, row.entry.Ref.Study = dicom.UID(series), dicom.UID(study)
		if (ref.Series == "" || ref.Series == row.entry.Ref.Series) && (ref.Study == "" || ref.Study == row.entry.Ref.Study) {
			found = append(found, row)
		}
		return err
	})
	if err != nil {
		return err
	}
	return l.deliver(found)
}

func (l *locator) series(ref dicom.Ref, in scope) error {
	after := int64(0)
	for !l.stopped {
		batch, err := findSeries(l.ctx, l.c, l.db.sql, ref, in, after, chunk)
		if err != nil || len(batch) == 0 {
			return err
		}
		for _, s := range batch {
			if err := l.oneSeries(s); err != nil || l.stopped {
				return err
			}
			after = s.id
		}
	}
	return nil
}

// oneSeries yields a series in the order of its index on (series, number).
func (l *locator) oneSeries(s foundSeries) error {
	number, id := int64(math.MinInt64), int64(0)
	for !l.stopped {
		var batch []locatedRow
		err := each(l.ctx, l.c, locateColumns+` FROM instance i
			WHERE i.series_id = ? AND (i.number, i.id) > (?, ?) ORDER BY i.number, i.id `+limited,
			[]any{s.id, number, id, chunk}, func(r rows) error {
				row, err := l.scan(r)
				row.entry.Ref.Study, row.entry.Ref.Series = s.ref.Study, s.ref.Series
				batch = append(batch, row)
				return err
			})
		if err != nil {
			return err
		}
		if err := l.deliver(batch); err != nil || len(batch) < chunk {
			return err
		}
		last := batch[len(batch)-1]
		number, id = last.number, last.id
	}
	return nil
}

// deliver yields entries, with the words that their rows have as numbers. Those may
// have to be read, for which the statement of the rows must have ended.
func (l *locator) deliver(batch []locatedRow) error {
	for i := range batch {
		row := &batch[i]
		for _, w := range []struct {
			id   int64
			text *string
		}{
			{row.class, (*string)(&row.entry.SOPClass)}, {row.syntax, (*string)(&row.entry.TransferSyntax)},
			{row.volume, &row.entry.Location.Volume}, {row.source, &row.entry.Source},
		} {
			var err error
			if *w.text, err = l.db.words.word(l.ctx, l.c, w.id); err != nil {
				return err
			}
		}
		if l.stopped = !l.yield(row.entry, nil); l.stopped {
			return nil
		}
	}
	return nil
}

type locatedRow struct {
	entry                         index.Entry
	class, syntax, volume, source int64
	number, id                    int64
}

func (l *locator) scan(r rows, more ...any) (locatedRow, error) {
	var row locatedRow
	var uid, key string
	var digest []byte
	var received int64
	e := &row.entry
	err := r.Scan(append([]any{&uid, &row.class, &row.syntax, &row.volume, &key, &e.Size, &digest, &received, &row.source, &e.Layout, &row.number, &row.id}, more...)...)
	e.Ref.Instance, e.Location.Key, e.Received = dicom.UID(uid), blob.Key(key), timeOf(received)
	copy(e.Digest[:], digest)
	return row, err
}
