package dicom

import (
	"encoding/base64"
	"encoding/binary"
	"math"
	"strconv"

	"pharos/internal/dicom/dict"
)

// BulkURI names the BulkDataURI of an element that is not inlined. path leads to the
// element from the outermost data set: tags and, for sequences, item numbers from 0, as
// in "00081140/0/7FE00010".
//
// JSON takes the URI as it is, so it must not hold what JSON escapes, which no URI does.
// (An archive puts a control character there on purpose, to be replaced by an address.)
type BulkURI func(path string, e *Element) string

// AppendJSON appends the data set in the DICOM JSON Model (PS3.18 §F) to b, without
// white space. Group lengths and File Meta Information are left out. An element with
// Bulk or Fragments, and a loaded binary value longer than inline bytes, becomes a
// BulkDataURI if uri is not nil; otherwise it is left out when not loaded.
//
// The result is always valid JSON (§F.2.3):
//
//   - IS and DS are numbers, without a plus sign and superfluous zeroes; what is no
//     number, or longer than the VR allows, remains a string;
//   - SV and UV are numbers up to 2^53, where every reader is exact, and strings beyond;
//   - FL and FD that are not finite, for which JSON has no number and §F no rule, are
//     the strings "NaN", "Infinity" and "-Infinity";
//   - text is UTF-8 whatever the data set's character set, and so Specific Character
//     Set, where there is one, is ISO_IR 192.
func AppendJSON(b []byte, d *Dataset, inline int, uri BulkURI) []byte {
	j := jsonWriter{bulkPolicy: bulkPolicy{inline: inline, uri: uri}, b: b}
	j.dataset(d)
	return j.b
}

// bulkPolicy decides what becomes of bulk data, and knows where it is.
type bulkPolicy struct {
	inline int
	uri    BulkURI
	path   modelPath
}

// reference returns the BulkDataURI of an element; "" when it is to be inlined.
func (p *bulkPolicy) reference(e *Element) string {
	if p.uri == nil || loaded(e) && (!bulky(e.VR) || len(e.Value) <= p.inline) {
		return ""
	}
	return p.uri(p.path.to(e.Tag), e)
}

// jsonWriter appends one data set.
type jsonWriter struct {
	bulkPolicy
	b []byte
}

func (j *jsonWriter) dataset(d *Dataset) {
	j.b = append(j.b, '{')
	first := true
	for _, e := range d.elements {
		if omitted(e.Tag) || !loaded(e) && j.uri == nil {
			continue
		}
		if !first {
			j.b = append(j.b, ',')
		}
		first = false
		j.element(d, e)
	}
	j.b = append(j.b, '}')
}

func (j *jsonWriter) element(d *Dataset, e *Element) {
	vr := modelVR(e)
	j.b = append(j.b, '"')
	j.b = appendHex32(j.b, uint32(e.Tag))
	j.b = append(j.b, `":{"vr":"`...)
	j.b = append(j.b, byte(vr>>8), byte(vr), '"')
	if uri := j.reference(e); uri != "" {
		j.b = append(j.b, `,"BulkDataURI":`...)
		j.b = append(append(append(j.b, '"'), uri...), '"')
	} else if vr == dict.SQ {
		j.items(e)
	} else if len(e.Value) > 0 {
		j.value(d, e, vr)
	}
	j.b = append(j.b, '}')
}

func (j *jsonWriter) items(e *Element) {
	if len(e.Items) == 0 {
		return
	}
	j.b = append(j.b, `,"Value":[`...)
	for i, item := range e.Items {
		if i > 0 {
			j.b = append(j.b, ',')
		}
		outer := j.path
		j.path = outer.item(e.Tag, i)
		j.dataset(item)
		j.path = outer
	}
	j.b = append(j.b, ']')
}

// value appends a loaded value that is not empty. One of padding only has no values.
func (j *jsonWriter) value(d *Dataset, e *Element, vr VR) {
	switch vr {
	case dict.OB, dict.OD, dict.OF, dict.OL, dict.OV, dict.OW, dict.UN:
		j.b = append(j.b, `,"InlineBinary":"`...)
		j.b = base64.StdEncoding.AppendEncode(j.b, e.Value)
		j.b = append(j.b, '"')
		return
	}
	start := len(j.b)
	j.b = append(j.b, `,"Value":[`...)
	values := len(j.b)
	switch vr {
	case dict.FL, dict.FD:
		j.b = appendJSONFloats(j.b, e.Value, vr)
	case dict.AT, dict.SL, dict.SS, dict.SV, dict.UL, dict.US, dict.UV:
		j.b = appendJSONInts(j.b, e.Value, vr)
	default:
		j.b = appendJSONTexts(j.b, textOf(d, e), vr)
	}
	if len(j.b) == values {
		j.b = j.b[:start]
		return
	}
	j.b = append(j.b, ']')
}

// textOf is the value of an element of a character VR in UTF-8.
func textOf(d *Dataset, e *Element) []byte {
	switch {
	case e.Tag == dict.SpecificCharacterSet:
		return []byte("ISO_IR 192")
	case isASCII(e.Value):
		return e.Value
	}
	return []byte(d.decode(e.Value, e.VR))
}

func appendJSONFloats(b, value []byte, vr VR) []byte {
	unit := vr.Unit()
	for first := true; len(value) >= unit; value, first = value[unit:], false {
		if !first {
			b = append(b, ',')
		}
		if unit == 4 {
			b = appendJSONFloat(b, float64(math.Float32frombits(binary.LittleEndian.Uint32(value))), 32)
		} else {
			b = appendJSONFloat(b, math.Float64frombits(binary.LittleEndian.Uint64(value)), 64)
		}
	}
	return b
}

func appendJSONFloat(b []byte, f float64, bits int) []byte {
	switch {
	case math.IsNaN(f):
		return append(b, `"NaN"`...)
	case math.IsInf(f, 1):
		return append(b, `"Infinity"`...)
	case math.IsInf(f, -1):
		return append(b, `"-Infinity"`...)
	}
	format := byte('f')
	if a := math.Abs(f); a != 0 && (a < 1e-6 || a >= 1e21) { // as ECMAScript does
		format = 'e'
	}
	return strconv.AppendFloat(b, f, format, -1, bits)
}

func appendJSONInts(b, value []byte, vr VR) []byte {
	unit := vr.Unit()
	if vr == dict.AT {
		unit = 4
	}
	for first := true; len(value) >= unit; value, first = value[unit:], false {
		if !first {
			b = append(b, ',')
		}
		b = appendJSONInt(b, binaryInt(value, vr), vr)
	}
	return b
}

func appendJSONInt(b []byte, i int64, vr VR) []byte {
	switch {
	case vr == dict.AT:
		return append(appendHex32(append(b, '"'), uint32(i)), '"')
	case vr == dict.UV && uint64(i) > 1<<53:
		return append(strconv.AppendUint(append(b, '"'), uint64(i), 10), '"')
	case vr == dict.SV && (i > 1<<53 || i < -1<<53):
		return append(strconv.AppendInt(append(b, '"'), i, 10), '"')
	}
	return strconv.AppendInt(b, i, 10)
}

// appendHex32 appends eight capital hexadecimal digits.
func appendHex32(b []byte, n uint32) []byte {
	const digits = "0123456789ABCDEF"
	for shift := 28; shift >= 0; shift -= 4 {
		b = append(b, digits[n>>shift&0xF])
	}
	return b
}
