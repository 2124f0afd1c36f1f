package dicomtest

import (
	"io"

	"pharos/internal/dicom"
	"pharos/internal/dicom/dict"
)

// WriteTo writes a Part 10 file of the data set in a transfer syntax. src serves what
// is not in memory, which only an instance of JPEG needs.
func WriteTo(w io.Writer, ds *dicom.Dataset, ts dicom.UID, src dicom.Source) error {
	meta := dicom.NewFileMeta(ds.UID(dict.SOPClassUID), ds.UID(dict.SOPInstanceUID), ts)
	return dicom.WriteFile(w, meta, ds, src)
}
