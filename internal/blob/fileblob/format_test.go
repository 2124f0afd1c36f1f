package fileblob

import (
	"encoding/binary"
	"encoding/hex"
	"math"
	"strings"
	"testing"

	"pharos/internal/blob"
)

// The samples are the formats of docs/format/log.md, written down once. Files with
// such bytes exist, so they must be readable for ever.
const (
	sampleSegment = `
		50 68 61 72 6f 73 4c 67 | magic "PharosLg"
		01 00 00 00             | version 1, reserved
		2a 00 00 00             | segment 42
		88 77 66 55 44 33 22 11 | segment id
		00 00 64 a7 b3 b6 e0 0d | created 2001-09-09T01:46:40Z in nanoseconds
		00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 | reserved
		35 19 3e bc             | CRC-32C of the 60 bytes before`
	sampleInline = `
		50 68 52 63             | magic "PhRc"
		01 01 5a 00             | version 1, kind 1 (inline), state 5a (live), reserved
		88 77 66 55 44 33 22 11 | segment id
		40 00 00 00 00 00 00 00 | offset 64
		00 00 64 a7 b3 b6 e0 0d | created
		05 00 00 00 00 00 00 00 | 5 bytes
		00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 | reserved
		4c bb 71 9a             | CRC-32C of "hello"
		9e ae 5b a1             | CRC-32C of the 60 bytes before, with 00 for the state`
	sampleLarge = `
		50 68 52 63             | magic
		01 02 a5 00             | version 1, kind 2 (large), state a5 (dead), reserved
		88 77 66 55 44 33 22 11 | segment id
		80 00 00 00 00 00 00 00 | offset 128
		00 00 64 a7 b3 b6 e0 0d | created
		00 f2 05 2a 01 00 00 00 | 5,000,000,000 bytes
		00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 | reserved
		ef be ad de             | CRC-32C of the file
		ea f9 6f dc             | CRC-32C of the 60 bytes before, with 00 for the state`
	sampleCheckpoint = `
		50 68 61 72 6f 73 43 70 | magic "PharosCp"
		01 00 00 00             | version 1, reserved
		2a 00 00 00             | segment 42
		88 77 66 55 44 33 22 11 | segment id
		40 1f 00 00 00 00 00 00 | offset 8000
		00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 | reserved
		97 42 e5 9d             | CRC-32C of the 60 bytes before`

	sampleID      = 0x1122334455667788
	sampleCreated = 1_000_000_000_000_000_000
)

// bytesOf reads the hexadecimal bytes of a sample.
func bytesOf(t testing.TB, sample string) []byte {
	t.Helper()
	var digits strings.Builder
	for line := range strings.Lines(sample) {
		left, _, _ := strings.Cut(line, "|")
		digits.WriteString(strings.Join(strings.Fields(left), ""))
	}
	b, err := hex.DecodeString(digits.String())
	if err != nil || len(b) != headerSize {
		t.Fatalf("sample of %d bytes: %v", len(b), err)
	}
	return b
}

func TestSamplesStayReadable(t *testing.T) {
	h, ok := decodeSegmentHeader(bytesOf(t, sampleSegment))
	if want := (segmentHeader{number: 42, id: sampleID, created: sampleCreated}); !ok || h != want {
		t.Errorf("segment header %+v, %v", h, ok)
	}
	for sample, want := range map[string]record{
		sampleInline: {kindInline, stateLive, sampleID, 64, sampleCreated, 5, checksum(0, []byte("hello"))},
		sampleLarge:  {kindLarge, stateDead, sampleID, 128, sampleCreated, 5_000_000_000, 0xdeadbeef},
	} {
		r, ok := decodeRecord(bytesOf(t, sample), sampleID, want.offset)
		if !ok || r != want {
			t.Errorf("record %+v, %v, want %+v", r, ok, want)
		}
	}
	c, ok := decodeCheckpoint(bytesOf(t, sampleCheckpoint))
	if want := (checkpoint{segment: 42, id: sampleID, offset: 8000}); !ok || c != want {
		t.Errorf("checkpoint %+v, %v", c, ok)
	}
}

func TestSamplesAreWhatIsWritten(t *testing.T) {
	check := func(name string, got []byte, sample string) {
		if want := bytesOf(t, sample); string(got) != string(want) {
			t.Errorf("%s\n% x, want\n% x", name, got, want)
		}
	}
	check("segment", segmentHeader{42, sampleID, sampleCreated}.encode(), sampleSegment)
	check("checkpoint", checkpoint{42, sampleID, 8000}.encode(), sampleCheckpoint)
	b := make([]byte, headerSize)
	record{kindInline, stateLive, sampleID, 64, sampleCreated, 5, checksum(0, []byte("hello"))}.encode(b)
	check("inline record", b, sampleInline)
	record{kindLarge, stateDead, sampleID, 128, sampleCreated, 5_000_000_000, 0xdeadbeef}.encode(b)
	check("large record", b, sampleLarge)
}

func TestEachFlippedBitOfAHeaderIsNoticed(t *testing.T) {
	segment, rec, check := bytesOf(t, sampleSegment), bytesOf(t, sampleInline), bytesOf(t, sampleCheckpoint)
	for i := range headerSize * 8 {
		flip := func(b []byte) { b[i/8] ^= 1 << (i % 8) }
		for _, b := range [][]byte{segment, rec, check} {
			flip(b)
		}
		if _, ok := decodeSegmentHeader(segment); ok {
			t.Errorf("segment header with bit %d flipped is taken", i)
		}
		if _, ok := decodeCheckpoint(check); ok {
			t.Errorf("checkpoint with bit %d flipped is taken", i)
		}
		r, ok := decodeRecord(rec, sampleID, 64)
		if inState := i/8 == stateOffset; ok != inState {
			t.Errorf("record with bit %d flipped: %v", i, ok)
		} else if inState && !r.listed() {
			t.Errorf("bit %d of the state deletes the record", i)
		}
		for _, b := range [][]byte{segment, rec, check} {
			flip(b)
		}
	}
}

func TestAHeaderElsewhereIsNotARecord(t *testing.T) {
	b := bytesOf(t, sampleInline)
	if _, ok := decodeRecord(b, sampleID, 128); ok {
		t.Error("taken at another offset")
	}
	if _, ok := decodeRecord(b, sampleID+1, 64); ok {
		t.Error("taken in another segment")
	}
	for n := range headerSize {
		if _, ok := decodeRecord(b[:n], sampleID, 64); ok {
			t.Errorf("taken with %d bytes", n)
		}
	}
}

func TestASizeBeyondAnyFileIsNotARecord(t *testing.T) {
	b := make([]byte, headerSize)
	for _, size := range []int64{-1, math.MinInt64, math.MaxInt64, math.MaxInt64 - 100} {
		record{kindInline, stateLive, sampleID, 64, 0, size, 0}.encode(b)
		if _, ok := decodeRecord(b, sampleID, 64); ok {
			t.Errorf("size %d is taken", size)
		}
	}
}

func TestKeysSortByCommit(t *testing.T) {
	last := blob.Key("")
	for _, k := range []blob.Key{key(1, 64), key(1, 128), key(1, math.MaxInt64-63), key(2, 64), key(0xffffffff, 64)} {
		if k <= last {
			t.Errorf("%q does not sort after %q", k, last)
		}
		last = k
		number, off, ok := parseKey(k)
		if !ok || key(number, off) != k {
			t.Errorf("parseKey(%q) = %d, %d, %v", k, number, off, ok)
		}
	}
	if k := key(1, 8000); k != "00000001-0000000000001f40" {
		t.Errorf("key %q", k)
	}
}

func TestWhatIsNotAKeyIsRefused(t *testing.T) {
	for _, k := range []blob.Key{
		"", "x", "00000000-0000000000000040", "00000001-0000000000000000", "00000001-0000000000000041",
		"00000001_0000000000000040", "0000001-00000000000000040", "00000001-000000000000004A", "00000001-ffffffffffffffc0",
		"+0000001-0000000000000040", "00000001-0000000000000040x", "00000001-000000000000FF40",
	} {
		if _, _, ok := parseKey(k); ok {
			t.Errorf("%q is taken", k)
		}
	}
}

func FuzzHeaders(f *testing.F) {
	for _, sample := range []string{sampleSegment, sampleInline, sampleLarge, sampleCheckpoint} {
		f.Add(bytesOf(f, sample))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) < headerSize {
			if _, ok := decodeAnyRecord(b); ok {
				t.Error("a short record is taken")
			}
			return
		}
		// Right checksums let the fuzzer reach what is behind them.
		state := b[stateOffset]
		b[stateOffset] = 0
		binary.LittleEndian.PutUint32(b[60:], checksum(0, b[:60]))
		b[stateOffset] = state
		if r, ok := decodeAnyRecord(b); ok {
			again := make([]byte, headerSize)
			r.encode(again)
			if back, ok := decodeAnyRecord(again); !ok || back != r {
				t.Errorf("%+v is read back as %+v, %v", r, back, ok)
			}
			if r.next() <= r.offset || r.next()%headerSize != 0 && r.offset%headerSize == 0 {
				t.Errorf("%+v ends at %d", r, r.next())
			}
		}
		binary.LittleEndian.PutUint32(b[60:], checksum(0, b[:60]))
		if h, ok := decodeSegmentHeader(b); ok {
			if back, ok := decodeSegmentHeader(h.encode()); !ok || back != h {
				t.Errorf("%+v is read back as %+v, %v", h, back, ok)
			}
		}
		if c, ok := decodeCheckpoint(b); ok {
			if back, ok := decodeCheckpoint(c.encode()); !ok || back != c {
				t.Errorf("%+v is read back as %+v, %v", c, back, ok)
			}
		}
	})
}
