package blobtest

import (
	"context"
	"errors"
	"io"
	"testing"

	"pharos/internal/blob"
)

// create begins a blob and writes the stream of a seed.
func create(t testing.TB, s blob.Store, seed uint64, n int64) blob.Writer {
	t.Helper()
	w, err := s.Create(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(w, stream(seed, n)); err != nil {
		t.Fatal(err)
	}
	return w
}

func invisible(t *testing.T, s blob.Store) {
	small, big := create(t, s, 1, 5000), create(t, s, 2, 9_000_000)
	if keys := list(t, s, ""); len(keys) != 0 {
		t.Fatalf("listed before commit: %q", keys)
	}
	first, err := big.Commit()
	if err != nil {
		t.Fatal(err)
	}
	if keys := list(t, s, ""); len(keys) != 1 || keys[0] != first.Key {
		t.Fatalf("listed %q, want %q", keys, first.Key)
	}
	second, err := small.Commit()
	if err != nil {
		t.Fatal(err)
	}
	check(t, s, first, 2, 0, -1)
	check(t, s, second, 1, 0, -1)
}

func aborted(t *testing.T, s blob.Store) {
	for _, n := range []int64{0, 1, 100_000, 9_000_000} {
		if err := create(t, s, 1, n).Abort(); err != nil {
			t.Fatal(err)
		}
	}
	if keys := list(t, s, ""); len(keys) != 0 {
		t.Errorf("listed after abort: %q", keys)
	}
}

func spent(t *testing.T, s blob.Store) {
	for _, n := range []int64{0, 1000, 9_000_000} {
		w := create(t, s, 1, n)
		info, err := w.Commit()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Commit(); err == nil {
			t.Error("a second Commit succeeds")
		}
		if _, err := w.Write([]byte("more")); err == nil {
			t.Error("Write after Commit succeeds")
		}
		for range 2 {
			if err := w.Abort(); err != nil {
				t.Errorf("Abort after Commit: %v", err)
			}
		}
		check(t, s, info, 1, 0, -1)

		w = create(t, s, 2, n)
		for range 2 {
			if err := w.Abort(); err != nil {
				t.Errorf("Abort: %v", err)
			}
		}
		if _, err := w.Commit(); err == nil {
			t.Error("Commit after Abort succeeds")
		}
		if _, err := w.Write([]byte("more")); err == nil {
			t.Error("Write after Abort succeeds")
		}
	}
	if keys := list(t, s, ""); len(keys) != 3 {
		t.Errorf("3 blobs committed, %d listed", len(keys))
	}
}

func notExist(t *testing.T, s blob.Store) {
	gone := put(t, s, 1, 100)
	put(t, s, 2, 100)
	if err := s.Delete(context.Background(), gone.Key); err != nil {
		t.Fatal(err)
	}
	for _, k := range []blob.Key{absent, gone.Key, "", "a", "../../etc/passwd"} {
		if r, err := s.Open(context.Background(), k, 0, -1); !errors.Is(err, blob.ErrNotExist) {
			t.Errorf("Open(%q): %v, want ErrNotExist", k, err)
			if err == nil {
				r.Close()
			}
		}
		if _, err := s.Stat(context.Background(), k); !errors.Is(err, blob.ErrNotExist) {
			t.Errorf("Stat(%q): %v, want ErrNotExist", k, err)
		}
		if err := s.Delete(context.Background(), k); err != nil {
			t.Errorf("Delete(%q): %v, want success", k, err)
		}
	}
}

func deleted(t *testing.T, s blob.Store) {
	for seed, n := range []int64{0, 1, 100_000, 9_000_000} {
		before, victim, behind := put(t, s, 100, n), put(t, s, uint64(seed), n), put(t, s, 200, n)
		for range 3 {
			if err := s.Delete(context.Background(), victim.Key); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := s.Stat(context.Background(), victim.Key); !errors.Is(err, blob.ErrNotExist) {
			t.Errorf("Stat after Delete: %v", err)
		}
		for _, k := range list(t, s, "") {
			if k == victim.Key {
				t.Error("listed after Delete")
			}
		}
		check(t, s, before, 100, 0, -1)
		check(t, s, behind, 200, 0, -1)
	}
}

// deletedWhileRead opens a reader, deletes, and reads then. A delay of the reader's
// first byte must make no difference.
func deletedWhileRead(t *testing.T, s blob.Store) {
	for _, n := range []int64{1, 100_000, 3_000_000, 9_000_000} {
		for _, begun := range []bool{false, true} {
			info := put(t, s, 3, n)
			r, err := s.Open(context.Background(), info.Key, 0, -1)
			if err != nil {
				t.Fatal(err)
			}
			off := int64(0)
			if begun {
				off = n / 2
				if err := compare(io.LimitReader(r, off), stream(3, off)); err != nil {
					t.Fatal(err)
				}
			}
			if err := s.Delete(context.Background(), info.Key); err != nil {
				t.Fatal(err)
			}
			if err := compareRange(r, n, 3, off, -1); errors.Is(err, errWrongBytes) {
				t.Errorf("%d bytes: %v", n, err)
			}
			if err := r.Close(); err != nil {
				t.Fatal(err)
			}
			if _, err := s.Open(context.Background(), info.Key, 0, -1); !errors.Is(err, blob.ErrNotExist) {
				t.Errorf("Open after Delete: %v", err)
			}
		}
	}
}
