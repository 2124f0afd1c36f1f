package dicom

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"pharos/internal/dicom/dict"
)

// fileSource serves ranges of b.
func fileSource(b []byte) Source {
	return func(at Range) (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(b[at.Offset:at.End()])), nil
	}
}

func encodedAs(t *testing.T, ds *Dataset, ts UID, src Source) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := WriteDataset(&b, ds, ts, src); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestEachEncodingIsWrittenAsItWas(t *testing.T) {
	for _, c := range encodingCases {
		if c.err != nil || c.rewritten {
			continue
		}
		for _, value := range []int64{0, -1} { // values loaded, values copied
			ds, err := ReadDataset(bytes.NewReader(c.bytes), c.syntaxUID(), Limits{Value: value})
			if err != nil {
				t.Fatalf("%s: %v", c.name, err)
			}
			if got := encodedAs(t, ds, c.syntaxUID(), fileSource(c.bytes)); !bytes.Equal(got, c.bytes) {
				t.Errorf("%s:\ngot  %x\nwant %x", c.name, got, c.bytes)
			}
		}
	}
}

func TestWriterPutsRightWhatTheStandardForbids(t *testing.T) {
	for name, c := range map[string]struct{ in, want string }{
		"order and duplicates": {
			`1000 2000 4C4F 0200 4120  1000 2000 4C4F 0200 4220  0800 6000 4353 0200 4354`,
			`0800 6000 4353 0200 4354  1000 2000 4C4F 0200 4120`},
		"wrong group length": {
			`0800 0000 554C 0400 FF000000  0800 6000 4353 0200 4354  1000 2000 4C4F 0000`,
			`0800 0000 554C 0400 0A000000  0800 6000 4353 0200 4354  1000 2000 4C4F 0000`},
		"group length over a sequence": {
			`0800 0000 554C 0400 00000000  0800 4011 5351 0000 FFFFFFFF FEFF 00E0 00000000 FEFF DDE0 00000000`,
			`0800 0000 554C 0400 1C000000  0800 4011 5351 0000 FFFFFFFF FEFF 00E0 00000000 FEFF DDE0 00000000`},
		"delimiters": {
			`FEFF 0DE0 00000000  0800 4011 5351 0000 FFFFFFFF FEFF 00E0 FFFFFFFF FEFF 0DE0 04000000 FEFF DDE0 00000000`,
			`0800 4011 5351 0000 FFFFFFFF FEFF 00E0 FFFFFFFF FEFF 0DE0 00000000 FEFF DDE0 00000000`},
		"missing delimiters": {
			`0800 4011 5351 0000 14000000 FEFF 00E0 0C000000 0800 9911 5351 0000 FFFFFFFF`,
			`0800 4011 5351 0000 1C000000 FEFF 00E0 14000000 0800 9911 5351 0000 FFFFFFFF FEFF DDE0 00000000`},
		"zero padding":      {`1000 2000 4C4F 0000  000000000000000000`, `1000 2000 4C4F 0000`},
		"UN of 16 bits":     {`0900 0110 554E 0200 0102  1000 2000 4C4F 0000`, `0900 0110 554E 0000 02000000 0102  1000 2000 4C4F 0000`},
		"no VR":             {`0800 1600 02000000 3120  1000 2000 4C4F 0000`, `0800 1600 5549 0200 3120  1000 2000 4C4F 0000`},
		"explicit VR in UN": {`0900 0110 554E 0000 FFFFFFFF FEFF 00E0 0A000000 0800 5511 5549 0200 3120 FEFF DDE0 00000000`, `0900 0110 554E 0000 FFFFFFFF FEFF 00E0 0A000000 0800 5511 02000000 3120 FEFF DDE0 00000000`},
	} {
		ds, err := ReadDataset(bytes.NewReader(annotated(c.in)), ExplicitVRLittleEndian, Limits{})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := encodedAs(t, ds, ExplicitVRLittleEndian, nil); !bytes.Equal(got, annotated(c.want)) {
			t.Errorf("%s:\ngot  %X\nwant %X", name, got, annotated(c.want))
		}
	}
}

func TestConversionsBetweenNativeSyntaxes(t *testing.T) {
	explicit := annotated(`
		0800 4011 5351 0000 12000000              # defined length
		  FEFF 00E0 0A000000
		    2800 1000 5553 0200 0002
		0800 9911 5351 0000 FFFFFFFF              # undefined length
		  FEFF 00E0 FFFFFFFF
		  FEFF 0DE0 00000000
		FEFF DDE0 00000000
		2800 1000 5553 0200 0002
		E07F 1000 4F57 0000 04000000 01020304`)
	implicit := annotated(`
		0800 4011 12000000
		  FEFF 00E0 0A000000
		    2800 1000 02000000 0002
		0800 9911 FFFFFFFF
		  FEFF 00E0 FFFFFFFF
		  FEFF 0DE0 00000000
		FEFF DDE0 00000000
		2800 1000 02000000 0002
		E07F 1000 04000000 01020304`)
	big := annotated(`
		0008 1140 5351 0000 00000012
		  FFFE E000 0000000A
		    0028 0010 5553 0002 0200
		0008 1199 5351 0000 FFFFFFFF
		  FFFE E000 FFFFFFFF
		  FFFE E00D 00000000
		FFFE E0DD 00000000
		0028 0010 5553 0002 0200
		7FE0 0010 4F57 0000 00000004 02010403`)
	forms := map[UID][]byte{ExplicitVRLittleEndian: explicit, ImplicitVRLittleEndian: implicit, ExplicitVRBigEndian: big}
	for from, in := range forms {
		for to, want := range forms {
			for _, value := range []int64{0, 2} { // pixel data loaded, pixel data copied
				ds, err := ReadDataset(bytes.NewReader(in), from, Limits{Value: value})
				if err != nil {
					t.Fatal(err)
				}
				if got := encodedAs(t, ds, to, fileSource(in)); !bytes.Equal(got, want) {
					t.Errorf("%s to %s:\ngot  %X\nwant %X", from, to, got, want)
				}
			}
		}
	}
}

func TestValueTooLongForItsVRBecomesUN(t *testing.T) {
	ds := NewDataset()
	ds.SetBytes(0x00081160, dict.IS, bytes.Repeat([]byte(`1\`), 0x8000))
	got := encodedAs(t, ds, ExplicitVRLittleEndian, nil)
	if want := annotated(`0800 6011 554E 0000 00000100`); !bytes.HasPrefix(got, want) {
		t.Errorf("header %X", got[:12])
	}
	if len(got) != 12+0x10000 {
		t.Errorf("%d bytes", len(got))
	}
}

func TestFragmentsAreNotWrittenInANativeSyntax(t *testing.T) {
	ds := NewDataset()
	ds.Put(&Element{Tag: dict.PixelData, VR: dict.OB, Undefined: true, Fragments: []Range{{}}})
	if err := WriteDataset(io.Discard, ds, ExplicitVRLittleEndian, nil); !errors.Is(err, ErrMalformed) {
		t.Error(err)
	}
}

func TestAdjacentFragmentsAreReadInOnePiece(t *testing.T) {
	file := annotated(`
		E07F 1000 4F42 0000 FFFFFFFF
		  FEFF 00E0 04000000 00000000
		  FEFF 00E0 02000000 FFD8
		  FEFF 00E0 00000000
		  FEFF 00E0 02000000 FFD9
		FEFF DDE0 00000000`)
	ts := UID("1.2.840.10008.1.2.4.50")
	ds, err := ReadDataset(bytes.NewReader(file), ts, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	var asked []Range
	got := encodedAs(t, ds, ts, func(at Range) (io.ReadCloser, error) {
		asked = append(asked, at)
		return fileSource(file)(at)
	})
	if !bytes.Equal(got, file) {
		t.Errorf("got %X", got)
	}
	if len(asked) != 1 || asked[0] != (Range{Offset: 32, Length: 20}) {
		t.Errorf("asked for %v", asked)
	}
}

func TestSourcesThatFailAreReported(t *testing.T) {
	broken := errors.New("broken")
	ds := NewDataset()
	ds.Put(&Element{Tag: dict.PixelData, VR: dict.OW, Bulk: &Range{Offset: 10, Length: 100}})
	for name, src := range map[string]Source{
		"none":  nil,
		"open":  func(Range) (io.ReadCloser, error) { return nil, broken },
		"read":  func(Range) (io.ReadCloser, error) { return io.NopCloser(failing{broken}), nil },
		"short": func(Range) (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("ab")), nil },
	} {
		if err := WriteDataset(io.Discard, ds, ExplicitVRLittleEndian, src); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	ds = NewDataset()
	ds.SetBytes(dict.PatientID, dict.LO, []byte("1 "))
	if err := WriteDataset(failing{broken}, ds, ExplicitVRLittleEndian, nil); !errors.Is(err, broken) {
		t.Errorf("writer fails: %v", err)
	}
}

func TestFileMetaIsEncodedAsPS310Says(t *testing.T) {
	got := EncodeFileMeta("1.2.840.10008.5.1.4.1.1.2", "1.2.3", ExplicitVRLittleEndian, "MODALITY")
	want := join(make([]byte, 128), []byte("DICM"),
		annotated(`0200 0000 554C 0400 B0000000`), // 176 bytes follow
		annotated(`0200 0100 4F42 0000 02000000 0001`),
		annotated(`0200 0200 5549 1A00`), []byte("1.2.840.10008.5.1.4.1.1.2\x00"),
		annotated(`0200 0300 5549 0600`), []byte("1.2.3\x00"),
		annotated(`0200 1000 5549 1400`), []byte("1.2.840.10008.1.2.1\x00"),
		annotated(`0200 1200 5549 2C00`), []byte(ImplementationClassUID),
		annotated(`0200 1300 5348 0A00`), []byte("PHAROS_0_1"),
		annotated(`0200 1600 4145 0800`), []byte("MODALITY"))
	if !bytes.Equal(got, want) {
		t.Errorf("got  %X\nwant %X", got, want)
	}
}

func TestMissingFileMetaIsMadeUpFromTheDataSet(t *testing.T) {
	meta, ds, err := ReadFile(bytes.NewReader(explicitData), Limits{})
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := WriteFile(&b, meta, ds, nil); err != nil {
		t.Fatal(err)
	}
	meta, _, err = ReadFile(&b, Limits{})
	if err != nil || meta.NoMeta || meta.NoPreamble || meta.SOPClass != "1.2" || meta.SOPInstance != "1.2.3" || meta.TransferSyntax != ExplicitVRLittleEndian {
		t.Errorf("%+v, %v", meta, err)
	}
}

func TestPreambleIsKept(t *testing.T) {
	file := join([]byte("II*\x00"), make([]byte, 124), []byte("DICM"), EncodeFileMeta("1.2", "1.2.3", ExplicitVRLittleEndian, "")[132:], explicitData)
	meta, ds, err := ReadFile(bytes.NewReader(file), Limits{})
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := WriteFile(&b, meta, ds, nil); err != nil || !bytes.Equal(b.Bytes(), file) {
		t.Errorf("%v: differs from byte %d", err, firstDifference(b.Bytes(), file))
	}
}

func TestDeflatedDataSetIsPaddedToEvenLength(t *testing.T) {
	ds := NewDataset()
	for n := range 8 {
		ds.SetText(dict.PatientComments, dict.LT, strings.Repeat("a", 3*n))
		b := encodedAs(t, ds, DeflatedExplicitVRLittleEndian, nil)
		if len(b)%2 != 0 {
			t.Errorf("%d bytes", len(b))
		}
		if back, err := ReadDataset(bytes.NewReader(b), DeflatedExplicitVRLittleEndian, Limits{}); err != nil || back.Len() != 1 {
			t.Errorf("read back: %v", err)
		}
	}
}
