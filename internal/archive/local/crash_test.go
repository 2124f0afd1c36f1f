package local_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"pharos/internal/access"
	"pharos/internal/archive/archivetest"
	"pharos/internal/archive/local"
	"pharos/internal/blob"
	"pharos/internal/dicom"
	"pharos/internal/index"
)

// The crash tests run this test binary as a child that stores and deletes in a
// directory, says what it was told had succeeded, and kills itself at a chosen step.
const crashEnv = "PHAROS_TEST_CRASH" // directory, step and how many times it may be passed

func TestMain(m *testing.M) {
	if spec := os.Getenv(crashEnv); spec != "" {
		dir, rest, _ := strings.Cut(spec, "|")
		step, count, _ := strings.Cut(rest, "|")
		n, err := strconv.Atoi(count)
		if err != nil {
			panic(err)
		}
		crashingChild(dir, &killer{step: step, left: int64(n)})
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// killer ends the process at the nth time that a step is reached, as kill -9 does.
type killer struct {
	step string
	left int64
}

func (k *killer) at(step string) {
	if step == k.step && atomic.AddInt64(&k.left, -1) == 0 {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}
}

// steps are those of the crash table in the package's doc comment, before and after.
var steps = []string{
	"blob create", "blob write", "blob commit begins", "blob commit ended",
	"index commit begins", "index commit ended", "remove begins", "remove ended",
	"blob delete begins", "blob delete ended", "forget begins", "forget ended",
	"headers begins", "headers ended", "sync begins", "sync ended",
}

type crashingStore struct {
	blob.Store
	kill *killer
}

func (s crashingStore) Create(ctx context.Context) (blob.Writer, error) {
	w, err := s.Store.Create(ctx)
	s.kill.at("blob create")
	return crashingWriter{w, s.kill}, err
}

func (s crashingStore) Delete(ctx context.Context, key blob.Key) error {
	s.kill.at("blob delete begins")
	err := s.Store.Delete(ctx, key)
	s.kill.at("blob delete ended")
	return err
}

type crashingWriter struct {
	blob.Writer
	kill *killer
}

func (w crashingWriter) Write(p []byte) (int, error) {
	n, err := w.Writer.Write(p)
	w.kill.at("blob write")
	return n, err
}

func (w crashingWriter) Commit() (blob.Info, error) {
	w.kill.at("blob commit begins")
	info, err := w.Writer.Commit()
	w.kill.at("blob commit ended")
	return info, err
}

type crashingIndex struct {
	index.Index
	kill *killer
}

func (i crashingIndex) Commit(ctx context.Context, e index.Entry, p index.Policy) (index.Outcome, error) {
	i.kill.at("index commit begins")
	o, err := i.Index.Commit(ctx, e, p)
	i.kill.at("index commit ended")
	return o, err
}

func (i crashingIndex) Remove(ctx context.Context, ref dicom.Ref, in access.Scope) (int, error) {
	i.kill.at("remove begins")
	n, err := i.Index.Remove(ctx, ref, in)
	i.kill.at("remove ended")
	return n, err
}

func (i crashingIndex) Forget(ctx context.Context, ls ...index.Location) error {
	i.kill.at("forget begins")
	err := i.Index.Forget(ctx, ls...)
	i.kill.at("forget ended")
	return err
}

func (i crashingIndex) SetHeaders(ctx context.Context, h index.SeriesHeaders) error {
	i.kill.at("headers begins")
	err := i.Index.SetHeaders(ctx, h)
	i.kill.at("headers ended")
	return err
}

func (i crashingIndex) Sync(ctx context.Context, mark blob.Key) error {
	i.kill.at("sync begins")
	err := i.Index.Sync(ctx, mark)
	i.kill.at("sync ended")
	return err
}

// crashingChild stores and deletes until it is killed, or to the end.
func crashingChild(dir string, kill *killer) {
	w, err := openIn(dir, func(o *local.Options) {
		o.Quiet = time.Millisecond
		o.Index = crashingIndex{o.Index, kill}
		for name, v := range o.Volumes {
			o.Volumes[name] = crashingStore{v, kill}
		}
	})
	if err != nil {
		fmt.Println("error", err)
		return
	}
	round := int(time.Now().UnixNano() & 0x7FFFFFFF)
	var wg sync.WaitGroup
	for sender := range 3 {
		wg.Go(func() {
			for n := range 20 { // enough for headers to be gathered
				r := ref(round, sender+1, n+1)
				if _, err := store(context.Background(), w, archivetest.Sample(r, n+1)); err != nil {
					fmt.Println("error", err)
					return
				}
				fmt.Println("stored", r.Study, r.Series, r.Instance)
				if n%5 == 4 {
					fmt.Println("deleting", r.Study, r.Series, r.Instance)
					if _, err := w.Delete(context.Background(), r, access.All()); err != nil {
						fmt.Println("error", err)
						return
					}
					fmt.Println("deleted", r.Study, r.Series, r.Instance)
				}
			}
		})
	}
	wg.Wait()
	time.Sleep(1100 * time.Millisecond) // headers are gathered and the index is synced
	if err := w.Close(context.Background()); err != nil {
		fmt.Println("error", err)
	}
}

// fates is what a child was told: stored, deleting or deleted.
type fates map[dicom.Ref]string

func (f fates) read(t *testing.T, out io.Reader) {
	t.Helper()
	for in := bufio.NewScanner(out); in.Scan(); {
		words := strings.Fields(in.Text())
		if len(words) != 4 {
			t.Fatalf("child says %q", in.Text())
		}
		f[dicom.Ref{Study: dicom.UID(words[1]), Series: dicom.UID(words[2]), Instance: dicom.UID(words[3])}] = words[0]
	}
}

func TestKilledAtAnyStepLosesNothingAcknowledged(t *testing.T) {
	if testing.Short() {
		t.Skip("starts dozens of processes")
	}
	dir := t.TempDir()
	told := fates{}
	for _, step := range steps {
		for _, passes := range []int{1, 4, 17} {
			child := exec.Command(os.Args[0])
			child.Env = append(os.Environ(), fmt.Sprintf("%s=%s|%s|%d", crashEnv, dir, step, passes))
			out, err := child.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := child.Start(); err != nil {
				t.Fatal(err)
			}
			told.read(t, out)
			_ = child.Wait() // killed, mostly
			inspect(t, dir, step, told)
		}
	}
	if len(told) < 100 {
		t.Fatalf("only %d instances were acknowledged in all", len(told))
	}
}

// inspect opens the archive and compares it with what was told.
func inspect(t *testing.T, dir, step string, told fates) {
	t.Helper()
	w, err := openIn(dir, nil)
	if err != nil {
		t.Fatalf("opening after a crash at %q: %v", step, err)
	}
	defer w.close(t)
	there := make(map[dicom.Ref]bool)
	for i, err := range w.Retrieve(t.Context(), dicom.Ref{}, access.All()) {
		if err != nil {
			break // nothing at all is stored yet
		}
		there[i.Ref()] = true
		if err := i.Verify(t.Context()); err != nil {
			t.Errorf("crash at %q: %v", step, err)
		}
	}
	for ref, fate := range told {
		if fate == "stored" && !there[ref] {
			t.Errorf("crash at %q: acknowledged %v is lost", step, ref)
		}
		if fate == "deleted" && there[ref] {
			t.Errorf("crash at %q: deleted %v is back", step, ref)
		}
	}
	if _, err := w.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Check(t.Context(), false, func(f local.Finding) {
		t.Errorf("crash at %q: %+v", step, f)
	}); err != nil {
		t.Fatal(err)
	}
}

func TestIndexThatForgotIsCaughtUp(t *testing.T) {
	dir, backup := t.TempDir(), t.TempDir()
	w := open(t, dir, nil)
	fill(t, w, 1, 1, 5)
	w.close(t)
	copyIndex(t, dir, backup)

	w = open(t, dir, nil)
	fill(t, w, 2, 2, 5)
	before := snapshot(t, w)
	w.close(t)
	removeIndex(t, dir)
	copyIndex(t, backup, dir) // as if nothing since had reached the disk

	adopted := 0
	w = open(t, dir, func(o *local.Options) { o.Progress = func(_, a int) { adopted = a } })
	if after := snapshot(t, w); !slices.Equal(before, after) {
		t.Fatalf("%d lines before, %d after", len(before), len(after))
	}
	if adopted != 15 {
		t.Fatalf("%d adopted of the 15 that the index had forgotten", adopted)
	}
}

func indexFiles(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "index.db*"))
	if err != nil {
		t.Fatal(err)
	}
	files := make(map[string][]byte)
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		files[filepath.Base(name)] = b
	}
	return files
}

func copyIndex(t *testing.T, from, to string) {
	t.Helper()
	for name, b := range indexFiles(t, from) {
		if err := os.WriteFile(filepath.Join(to, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func removeIndex(t *testing.T, dir string) {
	t.Helper()
	for name := range maps.Keys(indexFiles(t, dir)) {
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
}
