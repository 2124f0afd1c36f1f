package dicom

import (
	"slices"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/japanese"
)

// decodeWhole decodes GB18030 or GBK.
func decodeWhole(value []byte, set repertoire) string {
	text, err := set.encoding().NewDecoder().Bytes(value)
	if err != nil { // these decoders replace what is invalid and do not fail
		return string(slices.Repeat([]byte("\uFFFD"), len(value)))
	}
	return string(text)
}

// decoder2022 is the state machine of ISO 2022 with the sets of PS3.3 §C.12.1.1.2.
type decoder2022 struct {
	charset *Charset
	vr      VR
	g0, g1  repertoire // in force
	spare   repertoire // for bytes above 0x7F while g1 is none
	out     []byte
	pairs   map[repertoire]*encoding.Decoder // for sets of several bytes, made when first needed
}

// decodeExtended decodes a value with code extensions.
func decodeExtended(c *Charset, value []byte, vr VR) string {
	d := decoder2022{charset: c, vr: vr, g0: c.g0, g1: c.g1, out: make([]byte, 0, 2*len(value))}
	for _, set := range c.extensions {
		if !set.inG0() {
			d.spare = set
			break
		}
	}
	for len(value) > 0 {
		value = value[d.step(value):]
	}
	return string(d.out)
}

// step decodes the character or escape sequence at the beginning of b, which is not
// empty, and tells its length.
func (d *decoder2022) step(b []byte) int {
	switch c := b[0]; {
	case c == escape:
		return d.designate(b)
	case c >= 0x80:
		return d.upper(b)
	case c > ' ' && c < 0x7F && d.g0.multiByte():
		if n := d.pair(b, d.g0); n > 0 {
			return n
		}
		if !isDelimiter(c, d.vr) {
			return d.invalid()
		}
		fallthrough // a delimiter without the escape sequence that should stand before it
	default:
		d.out = append(d.out, c)
		if isDelimiter(c, d.vr) {
			d.reset()
		}
		return 1
	}
}

// reset puts the initial sets in force.
func (d *decoder2022) reset() {
	if d.charset.g1 == none && d.g1 != none {
		d.spare = d.g1
	}
	d.g0, d.g1 = d.charset.g0, d.charset.g1
}

func (d *decoder2022) designate(b []byte) int {
	set, n := designationAt(b)
	switch {
	case n == 0:
		return d.invalid()
	case set.inG0():
		d.g0 = set
	default:
		d.g1 = set
	}
	return n
}

// upper decodes a byte above 0x7F, or two.
func (d *decoder2022) upper(b []byte) int {
	set := d.g1
	if set == none {
		set = d.spare
	}
	switch {
	case set == none:
		d.out = utf8.AppendRune(d.out, rune(b[0]))
		return 1
	case set == isoIR13:
		return d.katakana(b)
	case set.multiByte():
		if n := d.pair(b, set); n > 0 {
			return n
		}
		return d.invalid()
	}
	d.out = utf8.AppendRune(d.out, set.charmap().DecodeByte(b[0]))
	return 1
}

// katakana decodes JIS X 0201, and Shift JIS which many take it for.
func (d *decoder2022) katakana(b []byte) int {
	if b[0] >= 0xA1 && b[0] <= 0xDF {
		d.out = utf8.AppendRune(d.out, 0xFF61+rune(b[0]-0xA1))
		return 1
	}
	if len(b) > 1 && d.transform(isoIR13, b[:2]) {
		return 2
	}
	return d.invalid()
}

// pair decodes a character of two bytes. It returns 0 when they are none.
func (d *decoder2022) pair(b []byte, set repertoire) int {
	if len(b) < 2 || b[1] < 0x21 || b[1] == 0x7F {
		return 0
	}
	code := []byte{b[0], b[1]}
	switch set {
	case isoIR87:
		code[0], code[1] = b[0]|0x80, b[1]|0x80
	case isoIR159:
		code = []byte{0x8F, b[0] | 0x80, b[1] | 0x80}
	}
	if !d.transform(set, code) {
		return 0
	}
	return 2
}

// transform appends the one character that code stands for in the encoding of a set.
func (d *decoder2022) transform(set repertoire, code []byte) bool {
	decoder := d.pairs[set]
	if decoder == nil {
		if d.pairs == nil {
			d.pairs = map[repertoire]*encoding.Decoder{}
		}
		if set == isoIR13 {
			decoder = japanese.ShiftJIS.NewDecoder()
		} else {
			decoder = set.encoding().NewDecoder()
		}
		d.pairs[set] = decoder
	}
	var buf [2 * utf8.UTFMax]byte
	n, _, err := decoder.Transform(buf[:], code, true)
	r, size := utf8.DecodeRune(buf[:n])
	if err != nil || r == utf8.RuneError || size != n {
		return false
	}
	d.out = append(d.out, buf[:n]...)
	return true
}

// invalid stands for one byte that has no meaning.
func (d *decoder2022) invalid() int {
	d.out = append(d.out, "\uFFFD"...)
	return 1
}
