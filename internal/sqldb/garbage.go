package sqldb

import (
	"context"
	"iter"

	"pharos/internal/blob"
	"pharos/internal/index"
)

// Garbage implements index.Index. What made the locations garbage is on stable storage
// before the first is yielded, for the caller will delete them for good.
func (d *DB) Garbage(ctx context.Context) iter.Seq2[index.Location, error] {
	return func(yield func(index.Location, error) bool) {
		c, err := d.durableReader(ctx)
		key, volume := "", int64(0)
		for err == nil {
			var batch []index.Location
			var volumes []int64
			err = each(ctx, c, "SELECT key, volume FROM garbage WHERE (key, volume) > (?, ?) ORDER BY key, volume "+limited,
				[]any{key, volume, chunk}, func(r rows) error {
					err := r.Scan(&key, &volume)
					batch, volumes = append(batch, index.Location{Key: blob.Key(key)}), append(volumes, volume)
					return err
				})
			if len(batch) == 0 {
				break
			}
			for i := range batch {
				if batch[i].Volume, err = d.words.word(ctx, c, volumes[i]); err != nil {
					break
				}
				if !yield(batch[i], nil) {
					return
				}
			}
		}
		if err != nil {
			yield(index.Location{}, err)
		}
	}
}

// durableReader is reader, with everything that it sees on stable storage.
func (d *DB) durableReader(ctx context.Context) (conn, error) {
	if d.engine.lazy() {
		d.mu.Lock()
		defer d.mu.Unlock()
		if err := d.finish(context.WithoutCancel(ctx), true); err != nil {
			return nil, err
		}
	}
	return d.engine.reader(), ctx.Err()
}

// Forget implements index.Index.
func (d *DB) Forget(ctx context.Context, ls ...index.Location) error {
	if len(ls) == 0 {
		return nil
	}
	return d.update(ctx, false, func(t *tx) error {
		for _, l := range ls {
			volume, known, err := d.words.lookup(ctx, t, l.Volume)
			if err != nil {
				return err
			}
			if !known {
				continue
			}
			if _, err := t.exec(ctx, "DELETE FROM garbage WHERE key = ? AND volume = ?", string(l.Key), volume); err != nil {
				return err
			}
		}
		return nil
	})
}

// Unknown implements index.Index.
func (d *DB) Unknown(ctx context.Context, ls []index.Location) ([]index.Location, error) {
	c, err := d.reader(ctx)
	if err != nil {
		return nil, err
	}
	byVolume := make(map[string][]string)
	for _, l := range ls {
		byVolume[l.Volume] = append(byVolume[l.Volume], string(l.Key))
	}
	unknown := make(map[index.Location]bool)
	for volume, keys := range byVolume {
		id, found, err := d.words.lookup(ctx, c, volume)
		if err != nil {
			return nil, err
		}
		if found {
			if keys, err = d.unknownKeys(ctx, c, id, keys); err != nil {
				return nil, err
			}
		}
		for _, k := range keys {
			unknown[index.Location{Volume: volume, Key: blob.Key(k)}] = true
		}
	}
	var rest []index.Location
	for _, l := range ls {
		if unknown[l] {
			rest = append(rest, l)
		}
	}
	return rest, nil
}

func (d *DB) unknownKeys(ctx context.Context, c conn, volume int64, keys []string) ([]string, error) {
	var unknown []string
	err := each(ctx, c, "SELECT k.value FROM "+d.sql.each+`
		WHERE NOT EXISTS (SELECT 1 FROM instance WHERE key = k.value AND volume = ?)
		AND NOT EXISTS (SELECT 1 FROM held WHERE key = k.value AND volume = ?)
		AND NOT EXISTS (SELECT 1 FROM series WHERE headers_key = k.value AND headers_volume = ? AND headers_key <> '')
		AND NOT EXISTS (SELECT 1 FROM garbage WHERE key = k.value AND volume = ?)`,
		[]any{d.sql.texts(keys), volume, volume, volume, volume}, func(r rows) error {
			var key string
			err := r.Scan(&key)
			unknown = append(unknown, key)
			return err
		})
	return unknown, err
}
