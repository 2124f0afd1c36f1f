package pixeldata

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"reflect"
	"testing"

	"pharos/internal/dicom"
	"pharos/internal/dicom/dict"
)

// native is a header of frames without compression; size is the length of their value.
func native(rows, columns, allocated, frames, size int64) *dicom.Dataset {
	d := dicom.NewDataset()
	d.SetInts(dict.Rows, dict.US, rows)
	d.SetInts(dict.Columns, dict.US, columns)
	d.SetInts(dict.BitsAllocated, dict.US, allocated)
	d.SetInts(dict.SamplesPerPixel, dict.US, 1)
	d.SetInts(dict.NumberOfFrames, dict.IS, frames)
	d.Put(&dicom.Element{Tag: dict.PixelData, VR: dict.OW, Bulk: &dicom.Range{Offset: 1000, Length: size}})
	return d
}

// fragmented is a header of compressed frames whose fragments have the given lengths.
func fragmented(frames int64, table []uint32, lengths ...int64) *dicom.Dataset {
	d := dicom.NewDataset()
	d.SetInts(dict.NumberOfFrames, dict.IS, frames)
	e := &dicom.Element{Tag: dict.PixelData, VR: dict.OB, Undefined: true}
	for _, offset := range table {
		e.Value = binary.LittleEndian.AppendUint32(e.Value, offset)
	}
	at := int64(1000)
	e.Fragments = append(e.Fragments, dicom.Range{Offset: at, Length: int64(len(e.Value))})
	at += int64(len(e.Value))
	for _, n := range lengths {
		e.Fragments = append(e.Fragments, dicom.Range{Offset: at + 8, Length: n})
		at += 8 + n
	}
	d.Put(e)
	return d
}

func TestFrameIsWhereTheHeaderSays(t *testing.T) {
	for _, c := range []struct {
		name   string
		header *dicom.Dataset
		frames int
		frame  int
		want   []dicom.Range
		shift  int
	}{
		{"one native", native(4, 8, 16, 1, 64), 1, 1, []dicom.Range{{Offset: 1000, Length: 64}}, 0},
		{"third native", native(4, 8, 8, 3, 96), 3, 3, []dicom.Range{{Offset: 1064, Length: 32}}, 0},
		{"fewer than declared", native(4, 8, 8, 100_000_000, 96), 3, 2, []dicom.Range{{Offset: 1032, Length: 32}}, 0},
		{"bits inside a byte", native(3, 5, 1, 2, 4), 2, 2, []dicom.Range{{Offset: 1001, Length: 3}}, 7},
		{"one fragment each", fragmented(2, nil, 10, 20), 2, 2, []dicom.Range{{Offset: 1026, Length: 20}}, 0},
		{"all in one frame", fragmented(1, nil, 10, 20), 1, 1,
			[]dicom.Range{{Offset: 1008, Length: 10}, {Offset: 1026, Length: 20}}, 0},
		{"by the offset table", fragmented(2, []uint32{0, 36}, 10, 10, 20), 2, 2,
			[]dicom.Range{{Offset: 1008 + 8 + 36, Length: 20}}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := NewLayout(c.header, 10_000)
			l.DatasetOffset = 300
			for _, layout := range []Layout{l, repack(t, l)} {
				if layout.Frames() != c.frames {
					t.Fatalf("%d frames, want %d", layout.Frames(), c.frames)
				}
				got, shift, err := layout.Frame(c.frame)
				if err != nil || shift != c.shift || !reflect.DeepEqual(got, c.want) {
					t.Fatalf("frame %d at %v shifted by %d, %v; want %v by %d", c.frame, got, shift, err, c.want, c.shift)
				}
				if _, _, err := layout.Frame(c.frames + 1); !errors.Is(err, ErrNoFrame) {
					t.Fatalf("frame behind the last: %v", err)
				}
				if layout.DatasetOffset != 300 {
					t.Fatalf("data set at %d", layout.DatasetOffset)
				}
			}
		})
	}
}

func repack(t *testing.T, l Layout) Layout {
	t.Helper()
	again, err := Unpack(l.Pack())
	if err != nil {
		t.Fatal(err)
	}
	return again
}

func TestHostileHeaderHasNoFrames(t *testing.T) {
	for name, header := range map[string]*dicom.Dataset{
		"no pixel data":         dicom.NewDataset(),
		"no rows":               native(0, 8, 8, 1, 8),
		"no depth":              native(8, 8, 0, 1, 8),
		"absurd depth":          native(8, 8, 60000, 1, 8),
		"larger than its value": native(65535, 65535, 16, 1, 43_000),
		"fragments missing":     fragmented(5, nil),
		"fewer fragments":       fragmented(100_000_000, nil, 10),
		"table out of range":    fragmented(2, []uint32{0, 999_999}, 10, 20, 30),
		"table descends":        fragmented(2, []uint32{18, 0}, 10, 20, 30),
	} {
		t.Run(name, func(t *testing.T) {
			l := NewLayout(header, 50_000)
			if l.Frames() != 0 {
				t.Fatalf("%d frames", l.Frames())
			}
			if _, _, err := l.Frame(1); !errors.Is(err, ErrNoFrame) {
				t.Fatalf("frame 1: %v", err)
			}
		})
	}
}

func TestShiftBitsAlignsAFrame(t *testing.T) {
	// 15 bits per frame: the second begins at bit 7 of the second byte.
	value := []byte{0b1000_0000, 0b1000_0000, 0b0101_0101, 0b0011_1111}
	got, err := io.ReadAll(ShiftBits(bytes.NewReader(value[1:]), 7))
	if err != nil {
		t.Fatal(err)
	}
	if want := []byte{0b1010_1011, 0b0111_1110}; !bytes.Equal(got[:2], want) {
		t.Fatalf("%08b, want %08b", got[:2], want)
	}
}

func FuzzUnpack(f *testing.F) {
	for _, header := range []*dicom.Dataset{
		native(4, 8, 16, 3, 192), fragmented(2, nil, 10, 20), fragmented(2, []uint32{0, 36}, 10, 10, 20), dicom.NewDataset(),
	} {
		l := NewLayout(header, 5000)
		f.Add(l.Pack())
	}
	f.Fuzz(func(t *testing.T, packed []byte) {
		l, err := Unpack(packed)
		if err != nil {
			return
		}
		again, err := Unpack(l.Pack())
		if err != nil {
			t.Fatalf("packed again: %v", err)
		}
		if again.Frames() != l.Frames() {
			t.Fatalf("%d frames, then %d", l.Frames(), again.Frames())
		}
		_, _, _ = l.Frame(l.Frames())
	})
}
