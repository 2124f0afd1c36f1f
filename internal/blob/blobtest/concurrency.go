package blobtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"testing"

	"pharos/internal/blob"
)

func concurrent(t *testing.T, s blob.Store) {
	const writers, each = 16, 10
	infos := make([][]blob.Info, writers)
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				n := int64(w*i*1000 + i)
				info, err := tryPut(s, uint64(w*each+i), n)
				if err == nil {
					err = tryCheck(s, info, uint64(w*each+i), 0, -1)
				}
				if err != nil {
					t.Errorf("writer %d: %v", w, err)
					return
				}
				infos[w] = append(infos[w], info)
			}
		})
	}
	wg.Wait()
	var want []blob.Key
	for w := range infos {
		for i, info := range infos[w] {
			check(t, s, info, uint64(w*each+i), 0, -1)
			want = append(want, info.Key)
		}
	}
	slices.Sort(want)
	if got := list(t, s, ""); !slices.Equal(got, want) {
		t.Errorf("%d listed, %d committed", len(got), len(want))
	}
}

// mixed lets writers hand their blobs to readers and deleters. Whatever a reader
// gets is right, or an error.
func mixed(t *testing.T, s blob.Store) {
	type item struct {
		blob.Info
		seed uint64
	}
	items := make(chan item, 64)
	var producers, consumers sync.WaitGroup
	for w := range 4 {
		producers.Go(func() {
			for i := range 25 {
				seed := uint64(w*1000 + i)
				info, err := tryPut(s, seed, int64(seed*37%150_000))
				if err != nil {
					t.Error(err)
					return
				}
				items <- item{info, seed}
			}
		})
	}
	for range 4 {
		consumers.Go(func() {
			for it := range items {
				if err := readAndDelete(s, it.Info, it.seed); err != nil {
					t.Error(err)
				}
			}
		})
	}
	producers.Wait()
	close(items)
	consumers.Wait()
	if keys := list(t, s, ""); len(keys) != 0 {
		t.Errorf("%d blobs left after all were deleted", len(keys))
	}
}

// readAndDelete deletes a blob while two others read it.
func readAndDelete(s blob.Store, info blob.Info, seed uint64) error {
	errs := make(chan error, 2)
	for range cap(errs) {
		go func() {
			err := tryCheck(s, info, seed, info.Size/4, -1)
			if errors.Is(err, blob.ErrNotExist) {
				err = nil
			}
			errs <- err
		}()
	}
	err := s.Delete(context.Background(), info.Key)
	for range cap(errs) {
		if e := <-errs; errors.Is(e, errWrongBytes) {
			err = errors.Join(err, e)
		}
	}
	if _, e := s.Stat(context.Background(), info.Key); !errors.Is(e, blob.ErrNotExist) {
		err = errors.Join(err, fmt.Errorf("stat of a deleted blob: %w", e))
	}
	return err
}

func cancelled(t *testing.T, s blob.Store) {
	info := put(t, s, 1, 1000)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := s.Create(ctx)
	checkCancelled(t, "Create", err)
	_, err = s.Open(ctx, info.Key, 0, -1)
	checkCancelled(t, "Open", err)
	_, err = s.Stat(ctx, info.Key)
	checkCancelled(t, "Stat", err)
	checkCancelled(t, "Delete", s.Delete(ctx, info.Key))
	err = nil
	for _, e := range s.List(ctx, "") {
		if err = e; e == nil {
			t.Error("List yields a blob under a cancelled context")
		}
	}
	checkCancelled(t, "List", err)
	check(t, s, info, 1, 0, -1)
}

func cancelledWriter(t *testing.T, s blob.Store) {
	for _, n := range []int64{1000, 9_000_000} {
		for _, more := range []bool{false, true} {
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			w, err := s.Create(ctx)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.Copy(w, stream(1, n)); err != nil {
				t.Fatal(err)
			}
			cancel()
			if more {
				_, err = w.Write([]byte("more"))
				checkCancelled(t, "Write", err)
			}
			_, err = w.Commit()
			checkCancelled(t, "Commit", err)
			if err := w.Abort(); err != nil {
				t.Errorf("Abort after cancellation: %v", err)
			}
		}
	}
	if keys := list(t, s, ""); len(keys) != 0 {
		t.Errorf("listed: %q", keys)
	}
}

func checkCancelled(t testing.TB, call string, err error) {
	t.Helper()
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%s under a cancelled context: %v", call, err)
	}
}
