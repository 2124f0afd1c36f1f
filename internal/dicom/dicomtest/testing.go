package dicomtest

import (
	"bytes"

	"pharos/internal/dicom"
)

// TB is what is needed of a testing.TB, without linking package testing.
type TB interface {
	Helper()
	Fatal(args ...any)
}

// Bytes is a Part 10 file of the data set in a transfer syntax.
func Bytes(t TB, ds *dicom.Dataset, ts dicom.UID) []byte {
	t.Helper()
	return file(t, ds, ts, nil)
}

// JPEGBytes is a Part 10 file of what JPEG makes.
func JPEGBytes(t TB, opts ...Option) []byte {
	t.Helper()
	ds, src := JPEG(opts...)
	return file(t, ds, JPEGBaseline, src)
}

// DatasetBytes is the data set alone, as a DIMSE message carries it.
func DatasetBytes(t TB, ds *dicom.Dataset, ts dicom.UID) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := dicom.WriteDataset(&b, ds, ts, nil); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func file(t TB, ds *dicom.Dataset, ts dicom.UID, src dicom.Source) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := WriteTo(&b, ds, ts, src); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
