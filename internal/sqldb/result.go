package sqldb

import (
	"cmp"
	"slices"

	"pharos/internal/archive"
	"pharos/internal/dicom"
	"pharos/internal/dicom/dict"
)

// result makes the data set of a record.
func (r *run) result(rec *record) *dicom.Dataset {
	d := r.assemble(rec)
	switch r.q.Level {
	case archive.SeriesLevel, archive.InstanceLevel: // a series is in scope as a whole, or not at all
		r.count(d, dict.NumberOfSeriesRelatedInstances, rec.series.instances)
	}
	if v := rec.study.visible; v != nil {
		r.count(d, dict.NumberOfStudyRelatedSeries, v.series)
		r.count(d, dict.NumberOfStudyRelatedInstances, v.instances)
	}
	return d
}

// assemble puts the selected attributes of all levels into one data set, in UTF-8.
func (r *run) assemble(rec *record) *dicom.Dataset {
	if r.isResult() {
		return rec.study.attributes
	}
	elements := make([]*dicom.Element, 0, 32)
	for _, level := range rec.levels() {
		for e := range level.All() {
			if r.selection.Has(e.Tag) || r.selection.HasComputed(e.Tag) {
				elements = append(elements, e)
			}
		}
	}
	slices.SortFunc(elements, func(a, b *dicom.Element) int { return cmp.Compare(a.Tag, b.Tag) })
	d := dicom.NewDataset()
	d.SetText(dict.SpecificCharacterSet, dict.CS, "ISO_IR 192")
	for _, e := range elements {
		if e.VR == dict.SQ {
			d.SetItems(e.Tag, e.Items...)
		} else {
			d.Put(e)
		}
	}
	return d
}

// count puts a computed count, if it is wanted.
func (r *run) count(d *dicom.Dataset, tag dicom.Tag, n int64) {
	if r.selection.HasComputed(tag) {
		d.SetInts(tag, dict.IS, n)
	}
}
