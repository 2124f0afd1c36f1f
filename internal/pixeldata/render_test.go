package pixeldata

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"image"
	"io"
	"math"
	"slices"
	"testing"

	"pharos/internal/dicom"
	"pharos/internal/dicom/dict"
)

// picture is an image to be rendered.
type picture struct {
	header *dicom.Dataset
	syntax dicom.UID
	pixels []byte
}

// mono is a grayscale image in little endian.
func mono(rows, columns, allocated, stored int64, signed bool, pixels ...byte) picture {
	return coloured("MONOCHROME2", 1, rows, columns, allocated, stored, signed, pixels...)
}

func coloured(photometric string, samples, rows, columns, allocated, stored int64, signed bool, pixels ...byte) picture {
	d := native(rows, columns, allocated, 1, int64(len(pixels)))
	d.SetText(dict.PhotometricInterpretation, dict.CS, photometric)
	d.SetInts(dict.SamplesPerPixel, dict.US, samples)
	d.SetInts(dict.BitsStored, dict.US, stored)
	d.SetInts(dict.HighBit, dict.US, stored-1)
	if signed {
		d.SetInts(dict.PixelRepresentation, dict.US, 1)
	}
	return picture{d, dicom.ExplicitVRLittleEndian, pixels}
}

// with changes the header.
func (p picture) with(change func(d *dicom.Dataset)) picture {
	change(p.header)
	return p
}

// windowed gives the header a window.
func (p picture) windowed(center, width float64, function string) picture {
	setWindow(p.header, center, width, function)
	return p
}

func setWindow(d *dicom.Dataset, center, width float64, function string) {
	d.SetFloats(dict.WindowCenter, dict.DS, center)
	d.SetFloats(dict.WindowWidth, dict.DS, width)
	if function != "" {
		d.SetText(dict.VOILUTFunction, dict.CS, function)
	}
}

func (p picture) source() Source {
	return Source{Header: p.header, Syntax: p.syntax, Frame: bytes.NewReader(p.pixels), Length: int64(len(p.pixels))}
}

// full is the window in which 8-bit values are the gray itself.
var full = &Window{Center: 128, Width: 256}

// pixels are the samples of the picture: of a colour three a pixel.
func pixels(t testing.TB, img image.Image) []uint8 {
	t.Helper()
	switch p := img.(type) {
	case *image.Gray:
		return p.Pix
	case *image.RGBA:
		var rgb []uint8
		for i := 0; i < len(p.Pix); i += 4 {
			rgb = append(rgb, p.Pix[i:i+3]...)
			if p.Pix[i+3] != 255 {
				t.Fatal("a pixel is not opaque")
			}
		}
		return rgb
	}
	t.Fatalf("picture is a %T", img)
	return nil
}

func words16(v ...uint16) []byte {
	var b []byte
	for _, w := range v {
		b = binary.LittleEndian.AppendUint16(b, w)
	}
	return b
}

// lutItem is an item of a Modality or VOI LUT Sequence.
func lutItem(entries, first, bits int64, vr dicom.VR, data []byte) *dicom.Dataset {
	item := dicom.NewDataset()
	item.SetInts(dict.LUTDescriptor, vr, entries, first, bits)
	item.SetBytes(dict.LUTData, dict.OW, data)
	return item
}

// setPalette gives the header a palette of three tables.
func setPalette(d *dicom.Dataset, entries, first, bits int64, red, green, blue []byte) {
	for i, data := range [...][]byte{red, green, blue} {
		d.SetInts(primaries[i].descriptor, dict.US, entries, first, bits)
		d.SetBytes(primaries[i].data, dict.OW, data)
	}
}

func TestPixelsAreDrawnAsTheStandardSays(t *testing.T) {
	set := func(tag dicom.Tag, vr dicom.VR, v float64) func(*dicom.Dataset) {
		return func(d *dicom.Dataset) { d.SetFloats(tag, vr, v) }
	}
	for _, c := range []struct {
		name    string
		picture picture
		view    View
		want    []uint8
	}{
		{"8 bits", mono(1, 4, 8, 8, false, 0, 1, 128, 255), View{Window: full}, []uint8{0, 1, 128, 255}},
		{"8 bits signed", mono(1, 3, 8, 8, true, 0x80, 0x00, 0x7F), View{Window: &Window{Center: 0, Width: 256}}, []uint8{0, 128, 255}},
		{"6 of 8 bits, above them an overlay", mono(1, 3, 8, 6, false, 0xC0, 0x40|32, 0x3F), View{Window: &Window{Center: 32, Width: 64}}, []uint8{0, 130, 255}},
		{"high bits", mono(1, 2, 8, 4, false, 0xF0, 0x80).with(func(d *dicom.Dataset) { d.SetInts(dict.HighBit, dict.US, 7) }),
			View{Window: &Window{Center: 8, Width: 16}}, []uint8{255, 136}},
		{"16 bits", mono(1, 3, 16, 16, false, 0, 0, 0, 0x80, 0xFF, 0xFF), View{Window: &Window{Center: 32768, Width: 65536}}, []uint8{0, 128, 255}},
		{"16 bits signed", mono(1, 3, 16, 16, true, 0, 0x80, 0, 0, 0xFF, 0x7F), View{Window: &Window{Center: 0, Width: 65536}}, []uint8{0, 128, 255}},
		{"12 bits signed, sign not extended", mono(1, 3, 16, 12, true, 0x00, 0x08, 0x00, 0x00, 0xFF, 0x07),
			View{Window: &Window{Center: 0, Width: 4096}}, []uint8{0, 128, 255}},
		{"32 bits", mono(1, 2, 32, 32, false, 0, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF), View{}, []uint8{0, 255}},
		{"32 bits signed", mono(1, 3, 32, 32, true, 0xF6, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0, 10, 0, 0, 0), View{}, []uint8{0, 128, 255}},
		{"1 bit, rows inside bytes", mono(2, 5, 1, 1, false, 0b101_00001, 0b10), View{}, []uint8{255, 0, 0, 0, 0, 255, 0, 255, 0, 255}},
		{"1 bit, all of one value", mono(1, 2, 1, 1, false, 0b11), View{}, []uint8{255, 255}},
		{"12 bits packed", mono(1, 2, 12, 12, false, 0xFF, 0x0F, 0x00), View{}, []uint8{255, 0}},
		{"big endian", picture{mono(1, 2, 16, 16, false).header, dicom.ExplicitVRBigEndian, []byte{0x00, 0x10, 0x00, 0xEF}}, View{Window: full}, []uint8{16, 239}},
		{"bytes in words of big endian", picture{mono(1, 2, 8, 8, false).header, dicom.ExplicitVRBigEndian, []byte{1, 2}}, View{Window: full}, []uint8{2, 1}},

		{"linear", mono(1, 5, 8, 8, false, 0, 98, 100, 102, 200).windowed(100.5, 5, ""), View{}, []uint8{0, 0, 128, 255, 255}},
		{"linear of width 1 is a step", mono(1, 3, 8, 8, false, 99, 100, 101).windowed(100.5, 1, ""), View{}, []uint8{0, 0, 255}},
		{"linear exact", mono(1, 5, 8, 8, false, 0, 98, 100, 102, 200).windowed(100, 4, "LINEAR_EXACT"), View{}, []uint8{0, 0, 128, 255, 255}},
		{"sigmoid", mono(1, 3, 8, 8, false, 0, 100, 125).windowed(100, 100, "SIGMOID"), View{}, []uint8{5, 128, 186}},
		{"view's window before the header's", mono(1, 2, 8, 8, false, 10, 20).windowed(5, 2, "SIGMOID"), View{Window: full}, []uint8{10, 20}},
		{"window of width 0 does not count", mono(1, 3, 8, 8, false, 10, 20, 30).windowed(5, 0, ""), View{}, []uint8{0, 128, 255}},
		{"extremes of the frame", mono(1, 3, 16, 16, false, 100, 0, 150, 0, 200, 0), View{}, []uint8{0, 128, 255}},
		{"one value only", mono(1, 2, 8, 8, false, 7, 7), View{}, []uint8{0, 0}},
		{"window behind the rescale", mono(1, 2, 8, 8, false, 10, 20).with(func(d *dicom.Dataset) {
			d.SetFloats(dict.RescaleSlope, dict.DS, 10)
			d.SetFloats(dict.RescaleIntercept, dict.DS, -100)
		}), View{Window: full}, []uint8{0, 100}},
		{"slope 0 does not count", mono(1, 1, 8, 8, false, 9).with(set(dict.RescaleSlope, dict.DS, 0)), View{Window: full}, []uint8{9}},
		{"falling slope", mono(1, 2, 8, 8, false, 1, 2).with(set(dict.RescaleSlope, dict.DS, -1)), View{}, []uint8{255, 0}},
		{"MONOCHROME1", coloured("MONOCHROME1", 1, 1, 2, 8, 8, false, 0, 200), View{Window: full}, []uint8{255, 55}},
		{"inverse shape", mono(1, 2, 8, 8, false, 0, 200).with(func(d *dicom.Dataset) { d.SetText(dict.PresentationLUTShape, dict.CS, "INVERSE") }),
			View{Window: full}, []uint8{255, 55}},
		{"MONOCHROME1 has the inverse shape once", coloured("MONOCHROME1", 1, 1, 2, 8, 8, false, 0, 200).with(func(d *dicom.Dataset) {
			d.SetText(dict.PresentationLUTShape, dict.CS, "INVERSE")
		}), View{Window: full}, []uint8{255, 55}},
		{"padding is black and no extreme", mono(1, 4, 16, 16, true, 0x30, 0xF8, 0, 0, 50, 0, 100, 0).with(func(d *dicom.Dataset) {
			d.SetInts(dict.PixelPaddingValue, dict.US, 0xF830) // -2000 in the wrong VR
		}), View{}, []uint8{0, 0, 128, 255}},
		{"padding is black in MONOCHROME1", coloured("MONOCHROME1", 1, 1, 3, 8, 8, false, 250, 255, 0).with(func(d *dicom.Dataset) {
			d.SetInts(dict.PixelPaddingValue, dict.US, 250)
			d.SetInts(dict.PixelPaddingRangeLimit, dict.US, 255)
		}), View{Window: full}, []uint8{0, 0, 255}},

		{"modality table", mono(1, 3, 8, 8, false, 0, 11, 200).with(func(d *dicom.Dataset) {
			d.SetItems(dict.ModalityLUTSequence, lutItem(3, 10, 16, dict.US, words16(100, 150, 200)))
		}), View{Window: full}, []uint8{100, 150, 200}},
		{"modality table from a negative value", mono(1, 3, 8, 8, true, 0xFE, 0xFF, 0).with(func(d *dicom.Dataset) {
			d.SetItems(dict.ModalityLUTSequence, lutItem(2, 0xFFFE, 16, dict.US, words16(10, 20)))
		}), View{Window: full}, []uint8{10, 20, 20}},
		{"modality table of an angiogram is not for display", mono(1, 1, 8, 8, false, 7).with(func(d *dicom.Dataset) {
			d.SetItems(dict.ModalityLUTSequence, lutItem(2, 0, 16, dict.US, words16(100, 150)))
			d.SetText(dict.SOPClassUID, dict.UI, "1.2.840.10008.5.1.4.1.1.12.1")
			d.SetText(dict.PixelIntensityRelationship, dict.CS, "LOG")
		}), View{Window: full}, []uint8{7}},
		{"VOI table", mono(1, 3, 8, 8, false, 0, 5, 6).with(func(d *dicom.Dataset) {
			d.SetItems(dict.VOILUTSequence, lutItem(2, 5, 8, dict.US, words16(51, 255)))
		}), View{}, []uint8{51, 51, 255}},
		{"VOI table of bytes", mono(1, 2, 8, 8, false, 0, 1).with(func(d *dicom.Dataset) {
			d.SetItems(dict.VOILUTSequence, lutItem(2, 0, 8, dict.US, []byte{7, 9}))
		}), View{}, []uint8{7, 9}},
		{"VOI table behind a negative rescale", mono(1, 2, 8, 8, false, 0, 1).with(func(d *dicom.Dataset) {
			d.SetFloats(dict.RescaleSlope, dict.DS, 1)
			d.SetFloats(dict.RescaleIntercept, dict.DS, -1)
			d.SetItems(dict.VOILUTSequence, lutItem(2, 0xFFFF, 8, dict.US, words16(3, 4)))
		}), View{}, []uint8{3, 4}},
		{"window before the VOI table", mono(1, 1, 8, 8, false, 77).windowed(128, 256, "").with(func(d *dicom.Dataset) {
			d.SetItems(dict.VOILUTSequence, lutItem(1, 0, 8, dict.US, words16(0)))
		}), View{}, []uint8{77}},

		{"RGB", coloured("RGB", 3, 1, 2, 8, 8, false, 1, 2, 3, 4, 5, 6), View{}, []uint8{1, 2, 3, 4, 5, 6}},
		{"RGB in planes", coloured("RGB", 3, 1, 2, 8, 8, false, 1, 4, 2, 5, 3, 6).with(func(d *dicom.Dataset) { d.SetInts(dict.PlanarConfiguration, dict.US, 1) }),
			View{}, []uint8{1, 2, 3, 4, 5, 6}},
		{"RGB of 16 bits", coloured("RGB", 3, 1, 1, 16, 16, false, 0, 0, 0, 0x80, 0xFF, 0xFF), View{}, []uint8{0, 128, 255}},
		{"RGB of 32 bits", coloured("RGB", 3, 1, 1, 32, 32, false, 0, 0, 0, 1, 0, 0, 0, 0x80, 0xFF, 0xFF, 0xFF, 0xFF), View{}, []uint8{1, 128, 255}},
		{"RGB is not windowed", coloured("RGB", 3, 1, 1, 8, 8, false, 1, 2, 3), View{Window: &Window{Center: 1, Width: 1}}, []uint8{1, 2, 3}},
		{"YBR_FULL", coloured("YBR_FULL", 3, 1, 3, 8, 8, false, 76, 85, 255, 150, 44, 21, 29, 255, 107), View{}, []uint8{254, 0, 0, 0, 255, 1, 0, 0, 254}},
		{"YBR_FULL_422", coloured("YBR_FULL_422", 3, 1, 2, 8, 8, false, 10, 200, 128, 128), View{}, []uint8{10, 10, 10, 200, 200, 200}},
		{"YBR_PARTIAL_422", coloured("YBR_PARTIAL_422", 3, 1, 2, 8, 8, false, 16, 235, 128, 128), View{}, []uint8{0, 0, 0, 255, 255, 255}},
		{"palette of 8 bits", coloured("PALETTE COLOR", 1, 1, 3, 8, 8, false, 0, 1, 9).with(func(d *dicom.Dataset) {
			setPalette(d, 2, 0, 8, []byte{1, 2}, []byte{3, 4}, []byte{5, 6})
		}), View{}, []uint8{1, 3, 5, 2, 4, 6, 2, 4, 6}},
		{"palette of 16 bits from another value", coloured("PALETTE COLOR", 1, 1, 3, 16, 16, false, 0, 0, 100, 0, 101, 0).with(func(d *dicom.Dataset) {
			setPalette(d, 2, 100, 16, words16(0, 0xFFFF), words16(0x8080, 0), words16(0, 0x4040))
		}), View{}, []uint8{0, 128, 0, 0, 128, 0, 255, 0, 64}},
		{"palette of bytes in 16-bit entries", coloured("PALETTE COLOR", 1, 1, 2, 8, 8, false, 0, 1).with(func(d *dicom.Dataset) {
			setPalette(d, 2, 0, 16, words16(10, 255), words16(20, 0), words16(30, 0))
		}), View{}, []uint8{10, 20, 30, 255, 0, 0}},
		{"palette shorter than described", coloured("PALETTE COLOR", 1, 1, 2, 8, 8, false, 0, 200).with(func(d *dicom.Dataset) {
			setPalette(d, 256, 0, 8, []byte{1, 2}, []byte{3, 4}, []byte{5, 6})
		}), View{}, []uint8{1, 3, 5, 2, 4, 6}},
		{"palette of signed values", coloured("PALETTE COLOR", 1, 1, 2, 8, 8, true, 0xFF, 0).with(func(d *dicom.Dataset) {
			setPalette(d, 2, 0xFFFF, 8, []byte{1, 2}, []byte{3, 4}, []byte{5, 6})
		}), View{}, []uint8{1, 3, 5, 2, 4, 6}},
	} {
		t.Run(c.name, func(t *testing.T) {
			img, err := Render(context.Background(), c.picture.source(), c.view)
			if err != nil {
				t.Fatal(err)
			}
			if got := pixels(t, img); !slices.Equal(got, c.want) {
				t.Fatalf("drawn as %d, want %d", got, c.want)
			}
		})
	}
}

func TestRealNumbersAreDrawn(t *testing.T) {
	var f4, f8 []byte
	for _, v := range []float64{math.NaN(), -0.5, 0, 0.5, math.Inf(1)} {
		f4 = binary.LittleEndian.AppendUint32(f4, math.Float32bits(float32(v)))
		f8 = binary.LittleEndian.AppendUint64(f8, math.Float64bits(v))
	}
	want := []uint8{0, 0, 128, 255, 255}
	for tag, value := range map[dicom.Tag][]byte{dict.FloatPixelData: f4, dict.DoubleFloatPixelData: f8} {
		p := mono(1, 5, int64(len(value)/5*8), 1, false, value...)
		p.header.Delete(dict.PixelData)
		p.header.Put(&dicom.Element{Tag: tag, Bulk: &dicom.Range{Offset: 1, Length: int64(len(value))}})
		img, err := Render(context.Background(), p.source(), View{})
		if err != nil {
			t.Fatal(err)
		}
		if got := pixels(t, img); !slices.Equal(got, want) {
			t.Fatalf("%s: drawn as %d, want %d", tag, got, want)
		}
	}
}

func TestFunctionalGroupsOfTheFramePrevail(t *testing.T) {
	group := func(slope, center float64) *dicom.Dataset {
		transformation, voi, item := dicom.NewDataset(), dicom.NewDataset(), dicom.NewDataset()
		if slope != 0 {
			transformation.SetFloats(dict.RescaleSlope, dict.DS, slope)
			transformation.SetFloats(dict.RescaleIntercept, dict.DS, 0)
			item.SetItems(dict.PixelValueTransformationSequence, transformation)
		}
		if center != 0 {
			setWindow(voi, center, 256, "")
			item.SetItems(dict.FrameVOILUTSequence, voi)
		}
		return item
	}
	d := mono(1, 1, 8, 8, false, 50).header
	d.SetItems(dict.SharedFunctionalGroupsSequence, group(2, 0))
	d.SetItems(dict.PerFrameFunctionalGroupsSequence, group(0, 128), group(0, 178), group(3, 128))
	for frame, want := range map[int]uint8{1: 100, 2: 50, 3: 150} {
		img, err := Render(context.Background(), picture{d, dicom.ExplicitVRLittleEndian, []byte{50}}.source(), View{Frame: frame})
		if err != nil {
			t.Fatal(err)
		}
		if got := pixels(t, img)[0]; got != want {
			t.Errorf("frame %d is %d, want %d", frame, got, want)
		}
	}
}

func TestLongTablesAreLoadedByTheirPath(t *testing.T) {
	p := mono(1, 2, 8, 8, false, 0, 1)
	item := lutItem(0, 0, 16, dict.US, nil) // 0 stands for 65,536
	item.Put(&dicom.Element{Tag: dict.LUTData, VR: dict.OW, Bulk: &dicom.Range{Offset: 500, Length: 4}})
	p.header.SetItems(dict.VOILUTSequence, item)
	p.syntax = dicom.ExplicitVRBigEndian
	p.header.Get(dict.PixelData).VR = dict.OB
	src := p.source()
	src.Values = func(path string) ([]byte, error) {
		if path != "00283010/0/00283006" {
			t.Errorf("loads %s", path)
		}
		return []byte{0x80, 0x80, 0xFF, 0xFF}, nil
	}
	img, err := Render(context.Background(), src, View{})
	if err != nil {
		t.Fatal(err)
	}
	if got := pixels(t, img); !slices.Equal(got, []uint8{128, 255}) {
		t.Fatalf("drawn as %d", got)
	}

	item.Put(&dicom.Element{Tag: dict.LUTData, VR: dict.OW, Bulk: &dicom.Range{Offset: 500, Length: MaxValue + 1}})
	src = p.source()
	src.Values = func(string) ([]byte, error) { t.Error("too long a value is loaded"); return nil, nil }
	if _, err := Render(context.Background(), src, View{}); !errors.Is(err, ErrTooLarge) {
		t.Fatalf("too long a value: %v", err)
	}
	broken := errors.New("disk")
	item.Put(&dicom.Element{Tag: dict.LUTData, VR: dict.OW, Bulk: &dicom.Range{Offset: 500, Length: 4}})
	src.Values = func(string) ([]byte, error) { return nil, broken }
	if _, err := Render(context.Background(), src, View{}); !errors.Is(err, broken) {
		t.Fatalf("error of the source: %v", err)
	}
}

func TestSegmentsExpand(t *testing.T) {
	for _, c := range []struct {
		name string
		bits int
		data []byte
		want []uint16 // nil: refused
	}{
		{"discrete and linear", 16, words16(0, 2, 10, 20, 1, 4, 0), []uint16{10, 20, 15, 10, 5, 0}},
		{"of bytes, padded", 8, []byte{0, 1, 7, 1, 3, 10, 0, 1, 99, 0}, []uint16{7, 8, 9, 10, 99}},
		// The third says: 2 segments from byte 0 on.
		{"indirect", 16, words16(0, 1, 5, 1, 2, 9, 2, 2, 0, 0), []uint16{5, 7, 9, 5, 7, 9}},
		{"indirect of bytes", 8, []byte{0, 1, 5, 1, 2, 9, 2, 1, 3, 0, 0, 0}, []uint16{5, 7, 9, 9, 9}},
		{"indirect to an indirect", 16, words16(0, 1, 5, 2, 1, 6, 0), nil},
		{"indirect out of the data", 16, words16(0, 1, 5, 2, 1, 0xFFFF, 0xFFFF), nil},
		{"linear at first", 16, words16(1, 2, 9), nil},
		{"of no length", 16, words16(0, 0, 0, 0), nil},
		{"cut off", 16, words16(0, 4, 1), nil},
		{"unknown opcode", 16, words16(3, 1, 1), nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := expand(descriptor{entries: 100, bits: c.bits}, c.data)
			if c.want == nil {
				if !errors.Is(err, ErrMalformed) {
					t.Fatalf("%d, %v", got, err)
				}
				return
			}
			if err != nil || !slices.Equal(got, c.want) {
				t.Fatalf("%d, %v; want %d", got, err, c.want)
			}
		})
	}
	t.Run("no more than described", func(t *testing.T) {
		got, err := expand(descriptor{entries: 3, bits: 16}, words16(0, 1, 5, 1, 60000, 9, 1, 60000, 1))
		if err != nil || len(got) != 3 {
			t.Fatalf("%d entries, %v", len(got), err)
		}
	})
}

func TestViewCutsFlipsAndScales(t *testing.T) {
	// 3 rows of 4: the tens are the row, the ones the column.
	grid := []byte{0, 1, 2, 3, 10, 11, 12, 13, 20, 21, 22, 23}
	block := bytes.Repeat([]byte{100}, 16*16)
	for _, c := range []struct {
		name    string
		picture picture
		view    View
		size    image.Point
		want    []uint8 // nil: every pixel is 100
	}{
		{"crop", mono(3, 4, 8, 8, false, grid...), View{Crop: image.Rect(1, 1, 3, math.MaxInt32)}, image.Pt(2, 2), []uint8{11, 12, 21, 22}},
		{"region", mono(3, 4, 8, 8, false, grid...), View{Region: [4]float64{0.5, 0, 1, 0.3}}, image.Pt(2, 1), []uint8{2, 3}},
		{"flip x", mono(3, 4, 8, 8, false, grid...), View{Crop: image.Rect(0, 0, 4, 1), FlipX: true}, image.Pt(4, 1), []uint8{3, 2, 1, 0}},
		{"flip y", mono(3, 4, 8, 8, false, grid...), View{Crop: image.Rect(0, 0, 1, 3), FlipY: true}, image.Pt(1, 3), []uint8{20, 10, 0}},
		{"crop of bits", mono(2, 5, 1, 1, false, 0b101_00001, 0b10), View{Crop: image.Rect(2, 1, 5, 2)}, image.Pt(3, 1), []uint8{255, 0, 255}},
		{"half the size averages", mono(2, 4, 8, 8, false, 0, 2, 10, 10, 4, 6, 20, 20), View{Width: 2, Height: 9}, image.Pt(2, 1), []uint8{3, 15}},
		{"width alone", mono(16, 16, 8, 8, false, block...), View{Width: 5}, image.Pt(5, 5), nil},
		{"height alone", mono(16, 16, 8, 8, false, block...), View{Height: 7}, image.Pt(7, 7), nil},
		{"larger", mono(16, 16, 8, 8, false, block...), View{Width: 50, Height: 40}, image.Pt(40, 40), nil},
		{"pixels twice as high as wide", mono(16, 16, 8, 8, false, block...).with(func(d *dicom.Dataset) { d.SetFloats(dict.PixelSpacing, dict.DS, 2, 1) }),
			View{}, image.Pt(16, 32), nil},
		{"pixels twice as wide as high", mono(16, 16, 8, 8, false, block...).with(func(d *dicom.Dataset) { d.SetText(dict.PixelAspectRatio, dict.IS, "1", "2") }),
			View{Width: 16, Height: 16}, image.Pt(16, 8), nil},
		{"spacing that makes no sense", mono(16, 16, 8, 8, false, block...).with(func(d *dicom.Dataset) { d.SetFloats(dict.PixelSpacing, dict.DS, 1e9, 1e-9) }),
			View{}, image.Pt(16, 16), nil},
		{"colour", coloured("RGB", 3, 8, 8, 8, 8, false, bytes.Repeat([]byte{100}, 192)...), View{Width: 3, FlipX: true, FlipY: true}, image.Pt(3, 3), nil},
		{"colour in planes", coloured("RGB", 3, 8, 8, 8, 8, false, bytes.Repeat([]byte{100}, 192)...).with(func(d *dicom.Dataset) {
			d.SetInts(dict.PlanarConfiguration, dict.US, 1)
		}), View{Crop: image.Rect(1, 1, 6, 6), Width: 2}, image.Pt(2, 2), nil},
		{"colour of which halves differ", coloured("RGB", 3, 1, 2, 8, 8, false, 1, 2, 3, 4, 5, 6), View{FlipX: true}, image.Pt(2, 1), []uint8{4, 5, 6, 1, 2, 3}},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.view.Window = full
			if c.picture.header.Bytes(dict.BitsAllocated)[0] == 1 {
				c.view.Window = nil
			}
			img, err := Render(context.Background(), c.picture.source(), c.view)
			if err != nil {
				t.Fatal(err)
			}
			if img.Bounds().Size() != c.size || img.Bounds().Min != (image.Point{}) {
				t.Fatalf("size %v, want %v", img.Bounds(), c.size)
			}
			got := pixels(t, img)
			if c.want == nil {
				c.want = bytes.Repeat([]byte{100}, len(got))
			}
			if !slices.Equal(got, c.want) {
				t.Fatalf("drawn as %d, want %d", got, c.want)
			}
		})
	}
}

// A ramp keeps its slope and its place when it is scaled, up or down, by any ratio.
func TestScalingKeepsARamp(t *testing.T) {
	const n = 240
	ramp := make([]byte, n)
	for i := range ramp {
		ramp[i] = byte(i)
	}
	p := mono(1, n, 8, 8, false, ramp...)
	for _, width := range []int{30, 37, 80, 100, 119, 121, 200, 239, 241, 300, 777} {
		p.header.SetFloats(dict.PixelSpacing, dict.DS, 1, 1)
		img, err := Render(context.Background(), p.source(), View{Window: full, Width: width})
		if err != nil {
			t.Fatal(err)
		}
		row := pixels(t, img)[:img.Bounds().Dx()]
		margin := len(row)/20 + 2
		for i := margin; i < len(row)-margin; i++ {
			want := (float64(i)+0.5)*n/float64(len(row)) - 0.5
			if math.Abs(float64(row[i])-want) > 1.5 {
				t.Fatalf("width %d: pixel %d is %d, want %.1f", width, i, row[i], want)
			}
		}
	}
}

func TestFrameThatEndsEarlyIsRefused(t *testing.T) {
	p := mono(2, 2, 8, 8, false, 1, 2, 3)
	if _, err := Render(context.Background(), p.source(), View{}); !errors.Is(err, ErrMalformed) {
		t.Fatalf("short length: %v", err)
	}
	src := p.source()
	src.Length = 4
	for _, window := range []*Window{nil, full} {
		src.Frame = bytes.NewReader(p.pixels)
		if _, err := Render(context.Background(), src, View{Window: window}); !errors.Is(err, ErrMalformed) {
			t.Fatalf("short frame: %v", err)
		}
	}
	broken := errors.New("disk")
	src.Frame = io.MultiReader(bytes.NewReader(p.pixels[:2]), brokenReader{broken})
	if _, err := Render(context.Background(), src, View{Window: full}); !errors.Is(err, broken) {
		t.Fatalf("error of the source: %v", err)
	}
}

type brokenReader struct{ err error }

func (b brokenReader) Read([]byte) (int, error) { return 0, b.err }

func TestRenderingStopsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for _, window := range []*Window{nil, full} {
		_, err := Render(ctx, mono(2, 2, 8, 8, false, 1, 2, 3, 4).source(), View{Window: window})
		if !errors.Is(err, context.Canceled) {
			t.Fatalf("got %v", err)
		}
	}
}
