package pixeldata

// colourPainter makes the painter of a frame with three samples per pixel, which stay
// what they are: red, green and blue, or luminance and chroma.
func colourPainter(f *format) painter {
	if f.stored > maxTable {
		shift := f.stored - 8
		return func(dst []uint8, l line) {
			for i, b := range l.bits {
				dst[i] = uint8(b >> shift)
			}
		}
	}
	table := make([]uint8, 1<<f.stored)
	for bits := range table {
		table[bits] = eightBits(float64(bits) / float64(len(table)-1))
	}
	return tablePainter(table)
}

// toRGB returns what turns pixels of four bytes, the fourth of which does not matter,
// into red, green and blue; nil when they are.
func (f *format) toRGB() func(pix []uint8) {
	switch f.photometric {
	case "YBR_FULL", "YBR_FULL_422":
		return func(pix []uint8) { convert(pix, fullRange) }
	case "YBR_PARTIAL_422":
		return func(pix []uint8) { convert(pix, partialRange) }
	}
	return nil
}

// conversion is a matrix from luminance and chroma, in units of 1/65536, after the
// offset of the luminance.
type conversion struct {
	black                      int // the luminance of black
	y, redCr, greenCb, greenCr int
	blueCb                     int
}

// The conversions invert those of PS3.3 §C.7.6.3.1.2: fullRange has luminance and chroma
// of 0 to 255, partialRange luminance of 16 to 235 and chroma of 16 to 240.
var (
	fullRange    = conversion{0, 65536, 91881, -22554, -46802, 116130}
	partialRange = conversion{16, 76309, 104597, -25675, -53279, 132201}
)

func convert(pix []uint8, c conversion) {
	for i := 0; i+3 < len(pix); i += 4 {
		p := pix[i : i+3]
		y := (int(p[0])-c.black)*c.y + 1<<15
		cb, cr := int(p[1])-128, int(p[2])-128
		p[0] = clamped((y + c.redCr*cr) >> 16)
		p[1] = clamped((y + c.greenCb*cb + c.greenCr*cr) >> 16)
		p[2] = clamped((y + c.blueCb*cb) >> 16)
	}
}

func clamped(v int) uint8 { return uint8(min(max(v, 0), 255)) }
