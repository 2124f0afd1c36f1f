package sqldb

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"pharos/internal/archive"
)

// pgEngine is a pool of connections, one of which writes at a time.
type pgEngine struct {
	pool *pgxpool.Pool
	read pgConn
	tx   pgx.Tx // the write transaction
}

// migrationLock is the advisory lock that replicas take turns with at start. Any
// number does that nobody else uses.
const migrationLock = 0x50484152

// OpenPostgres connects to a PostgreSQL database and brings its schema up to date. Any
// number of replicas may use it.
func OpenPostgres(ctx context.Context, url string, o Options) (*DB, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("database address: %w", err)
	}
	config.MaxConns = max(config.MaxConns, 8)
	config.ConnConfig.RuntimeParams["application_name"] = "pharos"
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("open index: %w", err)
	}
	e := &pgEngine{pool: pool, read: newPGConn(pool)}
	if err := e.migrate(ctx); err != nil {
		pool.Close()
		return nil, fmt.Errorf("open index: %w", err)
	}
	return newDB(e, o), nil
}

func (e *pgEngine) migrate(ctx context.Context) error {
	all, err := migrations("postgres")
	if err != nil {
		return err
	}
	tx, err := e.pool.Begin(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }() // after Commit it does nothing
	c := e.read.on(tx)
	if _, err := c.exec(ctx, "SELECT pg_advisory_xact_lock(?)", int64(migrationLock)); err != nil {
		return err
	}
	if err := migrate(ctx, c, all); err != nil {
		return err
	}
	return tx.Commit(ctx)
}

func (e *pgEngine) reader() conn      { return e.read }
func (e *pgEngine) dialect() *dialect { return &pgDialect }
func (e *pgEngine) lazy() bool        { return false }

var pgDialect = dialect{
	in:     func(column string) string { return column + " = ANY(?::bigint[])" },
	ids:    func(ids []int64) any { return ids },
	each:   "unnest(?::text[]) AS k(value)",
	texts:  func(s []string) any { return s },
	list:   func(column string) string { return "coalesce(array_agg(" + column + ")::text, '')" },
	within: "strpos",

	lockLedger: selectLedger + " FOR UPDATE",
}

func (e *pgEngine) begin(ctx context.Context) (conn, error) {
	tx, err := e.pool.Begin(ctx)
	if err != nil {
		return nil, err
	}
	e.tx = tx
	return e.read.on(tx), nil
}

// commit is always durable, unless the database is configured otherwise.
func (e *pgEngine) commit(ctx context.Context, _ bool) error { return pgError(e.tx.Commit(ctx)) }

func (e *pgEngine) rollback() { _ = e.tx.Rollback(context.Background()) } // a broken connection has rolled back already

// columns of instance rows as arrays: one statement inserts any number of rows.
const insertInstanceArrays = `INSERT INTO instance (id, series_id, uid, number, class, syntax, volume, key, size, sha256, received, source, layout, attributes)
SELECT * FROM unnest(?::bigint[], ?::bigint[], ?::text[], ?::bigint[], ?::integer[], ?::integer[], ?::integer[], ?::text[], ?::bigint[], ?::bytea[], ?::bigint[], ?::integer[], ?::bytea[], ?::bytea[])
ON CONFLICT (uid) DO NOTHING RETURNING id`

func (e *pgEngine) insertInstances(ctx context.Context, c conn, list []*instanceRow) ([]*instanceRow, error) {
	var ids, series, numbers, sizes, received []int64
	var classes, syntaxes, volumes, sources []int64
	var uids, keys []string
	var digests, layouts, attributes [][]byte
	for _, r := range list {
		en, p := &r.request.entry, &r.request.packed
		ids, series, numbers = append(ids, int64(r.id)), append(series, r.series.id), append(numbers, p.number)
		sizes, received = append(sizes, en.Size), append(received, micros(en.Received))
		classes, syntaxes = append(classes, r.class), append(syntaxes, r.syntax)
		volumes, sources = append(volumes, r.volume), append(sources, r.source)
		uids, keys = append(uids, string(en.Ref.Instance)), append(keys, string(en.Location.Key))
		digests, layouts, attributes = append(digests, en.Digest[:]), append(layouts, notNil(en.Layout)), append(attributes, p.instance)
	}
	inserted := make(map[int64]bool, len(list))
	err := each(ctx, c, insertInstanceArrays,
		[]any{ids, series, uids, numbers, classes, syntaxes, volumes, keys, sizes, digests, received, sources, layouts, attributes},
		func(r rows) error {
			var id int64
			err := r.Scan(&id)
			inserted[id] = true
			return err
		})
	if err != nil {
		return nil, err
	}
	var clashing []*instanceRow
	for _, r := range list {
		if !inserted[int64(r.id)] {
			clashing = append(clashing, r)
		}
	}
	return clashing, nil
}

func (e *pgEngine) close() error {
	e.pool.Close()
	return nil
}

// pgQuerier is a pool or a transaction.
type pgQuerier interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

// pgConn numbers the arguments of statements, once for each.
type pgConn struct {
	db       pgQuerier
	numbered *sync.Map
}

func newPGConn(db pgQuerier) pgConn { return pgConn{db, new(sync.Map)} }

func (c pgConn) on(db pgQuerier) pgConn { return pgConn{db, c.numbered} }

// number writes $1, $2 and so on for the question marks. No statement has one in a
// literal.
func (c pgConn) number(stmt string) string {
	if s, ok := c.numbered.Load(stmt); ok {
		return s.(string)
	}
	var b strings.Builder
	n := 0
	for _, r := range stmt {
		if r != '?' {
			b.WriteRune(r)
			continue
		}
		n++
		b.WriteString("$" + strconv.Itoa(n))
	}
	c.numbered.Store(stmt, b.String())
	return b.String()
}

func (c pgConn) exec(ctx context.Context, stmt string, args ...any) (int64, error) {
	tag, err := c.db.Exec(ctx, c.number(stmt), args...)
	return tag.RowsAffected(), pgError(err)
}

func (c pgConn) query(ctx context.Context, stmt string, args ...any) (rows, error) {
	r, err := c.db.Query(ctx, c.number(stmt), args...)
	if err != nil {
		return nil, pgError(err)
	}
	return pgRows{r}, nil
}

type pgRows struct{ pgx.Rows }

func (r pgRows) Err() error { return pgError(r.Rows.Err()) }

func (r pgRows) Close() error {
	r.Rows.Close()
	return nil
}

// pgError tells a full disk from other failures (PostgreSQL, Appendix A, class 53).
func pgError(err error) error {
	var e *pgconn.PgError
	if errors.As(err, &e) && e.Code == "53100" {
		return fmt.Errorf("%w: %w", archive.ErrFull, err)
	}
	return err
}
