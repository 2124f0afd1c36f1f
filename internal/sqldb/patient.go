package sqldb

import (
	"pharos/internal/dicom"
	"pharos/internal/dicom/dict"
	"pharos/internal/index"
)

// A patient is not a row: studies of one Patient ID of one issuer are a patient's.
// Where the identifier is missing the name stands for it, and a study without either
// is a patient of its own. A patient is told of by the first of its studies that
// matches, and has its attributes.

// processPatients yields a patient for each study that is the first of its patient.
func (r *run) processPatients(studies []*record) error {
	for _, rec := range studies {
		d, first, err := r.patient(rec)
		if err != nil {
			return err
		}
		if !first {
			continue
		}
		if r.skip > 0 {
			r.skip--
			continue
		}
		if r.emit(rec, d); r.stopped {
			return nil
		}
	}
	return nil
}

// patient returns the result for the patient of a study; first is false when it is told
// of by an earlier study.
func (r *run) patient(rec *record) (d *dicom.Dataset, first bool, err error) {
	siblings, err := r.siblings(rec)
	if err != nil {
		return nil, false, err
	}
	if r.matchesComputed() || !r.scope.all {
		if err := r.loadAggregates(siblings); err != nil {
			return nil, false, err
		}
	}
	var series, instances int64
	for _, s := range siblings {
		if s.id < rec.id && r.q.Ref == (dicom.Ref{}) && r.matcher.Matches(s.levels()...) {
			return nil, false, nil
		}
		if v := s.study.visible; v != nil && !r.scope.all {
			series, instances = series+v.series, instances+v.instances
		} else {
			series, instances = series+s.study.series, instances+s.study.instances
		}
	}
	d = r.assemble(rec)
	r.count(d, dict.NumberOfPatientRelatedStudies, int64(len(siblings)))
	r.count(d, dict.NumberOfPatientRelatedSeries, series)
	r.count(d, dict.NumberOfPatientRelatedInstances, instances)
	return d, true, nil
}

// siblings returns the studies in scope of the patient of a study, itself included.
func (r *run) siblings(rec *record) ([]*record, error) {
	id := identityOf(rec.study.attributes)
	tag, text := dict.PatientID, id.id
	if text == "" {
		tag, text = dict.PatientName, id.name
	}
	if text == "" {
		return []*record{rec}, nil
	}
	ids, ok, err := r.lookUp([]hint{{tag: int64(tag), from: cutTerm(text), to: cutTerm(text)}}, wideCap)
	if err != nil || !ok {
		return []*record{rec}, err
	}
	condition, args := r.scope.study(r.sql, "s.id")
	all, err := r.loadStudyRows(r.sql.in("s.id")+condition+" ORDER BY s.id", append([]any{r.sql.ids(ids)}, args...))
	if err != nil {
		return nil, err
	}
	siblings := all[:0]
	for _, s := range all {
		if identityOf(s.study.attributes) == id {
			siblings = append(siblings, s)
		}
	}
	return siblings, nil
}

// identity is what makes studies those of one patient.
type identity struct{ id, issuer, name string }

func identityOf(d *dicom.Dataset) identity {
	id := identity{id: index.FoldOf(dict.PatientID)(d.Text(dict.PatientID))}
	if id.id != "" {
		id.issuer = d.Text(dict.IssuerOfPatientID)
		return id
	}
	if groups := index.FoldName(d.Text(dict.PatientName)); len(groups) > 0 {
		id.name = groups[0]
	}
	return id
}
