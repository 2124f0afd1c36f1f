package dicom

import (
	"encoding/binary"
	"math"
	"slices"
	"strconv"
	"strings"

	"pharos/internal/dicom/dict"
)

// This file has what DICOM JSON and the Native DICOM Model share.

// bulky reports whether a long value of the VR is better fetched than inlined.
func bulky(vr VR) bool { return vr.Binary() || !vr.Known() }

// loaded reports whether the value is in memory.
func loaded(e *Element) bool { return e.Bulk == nil && len(e.Fragments) == 0 }

// omitted reports whether an element is left out of the models of PS3.18 §F and
// PS3.19 §A because it only serves the encoding.
func omitted(t Tag) bool {
	return t.GroupLength() || t.Group() == 0x0002 || t.Group() == 0xFFFE
}

// modelVR is the VR to write: one that PS3.5 knows.
func modelVR(e *Element) VR {
	switch {
	case len(e.Items) > 0:
		return dict.SQ
	case !e.VR.Known():
		return dict.UN
	}
	return e.VR
}

// inlineBinary reports whether values of the VR are written in base64.
func inlineBinary(vr VR) bool {
	switch vr {
	case dict.OB, dict.OD, dict.OF, dict.OL, dict.OV, dict.OW, dict.UN:
		return true
	}
	return false
}

// modelPath leads from the outermost data set to the one at hand, with a slash behind
// it: see BulkURI.
type modelPath []byte

// item is the path of an item of a sequence.
func (p modelPath) item(sequence Tag, number int) modelPath {
	p = append(appendHex32(p, uint32(sequence)), '/')
	return append(strconv.AppendInt(p, int64(number), 10), '/')
}

// to is the path of an element.
func (p modelPath) to(t Tag) string { return string(appendHex32(p, uint32(t))) }

// modelValue is a value as it stands in JSON or XML.
type modelValue struct {
	text   string   // decoded; of a person name with its groups
	number bool     // it stands as a number in JSON
	item   *Dataset // of a sequence
}

// modelElement is an element as it stands in JSON or XML.
type modelElement struct {
	tag       Tag
	vr        VR // 0 when it is not told
	values    []modelValue
	binary    []byte
	uri       string
	hasValue  bool
	hasBinary bool
	hasURI    bool
}

// modelReader gathers data sets from elements and keeps to the limits.
type modelReader struct {
	limits   Limits
	elements int
	memory   int64
	extended bool // some text is beyond ASCII
	bulk     []bulkReference
}

// bulkReference is an element with a BulkDataURI.
type bulkReference struct {
	path string // see BulkURI
	uri  string
}

// start prepares for another data set.
func (m *modelReader) start() {
	m.elements, m.memory, m.extended, m.bulk = 0, 0, false, nil
}

// spend counts bytes that are kept.
func (m *modelReader) spend(n int) error {
	m.memory += int64(n)
	if m.memory > m.limits.Memory {
		return ErrTooLarge
	}
	return nil
}

// countElement counts an element or an item.
func (m *modelReader) countElement() error {
	m.elements++
	if m.elements > m.limits.Elements {
		return ErrTooLarge
	}
	return nil
}

// modelError is a reason why an element is refused.
func modelError(tag Tag, detail string) error {
	return &SyntaxError{Tag: tag, Err: ErrMalformed, Detail: detail}
}

// element turns what was read into an element of a data set.
func (m *modelReader) element(in modelElement, path modelPath) (*Element, error) {
	e := &Element{Tag: in.tag, VR: in.vr}
	if in.vr == 0 {
		e.VR = dict.VROf(in.tag)
	}
	in.settleEmpty(e.VR)
	if err := in.check(e.VR); err != nil {
		return nil, err
	}
	switch {
	case in.hasURI:
		m.bulk = append(m.bulk, bulkReference{path.to(in.tag), in.uri})
	case in.hasBinary:
		e.Value = padEven(in.binary, dict.OB)
	case e.VR == dict.SQ:
		for _, v := range in.values {
			e.Items = append(e.Items, v.item)
		}
	case in.tag == dict.SpecificCharacterSet && len(in.values) > 0:
		e.Value = []byte("ISO_IR 192")
	case len(in.values) > 0:
		value, err := m.value(in, e.VR)
		if err != nil {
			return nil, err
		}
		e.Value = padEven(value, e.VR)
	}
	return e, nil
}

// settleEmpty makes empty values what the VR asks for: an item or none.
func (in *modelElement) settleEmpty(vr VR) {
	for i, v := range in.values {
		switch {
		case vr == dict.SQ && v == (modelValue{}):
			in.values[i].item = NewDataset()
		case vr != dict.SQ && v.item != nil && v.item.Len() == 0:
			in.values[i].item = nil
		}
	}
}

// check refuses what contradicts itself or would not survive being written.
func (in *modelElement) check(vr VR) error {
	switch {
	case in.tag.Group() == 0xFFFE:
		return modelError(in.tag, "an item delimiter")
	case !vr.Known():
		return modelError(in.tag, "unknown VR")
	case in.hasValue && in.hasBinary, in.hasValue && in.hasURI, in.hasBinary && in.hasURI:
		return modelError(in.tag, "more than one of Value, InlineBinary and BulkDataURI")
	case vr == dict.SQ && (in.hasBinary || in.hasURI):
		return modelError(in.tag, "a sequence without items")
	case inlineBinary(vr) && len(in.values) > 0:
		return modelError(in.tag, "values of a VR that has none in this model")
	}
	for _, v := range in.values {
		if (v.item != nil) != (vr == dict.SQ) {
			return modelError(in.tag, "items and values do not fit the VR")
		}
	}
	return nil
}

// value encodes the values of a VR other than SQ.
func (m *modelReader) value(in modelElement, vr VR) ([]byte, error) {
	var b []byte
	for i, v := range in.values {
		var ok bool
		switch {
		case !vr.Binary():
			if i > 0 {
				b = append(b, '\\')
			}
			b, ok = m.appendModelText(b, v, vr), true
		case vr == dict.AT:
			b, ok = appendModelTag(b, v.text)
		case vr == dict.FL || vr == dict.FD:
			b, ok = appendModelFloat(b, v.text, vr)
		default:
			b, ok = appendModelInt(b, v.text, vr)
		}
		if !ok {
			return nil, modelError(in.tag, "value does not fit the VR")
		}
	}
	return b, nil
}

// appendModelText appends a value of a character VR in UTF-8. Numbers are shortened or
// rewritten where IS and DS could not hold them.
func (m *modelReader) appendModelText(b []byte, v modelValue, vr VR) []byte {
	if v.number {
		switch f, err := strconv.ParseFloat(v.text, 64); {
		case vr == dict.DS && len(v.text) > maxDecimalString && err == nil:
			return appendDecimalString(b, f)
		case vr == dict.IS && err == nil && f == math.Trunc(f) && math.Abs(f) <= 1<<53:
			return strconv.AppendInt(b, int64(f), 10)
		}
	}
	m.extended = m.extended || !isASCII([]byte(v.text))
	return append(b, v.text...)
}

func appendModelTag(b []byte, text string) ([]byte, bool) {
	n, err := strconv.ParseUint(text, 16, 32)
	if err != nil || len(text) != 8 {
		return b, false
	}
	b = binary.LittleEndian.AppendUint16(b, uint16(n>>16))
	return binary.LittleEndian.AppendUint16(b, uint16(n)), true
}

func appendModelFloat(b []byte, text string, vr VR) ([]byte, bool) {
	bits := 8 * vr.Unit()
	f, err := strconv.ParseFloat(text, bits)
	if err != nil || strings.ContainsAny(text, "xX_") {
		return b, false
	}
	if bits == 32 {
		return binary.LittleEndian.AppendUint32(b, math.Float32bits(float32(f))), true
	}
	return binary.LittleEndian.AppendUint64(b, math.Float64bits(f)), true
}

func appendModelInt(b []byte, text string, vr VR) ([]byte, bool) {
	bits := 8 * vr.Unit()
	if vr == dict.US || vr == dict.UL || vr == dict.UV {
		u, err := strconv.ParseUint(text, 10, bits)
		if err != nil {
			i, ok := parseInt(text) // 5.0, 1e3
			if u = uint64(i); !ok || i < 0 || bits < 64 && u>>bits != 0 {
				return b, false
			}
		}
		return appendUint(b, u, bits), true
	}
	i, ok := parseInt(text)
	if shift := 64 - bits; !ok || i<<shift>>shift != i {
		return b, false
	}
	return appendUint(b, uint64(i), bits), true
}

func appendUint(b []byte, u uint64, bits int) []byte {
	switch bits {
	case 16:
		return binary.LittleEndian.AppendUint16(b, uint16(u))
	case 32:
		return binary.LittleEndian.AppendUint32(b, uint32(u))
	}
	return binary.LittleEndian.AppendUint64(b, u)
}

// gather makes a data set of elements in any order. Group lengths are left out: they
// could not be right.
func gather(elements []*Element) (*Dataset, error) {
	elements = slices.DeleteFunc(elements, func(e *Element) bool { return e.Tag.GroupLength() })
	byTag := func(a, b *Element) int { return int(int64(a.Tag) - int64(b.Tag)) }
	if !slices.IsSortedFunc(elements, byTag) {
		slices.SortFunc(elements, byTag)
	}
	for i := 1; i < len(elements); i++ {
		if elements[i-1].Tag == elements[i].Tag {
			return nil, modelError(elements[i].Tag, "the element is there twice")
		}
	}
	return &Dataset{elements: elements}, nil
}

// finish declares the character set of an outermost data set, which is UTF-8 unless
// ASCII is enough, and returns its bulk data.
func (m *modelReader) finish(d *Dataset) (bulk map[string]string) {
	if m.extended && len(d.Bytes(dict.SpecificCharacterSet)) == 0 {
		d.SetBytes(dict.SpecificCharacterSet, dict.CS, []byte("ISO_IR 192"))
	}
	d.inheritCharset(nil)
	if len(m.bulk) == 0 {
		return nil
	}
	bulk = make(map[string]string, len(m.bulk))
	for _, b := range m.bulk {
		bulk[b.path] = b.uri
	}
	return bulk
}
