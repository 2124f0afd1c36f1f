package sqldb_test

import (
	"os"
	"testing"

	"pharos/internal/index"
	"pharos/internal/index/indextest"
	"pharos/internal/sqldb"
	"pharos/internal/sqldb/pgtest"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

func TestPostgresIsAnIndex(t *testing.T) {
	indextest.Run(t, func(t *testing.T, o indextest.Options) index.Index {
		db, err := sqldb.OpenPostgres(t.Context(), pgtest.NewDatabase(t), sqldb.Options{Keys: o.Keys})
		if err != nil {
			t.Fatal(err)
		}
		return db
	})
}
