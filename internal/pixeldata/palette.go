package pixeldata

import (
	"fmt"
	"slices"

	"pharos/internal/dicom"
	"pharos/internal/dicom/dict"
)

// palette is the colour of every stored value.
type palette [][3]uint8

func (p palette) paint(dst []uint8, l line) {
	for i, b := range l.bits {
		c := &p[b]
		out := dst[i*3 : i*3+3]
		out[0], out[1], out[2] = c[0], c[1], c[2]
	}
}

// primaries are the attributes of the tables for red, green and blue.
var primaries = [3]struct{ descriptor, data, segmented dicom.Tag }{
	{dict.RedPaletteColorLookupTableDescriptor, dict.RedPaletteColorLookupTableData, dict.SegmentedRedPaletteColorLookupTableData},
	{dict.GreenPaletteColorLookupTableDescriptor, dict.GreenPaletteColorLookupTableData, dict.SegmentedGreenPaletteColorLookupTableData},
	{dict.BluePaletteColorLookupTableDescriptor, dict.BluePaletteColorLookupTableData, dict.SegmentedBluePaletteColorLookupTableData},
}

// palette reads the palette of a frame (PS3.3 §C.7.6.3.1.5 and .6).
func (s *Source) palette(f *format) (palette, error) {
	var tables [3]*lut
	largest := uint16(0)
	for i, tags := range primaries {
		d, err := newDescriptor(s.Header, tags.descriptor, f.signed)
		if err != nil {
			return nil, err
		}
		if tables[i], err = s.primary(d, tags.data, tags.segmented); err != nil {
			return nil, err
		}
		largest = max(largest, slices.Max(tables[i].entries))
	}
	p := make(palette, 1<<f.stored)
	for i, t := range tables {
		most := t.max
		if most > 255 && largest <= 255 {
			most = 255 // 8-bit colours in 16-bit entries: wrong, but common
		}
		for bits := range p {
			p[bits][i] = eightBits(t.at(f.value(uint32(bits))) / most)
		}
	}
	return p, nil
}

// primary reads one table.
func (s *Source) primary(d descriptor, data, segmented dicom.Tag) (*lut, error) {
	root := place{set: s.Header}
	plain, err := s.bytes(root, data)
	if err != nil {
		return nil, err
	}
	if len(plain) > 0 {
		return newLUT(d, plain)
	}
	parts, err := s.bytes(root, segmented)
	if err != nil {
		return nil, err
	}
	entries, err := expand(d, parts)
	if err != nil {
		return nil, err
	}
	return tableOf(d, entries)
}

// The opcodes of a segment (PS3.3 §C.7.9.2).
const (
	discreteSegment = 0
	linearSegment   = 1
	indirectSegment = 2
)

// expand makes the entries of segmented data, at most as many as described.
func expand(d descriptor, data []byte) ([]uint16, error) {
	e := expander{most: d.entries, unit: 2}
	if d.bits <= 8 {
		e.unit = 1
		for _, b := range data {
			e.data = append(e.data, uint16(b))
		}
	} else {
		e.data = words(data, len(data))
	}
	for at := 0; at < len(e.data) && len(e.entries) < e.most; {
		next, err := e.segment(at, false)
		if err != nil {
			return nil, err
		}
		if next == len(e.data)-1 && e.unit == 1 {
			break // a byte that makes the length even
		}
		at = next
	}
	return e.entries, nil
}

type expander struct {
	data    []uint16 // opcodes, lengths and entries
	entries []uint16 // that were made
	most    int
	unit    int // bytes of one of data, in which offsets count
}

var errSegment = fmt.Errorf("%w: a segmented look-up table is damaged", ErrMalformed)

// segment expands the one that begins at at, and returns where the next begins.
func (e *expander) segment(at int, inside bool) (next int, err error) {
	if at < 0 || at+2 > len(e.data) {
		return 0, errSegment
	}
	opcode, length, rest := e.data[at], int(e.data[at+1]), e.data[at+2:]
	switch {
	case length == 0: // it would be of no use, but of any number
	case opcode == discreteSegment && length <= len(rest):
		e.entries = append(e.entries, rest[:min(length, e.most-len(e.entries))]...)
		return at + 2 + length, nil
	case opcode == linearSegment && len(rest) >= 1 && len(e.entries) > 0:
		e.line(length, rest[0])
		return at + 3, nil
	case opcode == indirectSegment && !inside:
		return e.indirect(at, length, rest)
	}
	return 0, errSegment
}

// line goes on from the last entry to end.
func (e *expander) line(length int, end uint16) {
	start := int(e.entries[len(e.entries)-1])
	for i := 1; i <= length && len(e.entries) < e.most; i++ {
		rise := (int(end) - start) * i
		half := length / 2
		if rise < 0 {
			half = -half
		}
		e.entries = append(e.entries, uint16(start+(rise+half)/length))
	}
}

// indirect repeats count segments that stand at an offset in bytes, whose low part is
// first.
func (e *expander) indirect(at, count int, rest []uint16) (next int, err error) {
	parts := 4 / e.unit
	if len(rest) < parts {
		return 0, errSegment
	}
	offset := 0
	for i, part := range rest[:parts] {
		offset |= int(part) << (i * 8 * e.unit)
	}
	from := offset / e.unit
	for range count {
		if len(e.entries) >= e.most {
			break
		}
		if from, err = e.segment(from, true); err != nil {
			return 0, err
		}
	}
	return at + 2 + parts, nil
}
