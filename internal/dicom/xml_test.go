package dicom

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"strings"
	"testing"

	"pharos/internal/dicom/dict"
)

func TestXMLOfTheModel(t *testing.T) {
	d := NewDataset()
	d.SetText(dict.SpecificCharacterSet, dict.CS, "ISO_IR 100")
	d.SetText(dict.ImageType, dict.CS, "A", "", "<B> & \"C\"")
	d.SetText(0x00090010, dict.LO, "ACME & Co")
	d.SetText(0x00091001, dict.LO, "private")
	d.SetText(0x00091101, dict.LO, "of nobody")
	d.SetText(dict.PatientName, dict.PN, "Müller^Jörg^^Dr.=Mueller", "=Ä")
	d.SetText(dict.AdditionalPatientHistory, dict.LT, "a\r\nb\x01")
	d.SetInts(dict.FrameIncrementPointer, dict.AT, 0x00181063)
	d.SetInts(dict.Rows, dict.US, 512, 65535)
	d.SetFloats(dict.RealWorldValueSlope, dict.FD, 0.5, math.Inf(-1))
	d.SetInts(dict.SelectorUVValue, dict.UV, -1)
	item := NewDataset()
	item.SetText(dict.CodeValue, dict.SH, "T-1")
	d.SetItems(dict.AnatomicRegionSequence, item, NewDataset())
	d.SetText(dict.AccessionNumber, dict.SH, "")
	d.SetBytes(dict.PixelData, dict.OW, []byte{1, 2, 3, 4})
	want := `<?xml version="1.0" encoding="UTF-8"?>` + "\n" +
		`<NativeDicomModel xmlns="http://dicom.nema.org/PS3.19/models/NativeDICOM" xml:space="preserve">` +
		`<DicomAttribute tag="00080005" vr="CS" keyword="SpecificCharacterSet"><Value number="1">ISO_IR 192</Value></DicomAttribute>` +
		`<DicomAttribute tag="00080008" vr="CS" keyword="ImageType"><Value number="1">A</Value><Value number="2"></Value><Value number="3">&lt;B&gt; &amp; &quot;C&quot;</Value></DicomAttribute>` +
		`<DicomAttribute tag="00080050" vr="SH" keyword="AccessionNumber"></DicomAttribute>` +
		`<DicomAttribute tag="00082218" vr="SQ" keyword="AnatomicRegionSequence"><Item number="1">` +
		`<DicomAttribute tag="00080100" vr="SH" keyword="CodeValue"><Value number="1">T-1</Value></DicomAttribute></Item><Item number="2"></Item></DicomAttribute>` +
		`<DicomAttribute tag="00090010" vr="LO"><Value number="1">ACME &amp; Co</Value></DicomAttribute>` +
		`<DicomAttribute tag="00090001" vr="LO" privateCreator="ACME &amp; Co"><Value number="1">private</Value></DicomAttribute>` +
		`<DicomAttribute tag="00091101" vr="LO"><Value number="1">of nobody</Value></DicomAttribute>` +
		`<DicomAttribute tag="00100010" vr="PN" keyword="PatientName"><PersonName number="1">` +
		`<Alphabetic><FamilyName>Müller</FamilyName><GivenName>Jörg</GivenName><NamePrefix>Dr.</NamePrefix></Alphabetic>` +
		`<Ideographic><FamilyName>Mueller</FamilyName></Ideographic></PersonName>` +
		`<PersonName number="2"><Ideographic><FamilyName>Ä</FamilyName></Ideographic></PersonName></DicomAttribute>` +
		`<DicomAttribute tag="001021B0" vr="LT" keyword="AdditionalPatientHistory"><Value number="1">a&#13;&#10;b` + "\uFFFD" + `</Value></DicomAttribute>` +
		`<DicomAttribute tag="00280009" vr="AT" keyword="FrameIncrementPointer"><Value number="1">00181063</Value></DicomAttribute>` +
		`<DicomAttribute tag="00280010" vr="US" keyword="Rows"><Value number="1">512</Value><Value number="2">65535</Value></DicomAttribute>` +
		`<DicomAttribute tag="00409225" vr="FD" keyword="RealWorldValueSlope"><Value number="1">0.5</Value><Value number="2">-Infinity</Value></DicomAttribute>` +
		`<DicomAttribute tag="00720083" vr="UV" keyword="SelectorUVValue"><Value number="1">18446744073709551615</Value></DicomAttribute>` +
		`<DicomAttribute tag="7FE00010" vr="OW" keyword="PixelData"><InlineBinary>AQIDBA==</InlineBinary></DicomAttribute>` +
		`</NativeDicomModel>`
	if got := string(AppendXML(nil, d, 0, nil)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestXMLIsReadBackAsItWas(t *testing.T) {
	d := everyVR()
	d.SetText(dict.AdditionalPatientHistory, dict.LT, "line 1\r\nline 2") // XML has no control characters
	want := string(AppendJSON(nil, d, 0, nil))
	in := AppendXML(nil, d, 0, nil)
	x := NewXMLReader(bytes.NewReader(in), Limits{})
	read, bulk, err := x.Next()
	if err != nil || bulk != nil {
		t.Fatal(err, bulk)
	}
	if got := string(AppendJSON(nil, read, 0, nil)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if _, _, err := x.Next(); err != io.EOF {
		t.Errorf("behind the end: %v", err)
	}
	if got := AppendXML(nil, read, 0, nil); !bytes.Equal(got, in) {
		t.Errorf("written again: %s", got)
	}
}

func TestXMLReaderFindsTheBlockOfACreator(t *testing.T) {
	in := `<NativeDicomModel>
		<DicomAttribute tag="00090002" vr="OB" privateCreator="B"><BulkData uri="u"/></DicomAttribute>
		<DicomAttribute tag="00090001" vr="LO" privateCreator="A"><Value number="1">a</Value></DicomAttribute>
		<DicomAttribute tag="00090001" vr="SQ" privateCreator="B"><Item number="1">
			<DicomAttribute tag="00090010" vr="OB" privateCreator="C"><BulkData uuid="v"/></DicomAttribute></Item></DicomAttribute>
		<DicomAttribute tag="00090011" vr="LO"><Value number="1">A</Value></DicomAttribute>
	</NativeDicomModel>`
	d, bulk, err := NewXMLReader(strings.NewReader(in), Limits{}).Next()
	if err != nil {
		t.Fatal(err)
	}
	want := `{"00090010":{"vr":"LO","Value":["B"]},"00090011":{"vr":"LO","Value":["A"]},` +
		`"00091001":{"vr":"SQ","Value":[{"00090010":{"vr":"LO","Value":["C"]},"00091010":{"vr":"OB"}}]},` +
		`"00091002":{"vr":"OB"},"00091101":{"vr":"LO","Value":["a"]}}`
	if got := string(AppendJSON(nil, d, 0, nil)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if len(bulk) != 2 || bulk["00091002"] != "u" || bulk["00091001/0/00091010"] != "v" {
		t.Errorf("bulk data %v", bulk)
	}
}

func TestXMLReaderRefuses(t *testing.T) {
	element := func(attributes, content string) string {
		return `<NativeDicomModel><DicomAttribute ` + attributes + `>` + content + `</DicomAttribute></NativeDicomModel>`
	}
	deep := func(n int) string {
		return `<NativeDicomModel>` + strings.Repeat(`<DicomAttribute tag="00081140" vr="SQ"><Item>`, n) +
			strings.Repeat(`</Item></DicomAttribute>`, n) + `</NativeDicomModel>`
	}
	tests := []struct {
		name, in string
		want     error
	}{
		{"no XML", `hello`, ErrMalformed},
		{"another document", `<html></html>`, ErrMalformed},
		{"a half document", `<NativeDicomModel><DicomAttribute tag="00100020"`, ErrTruncated},
		{"a half element", `<NativeDicomModel>`, ErrTruncated},
		{"something behind", `<NativeDicomModel/><a/>`, ErrMalformed},
		{"a document type", `<!DOCTYPE a [<!ENTITY b "c">]><NativeDicomModel/>`, ErrMalformed},
		{"an unknown entity", element(`tag="00100020" vr="LO"`, `<Value number="1">&b;</Value>`), ErrMalformed},
		{"another encoding", `<?xml version="1.0" encoding="UTF-16"?><NativeDicomModel/>`, ErrMalformed},
		{"text between elements", `<NativeDicomModel>x</NativeDicomModel>`, ErrMalformed},
		{"no tag", element(`vr="LO"`, ``), ErrMalformed},
		{"an unknown VR", element(`tag="00100020" vr="ZZ"`, ``), ErrMalformed},
		{"an unknown child", element(`tag="00100020" vr="LO"`, `<value/>`), ErrMalformed},
		{"elements in a text", element(`tag="00100020" vr="LO"`, `<Value>a<b/></Value>`), ErrMalformed},
		{"number 0", element(`tag="00100020" vr="LO"`, `<Value number="0"/>`), ErrMalformed},
		{"number 1 twice", element(`tag="00100020" vr="LO"`, `<Value number="1"/><Value number="1"/>`), ErrMalformed},
		{"a number of a billion", element(`tag="00100020" vr="LO"`, `<Value number="1000000000"/>`), ErrTooLarge},
		{"a number beyond all", element(`tag="00100020" vr="LO"`, `<Value number="99999999999999999999"/>`), ErrMalformed},
		{"a missing item", element(`tag="00081140" vr="SQ"`, `<Item number="2"/>`), ErrMalformed},
		{"an unknown component", element(`tag="00100010" vr="PN"`, `<PersonName><Alphabetic><X/></Alphabetic></PersonName>`), ErrMalformed},
		{"an unknown group", element(`tag="00100010" vr="PN"`, `<PersonName><X/></PersonName>`), ErrMalformed},
		{"33 levels", deep(33), ErrTooLarge},
		{"20,000 levels", deep(20000), ErrTooLarge},
		{"20,000 levels of another document", strings.Repeat("<a>", 20000), ErrMalformed},
		{"a long value", element(`tag="00100020" vr="LO"`, `<Value>`+strings.Repeat("x", 1<<20)+`</Value>`), ErrTooLarge},
		{"a long attribute", element(`tag="`+strings.Repeat("0", 1<<20)+`" vr="LO"`, ``), ErrTooLarge},
		{"a long comment", `<NativeDicomModel><!--` + strings.Repeat("x", 1<<20) + `--></NativeDicomModel>`, ErrTooLarge},
		{"many elements", `<NativeDicomModel>` + strings.Repeat(`<DicomAttribute tag="00100020" vr="LO"/>`, 200), ErrTooLarge},
	}
	if _, _, err := NewXMLReader(strings.NewReader(deep(32)), Limits{}).Next(); err != nil {
		t.Errorf("32 levels: %v", err)
	}
	if _, _, err := NewXMLReader(strings.NewReader(""), Limits{}).Next(); err != io.EOF {
		t.Errorf("empty: %v", err)
	}
	for _, tt := range tests {
		x := NewXMLReader(strings.NewReader(tt.in), Limits{Memory: 1 << 16, Elements: 100})
		_, _, err := x.Next()
		var located *SyntaxError
		if !errors.Is(err, tt.want) || !errors.As(err, &located) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
		if _, _, again := x.Next(); again == nil || again.Error() != err.Error() {
			t.Errorf("%s: then %v", tt.name, again)
		}
	}
}

func TestReadersReportTheErrorOfTheInput(t *testing.T) {
	broken := errors.New("connection is broken")
	in := func(s string) io.Reader { return io.MultiReader(strings.NewReader(s), brokenReader{broken}) }
	if _, _, err := NewXMLReader(in(`<NativeDicomModel>`), Limits{}).Next(); !errors.Is(err, broken) {
		t.Errorf("XML: %v", err)
	}
	if _, _, err := NewJSONReader(in(`{"00100020":`), Limits{}).Next(); !errors.Is(err, broken) {
		t.Errorf("JSON: %v", err)
	}
}

type brokenReader struct{ err error }

func (b brokenReader) Read([]byte) (int, error) { return 0, b.err }

func FuzzXML(f *testing.F) {
	f.Add(AppendXML(nil, everyVR(), 0, nil))
	f.Add([]byte(`<NativeDicomModel><DicomAttribute tag="00090001" vr="SQ" privateCreator="Ä"><Item number="1"><DicomAttribute keyword="PatientName"><PersonName number="2"><Phonetic><NameSuffix>^x</NameSuffix></Phonetic></PersonName></DicomAttribute></Item></DicomAttribute></NativeDicomModel>`))
	f.Add([]byte(`<NativeDicomModel><DicomAttribute tag="00091101" vr="UN" privateCreator="A"><BulkData uri="u"/></DicomAttribute></NativeDicomModel>`))
	f.Fuzz(func(t *testing.T, in []byte) {
		d, bulk, err := NewXMLReader(bytes.NewReader(in), Limits{Memory: 1 << 20, Elements: 1000}).Next()
		if err != nil {
			return
		}
		for path := range bulk {
			if e := d.At(path); e == nil || !e.Empty() {
				t.Fatalf("bulk data at %s: %+v", path, e)
			}
		}
		once := AppendXML(nil, d, math.MaxInt, nil)
		read, _, err := NewXMLReader(bytes.NewReader(once), Limits{}).Next()
		if err != nil {
			t.Fatalf("%s: %v", once, err)
		}
		if twice := AppendXML(nil, read, math.MaxInt, nil); !bytes.Equal(once, twice) {
			t.Fatalf("read back differs:\n%s\n%s", once, twice)
		}
	})
}

// Whatever bytes an element has, its JSON and XML are well-formed and the accessors do
// not panic.
func FuzzModelsOfAnyElement(f *testing.F) {
	f.Add(uint32(dict.PatientName), "PN", "ISO_IR 100", []byte("M\xfcller^=\\= \x1b$B"))
	f.Add(uint32(dict.PatientWeight), "DS", "", []byte(" +1\\-\\.\\1e9999\\1e5\\0x1p3\\-.5\x00"))
	f.Add(uint32(dict.Rows), "US", "", []byte{1, 2, 3})
	f.Add(uint32(dict.Rows), "UN", "", []byte{1, 2, 3})
	f.Add(uint32(0x00091001), "\x00\xff", "GB18030", []byte{1, 2, 3})
	f.Add(uint32(dict.TextValue), "UT", `\ISO 2022 IR 87`, []byte("\x1b$B!!\xff\xfe\\"))
	f.Add(uint32(dict.RealWorldValueSlope), "FD", "", []byte{0, 0, 0, 0, 0, 0, 0xF0, 0x7F})
	f.Fuzz(func(t *testing.T, tag uint32, vr, declared string, value []byte) {
		if len(vr) < 2 {
			return
		}
		d := NewDataset()
		d.SetText(dict.SpecificCharacterSet, dict.CS, declared)
		d.SetBytes(Tag(tag), dict.MakeVR(vr[0], vr[1]), value)
		if b := AppendJSON(nil, d, len(value), nil); !json.Valid(b) {
			t.Fatalf("not valid JSON: %s", b)
		}
		decoder := xml.NewDecoder(bytes.NewReader(AppendXML(nil, d, len(value), nil)))
		for {
			if _, err := decoder.Token(); err == io.EOF {
				break
			} else if err != nil {
				t.Fatalf("not well-formed: %v\n%s", err, AppendXML(nil, d, len(value), nil))
			}
		}
		texts := d.Texts(Tag(tag))
		if len(texts) > 0 && texts[0] != d.Text(Tag(tag)) {
			t.Fatalf("Text is %q, Texts are %q", d.Text(Tag(tag)), texts)
		}
		if n := len(d.Ints(Tag(tag))); n > 0 && n != len(texts) {
			t.Fatalf("%d integers, %d texts", n, len(texts))
		}
		if n := len(d.Floats(Tag(tag))); n > 0 && n != len(texts) {
			t.Fatalf("%d numbers, %d texts", n, len(texts))
		}
	})
}
