package dicomweb

import (
	"bytes"
	"io"
	"math"
	"net/http"

	"pharos/internal/access"
	"pharos/internal/archive"
	"pharos/internal/dicom"
)

// documentForm is how data sets are written.
type documentForm uint8

const (
	asDICOMJSON documentForm = iota + 1 // application/dicom+json
	asJSON                              // application/json, the same under another name
	asXML                               // multipart/related; type="application/dicom+xml"
)

// chooseDocument finds the form that the client wants most (PS3.18 §8.7.4).
func chooseDocument(ranges []mediaRange) (documentForm, error) {
	for _, m := range ranges {
		switch {
		case m.takes(typeDICOMJSON):
			return asDICOMJSON, nil
		case m.takes(typeJSON):
			return asJSON, nil
		case m.takesParts(typeDICOMXML), m.kind == typeDICOMXML:
			return asXML, nil
		}
	}
	return 0, notAcceptable(`the answer can be had as application/dicom+json, application/json or multipart/related; type="application/dicom+xml"`)
}

// contentType of the JSON forms.
func (f documentForm) contentType() string {
	if f == asJSON {
		return typeJSON
	}
	return typeDICOMJSON
}

// metadataVersion changes when the same instance would give other metadata.
const metadataVersion = "metadata1 "

// metadata answers with the headers of a study, series or instance (PS3.18 §10.4.1.1.2).
func (s *server) metadata(w *reply, r *http.Request) error {
	ref, err := refOf(r)
	if err != nil {
		return err
	}
	ranges, err := accepted(r)
	if err != nil {
		return err
	}
	form, err := chooseDocument(ranges)
	if err != nil {
		return err
	}
	l, err := s.list(r.Context(), ref)
	if err != nil {
		return err
	}
	etag := l.etag(metadataVersion + s.service + string('0'+rune(form)))
	l.close()
	if w.unchanged(r, etag) {
		return nil
	}
	if form == asXML {
		return s.metadataXML(w, r, ref)
	}
	if w.head {
		w.Header().Set("Content-Type", form.contentType())
		return nil
	}
	out, end := w.document(r, form.contentType(), http.StatusOK)
	return end(s.writeMetadata(out, r, ref))
}

// writeMetadata writes a JSON array with one object per instance. Nothing is written
// before the first object is there.
func (s *server) writeMetadata(out io.Writer, r *http.Request, ref dicom.Ref) error {
	separator := []byte{'['}
	var prefix []byte
	for m, err := range s.archive.Metadata(r.Context(), ref, access.All()) {
		if err != nil {
			return err
		}
		if _, err := out.Write(separator); err != nil {
			return err
		}
		separator[0] = ','
		prefix = append(s.appendAddress(prefix[:0], m.Ref), '/')
		if err := writeMarked(out, m.JSON, prefix); err != nil {
			return err
		}
	}
	if separator[0] == '[' {
		return archive.ErrNotFound
	}
	_, err := out.Write([]byte{']'})
	return err
}

// writeMarked writes JSON with the address where the marks are.
func writeMarked(out io.Writer, json, address []byte) error {
	for {
		i := bytes.IndexByte(json, archive.BulkMark)
		if i < 0 {
			_, err := out.Write(json)
			return err
		}
		if _, err := out.Write(json[:i]); err != nil {
			return err
		}
		if _, err := out.Write(address); err != nil {
			return err
		}
		json = json[i+1:]
	}
}

// metadataXML writes one part per instance, each the Native DICOM Model of its header.
func (s *server) metadataXML(w *reply, r *http.Request, ref dicom.Ref) error {
	b := newBody(w)
	defer b.close()
	m := newRelated(b)
	w.Header().Set("Content-Type", m.contentType(typeDICOMXML))
	if w.head {
		return nil
	}
	var json bytes.Buffer
	var xml, prefix []byte
	for md, err := range s.archive.Metadata(r.Context(), ref, access.All()) {
		if err != nil {
			return err
		}
		json.Reset()
		prefix = append(s.appendAddress(prefix[:0], md.Ref), '/')
		if err := writeMarked(&json, md.JSON, prefix); err != nil {
			return err
		}
		if xml, err = xmlOfJSON(xml[:0], &json); err != nil {
			return err
		}
		if err := m.part(typeDICOMXML, "", int64(len(xml))); err != nil {
			return err
		}
		if _, err := b.Write(xml); err != nil {
			return err
		}
	}
	if !m.begun {
		return archive.ErrNotFound
	}
	return m.end()
}

// xmlOfJSON turns one object of the DICOM JSON Model into the Native DICOM Model.
func xmlOfJSON(b []byte, json io.Reader) ([]byte, error) {
	ds, bulk, err := dicom.NewJSONReader(json, dicom.Limits{}).Next()
	if err != nil {
		return nil, ours(err)
	}
	for path := range bulk {
		if e := ds.At(path); e != nil {
			e.Bulk = &dicom.Range{} // it has a value that lies elsewhere
		}
	}
	uri := func(path string, _ *dicom.Element) string { return bulk[path] }
	return dicom.AppendXML(b, ds, math.MaxInt, uri), nil
}
