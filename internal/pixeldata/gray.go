package pixeldata

import (
	"math"

	"pharos/internal/dicom"
	"pharos/internal/dicom/dict"
)

// grayscale is the way from stored values to gray: the modality transformation, the
// values of interest, the inversion, and the padding that is background (PS3.4 §N.2).
type grayscale struct {
	modality modality
	voi      func(float64) float64 // of modality values; black is 0 and white is 1
	invert   bool
	padding  padding
}

// gray is the 8-bit gray of a stored value.
func (g *grayscale) gray(v float64) uint8 {
	if g.padding.has(v) {
		return 0
	}
	y := g.voi(g.modality.of(v))
	if g.invert {
		y = 1 - y
	}
	return eightBits(y)
}

// eightBits rounds 0 to 1 to 0 to 255.
func eightBits(y float64) uint8 {
	switch {
	case !(y > 0): // NaN too
		return 0
	case y >= 1:
		return 255
	}
	return uint8(y*255 + 0.5)
}

// grayPainter makes the painter of a grayscale frame.
func (r *renderer) grayPainter() (painter, error) {
	f, header := r.format, r.src.Header
	g := &grayscale{padding: newPadding(header, f)}
	g.invert = f.photometric == "MONOCHROME1" || header.Text(dict.PresentationLUTShape) == "INVERSE"
	var err error
	if g.modality, err = r.src.modality(f, r.view.Frame); err != nil {
		return nil, err
	}
	if g.voi, err = r.voi(g); err != nil {
		return nil, err
	}
	if f.wide() {
		return func(dst []uint8, l line) {
			for i, v := range l.reals {
				dst[i] = g.gray(v)
			}
		}, nil
	}
	table := make([]uint8, 1<<f.stored)
	for bits := range table {
		table[bits] = g.gray(f.value(uint32(bits)))
	}
	return tablePainter(table), nil
}

// tablePainter looks every sample up. The table has an entry for every stored value.
func tablePainter(table []uint8) painter {
	return func(dst []uint8, l line) {
		dst = dst[:len(l.bits)]
		for i, b := range l.bits {
			dst[i] = table[b]
		}
	}
}

// modality makes values of a physical meaning of stored ones (PS3.3 §C.11.1).
type modality struct {
	slope, intercept float64
	lut              *lut // when there is one, instead
}

func (m *modality) of(v float64) float64 {
	if m.lut != nil {
		return m.lut.at(v)
	}
	return v*m.slope + m.intercept
}

// modality finds the transformation of a frame. A slope that makes no sense does not
// count: 0 would make all pixels equal.
func (s *Source) modality(f *format, frame int) (modality, error) {
	for _, p := range s.places(dict.PixelValueTransformationSequence, frame) {
		if !s.projection() {
			table, err := s.sequenceLUT(p, dict.ModalityLUTSequence, f.signed)
			if table != nil || err != nil {
				return modality{lut: table}, err
			}
		}
		slope, ok := p.set.Float(dict.RescaleSlope)
		intercept, _ := p.set.Float(dict.RescaleIntercept)
		if ok && slope != 0 && sane(slope, intercept) {
			return modality{slope: slope, intercept: intercept}, nil
		}
	}
	return modality{slope: 1}, nil
}

// projection reports whether the frame is one of X-ray angiography or fluoroscopy whose
// pixels are made for display. Its modality table leads back to the intensity of the
// rays, and its window is one of stored values (PS3.3 §C.8.7.1.1.2).
func (s *Source) projection() bool {
	switch s.Header.UID(dict.SOPClassUID) {
	case "1.2.840.10008.5.1.4.1.1.12.1", "1.2.840.10008.5.1.4.1.1.12.2":
		relationship := s.Header.Text(dict.PixelIntensityRelationship)
		return relationship == "LOG" || relationship == "DISP"
	}
	return false
}

// padding is the stored values that stand for no measurement (PS3.3 §C.7.5.1.1.2).
type padding struct{ low, high float64 }

func (p padding) has(v float64) bool { return v >= p.low && v <= p.high }

// noPadding has no value.
var noPadding = padding{low: math.Inf(1), high: math.Inf(-1)}

func newPadding(header *dicom.Dataset, f *format) padding {
	value, limit := dict.PixelPaddingValue, dict.PixelPaddingRangeLimit
	switch f.numbers {
	case singles:
		value, limit = dict.FloatPixelPaddingValue, dict.FloatPixelPaddingRangeLimit
	case doubles:
		value, limit = dict.DoubleFloatPixelPaddingValue, dict.DoubleFloatPixelPaddingRangeLimit
	}
	number := func(tag dicom.Tag) (float64, bool) {
		if f.numbers != integers {
			return header.Float(tag)
		}
		n, ok := header.Int(tag)
		// The VR is often the wrong one of US and SS: what counts are the bits.
		return f.value(uint32(n) & f.mask()), ok
	}
	low, ok := number(value)
	if !ok {
		return noPadding
	}
	high, ok := number(limit)
	if !ok {
		high = low
	}
	return padding{min(low, high), max(low, high)}
}
