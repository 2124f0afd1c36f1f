package pixeldata

import "math"

// taps are the samples that make up one of another raster: those from first on, each
// with its weight.
type taps struct {
	first   int
	weights []float32
}

// resample scales the reduced picture to its final size by the cubic kernel of Catmull
// and Rom, stretched where the picture shrinks. It works row by row: besides the result
// it needs a row of numbers.
func (p raster) resample(g *geometry) raster {
	if g.exact() {
		return p
	}
	out := newRaster(g.out, p.stride == 4)
	columns := newTaps(p.size.X, float64(g.crop.Dx())/float64(g.step.X), g.out.X)
	rows := newTaps(p.size.Y, float64(g.crop.Dy())/float64(g.step.Y), g.out.Y)
	mixed := make([]float32, p.size.X*p.stride)
	for y, t := range rows {
		clear(mixed)
		for i, w := range t.weights {
			mix(mixed, p.row(t.first+i), w)
		}
		if p.stride == 1 {
			narrowGray(out.row(y), mixed, columns)
		} else {
			narrowColour(out.row(y), mixed, columns)
		}
	}
	return out
}

// mix adds a row, with a weight.
func mix(sums []float32, row []uint8, weight float32) {
	row = row[:len(sums)]
	for i := range sums {
		sums[i] += weight * float32(row[i])
	}
}

func narrowGray(out []uint8, in []float32, columns []taps) {
	for x, t := range columns {
		v := float32(0.5)
		for i, s := range in[t.first : t.first+len(t.weights)] {
			v += s * t.weights[i]
		}
		out[x] = rounded(v)
	}
}

func narrowColour(out []uint8, in []float32, columns []taps) {
	for x, t := range columns {
		a, b, c := float32(0.5), float32(0.5), float32(0.5)
		for i, w := range t.weights {
			s := in[(t.first+i)*4:][:3]
			a, b, c = a+s[0]*w, b+s[1]*w, c+s[2]*w
		}
		out[x*4], out[x*4+1], out[x*4+2] = rounded(a), rounded(b), rounded(c)
	}
}

// rounded cuts what has a half added already.
func rounded(v float32) uint8 {
	switch {
	case v <= 0:
		return 0
	case v >= 255:
		return 255
	}
	return uint8(v)
}

// newTaps makes the weights for n samples out of length samples, of which extent are
// covered: the last may stand for less than a whole one.
func newTaps(length int, extent float64, n int) []taps {
	ratio := extent / float64(n)
	stretch := max(1, ratio)
	all := make([]taps, n)
	pool := make([]float32, n*(int(4*stretch)+2))
	for i := range all {
		centre := (float64(i)+0.5)*ratio - 0.5
		first := max(0, int(math.Ceil(centre-2*stretch)))
		last := min(length-1, int(math.Floor(centre+2*stretch)))
		weights := pool[: last-first+1 : last-first+1]
		pool = pool[len(weights):]
		sum := 0.0
		for k := range weights {
			sum += catmullRom((float64(first+k) - centre) / stretch)
		}
		for k := range weights {
			weights[k] = float32(catmullRom((float64(first+k)-centre)/stretch) / sum)
		}
		all[i] = taps{first, weights}
	}
	return all
}

// catmullRom is the kernel: 1 at 0, and 0 from 2 on.
func catmullRom(x float64) float64 {
	x = math.Abs(x)
	switch {
	case x < 1:
		return (1.5*x-2.5)*x*x + 1
	case x < 2:
		return ((-0.5*x+2.5)*x-4)*x + 2
	}
	return 0
}
