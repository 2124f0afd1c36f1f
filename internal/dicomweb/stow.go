package dicomweb

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"

	"pharos/internal/access"
	"pharos/internal/archive"
	"pharos/internal/dicom"
)

// storesAtOnce is how many instances of one request are on their way to stable storage
// at a time: while one waits for the disk, the next is read.
const storesAtOnce = 4

// store takes instances in (STOW-RS, PS3.18 §10.5).
func (s *server) store(w *reply, r *http.Request) error {
	ref, err := refOf(r)
	if err != nil {
		return err
	}
	ranges, err := accepted(r)
	if err != nil {
		return err
	}
	content, ok := parseMediaRange(r.Header.Get("Content-Type"))
	if !ok {
		return &requestError{http.StatusUnsupportedMediaType, "the Content-Type is missing or malformed"}
	}
	body, err := s.requestBody(w, r)
	if err != nil {
		return err
	}
	st := newStoring(r, s, ref.Study)
	err = st.receive(body, content)
	st.wait()
	return st.answer(w, r, ranges, err)
}

// receive stores what the body holds. What was stored before an error stays stored.
func (st *storing) receive(body io.Reader, content mediaRange) error {
	if content.kind == typeDICOM {
		return st.alone(body)
	}
	if content.kind != typeRelated {
		return errStoreType
	}
	switch content.part {
	case "", typeDICOM, typeDICOMJSON, typeJSON, typeDICOMXML:
	default:
		return errStoreType
	}
	parts, err := newParts(body, content.boundary)
	if err != nil {
		return err
	}
	defer parts.close()
	// No goroutine may read the buffer when it is given back.
	defer st.wait()
	if content.part == typeDICOM || content.part == "" {
		return st.files(parts)
	}
	return st.documents(parts, content)
}

var errStoreType = &requestError{http.StatusUnsupportedMediaType,
	`instances can be sent as multipart/related; type="application/dicom", and with application/dicom+json or application/dicom+xml as type; one alone as application/dicom`}

// storing is a STOW request on its way.
type storing struct {
	ctx    context.Context
	server *server
	study  dicom.UID // the one of the path, or empty for any
	source string

	running  sync.WaitGroup
	slots    chan struct{}
	mu       sync.Mutex
	outcomes []outcome // in the order of the parts
	unusable int       // parts that are no instance
}

// outcome is what became of one instance.
type outcome struct {
	ref   dicom.Ref // empty when it could not be read
	class dicom.UID
	held  bool
	err   error
}

func newStoring(r *http.Request, s *server, study dicom.UID) *storing {
	return &storing{ctx: r.Context(), server: s, study: study, source: sourceName(r), slots: make(chan struct{}, storesAtOnce)}
}

// sourceName says who sends, for the record: the principal, or else the address.
func sourceName(r *http.Request) string {
	if p := access.PrincipalOf(r.Context()); p.Name != "" {
		return p.Name
	}
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// wait returns when no instance is under way any more.
func (st *storing) wait() { st.running.Wait() }

// files stores each part, which is a PS3.10 file.
func (st *storing) files(parts *partsReader) error {
	for {
		p, err := parts.next()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		if err := st.file(p); err != nil {
			return err
		}
	}
}

// file stores one part. The first is stored before it returns: most requests have no
// other, and a goroutine would have to grow its stack for it. For the others it returns
// when the part was read, although the instance may still be waiting for the disk.
func (st *storing) file(p *part) error {
	if p.contentType != "" {
		if m, ok := parseMediaRange(p.contentType); !ok || m.kind != typeDICOM {
			return st.note(outcome{err: errPartType})
		}
	}
	i, err := st.begin()
	if err != nil {
		return err
	}
	if i == 0 {
		st.settle(i, st.one(p))
	} else {
		st.aside(i, p)
	}
	return st.streamFault(p)
}

// aside stores one part in a goroutine, and returns when the part was read.
func (st *storing) aside(i int, p *part) {
	read := make(chan struct{})
	once := sync.OnceFunc(func() { close(read) })
	p.over = once
	st.slots <- struct{}{}
	st.running.Go(func() {
		defer func() { <-st.slots }()
		o := st.one(p)
		once()
		st.settle(i, o)
	})
	<-read
}

var errPartType = fmt.Errorf("%w: the part is not application/dicom", archive.ErrInvalid)

// streamFault is the error that ended the body inside a part.
func (st *storing) streamFault(p *part) error {
	if p.err != nil && !errors.Is(p.err, io.EOF) {
		return p.err
	}
	return nil
}

// alone stores a body that is a single PS3.10 file.
func (st *storing) alone(body io.Reader) error {
	o := st.one(body)
	if o.ref == (dicom.Ref{}) && !errors.Is(o.err, archive.ErrInvalid) && o.err != nil {
		return o.err
	}
	return st.note(o)
}

// begin reserves the place of an outcome.
func (st *storing) begin() (int, error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.unusable > st.server.limits.Unusable {
		return 0, badRequest("too many parts are no instances")
	}
	st.outcomes = append(st.outcomes, outcome{})
	return len(st.outcomes) - 1, nil
}

// settle notes an outcome in its place.
func (st *storing) settle(i int, o outcome) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.outcomes[i] = o
	if o.ref == (dicom.Ref{}) {
		st.unusable++
	}
}

// note is begin and settle in one.
func (st *storing) note(o outcome) error {
	i, err := st.begin()
	if err == nil {
		st.settle(i, o)
	}
	return err
}

// errOtherStudy says that an instance does not belong to the study in the path.
var errOtherStudy = errors.New("the instance belongs to another study than the one in the path")

// one stores one PS3.10 file. A fault of the store must not end the process, which a
// panic in a goroutine of ours would.
func (st *storing) one(r io.Reader) (o outcome) {
	defer func() {
		if p := recover(); p != nil {
			o.err = fmt.Errorf("dicomweb: panic while storing: %v", p)
		}
		if o.err != nil {
			st.log(o)
		}
	}()
	in, err := archive.ReadIncoming(r)
	if err != nil {
		return outcome{err: err}
	}
	o = outcome{ref: in.Ref, class: in.SOPClass}
	if st.study != "" && in.Ref.Study != st.study {
		o.err = errOtherStudy
		return o
	}
	in.Source = st.source
	receipt, err := st.server.archive.Store(st.ctx, in, "")
	o.held, o.err = receipt.Held, err
	return o
}

// log tells the operator why an instance was not stored. The client learns a code only.
func (st *storing) log(o outcome) {
	level := slog.LevelWarn
	if failureOf(o.err).ours {
		level = slog.LevelError
	}
	st.server.log.LogAttrs(st.ctx, level, "instance not stored",
		slog.String("source", st.source), slog.String("instance", string(o.ref.Instance)), slog.String("error", o.err.Error()))
}
