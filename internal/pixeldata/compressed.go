package pixeldata

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"io"

	"pharos/internal/dicom"
)

// The transfer syntaxes of compressed pixel data that are decoded.
const (
	jpegBaseline dicom.UID = "1.2.840.10008.1.2.4.50"
	jpegExtended dicom.UID = "1.2.840.10008.1.2.4.51" // that is, its 8-bit half
	rleLossless  dicom.UID = "1.2.840.10008.1.2.5"
)

// decompressor makes a native frame, little endian and one pixel after the other, of a
// compressed one, and changes the format to what it made.
type decompressor func(f *format, compressed []byte) (native []byte, err error)

func decompressorOf(syntax dicom.UID) decompressor {
	switch syntax {
	case jpegBaseline, jpegExtended:
		return decodeJPEG
	case rleLossless:
		return decodeRLE
	}
	return nil
}

// extras is how many bytes a compressed frame may have beside its pixels: tables, a
// colour profile.
const extras = 1 << 20

// expand replaces the frame by a native one, which is held in memory. No frame is
// decoded that has more pixels than a picture may have.
func (r *renderer) expand() error {
	f := r.format
	switch {
	case int64(f.rows)*int64(f.columns) > int64(r.view.MaxPixels):
		return fmt.Errorf("%w: a compressed frame of %d x %d pixels", ErrTooLarge, f.columns, f.rows)
	case r.src.Length > 2*f.frameBytes()+extras:
		return fmt.Errorf("%w: compressed it has %d bytes", ErrMalformed, r.src.Length)
	}
	compressed := make([]byte, r.src.Length)
	if _, err := io.ReadFull(r.frame, compressed); err != nil {
		return ended(err)
	}
	native, err := f.decompress(f, compressed)
	if err != nil {
		return err
	}
	r.held = native
	r.rewind()
	return nil
}

// decodeJPEG decodes 8-bit JPEG (PS3.5 §A.4.1). The components stay what the header
// says they are, unless the codestream names them red, green and blue.
func decodeJPEG(f *format, compressed []byte) ([]byte, error) {
	config, err := jpeg.DecodeConfig(bytes.NewReader(compressed))
	if err != nil {
		return nil, jpegFault(err)
	}
	if config.Width != f.columns || config.Height != f.rows || f.allocated != 8 {
		return nil, fmt.Errorf("%w: it says %d x %d pixels, and the JPEG %d x %d", ErrMalformed, f.columns, f.rows, config.Width, config.Height)
	}
	decoded, err := jpeg.Decode(bytes.NewReader(compressed))
	if err != nil {
		return nil, jpegFault(err)
	}
	f.planar, f.halfChroma = false, false
	native := make([]byte, 0, f.frameBytes())
	switch p := decoded.(type) {
	case *image.Gray:
		if f.samples != 1 {
			break
		}
		for y := range f.rows {
			native = append(native, p.Pix[y*p.Stride:][:f.columns]...)
		}
		return native, nil
	case *image.YCbCr:
		if f.samples != 3 {
			break
		}
		for y := range f.rows {
			for x := range f.columns {
				c := p.COffset(x, y)
				native = append(native, p.Y[p.YOffset(x, y)], p.Cb[c], p.Cr[c])
			}
		}
		return native, nil
	case *image.RGBA:
		if f.samples != 3 {
			break
		}
		f.photometric = "RGB"
		for y := range f.rows {
			for row := p.Pix[y*p.Stride:][:f.columns*4]; len(row) > 0; row = row[4:] {
				native = append(native, row[:3]...)
			}
		}
		return native, nil
	}
	return nil, fmt.Errorf("%w: the JPEG has not %d components", ErrMalformed, f.samples)
}

func jpegFault(err error) error {
	var unsupported jpeg.UnsupportedError
	if errors.As(err, &unsupported) {
		return fmt.Errorf("%w: %w", ErrUnsupported, err)
	}
	return fmt.Errorf("%w: %w", ErrMalformed, err)
}
