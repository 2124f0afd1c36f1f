package archive

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"pharos/internal/dicom"
	"pharos/internal/dicom/dict"
)

func TestNewMatchUnderstandsKeysByVR(t *testing.T) {
	for _, c := range []struct {
		vr     dicom.VR
		text   string
		kind   MatchKind
		values []string
	}{
		{dict.LO, "", Universal, nil},
		{dict.LO, "  ", Universal, nil},
		{dict.LO, "**", Universal, nil},
		{dict.IS, "*", Universal, nil},
		{dict.SQ, "", Universal, nil},
		{dict.OB, "", Universal, nil},
		{dict.LO, " a b ", Single, []string{"a b"}},
		{dict.LO, "a*", Wildcard, []string{"a*"}},
		{dict.PN, "a?", Wildcard, []string{"a?"}},
		{dict.CS, `CT\MR*`, List, []string{"CT", "MR*"}},
		{dict.CS, `CT\\`, Single, []string{"CT"}},
		{dict.CS, `CT\*`, Universal, nil},
		{dict.LT, `a\b`, Single, []string{`a\b`}},
		{dict.UI, "1.2.3\x00", Single, []string{"1.2.3"}},
		{dict.UI, `1.2\1.3`, List, []string{"1.2", "1.3"}},
		{dict.DA, "20200101", Single, []string{"20200101"}},
		{dict.DA, "202001", Single, []string{"202001"}},
		{dict.DA, "20200101-", Between, []string{"20200101", ""}},
		{dict.DA, "-20200101", Between, []string{"", "20200101"}},
		{dict.DA, "2019-2020", Between, []string{"2019", "2020"}},
		{dict.DA, " 20190101 - 20200101 ", Between, []string{"20190101", "20200101"}},
		{dict.DA, `20190101\20200101`, List, []string{"20190101", "20200101"}},
		{dict.TM, "10", Single, []string{"10"}},
		{dict.TM, "1000-103000.5", Between, []string{"1000", "103000.5"}},
		{dict.DT, "2019-0500", Single, []string{"2019-0500"}},
		{dict.DT, "2019-2020", Between, []string{"2019", "2020"}},
		{dict.DT, "2019-0500-2020-0500", Between, []string{"2019-0500", "2020-0500"}},
		{dict.DT, "-2020+0100", Between, []string{"", "2020+0100"}},
		{dict.DT, "20200101120000.5-", Between, []string{"20200101120000.5", ""}},
		{dict.IS, `1\02`, List, []string{"1", "02"}},
		{dict.US, "512", Single, []string{"512"}},
		{dict.AT, "00080020", Single, []string{"00080020"}},
	} {
		m, err := NewMatch([]dicom.Tag{dict.PatientID}, c.vr, c.text)
		if err != nil || m.Kind != c.kind || !slices.Equal(m.Values, c.values) || m.VR != c.vr {
			t.Errorf("%v %q = %+v, %v; want kind %d, values %q", c.vr, c.text, m, err, c.kind, c.values)
		}
	}
}

func TestNewMatchNamesTheAttributeButNotTheValue(t *testing.T) {
	for _, c := range []struct {
		vr   dicom.VR
		text string
	}{
		{dict.UI, "1.2.x"}, {dict.UI, "1.2.*"}, {dict.UI, "1..2"}, {dict.DA, "2020-01-01"}, {dict.DA, "20201301"}, {dict.DA, "x"}, {dict.DA, "-"}, {dict.DA, "- "},
		{dict.TM, "25"}, {dict.TM, "106060"}, {dict.TM, "1000-1030.5"}, {dict.DT, "20200101250000"}, {dict.DT, "2020+9999"}, {dict.IS, "one"}, {dict.DS, "1,5"}, {dict.AT, "xyz"},
		{dict.SQ, "x"}, {dict.OB, "x"}, {dict.LO, "a\x00b"}, {dict.LO, strings.Repeat("x", maxKeyLength+1)},
	} {
		_, err := NewMatch([]dicom.Tag{dict.StudyDate}, c.vr, c.text)
		if !errors.Is(err, ErrQuery) || !strings.Contains(err.Error(), "(0008,0020)") || len(c.text) > 4 && strings.Contains(err.Error(), c.text) {
			t.Errorf("%v %.20q: %v; want ErrQuery that names the attribute", c.vr, c.text, err)
		}
	}
}

func TestPeriodsCoverWhatBeginsWithThem(t *testing.T) {
	if p, ok := ParseTime("103015.25"); !ok || p.First != 37815_250_000 || p.Last != 37815_259_999 {
		t.Errorf("time %+v, %t", p, ok)
	}
	if p, ok := ParseDate("202002"); !ok || p.First != 20200201 || p.Last != 20200231 {
		t.Errorf("month %+v, %t", p, ok)
	}
	day, _ := ParseDateTime("20200229")
	next, _ := ParseDateTime("20200301")
	if day.Last+1 != next.First {
		t.Errorf("day ends at %d, the next begins at %d", day.Last, next.First)
	}
	utc, _ := ParseDateTime("20200229120000+0000")
	east, _ := ParseDateTime("20200229133000+0130")
	if utc != east {
		t.Errorf("%+v and %+v, want the same moment", utc, east)
	}
}

// FuzzNewMatch checks that any text is either refused or understood in a form that is
// understood as the same again.
func FuzzNewMatch(f *testing.F) {
	for _, s := range []string{"", "*", `a\b`, "20200101-", "-10", "2019-0500-2020-0500", "1.2", "a*?", "10:30", "1e3"} {
		f.Add(uint16(dict.LO), s)
		f.Add(uint16(dict.DA), s)
		f.Add(uint16(dict.DT), s)
		f.Add(uint16(dict.TM), s)
		f.Add(uint16(dict.IS), s)
	}
	f.Fuzz(func(t *testing.T, vr uint16, text string) {
		m, err := NewMatch([]dicom.Tag{dict.StudyDate}, dicom.VR(vr), text)
		if err != nil {
			if !errors.Is(err, ErrQuery) {
				t.Fatal(err)
			}
			return
		}
		join := `\`
		if m.Kind == Between {
			join = "-"
		}
		again, err := NewMatch(m.Path, m.VR, strings.Join(m.Values, join))
		if err != nil || again.Kind != m.Kind || !slices.Equal(again.Values, m.Values) {
			t.Errorf("%+v, then %+v, %v", m, again, err)
		}
	})
}
