package sqldb

import (
	"encoding/binary"
	"errors"

	"pharos/internal/archive"
	"pharos/internal/dicom"
	"pharos/internal/dicom/dict"
)

// Attributes of an entity are kept in one value: for each element
//
//	uvarint  tag, less the tag before it
//	uvarint  length<<2 | kind
//	         kind 0: length bytes, of the VR that the dictionary has
//	         kind 1: two letters of the VR, then length bytes
//	         kind 2: length items, each a uvarint of its bytes and its elements
//
// Text is in UTF-8, numbers little endian. Empty elements are kept: they tell an
// attribute without value from an absent one.
const (
	kindPlain = iota
	kindVR
	kindItems
)

// maxPackedValue bounds what one value may add to the index: comments of a page are
// kept, a document is not.
const maxPackedValue = 16 << 10

// maxPackedDepth bounds sequences within sequences.
const maxPackedDepth = 8

var errPacked = errors.New("packed attributes are damaged")

// packKeys packs those of the keys that d has, except the one given.
func packKeys(d *dicom.Dataset, keys []archive.Key, except ...dicom.Tag) []byte {
	p := packer{buf: make([]byte, 0, 512)}
next:
	for _, k := range keys {
		for _, t := range except {
			if k.Tag == t {
				continue next
			}
		}
		if e := d.Get(k.Tag); e != nil {
			p.element(d, e, k.VR, 0)
		}
	}
	return p.buf
}

// packLength puts the length in front of packed attributes, where others follow.
func packLength(packed []byte) []byte {
	return append(binary.AppendUvarint(nil, uint64(len(packed))), packed...)
}

type packer struct {
	buf  []byte
	last dicom.Tag
}

// element appends an element; vr is that to read it with when its own is not known.
// Values that are not loaded or too large are left out.
func (p *packer) element(d *dicom.Dataset, e *dicom.Element, vr dicom.VR, depth int) {
	if e.VR.Known() && e.VR != dict.UN {
		vr = e.VR
	}
	if vr == dict.SQ || len(e.Items) > 0 {
		p.items(e, depth)
		return
	}
	value := e.Value
	if e.Bulk != nil || e.Fragments != nil || len(value) > maxPackedValue {
		return
	}
	if vr.Text() && !ascii(value) {
		value, _ = utf8Charset.Encode(d.Charset().Decode(value, vr), vr)
		if len(value)%2 != 0 {
			value = append(value, ' ')
		}
	}
	p.tag(e.Tag)
	if vr == dict.VROf(e.Tag) {
		p.buf = binary.AppendUvarint(p.buf, sized(len(value), kindPlain))
	} else {
		p.buf = binary.AppendUvarint(p.buf, sized(len(value), kindVR))
		p.buf = append(p.buf, byte(vr>>8), byte(vr))
	}
	p.buf = append(p.buf, value...)
}

// sized joins a length and a kind into one number.
func sized(n int, kind uint64) uint64 { return uint64(n)<<2 | kind }

func (p *packer) items(e *dicom.Element, depth int) {
	if depth == maxPackedDepth {
		return
	}
	size := 0
	packed := make([][]byte, 0, len(e.Items))
	for _, item := range e.Items {
		inner := packer{}
		for e := range item.All() {
			if e.Tag != dict.SpecificCharacterSet {
				inner.element(item, e, dict.VROf(e.Tag), depth+1)
			}
		}
		if size += len(inner.buf); size > maxPackedValue {
			return
		}
		packed = append(packed, inner.buf)
	}
	p.tag(e.Tag)
	p.buf = binary.AppendUvarint(p.buf, sized(len(packed), kindItems))
	for _, b := range packed {
		p.buf = binary.AppendUvarint(p.buf, uint64(len(b)))
		p.buf = append(p.buf, b...)
	}
}

func (p *packer) tag(t dicom.Tag) {
	p.buf = binary.AppendUvarint(p.buf, uint64(t-p.last))
	p.last = t
}

// ascii reports whether every value of a text is what it is in UTF-8, without escape
// sequences.
func ascii(value []byte) bool {
	for _, c := range value {
		if c >= 0x80 || c == 0x1B {
			return false
		}
	}
	return true
}

// utf8Charset is the character set of everything that is kept.
var utf8Charset, _ = dicom.ParseCharset([]string{"ISO_IR 192"})

// unpack reads the elements that are wanted; nil wants all. The data set shares the
// packed bytes.
func unpack(packed []byte, wanted func(dicom.Tag) bool) (*dicom.Dataset, error) {
	d := dicom.NewDataset()
	return d, unpackInto(d, packed, wanted, &shelf{room: 16})
}

// unpackInto puts what unpack reads into a data set, as elements from the shelf.
func unpackInto(d *dicom.Dataset, packed []byte, wanted func(dicom.Tag) bool, s *shelf) error {
	u := unpacker{buf: packed, shelf: s}
	for len(u.buf) > 0 && !u.bad {
		u.element(d, wanted, 0)
	}
	if u.bad {
		return errPacked
	}
	return nil
}

// shelf has elements, so that each is no allocation of its own.
type shelf struct {
	free []dicom.Element
	room int // how many are made the next time
}

// put adds an element with a value to a data set.
func (s *shelf) put(d *dicom.Dataset, tag dicom.Tag, vr dicom.VR, value []byte) {
	if len(s.free) == 0 {
		s.free = make([]dicom.Element, s.room)
		s.room = min(2*s.room, 256)
	}
	e := &s.free[0]
	s.free = s.free[1:]
	e.Tag, e.VR, e.Value = tag, vr, value
	d.Put(e)
}

type unpacker struct {
	buf   []byte
	tag   dicom.Tag
	bad   bool
	shelf *shelf
}

func (u *unpacker) uvarint() int {
	v, n := binary.Uvarint(u.buf)
	if n <= 0 || v > 1<<34 {
		u.bad, u.buf = true, nil
		return 0
	}
	u.buf = u.buf[n:]
	return int(v)
}

func (u *unpacker) bytes(n int) []byte {
	if n > len(u.buf) {
		u.bad, u.buf = true, nil
		return nil
	}
	b := u.buf[:n:n]
	u.buf = u.buf[n:]
	return b
}

func (u *unpacker) element(d *dicom.Dataset, wanted func(dicom.Tag) bool, depth int) {
	u.tag += dicom.Tag(u.uvarint())
	n := u.uvarint()
	want := wanted == nil || wanted(u.tag)
	vr, kind := dicom.VR(0), n&3
	n >>= 2
	switch kind {
	case kindItems:
		items := u.items(n, want, depth)
		if want && !u.bad {
			d.SetItems(u.tag, items...)
		}
		return
	case kindVR:
		if b := u.bytes(2); b != nil {
			vr = dicom.VR(b[0])<<8 | dicom.VR(b[1])
		}
	default:
		if want {
			vr = dict.VROf(u.tag)
		}
	}
	value := u.bytes(n)
	if want && !u.bad {
		u.shelf.put(d, u.tag, vr, value)
	}
}

func (u *unpacker) items(n int, want bool, depth int) []*dicom.Dataset {
	if depth > maxPackedDepth {
		u.bad = true
		return nil
	}
	var items []*dicom.Dataset
	for range n {
		inner := unpacker{buf: u.bytes(u.uvarint()), shelf: u.shelf}
		if u.bad {
			return nil
		}
		if !want {
			continue
		}
		item := dicom.NewDataset()
		for len(inner.buf) > 0 && !inner.bad {
			inner.element(item, nil, depth+1)
		}
		if u.bad = inner.bad; u.bad {
			return nil
		}
		items = append(items, item)
	}
	return items
}
