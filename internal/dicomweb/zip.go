package dicomweb

import (
	"archive/zip"
	"context"
	"io"
	"net/http"

	"pharos/internal/archive"
	"pharos/internal/dicom"
)

// sendZip answers with a ZIP file of the instances as stored, as it is written. They are
// not compressed: it would cost more time than it saves.
func (s *server) sendZip(w *reply, r *http.Request, ref dicom.Ref, l *listing) error {
	if w.unchanged(r, l.etag("zip")) {
		return nil
	}
	h := w.Header()
	h.Set("Content-Type", typeZip)
	h.Set("Content-Disposition", `attachment; filename="`+string(deepest(ref))+`.zip"`)
	if w.head {
		return nil
	}
	b := newBody(w)
	defer b.close()
	z := zip.NewWriter(b)
	for inst, err := range l.all() {
		if err != nil {
			return err
		}
		if err := zipInstance(r.Context(), z, inst); err != nil {
			return err
		}
	}
	if err := z.Close(); err != nil {
		return err
	}
	return b.Flush()
}

// zipInstance adds one file. Its name is made of UIDs, which are digits and dots
// between digits, so it can't lead out of the directory it is unpacked in.
func zipInstance(ctx context.Context, z *zip.Writer, inst archive.Instance) error {
	ref := inst.Ref()
	entry, err := z.CreateHeader(&zip.FileHeader{
		Name:     string(ref.Study) + "/" + string(ref.Series) + "/" + string(ref.Instance) + ".dcm",
		Method:   zip.Store,
		Modified: inst.Received(),
	})
	if err != nil {
		return err
	}
	file, err := inst.Open(ctx, 0, -1)
	if err != nil {
		return ours(err)
	}
	_, err = io.Copy(entry, file)
	if closeErr := file.Close(); err == nil {
		err = closeErr
	}
	return err
}

// deepest is the last UID of a reference.
func deepest(ref dicom.Ref) dicom.UID {
	switch {
	case ref.Instance != "":
		return ref.Instance
	case ref.Series != "":
		return ref.Series
	}
	return ref.Study
}
