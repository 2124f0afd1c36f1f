package sqldb_test

import (
	"path/filepath"
	"testing"

	"pharos/internal/index"
	"pharos/internal/index/indextest"
	"pharos/internal/sqldb"
)

func TestSQLiteIsAnIndex(t *testing.T) {
	indextest.Run(t, func(t *testing.T, o indextest.Options) index.Index {
		db, err := sqldb.OpenSQLite(filepath.Join(t.TempDir(), "index.db"), sqldb.Options{Keys: o.Keys})
		if err != nil {
			t.Fatal(err)
		}
		return db
	})
}
