package pixeldata

import (
	"bytes"
	"context"
	"errors"
	"image"
	"image/jpeg"
	"slices"
	"testing"

	"pharos/internal/dicom"
	"pharos/internal/dicom/dict"
)

// rleFrame joins segments behind their header (PS3.5 §G.5).
func rleFrame(segments ...[]byte) []byte {
	header := make([]byte, rleHeader)
	header[0] = byte(len(segments))
	frame := header
	for i, s := range segments {
		header[4+i*4], header[5+i*4] = byte(len(frame)), byte(len(frame)>>8)
		frame = append(frame, s...)
		header = frame
	}
	return frame
}

func rle(p picture, frame []byte) picture {
	p.syntax, p.pixels = rleLossless, frame
	return p
}

func TestRLEIsDecoded(t *testing.T) {
	for _, c := range []struct {
		name    string
		picture picture
		want    []uint8
	}{
		// 02: three bytes as they are; FE: the next byte three times.
		{"8 bits", rle(mono(1, 6, 8, 8, false), rleFrame([]byte{2, 1, 2, 3, 0xFE, 9})), []uint8{1, 2, 3, 9, 9, 9}},
		{"80 does nothing", rle(mono(1, 2, 8, 8, false), rleFrame([]byte{0x80, 0xFF, 5, 0})), []uint8{5, 5}},
		{"16 bits, high bytes first", rle(mono(1, 2, 16, 16, false), rleFrame([]byte{0xFF, 0}, []byte{1, 10, 20})), []uint8{10, 20}},
		{"RGB in planes", rle(coloured("RGB", 3, 1, 2, 8, 8, false).with(func(d *dicom.Dataset) { d.SetInts(dict.PlanarConfiguration, dict.US, 1) }),
			rleFrame([]byte{1, 1, 4}, []byte{1, 2, 5}, []byte{1, 3, 6})), []uint8{1, 2, 3, 4, 5, 6}},
		{"more than is needed", rle(mono(1, 2, 8, 8, false), rleFrame([]byte{0x81, 7, 3, 3})), []uint8{7, 7}},
	} {
		t.Run(c.name, func(t *testing.T) {
			img, err := Render(context.Background(), c.picture.source(), View{Window: full})
			if err != nil {
				t.Fatal(err)
			}
			if got := pixels(t, img); !slices.Equal(got, c.want) {
				t.Fatalf("drawn as %d, want %d", got, c.want)
			}
		})
	}
}

func TestDamagedRLEIsRefused(t *testing.T) {
	far := rleFrame([]byte{1, 1, 4}, []byte{1, 2, 5})
	far[10] = 0xFF
	for name, frame := range map[string][]byte{
		"no header":           make([]byte, 63),
		"no segments":         rleFrame(),
		"one segment":         rleFrame([]byte{0xFF, 1}),
		"15 segments":         rleFrame(slices.Repeat([][]byte{{0xFF, 1}}, 15)...),
		"offset out of range": far,
		"segment cut off":     rleFrame([]byte{1, 1, 4}, []byte{1, 2}),
		"segment empty":       rleFrame([]byte{1, 1, 4}, nil),
	} {
		if _, err := Render(context.Background(), rle(mono(1, 2, 16, 16, false), frame).source(), View{}); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// jpegOf encodes a picture of one colour.
func jpegOf(t testing.TB, img image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, &jpeg.Options{Quality: 100}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestJPEGIsDecoded(t *testing.T) {
	gray := image.NewGray(image.Rect(0, 0, 3, 2))
	colour := image.NewYCbCr(image.Rect(0, 0, 3, 2), image.YCbCrSubsampleRatio420)
	for i := range gray.Pix {
		gray.Pix[i] = 100
	}
	for i := range colour.Y {
		colour.Y[i] = 150
	}
	for i := range colour.Cb {
		colour.Cb[i], colour.Cr[i] = 44, 21
	}
	for _, c := range []struct {
		name    string
		picture picture
		want    []uint8 // of every pixel
	}{
		{"gray", mono(2, 3, 8, 8, false, jpegOf(t, gray)...), []uint8{100}},
		{"gray with a window", mono(2, 3, 8, 8, false, jpegOf(t, gray)...).windowed(50, 10, ""), []uint8{255}},
		{"colour with an odd number of columns", coloured("YBR_FULL_422", 3, 2, 3, 8, 8, false, jpegOf(t, colour)...), []uint8{0, 255, 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.picture.syntax = jpegBaseline
			view := View{Window: full}
			if c.picture.header.Has(dict.WindowCenter) {
				view.Window = nil
			}
			img, err := Render(context.Background(), c.picture.source(), view)
			if err != nil {
				t.Fatal(err)
			}
			for i, v := range pixels(t, img) {
				if d := int(v) - int(c.want[i%len(c.want)]); d < -2 || d > 2 {
					t.Fatalf("sample %d is %d, want %d", i, v, c.want[i%len(c.want)])
				}
			}
		})
	}
}

func TestJPEGThatDoesNotFitItsHeaderIsRefused(t *testing.T) {
	gray := jpegOf(t, image.NewGray(image.Rect(0, 0, 8, 8)))
	huge := bytes.Clone(gray)
	sof := bytes.Index(huge, []byte{0xFF, 0xC0})
	copy(huge[sof+5:], []byte{0xEA, 0x60, 0xEA, 0x60}) // 60,000 x 60,000
	for _, c := range []struct {
		name    string
		picture picture
		want    error
	}{
		{"another size", mono(8, 9, 8, 8, false, gray...), ErrMalformed},
		{"another size, huge", mono(8, 8, 8, 8, false, huge...), ErrMalformed},
		{"both huge", mono(60000, 60000, 8, 8, false, huge...), ErrTooLarge},
		{"another depth", mono(8, 8, 16, 16, false, gray...), ErrMalformed},
		{"three samples", coloured("RGB", 3, 8, 8, 8, 8, false, gray...), ErrMalformed},
		{"cut off", mono(8, 8, 8, 8, false, gray[:len(gray)/2]...), ErrMalformed},
		{"much longer than the pixels", mono(8, 8, 8, 8, false, append(gray, make([]byte, 2*extras)...)...), ErrMalformed},
		{"12 bits", mono(8, 8, 8, 8, false, bytes.Replace(gray, []byte{0xFF, 0xC0, 0, 11, 8}, []byte{0xFF, 0xC1, 0, 11, 12}, 1)...), ErrUnsupported},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.picture.syntax = jpegBaseline
			var err error
			cost := costs(func() { _, err = Render(context.Background(), c.picture.source(), View{Width: 10}) })
			if !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
			if cost > modest {
				t.Errorf("it costs %d bytes", cost)
			}
		})
	}
}

func FuzzRLE(f *testing.F) {
	f.Add(uint8(2), uint8(3), uint8(15), false, rleFrame([]byte{0xFB, 0}, []byte{5, 1, 2, 3, 4, 5, 6}))
	f.Add(uint8(1), uint8(2), uint8(7), true, rleFrame([]byte{1, 1, 4}, []byte{1, 2, 5}, []byte{1, 3, 6}))
	f.Fuzz(func(t *testing.T, rows, columns, allocated uint8, colour bool, data []byte) {
		format := &format{rows: max(1, int(rows)), columns: max(1, int(columns)), samples: 1, allocated: uint(allocated%32 + 1)}
		if colour {
			format.samples = 3
		}
		native, err := decodeRLE(format, data)
		switch {
		case err != nil && !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrUnsupported):
			t.Fatal(err)
		case err == nil && int64(len(native)) != format.frameBytes():
			t.Fatalf("%d bytes, want %d", len(native), format.frameBytes())
		}
	})
}
