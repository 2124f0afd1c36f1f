package blobtest

import (
	"context"
	"slices"
	"testing"
	"time"

	"pharos/internal/blob"
)

// listOrder commits in an order that is not the one of creation. Keys need to sort
// by time only to the precision of the store, so the list is compared as a set, and
// its order with itself.
func listOrder(t *testing.T, s blob.Store) {
	var writers []blob.Writer
	for i := range 20 {
		writers = append(writers, create(t, s, uint64(i), int64(i*i*i*100)))
	}
	slices.Reverse(writers)
	var want []blob.Key
	for _, w := range writers {
		info, err := w.Commit()
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, info.Key)
	}
	got := list(t, s, "")
	if !slices.IsSorted(got) {
		t.Errorf("not sorted: %q", got)
	}
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("listed %q, want %q", got, want)
	}
}

func listAfter(t *testing.T, s blob.Store) {
	for i := range 12 {
		put(t, s, uint64(i), int64(i)*1000)
	}
	all := list(t, s, "")
	if len(all) != 12 {
		t.Fatalf("12 blobs committed, %d listed", len(all))
	}
	for i, k := range all {
		if got := list(t, s, k); !slices.Equal(got, all[i+1:]) {
			t.Errorf("after key %d: %q, want %q", i, got, all[i+1:])
		}
		// A key need not exist to be listed after.
		if got := list(t, s, k+"x"); !slices.Equal(got, all[i+1:]) {
			t.Errorf("after key %d and a bit: %q, want %q", i, got, all[i+1:])
		}
	}
	if err := s.Delete(context.Background(), all[5]); err != nil {
		t.Fatal(err)
	}
	if got := list(t, s, all[5]); !slices.Equal(got, all[6:]) {
		t.Errorf("after a deleted key: %q, want %q", got, all[6:])
	}
	if got := list(t, s, all[11]+"~"); len(got) != 0 {
		t.Errorf("after the end: %q", got)
	}
	newer := put(t, s, 99, 99)
	if got := list(t, s, all[0]); !slices.Contains(got, newer.Key) {
		t.Errorf("a newer blob is not listed after an old key")
	}
}

func listBreak(t *testing.T, s blob.Store) {
	for i := range 5 {
		put(t, s, uint64(i), 10)
	}
	n := 0
	for _, err := range s.List(context.Background(), "") {
		if err != nil {
			t.Fatal(err)
		}
		if n++; n == 2 {
			break
		}
	}
	if got := len(list(t, s, "")); got != 5 {
		t.Errorf("%d listed after an early end, want 5", got)
	}
}

func listDelete(t *testing.T, s blob.Store) {
	kept := map[blob.Key]bool{}
	for i := range 30 {
		put(t, s, uint64(i), 5000)
	}
	i := 0
	for info, err := range s.List(context.Background(), "") {
		if err != nil {
			t.Fatal(err)
		}
		if i++; i%3 == 0 {
			kept[info.Key] = true
			continue
		}
		if err := s.Delete(context.Background(), info.Key); err != nil {
			t.Fatal(err)
		}
	}
	if i != 30 || len(kept) != 10 {
		t.Errorf("%d listed, want 30", i)
	}
	for _, k := range list(t, s, "") {
		if !kept[k] {
			t.Errorf("deleted blob %q is listed", k)
		}
		delete(kept, k)
	}
	if len(kept) != 0 {
		t.Errorf("%d blobs vanished", len(kept))
	}
}

// RunReopen tests a kind of store whose blobs outlive it. Each call of open yields a
// store over the directory, which is the same for calls of one test; the suite
// closes it.
func RunReopen(t *testing.T, open func(t *testing.T, dir string) StoreCloser) {
	t.Run("everything committed is there afterwards", func(t *testing.T) { reopened(t, open) })
	t.Run("nothing uncommitted is there afterwards", func(t *testing.T) { reopenedUncommitted(t, open) })
	t.Run("keys are never given twice", func(t *testing.T) { reopenedKeys(t, open) })
}

// StoreCloser is a store that can be closed.
type StoreCloser interface {
	blob.Store
	Close() error
}

func mustClose(t testing.TB, s StoreCloser) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatalf("close: %v", err)
	}
}

func reopened(t *testing.T, open func(t *testing.T, dir string) StoreCloser) {
	dir, since := t.TempDir(), time.Now()
	type entry struct {
		blob.Info
		seed uint64
	}
	var all []entry
	for round := range 5 {
		s := open(t, dir)
		var keys []blob.Key
		for _, e := range all {
			keys = append(keys, e.Key)
			check(t, s, e.Info, e.seed, 0, -1)
			got, err := s.Stat(context.Background(), e.Key)
			if err != nil {
				t.Fatal(err)
			}
			checkSame(t, got, e.Info)
			checkInfo(t, got, e.Size, since)
		}
		slices.Sort(keys)
		if got := list(t, s, ""); !slices.Equal(got, keys) {
			t.Fatalf("round %d: listed %q, want %q", round, got, keys)
		}
		for i, n := range []int64{0, 1, 5000, 300_000, 6_000_000} {
			seed := uint64(round*10 + i)
			all = append(all, entry{put(t, s, seed, n), seed})
		}
		if err := s.Delete(context.Background(), all[round].Key); err != nil {
			t.Fatal(err)
		}
		all = slices.Delete(all, round, round+1)
		mustClose(t, s)
	}
}

func reopenedUncommitted(t *testing.T, open func(t *testing.T, dir string) StoreCloser) {
	dir := t.TempDir()
	s := open(t, dir)
	writers := []blob.Writer{create(t, s, 1, 1000), create(t, s, 2, 9_000_000)}
	mustClose(t, s)
	for _, w := range writers {
		if _, err := w.Commit(); err == nil {
			t.Error("Commit succeeds after the store is closed")
		}
		if err := w.Abort(); err != nil {
			t.Errorf("Abort: %v", err)
		}
	}
	s = open(t, dir)
	defer mustClose(t, s)
	if keys := list(t, s, ""); len(keys) != 0 {
		t.Errorf("listed: %q", keys)
	}
}

// reopenedKeys deletes everything before it closes, so that a store that derives
// keys from what it finds would begin again.
func reopenedKeys(t *testing.T, open func(t *testing.T, dir string) StoreCloser) {
	dir, seen := t.TempDir(), map[blob.Key]bool{}
	for range 4 {
		s := open(t, dir)
		for i := range 6 {
			info := put(t, s, uint64(i), int64(i*20_000))
			if seen[info.Key] {
				t.Errorf("key %q is given twice", info.Key)
			}
			seen[info.Key] = true
			if err := s.Delete(context.Background(), info.Key); err != nil {
				t.Fatal(err)
			}
		}
		mustClose(t, s)
	}
}
