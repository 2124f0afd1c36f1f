package sqldb

import (
	"context"
	"slices"
	"strings"

	"pharos/internal/dicom/dict"
)

// The modalities of a study's series are kept with the study, sorted and joined as the
// values of Modalities in Study are, so that a list of studies needs no other table.

func joinModalities(all []string) string { return strings.Join(all, `\`) }

func splitModalities(joined string) []string {
	if joined == "" {
		return nil
	}
	return strings.Split(joined, `\`)
}

// modality is that of the series which a request begins.
func modality(r *request) string {
	if r.entry.Attributes == nil {
		return ""
	}
	return cleanTerm(r.entry.Attributes.Text(dict.Modality))
}

// noteModality adds to the modalities of a study. It reads them again, since another
// replica may have added some.
func (t *tx) noteModality(ctx context.Context, s *studyState, modality string) error {
	if modality == "" || slices.Contains(s.modalities, modality) {
		return nil
	}
	var joined string
	if _, err := queryRow(ctx, t, "SELECT modalities FROM study WHERE id = ?", []any{s.id}, &joined); err != nil {
		return err
	}
	modalities := splitModalities(joined)
	if at, found := slices.BinarySearch(modalities, modality); !found {
		modalities = slices.Insert(modalities, at, modality)
		if err := t.setModalities(ctx, s.id, modalities); err != nil {
			return err
		}
	}
	s.modalities = modalities
	return nil
}

// recountModalities works the modalities of a study out again.
func (t *tx) recountModalities(ctx context.Context, study int64) error {
	var modalities []string
	err := each(ctx, t, "SELECT DISTINCT modality FROM series WHERE study_id = ? AND modality <> ''", []any{study}, func(r rows) error {
		var m string
		err := r.Scan(&m)
		modalities = append(modalities, m)
		return err
	})
	if err != nil {
		return err
	}
	slices.Sort(modalities)
	return t.setModalities(ctx, study, modalities)
}

func (t *tx) setModalities(ctx context.Context, study int64, modalities []string) error {
	_, err := t.exec(ctx, "UPDATE study SET modalities = ? WHERE id = ?", joinModalities(modalities), study)
	return err
}
