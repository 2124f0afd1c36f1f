package pixeldata

import (
	"bytes"
	"context"
	"errors"
	"image"
	"io/fs"
	"math"
	"path/filepath"
	"runtime"
	"testing"

	"pharos/internal/dicom"
	"pharos/internal/dicom/dict"
)

// modest is how many bytes a hostile frame may cost. A table of 16 bits and the buffers
// come to less.
const modest = 1 << 20

// costs are the bytes that f allocates.
func costs(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

func TestHostileHeaderIsRefusedAtLittleCost(t *testing.T) {
	set := func(tag dicom.Tag, v ...int64) func(*dicom.Dataset) {
		return func(d *dicom.Dataset) { d.SetInts(tag, dict.US, v...) }
	}
	text := func(tag dicom.Tag, v ...string) func(*dicom.Dataset) {
		return func(d *dicom.Dataset) { d.SetText(tag, dict.CS, v...) }
	}
	for _, c := range []struct {
		name   string
		change func(*dicom.Dataset)
		view   View
		want   error
	}{
		{"65535 x 65535", func(d *dicom.Dataset) { set(dict.Rows, 65535)(d); set(dict.Columns, 65535)(d) }, View{}, ErrMalformed},
		{"46341 x 46341", func(d *dicom.Dataset) { set(dict.Rows, 46341)(d); set(dict.Columns, 46341)(d) }, View{}, ErrMalformed},
		{"no rows", set(dict.Rows, 0), View{}, ErrMalformed},
		{"no pixel data", func(d *dicom.Dataset) { d.Delete(dict.PixelData) }, View{}, ErrMalformed},
		{"no bits stored", set(dict.BitsStored, 0), View{}, ErrMalformed},
		{"high bit 65535", set(dict.HighBit, 65535), View{}, ErrMalformed},
		{"more bits stored than allocated", func(d *dicom.Dataset) { set(dict.BitsStored, 12)(d); set(dict.HighBit, 11)(d) }, View{}, ErrMalformed},
		{"no samples", set(dict.SamplesPerPixel, 0), View{}, ErrMalformed},
		{"three samples of gray", set(dict.SamplesPerPixel, 3), View{}, ErrMalformed},
		{"65535 bits allocated", func(d *dicom.Dataset) {
			set(dict.BitsAllocated, 65535)(d)
			set(dict.BitsStored, 65535)(d)
			set(dict.HighBit, 65534)(d)
		}, View{}, ErrUnsupported},
		{"colour space of another world", text(dict.PhotometricInterpretation, "CIELAB"), View{}, ErrUnsupported},
		{"palette without tables", text(dict.PhotometricInterpretation, "PALETTE COLOR"), View{}, ErrMalformed},
		{"palette of no entries", func(d *dicom.Dataset) {
			text(dict.PhotometricInterpretation, "PALETTE COLOR")(d)
			setPalette(d, 256, 0, 8, nil, nil, nil)
		}, View{}, ErrMalformed},
		{"half chroma in an odd row", func(d *dicom.Dataset) {
			text(dict.PhotometricInterpretation, "YBR_FULL_422")(d)
			set(dict.SamplesPerPixel, 3)(d)
			set(dict.Columns, 3)(d)
		}, View{}, ErrMalformed},
		{"window not finite", nil, View{Window: &Window{Center: math.NaN(), Width: math.Inf(1)}}, ErrMalformed},
		{"window of no width", nil, View{Window: &Window{}}, ErrMalformed},
		{"unknown function", nil, View{Window: &Window{Width: 1, Function: "CUBIC"}}, ErrUnsupported},
		{"larger than allowed", nil, View{MaxPixels: 15}, ErrTooLarge},
		{"viewport larger than allowed", nil, View{Width: 5000, Height: 5000}, ErrTooLarge},
		{"viewport beyond numbers", nil, View{Width: math.MaxInt}, ErrTooLarge},
		{"crop outside", nil, View{Crop: image.Rect(4, 0, math.MaxInt32, 4)}, ErrView},
		{"region of nothing", nil, View{Region: [4]float64{0.5, 0.5, 0.1, 0.1}}, ErrView},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := mono(4, 4, 8, 8, false, make([]byte, 16)...)
			if c.change != nil {
				c.change(p.header)
			}
			var err error
			cost := costs(func() { _, err = Render(context.Background(), p.source(), c.view) })
			if !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
			if cost > modest {
				t.Errorf("it costs %d bytes", cost)
			}
		})
	}
}

func TestCompressedFrameIsUnsupported(t *testing.T) {
	p := mono(4, 4, 8, 8, false, make([]byte, 16)...)
	for _, syntax := range []dicom.UID{"1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.70", "1.2.3"} {
		p.syntax = syntax
		if _, err := Render(context.Background(), p.source(), View{}); !errors.Is(err, ErrUnsupported) {
			t.Errorf("%s: %v", syntax, err)
		}
	}
}

func TestAbsurdNumbersOfTheHeaderAreDrawnAround(t *testing.T) {
	p := mono(1, 2, 8, 8, false, 0, 255)
	p.header.SetFloats(dict.RescaleSlope, dict.FD, 1e308)
	p.header.SetFloats(dict.RescaleIntercept, dict.FD, -1e308)
	setWindow(p.header, 1, 0, "")
	img, err := Render(context.Background(), p.source(), View{})
	if err != nil {
		t.Fatal(err)
	}
	if got := pixels(t, img); got[0] != 0 || got[1] != 255 {
		t.Fatalf("drawn as %d", got)
	}
}

// A frame of 20000 x 20000 is larger than any picture that is allowed, and makes a small
// one all the same, in the memory of a small one.
func TestLargeFrameMakesASmallPictureInLittleMemory(t *testing.T) {
	const side = 20000
	p := mono(side, side, 8, 8, false)
	src := p.source()
	src.Length = side * side
	src.Frame = &repeated{value: 200}
	var img image.Image
	var err error
	cost := costs(func() { img, err = Render(context.Background(), src, View{Width: 64, Height: 64}) })
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range pixels(t, img) {
		if v != 200 { // without a window the whole range of 8 bits counts
			t.Fatalf("drawn as %d", v)
		}
	}
	if img.Bounds().Dx() != 64 || cost > modest {
		t.Fatalf("%v costs %d bytes", img.Bounds(), cost)
	}
}

// repeated gives one value for ever.
type repeated struct{ value byte }

func (r *repeated) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = r.value
	}
	return len(p), nil
}

func TestHostileSampleCostsLittle(t *testing.T) {
	root := filepath.Join(samplesDir(t), "fuzz")
	drawn := 0
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Base(path) == "deflate_bomb.dcm" {
			return err
		}
		name, _ := filepath.Rel(root, path)
		t.Run(filepath.ToSlash(name), func(t *testing.T) {
			s := openSample(t, path)
			for _, view := range []View{{Frame: 1}, {Frame: 1, Width: 200, Height: 200}} {
				src, err := s.source(t, 1)
				if err != nil {
					return // the archive answers that there is no such frame
				}
				cost := costs(func() { _, err = Render(context.Background(), src, view) })
				if bound := uint64(modest + 8*src.Length + 8*200*200); cost > bound {
					t.Errorf("a frame of %d bytes costs %d", src.Length, cost)
				}
				if err == nil {
					drawn++
				}
			}
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d pictures drawn", drawn)
}

func FuzzRender(f *testing.F) {
	// photometric, samples, planar, rows, columns, allocated, stored, high, signed, syntax, view, data
	f.Add(uint8(0), uint16(1), uint16(0), uint16(4), uint16(4), uint16(16), uint16(12), uint16(11), uint16(1), uint8(0), int32(0), int32(0), 40.0, 400.0, words16(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16))
	f.Add(uint8(2), uint16(3), uint16(1), uint16(2), uint16(2), uint16(8), uint16(8), uint16(7), uint16(0), uint8(0), int32(7), int32(-3), 0.0, 0.0, bytes.Repeat([]byte{9}, 12))
	f.Add(uint8(4), uint16(3), uint16(0), uint16(2), uint16(2), uint16(8), uint16(8), uint16(7), uint16(0), uint8(1), int32(1), int32(1), 0.0, 0.0, bytes.Repeat([]byte{9}, 8))
	f.Add(uint8(6), uint16(1), uint16(0), uint16(2), uint16(2), uint16(8), uint16(8), uint16(7), uint16(0), uint8(0), int32(300), int32(300), 0.0, 0.0, words16(0, 1, 5, 1, 2, 9, 2, 2, 0, 0))
	f.Add(uint8(0), uint16(1), uint16(0), uint16(3), uint16(5), uint16(1), uint16(1), uint16(0), uint16(0), uint8(0), int32(0), int32(0), 0.0, 0.0, []byte{0xAA, 0x55})
	f.Add(uint8(7), uint16(1), uint16(0), uint16(1), uint16(2), uint16(64), uint16(64), uint16(63), uint16(0), uint8(1), int32(9), int32(9), 0.5, 1e300, make([]byte, 16))
	f.Add(uint8(0), uint16(1), uint16(0), uint16(2), uint16(2), uint16(16), uint16(12), uint16(11), uint16(0), uint8(3), int32(0), int32(0), 1.0, 1.0, rleFrame([]byte{0xFD, 1}, []byte{3, 1, 2, 3, 4}))
	f.Add(uint8(0), uint16(1), uint16(0), uint16(8), uint16(8), uint16(8), uint16(8), uint16(7), uint16(0), uint8(2), int32(3), int32(3), 1.0, 1.0, jpegOf(f, image.NewGray(image.Rect(0, 0, 8, 8))))
	f.Add(uint8(4), uint16(3), uint16(0), uint16(8), uint16(8), uint16(8), uint16(8), uint16(7), uint16(0), uint8(2), int32(3), int32(3), 1.0, 1.0, jpegOf(f, image.NewYCbCr(image.Rect(0, 0, 8, 8), image.YCbCrSubsampleRatio420)))
	photometrics := [...]string{"MONOCHROME2", "MONOCHROME1", "RGB", "YBR_FULL", "YBR_FULL_422", "YBR_PARTIAL_422", "PALETTE COLOR"}
	syntaxes := [...]dicom.UID{dicom.ExplicitVRLittleEndian, dicom.ExplicitVRBigEndian, jpegBaseline, rleLossless}
	f.Fuzz(func(t *testing.T, photometric uint8, samples, planar, rows, columns, allocated, stored, high, signed uint16, syntax uint8,
		width, height int32, a, b float64, data []byte) {
		d := dicom.NewDataset()
		pixels := &dicom.Element{Tag: dict.PixelData, VR: dict.OW, Bulk: &dicom.Range{Length: int64(len(data))}}
		switch kind := int(photometric) % (len(photometrics) + 2); {
		case kind < len(photometrics):
			d.SetText(dict.PhotometricInterpretation, dict.CS, photometrics[kind])
		case kind == len(photometrics):
			pixels.Tag = dict.FloatPixelData
		default:
			pixels.Tag = dict.DoubleFloatPixelData
		}
		d.Put(pixels)
		for tag, v := range map[dicom.Tag]uint16{
			dict.SamplesPerPixel: samples, dict.PlanarConfiguration: planar, dict.Rows: rows, dict.Columns: columns,
			dict.BitsAllocated: allocated, dict.BitsStored: stored, dict.HighBit: high, dict.PixelRepresentation: signed,
			dict.PixelPaddingValue: planar,
		} {
			d.SetInts(tag, dict.US, int64(v))
		}
		d.SetFloats(dict.RescaleSlope, dict.FD, a)
		d.SetFloats(dict.RescaleIntercept, dict.FD, b)
		d.SetFloats(dict.PixelSpacing, dict.FD, a, b)
		for i := range primaries {
			d.SetInts(primaries[i].descriptor, dict.US, int64(rows), int64(high), int64(allocated))
			d.SetBytes(primaries[i].segmented, dict.OW, data)
		}
		view := View{MaxPixels: 1 << 16, FlipX: planar&2 != 0, FlipY: planar&4 != 0}
		if width >= 0 {
			view.Width, view.Height = int(width), int(height)
		} else {
			view.Crop = image.Rect(int(-width), int(height), int(rows), int(columns))
		}
		switch {
		case signed&2 != 0:
			view.Window = &Window{Center: a, Width: b, Function: Sigmoid}
		case signed&4 != 0:
			setWindow(d, a, b, "LINEAR_EXACT")
		case signed&8 != 0:
			d.SetItems(dict.VOILUTSequence, lutItem(int64(rows), int64(high), int64(stored), dict.US, data))
			d.SetItems(dict.ModalityLUTSequence, lutItem(int64(columns), int64(planar), int64(stored), dict.SS, data))
		}
		src := Source{Header: d, Syntax: syntaxes[int(syntax)%len(syntaxes)], Frame: bytes.NewReader(data), Length: int64(len(data))}
		img, err := Render(context.Background(), src, view)
		if err != nil {
			for _, known := range []error{ErrMalformed, ErrUnsupported, ErrTooLarge, ErrView} {
				if errors.Is(err, known) {
					return
				}
			}
			t.Fatalf("unexpected error %v", err)
		}
		size := img.Bounds().Size()
		switch {
		case size.X < 1 || size.Y < 1 || size.X*size.Y > view.MaxPixels:
			t.Fatalf("size %v", size)
		case view.Width > 0 && size.X > view.Width || view.Height > 0 && size.Y > max(1, view.Height):
			t.Fatalf("size %v does not fit %d x %d", size, view.Width, view.Height)
		}
	})
}
