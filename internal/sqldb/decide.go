package sqldb

import (
	"bytes"
	"context"
	"fmt"

	"pharos/internal/access"
	"pharos/internal/archive"
	"pharos/internal/dicom"
	"pharos/internal/index"
)

// knownInstance is an instance that is there already.
type knownInstance struct {
	id, volume, size int64
	key              string
	digest           []byte
	series, study    dicom.UID
}

func (t *tx) findInstance(ctx context.Context, uid dicom.UID) (*knownInstance, error) {
	k := &knownInstance{}
	var series, study string
	found, err := queryRow(ctx, t, `SELECT i.id, i.volume, i.size, i.key, i.sha256, r.uid, s.uid
		FROM instance i JOIN series r ON r.id = i.series_id JOIN study s ON s.id = r.study_id WHERE i.uid = ?`,
		[]any{string(uid)}, &k.id, &k.volume, &k.size, &k.key, &k.digest, &series, &study)
	if err != nil || !found {
		return nil, err
	}
	k.series, k.study = dicom.UID(series), dicom.UID(study)
	return k, nil
}

// decide settles a request whose UID is known.
func (w *groupWriter) decide(ctx context.Context, r *request, old *knownInstance) error {
	ref := r.entry.Ref
	if old.series != ref.Series || old.study != ref.Study {
		r.err = fmt.Errorf("%w: the instance belongs to another series", archive.ErrConflict)
		return nil
	}
	s, err := w.findSeries(ctx, ref)
	if err != nil {
		return err
	}
	if bytes.Equal(old.digest, r.entry.Digest[:]) {
		r.outcome = index.Duplicate
		return w.place(ctx, r, s)
	}
	switch r.policy {
	case index.Replace:
		return w.atomically(ctx, func() error { return w.replace(ctx, r, s, old) })
	case index.Keep:
		return w.hold(ctx, r)
	}
	r.err = fmt.Errorf("%w with other bytes", archive.ErrConflict)
	return nil
}

// replace puts the new instance in the place of the old, with a number of its own: it
// has just arrived.
func (w *groupWriter) replace(ctx context.Context, r *request, s *seriesState, old *knownInstance) error {
	if err := w.discard(ctx, old.volume, old.key); err != nil {
		return err
	}
	if _, err := w.exec(ctx, "DELETE FROM instance WHERE id = ?", old.id); err != nil {
		return err
	}
	row, err := w.row(ctx, r, s)
	if err != nil {
		return err
	}
	if _, err := w.exec(ctx, insertInstance, row.args()...); err != nil {
		return err
	}
	if err := w.recountClasses(ctx, s.id); err != nil {
		return err
	}
	delete(w.cache.series, s.uid) // its classes may have become fewer
	r.outcome = index.Replaced
	return w.arrived(ctx, row, 0, r.entry.Size-old.size)
}

// hold keeps an instance aside.
func (w *groupWriter) hold(ctx context.Context, r *request) error {
	row, err := w.row(ctx, r, nil)
	if err != nil {
		return err
	}
	album, err := w.db.words.number(ctx, w.conn, albumWord(r.entry.Album))
	if err != nil {
		return err
	}
	e, p := &r.entry, &r.packed
	attributes := append(append(packLength(p.study), packLength(p.series)...), p.instance...)
	n, err := w.exec(ctx, `INSERT INTO held (study_uid, series_uid, uid, class, syntax, volume, key, size, sha256, received, source, album, layout, attributes)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (uid, sha256) DO NOTHING`,
		string(e.Ref.Study), string(e.Ref.Series), string(e.Ref.Instance), row.class, row.syntax, row.volume, string(e.Location.Key),
		e.Size, e.Digest[:], micros(e.Received), row.source, album, notNil(e.Layout), attributes)
	if err != nil {
		return err
	}
	r.outcome = index.Held
	if n == 0 {
		r.outcome = index.Duplicate
	}
	return nil
}

// discard makes a location garbage.
func (t *tx) discard(ctx context.Context, volume int64, key string) error {
	if key == "" {
		return nil
	}
	_, err := t.exec(ctx, "INSERT INTO garbage (key, volume) VALUES (?, ?) ON CONFLICT DO NOTHING", key, volume)
	return err
}

// recountClasses works the SOP classes of a series out again.
func (t *tx) recountClasses(ctx context.Context, series int64) error {
	var classes []int64
	err := each(ctx, t, "SELECT class FROM instance WHERE series_id = ? GROUP BY class ORDER BY min(id)", []any{series}, func(r rows) error {
		var c int64
		err := r.Scan(&c)
		classes = append(classes, c)
		return err
	})
	if err != nil {
		return err
	}
	_, err = t.exec(ctx, "UPDATE series SET classes = ? WHERE id = ?", joinIDs(classes), series)
	return err
}

// albumWord is how an album is filed among the words, where it can't be taken for
// anything else.
func albumWord(a access.AlbumID) string {
	if a == "" {
		return ""
	}
	return "album:" + string(a)
}
