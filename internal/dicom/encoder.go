package dicom

import (
	"encoding/binary"
	"io"

	"pharos/internal/dicom/dict"
)

// encoder writes elements through a buffer. The first error sticks.
type encoder struct {
	w        io.Writer
	src      Source
	buf      []byte
	err      error
	implicit bool
	order    binary.AppendByteOrder
	big      bool
	sizes    []int64 // of sequences and items of defined length, and of groups, in the order of writing
	next     int     // the first of sizes that is not used yet
}

// enter switches the encoding and returns the switch back.
func (enc *encoder) enter(implicit, big bool) (leave func()) {
	was := *enc
	enc.implicit, enc.big, enc.order = implicit, big, binary.LittleEndian
	if big {
		enc.order = binary.BigEndian
	}
	return func() { enc.implicit, enc.big, enc.order = was.implicit, was.big, was.order }
}

// flush writes out the buffer.
func (enc *encoder) flush() {
	if enc.err == nil && len(enc.buf) > 0 {
		_, enc.err = enc.w.Write(enc.buf)
	}
	enc.buf = enc.buf[:0]
}

// room makes sure that n bytes fit behind the buffered ones.
func (enc *encoder) room(n int) {
	if len(enc.buf)+n > cap(enc.buf) {
		enc.flush()
	}
}

// bytes writes p; a large p past the buffer.
func (enc *encoder) bytes(p []byte) {
	enc.room(len(p))
	if len(p) <= cap(enc.buf) {
		enc.buf = append(enc.buf, p...)
		return
	}
	if enc.err == nil {
		_, enc.err = enc.w.Write(p)
	}
}

// tagAndLength writes the header of an item or a delimiter.
func (enc *encoder) tagAndLength(tag Tag, length uint32) {
	enc.room(8)
	enc.tag(tag)
	enc.buf = enc.order.AppendUint32(enc.buf, length)
}

func (enc *encoder) tag(tag Tag) {
	enc.buf = enc.order.AppendUint16(enc.buf, tag.Group())
	enc.buf = enc.order.AppendUint16(enc.buf, tag.Element())
}

// header writes the header of an element.
func (enc *encoder) header(e *Element, length int64) {
	enc.room(12)
	enc.tag(e.Tag)
	vr := enc.vr(e, length)
	switch {
	case enc.implicit:
		enc.buf = enc.order.AppendUint32(enc.buf, uint32(length))
		return
	case isShort(vr, e.form):
		enc.buf = append(enc.buf, byte(vr>>8), byte(vr))
		enc.buf = enc.order.AppendUint16(enc.buf, uint16(length))
		return
	}
	enc.buf = append(enc.buf, byte(vr>>8), byte(vr), 0, 0)
	enc.buf = enc.order.AppendUint32(enc.buf, uint32(length))
}

// vr is the VR to write: UN for what does not fit the length of the element's own.
func (enc *encoder) vr(e *Element, length int64) VR {
	if length > 0xFFFF && isShort(e.VR, e.form) {
		return dict.UN
	}
	return e.VR
}

// isShort tells whether a header has a 16-bit length.
func isShort(vr VR, form headerForm) bool {
	return !vr.Long() || form == formShort && !vr.Known()
}

// headerSize is the length of what header writes.
func (enc *encoder) headerSize(e *Element, length int64) int64 {
	if enc.implicit || isShort(enc.vr(e, length), e.form) {
		return 8
	}
	return 12
}

// dataset writes the elements of a data set or item.
func (enc *encoder) dataset(d *Dataset) {
	for _, e := range d.elements {
		if enc.err != nil {
			return
		}
		enc.element(e)
	}
}

func (enc *encoder) element(e *Element) {
	switch {
	case isSequence(e):
		enc.sequence(e)
	case e.Fragments != nil:
		enc.fragments(e)
	case e.Bulk != nil:
		enc.header(e, e.Bulk.Length)
		enc.bulk(e)
	case isGroupLength(e):
		enc.header(e, 4)
		enc.buf = enc.order.AppendUint32(enc.buf, uint32(enc.popSize()))
	default:
		enc.header(e, int64(len(e.Value)))
		enc.value(e)
	}
}

// isSequence tells whether the value of e is items, be there none.
func isSequence(e *Element) bool {
	return e.Items != nil || e.VR == dict.SQ && e.Value == nil && e.Bulk == nil && e.Fragments == nil
}

// isGroupLength tells whether e is a group length (PS3.5 §7.2) of the form that it
// should have.
func isGroupLength(e *Element) bool {
	return e.Tag.GroupLength() && e.VR == dict.UL && len(e.Value) == 4
}

func (enc *encoder) value(e *Element) {
	unit := e.VR.Unit()
	if !enc.big || unit == 1 {
		enc.bytes(e.Value)
		return
	}
	for p := e.Value; len(p) > 0 && enc.err == nil; {
		n := min(len(p), minRead)
		enc.room(n)
		at := len(enc.buf)
		enc.buf = append(enc.buf, p[:n]...)
		swapBytes(enc.buf[at:], unit)
		p = p[n:]
	}
}

// sequence writes a sequence. A UN can hold one only with undefined length and in
// implicit VR little endian.
func (enc *encoder) sequence(e *Element) {
	undefined := e.Undefined || e.VR == dict.UN && !enc.implicit
	length := int64(UndefinedLength)
	if !undefined {
		length = enc.popSize()
	}
	enc.header(e, length)
	if e.VR == dict.UN && !enc.implicit {
		defer enc.enter(true, false)()
	}
	for _, item := range e.Items {
		enc.item(item)
	}
	if undefined {
		enc.tagAndLength(dict.SequenceDelimitationItem, 0)
	}
}

func (enc *encoder) item(item *Dataset) {
	if item.Undefined {
		enc.tagAndLength(dict.Item, UndefinedLength)
		enc.dataset(item)
		enc.tagAndLength(dict.ItemDelimitationItem, 0)
		return
	}
	enc.tagAndLength(dict.Item, uint32(enc.popSize()))
	enc.dataset(item)
}

func (enc *encoder) popSize() int64 {
	n := enc.sizes[enc.next]
	enc.next++
	return n
}
