package pixeldata

import (
	"fmt"

	"pharos/internal/dicom"
	"pharos/internal/dicom/dict"
)

// numbers tells what a stored sample is.
type numbers uint8

const (
	integers numbers = iota // Pixel Data
	singles                 // Float Pixel Data
	doubles                 // Double Float Pixel Data
)

// maxTable is the largest number of stored bits for which a table of all values is
// made; beyond, each pixel is computed.
const maxTable = 16

// format is how the samples of a native frame are stored (PS3.3 §C.7.6.3.1).
type format struct {
	rows, columns int
	samples       int    // per pixel: 1 or 3
	photometric   string // Photometric Interpretation
	planar        bool   // three planes follow each other, instead of three samples
	halfChroma    bool   // two pixels share their chroma: Y, Y, Cb, Cr

	decompress decompressor // nil: the pixels are not compressed

	numbers   numbers
	allocated uint // bits of a sample's cell
	stored    uint // bits that count in it
	shift     uint // bits below them
	signed    bool

	bigEndian bool
	// swapped tells that cells of 8 bits or less stand in 16-bit words of big endian, in
	// which neighbours change places (PS3.5 §8.1.2).
	swapped bool
}

// newFormat reads and checks the attributes that tell how pixels are stored.
func newFormat(header *dicom.Dataset, syntax dicom.UID) (*format, error) {
	ts := dicom.SyntaxOf(syntax)
	decompress := decompressorOf(syntax)
	if ts.Encapsulated && decompress == nil {
		return nil, fmt.Errorf("%w: it is compressed as %s", ErrUnsupported, ts.Name)
	}
	pixels := pixelData(header)
	if pixels == nil {
		return nil, fmt.Errorf("%w: there is no pixel data", ErrMalformed)
	}
	f := &format{bigEndian: ts.BigEndian, decompress: decompress}
	for _, check := range []error{f.size(header), f.depth(header, pixels.Tag), f.colours(header)} {
		if check != nil {
			return nil, check
		}
	}
	f.swapped = f.bigEndian && pixels.VR == dict.OW && f.allocated != 16 && f.allocated != 32
	if f.swapped && f.frameBits()%16 != 0 {
		return nil, fmt.Errorf("%w: its frames begin inside a word of big endian", ErrUnsupported)
	}
	return f, nil
}

func (f *format) size(header *dicom.Dataset) error {
	rows, _ := header.Int(dict.Rows)
	columns, _ := header.Int(dict.Columns)
	if rows < 1 || columns < 1 || rows > 65535 || columns > 65535 {
		return fmt.Errorf("%w: %d rows and %d columns", ErrMalformed, rows, columns)
	}
	f.rows, f.columns = int(rows), int(columns)
	return nil
}

// depth reads the bits of a sample.
func (f *format) depth(header *dicom.Dataset, pixels dicom.Tag) error {
	switch pixels {
	case dict.FloatPixelData:
		f.numbers, f.allocated, f.stored = singles, 32, 32
		return nil
	case dict.DoubleFloatPixelData:
		f.numbers, f.allocated, f.stored = doubles, 64, 64
		return nil
	}
	allocated := intOr(header, dict.BitsAllocated, 0)
	stored := intOr(header, dict.BitsStored, allocated)
	high := intOr(header, dict.HighBit, stored-1)
	if allocated < 1 || stored < 1 || high < stored-1 || high >= allocated {
		return fmt.Errorf("%w: %d bits allocated, %d stored, high bit %d", ErrMalformed, allocated, stored, high)
	}
	if allocated > 32 {
		return fmt.Errorf("%w: it has %d bits allocated", ErrUnsupported, allocated)
	}
	f.allocated, f.stored, f.shift = uint(allocated), uint(stored), uint(high+1-stored)
	f.signed = intOr(header, dict.PixelRepresentation, 0) == 1
	return nil
}

// colours reads what the samples mean together, and how they are arranged.
func (f *format) colours(header *dicom.Dataset) error {
	samples := intOr(header, dict.SamplesPerPixel, 1)
	f.photometric = header.Text(dict.PhotometricInterpretation)
	needs := int64(1)
	switch f.photometric {
	case "MONOCHROME1", "MONOCHROME2", "PALETTE COLOR":
	case "RGB", "YBR_FULL":
		needs = 3
	case "YBR_FULL_422", "YBR_PARTIAL_422":
		needs, f.halfChroma = 3, true
	case "":
		f.photometric = "MONOCHROME2"
		if samples == 3 {
			f.photometric, needs = "RGB", 3
		}
	default:
		return fmt.Errorf("%w: Photometric Interpretation is %.16q", ErrUnsupported, f.photometric)
	}
	if samples != needs {
		return fmt.Errorf("%w: %d samples per pixel of %s", ErrMalformed, samples, f.photometric)
	}
	f.samples = int(samples)
	f.planar = samples == 3 && intOr(header, dict.PlanarConfiguration, 0) == 1
	switch {
	case f.samples == 3 && f.numbers != integers, f.palette() && (f.numbers != integers || f.stored > maxTable):
		return fmt.Errorf("%w: colours of %d bits", ErrUnsupported, f.stored)
	case f.halfChroma && f.decompress == nil && (f.planar || f.columns%2 != 0):
		return fmt.Errorf("%w: %s in planes or with an odd number of columns", ErrMalformed, f.photometric)
	}
	return nil
}

func intOr(header *dicom.Dataset, tag dicom.Tag, otherwise int64) int64 {
	if n, ok := header.Int(tag); ok {
		return n
	}
	return otherwise
}

func (f *format) palette() bool { return f.photometric == "PALETTE COLOR" }

// colour reports whether the picture has colours.
func (f *format) colour() bool { return f.samples == 3 || f.palette() }

// perPixel is how many samples of one pixel stand in a line.
func (f *format) perPixel() int {
	if f.planar {
		return 1
	}
	return f.samples
}

// perRow is how many cells are stored for a row, of one plane if there are planes.
func (f *format) perRow() int {
	if f.halfChroma {
		return f.columns * 2
	}
	return f.columns * f.perPixel()
}

// frameBits is the size of a frame: at most 2^16 * 2^16 * 3 * 64.
func (f *format) frameBits() int64 {
	cells := int64(f.perRow()) * int64(f.rows)
	if f.planar {
		cells *= 3
	}
	return cells * int64(f.allocated)
}

func (f *format) frameBytes() int64 { return (f.frameBits() + 7) / 8 }

// mask has the stored bits set.
func (f *format) mask() uint32 { return uint32(1<<f.stored - 1) }

// value is the number that the stored bits mean.
func (f *format) value(bits uint32) float64 {
	if f.signed {
		unused := 32 - f.stored
		return float64(int32(bits<<unused) >> unused)
	}
	return float64(bits)
}

// wide reports whether each gray value is computed, not looked up.
func (f *format) wide() bool { return f.samples == 1 && f.stored > maxTable }
