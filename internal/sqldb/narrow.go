package sqldb

import (
	"slices"

	"pharos/internal/archive"
	"pharos/internal/dicom"
	"pharos/internal/dicom/dict"
)

// How many ids a list may have: fewSuffice ends the search for a shorter one, narrowCap
// is worth looking up at once, and wideCap is what memory allows.
const (
	fewSuffice = 64
	narrowCap  = 8192
	wideCap    = 250_000
)

// narrow returns the ids, ascending, of the entities that may match; false when only
// reading them all can tell.
func (r *run) narrow() ([]int64, bool, error) {
	if ids, ok, err := r.narrowByRef(); ok || err != nil {
		return ids, ok, err
	}
	if ids, ok, err := r.narrowByUID(); ok || err != nil {
		return ids, ok, err
	}
	return r.narrowByTerms(narrowCap)
}

// narrowWide is narrow for when many rows were read in vain.
func (r *run) narrowWide() ([]int64, bool, error) { return r.narrowByTerms(wideCap) }

// narrowByRef follows the study and series of the query's Ref.
func (r *run) narrowByRef() ([]int64, bool, error) {
	ref := r.q.Ref
	level, stmt, args := archive.StudyLevel, "", []any(nil)
	switch {
	case ref.Instance != "" && r.level == archive.InstanceLevel:
		level, stmt, args = archive.InstanceLevel, "SELECT id FROM instance WHERE uid = ?", []any{string(ref.Instance)}
		if ref.Series != "" {
			stmt += " AND series_id = (SELECT id FROM series WHERE uid = ?)"
			args = append(args, string(ref.Series))
		}
		if ref.Study != "" {
			stmt += " AND series_id IN (SELECT id FROM series WHERE study_id = (SELECT id FROM study WHERE uid = ?))"
			args = append(args, string(ref.Study))
		}
	case ref.Series != "" || ref.Instance != "":
		column := "id"
		level = archive.SeriesLevel
		if r.level == archive.StudyLevel {
			level, column = archive.StudyLevel, "study_id AS id"
		}
		stmt = "SELECT " + column + " FROM series WHERE id > 0"
		if ref.Series != "" {
			stmt += " AND uid = ?"
			args = append(args, string(ref.Series))
		}
		if ref.Instance != "" {
			stmt += " AND id = (SELECT series_id FROM instance WHERE uid = ?)"
			args = append(args, string(ref.Instance))
		}
		if ref.Study != "" {
			stmt += " AND study_id = (SELECT id FROM study WHERE uid = ?)"
			args = append(args, string(ref.Study))
		}
	case ref.Study != "":
		stmt, args = "SELECT id FROM study WHERE uid = ?", []any{string(ref.Study)}
	default:
		return nil, false, nil
	}
	ids, _, err := r.idList(stmt, args, wideCap)
	if err != nil {
		return nil, false, err
	}
	return r.lower(ids, level)
}

// narrowByUID follows a condition on a UID, which has an index of its own.
func (r *run) narrowByUID() ([]int64, bool, error) {
	for _, l := range [...]struct {
		level archive.Level
		tag   dicom.Tag
		table string
	}{
		{archive.InstanceLevel, dict.SOPInstanceUID, "instance"},
		{archive.SeriesLevel, dict.SeriesInstanceUID, "series"},
		{archive.StudyLevel, dict.StudyInstanceUID, "study"},
	} {
		for _, m := range r.q.Match {
			if len(m.Path) > 1 || m.Path[0] != l.tag || m.Kind == archive.Universal {
				continue
			}
			ids, _, err := r.idList("SELECT t.id FROM "+r.sql.each+" JOIN "+l.table+" t ON t.uid = k.value", []any{r.sql.texts(m.Values)}, wideCap)
			if err != nil {
				return nil, false, err
			}
			return r.lower(ids, l.level)
		}
	}
	return nil, false, nil
}

// narrowByTerms looks for the condition that the fewest studies fulfil.
func (r *run) narrowByTerms(most int) ([]int64, bool, error) {
	var best []int64
	found := false
	for _, m := range r.q.Match {
		if len(m.Path) > 1 || m.Kind == archive.Universal || !r.db.filed[m.Path[0]] {
			continue
		}
		ids, ok, err := r.lookUp(hints(m, r.q.Fuzzy), most)
		if err != nil {
			return nil, false, err
		}
		if ok && (!found || len(ids) < len(best)) {
			best, found = ids, true
		}
		if found && len(best) <= fewSuffice {
			break
		}
	}
	if !found {
		return nil, false, nil
	}
	return r.lower(best, archive.StudyLevel)
}

// lookUp returns the studies that have a term in one of the hints; false when there are
// no hints, or too many studies.
func (r *run) lookUp(hints []hint, most int) ([]int64, bool, error) {
	if len(hints) == 0 || len(hints) > fewSuffice {
		return nil, false, nil
	}
	var all []int64
	for _, h := range hints {
		stmt, args := "SELECT study_id AS id FROM term WHERE tag = ? AND term >= ? AND term <= ?", []any{h.tag, h.from, h.to}
		if h.within != "" {
			stmt = "SELECT study_id AS id FROM term WHERE tag = ? AND (" + r.sql.within + "(term, ?) > 0 OR " + r.sql.within + "(term, ?) > 0)"
			args = []any{h.tag, h.within, cutMark}
		}
		ids, ok, err := r.idList(stmt, args, most-len(all))
		if err != nil || !ok {
			return nil, false, err
		}
		all = append(all, ids...)
	}
	slices.Sort(all)
	return slices.Compact(all), true, nil
}

// lower leads from ids of a level to those of the rows that are read.
func (r *run) lower(ids []int64, from archive.Level) ([]int64, bool, error) {
	for level := from; level < r.level; level++ {
		stmt := "SELECT id FROM series WHERE " + r.sql.in("study_id")
		if level == archive.SeriesLevel {
			stmt = "SELECT id FROM instance WHERE " + r.sql.in("series_id")
		}
		var ok bool
		var err error
		if ids, ok, err = r.idList(stmt, []any{r.sql.ids(ids)}, wideCap); err != nil || !ok {
			return nil, false, err
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids), true, nil
}

// idList returns the numbers that a statement selects as id, all in one row, which is a good
// deal faster than a row each; false when there are more than most.
func (r *run) idList(stmt string, args []any, most int) ([]int64, bool, error) {
	var text string
	if _, err := queryRow(r.ctx, r.c, "SELECT "+r.sql.list("x.id")+" FROM ("+stmt+" "+limited+") x", append(args, most+1), &text); err != nil {
		return nil, false, err
	}
	ids, err := parseList(text)
	return ids, len(ids) <= most, err
}
