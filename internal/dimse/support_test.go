package dimse

import (
	"bytes"
	"context"
	"io"

	"pharos/internal/access"
	"pharos/internal/dicom"
	"pharos/internal/dicom/dicomtest"
	"pharos/internal/dicom/dict"
)

// principalWith authenticates everyone with the same rights.
func principalWith(may access.Action) func(context.Context, Caller) (access.Principal, error) {
	return func(context.Context, Caller) (access.Principal, error) {
		return access.Principal{Name: "node:test", May: may}, nil
	}
}

func opensBytes(b []byte) func(context.Context) (io.ReadCloser, error) {
	return func(context.Context) (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil }
}

func withEmptyStudy() dicomtest.Option {
	return dicomtest.With(&dicom.Element{Tag: dict.StudyInstanceUID, VR: dict.UI})
}
