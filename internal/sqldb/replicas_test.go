package sqldb_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"pharos/internal/access"
	"pharos/internal/archive"
	"pharos/internal/dicom"
	"pharos/internal/dicom/dict"
	"pharos/internal/index"
	"pharos/internal/sqldb"
	"pharos/internal/sqldb/pgtest"
)

// openReplicas opens one database twice.
func openReplicas(t *testing.T) [2]*sqldb.DB {
	url := pgtest.NewDatabase(t)
	var dbs [2]*sqldb.DB
	var wg sync.WaitGroup
	for i := range dbs {
		wg.Go(func() {
			var err error
			if dbs[i], err = sqldb.OpenPostgres(t.Context(), url, sqldb.Options{}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if t.Failed() {
		t.FailNow()
	}
	t.Cleanup(func() { _, _ = dbs[0].Close(), dbs[1].Close() })
	return dbs
}

func TestReplicasShareStudiesAndNumberChangesWithoutGaps(t *testing.T) {
	dbs := openReplicas(t)
	const each = 60
	var wg sync.WaitGroup
	for caller := range 6 {
		wg.Go(func() {
			for n := range each {
				e := benchEntry(n%4, caller*each+n, 50)
				if _, err := dbs[caller%2].Commit(t.Context(), e, index.Refuse); err != nil {
					t.Error(err)
				}
			}
		})
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	seen, last := 0, index.Seq(0)
	for finished := false; !finished; {
		select {
		case <-done:
			finished = true
		default:
		}
		for c, err := range dbs[1].Changes(t.Context(), last) {
			if err != nil {
				t.Fatal(err)
			}
			seen, last = seen+1, c.Seq
		}
	}
	total, err := dbs[0].Count(t.Context())
	if err != nil || total.Instances != 6*each || total.Studies != 4 || seen != 6*each {
		t.Errorf("totals %+v, %v; followed %d arrivals; want %d instances of 4 studies", total, err, seen, 6*each)
	}
}

func TestReplicaNoticesThatAnotherRemovedASeries(t *testing.T) {
	dbs := openReplicas(t)
	for round := range 3 {
		first, second := benchEntry(1, 0, 50), benchEntry(1, 1, 50)
		for _, e := range []index.Entry{first, second} {
			if o, err := dbs[0].Commit(t.Context(), e, index.Refuse); err != nil || o != index.Added {
				t.Fatalf("round %d: Commit = %v, %v; want Added", round, o, err)
			}
		}
		if n, err := dbs[1].Remove(t.Context(), dicom.Ref{Study: first.Ref.Study}, access.All()); err != nil || n != 2 {
			t.Fatalf("round %d: Remove = %d, %v; want 2", round, n, err)
		}
	}
	if n, err := dbs[0].Count(t.Context()); err != nil || n != (index.Totals{}) {
		t.Errorf("totals %+v, %v; want none", n, err)
	}
}

func TestCommitsAreThereAfterReopening(t *testing.T) {
	path := t.TempDir() + "/index.db"
	for n := range 3 {
		db, err := sqldb.OpenSQLite(path, sqldb.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if o, err := db.Commit(t.Context(), benchEntry(0, n, 50), index.Refuse); err != nil || o != index.Added {
			t.Fatal(o, err)
		}
		if got, err := db.Count(t.Context()); err != nil || got.Instances != int64(n+1) {
			t.Errorf("totals %+v, %v; want %d instances", got, err, n+1)
		}
		changes := ""
		for c, err := range db.Changes(t.Context(), 0) {
			if err != nil {
				t.Fatal(err)
			}
			changes += fmt.Sprint(c.Seq, " ")
		}
		if want := "1 2 3 "[:2*n+2]; changes != want {
			t.Errorf("changes %s, want %s", changes, want)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestReplicasAddModalitiesAndClassesToWhatOthersAdded lets the first replica remember
// a study, the second extend it, and the first extend it once more.
func TestReplicasAddModalitiesAndClassesToWhatOthersAdded(t *testing.T) {
	dbs := openReplicas(t)
	for n, modality := range []string{"CT", "SR", "MR"} {
		e := benchEntry(1, 50*n, 50)
		e.Attributes.SetText(dict.Modality, dict.CS, modality)
		classOf := benchEntry(1, n+1, 50)
		classOf.SOPClass = dicom.UID(fmt.Sprint("1.2.3.", n))
		for _, e := range []index.Entry{e, classOf} {
			if o, err := dbs[n%2].Commit(t.Context(), e, index.Refuse); err != nil || o != index.Added {
				t.Fatalf("Commit = %v, %v; want Added", o, err)
			}
		}
	}
	q := archive.Query{Level: archive.StudyLevel, Return: [][]dicom.Tag{{dict.SOPClassesInStudy}}}
	for _, want := range []string{`CT\MR\SR 1.2.3.0\1.2.3.1\1.2.3.2\` + string(dict.CTImageStorage), `CT\MR\SR `} {
		for d, err := range dbs[0].Query(t.Context(), q, access.All()) {
			if err != nil {
				t.Fatal(err)
			}
			got := strings.Join(d.Texts(dict.ModalitiesInStudy), `\`) + " " + strings.Join(d.Texts(dict.SOPClassesInStudy), `\`)
			if got != want {
				t.Errorf("study has %s, want %s", got, want)
			}
		}
		q.Return = nil
	}
}
