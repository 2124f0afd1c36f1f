package sqldb

import (
	"context"
	"fmt"
	"slices"

	"pharos/internal/dicom"
	"pharos/internal/dicom/dict"
)

// blockBits is how many low bits of study ids one row of study_block counts together:
// enough that a million studies have few rows, few enough that a block is skipped fast.
const blockBits = 10

// findSeries returns the series of a UID with its study, or nil.
func (t *tx) findSeries(ctx context.Context, ref dicom.Ref) (*seriesState, error) {
	if s := t.cache.series[ref.Series]; s != nil {
		return s, nil
	}
	s := &seriesState{uid: ref.Series, study: &studyState{}}
	var parent, classes string
	var attributes, studyAttributes []byte
	found, err := queryRow(ctx, t, `SELECT r.id, r.classes, r.attributes, s.id, s.uid, s.attributes
		FROM series r JOIN study s ON s.id = r.study_id WHERE r.uid = ?`, []any{string(ref.Series)},
		&s.id, &classes, &attributes, &s.study.id, &parent, &studyAttributes)
	if err != nil || !found {
		return nil, err
	}
	s.parent = dicom.UID(parent)
	if s.classes, err = splitIDs(classes); err != nil {
		return nil, err
	}
	if s.filled, err = filled(attributes); err != nil {
		return nil, err
	}
	t.cache.limit()
	if known := t.cache.studies[s.parent]; known != nil {
		s.study = known
	} else if s.study.filled, err = filled(studyAttributes); err != nil {
		return nil, err
	}
	t.cache.studies[s.parent], t.cache.series[s.uid] = s.study, s
	return s, nil
}

// filled returns the attributes that have a value.
func filled(packed []byte) (map[dicom.Tag]bool, error) {
	d, err := unpack(packed, nil)
	if err != nil {
		return nil, err
	}
	tags := make(map[dicom.Tag]bool, d.Len())
	for e := range d.All() {
		if !e.Empty() {
			tags[e.Tag] = true
		}
	}
	return tags, nil
}

// createSeries makes the series of a request, which is not known, and its study if need
// be. It counts neither instances nor bytes.
func (t *tx) createSeries(ctx context.Context, r *request) (*seriesState, error) {
	study, err := t.findStudy(ctx, r.entry.Ref.Study)
	if err == nil && study == nil {
		study, err = t.createStudy(ctx, r)
	}
	if err != nil {
		return nil, err
	}
	s := &seriesState{uid: r.entry.Ref.Series, study: study, parent: r.entry.Ref.Study}
	if s.filled, err = filled(r.packed.series); err != nil {
		return nil, err
	}
	t.ledger.lastSeries++
	t.ledger.Series++
	s.id = t.ledger.lastSeries
	if _, err := t.exec(ctx, `INSERT INTO series (id, study_id, uid, modality, classes, instances, bytes, latest, headers_volume, headers_key, headers_through, attributes)
		VALUES (?, ?, ?, ?, '', 0, 0, 0, 0, '', 0, ?)`, s.id, study.id, string(s.uid), modality(r), r.packed.series); err != nil {
		return nil, err
	}
	if _, err := t.exec(ctx, "UPDATE study SET series = series + 1 WHERE id = ?", study.id); err != nil {
		return nil, err
	}
	if err := t.noteModality(ctx, study, modality(r)); err != nil {
		return nil, err
	}
	s.last = string(r.packed.series)
	t.cache.limit()
	t.cache.series[s.uid], t.cache.studies[s.parent] = s, study
	return s, nil
}

func (t *tx) findStudy(ctx context.Context, uid dicom.UID) (*studyState, error) {
	if s := t.cache.studies[uid]; s != nil {
		return s, nil
	}
	s := &studyState{}
	var attributes []byte
	found, err := queryRow(ctx, t, "SELECT id, attributes FROM study WHERE uid = ?", []any{string(uid)}, &s.id, &attributes)
	if err != nil || !found {
		return nil, err
	}
	s.filled, err = filled(attributes)
	return s, err
}

func (t *tx) createStudy(ctx context.Context, r *request) (*studyState, error) {
	t.ledger.lastStudy++
	t.ledger.Studies++
	s := &studyState{id: t.ledger.lastStudy, last: string(r.packed.study)}
	d, err := unpack(r.packed.study, nil)
	if err != nil {
		return nil, err
	}
	if s.filled, err = filled(r.packed.study); err != nil {
		return nil, err
	}
	s.modalities = splitModalities(modality(r))
	if _, err := t.exec(ctx, "INSERT INTO study (id, uid, modalities, series, instances, bytes, attributes) VALUES (?, ?, ?, 0, 0, 0, ?)",
		s.id, string(r.entry.Ref.Study), joinModalities(s.modalities), r.packed.study); err != nil {
		return nil, err
	}
	if _, err := t.exec(ctx, "INSERT INTO study_block (block, studies) VALUES (?, 1) ON CONFLICT (block) DO UPDATE SET studies = study_block.studies + 1",
		s.id>>blockBits); err != nil {
		return nil, err
	}
	return s, t.addTerms(ctx, s.id, d)
}

func (t *tx) addTerms(ctx context.Context, study int64, d *dicom.Dataset) error {
	for _, term := range termsOf(d, t.db.study, t.db.filed) {
		if _, err := t.exec(ctx, "INSERT INTO term (tag, term, study_id) VALUES (?, ?, ?) ON CONFLICT DO NOTHING", term.tag, term.text, study); err != nil {
			return err
		}
	}
	return nil
}

// noteClass adds a SOP class to those of the series. It reads them again, since another
// replica may have added some.
func (t *tx) noteClass(ctx context.Context, s *seriesState, class int64) error {
	if slices.Contains(s.classes, class) {
		return nil
	}
	var text string
	if _, err := queryRow(ctx, t, "SELECT classes FROM series WHERE id = ?", []any{s.id}, &text); err != nil {
		return err
	}
	classes, err := splitIDs(text)
	if err == nil && !slices.Contains(classes, class) {
		classes = append(classes, class)
		_, err = t.exec(ctx, "UPDATE series SET classes = ? WHERE id = ?", joinIDs(classes), s.id)
	}
	if err != nil {
		return err
	}
	s.classes = classes
	return nil
}

// fillIn completes the attributes of series and study with those that had no value
// until now. What has one keeps it: of instances that disagree, the first counts.
func (t *tx) fillIn(ctx context.Context, r *request, s *seriesState) error {
	p := &r.packed
	if string(p.series) != s.last {
		added, err := t.fill(ctx, "series", s.id, p.series, s.filled)
		if err != nil {
			return err
		}
		if added != nil && added.Has(dict.Modality) {
			if _, err := t.exec(ctx, "UPDATE series SET modality = ? WHERE id = ?", modality(r), s.id); err != nil {
				return err
			}
			if err := t.noteModality(ctx, s.study, modality(r)); err != nil {
				return err
			}
		}
		s.last = string(p.series)
	}
	if string(p.study) == s.study.last {
		return nil
	}
	added, err := t.fill(ctx, "study", s.study.id, p.study, s.study.filled)
	if err == nil && added != nil {
		err = t.addTerms(ctx, s.study.id, added)
	}
	s.study.last = string(p.study)
	return err
}

// fill adds to the attributes of a row those that have no value there, and returns
// them; nil when there are none.
func (t *tx) fill(ctx context.Context, table string, id int64, packed []byte, have map[dicom.Tag]bool) (*dicom.Dataset, error) {
	offered, err := unpack(packed, func(tag dicom.Tag) bool { return !have[tag] })
	if err != nil {
		return nil, err
	}
	added := dicom.NewDataset()
	for e := range offered.All() {
		if !e.Empty() {
			added.Put(e)
		}
	}
	if added.Len() == 0 {
		return nil, nil
	}
	var old []byte
	if _, err := queryRow(ctx, t, "SELECT attributes FROM "+table+" WHERE id = ?", []any{id}, &old); err != nil {
		return nil, err
	}
	merged, err := unpack(old, nil)
	if err != nil {
		return nil, err
	}
	for e := range added.All() {
		merged.Put(e)
		have[e.Tag] = true
	}
	_, err = t.exec(ctx, "UPDATE "+table+" SET attributes = ? WHERE id = ?", packAll(merged), id)
	return added, err
}

// packAll packs every element of a data set that came from packed attributes.
func packAll(d *dicom.Dataset) []byte {
	p := packer{}
	for e := range d.All() {
		p.element(d, e, e.VR, 0)
	}
	return p.buf
}

// place puts the series of a request into its album.
func (w *groupWriter) place(ctx context.Context, r *request, s *seriesState) error {
	if r.entry.Album == "" {
		return nil
	}
	album, err := w.db.words.number(ctx, w.conn, albumWord(r.entry.Album))
	if err != nil {
		return err
	}
	if slices.Contains(s.albums, album) {
		return nil
	}
	n, err := w.exec(ctx, "INSERT INTO placement (album, study_id, series_id) VALUES (?, ?, ?) ON CONFLICT DO NOTHING", album, s.study.id, s.id)
	if err != nil {
		return fmt.Errorf("place series: %w", err)
	}
	w.placedOld = w.placedOld || n > 0
	s.albums = append(s.albums, album)
	return nil
}
