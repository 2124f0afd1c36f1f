package sqldb

import (
	"context"
	"iter"

	"pharos/internal/access"
	"pharos/internal/archive"
	"pharos/internal/blob"
	"pharos/internal/dicom"
	"pharos/internal/index"
)

// Headers implements index.Index.
func (d *DB) Headers(ctx context.Context, ref dicom.Ref, in access.Scope) iter.Seq2[index.SeriesHeaders, error] {
	return func(yield func(index.SeriesHeaders, error) bool) {
		c, err := d.reader(ctx)
		var s scope
		if err == nil {
			s, err = d.scope(ctx, c, in)
		}
		after := int64(0)
		for err == nil {
			var batch []foundSeries
			batch, err = findSeries(ctx, c, d.sql, ref, s, after, chunk)
			if len(batch) == 0 {
				break
			}
			for _, f := range batch {
				var h index.SeriesHeaders
				if h, err = d.headersOf(ctx, c, f); err != nil {
					break
				}
				if !yield(h, nil) {
					return
				}
				after = f.id
			}
		}
		if err != nil {
			yield(index.SeriesHeaders{}, err)
		}
	}
}

func (d *DB) headersOf(ctx context.Context, c conn, f foundSeries) (index.SeriesHeaders, error) {
	volume, err := d.words.word(ctx, c, f.headersVolume)
	return index.SeriesHeaders{
		Ref:      f.ref,
		Location: index.Location{Volume: volume, Key: blob.Key(f.headersKey)},
		Through:  index.Seq(f.headersThrough), Latest: index.Seq(f.latest),
		Instances: int(f.instances),
	}, err
}

// SetHeaders implements index.Index.
func (d *DB) SetHeaders(ctx context.Context, h index.SeriesHeaders) error {
	return d.update(ctx, false, func(t *tx) error {
		ref := dicom.Ref{Study: h.Ref.Study, Series: h.Ref.Series}
		found, err := findSeries(ctx, t, d.sql, ref, scope{all: true}, 0, 1)
		switch {
		case err != nil:
			return err
		case len(found) == 0:
			return archive.ErrNotFound
		case found[0].headersThrough > int64(h.Through):
			return archive.ErrConflict
		}
		volume, err := d.words.number(ctx, t, h.Location.Volume)
		if err != nil {
			return err
		}
		if f := found[0]; f.headersKey != string(h.Location.Key) || f.headersVolume != volume {
			if err := t.discard(ctx, f.headersVolume, f.headersKey); err != nil {
				return err
			}
		}
		_, err = t.exec(ctx, "UPDATE series SET headers_volume = ?, headers_key = ?, headers_through = ? WHERE id = ?",
			volume, string(h.Location.Key), int64(h.Through), found[0].id)
		return err
	})
}
