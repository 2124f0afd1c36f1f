package dicom

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"testing"

	"pharos/internal/dicom/dict"
)

// everyVR is a data set with at least one element of every VR.
func everyVR() *Dataset {
	d := NewDataset()
	d.SetText(dict.SpecificCharacterSet, dict.CS, "ISO_IR 100")
	d.SetText(dict.ImageType, dict.CS, "ORIGINAL", "", "AXIAL")
	d.SetText(dict.SOPInstanceUID, dict.UI, "1.2.3")
	d.SetText(dict.StudyDate, dict.DA, "20240229")
	d.SetText(dict.AcquisitionDateTime, dict.DT, "20240229101112.5+0100")
	d.SetText(dict.StudyTime, dict.TM, "101112.123")
	d.SetText(dict.RetrieveAETitle, dict.AE, " PHAROS ")
	d.SetText(dict.AccessionNumber, dict.SH, "")
	d.SetText(dict.InstitutionAddress, dict.ST, ` Straße 1\2`)
	d.SetText(dict.PatientName, dict.PN, "Müller^Jörg=Mueller^Joerg", "=Ä")
	d.SetText(dict.PatientAge, dict.AS, "042Y")
	d.SetText(dict.PatientWeight, dict.DS, "+070.50", ".5", "-1E3", "5.", "abc", "", "1e999")
	d.SetText(dict.AdditionalPatientHistory, dict.LT, "line 1\r\nline \"2\"\t\x01")
	d.SetText(dict.InstanceNumber, dict.IS, "007", "-0", "1.5", "")
	d.SetInts(dict.FrameIncrementPointer, dict.AT, 0x00181063)
	d.SetInts(dict.Rows, dict.US, 65535)
	d.SetInts(dict.PixelPaddingValue, dict.SS, -2000)
	d.SetInts(dict.ReferencedSamplePositions, dict.UL, 1, math.MaxUint32)
	d.SetInts(dict.DisplayedAreaTopLeftHandCorner, dict.SL, -5, 7)
	d.SetFloats(dict.RecommendedDisplayFrameRateInFloat, dict.FL, 0.1, math.NaN(), math.Inf(-1))
	d.SetFloats(dict.RealWorldValueSlope, dict.FD, 1e-9, 1e21, 100, math.Inf(1))
	d.SetInts(dict.SelectorSVValue, dict.SV, -5, -1<<53-1)
	d.SetInts(dict.SelectorUVValue, dict.UV, 1<<53, -1)
	d.SetText(dict.LongCodeValue, dict.UC, "  code")
	d.SetText(dict.RetrieveURL, dict.UR, `http://a/b?c=\d`)
	d.SetText(dict.TextValue, dict.UT, "long")
	d.SetBytes(dict.RedPaletteColorLookupTableData, dict.OW, []byte{1, 2, 3, 4})
	d.SetBytes(dict.PixelData, dict.OB, []byte{0xFF, 0})
	d.SetBytes(dict.FloatPixelData, dict.OF, []byte{0, 0, 0x80, 0x3F})
	d.SetBytes(dict.DoubleFloatPixelData, dict.OD, make([]byte, 8))
	d.SetBytes(dict.LongPrimitivePointIndexList, dict.OL, make([]byte, 4))
	d.SetBytes(dict.ExtendedOffsetTable, dict.OV, make([]byte, 8))
	d.SetText(0x00091010, dict.LO, "")
	d.SetText(0x00090010, dict.LO, "ACME 1.0")
	d.SetBytes(0x00091001, dict.UN, []byte("private "))
	d.SetBytes(0x00091002, dict.MakeVR('Z', 'Z'), []byte{7, 7})
	item := NewDataset()
	item.SetText(dict.CodeValue, dict.SH, "T-1")
	d.SetItems(dict.AnatomicRegionSequence, item, NewDataset())
	d.SetItems(dict.ProcedureCodeSequence)
	d.SetInts(0x00080000, dict.UL, 99)
	return d
}

const everyVRJSON = `{` +
	`"00080005":{"vr":"CS","Value":["ISO_IR 192"]},` +
	`"00080008":{"vr":"CS","Value":["ORIGINAL",null,"AXIAL"]},` +
	`"00080018":{"vr":"UI","Value":["1.2.3"]},` +
	`"00080020":{"vr":"DA","Value":["20240229"]},` +
	`"0008002A":{"vr":"DT","Value":["20240229101112.5+0100"]},` +
	`"00080030":{"vr":"TM","Value":["101112.123"]},` +
	`"00080050":{"vr":"SH"},` +
	`"00080054":{"vr":"AE","Value":["PHAROS"]},` +
	`"00080081":{"vr":"ST","Value":[" Straße 1\\2"]},` +
	`"00080119":{"vr":"UC","Value":["  code"]},` +
	`"00081032":{"vr":"SQ"},` +
	`"00081190":{"vr":"UR","Value":["http://a/b?c=\\d"]},` +
	`"00082218":{"vr":"SQ","Value":[{"00080100":{"vr":"SH","Value":["T-1"]}},{}]},` +
	`"00089459":{"vr":"FL","Value":[0.1,"NaN","-Infinity"]},` +
	`"00090010":{"vr":"LO","Value":["ACME 1.0"]},` +
	`"00091001":{"vr":"UN","InlineBinary":"cHJpdmF0ZSA="},` +
	`"00091002":{"vr":"UN","InlineBinary":"Bwc="},` +
	`"00091010":{"vr":"LO"},` +
	`"00100010":{"vr":"PN","Value":[{"Alphabetic":"Müller^Jörg","Ideographic":"Mueller^Joerg"},{"Ideographic":"Ä"}]},` +
	`"00101010":{"vr":"AS","Value":["042Y"]},` +
	`"00101030":{"vr":"DS","Value":[70.50,0.5,-1e3,5,"abc",null,"1e999"]},` +
	`"001021B0":{"vr":"LT","Value":["line 1\r\nline \"2\"\t\u0001"]},` +
	`"00200013":{"vr":"IS","Value":[7,0,"1.5",null]},` +
	`"00280009":{"vr":"AT","Value":["00181063"]},` +
	`"00280010":{"vr":"US","Value":[65535]},` +
	`"00280120":{"vr":"SS","Value":[-2000]},` +
	`"00281201":{"vr":"OW","InlineBinary":"AQIDBA=="},` +
	`"00409225":{"vr":"FD","Value":[1e-09,1e+21,100,"Infinity"]},` +
	`"0040A132":{"vr":"UL","Value":[1,4294967295]},` +
	`"0040A160":{"vr":"UT","Value":["long"]},` +
	`"00660040":{"vr":"OL","InlineBinary":"AAAAAA=="},` +
	`"00700052":{"vr":"SL","Value":[-5,7]},` +
	`"00720082":{"vr":"SV","Value":[-5,"-9007199254740993"]},` +
	`"00720083":{"vr":"UV","Value":[9007199254740992,"18446744073709551615"]},` +
	`"7FE00001":{"vr":"OV","InlineBinary":"AAAAAAAAAAA="},` +
	`"7FE00008":{"vr":"OF","InlineBinary":"AACAPw=="},` +
	`"7FE00009":{"vr":"OD","InlineBinary":"AAAAAAAAAAA="},` +
	`"7FE00010":{"vr":"OB","InlineBinary":"/wA="}}`

func TestJSONOfEveryVR(t *testing.T) {
	got := string(AppendJSON(nil, everyVR(), 0, nil))
	if want := everyVRJSON; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if !json.Valid([]byte(got)) {
		t.Error("not valid JSON")
	}
}

func TestJSONIsReadBackAsItWas(t *testing.T) {
	want := string(AppendJSON([]byte("x"), everyVR(), 0, nil)[1:])
	d, bulk, err := NewJSONReader(strings.NewReader(want), Limits{}).Next()
	if err != nil || bulk != nil {
		t.Fatal(err, bulk)
	}
	if got := string(AppendJSON(nil, d, 0, nil)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got := d.Text(dict.PatientName); got != "Müller^Jörg=Mueller^Joerg" {
		t.Errorf("name %q", got)
	}
	if got := d.Charset().Terms(); len(got) != 1 || got[0] != "ISO_IR 192" {
		t.Errorf("character set %q", got)
	}
	for e := range d.All() {
		if len(e.Value)%2 != 0 {
			t.Errorf("%v has %d bytes", e.Tag, len(e.Value))
		}
	}
}

func TestJSONRefersToBulkData(t *testing.T) {
	d := NewDataset()
	item := NewDataset()
	item.SetBytes(0x00091001, dict.UN, make([]byte, 9))
	item.SetBytes(0x00091002, dict.UN, make([]byte, 8))
	d.SetItems(dict.ReferencedImageSequence, NewDataset(), item)
	d.Put(&Element{Tag: dict.TextValue, VR: dict.UT, Bulk: &Range{Offset: 7, Length: 1 << 20}})
	d.Put(&Element{Tag: dict.PixelData, VR: dict.OB, Fragments: []Range{{}, {Offset: 8, Length: 9}}})
	uri := func(path string, _ *Element) string { return "../bulk/" + path }
	want := `{"00081140":{"vr":"SQ","Value":[{},{` +
		`"00091001":{"vr":"UN","BulkDataURI":"../bulk/00081140/1/00091001"},"00091002":{"vr":"UN","InlineBinary":"AAAAAAAAAAA="}}]},` +
		`"0040A160":{"vr":"UT","BulkDataURI":"../bulk/0040A160"},` +
		`"7FE00010":{"vr":"OB","BulkDataURI":"../bulk/7FE00010"}}`
	got := string(AppendJSON(nil, d, 8, uri))
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	read, bulk, err := NewJSONReader(strings.NewReader(got), Limits{}).Next()
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"00081140/1/00091001", "0040A160", "7FE00010"} {
		if bulk[path] != "../bulk/"+path || read.At(path) == nil || !read.At(path).Empty() {
			t.Errorf("%s: %q, %+v", path, bulk[path], read.At(path))
		}
	}
	if len(bulk) != 3 {
		t.Errorf("%d references", len(bulk))
	}
	want = `{"00081140":{"vr":"SQ","Value":[{},{"00091001":{"vr":"UN","InlineBinary":"AAAAAAAAAAAA"},"00091002":{"vr":"UN","InlineBinary":"AAAAAAAAAAA="}}]}}`
	if got := string(AppendJSON(nil, d, 8, nil)); got != want {
		t.Errorf("without URIs: %s", got)
	}
}

func TestJSONReaderReadsAnArrayOneByOne(t *testing.T) {
	in := "\uFEFF [ {\"00100020\":{\"vr\":\"LO\",\"Value\":[\"A\"]}} ,\n{} , {\"PatientID\":{\"Value\":[\"\\u00e4\\ud83d\\ude00\"]}}] "
	j := NewJSONReader(strings.NewReader(in), Limits{})
	var got []string
	for {
		d, _, err := j.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, d.Text(dict.PatientID))
	}
	if s := strings.Join(got, "|"); s != "A||ä😀" {
		t.Errorf("%q", s)
	}
	if _, _, err := j.Next(); err != io.EOF {
		t.Errorf("behind the end: %v", err)
	}
	for _, in := range []string{"", " \n", "[]"} {
		if _, _, err := NewJSONReader(strings.NewReader(in), Limits{}).Next(); err != io.EOF {
			t.Errorf("%q: %v", in, err)
		}
	}
}

func TestJSONReaderAcceptsWhatTheFieldWrites(t *testing.T) {
	tests := []struct{ in, out string }{
		{`{"0010001d":{"vr":"UN"}}`, `{"0010001D":{"vr":"UN"}}`},
		{`{"00100010":{"Value":["Meier^A"],"vr":"PN"}}`, `{"00100010":{"vr":"PN","Value":[{"Alphabetic":"Meier^A"}]}}`},
		{`{"00100010":{"Value":[{}],"vr":"PN"}}`, `{"00100010":{"vr":"PN"}}`},
		{`{"00100010":{"vr":"PN","Value":[{"Alphabetic":null,"Phonetic":"x"}]}}`, `{"00100010":{"vr":"PN","Value":[{"Phonetic":"x"}]}}`},
		{`{"00100010":{"vr":"PN","Value":[]}}`, `{"00100010":{"vr":"PN"}}`},
		{`{"00100010":{"vr":"PN","Value":null}}`, `{"00100010":{"vr":"PN"}}`},
		{`{"00081140":{"Value":[null,{}]}}`, `{"00081140":{"vr":"SQ","Value":[{},{}]}}`},
		{`{"00280010":{"vr":"US","Value":["512"]}}`, `{"00280010":{"vr":"US","Value":[512]}}`},
		{`{"00280010":{"vr":"US","Value":[512.0]}}`, `{"00280010":{"vr":"US","Value":[512]}}`},
		{`{"00200013":{"vr":"IS","Value":[1e2]}}`, `{"00200013":{"vr":"IS","Value":[100]}}`},
		{`{"00280030":{"vr":"DS","Value":[0.30000000000000004,0.1]}}`, `{"00280030":{"vr":"DS","Value":[0.3,0.1]}}`},
		{`{"00280030":{"vr":"DS","Value":["0.30"]}}`, `{"00280030":{"vr":"DS","Value":[0.30]}}`},
		{`{"00091001":{"vr":"OB","InlineBinary":"AQI"}}`, `{"00091001":{"vr":"OB","InlineBinary":"AQI="}}`},
		{`{"00091001":{"vr":"OB","InlineBinary":"AQ=="}}`, `{"00091001":{"vr":"OB","InlineBinary":"AQA="}}`},
		{`{"00089459":{"vr":"FL","Value":["inf","NaN",1]}}`, `{"00089459":{"vr":"FL","Value":["Infinity","NaN",1]}}`},
		{`{"00100020":{"vr":"LO","Value":["ü"]}}`, `{"00080005":{"vr":"CS","Value":["ISO_IR 192"]},"00100020":{"vr":"LO","Value":["ü"]}}`},
		{`{"00080005":{"vr":"CS","Value":["ISO_IR 100"]}}`, `{"00080005":{"vr":"CS","Value":["ISO_IR 192"]}}`},
		{`{"00100020":{"vr":"LO","Value":[" x "]},"00080000":{"vr":"UL","Value":[5]},"00080020":{"vr":"DA"}}`,
			`{"00080020":{"vr":"DA"},"00100020":{"vr":"LO","Value":["x"]}}`},
		{`{"00100020":{"vr":"LO","Value":["\ud800x\/"]}}`, `{"00080005":{"vr":"CS","Value":["ISO_IR 192"]},"00100020":{"vr":"LO","Value":["` + "\uFFFD" + `x/"]}}`},
	}
	for _, tt := range tests {
		d, _, err := NewJSONReader(strings.NewReader(tt.in), Limits{}).Next()
		if err != nil {
			t.Errorf("%s: %v", tt.in, err)
			continue
		}
		if got := string(AppendJSON(nil, d, 0, nil)); got != tt.out {
			t.Errorf("%s\n got %s\nwant %s", tt.in, got, tt.out)
		}
	}
}

func TestJSONReaderRefuses(t *testing.T) {
	deep := func(n int) string {
		return strings.Repeat(`{"00081140":{"vr":"SQ","Value":[`, n) + "{}" + strings.Repeat("]}}", n)
	}
	tests := []struct {
		name, in string
		want     error
	}{
		{"no JSON", `hello`, ErrMalformed},
		{"a number", `5`, ErrMalformed},
		{"a half object", `{"00100020":`, ErrTruncated},
		{"a half array", `[{}`, ErrTruncated},
		{"a half string", `{"0010`, ErrTruncated},
		{"an array in an array", `[[]]`, ErrMalformed},
		{"something behind", `{} x`, ErrMalformed},
		{"something behind the array", `[{}] {}`, ErrMalformed},
		{"a comma at the end", `[{},]`, ErrMalformed},
		{"an unknown key", `{"Nobody":{"vr":"LO"}}`, ErrMalformed},
		{"an unknown member", `{"00100020":{"vr":"LO","value":["a"]}}`, ErrMalformed},
		{"an unknown VR", `{"00100020":{"vr":"ZZ"}}`, ErrMalformed},
		{"a VR that is no VR", `{"00100020":{"vr":"LONG"}}`, ErrMalformed},
		{"an element twice", `{"00100020":{"vr":"LO"},"PatientID":{"vr":"LO"}}`, ErrMalformed},
		{"a value and bulk data", `{"00091001":{"vr":"OB","InlineBinary":"","BulkDataURI":"x"}}`, ErrMalformed},
		{"values of OB", `{"00091001":{"vr":"OB","Value":[1]}}`, ErrMalformed},
		{"a value of nothing known", `{"00091001":{"Value":["x"]}}`, ErrMalformed},
		{"no base64", `{"00091001":{"vr":"OB","InlineBinary":"?"}}`, ErrMalformed},
		{"an item delimiter", `{"FFFEE00D":{"vr":"UN"}}`, ErrMalformed},
		{"a text where items belong", `{"00081140":{"vr":"SQ","Value":["a"]}}`, ErrMalformed},
		{"items where text belongs", `{"00100020":{"vr":"LO","Value":[{"00100020":{"vr":"LO"}}]}}`, ErrMalformed},
		{"a name where items belong", `{"00081140":{"vr":"SQ","Value":[{"Alphabetic":"a"}]}}`, ErrMalformed},
		{"a name with elements", `{"00100010":{"vr":"PN","Value":[{"Alphabetic":"a","00100020":{"vr":"LO"}}]}}`, ErrMalformed},
		{"a number out of range", `{"00280010":{"vr":"US","Value":[65536]}}`, ErrMalformed},
		{"a negative number", `{"00280010":{"vr":"US","Value":[-1]}}`, ErrMalformed},
		{"a fraction", `{"00280010":{"vr":"US","Value":[1.5]}}`, ErrMalformed},
		{"SS out of range", `{"00280120":{"vr":"SS","Value":[32768]}}`, ErrMalformed},
		{"FL out of range", `{"00089459":{"vr":"FL","Value":[1e39]}}`, ErrMalformed},
		{"null as a number", `{"00280010":{"vr":"US","Value":[null]}}`, ErrMalformed},
		{"no tag", `{"00280009":{"vr":"AT","Value":["0018"]}}`, ErrMalformed},
		{"a leading zero", `{"00280010":{"vr":"US","Value":[007]}}`, ErrMalformed},
		{"true", `{"00280010":{"vr":"US","Value":[true]}}`, ErrMalformed},
		{"a control character", "{\"00100020\":{\"vr\":\"LO\",\"Value\":[\"\x01\"]}}", ErrMalformed},
		{"invalid UTF-8", "{\"00100020\":{\"vr\":\"LO\",\"Value\":[\"\xff\"]}}", ErrMalformed},
		{"a wrong escape", `{"00100020":{"vr":"LO","Value":["\x"]}}`, ErrMalformed},
		{"a wrong unicode escape", `{"00100020":{"vr":"LO","Value":["\u00g0"]}}`, ErrMalformed},
		{"33 levels", deep(33), ErrTooLarge},
		{"20,000 levels", deep(20000), ErrTooLarge},
		{"20,000 brackets", strings.Repeat("[", 20000), ErrMalformed},
		{"a long key", `{"` + strings.Repeat("0", 300) + `":{}}`, ErrTooLarge},
		{"a long number", `{"00280010":{"vr":"US","Value":[` + strings.Repeat("1", 500) + `]}}`, ErrTooLarge},
		{"a long value", `{"00100020":{"vr":"LO","Value":["` + strings.Repeat("x", 2000) + `"]}}`, ErrTooLarge},
		{"many values", `{"00280010":{"vr":"US","Value":[1` + strings.Repeat(",1", 2000) + `]}}`, ErrTooLarge},
		{"many elements", `{"00081140":{"vr":"SQ","Value":[{}` + strings.Repeat(",{}", 20) + `]}}`, ErrTooLarge},
	}
	if _, _, err := NewJSONReader(strings.NewReader(deep(32)), Limits{}).Next(); err != nil {
		t.Errorf("32 levels: %v", err)
	}
	for _, tt := range tests {
		limits := Limits{Memory: 1500}
		if tt.name == "many elements" {
			limits = Limits{Elements: 20}
		}
		j := NewJSONReader(strings.NewReader(tt.in), limits)
		_, _, err := j.Next()
		for err == nil {
			_, _, err = j.Next()
		}
		var located *SyntaxError
		if !errors.Is(err, tt.want) || !errors.As(err, &located) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
		if _, _, again := j.Next(); again == nil || again.Error() != err.Error() {
			t.Errorf("%s: then %v", tt.name, again)
		}
	}
}

func FuzzJSON(f *testing.F) {
	f.Add([]byte(everyVRJSON))
	f.Add([]byte(`[{"00100010":{"Value":[{"Alphabetic":"Ä^","Ideographic":"","Phonetic":"=x"}],"vr":"PN"}},{"PatientID":{"vr":"LO","Value":["a\\b",null]}}]`))
	f.Add([]byte(`{"00280030":{"vr":"DS","Value":[0.30000000000000004,"+1",-0.0,1e-5,"1e5"]},"00200013":{"vr":"IS","Value":[-0,1e3,"+07"]}}`))
	f.Add([]byte(`{"00081140":{"Value":[{"00091001":{"vr":"OB","BulkDataURI":"u"}},null]},"00080005":{"vr":"CS"}}`))
	f.Add([]byte(`{"00100020":{"vr":"LO","Value":["\ud800\udc00\u0000 "]}}`))
	uri := func(string, *Element) string { return "u" }
	f.Fuzz(func(t *testing.T, in []byte) {
		j := NewJSONReader(strings.NewReader(string(in)), Limits{Memory: 1 << 20, Elements: 1000})
		for {
			d, bulk, err := j.Next()
			if err != nil {
				return
			}
			for path := range bulk {
				if e := d.At(path); e == nil || !e.Empty() {
					t.Fatalf("bulk data at %s: %+v", path, e)
				}
			}
			once := AppendJSON(nil, d, 64, uri)
			if !json.Valid(once) {
				t.Fatalf("not valid: %s", once)
			}
			d2, _, err := NewJSONReader(strings.NewReader(string(once)), Limits{}).Next()
			if err != nil {
				t.Fatalf("%s: %v", once, err)
			}
			if twice := AppendJSON(nil, d2, math.MaxInt, nil); string(twice) != string(AppendJSON(nil, d2, 64, nil)) {
				t.Fatal("inline limit counts without URIs")
			}
			all := AppendJSON(nil, d, math.MaxInt, nil)
			d3, _, err := NewJSONReader(strings.NewReader(string(all)), Limits{}).Next()
			if err != nil {
				t.Fatalf("%s: %v", all, err)
			}
			if again := AppendJSON(nil, d3, math.MaxInt, nil); string(again) != string(all) {
				t.Fatalf("read back differs:\n%s\n%s", all, again)
			}
		}
	})
}

// ctHeader is a data set like that of a CT instance without its pixels.
func ctHeader() *Dataset {
	d := NewDataset()
	d.SetText(dict.SpecificCharacterSet, dict.CS, "ISO_IR 100")
	d.SetText(dict.ImageType, dict.CS, "ORIGINAL", "PRIMARY", "AXIAL", "CT_SOM5 SPI")
	for i := range 8 {
		d.SetText(dict.StudyDate+Tag(i), dict.DA, "20240229")
		d.SetText(dict.StudyTime+Tag(i), dict.TM, "101112.123000")
	}
	for i := range 10 {
		d.SetText(0x00081010+Tag(i), dict.LO, "SOMATOM Definition AS+")
		d.SetText(0x0020000D+Tag(i), dict.UI, "1.3.12.2.1107.5.1.4.64149.30000017050207354218700000063")
		d.SetText(0x00180050+Tag(i), dict.DS, "1.2500")
		d.SetInts(0x00280010+Tag(i), dict.US, 512)
	}
	d.SetText(dict.PatientName, dict.PN, "Müller^Gertrud")
	d.SetText(dict.PatientID, dict.LO, "PAT-0012345")
	d.SetText(dict.ImagePositionPatient, dict.DS, "-161.6396484375", "-342.6396484375", "1545.5")
	d.SetText(dict.ImageOrientationPatient, dict.DS, "1", "0", "0", "0", "1", "0")
	for i := range 3 {
		item := NewDataset()
		item.SetText(dict.ReferencedSOPClassUID, dict.UI, dict.CTImageStorage)
		item.SetText(dict.ReferencedSOPInstanceUID, dict.UI, fmt.Sprintf("1.3.12.2.1107.5.1.4.64149.300000170502073542187000000%d", i))
		d.SetItems(0x00081140+Tag(i), item)
	}
	d.SetBytes(0x00291010, dict.OB, make([]byte, 200))
	return d
}

func BenchmarkAppendJSON(b *testing.B) {
	d := ctHeader()
	buf := AppendJSON(nil, d, 1024, nil)
	b.SetBytes(int64(len(buf)))
	b.ReportAllocs()
	for b.Loop() {
		buf = AppendJSON(buf[:0], d, 1024, nil)
	}
}

func BenchmarkJSONReader(b *testing.B) {
	in := string(AppendJSON(nil, ctHeader(), 1024, nil))
	b.SetBytes(int64(len(in)))
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := NewJSONReader(strings.NewReader(in), Limits{}).Next(); err != nil {
			b.Fatal(err)
		}
	}
}
