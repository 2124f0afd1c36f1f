package dimse

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"pharos/internal/access"
	"pharos/internal/archive"
	"pharos/internal/dicom"
	"pharos/internal/dicom/dict"
)

// retrieval is a C-MOVE or C-GET under way (PS3.4 §C.4.2, §C.4.3): the instances it
// concerns and what became of them so far.
type retrieval struct {
	session   *session
	request   *message
	instances []archive.Instance

	completed, failed, warning int
	failedUIDs                 []dicom.UID
}

// retrieval finds the instances that the identifier of a request names.
func (s *session) retrieval(ctx context.Context, m *message, id *identifier) (*retrieval, error) {
	refs, err := s.refs(ctx, id)
	if err != nil {
		return nil, err
	}
	r := &retrieval{session: s, request: m}
	for _, ref := range refs {
		if err := r.collect(ctx, ref); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// collect adds the instances of a study, a series or an instance. What is not there, or
// hidden, is no sub-operation.
func (r *retrieval) collect(ctx context.Context, ref dicom.Ref) error {
	for i, err := range r.session.server.config.Archive.Retrieve(ctx, ref, access.All()) {
		switch {
		case errors.Is(err, archive.ErrNotFound) || errors.Is(err, access.ErrHidden):
			return nil
		case err != nil:
			return err
		case len(r.instances) == r.session.server.config.Limits.MaxSubOperations:
			return &failure{status: CannotCount, comment: "too many instances, retrieve them in parts"}
		}
		r.instances = append(r.instances, i)
	}
	return nil
}

// refs are the studies, series or instances that an identifier names.
func (s *session) refs(ctx context.Context, id *identifier) ([]dicom.Ref, error) {
	if id.level == archive.PatientLevel {
		return s.studiesOf(ctx, id)
	}
	wanted, err := id.uids(id.level)
	if err != nil {
		return nil, err
	}
	if len(wanted) == 0 {
		return nil, mismatch("unique key of the level is missing", uniqueKeys[id.level])
	}
	var above dicom.Ref
	for l := archive.StudyLevel; l < id.level; l++ {
		uids, err := id.uids(l)
		if err != nil {
			return nil, err
		}
		if len(uids) > 1 {
			return nil, mismatch("unique key of a higher level has several values", uniqueKeys[l])
		}
		if len(uids) == 1 {
			above = extend(above, l, uids[0])
		}
	}
	refs := make([]dicom.Ref, len(wanted))
	for i, uid := range wanted {
		refs[i] = extend(above, id.level, uid)
	}
	return refs, nil
}

// extend puts a UID at its level of a reference.
func extend(r dicom.Ref, l archive.Level, uid dicom.UID) dicom.Ref {
	switch l {
	case archive.StudyLevel:
		r.Study = uid
	case archive.SeriesLevel:
		r.Series = uid
	default:
		r.Instance = uid
	}
	return r
}

// uids are the values of the unique key of a level, each once.
func (id *identifier) uids(l archive.Level) ([]dicom.UID, error) {
	tag := uniqueKeys[l]
	var uids []dicom.UID
	for _, v := range id.values(tag) {
		if !dicom.UID(v).Valid() {
			return nil, mismatch("key is not a UID", tag)
		}
		uids = append(uids, dicom.UID(v))
	}
	if len(uids) > maxListedUIDs {
		return nil, mismatch("key has too many values", tag)
	}
	slices.Sort(uids)
	return slices.Compact(uids), nil
}

// studiesOf are the studies of a patient, which only a query can tell: the caller must
// be allowed to find.
func (s *session) studiesOf(ctx context.Context, id *identifier) ([]dicom.Ref, error) {
	patients := id.values(dict.PatientID)
	if len(patients) != 1 {
		return nil, mismatch("Patient ID must have one value", dict.PatientID)
	}
	q := archive.Query{
		Level: archive.StudyLevel,
		Match: []archive.Match{{Path: []dicom.Tag{dict.PatientID}, VR: dict.LO, Kind: archive.Single, Values: patients}},
	}
	var refs []dicom.Ref
	for study, err := range s.server.config.Archive.Query(ctx, q, access.All()) {
		if err != nil {
			return nil, err
		}
		refs = append(refs, dicom.Ref{Study: study.UID(dict.StudyInstanceUID)})
	}
	return refs, nil
}

// count notes the end of one sub-operation.
func (r *retrieval) count(i archive.Instance, status Status, err error) {
	switch {
	case err != nil:
		r.failed++
		r.failedUIDs = append(r.failedUIDs, i.Ref().Instance)
		r.session.log.Warn("sub-operation failed", "message", r.request.Field.String(), "instance", i.Ref().Instance, "error", err)
	case status.Warning():
		r.warning++
	default:
		r.completed++
	}
}

// counts are the numbers for a response. They saturate, being of 16 bits.
func (r *retrieval) counts() *Counts {
	short := func(n int) uint16 { return uint16(max(0, min(n, math.MaxUint16))) }
	return &Counts{
		Remaining: short(len(r.instances) - r.completed - r.failed - r.warning),
		Completed: short(r.completed), Failed: short(r.failed), Warning: short(r.warning),
	}
}

// progress sends a pending response.
func (r *retrieval) progress() error {
	c := r.session.response(r.request, PendingStatus, "")
	c.Counts = r.counts()
	return r.session.send(r.request.contextID, c)
}

// finish sends the final response, with the list of what failed (PS3.4 §C.4.2.1.4.2).
func (r *retrieval) finish(status Status, comment string) error {
	c := r.session.response(r.request, status, comment)
	c.Counts = r.counts()
	if len(r.failedUIDs) == 0 {
		return r.session.send(r.request.contextID, c)
	}
	d := dicom.NewDataset()
	d.SetText(dict.FailedSOPInstanceUIDList, dict.UI, r.listed()...)
	return r.session.sendDataset(r.request.contextID, c, d)
}

// maxUIValue is what the 16-bit length of an explicit VR can hold (PS3.5 §7.1.2).
const maxUIValue = math.MaxUint16 - 1

// listed are the failed instances, as many as the element has room for.
func (r *retrieval) listed() []string {
	var list []string
	room := maxUIValue
	for _, uid := range r.failedUIDs {
		if room -= len(uid) + 1; room < 0 {
			break
		}
		list = append(list, string(uid))
	}
	return list
}

// outcome is the final status when all sub-operations were tried (PS3.4 Table C.4-2).
func (r *retrieval) outcome() (Status, string) {
	switch {
	case r.failed == 0 && r.warning == 0:
		return Success, ""
	case r.completed == 0 && r.warning == 0:
		return CannotPerform, "no sub-operation succeeded"
	}
	return SubOperationFailed, fmt.Sprintf("%d sub-operations failed, %d ended with a warning", r.failed, r.warning)
}
