package sqldb

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"pharos/internal/archive"
	"pharos/internal/dicom"
	"pharos/internal/index"
)

// Options are those of both databases. The zero value works.
type Options struct {
	// Keys are the attributes that are kept; nil means archive.NewKeys(). Instances
	// that were committed with others keep those.
	Keys *archive.Keys
}

// DB is an index.Index on a database.
type DB struct {
	engine   engine
	sql      *dialect
	keys     *archive.Keys
	study    []archive.Key // patient's and study's
	series   []archive.Key
	instance []archive.Key
	filed    map[dicom.Tag]bool
	pages    pageCache
	words    wordCache

	mu    sync.Mutex // guards what follows, and the write transaction
	open  *tx        // nil when no transaction is open
	cache writeCache
	dirty int   // requests in the open transaction
	lost  error // a transaction could not be committed, or the index is closed
	timer *time.Timer

	queue commitQueue
}

// How long a lazy transaction stays open at most, and how many instances it takes.
const (
	lazyTime  = 250 * time.Millisecond
	lazyCount = 2000
)

func newDB(e engine, o Options) *DB {
	if o.Keys == nil {
		o.Keys = archive.NewKeys()
	}
	d := &DB{
		engine: e, sql: e.dialect(), keys: o.Keys,
		study:    studyKeys(o.Keys),
		series:   o.Keys.At(archive.SeriesLevel),
		instance: o.Keys.At(archive.InstanceLevel),
		filed:    filedTags(o.Keys),
	}
	d.cache.reset()
	d.words.reset()
	d.pages.reset()
	d.timer = time.AfterFunc(time.Hour, d.flushLate)
	d.timer.Stop()
	return d
}

// Close implements index.Index.
func (d *DB) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.timer.Stop()
	var err error
	if d.lost == nil {
		err = d.finish(context.Background(), true)
		d.lost = errClosed
	}
	return errors.Join(err, d.engine.close())
}

var errClosed = errors.New("index is closed")

// Revive implements index.Index. The failed transaction was rolled back and the caches
// were emptied when it failed.
func (d *DB) Revive(context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if errors.Is(d.lost, index.ErrLost) {
		d.lost = nil
	}
	return d.lost
}

// update runs f in the write transaction.
func (d *DB) update(ctx context.Context, durable bool, f func(*tx) error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.updateLocked(ctx, durable, f)
}

func (d *DB) updateLocked(ctx context.Context, durable bool, f func(*tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	ctx = context.WithoutCancel(ctx) // what shares the transaction must not be undone with it
	t, err := d.transaction(ctx)
	if err != nil {
		return err
	}
	err = t.settle(ctx) // f may read and change counts
	if err == nil {
		err = t.atomically(ctx, func() error { return f(t) })
	}
	if err != nil {
		return d.failed(err)
	}
	if durable || !d.engine.lazy() {
		return d.finish(ctx, durable)
	}
	d.postpone()
	return nil
}

// transaction returns the open one, or opens it.
func (d *DB) transaction(ctx context.Context) (*tx, error) {
	if d.lost != nil {
		return nil, d.lost
	}
	if d.open != nil {
		return d.open, nil
	}
	c, err := d.engine.begin(ctx)
	if err != nil {
		return nil, fmt.Errorf("begin transaction: %w", err)
	}
	t := &tx{conn: c, db: d, cache: &d.cache}
	if err := t.start(ctx); err != nil {
		d.engine.rollback()
		return nil, err
	}
	d.open, d.dirty = t, 0
	return t, nil
}

// abandon gives the open transaction up.
func (d *DB) abandon() {
	d.engine.rollback()
	d.open = nil
	d.cache.reset()
	d.words.reset()
}

// postpone leaves the transaction open, but not for long.
func (d *DB) postpone() {
	d.dirty++
	if d.dirty == 1 {
		d.timer.Reset(lazyTime)
	}
}

// flushLate ends a transaction that nobody asked for. What goes wrong is told to the
// next caller.
func (d *DB) flushLate() {
	d.mu.Lock()
	defer d.mu.Unlock()
	_ = d.finish(context.Background(), false)
}

// finish commits the open transaction.
func (d *DB) finish(ctx context.Context, durable bool) error {
	if d.lost != nil {
		return d.lost
	}
	if d.open == nil {
		if !durable {
			return nil
		}
		if _, err := d.transaction(ctx); err != nil {
			return err
		}
	}
	err := d.open.settle(ctx)
	if err == nil {
		err = d.engine.commit(ctx, durable)
	}
	if err == nil {
		d.open, d.dirty = nil, 0
		return nil
	}
	d.open.gone = true // a COMMIT that fails has rolled back
	return fmt.Errorf("commit transaction: %w", d.failed(err))
}

// failed ends the transaction if it can't go on after an error, and returns the error.
func (d *DB) failed(err error) error {
	if d.engine.lazy() && !d.open.gone {
		return err
	}
	if d.engine.lazy() && d.dirty > 0 {
		d.lost = fmt.Errorf("%w: %w", index.ErrLost, err)
		err = d.lost
	}
	d.abandon()
	return err
}

// reader returns a connection that sees everything that any method has returned. After a
// transaction was lost it sees the rest: old images are to be looked at even then.
func (d *DB) reader(ctx context.Context) (conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if d.engine.lazy() {
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.lost != nil && !errors.Is(d.lost, index.ErrLost) {
			return nil, d.lost
		}
		if d.open != nil {
			if err := d.finish(context.WithoutCancel(ctx), false); err != nil && !errors.Is(err, index.ErrLost) {
				return nil, err
			}
		}
	}
	return d.engine.reader(), nil
}

var _ index.Index = (*DB)(nil)
