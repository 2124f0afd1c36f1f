package dicom

import (
	"unicode/utf8"

	"golang.org/x/text/encoding"
)

// encodeWhole encodes GB18030 or GBK.
func encodeWhole(text string, set repertoire) []byte {
	encoder := set.encoding().NewEncoder()
	value := make([]byte, 0, 2*len(text))
	for _, r := range text {
		value = appendEncoded(value, encoder, r)
	}
	return value
}

// appendEncoded appends the bytes of a character, or '?'.
func appendEncoded(b []byte, encoder *encoding.Encoder, r rune) []byte {
	var src [utf8.UTFMax]byte
	var dst [8]byte
	n, _, err := encoder.Transform(dst[:], src[:utf8.EncodeRune(src[:], r)], true)
	if err != nil || r == utf8.RuneError {
		encoder.Reset()
		return append(b, '?')
	}
	return append(b, dst[:n]...)
}

// encoder2022 is the counterpart of decoder2022.
type encoder2022 struct {
	charset *Charset
	g0, g1  repertoire // in force
	out     []byte
}

// encodeExtended encodes a text with code extensions.
func encodeExtended(c *Charset, text string, vr VR) []byte {
	e := encoder2022{charset: c, g0: c.g0, g1: c.g1, out: make([]byte, 0, 2*len(text))}
	for _, r := range text {
		switch {
		case r < utf8.RuneSelf && isDelimiter(byte(r), vr):
			e.reset()
			e.out = append(e.out, byte(r))
		case r < utf8.RuneSelf && r != escape:
			e.ascii(byte(r))
		default:
			e.extended(r)
		}
	}
	e.reset()
	return e.out
}

// reset goes back to the initial sets. There is no escape sequence that empties G1,
// and a reader needs none.
func (e *encoder2022) reset() {
	e.call(e.charset.g0)
	if e.charset.g1 != none {
		e.call(e.charset.g1)
	}
	e.g1 = e.charset.g1
}

// call puts a set in force.
func (e *encoder2022) call(set repertoire) {
	switch {
	case set == e.g0 || set == e.g1:
	case set.inG0():
		e.out = appendDesignation(e.out, set)
		e.g0 = set
	default:
		e.out = appendDesignation(e.out, set)
		e.g1 = set
	}
}

func (e *encoder2022) ascii(b byte) {
	if e.g0.multiByte() {
		e.call(e.charset.g0)
	}
	e.out = append(e.out, b)
}

// extended writes a character with the first set that has it, those in force first.
func (e *encoder2022) extended(r rune) {
	if e.with(e.g0, r) || e.with(e.g1, r) || e.with(e.charset.g1, r) {
		return
	}
	for _, set := range e.charset.extensions {
		if e.with(set, r) {
			return
		}
	}
	e.ascii('?')
}

// with writes a character with a set, if the set has it.
func (e *encoder2022) with(set repertoire, r rune) bool {
	code, ok := set.encode(r)
	if !ok {
		return false
	}
	e.call(set)
	e.out = append(e.out, code...)
	return true
}

// encode returns the bytes of a character in a set of ISO 2022 other than ASCII.
func (r repertoire) encode(char rune) (code []byte, ok bool) {
	switch {
	case r == isoIR13:
		if char < 0xFF61 || char > 0xFF9F {
			return nil, false
		}
		return []byte{byte(char - 0xFF61 + 0xA1)}, true
	case r.multiByte():
		return r.encodePair(char)
	case r.charmap() != nil:
		b, ok := r.charmap().EncodeRune(char)
		return []byte{b}, ok && b >= utf8.RuneSelf
	}
	return nil, false
}

func (r repertoire) encodePair(char rune) (code []byte, ok bool) {
	euc := appendEncoded(nil, r.encoding().NewEncoder(), char)
	if r == isoIR159 {
		if len(euc) != 3 || euc[0] != 0x8F {
			return nil, false
		}
		return []byte{euc[1] & 0x7F, euc[2] & 0x7F}, true
	}
	if len(euc) != 2 || euc[0] < 0xA1 || euc[1] < 0xA1 {
		return nil, false
	}
	if r == isoIR87 {
		return []byte{euc[0] & 0x7F, euc[1] & 0x7F}, true
	}
	return euc, true
}
