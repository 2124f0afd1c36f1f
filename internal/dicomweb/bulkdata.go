package dicomweb

import (
	"net/http"

	"pharos/internal/archive"
	"pharos/internal/dicom"
	"pharos/internal/dicom/dict"
)

// maxBulkPath is longer than the path of any value at the greatest depth that is read.
const maxBulkPath = 1024

// bulkdata answers with the value of one element (PS3.18 §10.4.1.1.5), at the address
// that metadata gave for it. A value sent alone may be asked for in ranges.
func (s *server) bulkdata(w *reply, r *http.Request) error {
	ref, err := refOf(r)
	if err != nil {
		return err
	}
	path := r.PathValue("path")
	if !bulkPath(path) {
		return badRequest("the path behind bulkdata must be tags of eight hex digits, with item numbers between them")
	}
	ranges, err := accepted(r)
	if err != nil {
		return err
	}
	inst, err := s.one(r.Context(), ref)
	if err != nil {
		return err
	}
	stored := dicom.SyntaxOf(inst.TransferSyntax())
	if path == dict.PixelData.Hex() && stored.Encapsulated && inst.Frames() > 0 {
		return s.sendFrames(w, r, inst, allFrames(inst), ranges)
	}
	choice, err := chooseValue(ranges)
	if err != nil {
		return err
	}
	w.Header().Add("Vary", "Accept")
	if w.unchanged(r, etagOf(typeOctetStream+r.URL.Path, inst)) {
		return nil
	}
	value, err := inst.Bulk(r.Context(), path)
	if err != nil {
		return ours(err)
	}
	return sendBulk(w, r, value, stored, choice)
}

// bulkPath checks the form: tag, or tag/item/tag and so on (see dicom.BulkURI).
func bulkPath(path string) bool {
	if len(path) > maxBulkPath {
		return false
	}
	for {
		if len(path) < 8 {
			return false
		}
		if _, ok := parseHexTag(path[:8]); !ok {
			return false
		}
		if path = path[8:]; path == "" {
			return true
		}
		i := 1
		for i < len(path) && path[i] >= '0' && path[i] <= '9' {
			i++
		}
		if path[0] != '/' || i == 1 || i > 10 || i == len(path) || path[i] != '/' {
			return false
		}
		path = path[i+1:]
	}
}

func chooseValue(ranges []mediaRange) (valueChoice, error) {
	for _, m := range ranges {
		switch {
		case m.kind == typeRelated && m.takesParts(typeOctetStream):
			return valueChoice{parts: true, contentType: typeOctetStream, partType: typeOctetStream}, nil
		case m.takes(typeOctetStream):
			return valueChoice{contentType: typeOctetStream, partType: typeOctetStream}, nil
		}
	}
	return valueChoice{}, notAcceptable("the value can be had as application/octet-stream, alone or as multipart/related")
}

// sendBulk answers with an open value in little endian.
func sendBulk(w *reply, r *http.Request, value archive.Value, stored dicom.TransferSyntax, choice valueChoice) error {
	unit := 0
	if stored.BigEndian {
		unit = value.VR.Unit()
	}
	whole := func(int) (archive.Value, error) {
		value.ReadCloser = swapped(value.ReadCloser, unit)
		return value, nil
	}
	switch {
	case choice.parts:
		return sendValues(w, choice, []int{1}, whole, func(int) string { return "" })
	case value.Open == nil || unit > 1 || r.Header.Get("Range") == "":
		w.Header().Set("Accept-Ranges", acceptRanges(value.Open != nil && unit < 2))
		return sendValue(w, choice.contentType, whole, 1)
	}
	if err := value.Close(); err != nil {
		return ours(err)
	}
	return sendRange(w, r, choice.contentType, value.Length, value.Open)
}

func acceptRanges(can bool) string {
	if can {
		return "bytes"
	}
	return "none"
}
