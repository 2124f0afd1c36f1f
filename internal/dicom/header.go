package dicom

import (
	"encoding/binary"

	"pharos/internal/dicom/dict"
)

// headerForm is how the header of an element was written.
type headerForm uint8

const (
	formProper headerForm = iota // as PS3.5 §7.1 says for its VR
	formShort                    // with a 16-bit length although the VR has a 32-bit one, or is unknown
)

// header is what the first bytes of an element say.
type header struct {
	vr     VR
	size   int // of the header itself: 8 or 12
	length uint32
	form   headerForm
}

// lookAhead bounds how far away the next header may be for it to have a say in how an
// odd header is read.
const lookAhead = 32 << 10

// beginElement reads the header of an element, of which h has the first 8 to 12 bytes.
func (s *Scanner) beginElement(f *frame, tag Tag, h []byte) error {
	hd, err := s.readHeader(f, tag, h)
	if err != nil {
		return err
	}
	at := s.in.offset()
	value := at + int64(hd.size)
	switch {
	case value > f.limit:
		return s.malformed(tag, "the header passes the end of what it lies in")
	case hd.length != UndefinedLength && value+int64(hd.length) > f.limit:
		return s.malformed(tag, "the value passes the end of what it lies in")
	}
	if err := s.countOne(tag); err != nil {
		return err
	}
	f.last = tag
	s.tok = Token{Kind: ElementToken, Tag: tag, VR: hd.vr, Depth: s.depth, Offset: at, Value: value, Length: hd.length, form: hd.form}
	s.in.take(hd.size)
	switch {
	case hd.length == UndefinedLength && encapsulates(tag, hd.vr, f.implicit):
		s.tok.Kind = FragmentsStart
		if f.implicit {
			s.tok.VR = dict.OB // PS3.5 §A.4; the dictionary means native pixel data
		}
		s.stack = append(s.stack, frame{kind: fragmentsFrame, undefined: true, bigEndian: f.bigEndian, tag: tag, limit: f.limit})
	case hd.length == UndefinedLength || hd.vr == dict.SQ && s.holdsItems(f, hd.length):
		return s.beginSequence(f, tag, hd)
	default:
		if hd.vr == dict.SQ {
			s.tok.VR = dict.UN
		}
		s.pending = int64(hd.length)
	}
	return nil
}

// encapsulates tells whether a value of undefined length is made of fragments rather
// than of items. In implicit VR only pixel data can be: the VR is a guess there.
func encapsulates(tag Tag, vr VR, implicit bool) bool {
	switch tag {
	case dict.PixelData, dict.FloatPixelData, dict.DoubleFloatPixelData:
		return vr != dict.SQ
	}
	return !implicit && vr != dict.SQ && vr != dict.UN
}

// holdsItems tells whether the value behind a header of VR SQ is one. In implicit VR
// the dictionary may be wrong about it: then it is bytes of unknown meaning.
func (s *Scanner) holdsItems(f *frame, length uint32) bool {
	if !f.implicit || length == 0 {
		return true
	}
	h := s.in.peek(4)
	return len(h) < 4 || length >= 8 && binary.LittleEndian.Uint16(h) == 0xFFFE
}

// beginSequence opens a sequence, whose header is consumed. A UN of undefined length
// goes on in implicit VR little endian (PS3.5 §6.2.2, note), unless it plainly does not.
func (s *Scanner) beginSequence(f *frame, tag Tag, hd header) error {
	if s.depth >= s.limits.Depth {
		return s.tooLarge(tag, "sequences are nested too deep")
	}
	inner := frame{kind: itemsFrame, undefined: hd.length == UndefinedLength, implicit: f.implicit, bigEndian: f.bigEndian, tag: tag, limit: f.limit}
	if !inner.undefined {
		inner.limit = s.in.offset() + int64(hd.length)
	}
	if !f.implicit && hd.vr == dict.UN && !s.explicitInside(f) {
		inner.implicit, inner.bigEndian = true, false
	}
	s.tok.Kind = SequenceStart
	s.stack = append(s.stack, inner)
	s.depth++
	return nil
}

// explicitInside tells whether the first element of the first item has a VR: vendors
// write UN sequences in the syntax of what is around them.
func (s *Scanner) explicitInside(f *frame) bool {
	b := s.in.peek(16)
	if len(b) < 16 {
		return false
	}
	order := f.order()
	item := Tag(order.Uint16(b))<<16 | Tag(order.Uint16(b[2:]))
	vr := dict.MakeVR(b[12], b[13])
	if item != dict.Item || !vr.Known() {
		return false
	}
	return !vr.Long() || b[14] == 0 && b[15] == 0
}

// readHeader understands a header in the encoding of the frame.
func (s *Scanner) readHeader(f *frame, tag Tag, h []byte) (header, error) {
	if f.implicit {
		return header{vr: dict.VROf(tag), size: 8, length: f.order().Uint32(h[4:])}, nil
	}
	vr := dict.MakeVR(h[4], h[5])
	switch {
	case !vr.Known():
		return s.guessHeader(f, tag, h)
	case !vr.Long():
		return header{vr: vr, size: 8, length: uint32(f.order().Uint16(h[6:]))}, nil
	case len(h) < 12:
		return header{}, s.in.ended()
	case h[6] == 0 && h[7] == 0:
		return header{vr: vr, size: 12, length: f.order().Uint32(h[8:])}, nil
	}
	return s.guessHeader(f, tag, h)
}

// guessHeader reads the header of an element in explicit VR whose VR does not exist or
// whose reserved bytes are not zero. The form is taken behind which something sensible
// follows, or else the one that the standard says.
func (s *Scanner) guessHeader(f *frame, tag Tag, h []byte) (header, error) {
	order := f.order()
	vr := dict.MakeVR(h[4], h[5])
	short := header{vr: vr, size: 8, length: uint32(order.Uint16(h[6:])), form: formShort}
	without := header{vr: dict.VROf(tag), size: 8, length: order.Uint32(h[4:])}
	forms := make([]header, 0, 3)
	if len(h) >= 12 && (h[6] == 0 && h[7] == 0 || vr.Known()) {
		forms = append(forms, header{vr: vr, size: 12, length: order.Uint32(h[8:])})
	}
	forms = append(forms, short)
	if !vr.Known() {
		forms = append(forms, without)
	}
	for _, hd := range forms {
		if s.followed(f, tag, hd) {
			return hd, nil
		}
	}
	best := short
	if forms[0].size == 12 && letters(vr) {
		best = forms[0]
	}
	if s.in.offset()+int64(best.size)+int64(best.length) > f.limit {
		return header{}, s.malformed(tag, "the VR is not known and the length makes no sense")
	}
	return best, nil
}

// blank stands where a writer had no VR.
const blank = VR(' '<<8 | ' ')

// letters tells whether an unknown VR could be one of a later edition of the standard.
func letters(vr VR) bool {
	a, b := byte(vr>>8), byte(vr)
	return a >= 'A' && a <= 'Z' && b >= 'A' && b <= 'Z'
}

// followed tells whether behind an element with this header comes something that can
// stand there: the end of what it lies in, a delimiter or an element with a higher tag.
func (s *Scanner) followed(f *frame, tag Tag, hd header) bool {
	if hd.length == UndefinedLength {
		return s.followedByItem(f, hd.size)
	}
	size := int64(hd.size) + int64(hd.length)
	switch end := s.in.offset() + size; {
	case end == f.limit:
		return true
	case end > f.limit || size > lookAhead:
		return false
	}
	b := s.in.peek(int(size) + 8)
	if len(b) == int(size) {
		return len(s.stack) == 1
	}
	if len(b) < int(size)+8 {
		return false
	}
	h := b[size:]
	order := f.order()
	next := Tag(order.Uint16(h))<<16 | Tag(order.Uint16(h[2:]))
	if next.Group() == 0xFFFE {
		return len(s.stack) > 1 && f.undefined
	}
	vr := dict.MakeVR(h[4], h[5])
	return next > tag && (vr.Known() || vr == blank || vr == dict.MakeVR(b[4], b[5]))
}

func (s *Scanner) followedByItem(f *frame, size int) bool {
	b := s.in.peek(size + 4)
	if len(b) < size+4 {
		return false
	}
	order := f.order()
	t := Tag(order.Uint16(b[size:]))<<16 | Tag(order.Uint16(b[size+2:]))
	return t == dict.Item || t == dict.SequenceDelimitationItem
}
