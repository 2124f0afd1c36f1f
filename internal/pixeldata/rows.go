package pixeldata

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
)

// line is one row of samples: bits are the stored bits as unsigned numbers; reals are
// the values themselves, of a format that is wide.
type line struct {
	bits  []uint32
	reals []float64
}

// cut returns the samples from from up to to.
func (l line) cut(from, to int) line {
	if l.reals != nil {
		return line{reals: l.reals[from:to]}
	}
	return line{bits: l.bits[from:to]}
}

// rowReader reads a native frame row by row; of planes, all rows of the first and so on.
type rowReader struct {
	f     *format
	in    *bufio.Reader
	cells []byte // of a row, as stored
	line  line
	order binary.ByteOrder

	// For cells that are no whole bytes, and may go on from row to row.
	pending uint64 // bits that are read and not used
	have    uint   // how many
}

// rowBuffer is how much is asked of the source at a time.
const rowBuffer = 64 << 10

func newRowReader(f *format, r io.Reader) *rowReader {
	if f.swapped {
		r = &pairSwapper{r: r}
	}
	in := &rowReader{f: f, in: bufio.NewReaderSize(r, rowBuffer), order: binary.LittleEndian}
	if f.bigEndian {
		in.order = binary.BigEndian
	}
	if !in.packed() {
		in.cells = make([]byte, f.perRow()*int(f.allocated)/8)
	}
	if f.wide() {
		in.line.reals = make([]float64, f.columns)
	}
	if !f.wide() || f.numbers == integers {
		in.line.bits = make([]uint32, f.columns*f.perPixel())
	}
	return in
}

// packed reports whether cells are not whole bytes.
func (r *rowReader) packed() bool {
	switch r.f.allocated {
	case 8, 16, 32, 64:
		return false
	}
	return true
}

// skip passes over rows.
func (r *rowReader) skip(rows int) error {
	if !r.packed() {
		_, err := io.CopyN(io.Discard, r.in, int64(rows)*int64(len(r.cells)))
		return ended(err)
	}
	for range rows {
		if err := r.unpack(); err != nil {
			return err
		}
	}
	return nil
}

// next reads a row. It is valid until the next call.
func (r *rowReader) next() (line, error) {
	if r.packed() {
		if err := r.unpack(); err != nil {
			return line{}, err
		}
	} else {
		if _, err := io.ReadFull(r.in, r.cells); err != nil {
			return line{}, ended(err)
		}
		r.split()
	}
	if r.f.halfChroma {
		spreadChroma(r.line.bits)
	}
	if r.f.wide() && r.f.numbers == integers {
		for i, b := range r.line.bits {
			r.line.reals[i] = r.f.value(b)
		}
	}
	return r.line, nil
}

// split takes samples from cells of whole bytes.
func (r *rowReader) split() {
	bits := r.line.bits[:min(len(r.line.bits), r.f.perRow())]
	shift, mask := r.f.shift, r.f.mask()
	switch {
	case r.f.numbers == singles:
		for i := range r.line.reals {
			r.line.reals[i] = float64(math.Float32frombits(r.order.Uint32(r.cells[i*4:])))
		}
	case r.f.numbers == doubles:
		for i := range r.line.reals {
			r.line.reals[i] = math.Float64frombits(r.order.Uint64(r.cells[i*8:]))
		}
	case r.f.allocated == 8:
		cells := r.cells[:len(bits)]
		for i := range bits {
			bits[i] = uint32(cells[i]) >> shift & mask
		}
	case r.f.allocated == 32:
		for i := range bits {
			bits[i] = r.order.Uint32(r.cells[i*4:]) >> shift & mask
		}
	case r.f.bigEndian:
		for i := range bits {
			bits[i] = uint32(binary.BigEndian.Uint16(r.cells[i*2:])) >> shift & mask
		}
	default:
		cells := r.cells[:len(bits)*2]
		for i := range bits {
			bits[i] = (uint32(cells[i*2]) | uint32(cells[i*2+1])<<8) >> shift & mask
		}
	}
}

// unpack takes samples from cells that follow each other without regard to bytes, from
// the least significant bit up (PS3.5 §8.1.1).
func (r *rowReader) unpack() error {
	allocated, shift, mask := r.f.allocated, r.f.shift, r.f.mask()
	bits := r.line.bits[:r.f.perRow()]
	for i := range bits {
		for r.have < allocated {
			b, err := r.in.ReadByte()
			if err != nil {
				return ended(err)
			}
			r.pending |= uint64(b) << r.have
			r.have += 8
		}
		bits[i] = uint32(r.pending) & uint32(1<<allocated-1) >> shift & mask
		r.pending >>= allocated
		r.have -= allocated
	}
	return nil
}

// spreadChroma makes of Y1 Y2 Cb Cr, which fill the first two thirds, Y1 Cb Cr Y2 Cb Cr
// (PS3.3 §C.7.6.3.1.2).
func spreadChroma(bits []uint32) {
	for pair := len(bits)/6 - 1; pair >= 0; pair-- {
		in, out := bits[pair*4:pair*4+4], bits[pair*6:pair*6+6]
		y1, y2, cb, cr := in[0], in[1], in[2], in[3]
		out[0], out[1], out[2] = y1, cb, cr
		out[3], out[4], out[5] = y2, cb, cr
	}
}

// ended says of a source that ended too early that the frame is short.
func ended(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: the frame ends too early", ErrMalformed)
	}
	return err
}

// pairSwapper exchanges the bytes of every pair.
type pairSwapper struct {
	r    io.Reader
	odd  byte // the first byte of a pair whose second is to come
	held bool
}

// Read implements io.Reader. p must have room for a pair, as bufio's buffer has.
func (s *pairSwapper) Read(p []byte) (int, error) {
	if len(p) < 2 {
		return 0, io.ErrShortBuffer
	}
	n := 0
	if s.held {
		p[0], n, s.held = s.odd, 1, false
	}
	m, err := s.r.Read(p[n : len(p)&^1])
	n += m
	if n&1 == 1 {
		n--
		s.odd, s.held = p[n], true
	}
	for i := 0; i < n; i += 2 {
		p[i], p[i+1] = p[i+1], p[i]
	}
	return n, err
}
