package dicomweb

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"pharos/internal/archive"
	"pharos/internal/dicom"
	"pharos/internal/dicom/dict"
)

// errNoBulk says that metadata points to bulk data that is not in the request. Addresses
// elsewhere are never fetched: the sender could make this server read what only it can
// reach.
var errNoBulk = errors.New("metadata names bulk data that the request does not hold")

// document is an instance sent as metadata, with what it takes from other parts.
type document struct {
	header *dicom.Dataset
	bulk   map[string]string // path of an element to its BulkDataURI
}

// documents stores instances sent as JSON or XML metadata with their bulk data in other
// parts (PS3.18 §10.5.1.2). Metadata is held in memory, bulk data in a temporary file.
func (st *storing) documents(parts *partsReader, content mediaRange) error {
	sp, err := newSpool(st.server.tempDir)
	if err != nil {
		return err
	}
	defer sp.close()
	var found []document
	left := st.server.limits.Metadata
	for {
		p, err := parts.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		kind := documentKind(p.contentType, content)
		if kind == "" {
			if err := sp.add(p); err != nil {
				return err
			}
			continue
		}
		docs, err := readDocuments(&cappedReader{p, &left}, kind)
		if err != nil {
			return err
		}
		found = append(found, docs...)
	}
	for _, d := range found {
		if err := st.note(st.assembled(d, sp)); err != nil {
			return err
		}
	}
	return nil
}

// documentKind tells whether a part is metadata, and of which kind.
func documentKind(contentType string, content mediaRange) string {
	m, ok := parseMediaRange(contentType)
	switch {
	case contentType == "":
		return ""
	case !ok:
		return ""
	case m.kind == typeDICOMJSON, m.kind == typeJSON:
		return typeDICOMJSON
	case m.kind == typeDICOMXML, m.kind == content.part:
		return m.kind
	}
	return ""
}

// cappedReader refuses metadata beyond what is left of the limit.
type cappedReader struct {
	r    io.Reader
	left *int64
}

// Read implements io.Reader.
func (c *cappedReader) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	if *c.left -= int64(n); *c.left < 0 {
		return 0, &requestError{http.StatusRequestEntityTooLarge, "the metadata is too long; send the instances as application/dicom"}
	}
	return n, err
}

// maxDocuments bounds the data sets in one request with metadata.
const maxDocuments = 100_000

// modelReader is what reads a data set from JSON or XML.
type modelReader interface {
	Next() (*dicom.Dataset, map[string]string, error)
}

func readDocuments(r io.Reader, kind string) ([]document, error) {
	var reader modelReader = dicom.NewJSONReader(r, dicom.Limits{})
	if kind == typeDICOMXML {
		reader = dicom.NewXMLReader(r, dicom.Limits{})
	}
	var docs []document
	for {
		ds, bulk, err := reader.Next()
		switch {
		case errors.Is(err, io.EOF):
			return docs, nil
		case err != nil:
			return nil, unreadable(err)
		case len(docs) == maxDocuments:
			return nil, badRequest("there are too many data sets")
		}
		docs = append(docs, document{ds, bulk})
	}
}

// unreadable makes an error about metadata one of the request, unless it is one already.
func unreadable(err error) error {
	if _, _, known := problemOf(err); known {
		return err
	}
	return badRequest("the metadata can't be read: " + err.Error())
}

// assembled stores one instance: its metadata and bulk data are written as a PS3.10 file
// into the front door.
func (st *storing) assembled(d document, sp *spool) outcome {
	refused := func(err error) outcome {
		o := outcome{err: err, class: d.header.UID(dict.SOPClassUID), ref: dicom.Ref{
			Study: d.header.UID(dict.StudyInstanceUID), Series: d.header.UID(dict.SeriesInstanceUID), Instance: d.header.UID(dict.SOPInstanceUID),
		}}
		st.log(o)
		return o
	}
	syntax, err := attach(d, sp)
	if err != nil {
		return refused(err)
	}
	d.header.Delete(dict.AvailableTransferSyntaxUID)
	d.header.SetText(dict.SpecificCharacterSet, dict.CS, "ISO_IR 192")
	meta := dicom.NewFileMeta(d.header.UID(dict.SOPClassUID), d.header.UID(dict.SOPInstanceUID), syntax)
	r, w := io.Pipe()
	st.running.Go(func() {
		w.CloseWithError(dicom.WriteFile(w, meta, d.header, sp.open))
	})
	o := st.one(r)
	_ = r.Close() // ends the writer if the archive did not read to the end
	if o.ref == (dicom.Ref{}) {
		return refused(o.err)
	}
	return o
}

// attach lets the elements of a data set point into the spool, and finds the transfer
// syntax that the instance is stored in.
func attach(d document, sp *spool) (dicom.UID, error) {
	syntax := d.header.UID(dict.AvailableTransferSyntaxUID)
	if s := d.header.UID(dict.TransferSyntaxUID); s != "" {
		syntax = s
	}
	for path, uri := range d.bulk {
		values := sp.values[uri]
		e := d.header.At(path)
		if len(values) == 0 || e == nil {
			return "", fmt.Errorf("%w: at %s", errNoBulk, path)
		}
		if path != dict.PixelData.Hex() {
			e.Bulk = &values[0].at
			continue
		}
		pixels, err := pixelSyntax(values[0], syntax)
		if err != nil {
			return "", err
		}
		if syntax = pixels; !dicom.SyntaxOf(syntax).Encapsulated {
			e.Bulk = &values[0].at
			continue
		}
		encapsulate(e, values)
	}
	if syntax == "" || dicom.SyntaxOf(syntax).Deflated || dicom.SyntaxOf(syntax).BigEndian {
		syntax = dicom.ExplicitVRLittleEndian
	}
	if len(d.bulk) == 0 && dicom.SyntaxOf(syntax).Encapsulated {
		syntax = dicom.ExplicitVRLittleEndian // there is nothing to encapsulate
	}
	return syntax, nil
}

// pixelSyntax is the transfer syntax of pixel data: of its part's media type, else what
// the metadata says, else the one that the media type implies.
func pixelSyntax(v spooled, told dicom.UID) (dicom.UID, error) {
	m, ok := parseMediaRange(v.contentType)
	if v.contentType == "" {
		m, ok = mediaRange{kind: typeOctetStream}, true
	}
	if !ok {
		return "", fmt.Errorf("%w: the Content-Type of a part is malformed", archive.ErrInvalid)
	}
	if m.syntax != "" {
		return dicom.UID(m.syntax), nil
	}
	if told != "" && (m.kind == typeOctetStream || strings.EqualFold(pixelType(told), m.kind)) {
		return told, nil
	}
	if syntax, ok := syntaxOfType(m.kind); ok {
		return syntax, nil
	}
	return "", fmt.Errorf("%w: pixel data can't be of the media type of its part", archive.ErrInvalid)
}

// encapsulate makes each value a fragment, behind an empty Basic Offset Table (PS3.5
// §A.4).
func encapsulate(e *dicom.Element, values []spooled) {
	e.VR, e.Undefined = dict.OB, true
	e.Fragments = append(e.Fragments, dicom.Range{})
	for _, v := range values {
		e.Fragments = append(e.Fragments, v.at)
	}
}
