package dicom

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"testing"
	"testing/iotest"
)

// fuzzLimits keep a round of fuzzing short.
var fuzzLimits = Limits{Depth: 8, Elements: 2000, Value: 64, Memory: 1 << 16, Inflated: 1 << 20}

// FuzzScanner: offsets never go back, depth is what was opened, and tee gets exactly
// what was consumed, however the input arrives.
func FuzzScanner(f *testing.F) {
	for _, c := range encodingCases {
		f.Add(c.implicit, c.bigEndian, c.bytes)
	}
	f.Fuzz(func(t *testing.T, implicit, bigEndian bool, data []byte) {
		ts := TransferSyntax{Implicit: implicit, BigEndian: bigEndian && !implicit}
		whole, consumed := walk(t, bytes.NewReader(data), ts, data)
		bytewise, _ := walk(t, iotest.OneByteReader(bytes.NewReader(data)), ts, data)
		if len(whole) != len(bytewise) {
			t.Fatalf("%d tokens at once, %d tokens byte by byte", len(whole), len(bytewise))
		}
		for i := range whole {
			if whole[i] != bytewise[i] {
				t.Fatalf("token %d: %+v at once, %+v byte by byte", i, whole[i], bytewise[i])
			}
		}
		if consumed > int64(len(data)) {
			t.Fatalf("consumed %d of %d bytes", consumed, len(data))
		}
	})
}

// walk scans to the end and checks what holds for every input.
func walk(t *testing.T, r io.Reader, ts TransferSyntax, data []byte) (tokens []Token, consumed int64) {
	var tee bytes.Buffer
	s := NewScanner(r, ts, 0, fuzzLimits, &tee)
	last, open := int64(0), 0
	for {
		tok, err := s.Next()
		if err != nil {
			if errors.Is(err, io.EOF) && open != 0 {
				t.Fatalf("end with %d open", open)
			}
			if !bytes.HasPrefix(data, tee.Bytes()) || int64(tee.Len()) != s.Offset() {
				t.Fatalf("tee has %d bytes, %d are consumed", tee.Len(), s.Offset())
			}
			if _, again := s.Next(); !errors.Is(again, err) {
				t.Fatalf("%v, then %v", err, again)
			}
			return tokens, s.Offset()
		}
		if tok.Offset < last {
			t.Fatalf("%+v is before %d", tok, last)
		}
		last = tok.Offset
		switch tok.Kind {
		case SequenceStart, ItemStart, FragmentsStart:
			open++
		case SequenceEnd, ItemEnd, FragmentsEnd:
			open--
		}
		tokens = append(tokens, tok)
	}
}

// FuzzReader: what can be read can be written, reads again to the same, and is then
// written to the same bytes.
func FuzzReader(f *testing.F) {
	for _, c := range encodingCases {
		f.Add(c.bytes)
		f.Add(append(EncodeFileMeta("1.2", "1.2.3", c.syntaxUID(), ""), c.bytes...))
	}
	var deflated bytes.Buffer
	_ = WriteDataset(&deflated, NewFileMeta("1.2", "1.2.3", ExplicitVRLittleEndian).Dataset, DeflatedExplicitVRLittleEndian, nil)
	f.Add(append(EncodeFileMeta("1.2", "1.2.3", DeflatedExplicitVRLittleEndian, ""), deflated.Bytes()...))
	f.Add(append(EncodeFileMeta("1.2", "1.2.3", ExplicitVRLittleEndian, ""), implicitData...))
	f.Add(bigEndianData)
	f.Fuzz(func(t *testing.T, data []byte) {
		meta, ds, err := ReadFile(bytes.NewReader(data), fuzzLimits)
		if err != nil {
			expectKnownError(t, err)
			return
		}
		if !meta.Syntax.Known || guessed(meta.Dataset) || guessed(ds) {
			return // was read by what follows, which may change
		}
		var first bytes.Buffer
		if err := WriteFile(&first, meta, ds, sourceOf(t, data, meta)); err != nil {
			if errors.Is(err, ErrMalformed) { // fragments in a native syntax
				return
			}
			t.Fatal(err)
		}
		limits := fuzzLimits
		limits.Depth, limits.Elements = 100, 10000 // delimiters and group 0002 may have been added
		meta, ds, err = ReadFile(bytes.NewReader(first.Bytes()), limits)
		if err != nil {
			t.Fatalf("our own file: %v", err)
		}
		var second bytes.Buffer
		if err := WriteFile(&second, meta, ds, sourceOf(t, first.Bytes(), meta)); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(first.Bytes(), second.Bytes()) {
			t.Fatalf("differs from byte %d", firstDifference(first.Bytes(), second.Bytes()))
		}
	})
}

// guessed tells whether there is a VR that does not exist, so that the form of its
// length was guessed.
func guessed(d *Dataset) bool {
	for e := range d.All() {
		if !e.VR.Known() || slices.ContainsFunc(e.Items, guessed) {
			return true
		}
	}
	return false
}

// expectKnownError makes sure that a refusal is one of the sentinels and says where.
func expectKnownError(t *testing.T, err error) {
	t.Helper()
	if errors.Is(err, ErrNotDICOM) {
		return
	}
	var where *SyntaxError
	if !errors.As(err, &where) {
		t.Fatalf("%v does not say where", err)
	}
	for _, known := range []error{ErrTruncated, ErrMalformed, ErrTooLarge, ErrUnknownSyntax} {
		if errors.Is(err, known) {
			return
		}
	}
	t.Fatalf("%v is no error of this package", err)
}

// FuzzPortions: reading in portions tees the input byte by byte and finds what reading
// at once finds.
func FuzzPortions(f *testing.F) {
	for _, c := range encodingCases {
		f.Add(append(EncodeFileMeta("1.2", "1.2.3", c.syntaxUID(), ""), c.bytes...), uint32(0x00100010))
	}
	f.Fuzz(func(t *testing.T, data []byte, stop uint32) {
		_, whole, err := ReadFile(bytes.NewReader(data), fuzzLimits)
		if err != nil {
			return
		}
		var tee bytes.Buffer
		r := NewReader(bytes.NewReader(data), fuzzLimits)
		r.Tee(&tee)
		head, err := r.ReadUntil(Tag(stop))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.HasPrefix(data, tee.Bytes()) {
			t.Fatal("tee of the head is no prefix")
		}
		rest, err := r.ReadRest()
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(tee.Bytes(), data) {
			t.Fatalf("tee has %d bytes of %d", tee.Len(), len(data))
		}
		for e := range whole.All() {
			if !head.Has(e.Tag) && !rest.Has(e.Tag) {
				t.Fatalf("%v is missing", e.Tag)
			}
		}
		for e := range head.All() {
			if e.Tag >= Tag(stop) {
				t.Fatalf("%v is in the head", e.Tag)
			}
		}
	})
}
