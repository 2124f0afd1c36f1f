package sqldb

import (
	"context"

	"pharos/internal/blob"
	"pharos/internal/index"
)

// Sync implements index.Index.
func (d *DB) Sync(ctx context.Context, mark blob.Key) error {
	return d.update(ctx, true, func(t *tx) error {
		_, err := t.exec(ctx, "UPDATE ledger SET mark = ?", string(mark))
		return err
	})
}

// lostBefore tells of a transaction that was lost.
func (d *DB) lostBefore() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.lost
}

// Mark implements index.Index.
func (d *DB) Mark(ctx context.Context) (blob.Key, error) {
	c, err := d.reader(ctx)
	if err != nil {
		return "", err
	}
	if err := d.lostBefore(); err != nil {
		return "", err
	}
	var mark string
	_, err = queryRow(ctx, c, "SELECT mark FROM ledger", nil, &mark)
	return blob.Key(mark), err
}

// Count implements index.Index.
func (d *DB) Count(ctx context.Context) (index.Totals, error) {
	c, err := d.reader(ctx)
	if err != nil {
		return index.Totals{}, err
	}
	var n index.Totals
	_, err = queryRow(ctx, c, "SELECT studies, series, instances, bytes FROM ledger", nil, &n.Studies, &n.Series, &n.Instances, &n.Bytes)
	return n, err
}
