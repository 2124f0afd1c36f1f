package pixeldata

import (
	"fmt"
	"math"
	"slices"
	"strconv"

	"pharos/internal/dicom"
	"pharos/internal/dicom/dict"
)

// MaxValue is the longest value that a Source is asked for, in bytes. A look-up table
// has at most 65,536 entries of 16 bits.
const MaxValue = 256 << 10

// place is where an attribute may stand: a data set, and the path to it.
type place struct {
	set  *dicom.Dataset
	path string // "" or with a slash at the end
}

func (p place) item(sequence dicom.Tag, n int) (place, bool) {
	items := p.set.Items(sequence)
	if n < 0 || n >= len(items) {
		return place{}, false
	}
	return place{items[n], p.path + sequence.Hex() + "/" + strconv.Itoa(n) + "/"}, true
}

// places lists where the attributes of a functional group stand, the one that prevails
// first: with the frame, with all frames (PS3.3 §C.7.6.16), or, in an image without
// functional groups, in the outermost data set.
func (s *Source) places(group dicom.Tag, frame int) []place {
	root := place{set: s.Header}
	var found []place
	for _, groups := range []struct {
		sequence dicom.Tag
		item     int
	}{{dict.PerFrameFunctionalGroupsSequence, frame - 1}, {dict.SharedFunctionalGroupsSequence, 0}} {
		if of, ok := root.item(groups.sequence, groups.item); ok {
			if p, ok := of.item(group, 0); ok {
				found = append(found, p)
			}
		}
	}
	return append(found, root)
}

// bytes returns a value of 16-bit words as little endian, from the header or the source.
func (s *Source) bytes(p place, tag dicom.Tag) ([]byte, error) {
	e := p.set.Get(tag)
	switch {
	case e == nil:
		return nil, nil
	case e.Bulk == nil:
		return e.Value, nil
	case e.Bulk.Length > MaxValue:
		return nil, fmt.Errorf("%w: %s has %d bytes", ErrTooLarge, tag, e.Bulk.Length)
	case s.Values == nil:
		return nil, fmt.Errorf("%w: %s is not at hand", ErrUnsupported, tag)
	}
	value, err := s.Values(p.path + tag.Hex())
	if err != nil {
		return nil, fmt.Errorf("load %s: %w", tag, err)
	}
	if len(value) > MaxValue {
		return nil, fmt.Errorf("%w: %s has %d bytes", ErrTooLarge, tag, len(value))
	}
	if dicom.SyntaxOf(s.Syntax).BigEndian && e.VR.Unit() == 2 {
		value = slices.Clone(value)
		for i := 0; i+1 < len(value); i += 2 {
			value[i], value[i+1] = value[i+1], value[i]
		}
	}
	return value, nil
}

// maxNumber is the largest magnitude of a number that is taken seriously; squares and
// sums of such numbers are finite.
const maxNumber = 1e15

func sane(numbers ...float64) bool {
	for _, n := range numbers {
		if math.IsNaN(n) || math.Abs(n) > maxNumber {
			return false
		}
	}
	return true
}
