package blobtest

import (
	"context"
	"io"
	"testing"
	"time"

	"pharos/internal/blob"
)

func committed(t *testing.T, s blob.Store) {
	since := time.Now()
	info := put(t, s, 1, 1000)
	checkInfo(t, info, 1000, since)
	check(t, s, info, 1, 0, -1)
	got, err := s.Stat(context.Background(), info.Key)
	if err != nil {
		t.Fatal(err)
	}
	checkSame(t, got, info)
	for got, err := range s.List(context.Background(), "") {
		if err != nil {
			t.Fatal(err)
		}
		checkSame(t, got, info)
	}
	if keys := list(t, s, ""); len(keys) != 1 {
		t.Errorf("one blob is committed, %q are listed", keys)
	}
}

// sizes surround the powers of two at which implementations change their ways:
// sectors, pages, buffers, chunks of encryption, parts of an upload.
func sizes(t *testing.T, s blob.Store) {
	var all []int64
	for _, n := range []int64{0, 64, 512, 4 << 10, 16 << 10, 64 << 10, 128 << 10, 256 << 10, 1 << 20, 4 << 20, 5 << 20} {
		for _, d := range []int64{-1, 0, 1} {
			if n+d >= 0 {
				all = append(all, n+d)
			}
		}
	}
	infos := make([]blob.Info, len(all))
	for i, n := range all {
		infos[i] = put(t, s, uint64(i), n)
	}
	for i, n := range all {
		checkInfo(t, infos[i], n, time.Now())
		check(t, s, infos[i], uint64(i), 0, -1)
		check(t, s, infos[i], uint64(i), max(0, n-10), -1)
	}
	if got := len(list(t, s, "")); got != len(all) {
		t.Errorf("%d blobs committed, %d listed", len(all), got)
	}
}

func streamed(t *testing.T, s blob.Store) {
	const n = 40 << 20
	info := put(t, s, 40, n)
	check(t, s, info, 40, 0, -1)
	check(t, s, info, 40, n/2-100, 200)
	check(t, s, info, 40, n-1, 5)
}

func writeLengths(t *testing.T, s blob.Store) {
	for seed, step := range []int{1, 7, 4095, 65537, 300_001} {
		n := int64(min(700_000, 3000*step))
		w, err := s.Create(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		src, buf := stream(uint64(seed), n), make([]byte, step)
		for left := n; left > 0; {
			m, _ := io.ReadFull(src, buf)
			if got, err := w.Write(buf[:m]); got != m || err != nil {
				t.Fatalf("Write of %d bytes: %d, %v", m, got, err)
			}
			clear(buf) // a writer must not keep what it was given
			if got, err := w.Write(nil); got != 0 || err != nil {
				t.Fatalf("Write of nothing: %d, %v", got, err)
			}
			left -= int64(m)
		}
		info, err := w.Commit()
		if err != nil {
			t.Fatal(err)
		}
		check(t, s, info, uint64(seed), 0, -1)
	}
}

func ranges(t *testing.T, s blob.Store) {
	for seed, size := range []int64{0, 1, 1000, 200_000, 6_000_000} {
		info := put(t, s, uint64(seed), size)
		offs := []int64{0, 1, size / 3, size - 1, size, size + 1, size + 1_000_000}
		lens := []int64{-1, -5, 0, 1, 17, 65_536, 65_537, size - 1, size, size + 1, 1 << 62}
		for _, off := range offs {
			for _, n := range lens {
				if off >= 0 {
					check(t, s, info, uint64(seed), off, n)
				}
			}
		}
		if r, err := s.Open(context.Background(), info.Key, -1, 1); err == nil {
			r.Close()
			t.Error("a negative offset is taken")
		}
	}
}

func openReader(t *testing.T, s blob.Store) {
	info := put(t, s, 1, 300_000)
	r, err := s.Open(context.Background(), info.Key, 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	half := io.LimitReader(r, 100_000)
	if err := compare(half, stream(1, 100_000)); err != nil {
		t.Fatal(err)
	}
	other := put(t, s, 2, 300_000)
	check(t, s, other, 2, 0, -1)
	check(t, s, info, 1, 0, -1)
	if err := compareRange(r, info.Size, 1, 100_000, -1); err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
}
