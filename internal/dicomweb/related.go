package dicomweb

import (
	"crypto/rand"
	"strconv"
)

// relatedWriter writes a multipart/related body (RFC 2387) part by part.
type relatedWriter struct {
	body     *body
	boundary string
	scratch  []byte
	begun    bool
}

// newRelated begins a body. The boundary is random, so that no stored bytes can hold it
// by intent and none hold it by accident.
func newRelated(b *body) *relatedWriter {
	return &relatedWriter{body: b, boundary: rand.Text()}
}

// contentType is the Content-Type of the whole body.
func (m *relatedWriter) contentType(part string) string {
	return typeRelated + `; type="` + part + `"; boundary=` + m.boundary
}

// partHeader is what stands before the value of a part. A length below zero is not
// told.
func (m *relatedWriter) partHeader(first bool, contentType, location string, length int64) []byte {
	b := m.scratch[:0]
	if !first {
		b = append(b, "\r\n"...)
	}
	b = append(b, "--"...)
	b = append(b, m.boundary...)
	b = append(b, "\r\nContent-Type: "...)
	b = append(b, contentType...)
	if location != "" {
		b = append(b, "\r\nContent-Location: "...)
		b = append(b, location...)
	}
	if length >= 0 {
		b = append(b, "\r\nContent-Length: "...)
		b = strconv.AppendInt(b, length, 10)
	}
	b = append(b, "\r\n\r\n"...)
	m.scratch = b
	return b
}

// part begins the next part; its value is then written to the body.
func (m *relatedWriter) part(contentType, location string, length int64) error {
	_, err := m.body.Write(m.partHeader(!m.begun, contentType, location, length))
	m.begun = true
	return err
}

// partSize is how much a part adds to the body, header and value.
func (m *relatedWriter) partSize(first bool, contentType, location string, length int64) int64 {
	return int64(len(m.partHeader(first, contentType, location, length))) + length
}

// endSize is the size of what end writes.
func (m *relatedWriter) endSize() int64 { return int64(len(m.boundary)) + 8 }

// end closes the body and flushes it.
func (m *relatedWriter) end() error {
	if _, err := m.body.WriteString("\r\n--" + m.boundary + "--\r\n"); err != nil {
		return err
	}
	return m.body.Flush()
}
