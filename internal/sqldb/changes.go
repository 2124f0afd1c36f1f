package sqldb

import (
	"context"
	"iter"

	"pharos/internal/dicom"
	"pharos/internal/index"
)

// An arrival is no row of its own: instances are numbered by the sequence of changes.
// So the arrival of what has been removed since is not told.
const selectChanges = `SELECT * FROM (
	SELECT i.id, s.uid, r.uid, i.uid, 1, i.received, i.source
	FROM instance i JOIN series r ON r.id = i.series_id JOIN study s ON s.id = r.study_id
	WHERE i.id > ? ORDER BY i.id ` + limited + `) a
UNION ALL SELECT * FROM (
	SELECT seq, study_uid, series_uid, uid, 2, removed, 0 FROM removal WHERE seq > ? ORDER BY seq ` + limited + `) b
ORDER BY 1 ` + limited

// Changes implements index.Index.
func (d *DB) Changes(ctx context.Context, after index.Seq) iter.Seq2[index.Change, error] {
	return func(yield func(index.Change, error) bool) {
		c, err := d.reader(ctx)
		for err == nil {
			var batch []index.Change
			if batch, err = d.changes(ctx, c, after); err != nil || len(batch) == 0 {
				break
			}
			for _, change := range batch {
				if !yield(change, nil) {
					return
				}
				after = change.Seq
			}
		}
		if err != nil {
			yield(index.Change{}, err)
		}
	}
}

func (d *DB) changes(ctx context.Context, c conn, after index.Seq) ([]index.Change, error) {
	var batch []index.Change
	var sources []int64
	args := []any{int64(after), chunk, int64(after), chunk, chunk}
	err := each(ctx, c, selectChanges, args, func(r rows) error {
		var change index.Change
		var study, series, instance string
		var kind, at, source int64
		err := r.Scan((*int64)(&change.Seq), &study, &series, &instance, &kind, &at, &source)
		change.Ref = dicom.Ref{Study: dicom.UID(study), Series: dicom.UID(series), Instance: dicom.UID(instance)}
		change.Kind, change.At = index.ChangeKind(kind), timeOf(at)
		batch, sources = append(batch, change), append(sources, source)
		return err
	})
	if err != nil {
		return nil, err
	}
	for i := range batch {
		if batch[i].Source, err = d.words.word(ctx, c, sources[i]); err != nil {
			return nil, err
		}
	}
	return batch, nil
}
