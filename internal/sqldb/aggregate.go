package sqldb

import (
	"slices"

	"pharos/internal/dicom"
	"pharos/internal/dicom/dict"
)

// aggregate is what is worked out of the series of a study that are in scope.
type aggregate struct {
	series, instances int64
	modalities        []string
	classes           []int64
	computed          *dicom.Dataset // the attributes of it that can be matched
}

// loadAggregates works out what the studies of these records have in scope, unless it is
// kept with them.
func (r *run) loadAggregates(batch []*record) error {
	if r.keepsAggregates() {
		return nil
	}
	wanted := make(map[int64]*studyRecord)
	var ids []int64
	for _, rec := range batch {
		if s := rec.study; s.visible == nil && wanted[s.id] == nil {
			s.visible = &aggregate{}
			wanted[s.id] = s
			ids = append(ids, s.id)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	condition, args := r.scope.series(r.sql, "r.id")
	err := each(r.ctx, r.c, "SELECT r.study_id, r.modality, r.classes, r.instances FROM series r WHERE "+r.sql.in("r.study_id")+condition,
		append([]any{r.sql.ids(ids)}, args...), func(row rows) error {
			var study, instances int64
			var modality, classes string
			if err := row.Scan(&study, &modality, &classes, &instances); err != nil {
				return err
			}
			return wanted[study].visible.add(modality, classes, instances)
		})
	if err != nil {
		return err
	}
	for _, s := range wanted {
		if err := r.compute(s.visible); err != nil {
			return err
		}
	}
	return nil
}

func (a *aggregate) add(modality, classes string, instances int64) error {
	a.series++
	a.instances += instances
	if modality != "" {
		a.modalities = append(a.modalities, modality)
	}
	ids, err := splitIDs(classes)
	a.classes = append(a.classes, ids...)
	return err
}

// compute makes attributes of what was gathered.
func (r *run) compute(a *aggregate) error {
	a.computed = dicom.NewDataset()
	slices.Sort(a.modalities)
	if a.modalities = slices.Compact(a.modalities); len(a.modalities) > 0 {
		a.computed.SetText(dict.ModalitiesInStudy, dict.CS, a.modalities...)
	}
	if !r.selection.Has(dict.SOPClassesInStudy) {
		return nil
	}
	slices.Sort(a.classes)
	var classes []string
	for _, id := range slices.Compact(a.classes) {
		class, err := r.db.words.word(r.ctx, r.c, id)
		if err != nil {
			return err
		}
		classes = append(classes, class)
	}
	slices.Sort(classes)
	if len(classes) > 0 {
		a.computed.SetText(dict.SOPClassesInStudy, dict.UI, classes...)
	}
	return nil
}
