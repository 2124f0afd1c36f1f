package dicomtest

import (
	"encoding/binary"
	"math"
)

// canvas is a picture under construction. Places are given from -1 to 1 in both
// directions, sizes as half axes in the same unit.
type canvas struct {
	rows, cols int
	px         []int16
}

func newCanvas(rows, cols int, fill int16) *canvas {
	c := &canvas{rows: rows, cols: cols, px: make([]int16, rows*cols)}
	for i := range c.px {
		c.px[i] = fill
	}
	return c
}

// ellipse fills one, row by row.
func (c *canvas) ellipse(x, y, rx, ry float64, value int16) {
	w, h := float64(c.cols)/2, float64(c.rows)/2
	for row := max(0, int(h*(1+y-ry))); row < min(c.rows, int(math.Ceil(h*(1+y+ry)))); row++ {
		dy := ((float64(row)+0.5)/h - 1 - y) / ry
		if dy*dy >= 1 {
			continue
		}
		half := rx * math.Sqrt(1-dy*dy)
		from := max(0, int(w*(1+x-half)+0.5))
		to := min(c.cols, int(w*(1+x+half)+0.5))
		line := c.px[row*c.cols:]
		for col := from; col < to; col++ {
			line[col] = value
		}
	}
}

// ring is an ellipse with another one in it.
func (c *canvas) ring(x, y, rx, ry, thickness float64, outer, inner int16) {
	c.ellipse(x, y, rx, ry, outer)
	c.ellipse(x, y, rx-thickness, ry-thickness, inner)
}

// gradient adds a slope from the left edge to the right.
func (c *canvas) gradient(from, to int16) {
	for col := range c.cols {
		add := from + int16(int(to-from)*col/max(1, c.cols-1))
		for i := col; i < len(c.px); i += c.cols {
			c.px[i] += add
		}
	}
}

// noise adds values from -amount to amount, the same ones for the same seed.
func (c *canvas) noise(seed uint64, amount int) {
	state := seed*0x9E3779B97F4A7C15 + 1
	span := uint64(2*amount + 1)
	for i := 0; i < len(c.px); i += 4 {
		state ^= state << 13
		state ^= state >> 7
		state ^= state << 17
		bits := state
		for j := i; j < min(i+4, len(c.px)); j++ {
			c.px[j] += int16((bits&0xFFFF)*span>>16) - int16(amount)
			bits >>= 16
		}
	}
}

// words is the picture in 16 bits little endian, offset added and clamped to bits.
func (c *canvas) words(offset int, bits uint) []byte {
	top := 1<<bits - 1
	b := make([]byte, 2*len(c.px))
	for i, v := range c.px {
		binary.LittleEndian.PutUint16(b[2*i:], uint16(min(max(int(v)+offset, 0), top)))
	}
	return b
}

// bytes is the picture in 8 bits, clamped.
func (c *canvas) bytes() []byte {
	b := make([]byte, len(c.px))
	for i, v := range c.px {
		b[i] = byte(min(max(v, 0), 255))
	}
	return b
}

// even pads pixel data to even length (PS3.5 §8.1.1).
func even(b []byte) []byte {
	if len(b)%2 == 1 {
		return append(b, 0)
	}
	return b
}
