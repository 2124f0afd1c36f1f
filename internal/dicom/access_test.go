package dicom

import (
	"math"
	"slices"
	"testing"

	"pharos/internal/dicom/dict"
)

func TestTextsHaveNoPadding(t *testing.T) {
	tests := []struct {
		tag   Tag
		vr    VR
		value string
		want  []string
	}{
		{dict.PatientID, dict.LO, " A 1 \x00", []string{"A 1"}},
		{dict.OtherPatientIDs, dict.LO, ` a \ b\\`, []string{"a", "b", "", ""}},
		{dict.PatientComments, dict.LT, ` a\b `, []string{` a\b`}},
		{dict.InstitutionAddress, dict.ST, " a ", []string{" a"}},
		{dict.TextValue, dict.UT, ` a\ `, []string{` a\`}},
		{dict.LongCodeValue, dict.UC, ` a\ b `, []string{" a", " b"}},
		{dict.RetrieveURL, dict.UR, `a\b `, []string{`a\b`}},
		{dict.SOPInstanceUID, dict.UI, "1.2\x00", []string{"1.2"}},
		{dict.PatientWeight, dict.DS, " 1.50 ", []string{"1.50"}},
		{dict.Modality, dict.CS, "M\xfcR", []string{"MüR"}},
		{dict.PatientID, dict.LO, "  ", nil},
		{dict.PatientID, dict.LO, "", nil},
		{dict.PatientID, dict.UN, "A1 ", []string{"A1"}}, // known by the dictionary
		{dict.PatientID, 0x3F3F, "A1 ", []string{"A1"}},  // VR "??"
		{0x00091001, dict.UN, "A1 ", nil},                // nothing known
		{0x00090010, dict.UN, "ACME", []string{"ACME"}},  // a private creator
		{dict.Rows, dict.US, "\x00\x02\x01\x00\xff", []string{"512", "1"}},
		{dict.PixelPaddingValue, dict.SS, "\xff\xff", []string{"-1"}},
		{dict.FrameIncrementPointer, dict.AT, "\x18\x00\x63\x10", []string{"00181063"}},
		{dict.RecommendedDisplayFrameRateInFloat, dict.FL, "\x00\x00\xc0\x3f", []string{"1.5"}},
		{dict.SelectorUVValue, dict.UV, "\xff\xff\xff\xff\xff\xff\xff\xff", []string{"18446744073709551615"}},
		{dict.PixelData, dict.OB, "\x01\x02", nil},
		{dict.ProcedureCodeSequence, dict.SQ, "xxxx", nil},
	}
	for _, tt := range tests {
		d := NewDataset()
		d.SetBytes(tt.tag, tt.vr, []byte(tt.value))
		if got := d.Texts(tt.tag); !slices.Equal(got, tt.want) {
			t.Errorf("%v %v %q: Texts are %q, want %q", tt.tag, tt.vr, tt.value, got, tt.want)
		}
		first := ""
		if len(tt.want) > 0 {
			first = tt.want[0]
		}
		if got := d.Text(tt.tag); got != first {
			t.Errorf("%v %v %q: Text is %q, want %q", tt.tag, tt.vr, tt.value, got, first)
		}
	}
}

func TestNumbersOfEveryVR(t *testing.T) {
	tests := []struct {
		tag    Tag
		vr     VR
		value  string
		ints   []int64
		floats []float64
	}{
		{dict.Rows, dict.US, "\xff\xff\x01\x00", []int64{65535, 1}, []float64{65535, 1}},
		{dict.PixelPaddingValue, dict.SS, "\x00\x80", []int64{-32768}, []float64{-32768}},
		{dict.SimpleFrameList, dict.UL, "\xff\xff\xff\xff", []int64{math.MaxUint32}, []float64{math.MaxUint32}},
		{dict.DisplayedAreaTopLeftHandCorner, dict.SL, "\xfe\xff\xff\xff", []int64{-2}, []float64{-2}},
		{dict.SelectorSVValue, dict.SV, "\xfe\xff\xff\xff\xff\xff\xff\xff", []int64{-2}, []float64{-2}},
		{dict.SelectorUVValue, dict.UV, "\xfe\xff\xff\xff\xff\xff\xff\xff", nil, nil},
		{dict.FrameIncrementPointer, dict.AT, "\x18\x00\x63\x10", []int64{0x00181063}, []float64{0x00181063}},
		{dict.RedPaletteColorLookupTableData, dict.OW, "\x00\x01", []int64{256}, []float64{256}},
		{dict.RecommendedDisplayFrameRateInFloat, dict.FL, "\x00\x00\xc0\x3f", nil, []float64{1.5}},
		{dict.RealWorldValueSlope, dict.FD, "\x00\x00\x00\x00\x00\x00\xf0\x7f", nil, nil},
		{dict.InstanceNumber, dict.IS, " +7 ", []int64{7}, []float64{7}},
		{dict.InstanceNumber, dict.IS, `7\x`, nil, nil},
		{dict.InstanceNumber, dict.IS, `7\`, nil, nil},
		{dict.PixelSpacing, dict.DS, `0.5\1e1 `, nil, []float64{0.5, 10}},
		{dict.PatientWeight, dict.DS, "5.0", []int64{5}, []float64{5}},
		{dict.PatientWeight, dict.DS, "1e400", nil, nil},
		{dict.PatientWeight, dict.DS, "0x10", nil, nil},
		{dict.PatientWeight, dict.DS, "inf", nil, nil},
		{dict.PatientWeight, dict.DS, "", nil, nil},
		{dict.PixelData, dict.OB, "\x01\x02", nil, nil},
		{dict.Rows, dict.UN, "\x00\x02", []int64{512}, []float64{512}},
	}
	for _, tt := range tests {
		d := NewDataset()
		d.SetBytes(tt.tag, tt.vr, []byte(tt.value))
		if got := d.Ints(tt.tag); !slices.Equal(got, tt.ints) {
			t.Errorf("%v %q: Ints are %v, want %v", tt.vr, tt.value, got, tt.ints)
		}
		if got := d.Floats(tt.tag); !slices.Equal(got, tt.floats) {
			t.Errorf("%v %q: Floats are %v, want %v", tt.vr, tt.value, got, tt.floats)
		}
	}
}

func TestAccessorsAnswerNothingForWhatIsAbsent(t *testing.T) {
	d := NewDataset()
	d.Put(&Element{Tag: dict.PixelData, VR: dict.OW, Bulk: &Range{Length: 10}})
	for _, tag := range []Tag{dict.PatientID, dict.PixelData} {
		_, isInt := d.Int(tag)
		_, isFloat := d.Float(tag)
		if d.Text(tag) != "" || d.Texts(tag) != nil || d.UID(tag) != "" || isInt || isFloat || d.Bytes(tag) != nil || d.Items(tag) != nil {
			t.Errorf("%v is there", tag)
		}
	}
	if d.Charset() != DefaultCharset() {
		t.Error("character set is not the default one")
	}
}

func TestSettersPadAndEncode(t *testing.T) {
	d := NewDataset()
	d.SetText(dict.SpecificCharacterSet, dict.CS, "ISO_IR 144")
	d.SetText(dict.PatientName, dict.PN, "Люк", "x")
	d.SetText(dict.SOPInstanceUID, dict.UI, "1.2")
	d.SetInts(dict.InstanceNumber, dict.IS, -5, 7)
	d.SetInts(dict.FrameIncrementPointer, dict.AT, 0x00181063)
	d.SetInts(dict.PixelPaddingValue, dict.SS, -2)
	d.SetFloats(dict.PixelSpacing, dict.DS, 1.0/3, -1.0/3e7, 0.5, math.Inf(1))
	d.SetFloats(dict.RealWorldValueSlope, dict.FD, 1)
	d.SetFloats(dict.RecommendedDisplayFrameRateInFloat, dict.FL, 1)
	for tag, want := range map[Tag]string{
		dict.PatientName:                        "\xbb\xee\xda\\x ",
		dict.SOPInstanceUID:                     "1.2\x00",
		dict.InstanceNumber:                     `-5\7`,
		dict.FrameIncrementPointer:              "\x18\x00\x63\x10",
		dict.PixelPaddingValue:                  "\xfe\xff",
		dict.PixelSpacing:                       `0.33333333333333\-3.333333333e-08\0.5\`,
		dict.RealWorldValueSlope:                "\x00\x00\x00\x00\x00\x00\xf0\x3f",
		dict.RecommendedDisplayFrameRateInFloat: "\x00\x00\x80\x3f",
	} {
		if got := string(d.Bytes(tag)); got != want {
			t.Errorf("%v is %q, want %q", tag, got, want)
		}
	}
}

func TestItemsTakeTheCharacterSetOfTheDataSet(t *testing.T) {
	d, own, item := NewDataset(), NewDataset(), NewDataset()
	d.SetText(dict.SpecificCharacterSet, dict.CS, "ISO_IR 192")
	own.SetText(dict.SpecificCharacterSet, dict.CS, "ISO_IR 100")
	inner := NewDataset()
	item.SetItems(dict.ProcedureCodeSequence, inner)
	d.SetItems(dict.ReferencedImageSequence, item, own)
	for name, tt := range map[string]struct {
		d    *Dataset
		want string
	}{"item": {item, "\xc3\xbc"}, "item in an item": {inner, "\xc3\xbc"}, "item with its own": {own, "\xfc "}} {
		tt.d.SetText(dict.CodeMeaning, dict.LO, "ü")
		if got := string(tt.d.Bytes(dict.CodeMeaning)); got != tt.want {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
}

func TestPersonNamesHaveThreeGroups(t *testing.T) {
	for text, want := range map[string]PersonName{
		"":        {},
		"A^B":     {Alphabetic: "A^B"},
		"A=B":     {Alphabetic: "A", Ideographic: "B"},
		"A=B=C":   {"A", "B", "C"},
		"A==C":    {"A", "", "C"},
		"==C":     {"", "", "C"},
		"A=B=C=D": {"A", "B", "C=D"},
		"=B":      {Ideographic: "B"},
	} {
		if got := ParsePersonName(text); got != want || got.String() != text {
			t.Errorf("%q is read as %+v and written %q", text, got, got.String())
		}
	}
	if got := ParsePersonName("A=="); got.String() != "A" {
		t.Errorf("empty groups are written: %q", got)
	}
	if got := Components("F^G^M^P^S"); got != [5]string{"F", "G", "M", "P", "S"} {
		t.Errorf("components %q", got)
	}
	if got := Components("F^^M"); got != [5]string{"F", "", "M"} {
		t.Errorf("components %q", got)
	}
	d := NewDataset()
	d.SetText(dict.PatientName, dict.PN, "A^B=C", "D")
	if got := d.PersonName(dict.PatientName); got != (PersonName{Alphabetic: "A^B", Ideographic: "C"}) {
		t.Errorf("%+v", got)
	}
}

func BenchmarkText(b *testing.B) {
	d := ctHeader()
	b.ReportAllocs()
	for b.Loop() {
		d.Text(dict.PatientID)
	}
}
