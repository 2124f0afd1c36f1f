package sqldb

import (
	"slices"
	"strconv"

	"pharos/internal/archive"
	"pharos/internal/dicom"
	"pharos/internal/dicom/dict"
)

// record is a row of the level of a query, with the rows above it.
type record struct {
	id     int64
	study  *studyRecord
	series *seriesRecord  // from the level of series
	own    *dicom.Dataset // attributes of an instance

	parent int64 // id of the study of a series, of the series of an instance
}

type studyRecord struct {
	id         int64
	series     int64
	instances  int64
	attributes *dicom.Dataset
	visible    *aggregate // nil until loaded
}

type seriesRecord struct {
	id, study  int64
	instances  int64
	attributes *dicom.Dataset
}

// levels are the data sets in which attributes are looked for.
func (rec *record) levels() []*dicom.Dataset {
	all := make([]*dicom.Dataset, 0, 4)
	all = append(all, rec.study.attributes)
	if rec.series != nil {
		all = append(all, rec.series.attributes)
	}
	if rec.own != nil {
		all = append(all, rec.own)
	}
	if rec.study.visible != nil {
		all = append(all, rec.study.visible.computed)
	}
	return all
}

// table tells how the rows of a level are read.
type table struct {
	from, id string
	scope    func(*run) (string, []any)
	load     func(r *run, where string, args []any) ([]*record, error)
}

var tables = [...]table{
	archive.StudyLevel: {
		from: "study s", id: "s.id",
		scope: func(r *run) (string, []any) { return r.scope.study(r.sql, "s.id") },
		load:  (*run).loadStudyRows,
	},
	archive.SeriesLevel: {
		from: "series r", id: "r.id",
		scope: func(r *run) (string, []any) { return r.scope.series(r.sql, "r.id") },
		load:  (*run).loadSeriesRows,
	},
	archive.InstanceLevel: {
		from: "instance i", id: "i.id",
		scope: func(r *run) (string, []any) { return r.scope.series(r.sql, "i.series_id") },
		load:  (*run).loadInstanceRows,
	},
}

func (r *run) loadStudyRows(where string, args []any) ([]*record, error) {
	var batch []*record
	err := r.readStudies(where, args, func(s *studyRecord) { batch = append(batch, &record{id: s.id, study: s}) })
	return batch, err
}

func (r *run) readStudies(where string, args []any, found func(*studyRecord)) error {
	var row studyRow
	return each(r.ctx, r.c, "SELECT s.id, s.uid, s.modalities, s.series, s.instances, s.attributes FROM study s WHERE "+where, args, func(rs rows) error {
		err := rs.Scan(&row.id, &row.uid, &row.modalities, &row.series, &row.instances, &row.packed)
		if err != nil {
			return err
		}
		s := &studyRecord{id: row.id, series: row.series, instances: row.instances, attributes: r.newDataset(r.isResult())}
		if err := unpackInto(s.attributes, row.packed, r.selection.Has, &r.shelf); err != nil {
			return err
		}
		r.addKept(s.attributes, &row)
		found(s)
		return nil
	})
}

// studyRow is a row of the table of studies.
type studyRow struct {
	id, series, instances int64
	uid, modalities       string
	packed                []byte
}

// isResult tells that the attributes of a study are the whole result.
func (r *run) isResult() bool { return r.q.Level == archive.StudyLevel && r.keepsAggregates() }

// keepsAggregates tells that the computed attributes of a study are those kept with it:
// all of the study is in scope.
func (r *run) keepsAggregates() bool {
	return r.scope.all && !r.selection.HasComputed(dict.SOPClassesInStudy)
}

// addKept adds the columns of a study that are attributes.
func (r *run) addKept(d *dicom.Dataset, row *studyRow) {
	r.putText(d, dict.StudyInstanceUID, dict.UI, row.uid)
	if !r.keepsAggregates() {
		return
	}
	if row.modalities != "" && r.selection.HasComputed(dict.ModalitiesInStudy) {
		r.putText(d, dict.ModalitiesInStudy, dict.CS, row.modalities)
	}
	if r.selection.HasComputed(dict.NumberOfStudyRelatedSeries) {
		r.putText(d, dict.NumberOfStudyRelatedSeries, dict.IS, strconv.FormatInt(row.series, 10))
	}
	if r.selection.HasComputed(dict.NumberOfStudyRelatedInstances) {
		r.putText(d, dict.NumberOfStudyRelatedInstances, dict.IS, strconv.FormatInt(row.instances, 10))
	}
}

// newDataset returns an empty one; that of a result begins with its character set.
func (r *run) newDataset(result bool) *dicom.Dataset {
	d := dicom.NewDataset()
	if result {
		d.SetText(dict.SpecificCharacterSet, dict.CS, "ISO_IR 192")
	}
	return d
}

// putText puts a text that is as it should be but for padding (PS3.5 §6.2).
func (r *run) putText(d *dicom.Dataset, tag dicom.Tag, vr dicom.VR, text string) {
	value := append(make([]byte, 0, len(text)+1), text...)
	if len(text)%2 != 0 {
		pad := byte(' ')
		if vr == dict.UI {
			pad = 0
		}
		value = append(value, pad)
	}
	r.shelf.put(d, tag, vr, value)
}

// unpack reads the attributes that the results have, and adds the UID.
func (r *run) unpack(packed []byte, tag dicom.Tag, uid string) (*dicom.Dataset, error) {
	d := r.newDataset(false)
	if err := unpackInto(d, packed, r.selection.Has, &r.shelf); err != nil {
		return nil, err
	}
	r.putText(d, tag, dict.UI, uid)
	return d, nil
}

func (r *run) loadSeriesRows(where string, args []any) ([]*record, error) {
	var batch []*record
	err := r.readSeries(where, args, func(s *seriesRecord) {
		batch = append(batch, &record{id: s.id, series: s, parent: s.study})
	})
	return batch, err
}

func (r *run) readSeries(where string, args []any, found func(*seriesRecord)) error {
	return each(r.ctx, r.c, "SELECT r.id, r.study_id, r.uid, r.instances, r.attributes FROM series r WHERE "+where, args, func(row rows) error {
		s := &seriesRecord{}
		var uid string
		var packed []byte
		err := row.Scan(&s.id, &s.study, &uid, &s.instances, &packed)
		if err == nil {
			s.attributes, err = r.unpack(packed, dict.SeriesInstanceUID, uid)
		}
		found(s)
		return err
	})
}

func (r *run) loadInstanceRows(where string, args []any) ([]*record, error) {
	var batch []*record
	var classes, syntaxes []int64
	err := each(r.ctx, r.c, "SELECT i.id, i.series_id, i.uid, i.class, i.syntax, i.attributes FROM instance i WHERE "+where, args, func(row rows) error {
		rec := &record{}
		var uid string
		var class, syntax int64
		var packed []byte
		err := row.Scan(&rec.id, &rec.parent, &uid, &class, &syntax, &packed)
		if err == nil {
			rec.own, err = r.unpack(packed, dict.SOPInstanceUID, uid)
		}
		batch, classes, syntaxes = append(batch, rec), append(classes, class), append(syntaxes, syntax)
		return err
	})
	if err != nil {
		return nil, err
	}
	for i, rec := range batch {
		if err := r.setWord(rec.own, dict.SOPClassUID, classes[i]); err != nil {
			return nil, err
		}
		if err := r.setWord(rec.own, dict.AvailableTransferSyntaxUID, syntaxes[i]); err != nil {
			return nil, err
		}
	}
	return batch, nil
}

func (r *run) setWord(d *dicom.Dataset, tag dicom.Tag, id int64) error {
	if !r.selection.Has(tag) && !r.selection.HasComputed(tag) {
		return nil
	}
	word, err := r.db.words.word(r.ctx, r.c, id)
	d.SetText(tag, dict.UI, word)
	return err
}

// loadParents reads the series and studies above the rows of a chunk. Those of the
// chunk before are at hand, since rows of one parent come together.
func (r *run) loadParents(batch []*record) error {
	if r.level == archive.InstanceLevel {
		r.series = keep(r.series)
		err := r.loadMissing(batch, func(id int64) bool { return r.series[id] != nil }, func(ids []int64) error {
			return r.readSeries(r.sql.in("r.id"), []any{r.sql.ids(ids)}, func(s *seriesRecord) { r.series[s.id] = s })
		})
		if err != nil {
			return err
		}
		for _, rec := range batch {
			if rec.series = r.series[rec.parent]; rec.series == nil {
				rec.series = &seriesRecord{attributes: dicom.NewDataset()} // removed meanwhile
			}
			rec.parent = rec.series.study
		}
	}
	if r.level == archive.StudyLevel {
		return nil
	}
	r.studies = keep(r.studies)
	err := r.loadMissing(batch, func(id int64) bool { return r.studies[id] != nil }, func(ids []int64) error {
		return r.readStudies(r.sql.in("s.id"), []any{r.sql.ids(ids)}, func(s *studyRecord) { r.studies[s.id] = s })
	})
	for _, rec := range batch {
		if rec.study = r.studies[rec.parent]; rec.study == nil {
			rec.study = &studyRecord{attributes: dicom.NewDataset()}
		}
	}
	return err
}

// keep returns the map, emptied when it has grown large.
func keep[T any](m map[int64]T) map[int64]T {
	if m == nil || len(m) > maxChunk {
		return make(map[int64]T)
	}
	return m
}

func (r *run) loadMissing(batch []*record, have func(int64) bool, load func([]int64) error) error {
	var ids []int64
	for _, rec := range batch {
		if !have(rec.parent) {
			ids = append(ids, rec.parent)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	slices.Sort(ids)
	return load(slices.Compact(ids))
}
