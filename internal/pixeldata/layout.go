package pixeldata

import (
	"encoding/binary"
	"errors"
	"math"

	"pharos/internal/dicom"
	"pharos/internal/dicom/dict"
)

// ErrNoFrame says that the instance has no such frame.
var ErrNoFrame = errors.New("no such frame")

// errPacked says that packed bytes are not a layout: the index is damaged.
var errPacked = errors.New("packed layout is malformed")

// Layout tells where the pixels of one instance lie in its PS3.10 file.
type Layout struct {
	// DatasetOffset is where the data set begins, behind the File Meta Information.
	DatasetOffset int64
	// HeaderLength is how many bytes from the start of the file hold the elements
	// before the pixel data, or the whole file when it has none.
	HeaderLength int64
	// Pixels is the value of the pixel data element; for encapsulated pixel data from
	// the first item after the Basic Offset Table to the last byte of the last
	// fragment.
	Pixels dicom.Range
	// FrameBits is the size of one native frame; frames follow each other without
	// padding, so those of one bit per pixel may begin inside a byte (PS3.5 §8.1.1).
	FrameBits int64

	frames    int
	fragments []int64 // lengths; their items follow each other, 8 bytes of header before each
	perFrame  []int   // number of fragments of each frame; nil when each has one
}

// itemHeader is the size of an item's tag and length before each fragment.
const itemHeader = 8

// maxFrameBits refuses frames of more than 1 TiB, which no legal combination of Rows,
// Columns and depth needs and which could overflow.
const maxFrameBits = 1 << 43

// NewLayout notes where the frames are, from a header whose pixel data was reported as
// a range or as fragments. fileSize is the length of the file. A header that makes no
// sense (impossible sizes, fragments that can't be assigned to frames) yields a
// layout without frames: the instance is kept, and its file can still be retrieved.
func NewLayout(header *dicom.Dataset, fileSize int64) Layout {
	l := Layout{HeaderLength: fileSize}
	pixels := pixelData(header)
	switch {
	case pixels == nil:
	case len(pixels.Fragments) > 0:
		l.encapsulated(header, pixels)
	case pixels.Bulk != nil:
		l.native(header, *pixels.Bulk)
	}
	return l
}

// pixelData returns the one element of a header that holds pixels (PS3.3 §C.7.6.3).
func pixelData(header *dicom.Dataset) *dicom.Element {
	for _, tag := range [...]dicom.Tag{dict.PixelData, dict.FloatPixelData, dict.DoubleFloatPixelData} {
		if e := header.Get(tag); e != nil {
			return e
		}
	}
	return nil
}

func (l *Layout) native(header *dicom.Dataset, value dicom.Range) {
	l.HeaderLength, l.Pixels = value.Offset, value
	l.FrameBits = frameBits(header)
	if l.FrameBits == 0 {
		return
	}
	there := value.Length * 8 / l.FrameBits
	l.frames = int(min(there, declaredFrames(header)))
}

// frameBits is the size of a native frame, or 0 when the header makes no sense.
func frameBits(header *dicom.Dataset) int64 {
	rows, _ := header.Int(dict.Rows)
	columns, _ := header.Int(dict.Columns)
	allocated, _ := header.Int(dict.BitsAllocated)
	samples, ok := header.Int(dict.SamplesPerPixel)
	if !ok {
		samples = 1
	}
	if rows <= 0 || columns <= 0 || samples <= 0 || samples > 4 || allocated <= 0 || allocated > 64 {
		return 0
	}
	switch header.Text(dict.PhotometricInterpretation) {
	case "YBR_FULL_422", "YBR_PARTIAL_422":
		samples = 2 // every other chroma sample is left out (PS3.3 §C.7.6.3.1.2)
	}
	bits := rows * columns * samples * allocated
	if rows > math.MaxUint16 || columns > math.MaxUint16 || bits > maxFrameBits {
		return 0
	}
	return bits
}

// declaredFrames is Number of Frames, at least 1.
func declaredFrames(header *dicom.Dataset) int64 {
	if n, ok := header.Int(dict.NumberOfFrames); ok && n > 0 {
		return n
	}
	return 1
}

func (l *Layout) encapsulated(header *dicom.Dataset, pixels *dicom.Element) {
	table, fragments := pixels.Fragments[0], pixels.Fragments[1:]
	l.HeaderLength = table.Offset
	l.Pixels.Offset = table.End()
	if len(fragments) == 0 {
		return
	}
	l.Pixels.Length = fragments[len(fragments)-1].End() - l.Pixels.Offset
	l.fragments = make([]int64, len(fragments))
	next := l.Pixels.Offset
	for i, f := range fragments {
		if f.Offset != next+itemHeader {
			l.fragments = nil // not contiguous: nothing that can be served by range
			return
		}
		l.fragments[i] = f.Length
		next = f.End()
	}
	l.assign(declaredFrames(header), offsetTable(header, pixels))
}

// offsetTable returns where frames begin, counted from the first item after the Basic
// Offset Table: from the Extended Offset Table (PS3.3 §C.7.6.3.1.8) or the basic one.
func offsetTable(header *dicom.Dataset, pixels *dicom.Element) []int64 {
	var offsets []int64
	if extended := header.Bytes(dict.ExtendedOffsetTable); len(extended) >= 8 {
		for ; len(extended) >= 8; extended = extended[8:] {
			offsets = append(offsets, int64(binary.LittleEndian.Uint64(extended)))
		}
		return offsets
	}
	for basic := pixels.Value; len(basic) >= 4; basic = basic[4:] {
		offsets = append(offsets, int64(binary.LittleEndian.Uint32(basic)))
	}
	return offsets
}

// assign decides which fragments make up which frame. A table that does not fit the
// fragments is ignored.
func (l *Layout) assign(frames int64, table []int64) {
	switch {
	case int64(len(l.fragments)) == frames:
		l.frames = len(l.fragments)
	case frames == 1:
		l.frames, l.perFrame = 1, []int{len(l.fragments)}
	case int64(len(table)) == frames:
		if counts := l.split(table); counts != nil {
			l.frames, l.perFrame = len(counts), counts
		}
	}
}

// split counts the fragments between the offsets of a table; nil when an offset is not
// the beginning of a fragment or the offsets do not ascend.
func (l *Layout) split(table []int64) []int {
	counts := make([]int, 0, len(table))
	at, frame := int64(0), 0
	for _, length := range l.fragments {
		if frame < len(table) && table[frame] == at {
			counts = append(counts, 0)
			frame++
		}
		if frame == 0 {
			return nil
		}
		counts[frame-1]++
		at += itemHeader + length
	}
	if frame != len(table) {
		return nil
	}
	return counts
}

// Frames is the number of frames that can be read.
func (l *Layout) Frames() int { return l.frames }

// Encapsulated reports whether the pixel data is in fragments.
func (l *Layout) Encapsulated() bool { return l.fragments != nil }

// Frame returns the ranges of the file that make up frame n, counted from 1. For
// native frames that begin inside a byte, shift is the number of low bits of the first
// byte that belong to the frame before. ErrNoFrame.
func (l *Layout) Frame(n int) (ranges []dicom.Range, shift int, err error) {
	if n < 1 || n > l.frames {
		return nil, 0, ErrNoFrame
	}
	if l.Encapsulated() {
		return l.frameFragments(n - 1), 0, nil
	}
	first := l.FrameBits * int64(n-1)
	end := (first + l.FrameBits + 7) / 8
	r := dicom.Range{Offset: l.Pixels.Offset + first/8, Length: end - first/8}
	return []dicom.Range{r}, int(first % 8), nil
}

func (l *Layout) frameFragments(frame int) []dicom.Range {
	from, count := frame, 1
	if l.perFrame != nil {
		from, count = 0, l.perFrame[frame]
		for _, c := range l.perFrame[:frame] {
			from += c
		}
	}
	at := l.Pixels.Offset
	for _, length := range l.fragments[:from] {
		at += itemHeader + length
	}
	ranges := make([]dicom.Range, count)
	for i := range ranges {
		length := l.fragments[from+i]
		ranges[i] = dicom.Range{Offset: at + itemHeader, Length: length}
		at += itemHeader + length
	}
	return ranges
}

// The kinds of packed layout, its first byte. The format is one of variable-length
// integers (encoding/binary's uvarint) and may change only under a new kind, since
// indexes keep it.
const (
	packedBare     = 1 // no frames: DatasetOffset, HeaderLength, Pixels
	packedNative   = 2 // the same, FrameBits, frames
	packedSingles  = 3 // the same, lengths of one fragment per frame
	packedMultiple = 4 // the same, number of frames, counts, lengths
)

// Pack encodes the layout: about 12 bytes, and 2 to 4 more for each fragment.
func (l *Layout) Pack() []byte {
	kind := byte(packedBare)
	switch {
	case l.frames == 0:
	case !l.Encapsulated():
		kind = packedNative
	case l.perFrame == nil:
		kind = packedSingles
	default:
		kind = packedMultiple
	}
	b := binary.AppendUvarint([]byte{kind}, uint64(l.DatasetOffset))
	b = binary.AppendUvarint(b, uint64(l.HeaderLength))
	b = binary.AppendUvarint(b, uint64(l.Pixels.Offset))
	b = binary.AppendUvarint(b, uint64(l.Pixels.Length))
	switch kind {
	case packedNative:
		b = binary.AppendUvarint(b, uint64(l.FrameBits))
		b = binary.AppendUvarint(b, uint64(l.frames))
	case packedMultiple:
		b = binary.AppendUvarint(b, uint64(l.frames))
		for _, c := range l.perFrame {
			b = binary.AppendUvarint(b, uint64(c))
		}
	}
	if kind >= packedSingles {
		for _, length := range l.fragments {
			b = binary.AppendUvarint(b, uint64(length))
		}
	}
	return b
}

// Unpack decodes what Pack made.
func Unpack(packed []byte) (Layout, error) {
	var l Layout
	if len(packed) == 0 {
		return l, errPacked
	}
	in := unpacker{rest: packed[1:]}
	l.DatasetOffset, l.HeaderLength = in.next(), in.next()
	l.Pixels = dicom.Range{Offset: in.next(), Length: in.next()}
	switch packed[0] {
	case packedBare:
	case packedNative:
		l.FrameBits = in.next()
		l.frames = int(in.next())
		if l.FrameBits <= 0 || int64(l.frames) > l.Pixels.Length*8/l.FrameBits {
			return Layout{}, errPacked
		}
	case packedSingles:
		l.fragments = in.all()
		l.frames = len(l.fragments)
	case packedMultiple:
		if err := l.unpackMultiple(&in); err != nil {
			return Layout{}, err
		}
	default:
		return Layout{}, errPacked
	}
	if in.bad {
		return Layout{}, errPacked
	}
	return l, nil
}

func (l *Layout) unpackMultiple(in *unpacker) error {
	frames := in.next()
	if frames > int64(len(in.rest)) {
		return errPacked
	}
	l.frames = int(frames)
	l.perFrame = make([]int, frames)
	total := int64(0)
	for i := range l.perFrame {
		count := in.next()
		if count > int64(len(in.rest)) {
			return errPacked
		}
		l.perFrame[i] = int(count)
		total += count
	}
	l.fragments = in.all()
	if total != int64(len(l.fragments)) {
		return errPacked
	}
	return nil
}

// unpacker reads numbers until they run out.
type unpacker struct {
	rest []byte
	bad  bool
}

func (u *unpacker) next() int64 {
	v, n := binary.Uvarint(u.rest)
	if n <= 0 || v > math.MaxInt64 {
		u.bad = true
		return 0
	}
	u.rest = u.rest[n:]
	return int64(v)
}

func (u *unpacker) all() []int64 {
	var values []int64
	for len(u.rest) > 0 && !u.bad {
		values = append(values, u.next())
	}
	return values
}
