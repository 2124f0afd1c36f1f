package sqldb

import (
	"context"
	"fmt"
)

// conn runs statements in which each ? stands for an argument: on a connection, in a
// transaction, or on a pool.
type conn interface {
	exec(ctx context.Context, stmt string, args ...any) (affected int64, err error)
	query(ctx context.Context, stmt string, args ...any) (rows, error)
}

// rows are the result of a query. Close may be called more than once.
type rows interface {
	Next() bool
	Scan(dest ...any) error
	Err() error
	Close() error
}

// queryRow scans the first row, and reports whether there is one.
func queryRow(ctx context.Context, c conn, stmt string, args []any, dest ...any) (bool, error) {
	found := false
	err := each(ctx, c, stmt, args, func(r rows) error {
		if found {
			return nil
		}
		found = true
		return r.Scan(dest...)
	})
	return found, err
}

// each calls f for every row.
func each(ctx context.Context, c conn, stmt string, args []any, f func(rows) error) error {
	r, err := c.query(ctx, stmt, args...)
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }() // Err has told what matters
	for r.Next() {
		if err := f(r); err != nil {
			return fmt.Errorf("read row: %w", err)
		}
	}
	return r.Err()
}

// limited bounds the rows of a statement by an argument. For a bare LIMIT ? SQLite looks
// at the value while it plans, and therefore plans anew at every execution; behind a
// cast it does not.
const limited = "LIMIT CAST(? AS bigint)"

// dialect is what differs in the text of statements that are otherwise common.
type dialect struct {
	in         func(column string) string // column is one of a list of numbers, given as ids
	ids        func([]int64) any
	lockLedger string // reads the ledger and keeps other writers out
	each       string // a table "k" with a column "value" of the texts given as texts
	texts      func([]string) any
	list       func(column string) string // all values of a column of numbers, for parseList
	within     string                     // the position of the second argument in the first is within > 0
}

// engine is a database: SQLite or PostgreSQL.
type engine interface {
	// reader reads what is committed.
	reader() conn
	dialect() *dialect

	// begin starts the one write transaction that there may be at a time.
	begin(ctx context.Context) (conn, error)
	// commit ends it. A durable one is on stable storage when commit returns, with all
	// before it.
	commit(ctx context.Context, durable bool) error
	rollback()

	// lazy tells that a transaction should stay open for as long as nobody wants to read.
	lazy() bool
	// insertInstances inserts rows whose UID is not there yet and returns the others.
	insertInstances(ctx context.Context, c conn, rows []*instanceRow) (clashing []*instanceRow, err error)
	close() error
}
