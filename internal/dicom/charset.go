package dicom

import (
	"slices"
	"strings"
	"unicode/utf8"

	"pharos/internal/dicom/dict"
)

// Charset is the value of Specific Character Set (0008,0005): the initial character
// set and the code extensions that escape sequences may call (PS3.3 §C.12.1.1.2). It
// does not change once made, so that many data sets share one.
type Charset struct {
	terms      []string
	g0, g1     repertoire   // what value 1 designates; g1 may be none
	extensions []repertoire // what the other values allow, in their order
	whole      repertoire   // UTF-8, GB18030 or GBK, which know no code extension; else none
}

// The character sets that nearly all data sets declare.
var (
	defaultCharset = Charset{g0: isoIR6}
	latin1Charset  = Charset{terms: []string{"ISO_IR 100"}, g0: isoIR6, g1: isoIR100}
	utf8Charset    = Charset{terms: []string{"ISO_IR 192"}, g0: isoIR6, whole: isoIR192}
)

// DefaultCharset is the default repertoire, ISO-IR 6. Bytes above 0x7F, which it does
// not have, are read as UTF-8 when they are valid UTF-8 and as ISO 8859-1 otherwise,
// as the field does.
func DefaultCharset() *Charset { return &defaultCharset }

// ParseCharset understands the values of (0008,0005). Unknown terms, spelling
// mistakes of the field and mixed declarations are accepted: ok tells whether every
// term is one of PS3.3 §C.12.1.1.2.
//
// UTF-8, GB18030 and GBK count wherever they stand, unless value 1 is another set with
// characters above 0x7F. A multi-byte set as value 1, which may only be an extension,
// is read as one behind ISO-IR 6.
func ParseCharset(terms []string) (c *Charset, ok bool) {
	c, ok = &Charset{g0: isoIR6}, true
	for i, term := range terms {
		term = strings.Trim(term, " \x00")
		set, defined := parseTerm(term)
		ok = ok && (defined || i == 0 && term == "")
		switch {
		case set == none || set == isoIR6 && i == 0:
		case set.whole():
			if c.g1 == none && c.whole == none {
				c.whole = set
			}
		case i == 0 && !set.multiByte():
			c.g0, c.g1 = set.initialG0(), set
		default:
			c.extensions = append(c.extensions, set)
		}
	}
	c.terms = c.canonicalTerms()
	return c, ok
}

// parseCharsetValue parses the encoded value of (0008,0005).
func parseCharsetValue(value []byte) *Charset {
	switch string(value) { // does not allocate
	case "ISO_IR 100":
		return &latin1Charset
	case "ISO_IR 192":
		return &utf8Charset
	case "ISO_IR 6", "ISO_IR 6 ":
		return &defaultCharset
	}
	c, _ := ParseCharset(strings.Split(string(value), `\`))
	return c
}

// Terms returns the defined terms as they should be written: none for the default
// repertoire, an empty first one when only extensions are named.
func (c *Charset) Terms() []string { return slices.Clone(c.terms) }

// canonicalTerms spells what was understood as PS3.3 does.
func (c *Charset) canonicalTerms() []string {
	switch {
	case c.whole != none:
		return []string{c.whole.term(false)}
	case len(c.extensions) == 0 && c.g1 == none:
		return nil
	case len(c.extensions) == 0:
		return []string{c.g1.term(false)}
	}
	terms := []string{""}
	if c.g1 != none {
		terms[0] = c.g1.term(true)
	}
	for _, set := range c.extensions {
		terms = append(terms, set.term(true))
	}
	return terms
}

// Decode returns the UTF-8 of an encoded value. Delimiters reset code extensions as
// PS3.5 §6.1.2.5.3 says for the VR: backslash, line ends, and ^ and = in a PN.
// Invalid bytes become U+FFFD.
//
// Where the standard is broken, the field is followed: escape sequences count although
// they are not declared; an extension that is declared or was in use before a delimiter
// serves for bytes that nothing else explains; backslash and tilde of ISO-IR 14 are
// themselves, not yen and overline; Shift JIS under ISO_IR 13 is understood.
func (c *Charset) Decode(value []byte, vr VR) string {
	switch {
	case isASCII(value):
		return string(value)
	case c.whole == isoIR192:
		return strings.ToValidUTF8(string(value), "\uFFFD")
	case c.whole != none:
		return decodeWhole(value, c.whole)
	case c.g1 == none && len(c.extensions) == 0 && utf8.Valid(value) && !slices.Contains(value, escape):
		return string(value)
	}
	return decodeExtended(c, value, vr)
}

// Encode is the reverse; ok is false when a character had to be replaced by '?', or
// would be read back as another one. Code extensions are called where they are needed
// and left before every delimiter and at the end (PS3.5 §6.1.2.5.3).
func (c *Charset) Encode(text string, vr VR) (value []byte, ok bool) {
	switch {
	case isASCII([]byte(text)):
		return []byte(text), true
	case c.whole == isoIR192:
		return []byte(strings.ToValidUTF8(text, "?")), utf8.ValidString(text)
	case c.whole != none:
		value = encodeWhole(text, c.whole)
	default:
		value = encodeExtended(c, text, vr)
	}
	return value, c.Decode(value, vr) == text
}

// isASCII reports whether the value is the same in every character set: no byte above
// 0x7F, no escape sequence.
func isASCII(value []byte) bool {
	for _, b := range value {
		if b >= utf8.RuneSelf || b == escape {
			return false
		}
	}
	return true
}

// isDelimiter reports whether the initial character set is in force again behind b
// (PS3.5 §6.1.2.5.3).
func isDelimiter(b byte, vr VR) bool {
	switch b {
	case '\t', '\n', '\f', '\r':
		return true
	case '\\':
		return multiValued(vr)
	case '^', '=':
		return vr == dict.PN
	}
	return false
}
