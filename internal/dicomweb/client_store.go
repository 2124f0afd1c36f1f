package dicomweb

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"sync"
	"sync/atomic"

	"pharos/internal/dicom"
	"pharos/internal/dicom/dict"
)

// Sent is what a server says of one instance that was sent to it.
type Sent struct {
	SOPClass dicom.UID
	Instance dicom.UID
	URL      string // where it can be retrieved, if it was stored
	Warning  uint16 // Warning Reason (0008,1196), or 0
	Failure  uint16 // Failure Reason (0008,1197), or 0 if it was stored
}

// Files are PS3.10 files to send, opened one after the other and closed when they are
// sent. It must be possible to run through them again.
type Files = iter.Seq2[io.ReadCloser, error]

// Store sends files in one request, into a study unless that is empty, as they are read.
// It returns what the server said of each. Failures of instances are not an error; a
// failure of the request is, and then some instances may have been stored.
//
// The request is tried again when no connection came about, and when the server refused
// it with 503 and the time to come back.
func (c *Client) Store(ctx context.Context, study dicom.UID, files Files) ([]Sent, error) {
	var body *sendBody
	untouched := func(resp *http.Response, err error) bool {
		return mayRepeatEffect(resp, err) || err != nil && !body.begun.Load() && body.fault() == nil
	}
	address := c.path(dicom.Ref{}, "/studies")
	if study != "" {
		address = c.path(dicom.Ref{Study: study}, "")
	}
	resp, err := c.retrying(ctx, untouched, func() (*http.Request, error) {
		body = newSendBody(files)
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, address, body)
		if err != nil {
			return nil, errors.Join(err, body.Close())
		}
		r.Header.Set("Content-Type", typeRelated+`; type="`+typeDICOM+`"; boundary=`+body.boundary)
		r.Header.Set("Accept", typeDICOMJSON)
		return r, nil
	})
	if err != nil {
		if fault := body.fault(); fault != nil {
			err = fault // ours explains more than the transport's
		}
		return nil, fmt.Errorf("store: %w", err)
	}
	sent, err := readSent(resp)
	if err != nil {
		return sent, fmt.Errorf("store: %w", err)
	}
	return sent, nil
}

// readSent understands a Store Instances Response (PS3.18 Annex I).
func readSent(resp *http.Response) ([]Sent, error) {
	switch resp.StatusCode {
	case http.StatusOK, http.StatusAccepted, http.StatusConflict:
	default:
		return nil, statusError(resp)
	}
	m, _ := parseMediaRange(resp.Header.Get("Content-Type"))
	var reader modelReader
	switch m.kind {
	case typeDICOMJSON, typeJSON:
		reader = dicom.NewJSONReader(resp.Body, dicom.Limits{})
	case typeDICOMXML:
		reader = dicom.NewXMLReader(resp.Body, dicom.Limits{})
	default:
		return nil, statusError(resp)
	}
	defer resp.Body.Close() //nolint:errcheck // only read from
	ds, _, err := reader.Next()
	if err != nil {
		return nil, fmt.Errorf("answer: %w", err)
	}
	var sent []Sent
	for _, sequence := range [...]dicom.Tag{dict.ReferencedSOPSequence, dict.FailedSOPSequence, dict.OtherFailuresSequence} {
		for _, item := range ds.Items(sequence) {
			sent = append(sent, sentOf(item, sequence != dict.ReferencedSOPSequence))
		}
	}
	return sent, nil
}

func sentOf(item *dicom.Dataset, failed bool) Sent {
	warning, _ := item.Int(dict.WarningReason)
	failure, _ := item.Int(dict.FailureReason)
	s := Sent{
		SOPClass: item.UID(dict.ReferencedSOPClassUID), Instance: item.UID(dict.ReferencedSOPInstanceUID),
		URL: item.Text(dict.RetrieveURL), Warning: uint16(warning), Failure: uint16(failure),
	}
	if failed && s.Failure == 0 {
		s.Failure = 0x0110 // Processing failure: the server gave no reason
	}
	return s
}

// sendBody is a multipart body made of files as it is read.
type sendBody struct {
	boundary string
	begun    atomic.Bool // something was read

	mu      sync.Mutex // a transport may close while it reads
	next    func() (io.ReadCloser, error, bool)
	stop    func()
	pending []byte // text to be read before the file
	file    io.ReadCloser
	parts   int
	err     error // of the files
	done    bool
}

func newSendBody(files Files) *sendBody {
	b := &sendBody{boundary: rand.Text()}
	b.next, b.stop = iter.Pull2(files)
	return b
}

// Read implements io.Reader.
func (b *sendBody) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.begun.Store(true)
	for {
		switch {
		case len(b.pending) > 0:
			n := copy(p, b.pending)
			b.pending = b.pending[n:]
			return n, nil
		case b.err != nil:
			return 0, b.err
		case b.done:
			return 0, io.EOF
		case b.file == nil:
			b.open()
			continue
		}
		n, err := b.file.Read(p)
		if errors.Is(err, io.EOF) {
			err = b.file.Close()
			b.file = nil
		}
		b.err = err
		if n > 0 || err != nil {
			return n, err
		}
	}
}

// open goes to the next file, or to the end.
func (b *sendBody) open() {
	file, err, ok := b.next()
	switch {
	case err != nil:
		b.err = err
	case !ok:
		b.done = true
		b.pending = []byte("\r\n--" + b.boundary + "--\r\n")
	default:
		b.file = file
		head := "--" + b.boundary + "\r\nContent-Type: " + typeDICOM + "\r\n\r\n"
		if b.parts++; b.parts > 1 {
			head = "\r\n" + head
		}
		b.pending = []byte(head)
	}
}

// Close implements io.Closer.
func (b *sendBody) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stop()
	b.done = true
	if b.file == nil {
		return nil
	}
	err := b.file.Close()
	b.file = nil
	return err
}

// fault is the error of the files, if one ended the body.
func (b *sendBody) fault() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.err
}
