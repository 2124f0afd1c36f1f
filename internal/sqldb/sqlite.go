package sqldb

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"runtime"
	"strings"
	"sync"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"pharos/internal/archive"
)

// sqliteEngine has one connection that writes and a pool of others that read.
type sqliteEngine struct {
	writers *sql.DB
	writer  *sql.Conn // the one connection of writers
	write   sqliteConn
	readers *sql.DB
	read    sqliteConn
	unsafe  bool // something is committed that may not be on stable storage
}

// OpenSQLite opens the database file, or creates it. Only one process may write to it.
//
// A Commit is written into a transaction that stays open until somebody reads, a
// quarter of a second has passed, or the transaction has grown large. What a crash
// can lose is what the mark of Sync is for.
func OpenSQLite(path string, o Options) (*DB, error) {
	e, err := newSQLiteEngine(path)
	if err != nil {
		return nil, fmt.Errorf("open index %s: %w", path, err)
	}
	if err := migrateSQLite(context.Background(), e.write); err != nil {
		return nil, errors.Join(fmt.Errorf("open index %s: %w", path, err), e.close())
	}
	return newDB(e, o), nil
}

func newSQLiteEngine(path string) (*sqliteEngine, error) {
	e := &sqliteEngine{}
	// SQLite makes files that everybody may read, and gives its WAL the mode of the file.
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := f.Close(); err != nil {
		return nil, err
	}
	if e.writers, err = openSQLitePool(path, 1, writerPragmas); err != nil {
		return nil, err
	}
	if e.writer, err = e.writers.Conn(context.Background()); err != nil {
		return nil, errors.Join(err, e.writers.Close())
	}
	e.write = newSQLiteConn(e.writer)
	if e.readers, err = openSQLitePool(path, max(4, 2*runtime.NumCPU()), readerPragmas); err != nil {
		return nil, errors.Join(err, e.writer.Close(), e.writers.Close())
	}
	e.read = newSQLiteConn(e.readers)
	return e, nil
}

// The WAL may grow to 32 MB before its pages are written back, so that a page that
// many transactions change is written back once. The heap limit of the page cache is
// in KiB, being negative.
var (
	writerPragmas = []string{"journal_mode(wal)", "synchronous(normal)", "busy_timeout(10000)", "cache_size(-65536)", "wal_autocheckpoint(8192)", "temp_store(memory)"}
	readerPragmas = []string{"busy_timeout(10000)", "query_only(1)", "cache_size(-16384)", "temp_store(memory)", "mmap_size(268435456)"}
)

func openSQLitePool(path string, size int, pragmas []string) (*sql.DB, error) {
	q := url.Values{"_pragma": pragmas, "_txlock": {"immediate"}}
	name := "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + q.Encode()
	db, err := sql.Open("sqlite", name)
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(size)
	db.SetMaxIdleConns(size)
	return db, nil
}

func (e *sqliteEngine) reader() conn      { return e.read }
func (e *sqliteEngine) dialect() *dialect { return &sqliteDialect }
func (e *sqliteEngine) lazy() bool        { return true }

var sqliteDialect = dialect{
	in:     func(column string) string { return column + " IN (SELECT value FROM json_each(?))" },
	ids:    func(ids []int64) any { return string(appendIDs(nil, ids)) },
	each:   "json_each(?) AS k",
	texts:  func(s []string) any { b, _ := json.Marshal(s); return string(b) },
	list:   func(column string) string { return "json_group_array(" + column + ")" },
	within: "instr",

	lockLedger: selectLedger,
}

func (e *sqliteEngine) begin(ctx context.Context) (conn, error) {
	_, err := e.write.exec(ctx, "BEGIN IMMEDIATE")
	return e.write, err
}

// commit with durable sets synchronous to FULL for one transaction, which can be done
// only outside of one. In WAL mode COMMIT then ends with an fsync of the WAL, which
// covers the transactions before it as well (SQLite's documentation of PRAGMA
// synchronous).
func (e *sqliteEngine) commit(ctx context.Context, durable bool) error {
	if _, err := e.write.exec(ctx, "COMMIT"); err != nil {
		return err
	}
	e.unsafe = true
	if !durable {
		return nil
	}
	return e.syncWAL(ctx)
}

func (e *sqliteEngine) syncWAL(ctx context.Context) (err error) {
	if !e.unsafe {
		return nil
	}
	if _, err := e.write.exec(ctx, "PRAGMA synchronous=FULL"); err != nil {
		return err
	}
	defer func() {
		_, back := e.write.exec(ctx, "PRAGMA synchronous=NORMAL")
		err = errors.Join(err, back)
	}()
	if _, err := e.write.exec(ctx, "UPDATE ledger SET id = 1"); err != nil {
		return err
	}
	e.unsafe = false
	return nil
}

func (e *sqliteEngine) rollback() {
	_, _ = e.write.exec(context.Background(), "ROLLBACK") // there may be none after a failure that ended it
}

func (e *sqliteEngine) insertInstances(ctx context.Context, c conn, list []*instanceRow) ([]*instanceRow, error) {
	var clashing []*instanceRow
	for _, r := range list {
		n, err := c.exec(ctx, insertInstance, r.args()...)
		if err != nil {
			return nil, err
		}
		if n == 0 {
			clashing = append(clashing, r)
		}
	}
	return clashing, nil
}

// close ends the connections. The last one to go, which is that of the writer, writes
// the WAL back and removes it.
func (e *sqliteEngine) close() error {
	return errors.Join(e.read.close(), e.readers.Close(), e.write.close(), e.writer.Close(), e.writers.Close())
}

// preparer is a connection or a pool of them.
type preparer interface {
	PrepareContext(ctx context.Context, query string) (*sql.Stmt, error)
}

// sqliteConn prepares every statement once.
type sqliteConn struct {
	db         preparer
	mu         *sync.RWMutex
	statements map[string]*sql.Stmt
}

func newSQLiteConn(db preparer) sqliteConn {
	return sqliteConn{db, new(sync.RWMutex), make(map[string]*sql.Stmt)}
}

func (c sqliteConn) prepare(stmt string) (*sql.Stmt, error) {
	c.mu.RLock()
	s := c.statements[stmt]
	c.mu.RUnlock()
	if s != nil {
		return s, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if s := c.statements[stmt]; s != nil {
		return s, nil
	}
	s, err := c.db.PrepareContext(context.Background(), stmt) //nolint:sqlclosecheck // kept for the next call, and closed with the database
	if err == nil {
		c.statements[stmt] = s
	}
	return s, err
}

// close closes the statements. A connection stays open as long as it has any, and
// database/sql leaves those of an [sql.Conn] alone.
func (c sqliteConn) close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var err error
	for text, s := range c.statements {
		err = errors.Join(err, s.Close())
		delete(c.statements, text)
	}
	return err
}

// exec can't be cancelled: a statement takes less time than watching for it would, and
// an interrupted one may end the transaction that others share.
func (c sqliteConn) exec(_ context.Context, stmt string, args ...any) (int64, error) {
	s, err := c.prepare(stmt) //nolint:sqlclosecheck // kept for the next call
	if err != nil {
		return 0, sqliteError(err)
	}
	r, err := s.ExecContext(context.Background(), args...)
	if err != nil {
		return 0, sqliteError(err)
	}
	return r.RowsAffected()
}

func (c sqliteConn) query(ctx context.Context, stmt string, args ...any) (rows, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s, err := c.prepare(stmt) //nolint:sqlclosecheck // kept for the next call
	if err != nil {
		return nil, sqliteError(err)
	}
	r, err := s.QueryContext(context.Background(), args...) //nolint:rowserrcheck // the caller walks them and asks
	if err != nil {
		return nil, sqliteError(err)
	}
	return r, nil
}

// sqliteError tells a full disk from other failures.
func sqliteError(err error) error {
	var e *sqlite.Error
	if errors.As(err, &e) && e.Code()&0xFF == sqlite3.SQLITE_FULL {
		return fmt.Errorf("%w: %w", archive.ErrFull, err)
	}
	return err
}

// execScript runs statements without arguments, which must not hold semicolons within.
func execScript(ctx context.Context, c conn, script string) error {
	for stmt := range strings.SplitSeq(script, ";\n") {
		if strings.TrimSpace(stmt) == "" {
			continue
		}
		if _, err := c.exec(ctx, stmt); err != nil {
			return err
		}
	}
	return nil
}
