package blobtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"pharos/internal/blob"
)

// absent is shaped like a key, and no store gives it out.
const absent blob.Key = "blobtest/no-such-blob"

// Run tests a kind of store. Each call of open yields an empty store, which open
// itself closes by t.Cleanup when it has to be closed.
func Run(t *testing.T, open func(t *testing.T) blob.Store) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, blob.Store)
	}{
		{"a committed blob has its bytes, size, time and a valid key", committed},
		{"sizes around thresholds", sizes},
		{"40 MB pass through", streamed},
		{"a write of any length is taken", writeLengths},
		{"ranges", ranges},
		{"a blob is invisible before commit", invisible},
		{"an aborted blob leaves nothing", aborted},
		{"a writer is spent after commit or abort", spent},
		{"what does not exist is ErrNotExist", notExist},
		{"delete removes and may be repeated", deleted},
		{"a reader of a deleted blob gets its bytes or an error", deletedWhileRead},
		{"list is in the order of commits", listOrder},
		{"list begins after a key", listAfter},
		{"list may be left early", listBreak},
		{"blobs may be deleted while they are listed", listDelete},
		{"many writers at once", concurrent},
		{"writers, readers and deleters at once", mixed},
		{"a cancelled context ends each call", cancelled},
		{"a context cancelled half-way stops the writer", cancelledWriter},
		{"an open reader does not hinder others", openReader},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, open(t)) })
	}
}

// stream yields n bytes that follow from the seed.
func stream(seed uint64, n int64) io.Reader {
	var key [32]byte
	for i := range 8 {
		key[i] = byte(seed >> (8 * i))
	}
	return io.LimitReader(rand.NewChaCha8(key), n)
}

// put commits the stream of a seed.
func put(t testing.TB, s blob.Store, seed uint64, n int64) blob.Info {
	t.Helper()
	info, err := tryPut(s, seed, n)
	if err != nil {
		t.Fatal(err)
	}
	return info
}

func tryPut(s blob.Store, seed uint64, n int64) (blob.Info, error) {
	w, err := s.Create(context.Background())
	if err != nil {
		return blob.Info{}, err
	}
	defer w.Abort()
	if _, err := io.Copy(w, stream(seed, n)); err != nil {
		return blob.Info{}, err
	}
	info, err := w.Commit()
	if err == nil && info.Size != n {
		err = fmt.Errorf("committed %d bytes, Info has %d", n, info.Size)
	}
	return info, err
}

// check reads a range of a blob and compares it with the stream of the seed.
func check(t testing.TB, s blob.Store, info blob.Info, seed uint64, off, n int64) {
	t.Helper()
	if err := tryCheck(s, info, seed, off, n); err != nil {
		t.Fatalf("range %d+%d of %d bytes: %v", off, n, info.Size, err)
	}
}

func tryCheck(s blob.Store, info blob.Info, seed uint64, off, n int64) error {
	r, err := s.Open(context.Background(), info.Key, off, n)
	if err != nil {
		return err
	}
	return errors.Join(compareRange(r, info.Size, seed, off, n), r.Close())
}

// compareRange expects what Open promises for a range of a blob of that size.
func compareRange(r io.Reader, size int64, seed uint64, off, n int64) error {
	off = min(off, size)
	if n < 0 || n > size-off {
		n = size - off
	}
	want := stream(seed, size)
	if _, err := io.CopyN(io.Discard, want, off); err != nil {
		return err
	}
	return compare(r, io.LimitReader(want, n))
}

// compare reads both to the end. An error of got is returned as it is.
func compare(got, want io.Reader) error {
	g, w := make([]byte, 32<<10), make([]byte, 32<<10)
	for at := int64(0); ; {
		n, err := io.ReadFull(got, g)
		m, _ := io.ReadFull(want, w)
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			m = min(m, n)
		}
		if n != m || string(g[:n]) != string(w[:m]) {
			return fmt.Errorf("%w: other bytes than written in the %d behind byte %d (%d expected)", errWrongBytes, n, at, m)
		}
		if err != nil {
			if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
				return nil
			}
			return err
		}
		at += int64(n)
	}
}

var errWrongBytes = errors.New("wrong bytes")

// list collects the keys after one.
func list(t testing.TB, s blob.Store, after blob.Key) []blob.Key {
	t.Helper()
	var keys []blob.Key
	for info, err := range s.List(context.Background(), after) {
		if err != nil {
			t.Fatalf("list: %v", err)
		}
		keys = append(keys, info.Key)
	}
	return keys
}

func checkInfo(t testing.TB, info blob.Info, size int64, since time.Time) {
	t.Helper()
	k := string(info.Key)
	if k == "" || len(k) > 255 || strings.Trim(k, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ./_-") != "" {
		t.Errorf("key %q is outside of what Key allows", k)
	}
	if info.Size != size {
		t.Errorf("size %d, want %d", info.Size, size)
	}
	// The clock of a bucket may differ from ours and have whole seconds only.
	if d := info.Created.Sub(since); d < -time.Minute || d > 10*time.Minute {
		t.Errorf("created %v, want about %v", info.Created, since)
	}
}

// checkSame compares two descriptions of one blob. Times may be kept less exactly
// than they were told at commit.
func checkSame(t testing.TB, got, want blob.Info) {
	t.Helper()
	if d := got.Created.Sub(want.Created); got.Key != want.Key || got.Size != want.Size || d.Abs() > time.Second {
		t.Errorf("info %+v, want %+v", got, want)
	}
}
