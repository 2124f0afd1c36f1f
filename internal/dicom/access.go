package dicom

import (
	"encoding/binary"
	"math"
	"strconv"
	"strings"

	"pharos/internal/dicom/dict"
)

// The accessors decode values on demand. Each accepts a tag that is absent, empty,
// of another VR or of broken content, and answers with nothing rather than an error:
// images of twenty years of vendors are to be shown, not judged. An element of VR UN
// or of an unknown VR is read with the VR of the dictionary.

// Text returns the first value of the element as UTF-8 without padding, or "".
func (d *Dataset) Text(tag Tag) string {
	e := d.Get(tag)
	if e == nil || len(e.Value) == 0 {
		return ""
	}
	vr := e.effectiveVR()
	if vr.Binary() || vr == dict.SQ {
		if v := numberTexts(e.Value, vr); len(v) > 0 {
			return v[0]
		}
		return ""
	}
	text := d.decode(e.Value, vr)
	if multiValued(vr) {
		text, _, _ = strings.Cut(text, `\`)
	}
	return trimText(text, vr)
}

// Texts returns all values of an element of a character VR (multi-valued by backslash
// where its VR allows that) as UTF-8 without padding. Values of IS, DS, DA and the
// like are returned as they stand. Numbers of a binary VR are written in decimal, AT as
// eight hex digits. Nil when absent, empty but for padding, a sequence, of VR OB or
// unknown, or not loaded.
func (d *Dataset) Texts(tag Tag) []string {
	e := d.Get(tag)
	if e == nil || len(e.Value) == 0 {
		return nil
	}
	vr := e.effectiveVR()
	if vr.Binary() || vr == dict.SQ {
		return numberTexts(e.Value, vr)
	}
	values := []string{d.decode(e.Value, vr)}
	if multiValued(vr) {
		values = strings.Split(values[0], `\`)
	}
	for i, v := range values {
		values[i] = trimText(v, vr)
	}
	if len(values) == 1 && values[0] == "" {
		return nil
	}
	return values
}

// UID returns the first value of the element as a UID, without padding.
func (d *Dataset) UID(tag Tag) UID { return UID(d.Text(tag)) }

// Int returns the first value as an integer: of a binary VR, or of IS or DS whose text
// is a whole number.
func (d *Dataset) Int(tag Tag) (int64, bool) {
	if v := d.Ints(tag); len(v) > 0 {
		return v[0], true
	}
	return 0, false
}

// Ints returns all values as integers; nil unless every one is. AT counts as the group
// in the high 16 bits and the element in the low.
func (d *Dataset) Ints(tag Tag) []int64 {
	e := d.Get(tag)
	if e == nil {
		return nil
	}
	vr := e.effectiveVR()
	if vr.Binary() {
		return binaryInts(e.Value, vr)
	}
	var ints []int64
	for _, s := range d.Texts(tag) {
		i, ok := parseInt(s)
		if !ok {
			return nil
		}
		ints = append(ints, i)
	}
	return ints
}

// Float returns the first value as a number: of any numeric VR, DS or IS.
func (d *Dataset) Float(tag Tag) (float64, bool) {
	if v := d.Floats(tag); len(v) > 0 {
		return v[0], true
	}
	return 0, false
}

// Floats returns all values as numbers; nil unless every one is finite and numeric.
func (d *Dataset) Floats(tag Tag) []float64 {
	e := d.Get(tag)
	if e == nil {
		return nil
	}
	vr := e.effectiveVR()
	var floats []float64
	switch {
	case vr == dict.FL || vr == dict.OF || vr == dict.FD || vr == dict.OD:
		floats = binaryFloats(e.Value, vr)
	case vr.Binary():
		for _, i := range binaryInts(e.Value, vr) {
			floats = append(floats, float64(i))
		}
	default:
		for _, s := range d.Texts(tag) {
			f, ok := parseFloat(s)
			if !ok {
				return nil
			}
			floats = append(floats, f)
		}
	}
	for _, f := range floats {
		if math.IsNaN(f) || math.IsInf(f, 0) {
			return nil
		}
	}
	return floats
}

// Bytes returns the loaded raw value, or nil.
func (d *Dataset) Bytes(tag Tag) []byte {
	if e := d.Get(tag); e != nil {
		return e.Value
	}
	return nil
}

// Items returns the items of a sequence, or nil.
func (d *Dataset) Items(tag Tag) []*Dataset {
	if e := d.Get(tag); e != nil {
		return e.Items
	}
	return nil
}

// Charset returns the character sets in force in this data set, never nil.
func (d *Dataset) Charset() *Charset {
	if d.charset != nil {
		return d.charset
	}
	if own := d.declaredCharset(); own != nil {
		return own
	}
	return DefaultCharset()
}

// SetText puts an element of a character VR with the given values, encoded in the
// data set's character set and padded to even length. What that character set cannot
// express becomes '?': set Specific Character Set to ISO_IR 192 first. Setting
// Specific Character Set does not change what is encoded already.
func (d *Dataset) SetText(tag Tag, vr VR, values ...string) {
	text := strings.Join(values, `\`)
	value := []byte(text)
	if vr.Text() {
		value, _ = d.Charset().Encode(text, vr)
	}
	d.SetBytes(tag, vr, padEven(value, vr))
	if tag == dict.SpecificCharacterSet {
		d.charset = d.declaredCharset()
	}
}

// SetInts puts an element of US, SS, UL, SL, UV, SV, AT or IS. A value that does not
// fit its VR loses its high bits.
func (d *Dataset) SetInts(tag Tag, vr VR, values ...int64) {
	var b []byte
	for i, v := range values {
		switch {
		case vr == dict.AT:
			b = binary.LittleEndian.AppendUint16(b, uint16(v>>16))
			b = binary.LittleEndian.AppendUint16(b, uint16(v))
		case vr.Unit() == 2:
			b = binary.LittleEndian.AppendUint16(b, uint16(v))
		case vr.Unit() == 4:
			b = binary.LittleEndian.AppendUint32(b, uint32(v))
		case vr.Unit() == 8:
			b = binary.LittleEndian.AppendUint64(b, uint64(v))
		default:
			if i > 0 {
				b = append(b, '\\')
			}
			b = strconv.AppendInt(b, v, 10)
		}
	}
	d.SetBytes(tag, vr, padEven(b, vr))
}

// SetFloats puts an element of FL, FD or DS. A DS keeps as many digits as its 16
// bytes hold (PS3.5 §6.2).
func (d *Dataset) SetFloats(tag Tag, vr VR, values ...float64) {
	var b []byte
	for i, v := range values {
		switch vr.Unit() {
		case 4:
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(float32(v)))
		case 8:
			b = binary.LittleEndian.AppendUint64(b, math.Float64bits(v))
		default:
			if i > 0 {
				b = append(b, '\\')
			}
			b = appendDecimalString(b, v)
		}
	}
	d.SetBytes(tag, vr, padEven(b, vr))
}

// SetBytes puts an element with a raw value, which must be padded already.
func (d *Dataset) SetBytes(tag Tag, vr VR, value []byte) {
	d.Put(&Element{Tag: tag, VR: vr, Value: value})
}

// SetItems puts a sequence. Items that have no character set of their own take this
// data set's.
func (d *Dataset) SetItems(tag Tag, items ...*Dataset) {
	d.Put(&Element{Tag: tag, VR: dict.SQ, Items: items})
	for _, item := range items {
		item.inheritCharset(d.charset)
	}
}

// effectiveVR is the VR to read the value with.
func (e *Element) effectiveVR() VR {
	if e.VR == dict.UN || !e.VR.Known() {
		return dict.VROf(e.Tag)
	}
	return e.VR
}

// declaredCharset returns the character sets that this very data set declares, or nil.
func (d *Dataset) declaredCharset() *Charset {
	e := d.Get(dict.SpecificCharacterSet)
	if e == nil || len(e.Value) == 0 {
		return nil
	}
	return parseCharsetValue(e.Value)
}

// inheritCharset settles the character sets of a data set that has none yet, and of
// its items: its own declaration, else its parent's.
func (d *Dataset) inheritCharset(parent *Charset) {
	if d.charset == nil {
		d.charset = d.declaredCharset()
	}
	if d.charset == nil {
		d.charset = parent
	}
	for _, e := range d.elements {
		for _, item := range e.Items {
			item.inheritCharset(d.charset)
		}
	}
}

// decode returns a value of a character VR as UTF-8.
func (d *Dataset) decode(value []byte, vr VR) string {
	if isASCII(value) {
		return string(value)
	}
	if !vr.Text() {
		return DefaultCharset().Decode(value, vr)
	}
	return d.Charset().Decode(value, vr)
}

// multiValued reports whether a backslash separates values of a character VR
// (PS3.5 §6.4).
func multiValued(vr VR) bool {
	switch vr {
	case dict.ST, dict.LT, dict.UT, dict.UR:
		return false
	}
	return true
}

// trimText removes padding: NULs and spaces at the end, and spaces at the beginning
// where PS3.5 Table 6.2-1 does not make them significant.
func trimText(s string, vr VR) string {
	s = strings.TrimRight(s, " \x00")
	if leadingSpacesCount(vr) {
		return s
	}
	return strings.TrimLeft(s, " ")
}

// leadingSpacesCount reports whether spaces at the beginning are part of the value.
func leadingSpacesCount(vr VR) bool {
	switch vr {
	case dict.ST, dict.LT, dict.UT, dict.UC:
		return true
	}
	return false
}

// padEven pads a value to even length: UI and binary values with NUL, text with a space.
func padEven(value []byte, vr VR) []byte {
	if len(value)%2 == 0 {
		return value
	}
	if vr == dict.UI || vr.Binary() {
		return append(value, 0)
	}
	return append(value, ' ')
}

// numberTexts writes the numbers of a binary VR.
func numberTexts(value []byte, vr VR) []string {
	var texts []string
	switch vr {
	case dict.FL, dict.OF:
		for _, f := range binaryFloats(value, vr) {
			texts = append(texts, strconv.FormatFloat(f, 'g', -1, 32))
		}
	case dict.FD, dict.OD:
		for _, f := range binaryFloats(value, vr) {
			texts = append(texts, strconv.FormatFloat(f, 'g', -1, 64))
		}
	case dict.AT:
		for _, i := range binaryInts(value, vr) {
			texts = append(texts, Tag(uint32(i)).Hex())
		}
	case dict.UV, dict.OV:
		for ; len(value) >= 8; value = value[8:] {
			texts = append(texts, strconv.FormatUint(binary.LittleEndian.Uint64(value), 10))
		}
	default:
		for _, i := range binaryInts(value, vr) {
			texts = append(texts, strconv.FormatInt(i, 10))
		}
	}
	return texts
}

// binaryInts returns the whole numbers of a value; nil for a VR that has none, and for
// a UV or OV over the range of int64. A rest that is too short for a number is left out.
func binaryInts(value []byte, vr VR) []int64 {
	unit := vr.Unit()
	switch vr {
	case dict.AT:
		unit = 4
	case dict.OB, dict.UN, dict.FL, dict.FD, dict.OF, dict.OD, dict.SQ:
		return nil
	}
	ints := make([]int64, 0, len(value)/unit)
	for ; len(value) >= unit; value = value[unit:] {
		i := binaryInt(value, vr)
		if i < 0 && (vr == dict.UV || vr == dict.OV) {
			return nil
		}
		ints = append(ints, i)
	}
	return ints
}

// binaryInt returns the number at the beginning of b, which is long enough.
func binaryInt(b []byte, vr VR) int64 {
	switch vr {
	case dict.AT:
		return int64(binary.LittleEndian.Uint16(b))<<16 | int64(binary.LittleEndian.Uint16(b[2:]))
	case dict.US, dict.OW:
		return int64(binary.LittleEndian.Uint16(b))
	case dict.SS:
		return int64(int16(binary.LittleEndian.Uint16(b)))
	case dict.UL, dict.OL:
		return int64(binary.LittleEndian.Uint32(b))
	case dict.SL:
		return int64(int32(binary.LittleEndian.Uint32(b)))
	default: // SV, UV, OV
		return int64(binary.LittleEndian.Uint64(b))
	}
}

// binaryFloats returns the numbers of FL, OF, FD or OD.
func binaryFloats(value []byte, vr VR) []float64 {
	unit := vr.Unit()
	floats := make([]float64, 0, len(value)/unit)
	for ; len(value) >= unit; value = value[unit:] {
		if unit == 4 {
			floats = append(floats, float64(math.Float32frombits(binary.LittleEndian.Uint32(value))))
		} else {
			floats = append(floats, math.Float64frombits(binary.LittleEndian.Uint64(value)))
		}
	}
	return floats
}

// parseInt reads IS, and DS that is a whole number ("5.0") exact in a float64.
func parseInt(s string) (int64, bool) {
	if i, err := strconv.ParseInt(s, 10, 64); err == nil {
		return i, true
	}
	f, ok := parseFloat(s)
	if !ok || f != math.Trunc(f) || math.Abs(f) > 1<<53 {
		return 0, false
	}
	return int64(f), true
}

// parseFloat reads a DS, without the other spellings of Go (hexadecimal, infinities).
func parseFloat(s string) (float64, bool) {
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c >= '0' && c <= '9', c == '+', c == '-', c == '.', c == 'e', c == 'E':
		default:
			return 0, false
		}
	}
	f, err := strconv.ParseFloat(s, 64)
	return f, err == nil
}

// appendDecimalString writes a DS with the most digits that fit. What is no number
// becomes an empty value.
func appendDecimalString(b []byte, f float64) []byte {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return b
	}
	start := len(b)
	b = strconv.AppendFloat(b, f, 'g', -1, 64)
	for digits := 16; len(b)-start > maxDecimalString; digits-- {
		b = strconv.AppendFloat(b[:start], f, 'g', digits, 64)
	}
	return b
}
