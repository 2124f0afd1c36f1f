package sqldb

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"pharos/internal/blob"
)

func TestSchemaOfALaterReleaseIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "index.db")
	db, err := OpenSQLite(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.update(t.Context(), true, func(x *tx) error {
		_, err := x.exec(t.Context(), "INSERT INTO migration VALUES (99, 'later', '')")
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenSQLite(path, Options{}); !errors.Is(err, errNewer) {
		t.Errorf("open: %v, want errNewer", err)
	}
}

func TestChangedMigrationIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "index.db")
	db, err := OpenSQLite(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.update(t.Context(), true, func(x *tx) error {
		_, err := x.exec(t.Context(), "UPDATE migration SET checksum = 'other'")
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenSQLite(path, Options{}); err == nil {
		t.Error("open succeeded")
	}
}

func TestCloseLeavesNoWAL(t *testing.T) {
	path := filepath.Join(t.TempDir(), "index.db")
	db, err := OpenSQLite(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Sync(t.Context(), "1"); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Mark(t.Context()); err != nil { // so that a reader is open too
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	for _, suffix := range []string{"-wal", "-shm"} {
		if _, err := os.Stat(path + suffix); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s after Close: %v; want none", suffix, err)
		}
	}
}

func TestMarkSurvivesReopening(t *testing.T) {
	path := filepath.Join(t.TempDir(), "index.db")
	for _, mark := range []blob.Key{"", "0001-1"} {
		db, err := OpenSQLite(path, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := db.Mark(t.Context()); err != nil || got != mark {
			t.Errorf("mark %q, %v; want %q", got, err, mark)
		}
		if err := db.Sync(t.Context(), "0001-1"); err != nil {
			t.Fatal(err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestMigrationsOfBothDialectsAreReadable(t *testing.T) {
	lite, err := migrations("sqlite")
	if err != nil {
		t.Fatal(err)
	}
	pg, err := migrations("postgres")
	if err != nil {
		t.Fatal(err)
	}
	if len(lite) == 0 || len(lite) != len(pg) {
		t.Errorf("%d and %d migrations, want as many of each", len(lite), len(pg))
	}
}
