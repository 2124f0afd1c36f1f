package dicomweb

import (
	"context"
	"net/http"
	"strconv"

	"pharos/internal/archive"
	"pharos/internal/dicom"
)

// instanceForm is how instances are sent.
type instanceForm uint8

const (
	asParts  instanceForm = iota + 1 // multipart/related; type="application/dicom"
	asSingle                         // application/dicom
	asZip                            // application/zip
)

// instanceChoice is what was agreed on with the client.
type instanceChoice struct {
	form     instanceForm
	syntaxes []dicom.UID // acceptable transfer syntaxes, most wanted first; "*" for any
}

// chooseInstances finds the form that the client wants most, and in which transfer
// syntaxes it takes it (PS3.18 §8.7.3.5).
func chooseInstances(ranges []mediaRange, single bool) (instanceChoice, error) {
	var c instanceChoice
	for _, m := range ranges {
		form := instanceFormOf(m, single)
		if form == 0 || c.form != 0 && form != c.form {
			continue
		}
		c.form = form
		switch {
		case m.open() || m.kind == typeZip:
			c.syntaxes = append(c.syntaxes, anySyntax)
		case m.syntax == "":
			c.syntaxes = append(c.syntaxes, dicom.ExplicitVRLittleEndian)
		default:
			c.syntaxes = append(c.syntaxes, dicom.UID(m.syntax))
		}
	}
	if c.form == 0 {
		return c, notAcceptable(`instances can be had as multipart/related; type="application/dicom", as application/zip, and a single one as application/dicom`)
	}
	return c, nil
}

func instanceFormOf(m mediaRange, single bool) instanceForm {
	switch {
	case m.takesParts(typeDICOM):
		return asParts
	case m.takes(typeDICOM) && single:
		return asSingle
	case m.kind == typeZip:
		return asZip
	}
	return 0
}

// syntaxFor is the transfer syntax in which an instance is sent.
func (c instanceChoice) syntaxFor(stored dicom.UID) (dicom.UID, bool) {
	for _, s := range c.syntaxes {
		if s == anySyntax || s == stored {
			return stored, true
		}
		if convertible(stored, s) {
			return s, true
		}
	}
	return "", false
}

// syntaxRefusal tells what would help.
func syntaxRefusal(stored dicom.UID) error {
	return notAcceptable("it is stored in transfer syntax " + string(stored) +
		", which can't be converted into one that you accept; transfer-syntax=* accepts it as stored")
}

// retrieve answers GET of a study, series or instance (PS3.18 §10.4).
func (s *server) retrieve(w *reply, r *http.Request) error {
	ref, err := refOf(r)
	if err != nil {
		return err
	}
	ranges, err := accepted(r)
	if err != nil {
		return err
	}
	choice, err := chooseInstances(ranges, ref.Instance != "")
	if err != nil {
		return err
	}
	l, err := s.list(r.Context(), ref)
	if err != nil {
		return err
	}
	defer l.close()
	w.Header().Add("Vary", "Accept")
	switch choice.form {
	case asZip:
		return s.sendZip(w, r, ref, l)
	case asSingle:
		return s.sendInstance(w, r, l.known[0], choice)
	}
	return s.sendParts(w, r, l, choice)
}

// sendParts answers with one part per instance.
func (s *server) sendParts(w *reply, r *http.Request, l *listing, c instanceChoice) error {
	skipped, err := c.check(l)
	if err != nil {
		return err
	}
	if w.unchanged(r, l.etag("parts"+joinUIDs(c.syntaxes))) {
		return nil
	}
	b := newBody(w)
	defer b.close()
	m := newRelated(b)
	h := w.Header()
	h.Set("Content-Type", m.contentType(typeDICOM))
	if size := s.partsSize(m, l, c); size >= 0 {
		h.Set("Content-Length", strconv.FormatInt(size, 10))
	}
	if skipped > 0 {
		w.WriteHeader(http.StatusPartialContent)
	}
	if w.head {
		return nil
	}
	for inst, err := range l.all() {
		if err != nil {
			return err
		}
		if err := s.sendPart(r.Context(), m, inst, c); err != nil {
			return err
		}
	}
	return m.end()
}

// check counts those of the listed instances that can't be sent in any acceptable
// transfer syntax. It is an error if none can.
func (c instanceChoice) check(l *listing) (skipped int, err error) {
	for _, inst := range l.known {
		if _, ok := c.syntaxFor(inst.TransferSyntax()); !ok {
			skipped++
		}
	}
	if skipped == len(l.known) {
		return skipped, syntaxRefusal(l.known[0].TransferSyntax())
	}
	return skipped, nil
}

// partsSize is the size of the whole body, or -1 when it isn't known in advance.
func (s *server) partsSize(m *relatedWriter, l *listing, c instanceChoice) int64 {
	if !l.whole {
		return -1
	}
	size, first := m.endSize(), true
	for _, inst := range l.known {
		syntax, ok := c.syntaxFor(inst.TransferSyntax())
		switch {
		case !ok:
			continue
		case syntax != inst.TransferSyntax():
			return -1
		}
		size += m.partSize(first, dicomType(syntax), s.address(inst.Ref()), inst.Size())
		first = false
	}
	return size
}

func (s *server) sendPart(ctx context.Context, m *relatedWriter, inst archive.Instance, c instanceChoice) error {
	syntax, ok := c.syntaxFor(inst.TransferSyntax())
	if !ok {
		return nil
	}
	length := inst.Size()
	if syntax != inst.TransferSyntax() {
		length = -1
	}
	if err := m.part(dicomType(syntax), s.address(inst.Ref()), length); err != nil {
		return err
	}
	return s.copyInstance(ctx, m.body, inst, syntax)
}

// copyInstance writes the PS3.10 file, converted if need be.
func (s *server) copyInstance(ctx context.Context, b *body, inst archive.Instance, syntax dicom.UID) error {
	if syntax != inst.TransferSyntax() {
		return convert(ctx, b, inst, syntax)
	}
	file, err := inst.Open(ctx, 0, -1)
	if err != nil {
		return ours(err)
	}
	return b.copyValue(file, inst.Size())
}

// sendInstance answers with the PS3.10 file alone, or a range of it.
func (s *server) sendInstance(w *reply, r *http.Request, inst archive.Instance, c instanceChoice) error {
	syntax, ok := c.syntaxFor(inst.TransferSyntax())
	if !ok {
		return syntaxRefusal(inst.TransferSyntax())
	}
	if w.unchanged(r, etagOf("file"+string(syntax), inst)) {
		return nil
	}
	w.Header().Set("Content-Disposition", `attachment; filename="`+string(inst.Ref().Instance)+`.dcm"`)
	if syntax == inst.TransferSyntax() {
		return sendRange(w, r, dicomType(syntax), inst.Size(), inst.Open)
	}
	w.Header().Set("Content-Type", dicomType(syntax))
	if w.head {
		return nil
	}
	b := newBody(w)
	defer b.close()
	if err := convert(r.Context(), b, inst, syntax); err != nil {
		return err
	}
	return b.Flush()
}

// dicomType is the media type of a PS3.10 file in a transfer syntax.
func dicomType(syntax dicom.UID) string {
	return typeDICOM + "; transfer-syntax=" + string(syntax)
}

func joinUIDs(uids []dicom.UID) string {
	s := ""
	for _, u := range uids {
		s += "," + string(u)
	}
	return s
}
