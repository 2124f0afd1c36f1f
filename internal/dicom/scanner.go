package dicom

import (
	"encoding/binary"
	"errors"
	"io"

	"math"
	"pharos/internal/dicom/dict"
)

// Kind tells what a Token is.
type Kind uint8

// The kinds of token, in the order in which they can come.
const (
	ElementToken   Kind = iota + 1 // an element with a value of defined length
	SequenceStart                  // SQ, or UN of undefined length
	ItemStart                      // an item of a sequence
	ItemEnd                        // after its last element, be its length defined or not
	SequenceEnd                    // after its last item
	FragmentsStart                 // encapsulated pixel data, value of undefined length that is no sequence
	FragmentToken                  // one item of it, the Basic Offset Table first
	FragmentsEnd
)

// Token is a step of a Scanner.
type Token struct {
	Kind   Kind
	Tag    Tag    // of the element or sequence; (FFFE,E000) for items and fragments
	VR     VR     // as on the wire, or by the dictionary in implicit VR
	Depth  int    // how many sequences are open around it: 0 for the elements of the outermost data set, 1 for an item of its sequences and the elements in there
	Offset int64  // of the header
	Value  int64  // of the value, behind the header
	Length uint32 // of the value in bytes as declared; UndefinedLength where it is so

	form headerForm
}

// noLimit is the end of the outermost data set, which nothing declares.
const noLimit = math.MaxInt64

// frame is something open: the outermost data set, a sequence, an item or fragments.
type frame struct {
	kind      frameKind
	undefined bool // its length is undefined
	implicit  bool // encoding of what is inside
	bigEndian bool
	tag       Tag   // of the sequence
	last      Tag   // the last element begun inside
	limit     int64 // offset that nothing inside may pass: its own end, or the nearest one around it
}

type frameKind uint8

const (
	elementsFrame frameKind = iota // the outermost data set or an item
	itemsFrame                     // a sequence
	fragmentsFrame
)

func (f *frame) order() binary.ByteOrder {
	if f.bigEndian {
		return binary.BigEndian
	}
	return binary.LittleEndian
}

// Scanner walks an encoded data set without loading it. Offsets count from the base
// given to NewScanner. In a deflated syntax they count inflated bytes, while the tee
// gets the deflated ones: those that the inflater has consumed, which is ahead of the
// elements that came out of it, and all of them in the end.
//
// What the field produces is accepted where its meaning is plain: delimiters that end
// nothing, delimiters with a length, a sequence or item of undefined length that ends
// with what is around it instead of a delimiter, a last item that claims to be longer
// than its sequence of defined length (it ends with the sequence), elements out of order or twice, group
// lengths that are wrong, odd lengths, VRs of letters that do not exist or with the
// other form of length, single elements without VR in explicit VR, a UN sequence that
// goes on in explicit VR, and zero bytes behind the last element.
type Scanner struct {
	in      *input // of the data set, inflated
	raw     *input // what in inflates, or nil
	limits  Limits
	stack   []frame
	depth   int   // sequences open
	count   int   // elements, items and fragments so far
	pending int64 // bytes of the current value that are not consumed
	tok     Token // the last one
	err     error
}

// NewScanner starts at the first element of a data set that lies base bytes into its
// file. Everything consumed is also written to tee, unless that is nil; an error of
// tee ends the scan. What is consumed reaches tee in large slices, at the latest with
// the error or io.EOF that ends the scan.
func NewScanner(r io.Reader, ts TransferSyntax, base int64, limits Limits, tee io.Writer) *Scanner {
	return newScanner(newInput(r, base, tee), ts, limits.withDefaults())
}

// newScanner starts where in stands.
func newScanner(in *input, ts TransferSyntax, limits Limits) *Scanner {
	s := &Scanner{in: in, limits: limits, stack: make([]frame, 1, 8)}
	s.stack[0] = frame{implicit: ts.Implicit, bigEndian: ts.BigEndian, undefined: true, limit: noLimit}
	if ts.Deflated {
		s.raw = in
		s.in = newInput(newInflater(in, limits.Inflated), in.offset(), nil)
	}
	return s
}

// Next steps to the next token, skipping the value of the current one unless it was
// loaded. It returns io.EOF after the last element at depth 0, and a *SyntaxError
// for what cannot be read; the same error again after that.
func (s *Scanner) Next() (Token, error) {
	if s.err != nil {
		return Token{}, s.err
	}
	if err := s.step(); err != nil {
		s.fail(err)
		return Token{}, s.err
	}
	return s.tok, nil
}

// Load returns the value of the current element or fragment, in the byte order of the
// file. It is ErrTooLarge, and the value is still there to be skipped, when the value
// is longer than max. The bytes are the caller's.
func (s *Scanner) Load(max int64) ([]byte, error) {
	if s.err != nil {
		return nil, s.err
	}
	if s.pending > max {
		return nil, ErrTooLarge
	}
	if s.pending == 0 {
		return nil, nil
	}
	if s.pending <= bufferSize {
		return s.loadInto(make([]byte, s.pending))
	}
	return s.loadGrowing()
}

// Offset is the number of bytes consumed so far, counted from the start of the file.
func (s *Scanner) Offset() int64 { return s.in.offset() }

// Release gives the scanner's buffers back for reuse, after writing to tee what is due.
// It need not be called after an error or io.EOF. The scan cannot go on after it.
func (s *Scanner) Release() {
	if s.err == nil {
		s.fail(io.ErrClosedPipe)
	}
}

// loadInto fills p, which is as long as the value.
func (s *Scanner) loadInto(p []byte) ([]byte, error) {
	err := s.in.read(p)
	s.pending = 0
	if err != nil {
		s.fail(err)
		return nil, s.err
	}
	return p, nil
}

// loadGrowing takes memory as bytes arrive, not as the length declares.
func (s *Scanner) loadGrowing() ([]byte, error) {
	var p []byte
	for total, chunk := s.pending, int64(bufferSize); int64(len(p)) < total; chunk *= 2 {
		n := min(chunk, total-int64(len(p)))
		next := make([]byte, int64(len(p))+n)
		copy(next, p)
		if err := s.in.read(next[len(p):]); err != nil {
			s.fail(err)
			return nil, s.err
		}
		p = next
	}
	s.pending = 0
	return p, nil
}

// fail ends the scan: tee gets what is due, and the buffers go back.
func (s *Scanner) fail(err error) {
	s.flush()
	if fault := s.source().fault; fault != nil {
		err = fault
	}
	s.err = s.located(err)
	s.release()
}

// located says where an error happened.
func (s *Scanner) located(err error) error {
	var located *SyntaxError
	if errors.Is(err, io.EOF) || errors.As(err, &located) {
		return err
	}
	return &SyntaxError{Tag: s.tok.Tag, Offset: s.in.offset(), Err: err}
}

// malformed is an error about the header of tag at the scanner's place.
func (s *Scanner) malformed(tag Tag, detail string) error {
	return &SyntaxError{Tag: tag, Offset: s.in.offset(), Err: ErrMalformed, Detail: detail}
}

func (s *Scanner) tooLarge(tag Tag, detail string) error {
	return &SyntaxError{Tag: tag, Offset: s.in.offset(), Err: ErrTooLarge, Detail: detail}
}

// source is where the bytes of the file come from: what a tee listens to.
func (s *Scanner) source() *input {
	if s.raw != nil {
		return s.raw
	}
	return s.in
}

func (s *Scanner) flush()             { s.source().flush() }
func (s *Scanner) setTee(w io.Writer) { s.source().setTee(w) }

func (s *Scanner) release() {
	s.in.release()
	if s.raw != nil {
		s.raw.release()
	}
}

func (s *Scanner) top() *frame { return &s.stack[len(s.stack)-1] }

// step makes s.tok the next token.
func (s *Scanner) step() error {
	if err := s.skipValue(); err != nil {
		return err
	}
	switch f := s.top(); f.kind {
	case itemsFrame:
		return s.nextItem(f)
	case fragmentsFrame:
		return s.nextFragment(f)
	default:
		return s.nextElement(f)
	}
}

// peekTag looks at the tag of the next element of the outermost data set, skipping the
// current value and delimiters that end nothing. It is not ok at the end and where an
// error is due from Next.
func (s *Scanner) peekTag() (tag Tag, ok bool) {
	if s.err != nil || len(s.stack) > 1 {
		return 0, false
	}
	if err := s.skipValue(); err != nil {
		s.fail(err)
		return 0, false
	}
	for {
		h := s.in.peek(8)
		if len(h) < 8 {
			return 0, false
		}
		order := s.stack[0].order()
		tag := Tag(order.Uint16(h))<<16 | Tag(order.Uint16(h[2:]))
		switch {
		case tag == dict.ItemDelimitationItem || tag == dict.SequenceDelimitationItem:
			s.in.take(8)
		case tag == 0 && binary.LittleEndian.Uint64(h) == 0:
			return 0, false
		default:
			return tag, true
		}
	}
}

// skipValue consumes what is left of the current value.
func (s *Scanner) skipValue() error {
	if s.pending == 0 {
		return nil
	}
	n := s.pending
	s.pending = 0
	return s.in.skip(n)
}

// nextElement reads an element of a data set or finds its end.
func (s *Scanner) nextElement(f *frame) error {
	for {
		if s.in.offset() >= f.limit {
			return s.endItem()
		}
		h := s.in.peek(12)
		if len(h) < 8 {
			return s.endOfInput(h)
		}
		order := f.order()
		tag := Tag(order.Uint16(h))<<16 | Tag(order.Uint16(h[2:]))
		if tag.Group() == 0xFFFE {
			again, err := s.delimiterAmongElements(f, tag)
			if again {
				continue
			}
			return err
		}
		if tag == 0 && len(s.stack) == 1 && binary.LittleEndian.Uint64(h) == 0 {
			return s.trailingZeroes()
		}
		return s.beginElement(f, tag, h)
	}
}

// delimiterAmongElements deals with a tag of group FFFE where an element should be.
// again tells that it was consumed and means nothing.
func (s *Scanner) delimiterAmongElements(f *frame, tag Tag) (again bool, err error) {
	inUndefinedItem := len(s.stack) > 1 && f.undefined
	switch {
	case tag == dict.ItemDelimitationItem && inUndefinedItem:
		if err := s.checkRoom(f, tag, 8); err != nil {
			return false, err
		}
		s.in.take(8)
		return false, s.endItem()
	case inUndefinedItem && (tag == dict.SequenceDelimitationItem || tag == dict.Item):
		return false, s.endItem() // its own delimiter is missing
	case tag == dict.ItemDelimitationItem || tag == dict.SequenceDelimitationItem:
		if err := s.checkRoom(f, tag, 8); err != nil {
			return false, err
		}
		s.in.take(8) // it ends nothing
		return true, nil
	}
	return false, s.malformed(tag, "an item outside of a sequence")
}

// checkRoom makes sure that a header of n bytes fits.
func (s *Scanner) checkRoom(f *frame, tag Tag, n int64) error {
	if s.in.offset()+n > f.limit {
		return s.malformed(tag, "the header passes the end of what it lies in")
	}
	return nil
}

// endItem closes an item of a sequence.
func (s *Scanner) endItem() error {
	at := s.in.offset()
	s.tok = Token{Kind: ItemEnd, Tag: dict.Item, Depth: s.depth, Offset: at, Value: at}
	s.stack = s.stack[:len(s.stack)-1]
	return nil
}

// endOfInput decides what less than a header means: nothing is the end, at depth 0.
func (s *Scanner) endOfInput(rest []byte) error {
	if s.in.fault != nil || !errors.Is(s.in.err, io.EOF) {
		return s.in.ended()
	}
	if len(s.stack) > 1 {
		return ErrTruncated
	}
	for _, b := range rest {
		if b != 0 {
			return ErrTruncated
		}
	}
	s.in.take(len(rest))
	return io.EOF
}

// trailingZeroes consumes padding that is no element: zero bytes to the end.
func (s *Scanner) trailingZeroes() error {
	for {
		b := s.in.peek(minRead)
		if len(b) == 0 {
			return s.endOfInput(nil)
		}
		for i := range b {
			if b[i] != 0 {
				return s.malformed(0, "bytes behind zero padding")
			}
		}
		s.in.take(len(b))
	}
}

// nextItem reads the header of an item or finds the end of the sequence.
func (s *Scanner) nextItem(f *frame) error {
	for {
		if s.in.offset() >= f.limit {
			return s.endSequence(f, SequenceEnd)
		}
		tag, length, err := s.itemHeader(f)
		if err != nil {
			return err
		}
		switch {
		case tag == dict.Item:
			return s.beginItem(f, length)
		case tag == dict.SequenceDelimitationItem && f.undefined:
			s.in.take(8)
			return s.endSequence(f, SequenceEnd)
		case tag == dict.SequenceDelimitationItem || tag == dict.ItemDelimitationItem:
			s.in.take(8) // it ends nothing
		default:
			return s.malformed(tag, "not an item in a sequence")
		}
	}
}

// itemHeader looks at the tag and length of what should be an item or a delimiter.
func (s *Scanner) itemHeader(f *frame) (Tag, uint32, error) {
	h := s.in.peek(8)
	if len(h) < 8 {
		return 0, 0, s.in.ended()
	}
	order := f.order()
	tag := Tag(order.Uint16(h))<<16 | Tag(order.Uint16(h[2:]))
	return tag, order.Uint32(h[4:]), s.checkRoom(f, tag, 8)
}

func (s *Scanner) beginItem(f *frame, length uint32) error {
	at := s.in.offset()
	inner := frame{undefined: length == UndefinedLength, implicit: f.implicit, bigEndian: f.bigEndian, tag: f.tag, limit: f.limit}
	if !inner.undefined {
		inner.limit = at + 8 + int64(length)
		if inner.limit > f.limit && f.undefined {
			return s.malformed(f.tag, "an item passes the end of what its sequence lies in")
		}
		inner.limit = min(inner.limit, f.limit)
	}
	if err := s.countOne(dict.Item); err != nil {
		return err
	}
	s.in.take(8)
	s.tok = Token{Kind: ItemStart, Tag: dict.Item, Depth: s.depth, Offset: at, Value: at + 8, Length: length}
	s.stack = append(s.stack, inner)
	return nil
}

// endSequence closes a sequence or the fragments of a value.
func (s *Scanner) endSequence(f *frame, kind Kind) error {
	at := s.in.offset()
	if kind == SequenceEnd {
		s.depth--
	}
	s.tok = Token{Kind: kind, Tag: f.tag, Depth: s.depth, Offset: at, Value: at}
	s.stack = s.stack[:len(s.stack)-1]
	return nil
}

// nextFragment reads the header of a fragment or finds the end of the value.
func (s *Scanner) nextFragment(f *frame) error {
	if s.in.offset() >= f.limit {
		return s.endSequence(f, FragmentsEnd)
	}
	tag, length, err := s.itemHeader(f)
	if err != nil {
		return err
	}
	at := s.in.offset()
	switch {
	case tag == dict.SequenceDelimitationItem:
		s.in.take(8)
		return s.endSequence(f, FragmentsEnd)
	case tag != dict.Item:
		return s.malformed(tag, "not a fragment in an encapsulated value")
	case length == UndefinedLength:
		return s.malformed(f.tag, "a fragment of undefined length")
	case at+8+int64(length) > f.limit:
		return s.malformed(f.tag, "a fragment passes the end of what it lies in")
	}
	if err := s.countOne(f.tag); err != nil {
		return err
	}
	s.in.take(8)
	s.pending = int64(length)
	s.tok = Token{Kind: FragmentToken, Tag: dict.Item, Depth: s.depth, Offset: at, Value: at + 8, Length: length}
	return nil
}

// countOne counts an element, item or fragment against the limit.
func (s *Scanner) countOne(tag Tag) error {
	if s.count++; s.count > s.limits.Elements {
		return s.tooLarge(tag, "too many elements")
	}
	return nil
}
