package sqldb

import (
	"context"

	"pharos/internal/access"
	"pharos/internal/dicom"
)

// scope is an access.Scope in numbers.
type scope struct {
	all    bool
	albums []int64
}

func (s scope) empty() bool { return !s.all && len(s.albums) == 0 }

// scope looks the albums up; unknown ones have nothing placed in them.
func (d *DB) scope(ctx context.Context, c conn, in access.Scope) (scope, error) {
	s := scope{all: in.All}
	if s.all {
		return s, nil
	}
	for _, a := range in.Albums {
		id, found, err := d.words.lookup(ctx, c, albumWord(a))
		if err != nil {
			return s, err
		}
		if found && id != 0 {
			s.albums = append(s.albums, id)
		}
	}
	return s, nil
}

// series returns a condition that the series with that id is in scope, to follow
// others, and its arguments.
func (s scope) series(q *dialect, id string) (string, []any) {
	if s.all {
		return "", nil
	}
	return " AND EXISTS (SELECT 1 FROM placement p WHERE p.series_id = " + id + " AND " + q.in("p.album") + ")", []any{q.ids(s.albums)}
}

// study is the same for a study that has a series in scope.
func (s scope) study(q *dialect, id string) (string, []any) {
	if s.all {
		return "", nil
	}
	return " AND EXISTS (SELECT 1 FROM placement p WHERE p.study_id = " + id + " AND " + q.in("p.album") + ")", []any{q.ids(s.albums)}
}

// foundSeries is a row of the table of series.
type foundSeries struct {
	id, study                     int64
	ref                           dicom.Ref
	instances, bytes, latest      int64
	headersVolume, headersThrough int64
	headersKey                    string
}

// findSeries returns the series that ref names and that are in scope, in the order of
// arrival, behind the one with the id after. Of ref.Instance it sees to it that the
// instance belongs to the series.
func findSeries(ctx context.Context, c conn, q *dialect, ref dicom.Ref, in scope, after int64, limit int) ([]foundSeries, error) {
	if in.empty() {
		return nil, nil
	}
	stmt := `SELECT r.id, r.study_id, s.uid, r.uid, r.instances, r.bytes, r.latest, r.headers_volume, r.headers_key, r.headers_through
		FROM series r JOIN study s ON s.id = r.study_id WHERE r.id > ?`
	args := []any{after}
	for _, part := range []struct {
		uid       dicom.UID
		condition string
	}{
		{ref.Study, " AND r.study_id = (SELECT id FROM study WHERE uid = ?)"},
		{ref.Series, " AND r.uid = ?"},
		{ref.Instance, " AND r.id = (SELECT series_id FROM instance WHERE uid = ?)"},
	} {
		if part.uid != "" {
			stmt += part.condition
			args = append(args, string(part.uid))
		}
	}
	condition, more := in.series(q, "r.id")
	stmt += condition + " ORDER BY r.id " + limited
	args = append(append(args, more...), limit)
	var found []foundSeries
	err := each(ctx, c, stmt, args, func(r rows) error {
		var f foundSeries
		var study, series string
		err := r.Scan(&f.id, &f.study, &study, &series, &f.instances, &f.bytes, &f.latest, &f.headersVolume, &f.headersKey, &f.headersThrough)
		f.ref = dicom.Ref{Study: dicom.UID(study), Series: dicom.UID(series)}
		found = append(found, f)
		return err
	})
	return found, err
}
