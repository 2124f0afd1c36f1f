package dicomweb

import (
	"net/http"
	"strings"
	"sync"

	"pharos/internal/access"
	"pharos/internal/archive"
	"pharos/internal/dicom"
)

// search answers a query at a level (QIDO-RS, PS3.18 §10.6). No result is an empty
// array with status 200: 204, which the standard offers too, breaks clients that parse
// whatever comes.
func (s *server) search(level archive.Level) handler {
	return func(w *reply, r *http.Request) error {
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
		search, err := s.parseSearch(r, level, ref)
		if err != nil {
			return err
		}
		return s.sendResults(w, r, search, form)
	}
}

// maxPending is how many bytes of results are held back before the answer begins. What
// there is to warn of must be known by then.
const maxPending = 8 << 20

func (s *server) sendResults(w *reply, r *http.Request, q *searchRequest, form documentForm) error {
	page := newPage(w, r, form, s.service)
	defer page.close()
	page.warnings = q.warnings()
	if form == asXML {
		page.related = newRelated(nil)
	}
	page.limited = q.limited
	w.Header().Set("Cache-Control", "no-store")
	if q.limit == 0 {
		return page.end(nil)
	}
	query := q.Query
	query.Limit = q.limit
	if q.limited {
		query.Limit++ // one more, to see whether there is more
	}
	count, complete := 0, s.newCompletion(q)
	for ds, err := range s.archive.Query(r.Context(), query, access.All()) {
		if err != nil {
			return page.end(err)
		}
		if count == q.limit {
			page.more = true
			break
		}
		count++
		complete.add(ds)
		if err := page.add(ds); err != nil {
			return page.end(err)
		}
	}
	return page.end(nil)
}

// page gathers results, and begins the answer once it is known what to warn of.
type page struct {
	w        *reply
	r        *http.Request
	form     documentForm
	service  string
	warnings []string
	related  *relatedWriter // for XML
	pooled   *[]byte        // what pending was made of

	limited bool // the server's limit counts, not the client's
	more    bool // there are more results
	pending []byte
	xml     []byte
	begun   bool // a result has been added
	write   func([]byte) error
	finish  func(error) error
}

// pendings recycles buffers between requests. A page of some hundred results fits.
var pendings = sync.Pool{New: func() any { b := make([]byte, 0, pendingSize); return &b }}

const pendingSize = 256 << 10

// newPage begins a page. close must be called in the end.
func newPage(w *reply, r *http.Request, form documentForm, service string) *page {
	pooled := pendings.Get().(*[]byte)
	return &page{w: w, r: r, form: form, service: service, pooled: pooled, pending: (*pooled)[:0]}
}

// close gives the buffer back, and not a larger one that took its place.
func (p *page) close() { pendings.Put(p.pooled) }

func (p *page) add(ds *dicom.Dataset) error {
	p.encode(ds)
	p.begun = true
	if len(p.pending) < maxPending {
		return nil
	}
	p.more = p.more || p.limited
	return p.flush()
}

func (p *page) encode(ds *dicom.Dataset) {
	if p.form == asXML {
		p.xml = dicom.AppendXML(p.xml[:0], ds, maxInline, nil)
		p.pending = append(p.pending, p.related.partHeader(!p.begun, typeDICOMXML, "", int64(len(p.xml)))...)
		p.pending = append(p.pending, p.xml...)
		return
	}
	if p.begun {
		p.pending = append(p.pending, ',')
	} else {
		p.pending = append(p.pending, '[')
	}
	p.pending = dicom.AppendJSON(p.pending, ds, maxInline, nil)
}

// flush sends what is pending, after the header if that was not sent yet.
func (p *page) flush() error {
	if p.write == nil {
		p.start()
	}
	err := p.write(p.pending)
	p.pending = p.pending[:0]
	return err
}

func (p *page) start() {
	contentType := p.announce()
	out, finish := p.w.document(p.r, contentType, http.StatusOK)
	p.write = func(b []byte) error {
		if p.w.head {
			return nil
		}
		_, err := out.Write(b)
		return err
	}
	p.finish = finish
}

// announce sets the warnings, and returns the Content-Type.
func (p *page) announce() string {
	for _, text := range p.warnings {
		p.warn(text)
	}
	if p.more && p.limited {
		p.warn("The number of results exceeded the maximum supported by the server. Additional results can be requested.")
	}
	if p.form == asXML {
		return p.related.contentType(typeDICOMXML)
	}
	return p.form.contentType()
}

// warn adds a Warning as PS3.18 §8.3.4 words it.
func (p *page) warn(text string) {
	p.w.Header().Add("Warning", "299 "+p.service+": "+text)
}

// end closes the answer, or passes on the error that ended it.
func (p *page) end(err error) error {
	if err != nil {
		if p.finish != nil {
			return p.finish(err)
		}
		return err
	}
	switch {
	case p.form == asXML && !p.begun:
		// A multipart body needs a part; no result has none.
		for _, text := range p.warnings {
			p.warn(text)
		}
		p.w.WriteHeader(http.StatusNoContent)
		return nil
	case p.form == asXML:
		p.pending = append(p.pending, "\r\n--"+p.related.boundary+"--\r\n"...)
	case !p.begun:
		p.pending = append(p.pending, "[]"...)
	default:
		p.pending = append(p.pending, ']')
	}
	if p.write == nil {
		return p.w.whole(p.r, p.announce(), p.pending)
	}
	return p.finish(p.flush())
}

// warnings tells of what the search can't do.
func (q *searchRequest) warnings() []string {
	var texts []string
	if len(q.unmatched) > 0 {
		texts = append(texts, "These attributes can't be matched here and were ignored: "+strings.Join(q.unmatched, ", ")+".")
	}
	if len(q.unreturned) > 0 {
		texts = append(texts, "These attributes can't be returned here: "+strings.Join(q.unreturned, ", ")+".")
	}
	return texts
}
