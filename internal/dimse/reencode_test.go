package dimse

import (
	"bytes"
	"testing"

	"pharos/internal/dicom"
	"pharos/internal/dicom/dicomtest"
)

func TestNativeSyntaxesAreReencodedIntoEachOther(t *testing.T) {
	image := dicomtest.CT(dicomtest.WithSize(256, 256)) // its pixel data is too long to be loaded
	for _, from := range nativeSyntaxes {
		o := object(t, dicomtest.Bytes(t, image, from))
		for _, to := range nativeSyntaxes {
			var b bytes.Buffer
			if err := reencode(t.Context(), &b, o, to); err != nil {
				t.Errorf("%v to %v: %v", from, to, err)
				continue
			}
			if want := dicomtest.DatasetBytes(t, image, to); !bytes.Equal(b.Bytes(), want) {
				t.Errorf("%v to %v: %d bytes, want %d", from, to, b.Len(), len(want))
			}
		}
	}
}

func TestCompressedInstancesAreNotReencoded(t *testing.T) {
	o := object(t, dicomtest.JPEGBytes(t))
	if err := reencode(t.Context(), &bytes.Buffer{}, o, dicom.ExplicitVRLittleEndian); err == nil {
		t.Error("fragments were written in a native syntax")
	}
}
