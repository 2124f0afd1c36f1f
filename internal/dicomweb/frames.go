package dicomweb

import (
	"context"
	"net/http"
	"strconv"
	"strings"

	"pharos/internal/archive"
	"pharos/internal/dicom"
	"pharos/internal/dicom/dict"
)

// frames answers with frames as they are stored (PS3.18 §10.4.1.1.6).
func (s *server) frames(w *reply, r *http.Request) error {
	ref, err := refOf(r)
	if err != nil {
		return err
	}
	numbers, err := s.frameNumbers(r)
	if err != nil {
		return err
	}
	ranges, err := accepted(r)
	if err != nil {
		return err
	}
	inst, err := s.one(r.Context(), ref)
	if err != nil {
		return err
	}
	if err := checkFrames(inst, numbers); err != nil {
		return err
	}
	return s.sendFrames(w, r, inst, numbers, ranges)
}

// frameNumbers reads the frame list in the path: numbers from 1, between commas.
func (s *server) frameNumbers(r *http.Request) ([]int, error) {
	list := r.PathValue("frames")
	if strings.Count(list, ",") >= s.limits.Frames {
		return nil, badRequest("the frame list is longer than " + strconv.Itoa(s.limits.Frames))
	}
	var numbers []int
	for one := range strings.SplitSeq(list, ",") {
		n, ok := digits(one)
		if !ok || n == 0 {
			return nil, badRequest("the frame list must be numbers from 1, with commas between them")
		}
		numbers = append(numbers, int(n))
	}
	return numbers, nil
}

func checkFrames(inst archive.Instance, numbers []int) error {
	for _, n := range numbers {
		if n > inst.Frames() {
			return &requestError{http.StatusNotFound, "the instance has " + strconv.Itoa(inst.Frames()) + " frames"}
		}
	}
	return nil
}

func (s *server) sendFrames(w *reply, r *http.Request, inst archive.Instance, numbers []int, ranges []mediaRange) error {
	stored := dicom.SyntaxOf(inst.TransferSyntax())
	choice, err := chooseFrames(ranges, stored, len(numbers) == 1)
	if err != nil {
		return err
	}
	w.Header().Add("Vary", "Accept")
	if w.unchanged(r, etagOf(choice.contentType+r.URL.Path, inst)) {
		return nil
	}
	unit, err := swapUnit(r.Context(), inst, stored)
	if err != nil {
		return err
	}
	open := func(n int) (archive.Value, error) {
		v, err := inst.Frame(r.Context(), n)
		if err != nil {
			return v, ours(err)
		}
		v.ReadCloser = swapped(v.ReadCloser, unit)
		return v, nil
	}
	if !choice.parts {
		return sendValue(w, choice.contentType, open, numbers[0])
	}
	location := s.address(inst.Ref()) + "/frames/"
	return sendValues(w, choice, numbers, open, func(n int) string { return location + strconv.Itoa(n) })
}

// swapUnit is the size of the numbers in native frames that are stored in big endian,
// or 0 when nothing has to be swapped.
func swapUnit(ctx context.Context, inst archive.Instance, stored dicom.TransferSyntax) (int, error) {
	if !stored.BigEndian {
		return 0, nil
	}
	header, err := inst.Header(ctx)
	if err != nil {
		return 0, ours(err)
	}
	for _, tag := range [...]dicom.Tag{dict.PixelData, dict.FloatPixelData, dict.DoubleFloatPixelData} {
		if e := header.Get(tag); e != nil {
			return e.VR.Unit(), nil
		}
	}
	return 0, nil
}

// sendValue answers with one value alone.
func sendValue(w *reply, contentType string, open func(int) (archive.Value, error), n int) error {
	value, err := open(n)
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.FormatInt(value.Length, 10))
	if w.head {
		return value.Close()
	}
	b := newBody(w)
	defer b.close()
	if err := b.copyValue(value, value.Length); err != nil {
		return err
	}
	return b.Flush()
}

// sendValues answers with one part per value. They are opened one after the other, so the
// size of the answer is told only when the first value tells that of the others.
func sendValues(w *reply, c valueChoice, numbers []int, open func(int) (archive.Value, error), location func(int) string) error {
	value, err := open(numbers[0])
	if err != nil {
		return err
	}
	b := newBody(w)
	defer b.close()
	m := newRelated(b)
	h := w.Header()
	h.Set("Content-Type", m.contentType(c.partType))
	if c.alike || len(numbers) == 1 {
		h.Set("Content-Length", strconv.FormatInt(valuesSize(m, c, numbers, location, value.Length), 10))
	}
	if w.head {
		return value.Close()
	}
	for i, n := range numbers {
		if i > 0 {
			if value, err = open(n); err != nil {
				return err
			}
		}
		if err := sendOne(m, c.contentType, location(n), value); err != nil {
			return err
		}
	}
	return m.end()
}

// valuesSize is the size of an answer with values of one length.
func valuesSize(m *relatedWriter, c valueChoice, numbers []int, location func(int) string, length int64) int64 {
	size := m.endSize()
	for i, n := range numbers {
		size += m.partSize(i == 0, c.contentType, location(n), length)
	}
	return size
}

func sendOne(m *relatedWriter, contentType, location string, value archive.Value) error {
	if err := m.part(contentType, location, value.Length); err != nil {
		_ = value.Close() // the first error is the one to tell
		return err
	}
	return m.body.copyValue(value, value.Length)
}

// allFrames is the list of every frame.
func allFrames(inst archive.Instance) []int {
	numbers := make([]int, inst.Frames())
	for i := range numbers {
		numbers[i] = i + 1
	}
	return numbers
}
