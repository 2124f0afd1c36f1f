package index

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"pharos/internal/dicom"
	"pharos/internal/dicom/dict"
)

// Fold brings text into the form in which texts are compared: without case, accents,
// control characters and spaces at the ends, and with compatibility characters (wide
// letters, half-width kana, ligatures) as their plain ones. Marks that make another
// letter rather than accent one, those of kana and of Indic scripts, stay.
func Fold(s string) string {
	s = strings.TrimSpace(s)
	if isFolded(s) {
		return s
	}
	if isASCII(s) {
		return strings.Map(foldASCII, s)
	}
	var b strings.Builder
	for _, r := range norm.NFKD.String(s) {
		switch {
		case isAccent(r) || unicode.IsControl(r):
		case plain[r] != "":
			b.WriteString(plain[r])
		default:
			b.WriteRune(unicode.ToLower(r))
		}
	}
	return strings.TrimSpace(norm.NFC.String(b.String()))
}

// plain spells letters that Unicode does not decompose as they are written without
// them.
var plain = map[rune]string{
	'ß': "ss", 'ẞ': "ss", 'ø': "o", 'Ø': "o", 'ł': "l", 'Ł': "l", 'đ': "d", 'Đ': "d", 'ð': "d", 'Ð': "d",
	'æ': "ae", 'Æ': "ae", 'œ': "oe", 'Œ': "oe", 'þ': "th", 'Þ': "th", 'ı': "i", 'ς': "σ",
}

// accents are the combining marks that searching overlooks.
var accents = &unicode.RangeTable{R16: []unicode.Range16{
	{Lo: 0x0300, Hi: 0x036F, Stride: 1}, // Latin, Greek, Cyrillic
	{Lo: 0x0591, Hi: 0x05C7, Stride: 1}, // Hebrew points
	{Lo: 0x064B, Hi: 0x065F, Stride: 1}, // Arabic vowels
	{Lo: 0x0670, Hi: 0x0670, Stride: 1},
	{Lo: 0x1AB0, Hi: 0x1AFF, Stride: 1},
	{Lo: 0x1DC0, Hi: 0x1DFF, Stride: 1},
	{Lo: 0x20D0, Hi: 0x20FF, Stride: 1},
	{Lo: 0xFE20, Hi: 0xFE2F, Stride: 1},
}}

func isAccent(r rune) bool { return r >= 0x300 && unicode.Is(accents, r) && unicode.IsMark(r) }

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

func isFolded(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c >= 0x7F || 'A' <= c && c <= 'Z' {
			return false
		}
	}
	return true
}

func foldASCII(r rune) rune {
	switch {
	case 'A' <= r && r <= 'Z':
		return r + 'a' - 'A'
	case r < ' ' || r == 0x7F:
		return -1
	}
	return r
}

// FoldName returns the component groups (alphabetic, ideographic, phonetic) of a person
// name that are not empty, each folded and with single spaces in the place of component
// delimiters, so that DOE^JOHN, Doe^John^^ and Doe John are one.
func FoldName(s string) []string {
	var groups []string
	for g := range strings.SplitSeq(s, "=") {
		if g = foldGroup(g); g != "" {
			groups = append(groups, g)
		}
	}
	return groups
}

func foldGroup(g string) string {
	g = Fold(strings.ReplaceAll(g, "^", " "))
	if !strings.Contains(g, "  ") {
		return g
	}
	return strings.Join(strings.Fields(g), " ")
}

// NameWords returns the words of a person name, of all its groups: what fuzzy matching
// compares.
func NameWords(s string) []string {
	var words []string
	for _, g := range FoldName(s) {
		words = append(words, strings.FieldsFunc(g, betweenWords)...)
	}
	return words
}

func betweenWords(r rune) bool {
	return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r)
}

// FoldOf returns how values of a text attribute other than a person name are brought
// into the form in which they are compared. Identifiers of patients are compared as
// they stand, since two that differ in case may be two patients.
func FoldOf(tag dicom.Tag) func(string) string {
	switch tag {
	case dict.PatientID, dict.IssuerOfPatientID, dict.OtherPatientIDs:
		return strings.TrimSpace
	}
	return Fold
}

// matchWildcard reports whether text is of the form of the pattern, in which * stands
// for any characters and ? for one. It takes no more than len(pattern)*len(text) steps.
func matchWildcard(pattern, text string) bool {
	p, t := 0, 0
	star, mark := -1, 0
	for t < len(text) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, t
			p++
			continue
		case p < len(pattern) && pattern[p] == '?':
			_, n := utf8.DecodeRuneInString(text[t:])
			p, t = p+1, t+n
			continue
		case p < len(pattern) && pattern[p] == text[t]:
			p, t = p+1, t+1
			continue
		case star < 0:
			return false
		}
		_, n := utf8.DecodeRuneInString(text[mark:])
		mark += n
		p, t = star+1, mark
	}
	return strings.Trim(pattern[p:], "*") == ""
}
