package dicom

import (
	"fmt"

	"pharos/internal/dicom/dict"
)

// measure computes what dataset will need, in bytes, and leaves the sizes of what has
// a defined length for it, in the order in which it will ask for them.
func (enc *encoder) measure(d *Dataset) (int64, error) {
	var total int64
	groupLength, groupBegin := -1, int64(0) // of the group being measured: its index in sizes
	for i, e := range d.elements {
		if i > 0 && e.Tag.Group() != d.elements[i-1].Tag.Group() && groupLength >= 0 {
			enc.sizes[groupLength] = total - groupBegin
			groupLength = -1
		}
		n, err := enc.measureElement(e)
		if err != nil {
			return 0, err
		}
		total += n
		if isGroupLength(e) {
			groupLength, groupBegin = len(enc.sizes)-1, total
		}
	}
	if groupLength >= 0 {
		enc.sizes[groupLength] = total - groupBegin
	}
	return total, nil
}

func (enc *encoder) measureElement(e *Element) (int64, error) {
	switch {
	case isSequence(e):
		return enc.measureSequence(e)
	case e.Fragments != nil:
		return enc.measureFragments(e)
	case isGroupLength(e):
		enc.sizes = append(enc.sizes, 0)
	}
	n := int64(len(e.Value))
	if e.Bulk != nil {
		n = e.Bulk.Length
	}
	if n < 0 || n >= UndefinedLength {
		return 0, fmt.Errorf("%w: the value of %v is too long to be written", ErrTooLarge, e.Tag)
	}
	return enc.headerSize(e, n) + n, nil
}

func (enc *encoder) measureSequence(e *Element) (int64, error) {
	undefined := e.Undefined || e.VR == dict.UN && !enc.implicit
	mine := len(enc.sizes)
	if !undefined {
		enc.sizes = append(enc.sizes, 0)
	}
	header := enc.headerSize(e, UndefinedLength)
	if e.VR == dict.UN && !enc.implicit {
		defer enc.enter(true, false)()
	}
	var total int64
	for _, item := range e.Items {
		n, err := enc.measureItem(item)
		if err != nil {
			return 0, err
		}
		total += n
	}
	if undefined {
		return header + total + 8, nil
	}
	if total >= UndefinedLength {
		return 0, fmt.Errorf("%w: the sequence %v is too long for a defined length", ErrTooLarge, e.Tag)
	}
	enc.sizes[mine] = total
	return header + total, nil
}

func (enc *encoder) measureItem(item *Dataset) (int64, error) {
	if item.Undefined {
		n, err := enc.measure(item)
		return 8 + n + 8, err
	}
	mine := len(enc.sizes)
	enc.sizes = append(enc.sizes, 0)
	n, err := enc.measure(item)
	if n >= UndefinedLength {
		return 0, fmt.Errorf("%w: an item is too long for a defined length", ErrTooLarge)
	}
	enc.sizes[mine] = n
	return 8 + n, err
}

func (enc *encoder) measureFragments(e *Element) (int64, error) {
	total := enc.headerSize(e, UndefinedLength) + 8
	for _, f := range e.Fragments {
		if f.Length < 0 || f.Length >= UndefinedLength {
			return 0, fmt.Errorf("%w: a fragment of %v is too long to be written", ErrTooLarge, e.Tag)
		}
		total += 8 + f.Length
	}
	return total, nil
}
