package sqldb

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"path/filepath"
	"testing"

	"pharos/internal/archive"
	"pharos/internal/blob"
	"pharos/internal/dicom"
	"pharos/internal/index"
)

// TestFullDiskStopsTheIndexUntilItIsOpenedAgain limits the size of the database, which
// SQLite reports as it does a full disk.
func TestFullDiskStopsTheIndexUntilItIsOpenedAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "index.db")
	db, err := OpenSQLite(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	commit := func(n int) (index.Outcome, error) {
		study := dicom.UID(fmt.Sprint("1.2.", n/10))
		return db.Commit(t.Context(), index.Entry{
			Ref:  dicom.Ref{Study: study, Series: study + ".1", Instance: study + dicom.UID(fmt.Sprint(".1.", n))},
			Size: 10, Digest: sha256.Sum256([]byte(fmt.Sprint(n))), Location: index.Location{Volume: "v", Key: blob.Key(fmt.Sprint(n))},
		}, index.Refuse)
	}
	const instances = 800
	var full, lost int
	for n := range instances {
		if n == 100 {
			db.mu.Lock() // 1 means as many pages as there are
			_, err = db.engine.(*sqliteEngine).write.exec(t.Context(), "PRAGMA max_page_count=1")
			db.mu.Unlock()
			if err != nil {
				t.Fatal(err)
			}
		}
		if _, err := commit(n); errors.Is(err, index.ErrLost) {
			lost++
		} else if err != nil {
			full++
		}
		if lost == 1 && !errors.Is(db.lost, archive.ErrFull) {
			t.Errorf("lost by %v, want ErrFull", db.lost)
		}
	}
	if _, err := db.Mark(t.Context()); lost == 0 || full != 0 || !errors.Is(err, index.ErrLost) {
		t.Errorf("%d refused otherwise, %d lost, Mark: %v; want every change refused from the first failure", full, lost, err)
	}
	if n, err := db.Count(t.Context()); err != nil || n.Instances >= 100 {
		t.Errorf("after that %d instances can be read, %v; want those of earlier transactions", n.Instances, err)
	}
	_ = db.Close()
	if db, err = OpenSQLite(path, Options{}); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	for n := range instances {
		if _, err := commit(n); err != nil {
			t.Fatalf("Commit after opening again: %v", err)
		}
	}
	if total, err := db.Count(t.Context()); err != nil || total.Instances != instances || total.Bytes != 10*instances {
		t.Errorf("totals %+v, %v; want %d instances", total, err, instances)
	}
}
