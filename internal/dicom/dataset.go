package dicom

import (
	"cmp"
	"iter"
	"slices"
	"sort"
)

// Element is one data element (PS3.5 §7.1). Exactly one of Value, Items, Fragments
// and Bulk tells its value; all nil means empty.
type Element struct {
	Tag Tag
	VR  VR

	// Value is the encoded value as it was read: padding and character set as they
	// were, numbers little endian. Read it through the accessors of Dataset.
	Value []byte
	// Items are the items of a sequence (VR SQ, or UN that holds one).
	Items []*Dataset
	// Fragments are the ranges of the items of an encapsulated value, the Basic
	// Offset Table first (PS3.5 §A.4). They are never loaded, except for that table:
	// Value holds its bytes when Limits.Memory allows.
	Fragments []Range
	// Bulk is where the value lies when it was too long to be loaded. Length is that
	// of the value without its header. The bytes there are in the byte order of the
	// file.
	Bulk *Range

	// Undefined tells that the value had undefined length, so that writing it back
	// ends it with a delimiter.
	Undefined bool

	form      headerForm // of the header in explicit VR
	bigEndian bool       // the bytes behind Bulk are big endian
}

// Empty reports whether the element has no value (zero length, PS3.5 §7.4.2).
func (e *Element) Empty() bool {
	return len(e.Value) == 0 && len(e.Items) == 0 && len(e.Fragments) == 0 && e.Bulk == nil
}

// Dataset is an ordered set of elements, or one item of a sequence. It is not safe
// for concurrent changes. Where a tag was met twice in a file, the first element
// counts.
type Dataset struct {
	elements []*Element // ascending by tag
	charset  *Charset   // in force here; nil means the parent's, or the default repertoire

	// Undefined tells that this item had undefined length.
	Undefined bool
}

// NewDataset returns an empty data set.
func NewDataset() *Dataset { return &Dataset{} }

// Len is the number of elements at this level.
func (d *Dataset) Len() int { return len(d.elements) }

// All yields the elements in ascending order of their tags.
func (d *Dataset) All() iter.Seq[*Element] { return slices.Values(d.elements) }

// Get returns the element of the tag, or nil.
func (d *Dataset) Get(tag Tag) *Element {
	if i, ok := d.search(tag); ok {
		return d.elements[i]
	}
	return nil
}

// Has reports whether there is an element of the tag, be it empty.
func (d *Dataset) Has(tag Tag) bool { return d.Get(tag) != nil }

// Put inserts the element or replaces the one of the same tag.
func (d *Dataset) Put(e *Element) {
	i, ok := d.search(e.Tag)
	switch {
	case ok:
		d.elements[i] = e
	case d.elements == nil:
		d.elements = append(make([]*Element, 0, firstElements), e)
	case i == len(d.elements):
		d.elements = append(d.elements, e)
	default:
		d.elements = slices.Insert(d.elements, i, e)
	}
}

// firstElements is for how many elements a data set has room that is built one by one.
const firstElements = 8

// Delete removes the element of the tag, if there is one.
func (d *Dataset) Delete(tag Tag) {
	if i, ok := d.search(tag); ok {
		d.elements = slices.Delete(d.elements, i, i+1)
	}
}

// search finds the place of a tag. Readers append in order, so the end is tried first.
func (d *Dataset) search(tag Tag) (int, bool) {
	n := len(d.elements)
	if n == 0 || d.elements[n-1].Tag < tag {
		return n, false
	}
	return sort.Find(n, func(i int) int {
		switch t := d.elements[i].Tag; {
		case tag < t:
			return -1
		case tag > t:
			return 1
		}
		return 0
	})
}

// Shift moves every range of the data set by delta bytes: for a header whose elements
// were read from another place than the start of the file that they are to refer to.
func Shift(d *Dataset, delta int64) {
	for _, e := range d.elements {
		if e.Bulk != nil {
			e.Bulk.Offset += delta
		}
		for i := range e.Fragments {
			e.Fragments[i].Offset += delta
		}
		for _, item := range e.Items {
			Shift(item, delta)
		}
	}
}

// add appends an element in the order of reading. settle must follow.
func (d *Dataset) add(e *Element) { d.elements = append(d.elements, e) }

// settle puts the elements into ascending order after reading them as they came. Of
// several with one tag the first stays.
func (d *Dataset) settle() {
	for i := 1; i < len(d.elements); i++ {
		if d.elements[i-1].Tag >= d.elements[i].Tag {
			slices.SortStableFunc(d.elements, func(a, b *Element) int { return cmp.Compare(a.Tag, b.Tag) })
			d.elements = slices.CompactFunc(d.elements, func(a, b *Element) bool { return a.Tag == b.Tag })
			return
		}
	}
}
