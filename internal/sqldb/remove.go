package sqldb

import (
	"context"
	"time"

	"pharos/internal/access"
	"pharos/internal/archive"
	"pharos/internal/dicom"
	"pharos/internal/index"
)

// Remove implements index.Index. A removed series, whole or of a whole study, is one
// change.
func (d *DB) Remove(ctx context.Context, ref dicom.Ref, in access.Scope) (int, error) {
	removed := 0
	err := d.update(ctx, true, func(t *tx) error {
		s, err := d.scope(ctx, t, in)
		if err != nil {
			return err
		}
		removed, err = t.remove(ctx, ref, s)
		return err
	})
	if removed > 0 {
		d.pages.reset()
	}
	return removed, err
}

func (t *tx) remove(ctx context.Context, ref dicom.Ref, in scope) (int, error) {
	removed := 0
	after := int64(0)
	for {
		batch, err := findSeries(ctx, t, t.db.sql, ref, in, after, 256)
		if err != nil || len(batch) == 0 {
			return removed, err
		}
		for _, s := range batch {
			n, err := t.removeFrom(ctx, s, ref.Instance)
			if err != nil {
				return removed, err
			}
			removed += n
			after = s.id
		}
		t.ledger.generation++ // what replicas remember of these series is no longer true
		t.cache.reset()
		t.cache.generation = t.ledger.generation
	}
}

// removeFrom removes an instance of a series or, when that is "" or the last one, the
// whole series.
func (t *tx) removeFrom(ctx context.Context, s foundSeries, instance dicom.UID) (int, error) {
	whole := instance == ""
	if !whole {
		k, err := t.findInstance(ctx, instance)
		if err != nil || k == nil || k.series != s.ref.Series {
			return 0, err
		}
		if whole = s.instances == 1; !whole {
			return 1, t.removeInstance(ctx, s, instance, k)
		}
	}
	return int(s.instances), t.removeSeries(ctx, s, instance)
}

func (t *tx) removeInstance(ctx context.Context, s foundSeries, uid dicom.UID, k *knownInstance) error {
	if err := t.discard(ctx, k.volume, k.key); err != nil {
		return err
	}
	if _, err := t.exec(ctx, "DELETE FROM instance WHERE id = ?", k.id); err != nil {
		return err
	}
	if err := t.removeHeld(ctx, "uid = ?", string(uid)); err != nil {
		return err
	}
	if err := t.recountClasses(ctx, s.id); err != nil {
		return err
	}
	seq, err := t.noteRemoval(ctx, dicom.Ref{Study: s.ref.Study, Series: s.ref.Series, Instance: uid})
	if err != nil {
		return err
	}
	return t.recount(ctx, s, -1, -k.size, seq)
}

// recount changes the counts of a series and its study at once, as removals read them.
func (t *tx) recount(ctx context.Context, s foundSeries, instances, bytes int64, latest index.Seq) error {
	t.ledger.Instances += instances
	t.ledger.Bytes += bytes
	if _, err := t.exec(ctx, "UPDATE series SET instances = instances + ?, bytes = bytes + ?, latest = ? WHERE id = ?", instances, bytes, int64(latest), s.id); err != nil {
		return err
	}
	_, err := t.exec(ctx, "UPDATE study SET instances = instances + ?, bytes = bytes + ? WHERE id = ?", instances, bytes, s.study)
	return err
}

// removeSeries removes a series with all it has. instance is the one asked for, if it
// was only that one.
func (t *tx) removeSeries(ctx context.Context, s foundSeries, instance dicom.UID) error {
	if err := t.discard(ctx, s.headersVolume, s.headersKey); err != nil {
		return err
	}
	if err := t.removeHeld(ctx, "study_uid = ? AND series_uid = ?", string(s.ref.Study), string(s.ref.Series)); err != nil {
		return err
	}
	for _, stmt := range []string{
		"INSERT INTO garbage (key, volume) SELECT key, volume FROM instance WHERE series_id = ? ON CONFLICT DO NOTHING",
		"DELETE FROM instance WHERE series_id = ?",
		"DELETE FROM placement WHERE series_id = ?",
		"DELETE FROM series WHERE id = ?",
	} {
		if _, err := t.exec(ctx, stmt, s.id); err != nil {
			return err
		}
	}
	t.ledger.Series--
	t.ledger.Instances -= s.instances
	t.ledger.Bytes -= s.bytes
	if _, err := t.exec(ctx, "UPDATE study SET series = series - 1, instances = instances - ?, bytes = bytes - ? WHERE id = ?", s.instances, s.bytes, s.study); err != nil {
		return err
	}
	if _, err := t.noteRemoval(ctx, dicom.Ref{Study: s.ref.Study, Series: s.ref.Series, Instance: instance}); err != nil {
		return err
	}
	if err := t.recountModalities(ctx, s.study); err != nil {
		return err
	}
	return t.removeEmptyStudy(ctx, s.study)
}

// removeEmptyStudy removes a study that has lost its last series.
func (t *tx) removeEmptyStudy(ctx context.Context, id int64) error {
	var attributes []byte
	empty, err := queryRow(ctx, t, "SELECT attributes FROM study WHERE id = ? AND series = 0", []any{id}, &attributes)
	if err != nil || !empty {
		return err
	}
	d, err := unpack(attributes, t.db.isFiled)
	if err != nil {
		return err
	}
	for _, term := range termsOf(d, t.db.study, t.db.filed) {
		if _, err := t.exec(ctx, "DELETE FROM term WHERE tag = ? AND term = ? AND study_id = ?", term.tag, term.text, id); err != nil {
			return err
		}
	}
	if _, err := t.exec(ctx, "UPDATE study_block SET studies = studies - 1 WHERE block = ?", id>>blockBits); err != nil {
		return err
	}
	if _, err := t.exec(ctx, "DELETE FROM study WHERE id = ?", id); err != nil {
		return err
	}
	t.ledger.Studies--
	return nil
}

func (d *DB) isFiled(tag dicom.Tag) bool { return d.filed[tag] }

// removeHeld removes what is held aside and makes it garbage.
func (t *tx) removeHeld(ctx context.Context, where string, args ...any) error {
	if _, err := t.exec(ctx, "INSERT INTO garbage (key, volume) SELECT key, volume FROM held WHERE "+where+" ON CONFLICT DO NOTHING", args...); err != nil {
		return err
	}
	_, err := t.exec(ctx, "DELETE FROM held WHERE "+where, args...)
	return err
}

func (t *tx) noteRemoval(ctx context.Context, ref dicom.Ref) (index.Seq, error) {
	seq := t.nextSeq()
	_, err := t.exec(ctx, "INSERT INTO removal (seq, study_uid, series_uid, uid, removed) VALUES (?, ?, ?, ?, ?)",
		int64(seq), string(ref.Study), string(ref.Series), string(ref.Instance), micros(time.Now()))
	return seq, err
}

// Relocate implements index.Index.
func (d *DB) Relocate(ctx context.Context, instance dicom.UID, from, to index.Location) error {
	return d.update(ctx, false, func(t *tx) error {
		k, err := t.findInstance(ctx, instance)
		if err != nil {
			return err
		}
		if k == nil {
			return archive.ErrNotFound
		}
		volume, err := d.words.word(ctx, t, k.volume)
		if err != nil {
			return err
		}
		if k.key != string(from.Key) || volume != from.Volume {
			return archive.ErrConflict
		}
		if from == to {
			return nil
		}
		target, err := d.words.number(ctx, t, to.Volume)
		if err != nil {
			return err
		}
		if err := t.discard(ctx, k.volume, k.key); err != nil {
			return err
		}
		_, err = t.exec(ctx, "UPDATE instance SET volume = ?, key = ? WHERE id = ?", target, string(to.Key), k.id)
		return err
	})
}
