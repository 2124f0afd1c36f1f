package archive

import (
	"fmt"
	"strconv"
	"strings"

	"pharos/internal/dicom"
	"pharos/internal/dicom/dict"
)

// maxKeyLength bounds the text of one key in bytes, so that comparing with it has a
// bounded cost. A list of a thousand UIDs fits.
const maxKeyLength = 1 << 16

// NewMatch understands the text of a key as PS3.4 §C.2.2.2 says for its VR, with
// backslashes between the values of a list. Empty text, and text of nothing but
// asterisks, is Universal whatever the VR. A list of text may hold wildcards. Dates,
// times and numbers are accepted with the lesser precision that the field sends:
// "202001" is a month, "10" an hour. ErrQuery when the text can't be a value of that
// VR; the error names the attribute, not the value.
func NewMatch(path []dicom.Tag, vr dicom.VR, text string) (Match, error) {
	m := Match{Path: path, VR: vr}
	fail := func(why string) (Match, error) {
		return Match{}, fmt.Errorf("%w: %v %s", ErrQuery, m.Tag(), why)
	}
	if len(text) > maxKeyLength {
		return fail("is too long")
	}
	m.Values = keyValues(vr, text)
	if m.Values == nil {
		return m, nil
	}
	family := familyOf(vr)
	if family.valid == nil {
		return fail("can't be matched, being of VR " + vr.String())
	}
	if len(m.Values) == 1 && family.ranges != nil {
		if from, to, ok := family.ranges(m.Values[0]); ok {
			m.Kind, m.Values = Between, []string{from, to}
			return m, nil
		}
	}
	m.Kind = Single
	for _, v := range m.Values {
		if !family.valid(v) {
			return fail("is no " + family.name)
		}
		if family.wildcards && strings.ContainsAny(v, "*?") {
			m.Kind = Wildcard
		}
	}
	if len(m.Values) > 1 {
		m.Kind = List
	}
	return m, nil
}

// keyValues splits the text of a key; nil means everything.
func keyValues(vr dicom.VR, text string) []string {
	values := []string{text}
	if multiple(vr) {
		values = strings.Split(text, `\`)
	}
	kept := values[:0]
	for _, v := range values {
		v = strings.Trim(v, " \x00")
		if v == "" {
			continue
		}
		if strings.Trim(v, "*") == "" {
			return nil
		}
		kept = append(kept, v)
	}
	if len(kept) == 0 {
		return nil
	}
	return kept
}

// multiple reports whether a backslash separates values of the VR (PS3.5 §6.4).
func multiple(vr dicom.VR) bool {
	switch vr {
	case dict.LT, dict.ST, dict.UT, dict.UR:
		return false
	}
	return true
}

// family is what is common to the keys of several VRs.
type family struct {
	name      string
	valid     func(string) bool // nil: the VR can't be matched
	wildcards bool
	ranges    func(string) (from, to string, ok bool)
}

func familyOf(vr dicom.VR) family {
	switch vr {
	case dict.UI:
		return family{name: "UID", valid: func(s string) bool { return dicom.UID(s).Valid() }}
	case dict.DA:
		return family{name: "date", valid: func(s string) bool { _, ok := ParseDate(s); return ok }, ranges: dateRange}
	case dict.TM:
		return family{name: "time", valid: func(s string) bool { _, ok := ParseTime(s); return ok }, ranges: timeRange}
	case dict.DT:
		return family{name: "date and time", valid: func(s string) bool { _, ok := ParseDateTime(s); return ok }, ranges: dateTimeRange}
	case dict.AE, dict.CS, dict.LO, dict.LT, dict.PN, dict.SH, dict.ST, dict.UC, dict.UT:
		return family{name: "text", valid: printable, wildcards: true}
	case dict.AS, dict.UR:
		return family{name: "text", valid: printable}
	case dict.IS, dict.DS, dict.US, dict.SS, dict.UL, dict.SL, dict.UV, dict.SV, dict.FL, dict.FD:
		return family{name: "number", valid: func(s string) bool { _, err := strconv.ParseFloat(s, 64); return err == nil }}
	case dict.AT:
		return family{name: "tag", valid: func(s string) bool { _, err := strconv.ParseUint(s, 16, 32); return err == nil }}
	}
	return family{}
}

// printable reports whether text may be a key: nobody searches for a NUL, and not
// every database can.
func printable(s string) bool { return !strings.ContainsRune(s, 0) }

func dateRange(s string) (from, to string, ok bool) {
	return splitRange(s, func(s string) bool { _, ok := ParseDate(s); return ok })
}

func timeRange(s string) (from, to string, ok bool) {
	return splitRange(s, func(s string) bool { _, ok := ParseTime(s); return ok })
}

// dateTimeRange finds the hyphen that is the range's and not an offset's. "2019-0500"
// is a year with an offset, as no offset is beyond 14 hours "2019-2020" is a range.
func dateTimeRange(s string) (from, to string, ok bool) {
	valid := func(s string) bool { _, ok := ParseDateTime(s); return ok }
	if valid(s) {
		return "", "", false
	}
	return splitRange(s, valid)
}

// splitRange splits at the first hyphen that leaves a valid value, or nothing, on each
// side, but not nothing on both.
func splitRange(s string, valid func(string) bool) (from, to string, ok bool) {
	for i := range len(s) {
		if s[i] != '-' {
			continue
		}
		from, to = strings.TrimSpace(s[:i]), strings.TrimSpace(s[i+1:])
		if (from == "" || valid(from)) && (to == "" || valid(to)) && from+to != "" {
			return from, to, true
		}
	}
	return "", "", false
}
