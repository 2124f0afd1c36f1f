package dicom_test

import (
	"bytes"
	"io"
	"slices"
	"testing"

	"pharos/internal/dicom"
	"pharos/internal/dicom/dicomtest"
	"pharos/internal/dicom/dict"
)

// BenchmarkReadHead is what the archive does before it decides: up to group 0020.
func BenchmarkReadHead(b *testing.B) {
	file := dicomtest.Bytes(b, dicomtest.CT(), dicom.ExplicitVRLittleEndian)
	in := bytes.NewReader(file)
	b.ReportAllocs()
	for b.Loop() {
		in.Reset(file)
		r := dicom.NewReader(in, dicom.Limits{})
		if _, err := r.ReadUntil(0x00210000); err != nil {
			b.Fatal(err)
		}
		r.Release()
	}
}

func BenchmarkReadFile(b *testing.B) {
	file := dicomtest.Bytes(b, dicomtest.CT(), dicom.ExplicitVRLittleEndian)
	in := bytes.NewReader(file)
	b.SetBytes(int64(len(file)))
	b.ReportAllocs()
	for b.Loop() {
		in.Reset(file)
		if _, _, err := dicom.ReadFile(in, dicom.Limits{}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkReadSequences is dominated by small elements in items.
func BenchmarkReadSequences(b *testing.B) {
	file := dicomtest.Bytes(b, dicomtest.EnhancedCT(dicomtest.WithFrames(1000), dicomtest.WithSize(8, 8)), dicom.ExplicitVRLittleEndian)
	in := bytes.NewReader(file)
	b.SetBytes(int64(len(file)))
	b.ReportAllocs()
	for b.Loop() {
		in.Reset(file)
		if _, _, err := dicom.ReadFile(in, dicom.Limits{}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkStream is a large object on its way to storage: 1 GB of pixel data a round.
func BenchmarkStream(b *testing.B) {
	const size = 1 << 30
	head := dicomtest.DatasetBytes(b, dicomtest.CT(dicomtest.WithSize(2, 2)), dicom.ExplicitVRLittleEndian)
	head = append(head[:len(head)-12], 0, 0, 0, 0x40)
	copy(head[len(head)-4:], []byte{0, 0, 0, 0x40})
	b.SetBytes(size)
	b.ReportAllocs()
	for b.Loop() {
		r := dicom.NewDatasetReader(io.MultiReader(bytes.NewReader(head), io.LimitReader(same{}, size)), dicom.ExplicitVRLittleEndian, dicom.Limits{})
		r.Tee(io.Discard)
		ds, err := r.ReadRest()
		if err != nil || ds.Get(dict.PixelData).Bulk.Length != size {
			b.Fatal(err)
		}
	}
}

// same is an endless input that costs nothing to read.
type same struct{}

func (same) Read(p []byte) (int, error) { return len(p), nil }

func BenchmarkWriteFile(b *testing.B) {
	ds := dicomtest.CT()
	b.ReportAllocs()
	for b.Loop() {
		if err := dicomtest.WriteTo(io.Discard, ds, dicom.ExplicitVRLittleEndian, nil); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkAppendResult writes what a result of a search has: short values of the study.
func BenchmarkAppendResult(b *testing.B) {
	ds := dicomtest.CT()
	for e := range dicomtest.CT().All() {
		if e.Tag.Group() > 0x20 {
			ds.Delete(e.Tag)
		}
	}
	var text []byte
	b.ReportAllocs()
	for b.Loop() {
		text = dicom.AppendJSON(text[:0], ds, 1<<20, nil)
	}
	b.SetBytes(int64(len(text)))
}

// BenchmarkPut builds a data set in order and out of it.
func BenchmarkPut(b *testing.B) {
	var elements []*dicom.Element
	for e := range dicomtest.CT().All() {
		elements = append(elements, e)
	}
	b.Run("ascending", func(b *testing.B) { benchPut(b, elements) })
	slices.Reverse(elements)
	b.Run("descending", func(b *testing.B) { benchPut(b, elements) })
}

func benchPut(b *testing.B, elements []*dicom.Element) {
	b.ReportAllocs()
	for b.Loop() {
		ds := dicom.NewDataset()
		for _, e := range elements {
			ds.Put(e)
		}
	}
}
