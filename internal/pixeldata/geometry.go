package pixeldata

import (
	"fmt"
	"image"
	"math"

	"pharos/internal/dicom"
	"pharos/internal/dicom/dict"
)

// geometry is which part of a frame is seen, and in what size.
type geometry struct {
	crop    image.Rectangle // in pixels of the frame
	out     image.Point     // size of the picture
	step    image.Point     // size of the blocks of pixels that are averaged first
	reduced image.Point     // size behind that
}

const (
	// maxSide is the longest side of a picture, as JPEG has it.
	maxSide = 65535
	// squareEnough is how far a pixel may be from a square before that is corrected.
	squareEnough = 0.01
	// maxAspect is the most oblong pixel that is believed.
	maxAspect = 20
)

// newGeometry decides the sizes. Everything is checked before anything is allocated.
func newGeometry(src *Source, f *format, view View) (*geometry, error) {
	g := &geometry{crop: cropOf(f, view)}
	if g.crop.Empty() {
		return nil, ErrView
	}
	width, height := float64(g.crop.Dx()), float64(g.crop.Dy())
	switch a := src.aspect(view.Frame); {
	case a > 1+squareEnough:
		height *= a
	case a < 1-squareEnough:
		width /= a
	}
	scale := scaleOf(width, height, view)
	width, height = max(1, math.Round(width*scale)), max(1, math.Round(height*scale))
	if !(width <= maxSide && height <= maxSide && width*height <= float64(view.MaxPixels)) {
		return nil, fmt.Errorf("%w: %.0f x %.0f pixels", ErrTooLarge, width, height)
	}
	g.out = image.Pt(int(width), int(height))
	g.step = image.Pt(max(1, g.crop.Dx()/g.out.X), max(1, g.crop.Dy()/g.out.Y))
	g.reduce()
	for int64(g.reduced.X)*int64(g.reduced.Y) > int64(view.MaxPixels) {
		g.step = g.step.Add(image.Pt(1, 1))
		g.reduce()
	}
	return g, nil
}

func (g *geometry) reduce() {
	g.reduced.X = (g.crop.Dx() + g.step.X - 1) / g.step.X
	g.reduced.Y = (g.crop.Dy() + g.step.Y - 1) / g.step.Y
}

// exact reports whether the averages are the picture already.
func (g *geometry) exact() bool {
	return g.reduced == g.out && g.crop.Dx()%g.step.X == 0 && g.crop.Dy()%g.step.Y == 0
}

// cropOf is the part of the frame that the view shows.
func cropOf(f *format, view View) image.Rectangle {
	whole := image.Rect(0, 0, f.columns, f.rows)
	if view.Region != ([4]float64{}) {
		at := func(fraction float64, side int, round func(float64) float64) int {
			return int(round(min(max(fraction, 0), 1) * float64(side)))
		}
		return image.Rectangle{
			Min: image.Pt(at(view.Region[0], f.columns, math.Floor), at(view.Region[1], f.rows, math.Floor)),
			Max: image.Pt(at(view.Region[2], f.columns, math.Ceil), at(view.Region[3], f.rows, math.Ceil)),
		}
	}
	if view.Crop != (image.Rectangle{}) {
		return view.Crop.Intersect(whole)
	}
	return whole
}

// scaleOf is the factor by which a picture fits the bounds of the view.
func scaleOf(width, height float64, view View) float64 {
	switch {
	case view.Width > 0 && view.Height > 0:
		return min(float64(view.Width)/width, float64(view.Height)/height)
	case view.Width > 0:
		return float64(view.Width) / width
	case view.Height > 0:
		return float64(view.Height) / height
	}
	return 1
}

// aspect is the height of a pixel divided by its width, 1 where the header does not
// tell or is not to be believed.
func (s *Source) aspect(frame int) float64 {
	for _, p := range s.places(dict.PixelMeasuresSequence, frame) {
		for _, tag := range [...]dicom.Tag{
			dict.PixelSpacing, dict.ImagerPixelSpacing, dict.NominalScannedPixelSpacing, dict.PixelAspectRatio,
		} {
			// All of them are vertical first (PS3.3 §10.7.1.3, §C.7.6.3.1.7).
			v := p.set.Floats(tag)
			if len(v) != 2 || v[0] <= 0 || v[1] <= 0 {
				continue
			}
			if a := v[0] / v[1]; a <= maxAspect && a >= 1.0/maxAspect {
				return a
			}
		}
	}
	return 1
}
