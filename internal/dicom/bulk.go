package dicom

import (
	"errors"
	"fmt"
	"io"

	"pharos/internal/dicom/dict"
)

var errNoSource = errors.New("a value is not in memory and there is no source for it")

// bulk copies the value of e from the source.
func (enc *encoder) bulk(e *Element) {
	unit := 1
	if e.bigEndian != enc.big {
		unit = e.VR.Unit()
	}
	enc.from(*e.Bulk, func(r io.Reader) error { return enc.copy(r, e.Bulk.Length, unit) })
}

// from opens a range of the source for use.
func (enc *encoder) from(at Range, use func(io.Reader) error) {
	if enc.err != nil {
		return
	}
	if enc.src == nil {
		enc.err = errNoSource
		return
	}
	r, err := enc.src(at)
	if err != nil {
		enc.err = fmt.Errorf("open bytes %d to %d: %w", at.Offset, at.End(), err)
		return
	}
	if err := use(r); err != nil && enc.err == nil {
		enc.err = fmt.Errorf("copy bytes %d to %d: %w", at.Offset, at.End(), err)
	}
	if err := r.Close(); err != nil && enc.err == nil {
		enc.err = fmt.Errorf("close bytes %d to %d: %w", at.Offset, at.End(), err)
	}
}

// copy writes n bytes of r through the buffer, swapping each unit.
func (enc *encoder) copy(r io.Reader, n int64, unit int) error {
	for n > 0 && enc.err == nil {
		enc.room(minRead)
		at := len(enc.buf)
		k := (cap(enc.buf) - at) &^ 7
		if int64(k) > n {
			k = int(n)
		}
		if _, err := io.ReadFull(r, enc.buf[at:at+k]); err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
		enc.buf = enc.buf[:at+k]
		swapBytes(enc.buf[at:], unit)
		n -= int64(k)
	}
	return enc.err
}

// fragments writes an encapsulated value.
func (enc *encoder) fragments(e *Element) {
	enc.header(e, UndefinedLength)
	rest := e.Fragments
	if e.Value != nil && len(rest) > 0 && int64(len(e.Value)) == rest[0].Length { // the Basic Offset Table
		enc.tagAndLength(dict.Item, uint32(len(e.Value)))
		enc.bytes(e.Value)
		rest = rest[1:]
	}
	for len(rest) > 0 && enc.err == nil {
		n := adjacent(rest)
		enc.run(rest[:n])
		rest = rest[n:]
	}
	enc.tagAndLength(dict.SequenceDelimitationItem, 0)
}

// adjacent is how many of the fragments, from the first, follow each other in the
// source with nothing but an item header between: they are copied as one range.
func adjacent(fragments []Range) int {
	n := 1
	for n < len(fragments) && fragments[n].Offset == fragments[n-1].End()+8 {
		n++
	}
	return n
}

// run copies adjacent fragments.
func (enc *encoder) run(fragments []Range) {
	first, last := fragments[0], fragments[len(fragments)-1]
	if len(fragments) == 1 && first.Length == 0 {
		enc.tagAndLength(dict.Item, 0)
		return
	}
	all := Range{Offset: first.Offset, Length: last.End() - first.Offset}
	enc.from(all, func(r io.Reader) error {
		for i, f := range fragments {
			if i > 0 {
				if _, err := io.CopyN(io.Discard, r, 8); err != nil {
					return err
				}
			}
			enc.tagAndLength(dict.Item, uint32(f.Length))
			if err := enc.copy(r, f.Length, 1); err != nil {
				return err
			}
		}
		return nil
	})
}
