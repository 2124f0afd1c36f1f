package pixeldata

import (
	"image"
	"slices"
)

// raster is a picture of 8-bit samples.
type raster struct {
	size     image.Point
	channels int // 1, or 3
	stride   int // bytes from pixel to pixel: 1, or 4, of which the last is opacity
	pix      []uint8
}

func newRaster(size image.Point, colour bool) raster {
	p := raster{size: size, channels: 1, stride: 1}
	if colour {
		p.channels, p.stride = 3, 4
	}
	p.pix = make([]uint8, size.X*size.Y*p.stride)
	if colour {
		for i := 3; i < len(p.pix); i += 4 {
			p.pix[i] = 255
		}
	}
	return p
}

// row returns the bytes of row y.
func (p *raster) row(y int) []uint8 {
	n := p.size.X * p.stride
	return p.pix[y*n : (y+1)*n]
}

// flip mirrors the picture in place.
func (p *raster) flip(x, y bool) {
	for top := 0; x && top < p.size.Y; top++ {
		p.mirror(p.row(top))
	}
	for top, bottom := 0, p.size.Y-1; y && top < bottom; top, bottom = top+1, bottom-1 {
		a, b := p.row(top), p.row(bottom)
		for i := range a {
			a[i], b[i] = b[i], a[i]
		}
	}
}

func (p *raster) mirror(row []uint8) {
	if p.stride == 1 {
		slices.Reverse(row)
		return
	}
	for l, r := 0, len(row)-4; l < r; l, r = l+4, r-4 {
		left, right := [4]uint8(row[l:]), [4]uint8(row[r:])
		copy(row[l:], right[:])
		copy(row[r:], left[:])
	}
}

// image is the picture for an encoder.
func (p *raster) image() image.Image {
	bounds := image.Rectangle{Max: p.size}
	if p.stride == 1 {
		return &image.Gray{Pix: p.pix, Stride: p.size.X, Rect: bounds}
	}
	return &image.RGBA{Pix: p.pix, Stride: p.size.X * 4, Rect: bounds}
}

// reducer averages blocks of pixels while rows come in, so that a large frame is never
// held.
type reducer struct {
	out      *raster
	offset   int // of the first channel in a pixel of out
	channels int // in the rows that come in
	width    int // of those rows, in pixels
	step     image.Point
	left     int      // rows to come
	y        int      // the row of out that is being made
	gathered int      // rows in sums
	sums     []uint64 // of each sample of that row
}

func newReducer(out *raster, offset, channels int, g *geometry) *reducer {
	r := &reducer{out: out, offset: offset, channels: channels, width: g.crop.Dx(), step: g.step, left: g.crop.Dy()}
	if g.step != image.Pt(1, 1) {
		r.sums = make([]uint64, out.size.X*channels)
	}
	return r
}

// add takes the next row.
func (r *reducer) add(row []uint8) {
	if r.sums == nil {
		r.place(row)
		return
	}
	r.sum(row)
	r.gathered++
	r.left--
	if r.gathered < r.step.Y && r.left > 0 {
		return
	}
	r.average()
	clear(r.sums)
	r.gathered = 0
	r.y++
}

// place writes a row as it is.
func (r *reducer) place(row []uint8) {
	out := r.out.row(r.y)
	r.y++
	switch r.channels {
	case r.out.stride:
		copy(out, row)
	case 1:
		for i, v := range row {
			out[i*4+r.offset] = v
		}
	default:
		for ; len(row) >= 3 && len(out) >= 4; row, out = row[3:], out[4:] {
			out[0], out[1], out[2] = row[0], row[1], row[2]
		}
	}
}

func (r *reducer) sum(row []uint8) {
	if r.channels == 1 {
		for i := range r.sums {
			block := row[i*r.step.X : min((i+1)*r.step.X, r.width)]
			total := uint32(0)
			for _, v := range block {
				total += uint32(v)
			}
			r.sums[i] += uint64(total)
		}
		return
	}
	for i := 0; i < len(r.sums); i += 3 {
		block := row[i*r.step.X : min((i+3)*r.step.X, len(row))]
		var a, b, c uint32
		for ; len(block) >= 3; block = block[3:] {
			a, b, c = a+uint32(block[0]), b+uint32(block[1]), c+uint32(block[2])
		}
		r.sums[i] += uint64(a)
		r.sums[i+1] += uint64(b)
		r.sums[i+2] += uint64(c)
	}
}

// average writes the sums as a row.
func (r *reducer) average() {
	out := r.out.row(r.y)
	for x := range r.out.size.X {
		columns := min(r.step.X, r.width-x*r.step.X)
		n := uint64(columns * r.gathered)
		for c := range r.channels {
			out[x*r.out.stride+r.offset+c] = uint8((r.sums[x*r.channels+c] + n/2) / n)
		}
	}
}
