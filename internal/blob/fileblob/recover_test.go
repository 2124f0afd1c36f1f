package fileblob

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"pharos/internal/blob"
)

// crashed copies the directory of an open store: what a killed process leaves.
func crashed(t testing.TB, s *Store) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(s.dir)); err != nil {
		t.Fatal(err)
	}
	return dir
}

func segmentFile(dir string, number uint32) string {
	return (&cache{dir: dir}).path(number)
}

func pattern(seed byte, n int) []byte {
	p := make([]byte, n)
	if _, err := io.ReadFull(randomBytes(seed), p); err != nil {
		panic(err)
	}
	return p
}

func mustWrite(t testing.TB, s *Store, p []byte) blob.Key {
	t.Helper()
	info, err := write(s, p)
	if err != nil {
		t.Fatal(err)
	}
	return info.Key
}

func mustDelete(t testing.TB, s *Store, k blob.Key) {
	t.Helper()
	if err := s.Delete(context.Background(), k); err != nil {
		t.Fatal(err)
	}
}

func readAll(s *Store, k blob.Key) ([]byte, error) {
	r, err := s.Open(context.Background(), k, 0, -1)
	if err != nil {
		return nil, err
	}
	p, err := io.ReadAll(r)
	return p, errors.Join(err, r.Close())
}

func wantBytes(t testing.TB, s *Store, k blob.Key, want []byte) {
	t.Helper()
	got, err := readAll(s, k)
	if err != nil {
		t.Errorf("read %q: %v", k, err)
	} else if !bytes.Equal(got, want) {
		t.Errorf("read %q: other bytes than written", k)
	}
}

func wantKeys(t testing.TB, s *Store, want ...blob.Key) {
	t.Helper()
	var got []blob.Key
	for info, err := range s.List(context.Background(), "") {
		if err != nil {
			t.Fatalf("list: %v", err)
		}
		got = append(got, info.Key)
	}
	if !slices.Equal(got, want) {
		t.Errorf("listed %q, want %q", got, want)
	}
}

// editFile changes the bytes of a file.
func editFile(t testing.TB, name string, edit func([]byte) []byte) {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, edit(b), 0o600); err != nil {
		t.Fatal(err)
	}
}

// reopen opens a directory without waiting for the disk.
func reopen(t testing.TB, dir string, opts Options) *Store {
	t.Helper()
	s, err := open(dir, opts, func(name string, flag int) (file, error) {
		f, err := openFile(name, flag)
		return unsynced{f}, err
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// unsynced is a file whose sync costs nothing: these tests keep the power on.
type unsynced struct{ file }

func (unsynced) sync() error { return nil }

func TestATailCutAtAnyByteLosesOnlyWhatIsCut(t *testing.T) {
	s := mustOpen(t, t.TempDir(), Options{})
	var keys []blob.Key
	var contents [][]byte
	for i, n := range []int{300, 0, 1, 64, 65, 200} {
		contents = append(contents, pattern(byte(i), n))
		keys = append(keys, mustWrite(t, s, contents[i]))
	}
	dir := crashed(t, s)
	name := segmentFile(dir, 1)
	whole, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(filepath.Join(dir, "CHECKPOINT"))
	if err != nil {
		t.Fatal(err)
	}
	_, second, _ := parseKey(keys[1])
	for size := int64(len(whole)); size >= second; size-- {
		for file, b := range map[string][]byte{name: whole[:size], filepath.Join(dir, "CHECKPOINT"): before} {
			if err := os.WriteFile(file, b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		s := reopen(t, dir, Options{})
		survivors := 0
		for i, k := range keys {
			end := int64(len(whole))
			if i+1 < len(keys) {
				_, end, _ = parseKey(keys[i+1])
			}
			if end <= size {
				survivors++
				wantBytes(t, s, k, contents[i])
			} else if _, err := readAll(s, k); !errors.Is(err, blob.ErrNotExist) {
				t.Errorf("cut at %d: blob %d: %v", size, i, err)
			}
		}
		wantKeys(t, s, keys[:survivors]...)
		fresh := mustWrite(t, s, contents[0])
		wantBytes(t, s, fresh, contents[0])
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if t.Failed() {
			t.Fatalf("cut at byte %d of %d", size, len(whole))
		}
	}
}

// lay writes blobs into a store and leaves it as after a crash.
func lay(t testing.TB, contents ...[]byte) (dir string, keys []blob.Key) {
	t.Helper()
	s := mustOpen(t, t.TempDir(), Options{})
	for _, p := range contents {
		keys = append(keys, mustWrite(t, s, p))
	}
	return crashed(t, s), keys
}

func TestADamagedPayloadHidesNothingBehindIt(t *testing.T) {
	a, b, c := pattern(1, 5000), pattern(2, 5000), pattern(3, 5000)
	dir, keys := lay(t, a, b, c)
	_, at, _ := parseKey(keys[1])
	editFile(t, segmentFile(dir, 1), func(p []byte) []byte { p[at+1000] ^= 1; return p })
	for range 2 { // the mark that the first recovery leaves serves the second
		s := reopen(t, dir, Options{})
		wantKeys(t, s, keys[0], keys[2])
		wantBytes(t, s, keys[0], a)
		wantBytes(t, s, keys[2], c)
		if _, err := readAll(s, keys[1]); !errors.Is(err, blob.ErrCorrupt) {
			t.Errorf("read of the damaged one: %v", err)
		}
		if err := s.Verify(context.Background(), keys[1]); !errors.Is(err, blob.ErrCorrupt) {
			t.Errorf("Verify of the damaged one: %v", err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	s := reopen(t, dir, Options{})
	mustDelete(t, s, keys[1])
	if _, err := readAll(s, keys[1]); !errors.Is(err, blob.ErrNotExist) {
		t.Errorf("read of the deleted one: %v", err)
	}
	closeQuietly(s)
}

func TestADamagedHeaderHidesNothingBehindIt(t *testing.T) {
	// The payload imitates records, as a hostile or curious sender might.
	imitation := bytes.Repeat(bytesOf(t, sampleInline), 3000)
	a, c := pattern(1, 100), pattern(3, 100)
	for _, clean := range []bool{false, true} {
		dir, keys := lay(t, a, imitation, c)
		if clean {
			closeQuietly(reopen(t, dir, Options{}))
		}
		_, at, _ := parseKey(keys[1])
		editFile(t, segmentFile(dir, 1), func(p []byte) []byte { p[at+40] ^= 1; return p })
		s := reopen(t, dir, Options{})
		wantKeys(t, s, keys[0], keys[2])
		wantBytes(t, s, keys[0], a)
		wantBytes(t, s, keys[2], c)
		if _, err := readAll(s, keys[1]); !errors.Is(err, blob.ErrCorrupt) {
			t.Errorf("read of the damaged one: %v", err)
		}
		if err := s.Delete(context.Background(), keys[1]); !errors.Is(err, blob.ErrCorrupt) {
			t.Errorf("delete of the damaged one: %v", err)
		}
		closeQuietly(s)
	}
}

func TestVerifyFindsDamageThatCameAfterRecovery(t *testing.T) {
	for _, opts := range []Options{{}, {LargeFrom: 100}} {
		s := mustOpen(t, t.TempDir(), opts)
		good, bad := mustWrite(t, s, pattern(1, 5000)), mustWrite(t, s, pattern(2, 5000))
		_, at, _ := parseKey(bad)
		name := segmentFile(s.dir, 1)
		at += headerSize
		if opts.LargeFrom > 0 {
			name, at = largeName(s.active.segment, record{offset: at - headerSize}), 0
		}
		editFile(t, name, func(p []byte) []byte { p[at+4000] ^= 1; return p })
		if err := s.Verify(context.Background(), good); err != nil {
			t.Errorf("Verify of a whole blob: %v", err)
		}
		if err := s.Verify(context.Background(), bad); !errors.Is(err, blob.ErrCorrupt) {
			t.Errorf("Verify of a damaged blob: %v", err)
		}
		mustDelete(t, s, bad)
		if err := s.Verify(context.Background(), bad); !errors.Is(err, blob.ErrNotExist) {
			t.Errorf("Verify of a deleted blob: %v", err)
		}
	}
}

func TestALostSegmentHeaderLosesNothing(t *testing.T) {
	a, b := pattern(1, 5000), pattern(2, 5000)
	for damage := range 3 {
		dir, keys := lay(t, a, b)
		editFile(t, segmentFile(dir, 1), func(p []byte) []byte {
			clear(p[:headerSize])
			clear(p[headerSize : headerSize+damage*headerSize/2]) // of the first record's header too
			return p
		})
		s := reopen(t, dir, Options{})
		wantBytes(t, s, keys[1], b)
		if damage == 0 {
			wantBytes(t, s, keys[0], a)
		}
		fresh := mustWrite(t, s, a)
		wantBytes(t, s, fresh, a)
		closeQuietly(s)
	}
}

func TestASegmentWithoutAnyHeaderIsLeftAlone(t *testing.T) {
	dir, keys := lay(t, pattern(1, 5000))
	editFile(t, segmentFile(dir, 1), func(p []byte) []byte { clear(p); return p })
	s := reopen(t, dir, Options{})
	defer closeQuietly(s)
	wantKeys(t, s)
	if k := mustWrite(t, s, pattern(2, 10)); k != key(2, headerSize) {
		t.Errorf("the next blob is %q", k)
	}
	if _, err := readAll(s, keys[0]); !errors.Is(err, blob.ErrCorrupt) {
		t.Errorf("read: %v", err)
	}
	if _, err := os.Stat(segmentFile(dir, 1)); err != nil {
		t.Error(err)
	}
}

func TestACrashWhileASegmentBeginsIsRepaired(t *testing.T) {
	for _, size := range []int{0, 1, headerSize - 1, headerSize} {
		a := pattern(1, 5000)
		dir, keys := lay(t, a)
		if err := os.WriteFile(segmentFile(dir, 2), make([]byte, size), 0o600); err != nil {
			t.Fatal(err)
		}
		s := reopen(t, dir, Options{})
		wantBytes(t, s, keys[0], a)
		fresh := mustWrite(t, s, a)
		if fresh != key(2, headerSize) {
			t.Errorf("the next blob is %q", fresh)
		}
		wantKeys(t, s, keys[0], fresh)
		closeQuietly(s)
	}
}

func TestALostCheckpointCostsNothingButTime(t *testing.T) {
	s := mustOpen(t, t.TempDir(), small)
	var keys []blob.Key
	for i := range 20 {
		keys = append(keys, mustWrite(t, s, pattern(byte(i), 50_000)))
	}
	for name, damage := range map[string]func([]byte) []byte{
		"lost":    func([]byte) []byte { return nil },
		"damaged": func(b []byte) []byte { b[20] ^= 1; return b },
		"of a segment that is gone": func([]byte) []byte {
			return checkpoint{segment: 100, id: 1, offset: 640}.encode()
		},
		"beyond the end": func(b []byte) []byte {
			c, _ := decodeCheckpoint(b)
			c.offset = 1 << 40
			return c.encode()
		},
		"in another log": func(b []byte) []byte {
			c, _ := decodeCheckpoint(b)
			c.id++
			return c.encode()
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := crashed(t, s)
			editFile(t, filepath.Join(dir, "CHECKPOINT"), damage)
			s := reopen(t, dir, small)
			defer closeQuietly(s)
			wantKeys(t, s, keys...)
			for i, k := range keys {
				wantBytes(t, s, k, pattern(byte(i), 50_000))
			}
			if k := mustWrite(t, s, nil); k <= keys[len(keys)-1] {
				t.Errorf("the next key %q is not after the last", k)
			}
		})
	}
}

// appendOnly appends a record and does not wait for the disk.
func appendOnly(t testing.TB, s *Store, p []byte) record {
	t.Helper()
	g, r, err := s.append(record{kind: kindInline, size: int64(len(p)), sum: checksum(0, p)}, [][]byte{p}, "")
	if err != nil {
		t.Fatal(err)
	}
	s.segments.release(g)
	return r
}

func TestARecordIsInvisibleUntilItIsDurable(t *testing.T) {
	s := mustOpen(t, t.TempDir(), Options{})
	r := appendOnly(t, s, pattern(1, 100))
	wantKeys(t, s)
	if _, err := readAll(s, key(1, r.offset)); !errors.Is(err, blob.ErrNotExist) {
		t.Errorf("read: %v", err)
	}
	second := mustWrite(t, s, pattern(2, 100)) // its sync covers the first
	wantKeys(t, s, key(1, r.offset), second)
}

func TestASegmentIsDurableBeforeItHasASuccessor(t *testing.T) {
	s := mustOpen(t, t.TempDir(), Options{SegmentSize: 2000})
	first := s.active.segment
	appendOnly(t, s, pattern(1, 1000))
	appendOnly(t, s, pattern(2, 1000))
	if s.number.Load() != 2 || first.durable.Load() != first.end.Load() {
		t.Errorf("segment 1 is durable up to %d of %d while %d is active", first.durable.Load(), first.end.Load(), s.number.Load())
	}
}

func TestTheCheckpointIsNeverAheadOfTheDisk(t *testing.T) {
	s := mustOpen(t, t.TempDir(), Options{})
	durable := s.active.end.Load()
	appendOnly(t, s, pattern(1, 1000))
	if err := s.check.move(s.active.segment, false); err != nil {
		t.Fatal(err)
	}
	f, c, err := openCheckpoint(s.dir, openFile)
	if err != nil {
		t.Fatal(err)
	}
	defer closeQuietly(f)
	if c.offset != durable {
		t.Errorf("checkpoint at %d, the disk has %d", c.offset, durable)
	}
}

func TestANewerFormatIsRefused(t *testing.T) {
	dir, _ := lay(t, pattern(1, 100))
	editFile(t, segmentFile(dir, 1), func(p []byte) []byte {
		p[8] = formatVersion + 1
		copy(p[60:], le32(checksum(0, p[:60])))
		return p
	})
	before, _ := os.ReadFile(segmentFile(dir, 1))
	if s, err := Open(dir, Options{}); err == nil {
		closeQuietly(s)
		t.Error("opened")
	}
	if after, _ := os.ReadFile(segmentFile(dir, 1)); !bytes.Equal(before, after) {
		t.Error("changed")
	}
}

func le32(v uint32) []byte { return []byte{byte(v), byte(v >> 8), byte(v >> 16), byte(v >> 24)} }

func TestLargeBlobsWithoutRecordAreRemoved(t *testing.T) {
	opts := Options{LargeFrom: 1000}
	s := mustOpen(t, t.TempDir(), opts)
	first, last := mustWrite(t, s, pattern(1, 5000)), mustWrite(t, s, pattern(2, 5000))
	pending, err := s.Create(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer pending.Abort() // closes the file of a store that is closed by then
	if _, err := pending.Write(pattern(3, 5000)); err != nil {
		t.Fatal(err)
	}
	dir := crashed(t, s)
	_, end, _ := parseKey(last)
	if err := os.Truncate(segmentFile(dir, 1), end); err != nil { // the record was not durable yet
		t.Fatal(err)
	}
	again := reopen(t, dir, opts)
	defer closeQuietly(again)
	wantKeys(t, again, first)
	wantBytes(t, again, first, pattern(1, 5000))
	wantLarge(t, dir, 1)
	if k := mustWrite(t, again, pattern(4, 6000)); k != last {
		t.Errorf("key %q, want the free place %q", k, last)
	}
	wantBytes(t, again, last, pattern(4, 6000))
}

// wantLarge counts the files of large blobs, finished or not.
func wantLarge(t testing.TB, dir string, want int) {
	t.Helper()
	got, err := filepath.Glob(filepath.Join(dir, "large", "*", "*"))
	if err != nil || len(got) != want {
		t.Errorf("files of large blobs: %q, %v, want %d", got, err, want)
	}
}

func TestALargeBlobWithoutFileIsNotListed(t *testing.T) {
	opts := Options{LargeFrom: 1000}
	s := mustOpen(t, t.TempDir(), opts)
	keys := []blob.Key{mustWrite(t, s, pattern(1, 5000)), mustWrite(t, s, pattern(2, 5000)), mustWrite(t, s, pattern(3, 10))}
	dir := crashed(t, s)
	for i, k := range keys[:2] {
		_, off, _ := parseKey(k)
		name := filepath.Join(dir, "large", "00000001", fmt.Sprintf("%016x", off))
		if err := []func() error{
			func() error { return os.Remove(name) },
			func() error { return os.Truncate(name, 4999) },
		}[i](); err != nil {
			t.Fatal(err)
		}
	}
	again := reopen(t, dir, opts)
	defer closeQuietly(again)
	wantKeys(t, again, keys[2])
	for _, k := range keys[:2] {
		if _, err := readAll(again, k); !errors.Is(err, blob.ErrCorrupt) {
			t.Errorf("read: %v", err)
		}
	}
}
