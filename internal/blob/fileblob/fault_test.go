package fileblob

import (
	"context"
	"errors"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"pharos/internal/blob"
)

// faults are errors that the disk has from now on; the zero value has none.
type faults struct {
	write, sync, truncate, punch atomic.Pointer[error]
	syncs                        atomic.Int64
}

func set(p *atomic.Pointer[error], err error) { p.Store(&err) }

func get(p *atomic.Pointer[error]) error {
	if e := p.Load(); e != nil {
		return *e
	}
	return nil
}

// faulty is a file on that disk. Only segments fail.
type faulty struct {
	file
	*faults
}

func (d *faults) open(name string, flag int) (file, error) {
	f, err := openFile(name, flag)
	if err != nil || !strings.HasSuffix(name, ".log") {
		return f, err
	}
	return faulty{f, d}, nil
}

// writev writes half of what it should when it fails.
func (f faulty) writev(bufs [][]byte, off int64) error {
	if err := get(&f.faults.write); err != nil {
		if len(bufs) > 1 {
			err = errors.Join(err, f.file.writev(bufs[:len(bufs)/2], off))
		}
		return err
	}
	return f.file.writev(bufs, off)
}

func (f faulty) sync() error {
	f.syncs.Add(1)
	return get(&f.faults.sync)
}

func (f faulty) truncate(size int64) error {
	if err := get(&f.faults.truncate); err != nil {
		return err
	}
	return f.file.truncate(size)
}

func (f faulty) punch(off, n int64) error {
	if err := get(&f.faults.punch); err != nil {
		return err
	}
	return f.file.punch(off, n)
}

func openFaulty(t testing.TB, opts Options) (*Store, *faults) {
	t.Helper()
	d := &faults{}
	s, err := open(t.TempDir(), opts, d.open)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s, d
}

func TestErrorsOfTheDiskAreTranslated(t *testing.T) {
	for cause, want := range map[error]error{
		unix.ENOSPC: blob.ErrFull,
		unix.EDQUOT: blob.ErrFull,
		unix.EROFS:  blob.ErrReadOnly,
		unix.EIO:    unix.EIO,
	} {
		s, d := openFaulty(t, Options{})
		before := mustWrite(t, s, pattern(1, 1000))
		set(&d.write, cause)
		if _, err := write(s, pattern(2, 200_000)); !errors.Is(err, want) || !errors.Is(err, cause) {
			t.Errorf("commit: %v, want %v", err, want)
		}
		wantKeys(t, s, before)
		set(&d.write, nil)
		after := mustWrite(t, s, pattern(3, 1000))
		wantKeys(t, s, before, after)
		wantBytes(t, s, before, pattern(1, 1000))
		wantBytes(t, s, after, pattern(3, 1000))
	}
}

func TestAfterATornWriteThatCannotBeCutANewSegmentBegins(t *testing.T) {
	s, d := openFaulty(t, Options{})
	before := mustWrite(t, s, pattern(1, 1000))
	set(&d.write, unix.EIO)
	set(&d.truncate, unix.EIO)
	if _, err := write(s, pattern(2, 200_000)); !errors.Is(err, unix.EIO) {
		t.Fatalf("commit: %v", err)
	}
	set(&d.write, nil)
	after := mustWrite(t, s, pattern(3, 1000))
	if after != key(2, headerSize) {
		t.Errorf("key %q, want the first of a new segment", after)
	}
	wantKeys(t, s, before, after)

	set(&d.truncate, nil)
	again := reopen(t, crashed(t, s), Options{})
	defer closeQuietly(again)
	wantKeys(t, again, before, after)
	wantBytes(t, again, after, pattern(3, 1000))
}

// TestAFailedSyncIsNeverForgotten follows what kernels do: the first fdatasync after
// a lost page fails, the next one succeeds although the page is lost.
func TestAFailedSyncIsNeverForgotten(t *testing.T) {
	for _, cuttable := range []bool{true, false} {
		s, d := openFaulty(t, Options{OpenSegments: 1})
		before := mustWrite(t, s, pattern(1, 1000))
		set(&d.sync, unix.EIO)
		if !cuttable {
			set(&d.truncate, unix.EIO)
		}
		if _, err := write(s, pattern(2, 1000)); !errors.Is(err, unix.EIO) {
			t.Fatalf("commit: %v", err)
		}
		set(&d.sync, nil)
		wantKeys(t, s, before)
		after := mustWrite(t, s, pattern(3, 1000))
		if after != key(2, headerSize) {
			t.Errorf("key %q, want the first of a new segment", after)
		}
		wantKeys(t, s, before, after)
		if err := s.Delete(context.Background(), before); cuttable != (err != nil) && !errors.Is(err, unix.EIO) {
			t.Errorf("delete: %v", err)
		}
		wantBytes(t, s, after, pattern(3, 1000))
	}
}

func TestWhatAFailedSyncLostIsFoundByRecovery(t *testing.T) {
	s, d := openFaulty(t, Options{})
	before := mustWrite(t, s, pattern(1, 1000))
	set(&d.sync, unix.EIO)
	set(&d.truncate, unix.EIO)
	if _, err := write(s, pattern(2, 1000)); !errors.Is(err, unix.EIO) {
		t.Fatalf("commit: %v", err)
	}
	set(&d.sync, nil)
	after := mustWrite(t, s, pattern(3, 1000))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	dir := crashed(t, s)
	_, lost, _ := parseKey(before)
	editFile(t, segmentFile(dir, 1), func(p []byte) []byte { // the lost page
		clear(p[lost+1200:])
		return p
	})
	again := reopen(t, dir, Options{})
	defer closeQuietly(again)
	wantKeys(t, again, before, after)
	wantBytes(t, again, before, pattern(1, 1000))
}

func TestAFullDiskAtTheBeginOfASegmentHurtsNobody(t *testing.T) {
	s, d := openFaulty(t, Options{SegmentSize: 1000})
	before := mustWrite(t, s, pattern(1, 1000))
	set(&d.write, unix.ENOSPC)
	if _, err := write(s, pattern(2, 1000)); !errors.Is(err, blob.ErrFull) {
		t.Errorf("commit: %v", err)
	}
	set(&d.write, nil)
	after := mustWrite(t, s, pattern(3, 1000))
	wantKeys(t, s, before, after)
	if _, err := os.Stat(segmentFile(s.dir, 3)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a third segment: %v", err)
	}
}

func nothing() int64 { return 0 }

// TestCommitsShareSyncs holds the first sync until all others wait.
func TestCommitsShareSyncs(t *testing.T) {
	const waiters = 50
	var q group
	var syncs atomic.Int64
	began, release := make(chan struct{}), make(chan struct{})
	errs := make(chan error, waiters+1)
	go func() {
		errs <- q.wait(nothing, func() error {
			syncs.Add(1)
			close(began)
			<-release
			return nil
		})
	}()
	<-began
	joined := make(chan struct{}, waiters)
	for range waiters {
		go func() {
			joined <- struct{}{}
			errs <- q.wait(nothing, func() error {
				syncs.Add(1)
				return nil
			})
		}()
	}
	for range waiters {
		<-joined
	}
	close(release)
	for range waiters + 1 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	// Those who are between joined and wait may need a batch of their own.
	if n := syncs.Load(); n >= waiters {
		t.Errorf("%d syncs for %d commits", n, waiters+1)
	}
}

func TestASecondOpenIsRefusedAndSaysWhatToDo(t *testing.T) {
	s := mustOpen(t, t.TempDir(), Options{})
	_, err := Open(s.dir, Options{})
	if err == nil || !strings.Contains(err.Error(), "in use by process") || !strings.Contains(err.Error(), "stop that process") {
		t.Errorf("second open: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := Open(s.dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	closeQuietly(again)
}

func TestNegativeOptionsAreRefused(t *testing.T) {
	for _, opts := range []Options{{SegmentSize: -1}, {LargeFrom: -1}, {OpenSegments: -1}} {
		if s, err := Open(t.TempDir(), opts); err == nil {
			closeQuietly(s)
			t.Errorf("%+v is taken", opts)
		}
	}
}
