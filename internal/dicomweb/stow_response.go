package dicomweb

import (
	"errors"
	"net/http"

	"pharos/internal/access"
	"pharos/internal/archive"
	"pharos/internal/dicom"
	"pharos/internal/dicom/dict"
)

// failure is how an error is told to the sender of an instance.
type failure struct {
	err    error
	reason uint16 // Failure Reason (0008,1197): PS3.18 Table I.2-2, PS3.7 §C.5
	status int    // of the response when every instance failed like this
	ours   bool   // the fault is on this side
}

// failures maps errors to them. The first that fits counts.
var failures = [...]failure{
	{errOtherStudy, 0xA900, http.StatusConflict, false},
	{access.ErrDenied, 0x0124, http.StatusForbidden, false},
	{access.ErrHidden, 0x0124, http.StatusForbidden, false},
	{archive.ErrConflict, 0x0111, http.StatusConflict, false},
	{archive.ErrFull, 0xA700, http.StatusServiceUnavailable, true},
	{dicom.ErrUnknownSyntax, 0xC122, http.StatusBadRequest, false},
	{archive.ErrInvalid, 0xC000, http.StatusBadRequest, false},
	{errNoBulk, 0xC000, http.StatusBadRequest, false},
}

func failureOf(err error) failure {
	for _, f := range failures {
		if errors.Is(err, f.err) {
			return f
		}
	}
	return failure{err, 0x0110, http.StatusInternalServerError, true}
}

// warningHeld is Warning Reason (0008,1196) of an instance that was kept aside because
// other bytes have its UID: coercion, of which nothing happened to the bytes yet.
const warningHeld = 0xB000

// answer tells what became of each instance (PS3.18 §10.5.3). fault is what ended the
// request early, if anything did; it is the whole answer when nothing was settled.
func (st *storing) answer(w *reply, r *http.Request, ranges []mediaRange, fault error) error {
	stored, warned, status := st.status()
	switch {
	case fault != nil && stored == 0:
		return fault
	case len(st.outcomes) == 0:
		return badRequest("the body holds no parts")
	case stored == len(st.outcomes) && !warned && fault == nil:
		status = http.StatusOK
	case stored > 0:
		status = http.StatusAccepted
	}
	if fault != nil {
		// The rest of the body is lost, and the connection with it.
		st.outcomes = append(st.outcomes, outcome{err: fault})
		w.Header().Set("Connection", "close")
	}
	if status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "60")
	}
	return st.send(w, r, ranges, status)
}

// status counts what was stored, and finds the status for the case that nothing was:
// that of the failures if they are all alike, 409 otherwise.
func (st *storing) status() (stored int, warned bool, status int) {
	for _, o := range st.outcomes {
		if o.err == nil {
			stored++
			warned = warned || o.held
			continue
		}
		switch s := failureOf(o.err).status; status {
		case 0, s:
			status = s
		default:
			status = http.StatusConflict
		}
	}
	return stored, warned, status
}

func (st *storing) send(w *reply, r *http.Request, ranges []mediaRange, status int) error {
	ds := st.response()
	form, err := chooseDocument(ranges)
	if err != nil {
		form = asDICOMJSON // the work is done; not telling how it ended would help nobody
	}
	var text []byte
	contentType := form.contentType()
	if form == asXML {
		text, contentType = dicom.AppendXML(nil, ds, maxInline, nil), typeDICOMXML
	} else {
		text = dicom.AppendJSON(nil, ds, maxInline, nil)
	}
	out, finish := w.document(r, contentType, status)
	_, err = out.Write(text)
	return finish(err)
}

// response builds the Store Instances Response of PS3.18 Annex I.
func (st *storing) response() *dicom.Dataset {
	var stored, failed, other []*dicom.Dataset
	var study dicom.UID
	oneStudy := true
	for _, o := range st.outcomes {
		item := dicom.NewDataset()
		switch {
		case o.ref == (dicom.Ref{}):
			item.SetInts(dict.FailureReason, dict.US, int64(failureOf(o.err).reason))
			other = append(other, item)
			continue
		case o.err != nil:
			item.SetInts(dict.FailureReason, dict.US, int64(failureOf(o.err).reason))
			failed = append(failed, item)
		default:
			oneStudy = oneStudy && (study == "" || study == o.ref.Study)
			study = o.ref.Study
			item.SetText(dict.RetrieveURL, dict.UR, st.server.address(o.ref))
			if o.held {
				item.SetInts(dict.WarningReason, dict.US, warningHeld)
			}
			stored = append(stored, item)
		}
		item.SetText(dict.ReferencedSOPClassUID, dict.UI, string(o.class))
		item.SetText(dict.ReferencedSOPInstanceUID, dict.UI, string(o.ref.Instance))
	}
	ds := dicom.NewDataset()
	if study != "" && oneStudy {
		ds.SetText(dict.RetrieveURL, dict.UR, st.server.address(dicom.Ref{Study: study}))
	}
	for _, s := range [...]struct {
		tag   dicom.Tag
		items []*dicom.Dataset
	}{{dict.FailedSOPSequence, failed}, {dict.ReferencedSOPSequence, stored}, {dict.OtherFailuresSequence, other}} {
		if len(s.items) > 0 {
			ds.SetItems(s.tag, s.items...)
		}
	}
	return ds
}
