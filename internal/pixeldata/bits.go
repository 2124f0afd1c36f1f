package pixeldata

import (
	"errors"
	"io"
)

// ShiftBits reads bytes from r moved down by shift bits (1 to 7), so that a frame of
// one-bit pixels that begins inside a byte begins at bit 0. Pixels are packed from the
// least significant bit up (PS3.5 §8.1.1).
func ShiftBits(r io.Reader, shift int) io.Reader { return &shifter{r: r, shift: shift} }

type shifter struct {
	r      io.Reader
	shift  int
	carry  byte // the byte whose high bits are still to be given out
	loaded bool
	ended  bool
}

func (s *shifter) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if s.ended {
		return 0, io.EOF
	}
	if !s.loaded {
		var first [1]byte
		if _, err := io.ReadFull(s.r, first[:]); err != nil {
			return 0, err
		}
		s.carry, s.loaded = first[0], true
	}
	n, err := s.r.Read(p)
	for i := range p[:n] {
		next := p[i]
		p[i] = s.carry>>s.shift | next<<(8-s.shift)
		s.carry = next
	}
	if errors.Is(err, io.EOF) && n < len(p) {
		p[n] = s.carry >> s.shift
		s.ended = true
		return n + 1, nil
	}
	if errors.Is(err, io.EOF) {
		err = nil // the carry goes out with the next Read
	}
	return n, err
}
