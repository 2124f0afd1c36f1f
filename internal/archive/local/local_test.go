package local_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"pharos/internal/access"
	"pharos/internal/archive"
	"pharos/internal/archive/archivetest"
	"pharos/internal/archive/local"
	"pharos/internal/blob"
	"pharos/internal/blob/fileblob"
	"pharos/internal/dicom"
	"pharos/internal/dicom/dict"
	"pharos/internal/index"
	"pharos/internal/sqldb"
)

// world is an archive in a directory, with what it is made of.
type world struct {
	*local.Archive
	dir    string
	index  index.Index
	volume *fileblob.Store
}

func open(t testing.TB, dir string, change func(*local.Options)) *world {
	t.Helper()
	w, err := openIn(dir, change)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.close(t) })
	return w
}

func openIn(dir string, change func(*local.Options)) (*world, error) {
	volume, err := fileblob.Open(filepath.Join(dir, "blobs"), fileblob.Options{})
	if err != nil {
		return nil, err
	}
	db, err := sqldb.OpenSQLite(filepath.Join(dir, "index.db"), sqldb.Options{Keys: archive.NewKeys()})
	if err != nil {
		return nil, err
	}
	o := local.Options{
		Index: db, Volumes: map[string]blob.Store{"main": volume}, Receives: "main",
		Quiet: 20 * time.Millisecond,
	}
	if change != nil {
		change(&o)
	}
	a, err := local.Open(context.Background(), o)
	if err != nil {
		return nil, err
	}
	return &world{Archive: a, dir: dir, index: db, volume: volume}, nil
}

func (w *world) close(t testing.TB) {
	if w.Archive == nil {
		return
	}
	ctx := context.Background()
	if err := errors.Join(w.Close(ctx), w.index.Close(), w.volume.Close()); err != nil {
		t.Error(err)
	}
	w.Archive = nil
}

func TestArchive(t *testing.T) {
	archivetest.Run(t, func(t *testing.T) archive.Archive { return open(t, t.TempDir(), nil) })
}

// unguarded lets everybody do everything, through the gate.
type unguarded struct{}

func (unguarded) Authorize(context.Context, access.Principal, access.Action, access.Resource) error {
	return nil
}
func (unguarded) Scope(context.Context, access.Principal, access.Action) (access.Scope, error) {
	return access.All(), nil
}

type silent struct{}

func (silent) Record(context.Context, access.Event) {}

func TestArchiveBehindTheGate(t *testing.T) {
	archivetest.Run(t, func(t *testing.T) archive.Archive {
		return archive.Guard(open(t, t.TempDir(), nil), unguarded{}, silent{})
	})
}

func ref(study, series, instance int) dicom.Ref {
	s := fmt.Sprintf("1.2.%d", study)
	r := fmt.Sprintf("%s.%d", s, series)
	return dicom.Ref{Study: dicom.UID(s), Series: dicom.UID(r), Instance: dicom.UID(fmt.Sprintf("%s.%d", r, instance))}
}

func store(ctx context.Context, a archive.Archive, file []byte) (archive.Receipt, error) {
	in, err := archive.ReadIncoming(bytes.NewReader(file))
	if err != nil {
		return archive.Receipt{}, err
	}
	in.Source = "test"
	return a.Store(ctx, in, "")
}

func fill(t testing.TB, a archive.Archive, studies, series, instances int) {
	t.Helper()
	for s := range studies {
		for r := range series {
			for i := range instances {
				if _, err := store(t.Context(), a, archivetest.Sample(ref(s+1, r+1, i+1), i+1)); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}

// snapshot is everything that can be seen of an archive, in an order of its own.
func snapshot(t testing.TB, w *world) (lines []string) {
	t.Helper()
	for e, err := range w.index.Locate(t.Context(), dicom.Ref{}, access.All()) {
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, fmt.Sprintf("%v %s %s %v %d %x %x %s %q %q",
			e.Ref, e.SOPClass, e.TransferSyntax, e.Location, e.Size, e.Digest, e.Layout,
			e.Received.UTC().Truncate(time.Microsecond), e.Source, e.Album))
	}
	for _, level := range []archive.Level{archive.PatientLevel, archive.StudyLevel, archive.SeriesLevel, archive.InstanceLevel} {
		for d, err := range w.Query(t.Context(), archive.Query{Level: level, All: true}, access.All()) {
			if err != nil {
				t.Fatal(err)
			}
			lines = append(lines, level.String()+" "+string(dicom.AppendJSON(nil, d, 1000, nil)))
		}
	}
	slices.Sort(lines)
	return lines
}

func TestReindexRebuildsWhatWasThere(t *testing.T) {
	dir := t.TempDir()
	w := open(t, dir, nil)
	fill(t, w, 3, 2, 4)
	if _, err := w.Delete(t.Context(), ref(2, 1, 1), access.All()); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	before := snapshot(t, w)
	w.close(t)
	for _, name := range []string{"index.db", "index.db-wal", "index.db-shm"} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
	}
	seen, adopted := 0, 0
	again := open(t, dir, func(o *local.Options) { o.Progress = func(s, a int) { seen, adopted = s, a } })
	if after := snapshot(t, again); !slices.Equal(before, after) {
		t.Fatalf("index differs after rebuilding:\n%q\n%q", before, after)
	}
	if adopted != 3*2*4-1 || seen < adopted {
		t.Fatalf("%d seen, %d adopted", seen, adopted)
	}
}

func TestCheckFindsFaultsBothWays(t *testing.T) {
	w := open(t, t.TempDir(), nil)
	fill(t, w, 1, 1, 3)
	var entries []index.Entry
	for e, err := range w.index.Locate(t.Context(), dicom.Ref{}, access.All()) {
		if err != nil {
			t.Fatal(err)
		}
		entries = append(entries, e)
	}
	check := func() map[local.Fault]int {
		faults := make(map[local.Fault]int)
		if _, err := w.Check(t.Context(), true, func(f local.Finding) { faults[f.Fault]++ }); err != nil {
			t.Fatal(err)
		}
		return faults
	}
	if faults := check(); len(faults) != 0 {
		t.Fatalf("a sound archive has %v", faults)
	}
	if err := w.volume.Delete(t.Context(), entries[0].Location.Key); err != nil {
		t.Fatal(err)
	}
	stray, err := w.volume.Create(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stray.Write([]byte("not an instance")); err != nil {
		t.Fatal(err)
	}
	if _, err := stray.Commit(); err != nil {
		t.Fatal(err)
	}
	damage(t, w, entries[1])
	if _, err := store(t.Context(), w, archivetest.Sample(ref(9, 1, 1), 1)); err != nil {
		t.Fatal(err) // what is newer than the last instance could still be arriving
	}
	faults := check()
	if faults[local.Missing] != 1 || faults[local.Damaged] != 1 || faults[local.Unnamed] != 1 {
		t.Fatalf("found %v", faults)
	}
	fill(t, w, 1, 1, 3) // sending again heals what is gone or damaged
	if faults := check(); faults[local.Missing]+faults[local.Damaged] != 0 {
		t.Fatalf("after sending again: %v", faults)
	}
}

// damage flips a byte of pixel data on disk.
func damage(t *testing.T, w *world, e index.Entry) {
	t.Helper()
	file := archivetest.Sample(e.Ref, 2)
	segments, err := filepath.Glob(filepath.Join(w.dir, "blobs", "segments", "*"))
	if err != nil || len(segments) == 0 {
		t.Fatalf("segments: %v, %v", segments, err)
	}
	for _, name := range segments {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if at := bytes.Index(b, file); at >= 0 {
			b[at+len(file)-10]++
			if err := os.WriteFile(name, b, 0o600); err != nil {
				t.Fatal(err)
			}
			return
		}
	}
	t.Fatal("instance not found on disk")
}

func TestHeadersAreGatheredOnceQuiet(t *testing.T) {
	w := open(t, t.TempDir(), nil)
	fill(t, w, 1, 1, 20)
	series := dicom.Ref{Study: ref(1, 1, 1).Study, Series: ref(1, 1, 1).Series}
	fresh := func() bool {
		for h, err := range w.index.Headers(t.Context(), series, access.All()) {
			if err != nil {
				t.Fatal(err)
			}
			return h.Location.Key != "" && h.Through >= h.Latest
		}
		return false
	}
	waitFor(t, fresh)
	direct := headers(t, w, series)
	if len(direct) != 20 {
		t.Fatalf("%d headers", len(direct))
	}
	fill(t, w, 1, 1, 21)
	if got := headers(t, w, series); len(got) != 21 || !slices.Equal(got[:20], direct) {
		t.Fatalf("%d headers after one more instance", len(got))
	}
	waitFor(t, fresh)
	if got := headers(t, w, series); len(got) != 21 || !slices.Equal(got[:20], direct) {
		t.Fatalf("%d gathered headers after one more instance", len(got))
	}
}

func headers(t *testing.T, a archive.Archive, ref dicom.Ref) (all []string) {
	t.Helper()
	for m, err := range a.Metadata(t.Context(), ref, access.All()) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, string(m.JSON))
	}
	return all
}

func waitFor(t *testing.T, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it did not happen")
		}
	}
}

func TestPolicies(t *testing.T) {
	first, second := archivetest.Sample(ref(1, 1, 1), 1), archivetest.Sample(ref(1, 1, 1), 2)
	for _, c := range []struct {
		policy  index.Policy
		visible []byte
		err     error
	}{
		{index.Refuse, first, archive.ErrConflict},
		{index.Replace, second, nil},
		{index.Keep, first, nil},
	} {
		t.Run(fmt.Sprint(c.policy), func(t *testing.T) {
			w := open(t, t.TempDir(), func(o *local.Options) { o.Policy = c.policy })
			if _, err := store(t.Context(), w, first); err != nil {
				t.Fatal(err)
			}
			receipt, err := store(t.Context(), w, second)
			if !errors.Is(err, c.err) {
				t.Fatal(err)
			}
			if receipt.Held != (c.policy == index.Keep) || receipt.Replaced != (c.policy == index.Replace) {
				t.Fatalf("%+v", receipt)
			}
			if got := contents(t, w, ref(1, 1, 1)); !bytes.Equal(got, c.visible) {
				t.Fatal("another instance is visible")
			}
		})
	}
}

func contents(t testing.TB, a archive.Archive, ref dicom.Ref) []byte {
	t.Helper()
	for i, err := range a.Retrieve(t.Context(), ref, access.All()) {
		if err != nil {
			t.Fatal(err)
		}
		r, err := i.Open(t.Context(), 0, -1)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		b, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	return nil
}

func TestManySendersAndReadersAtOnce(t *testing.T) {
	w := open(t, t.TempDir(), nil)
	var wg sync.WaitGroup
	for s := range 4 {
		wg.Go(func() {
			for i := range 25 {
				r := ref(s+1, 1, i+1)
				if _, err := store(t.Context(), w, archivetest.Sample(r, i+1)); err != nil {
					t.Error(err)
					return
				}
				found := 0
				for range w.Query(t.Context(), archive.Query{Level: archive.InstanceLevel, Match: []archive.Match{{
					Path: []dicom.Tag{dict.SOPInstanceUID}, VR: dict.UI, Kind: archive.Single, Values: []string{string(r.Instance)},
				}}}, access.All()) {
					found++
				}
				if found != 1 {
					t.Errorf("%d found of the instance just stored", found)
				}
			}
		})
	}
	wg.Wait()
}

// losing is an index that loses what was committed since the last Sync when told to.
type losing struct {
	index.Index
	mu        sync.Mutex
	committed []dicom.UID
	lost      bool
}

func (l *losing) Commit(ctx context.Context, e index.Entry, p index.Policy) (index.Outcome, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lost {
		return 0, index.ErrLost
	}
	l.committed = append(l.committed, e.Ref.Instance)
	return l.Index.Commit(ctx, e, p)
}

func (l *losing) Mark(ctx context.Context) (blob.Key, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lost {
		return "", index.ErrLost
	}
	return l.Index.Mark(ctx)
}

func (l *losing) Revive(context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lost = false
	return nil
}

// lose makes the index forget an instance without its blob becoming garbage.
func (l *losing) lose(t *testing.T, uid dicom.UID) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, err := l.Remove(t.Context(), dicom.Ref{Instance: uid}, access.All()); err != nil {
		t.Fatal(err)
	}
	for g, err := range l.Garbage(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Forget(t.Context(), g); err != nil {
			t.Fatal(err)
		}
	}
	l.lost = true
}

func TestIndexThatLosesItsTransactionCatchesUpWhileRunning(t *testing.T) {
	var l *losing
	w := open(t, t.TempDir(), func(o *local.Options) {
		l = &losing{Index: o.Index}
		o.Index = l
		o.Quiet = time.Hour
	})
	fill(t, w, 1, 1, 4)
	l.lose(t, ref(1, 1, 4).Instance)
	if receipt, err := store(t.Context(), w, archivetest.Sample(ref(1, 1, 5), 5)); err != nil || receipt.Duplicate {
		t.Fatalf("storing while the index is lost: %+v, %v", receipt, err)
	}
	for n := 1; n <= 5; n++ {
		if got := contents(t, w, ref(1, 1, n)); !bytes.Equal(got, archivetest.Sample(ref(1, 1, n), n)) {
			t.Fatalf("instance %d is missing or other than it was", n)
		}
	}
	if receipt, err := store(t.Context(), w, archivetest.Sample(ref(1, 1, 5), 5)); err != nil || !receipt.Duplicate {
		t.Fatalf("storing again: %+v, %v", receipt, err)
	}
	if got := contents(t, w, ref(1, 1, 5)); !bytes.Equal(got, archivetest.Sample(ref(1, 1, 5), 5)) {
		t.Fatal("other bytes")
	}
}
