package sqldb

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
)

//go:embed migrations
var migrationFiles embed.FS

// errNewer says that the database was last used by a later release.
var errNewer = errors.New("the database has a newer schema than this program knows: use the release that wrote it, or a later one")

// migration is one step of the schema. Steps are applied in order, once, and never
// changed after a release.
type migration struct {
	version  int
	name     string
	script   string
	checksum string
}

// migrations reads the steps of a dialect: files named NNNN_words.sql.
func migrations(dialect string) ([]migration, error) {
	dir := "migrations/" + dialect
	files, err := fs.ReadDir(migrationFiles, dir) // sorted by name
	if err != nil {
		return nil, err
	}
	var all []migration
	for i, f := range files {
		script, err := fs.ReadFile(migrationFiles, dir+"/"+f.Name())
		if err != nil {
			return nil, err
		}
		number, _, _ := strings.Cut(f.Name(), "_")
		if n, err := strconv.Atoi(number); err != nil || n != i+1 {
			return nil, fmt.Errorf("migration %s is not number %d", f.Name(), i+1)
		}
		sum := sha256.Sum256(script)
		all = append(all, migration{i + 1, f.Name(), string(script), hex.EncodeToString(sum[:8])})
	}
	return all, nil
}

const createMigrationTable = `CREATE TABLE IF NOT EXISTS migration (version integer PRIMARY KEY, name text NOT NULL, checksum text NOT NULL)`

// migrate brings the schema up to date within the transaction of c, which must keep
// others out.
func migrate(ctx context.Context, c conn, all []migration) error {
	if _, err := c.exec(ctx, createMigrationTable); err != nil {
		return err
	}
	applied := 0
	err := each(ctx, c, "SELECT version, checksum FROM migration ORDER BY version", nil, func(r rows) error {
		var version int
		var checksum string
		if err := r.Scan(&version, &checksum); err != nil {
			return err
		}
		if version > len(all) {
			return fmt.Errorf("%w (it has %d, this one knows %d)", errNewer, version, len(all))
		}
		if m := all[version-1]; m.checksum != checksum {
			return fmt.Errorf("migration %s differs from the one that was applied", m.name)
		}
		applied = version
		return nil
	})
	if err != nil {
		return err
	}
	for _, m := range all[applied:] {
		if err := execScript(ctx, c, m.script); err != nil {
			return fmt.Errorf("migration %s: %w", m.name, err)
		}
		if _, err := c.exec(ctx, "INSERT INTO migration VALUES (?, ?, ?)", m.version, m.name, m.checksum); err != nil {
			return err
		}
	}
	return nil
}

// migrateSQLite migrates in one transaction, which is the lock.
func migrateSQLite(ctx context.Context, c conn) error {
	all, err := migrations("sqlite")
	if err != nil {
		return err
	}
	if _, err := c.exec(ctx, "BEGIN IMMEDIATE"); err != nil {
		return err
	}
	if err := migrate(ctx, c, all); err != nil {
		_, _ = c.exec(ctx, "ROLLBACK") // the first error counts
		return err
	}
	_, err = c.exec(ctx, "COMMIT")
	return err
}
