package dicom

import (
	"strconv"
	"strings"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/korean"
	"golang.org/x/text/encoding/simplifiedchinese"
)

const escape = 0x1B

// repertoire is a coded character set by its registration number of ISO 2375, or one
// that stands outside ISO 2022.
type repertoire uint8

const (
	none     repertoire = 0
	isoIR6   repertoire = 6   // ASCII, G0
	isoIR13  repertoire = 13  // JIS X 0201 katakana, G1
	isoIR14  repertoire = 14  // JIS X 0201 romaji, G0
	isoIR58  repertoire = 58  // GB 2312, G1, two bytes
	isoIR87  repertoire = 87  // JIS X 0208, G0, two bytes
	isoIR100 repertoire = 100 // ISO 8859-1, G1
	isoIR101 repertoire = 101 // ISO 8859-2
	isoIR109 repertoire = 109 // ISO 8859-3
	isoIR110 repertoire = 110 // ISO 8859-4
	isoIR126 repertoire = 126 // ISO 8859-7, Greek
	isoIR127 repertoire = 127 // ISO 8859-6, Arabic
	isoIR138 repertoire = 138 // ISO 8859-8, Hebrew
	isoIR144 repertoire = 144 // ISO 8859-5, Cyrillic
	isoIR148 repertoire = 148 // ISO 8859-9, Latin-5
	isoIR149 repertoire = 149 // KS X 1001, G1, two bytes
	isoIR159 repertoire = 159 // JIS X 0212, G0, two bytes
	isoIR166 repertoire = 166 // TIS 620, Thai, G1
	isoIR192 repertoire = 192 // UTF-8
	isoIR203 repertoire = 203 // ISO 8859-15, Latin-9, G1
	gb18030  repertoire = 254
	gbk      repertoire = 255
)

// designations are the escape sequences of PS3.3 Tables C.12-3 and C.12-4, without the
// escape character. The first one of a set is the one to write; the others are older
// forms.
var designations = [...]struct {
	sequence string
	set      repertoire
}{
	{"(B", isoIR6}, {"(J", isoIR14}, {")I", isoIR13},
	{"-A", isoIR100}, {"-B", isoIR101}, {"-C", isoIR109}, {"-D", isoIR110},
	{"-F", isoIR126}, {"-G", isoIR127}, {"-H", isoIR138}, {"-L", isoIR144},
	{"-M", isoIR148}, {"-T", isoIR166}, {"-b", isoIR203},
	{"$B", isoIR87}, {"$@", isoIR87}, {"$(B", isoIR87}, {"$(@", isoIR87},
	{"$(D", isoIR159}, {"$)C", isoIR149}, {"$)A", isoIR58},
}

// designationAt recognises the escape sequence at the beginning of b and tells its
// length, 0 when it is none.
func designationAt(b []byte) (set repertoire, length int) {
	for _, d := range &designations {
		if len(b) > len(d.sequence) && string(b[1:1+len(d.sequence)]) == d.sequence {
			return d.set, 1 + len(d.sequence)
		}
	}
	return none, 0
}

// appendDesignation calls a set.
func appendDesignation(b []byte, set repertoire) []byte {
	for _, d := range &designations {
		if d.set == set {
			return append(append(b, escape), d.sequence...)
		}
	}
	return b
}

// inG0 reports whether the set is called into the lower half of the code table.
func (r repertoire) inG0() bool {
	switch r {
	case isoIR6, isoIR14, isoIR87, isoIR159:
		return true
	}
	return false
}

// multiByte reports whether a character of the set has two bytes.
func (r repertoire) multiByte() bool {
	switch r {
	case isoIR58, isoIR87, isoIR149, isoIR159:
		return true
	}
	return false
}

// whole reports whether the set is no part of ISO 2022.
func (r repertoire) whole() bool { return r == isoIR192 || r == gb18030 || r == gbk }

// initialG0 is what stands in G0 when value 1 names the set.
func (r repertoire) initialG0() repertoire {
	if r == isoIR13 {
		return isoIR14
	}
	return isoIR6
}

// charmap is the table of a single-byte set in G1, or nil.
func (r repertoire) charmap() *charmap.Charmap {
	switch r {
	case isoIR100:
		return charmap.ISO8859_1
	case isoIR101:
		return charmap.ISO8859_2
	case isoIR109:
		return charmap.ISO8859_3
	case isoIR110:
		return charmap.ISO8859_4
	case isoIR126:
		return charmap.ISO8859_7
	case isoIR127:
		return charmap.ISO8859_6
	case isoIR138:
		return charmap.ISO8859_8
	case isoIR144:
		return charmap.ISO8859_5
	case isoIR148:
		return charmap.ISO8859_9
	case isoIR166:
		return charmap.Windows874
	case isoIR203:
		return charmap.ISO8859_15
	}
	return nil
}

// encoding is an encoding with all characters of a set of several bytes: for those of
// ISO 2022 the EUC form, which is their two bytes with the high bits set, behind 0x8F
// for JIS X 0212.
func (r repertoire) encoding() encoding.Encoding {
	switch r {
	case isoIR87, isoIR159:
		return japanese.EUCJP
	case isoIR149:
		return korean.EUCKR
	case gb18030:
		return simplifiedchinese.GB18030
	default: // isoIR58, gbk
		return simplifiedchinese.GBK
	}
}

// term is the defined term, with code extensions or without.
func (r repertoire) term(extended bool) string {
	switch {
	case r == gb18030:
		return "GB18030"
	case r == gbk:
		return "GBK"
	case extended:
		return "ISO 2022 IR " + strconv.Itoa(int(r))
	}
	return "ISO_IR " + strconv.Itoa(int(r))
}

// parseTerm recognises a term of (0008,0005), also in the spellings of the field:
// "ISO IR 100", "iso-ir_100", "ISO 2022 100", "ISO-8859-1", "UTF-8". defined tells
// whether it is spelled as in PS3.3.
func parseTerm(term string) (set repertoire, defined bool) {
	name := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z':
			return r - 'a' + 'A'
		case r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
			return r
		}
		return -1
	}, term)
	set = parseName(name)
	if set == none {
		return none, false
	}
	if set.multiByte() {
		return set, term == set.term(true)
	}
	return set, term == set.term(false) || !set.whole() && term == set.term(true)
}

// parseName recognises a name made of capital letters and digits only.
func parseName(name string) repertoire {
	switch name {
	case "GB18030":
		return gb18030
	case "GBK", "GB2312", "GB231280", "CP936":
		return gbk
	case "UTF8":
		return isoIR192
	}
	if part, ok := strings.CutPrefix(name, "ISO8859"); ok {
		return parsePart(part)
	}
	name = strings.TrimPrefix(name, "ISO")
	name = strings.TrimPrefix(name, "2022")
	number, err := strconv.ParseUint(strings.TrimPrefix(name, "IR"), 10, 8)
	if err != nil {
		return none
	}
	set := repertoire(number)
	switch {
	case set == isoIR14:
		return isoIR13 // romaji comes with katakana
	case set == isoIR6, set == isoIR13, set == isoIR192, set.multiByte(), set.charmap() != nil:
		return set
	}
	return none
}

// parsePart maps a part of ISO 8859 to its registration.
func parsePart(part string) repertoire {
	switch part {
	case "1":
		return isoIR100
	case "2":
		return isoIR101
	case "3":
		return isoIR109
	case "4":
		return isoIR110
	case "5":
		return isoIR144
	case "6":
		return isoIR127
	case "7":
		return isoIR126
	case "8":
		return isoIR138
	case "9":
		return isoIR148
	case "11":
		return isoIR166
	case "15":
		return isoIR203
	}
	return none
}
