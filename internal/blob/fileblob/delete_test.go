package fileblob

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"pharos/internal/blob"
)

func occupied(t testing.TB, name string) int64 {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Stat(name, &st); err != nil {
		t.Fatal(err)
	}
	return st.Blocks * 512
}

func TestDeletedBytesLeaveTheDisk(t *testing.T) {
	s := mustOpen(t, t.TempDir(), Options{})
	keep := mustWrite(t, s, pattern(1, 100_000))
	victim := mustWrite(t, s, pattern(2, 1_000_000))
	last := mustWrite(t, s, pattern(3, 100_000))
	name := segmentFile(s.dir, 1)
	before := occupied(t, name)
	mustDelete(t, s, victim)
	if freed := before - occupied(t, name); freed < 990_000 {
		t.Errorf("%d bytes freed of 1,000,000", freed)
	}
	wantKeys(t, s, keep, last)
	wantBytes(t, s, keep, pattern(1, 100_000))
	wantBytes(t, s, last, pattern(3, 100_000))
}

func TestTheHoleWaitsForTheLastReader(t *testing.T) {
	s := mustOpen(t, t.TempDir(), Options{})
	victim := mustWrite(t, s, pattern(2, 1_000_000))
	name := segmentFile(s.dir, 1)
	before := occupied(t, name)
	var readers []io.ReadCloser
	for range 2 {
		r, err := s.Open(context.Background(), victim, 0, -1)
		if err != nil {
			t.Fatal(err)
		}
		readers = append(readers, r)
	}
	mustDelete(t, s, victim)
	mustDelete(t, s, victim)
	if now := occupied(t, name); now < before {
		t.Error("the hole is there while the blob is read")
	}
	for _, r := range readers {
		p, err := io.ReadAll(r)
		if err != nil || string(p) != string(pattern(2, 1_000_000)) {
			t.Errorf("read %d bytes, %v", len(p), err)
		}
		if occupied(t, name) < before {
			t.Error("the hole is there before the last reader left")
		}
		for range 2 {
			if err := r.Close(); err != nil {
				t.Error(err)
			}
		}
	}
	if before-occupied(t, name) < 990_000 {
		t.Error("no hole after the last reader left")
	}
	if _, err := readers[0].Read(make([]byte, 1)); !errors.Is(err, os.ErrClosed) {
		t.Errorf("read after close: %v", err)
	}
}

func TestDeleteFinishesWhatACrashInterrupted(t *testing.T) {
	s, d := openFaulty(t, Options{LargeFrom: 600_000})
	inline, large := mustWrite(t, s, pattern(1, 500_000)), mustWrite(t, s, pattern(2, 1_000_000))
	set(&d.punch, unix.EIO)
	mustDelete(t, s, inline)
	g, r, err := s.find(large)
	if err != nil {
		t.Fatal(err)
	}
	if err := g.mark(r, stateDead); err != nil { // and the power fails
		t.Fatal(err)
	}
	s.leave(g, r.offset)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	again := reopen(t, s.dir, Options{})
	defer closeQuietly(again)
	wantKeys(t, again)
	wantLarge(t, again.dir, 1)
	before := occupied(t, segmentFile(again.dir, 1))
	mustDelete(t, again, inline)
	mustDelete(t, again, large)
	wantLarge(t, again.dir, 0)
	if before-occupied(t, segmentFile(again.dir, 1)) < 490_000 {
		t.Error("no hole")
	}
}

func TestASealedSegmentGoesWithItsLastBlob(t *testing.T) {
	s := mustOpen(t, t.TempDir(), small)
	var keys []blob.Key
	for i := range 9 {
		keys = append(keys, mustWrite(t, s, pattern(byte(i), 90_000))) // two in each segment
	}
	keys = append(keys, mustWrite(t, s, pattern(9, 150_000))) // in a file, named in the last segment
	exists := func(number uint32) bool {
		_, err := os.Stat(segmentFile(s.dir, number))
		return err == nil
	}
	mustDelete(t, s, keys[1])
	if !exists(1) {
		t.Fatal("segment 1 is gone with a live blob")
	}
	mustDelete(t, s, keys[0])
	if exists(1) {
		t.Error("segment 1 is still there")
	}
	for _, k := range keys[2:] {
		mustDelete(t, s, k)
	}
	wantKeys(t, s)
	wantLarge(t, s.dir, 0)
	names, err := filepath.Glob(filepath.Join(s.dir, "segments", "*"))
	if err != nil || len(names) != 1 {
		t.Errorf("segments left: %q, %v; want only the last", names, err)
	}
	mustDelete(t, s, keys[0]) // of a segment that is gone
	if k := mustWrite(t, s, nil); k <= keys[9] {
		t.Errorf("key %q does not follow %q", k, keys[9])
	}
}

func TestAReaderOutlivesItsSegmentAndItsStore(t *testing.T) {
	s := mustOpen(t, t.TempDir(), Options{SegmentSize: 1, LargeFrom: 100_000, OpenSegments: 1})
	for _, n := range []int{50_000, 150_000} {
		k := mustWrite(t, s, pattern(1, n))
		r, err := s.Open(context.Background(), k, 0, -1)
		if err != nil {
			t.Fatal(err)
		}
		defer closeQuietly(r)
		for range 3 {
			mustWrite(t, s, nil)
		}
		mustDelete(t, s, k)
		number, _, _ := parseKey(k)
		if _, err := os.Stat(segmentFile(s.dir, number)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("segment: %v", err)
		}
		if n > 100_000 {
			closeQuietly(s)
		}
		if p, err := io.ReadAll(r); err != nil || string(p) != string(pattern(1, n)) {
			t.Errorf("%d bytes, %v", len(p), err)
		}
	}
}

func TestASegmentWithADamagedHeaderIsNotRemoved(t *testing.T) {
	for _, damaged := range []int{0, 1, 2} {
		s := mustOpen(t, t.TempDir(), Options{SegmentSize: 20_000})
		var keys []blob.Key
		for range 4 { // three in the first segment
			keys = append(keys, mustWrite(t, s, pattern(1, 6000)))
		}
		_, at, _ := parseKey(keys[damaged])
		editFile(t, segmentFile(s.dir, 1), func(p []byte) []byte { p[at] ^= 1; return p })
		for i, k := range keys[:3] {
			if err := s.Delete(context.Background(), k); i != damaged && err != nil || i == damaged && !errors.Is(err, blob.ErrCorrupt) {
				t.Errorf("delete: %v", err)
			}
		}
		compact(t, s)
		if _, err := os.Stat(segmentFile(s.dir, 1)); err != nil {
			t.Error(err)
		}
	}
}

func TestAClosedStoreRefusesEverything(t *testing.T) {
	s := mustOpen(t, t.TempDir(), Options{})
	k := mustWrite(t, s, pattern(1, 10))
	closeQuietly(s)
	_, commit := write(s, nil)
	_, read := readAll(s, k)
	_, stat := s.Stat(context.Background(), k)
	var list error
	for _, err := range s.List(context.Background(), "") {
		list = err
	}
	for call, err := range map[string]error{
		"commit": commit, "open": read, "stat": stat, "list": list, "delete": s.Delete(context.Background(), k),
		"verify": s.Verify(context.Background(), k),
	} {
		if !errors.Is(err, os.ErrClosed) {
			t.Errorf("%s: %v", call, err)
		}
	}
}

// compact does what the owner of the index does with [Store.Fragmented].
func compact(t *testing.T, s *Store) (moved map[blob.Key]blob.Key) {
	t.Helper()
	moved = map[blob.Key]blob.Key{}
	for info, err := range s.Fragmented(context.Background()) {
		if err != nil {
			t.Fatal(err)
		}
		p, err := readAll(s, info.Key)
		if err != nil {
			t.Fatal(err)
		}
		moved[info.Key] = mustWrite(t, s, p)
		mustDelete(t, s, info.Key)
	}
	return moved
}

func TestFragmentedLeadsToEmptySegments(t *testing.T) {
	opts := Options{SegmentSize: 1 << 20}
	for name, test := range map[string]struct {
		size, keep int // of each hundred
		holes      bool
		fragmented bool
	}{
		"most bytes dead, no holes":    {20_000, 30, false, true},
		"few bytes dead, no holes":     {20_000, 70, false, false},
		"holes where blobs were":       {60_000, 30, true, false},
		"blobs smaller than any block": {2_000, 10, true, true},
	} {
		t.Run(name, func(t *testing.T) {
			s, d := openFaulty(t, opts)
			if !test.holes {
				set(&d.punch, errors.ErrUnsupported)
			}
			keep := map[blob.Key][]byte{}
			for i := 0; s.number.Load() < 3; i++ {
				p := pattern(byte(i), test.size)
				k := mustWrite(t, s, p)
				if i%10 < test.keep/10 {
					keep[k] = p
				} else {
					mustDelete(t, s, k)
				}
			}
			moved := compact(t, s)
			if got := len(moved) > 0; got != test.fragmented {
				t.Errorf("%d blobs to move", len(moved))
			}
			for k, p := range keep {
				if to, ok := moved[k]; ok {
					k = to
				}
				wantBytes(t, s, k, p)
			}
			if _, err := os.Stat(segmentFile(s.dir, 1)); (err != nil) != test.fragmented {
				t.Errorf("segment 1: %v", err)
			}
			if test.fragmented && len(compact(t, s)) > 0 {
				t.Error("still fragmented")
			}
		})
	}
}

func TestFragmentedRemovesWhatACrashLeft(t *testing.T) {
	s := mustOpen(t, t.TempDir(), small)
	var keys []blob.Key
	for i := range 5 {
		keys = append(keys, mustWrite(t, s, pattern(byte(i), 90_000)))
	}
	for _, k := range keys[:2] { // the first segment
		g, r, err := s.find(k)
		if err != nil {
			t.Fatal(err)
		}
		if err := g.mark(r, stateDead); err != nil {
			t.Fatal(err)
		}
		s.leave(g, r.offset)
	}
	if moved := compact(t, s); len(moved) != 0 {
		t.Errorf("moved %q", moved)
	}
	if _, err := os.Stat(segmentFile(s.dir, 1)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("segment 1: %v", err)
	}
	wantKeys(t, s, keys[2:]...)
}
