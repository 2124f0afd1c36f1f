package pixeldata

import (
	"fmt"
	"math"

	"pharos/internal/dicom"
	"pharos/internal/dicom/dict"
)

// Function is a VOI LUT Function (PS3.3 §C.11.2.1.3).
type Function string

// The functions of a window.
const (
	Linear      Function = "LINEAR"
	LinearExact Function = "LINEAR_EXACT"
	Sigmoid     Function = "SIGMOID"
)

// Window is a VOI window (PS3.3 §C.11.2.1.2), in values behind the modality
// transformation. An empty Function is Linear.
type Window struct {
	Center, Width float64
	Function      Function
}

// curve is the window as a function from modality values to 0 (black) to 1.
func (w Window) curve() (func(float64) float64, error) {
	c, width := w.Center, w.Width
	if !sane(c, width) || width <= 0 {
		return nil, fmt.Errorf("%w: a window of center %g and width %g", ErrMalformed, c, width)
	}
	switch w.Function {
	case LinearExact:
		return ramp(c-width/2, c+width/2), nil
	case Sigmoid:
		return func(x float64) float64 { return 1 / (1 + math.Exp(-4*(x-c)/width)) }, nil
	case Linear, "":
		if width < 1 { // illegal, but the meaning is plain
			return ramp(c-width/2, c+width/2), nil
		}
		half := (width - 1) / 2
		return ramp(c-0.5-half, c-0.5+half), nil
	}
	return nil, fmt.Errorf("%w: VOI LUT function %.16q", ErrUnsupported, string(w.Function))
}

// ramp rises from 0 at low, and below, to 1 at high, and above. Where they are equal it
// is a step.
func ramp(low, high float64) func(float64) float64 {
	return func(x float64) float64 {
		switch {
		case x <= low:
			return 0
		case x > high:
			return 1
		}
		return (x - low) / (high - low)
	}
}

// voi chooses what of the modality values is of interest: the window of the view, else
// the header's first window, else its first table, else all that the frame has.
func (r *renderer) voi(g *grayscale) (func(float64) float64, error) {
	if r.view.Window != nil {
		return r.view.Window.curve()
	}
	for _, p := range r.src.places(dict.FrameVOILUTSequence, r.view.Frame) {
		if w, ok := firstWindow(p.set); ok {
			return w.curve()
		}
		low, _ := r.format.extremes(&g.modality)
		table, err := r.src.sequenceLUT(p, dict.VOILUTSequence, low < 0)
		if err != nil {
			return nil, err
		}
		if table != nil {
			return func(x float64) float64 { return table.at(x) / table.max }, nil
		}
	}
	low, high, err := r.extent(g)
	return ramp(low, high), err
}

// firstWindow reads the first window of a header. One that makes no sense does not count.
func firstWindow(d *dicom.Dataset) (Window, bool) {
	center, okCenter := d.Float(dict.WindowCenter)
	width, okWidth := d.Float(dict.WindowWidth)
	if !okCenter || !okWidth || width <= 0 || !sane(center, width) {
		return Window{}, false
	}
	w := Window{Center: center, Width: width}
	switch f := Function(d.Text(dict.VOILUTFunction)); f {
	case LinearExact, Sigmoid:
		w.Function = f
	}
	return w, true
}

// extent is the least and the greatest modality value of the frame. Where the frame
// is too large to be looked through, it is that of the header or of all that can be stored.
func (r *renderer) extent(g *grayscale) (low, high float64, err error) {
	f := r.format
	if f.stored == 1 {
		low, high = f.extremes(&g.modality)
		return low, high, nil
	}
	held, err := r.hold()
	if err != nil {
		return 0, 0, err
	}
	if held {
		return r.scan(g)
	}
	least, ok1 := r.src.Header.Int(dict.SmallestImagePixelValue)
	most, ok2 := r.src.Header.Int(dict.LargestImagePixelValue)
	switch {
	case ok1 && ok2 && least < most:
		low, high = g.modality.of(float64(least)), g.modality.of(float64(most))
		return min(low, high), max(low, high), nil
	case f.numbers != integers:
		return 0, 0, fmt.Errorf("%w: it has no window and more than %d pixels to find one in", ErrTooLarge, r.view.MaxPixels)
	}
	low, high = f.extremes(&g.modality)
	return low, high, nil
}

// extremes are the least and the greatest modality value that can be stored.
func (f *format) extremes(m *modality) (low, high float64) {
	if m.lut != nil {
		return 0, m.lut.max
	}
	if f.numbers != integers {
		return -math.MaxFloat32, math.MaxFloat32
	}
	a, b := f.value(0), f.value(f.mask())
	if f.signed {
		a, b = f.value(1<<(f.stored-1)), f.value(f.mask()>>1)
	}
	a, b = m.of(a), m.of(b)
	return min(a, b), max(a, b)
}

// scan looks through the frame, which is held, and rewinds it.
func (r *renderer) scan(g *grayscale) (low, high float64, err error) {
	low, high = math.Inf(1), math.Inf(-1)
	note := func(v float64) {
		if x := g.modality.of(v); !g.padding.has(v) && !math.IsInf(x, 0) && !math.IsNaN(x) {
			low, high = min(low, x), max(high, x)
		}
	}
	var seen []bool
	if !r.format.wide() {
		seen = make([]bool, 1<<r.format.stored)
	}
	in := newRowReader(r.format, r.frame)
	for range r.format.rows {
		l, err := in.next()
		if err != nil {
			return 0, 0, err
		}
		for _, v := range l.reals {
			note(v)
		}
		if seen != nil {
			for _, b := range l.bits {
				seen[b] = true
			}
		}
	}
	for bits, is := range seen {
		if is {
			note(r.format.value(uint32(bits)))
		}
	}
	if low > high {
		low, high = 0, 1 // nothing but padding
	}
	r.rewind()
	return low, high, nil
}
