package pixeldata

import (
	"encoding/binary"
	"fmt"

	"pharos/internal/dicom"
	"pharos/internal/dicom/dict"
)

// lut is a look-up table as the standard defines it (PS3.3 §C.11.1.1).
type lut struct {
	first   int      // the input that the first entry is for
	entries []uint16 // never empty
	max     float64  // what an entry of all bits would be
}

// at returns the entry for an input; inputs outside have the nearest entry.
func (l *lut) at(x float64) float64 { return float64(l.entries[l.position(x)]) }

func (l *lut) position(x float64) int {
	x -= float64(l.first)
	switch last := len(l.entries) - 1; {
	case !(x > 0): // NaN too
		return 0
	case x >= float64(last):
		return last
	default:
		return int(x)
	}
}

// descriptor is what the three values of a LUT descriptor say.
type descriptor struct{ entries, first, bits int }

// newDescriptor reads a descriptor. negative tells that inputs may be below 0: then the
// first one is a signed number, even where the VR says otherwise.
func newDescriptor(d *dicom.Dataset, tag dicom.Tag, negative bool) (descriptor, error) {
	e := d.Get(tag)
	if e == nil || len(e.Value) < 6 {
		return descriptor{}, fmt.Errorf("%w: %s has not three values", ErrMalformed, tag)
	}
	word := func(i int) uint16 { return binary.LittleEndian.Uint16(e.Value[i*2:]) }
	found := descriptor{entries: int(word(0)), first: int(word(1)), bits: int(word(2))}
	if found.entries == 0 {
		found.entries = 1 << 16
	}
	if negative || e.VR == dict.SS {
		found.first = int(int16(word(1)))
	}
	if found.bits < 1 || found.bits > 16 {
		found.bits = 16
	}
	return found, nil
}

// newLUT makes a table of its data: 16-bit words, or bytes where the entries have at
// most 8 bits and the data is too short for words. Fewer entries than described are
// taken as they are.
func newLUT(d descriptor, data []byte) (*lut, error) {
	var entries []uint16
	if d.bits <= 8 && len(data) < d.entries*2 {
		entries = make([]uint16, min(d.entries, len(data)))
		for i := range entries {
			entries[i] = uint16(data[i])
		}
	} else {
		entries = words(data, d.entries)
	}
	return tableOf(d, entries)
}

func words(data []byte, most int) []uint16 {
	w := make([]uint16, min(most, len(data)/2))
	for i := range w {
		w[i] = binary.LittleEndian.Uint16(data[i*2:])
	}
	return w
}

func tableOf(d descriptor, entries []uint16) (*lut, error) {
	if len(entries) == 0 {
		return nil, fmt.Errorf("%w: a look-up table is empty", ErrMalformed)
	}
	return &lut{first: d.first, entries: entries, max: float64(uint32(1)<<d.bits - 1)}, nil
}

// sequenceLUT reads the table in the first item of a Modality or VOI LUT Sequence; nil
// when there is none.
func (s *Source) sequenceLUT(p place, sequence dicom.Tag, negative bool) (*lut, error) {
	item, ok := p.item(sequence, 0)
	if !ok {
		return nil, nil
	}
	d, err := newDescriptor(item.set, dict.LUTDescriptor, negative)
	if err != nil {
		return nil, err
	}
	data, err := s.bytes(item, dict.LUTData)
	if err != nil {
		return nil, err
	}
	return newLUT(d, data)
}
