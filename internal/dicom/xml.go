package dicom

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"math"
	"strconv"
	"unicode/utf8"

	"pharos/internal/dicom/dict"
)

// nativeModelNamespace is the name space of PS3.19 §A.1.6.
const nativeModelNamespace = "http://dicom.nema.org/PS3.19/models/NativeDICOM"

// AppendXML appends the Native DICOM Model (PS3.19 §A.1) of a data set to b, with the
// XML declaration. Bulk data and what is no number are treated as in AppendJSON.
// Characters that XML 1.0 does not have become U+FFFD. A private element is named by
// its creator and the last two digits of its tag, unless its data set has a second
// block of the same creator.
func AppendXML(b []byte, d *Dataset, inline int, uri BulkURI) []byte {
	x := xmlWriter{bulkPolicy: bulkPolicy{inline: inline, uri: uri}, b: b}
	x.b = append(x.b, `<?xml version="1.0" encoding="UTF-8"?>`+"\n"...)
	x.b = append(x.b, `<NativeDicomModel xmlns="`+nativeModelNamespace+`" xml:space="preserve">`...)
	x.dataset(d)
	x.b = append(x.b, `</NativeDicomModel>`...)
	return x.b
}

// xmlWriter appends one data set.
type xmlWriter struct {
	bulkPolicy
	b []byte
}

func (x *xmlWriter) dataset(d *Dataset) {
	for _, e := range d.elements {
		if omitted(e.Tag) || !loaded(e) && x.uri == nil {
			continue
		}
		x.element(d, e)
	}
}

func (x *xmlWriter) element(d *Dataset, e *Element) {
	vr := modelVR(e)
	creator := d.firstBlockCreator(e.Tag)
	tag := e.Tag
	if creator != "" {
		tag &^= 0xFF00
	}
	x.b = append(x.b, `<DicomAttribute tag="`...)
	x.b = appendHex32(x.b, uint32(tag))
	x.b = append(x.b, `" vr="`...)
	x.b = append(x.b, byte(vr>>8), byte(vr), '"')
	if entry, ok := dict.Lookup(e.Tag); ok && entry.Keyword != "" && !e.Tag.Private() {
		x.b = append(append(append(x.b, ` keyword="`...), entry.Keyword...), '"')
	}
	if creator != "" {
		x.b = append(x.b, ` privateCreator="`...)
		x.b = append(appendXMLText(x.b, []byte(creator)), '"')
	}
	x.b = append(x.b, '>')
	if uri := x.reference(e); uri != "" {
		x.b = append(x.b, `<BulkData uri="`...)
		x.b = append(appendXMLText(x.b, []byte(uri)), `"/>`...)
	} else if vr == dict.SQ {
		x.items(e)
	} else if len(e.Value) > 0 {
		x.value(d, e, vr)
	}
	x.b = append(x.b, `</DicomAttribute>`...)
}

// firstBlockCreator returns the creator of a private element; "" when it has none or
// when an earlier block of its group has the same one.
func (d *Dataset) firstBlockCreator(t Tag) string {
	if !t.Private() || t.PrivateCreator() || t.Element() < 0x1000 {
		return ""
	}
	creator := dict.MakeTag(t.Group(), t.Element()>>8)
	name := d.Text(creator)
	if name == "" || d.creatorBlock(t.Group(), name) != creator {
		return ""
	}
	return name
}

// creatorBlock returns the first tag of a group that reserves a block for the creator,
// or 0.
func (d *Dataset) creatorBlock(group uint16, name string) Tag {
	i, _ := d.search(dict.MakeTag(group, 0x10))
	for ; i < len(d.elements); i++ {
		t := d.elements[i].Tag
		if t.Group() != group || !t.PrivateCreator() {
			break
		}
		if d.Text(t) == name {
			return t
		}
	}
	return 0
}

func (x *xmlWriter) items(e *Element) {
	for i, item := range e.Items {
		x.open("Item", i)
		outer := x.path
		x.path = outer.item(e.Tag, i)
		x.dataset(item)
		x.path = outer
		x.close("Item")
	}
}

// open begins an element that is numbered from 1.
func (x *xmlWriter) open(name string, index int) {
	x.b = append(append(append(x.b, '<'), name...), ` number="`...)
	x.b = append(strconv.AppendInt(x.b, int64(index)+1, 10), `">`...)
}

func (x *xmlWriter) close(name string) {
	x.b = append(append(append(x.b, "</"...), name...), '>')
}

// value appends a loaded value that is not empty.
func (x *xmlWriter) value(d *Dataset, e *Element, vr VR) {
	switch {
	case inlineBinary(vr):
		x.b = append(x.b, `<InlineBinary>`...)
		x.b = base64.StdEncoding.AppendEncode(x.b, e.Value)
		x.b = append(x.b, `</InlineBinary>`...)
	case vr.Binary():
		x.numbers(e.Value, vr)
	default:
		x.texts(textOf(d, e), vr)
	}
}

// texts appends the values of a character VR, none when there is only padding.
func (x *xmlWriter) texts(text []byte, vr VR) {
	values := [][]byte{text}
	if multiValued(vr) {
		values = bytes.Split(text, backslash)
	}
	for i, value := range values {
		switch value = trimBytes(value, vr); {
		case len(value) == 0 && len(values) == 1:
		case vr == dict.PN:
			x.name(ParsePersonName(string(value)), i)
		default:
			x.open("Value", i)
			x.b = appendXMLText(x.b, value)
			x.close("Value")
		}
	}
}

// nameComponents are the elements of a component group (PS3.19 Table A.1.5-2).
var nameComponents = [5]string{"FamilyName", "GivenName", "MiddleName", "NamePrefix", "NameSuffix"}

func (x *xmlWriter) name(name PersonName, index int) {
	x.open("PersonName", index)
	x.group("Alphabetic", name.Alphabetic)
	x.group("Ideographic", name.Ideographic)
	x.group("Phonetic", name.Phonetic)
	x.close("PersonName")
}

func (x *xmlWriter) group(name, group string) {
	if group == "" {
		return
	}
	x.b = append(append(append(x.b, '<'), name...), '>')
	for i, component := range Components(group) {
		if component == "" {
			continue
		}
		x.b = append(append(append(x.b, '<'), nameComponents[i]...), '>')
		x.b = appendXMLText(x.b, []byte(component))
		x.close(nameComponents[i])
	}
	x.close(name)
}

// numbers appends the values of a binary VR as AppendJSON does, without quotation marks.
func (x *xmlWriter) numbers(value []byte, vr VR) {
	unit := vr.Unit()
	if vr == dict.AT {
		unit = 4
	}
	for i := 0; len(value) >= unit; value, i = value[unit:], i+1 {
		x.open("Value", i)
		switch vr {
		case dict.FL:
			x.b = appendXMLFloat(x.b, float64(math.Float32frombits(binary.LittleEndian.Uint32(value))), 32)
		case dict.FD:
			x.b = appendXMLFloat(x.b, math.Float64frombits(binary.LittleEndian.Uint64(value)), 64)
		case dict.AT:
			x.b = appendHex32(x.b, uint32(binaryInt(value, vr)))
		case dict.UV:
			x.b = strconv.AppendUint(x.b, uint64(binaryInt(value, vr)), 10)
		default:
			x.b = strconv.AppendInt(x.b, binaryInt(value, vr), 10)
		}
		x.close("Value")
	}
}

func appendXMLFloat(b []byte, f float64, bits int) []byte {
	start := len(b)
	b = appendJSONFloat(b, f, bits)
	if b[start] == '"' { // NaN and infinities
		b = append(b[:start], b[start+1:len(b)-1]...)
	}
	return b
}

// appendXMLText appends text or an attribute's value that is valid UTF-8.
func appendXMLText(b, text []byte) []byte {
	for len(text) > 0 {
		r, size := utf8.DecodeRune(text)
		switch {
		case r == '&':
			b = append(b, "&amp;"...)
		case r == '<':
			b = append(b, "&lt;"...)
		case r == '>':
			b = append(b, "&gt;"...)
		case r == '"':
			b = append(b, "&quot;"...)
		case r == '\t', r == '\n', r == '\r': // a parser would change them
			b = append(strconv.AppendInt(append(b, "&#"...), int64(r), 10), ';')
		case r < ' ', r == 0xFFFE, r == 0xFFFF:
			b = append(b, "\uFFFD"...)
		default:
			b = append(b, text[:size]...)
		}
		text = text[size:]
	}
	return b
}
