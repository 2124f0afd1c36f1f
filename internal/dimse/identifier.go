package dimse

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"pharos/internal/archive"
	"pharos/internal/dicom"
	"pharos/internal/dicom/dict"
)

// identifierLimits bound what an identifier can cost beside its length.
var identifierLimits = dicom.Limits{Depth: 8, Elements: 20_000}

// maxListedUIDs bounds the values of one key: a list of more UIDs than this is split
// by the asker.
const maxListedUIDs = 20_000

// readIdentifier reads the data set of a C-FIND, C-MOVE or C-GET request, of at most
// limit bytes. Its errors carry a status.
func readIdentifier(r io.Reader, ts dicom.UID, limit int64) (*dicom.Dataset, error) {
	limits := identifierLimits
	limits.Value, limits.Memory, limits.Inflated = limit, limit, limit
	d, err := dicom.ReadDataset(&bounded{r: r, left: limit}, ts, limits)
	if err == nil {
		return d, nil
	}
	comment := "identifier can't be read"
	if errors.Is(err, dicom.ErrTooLarge) {
		comment = "identifier is too long"
	}
	return nil, fmt.Errorf("%w: %w", &failure{status: UnableToProcess, comment: comment}, err)
}

// identifier is an identifier as understood against an information model.
type identifier struct {
	request    *dicom.Dataset
	model      model
	level      archive.Level
	relational bool
}

// uniqueKeys are the unique keys of the levels (PS3.4 §C.6.1.1, §C.6.2.1).
var uniqueKeys = [...]dicom.Tag{
	archive.PatientLevel:  dict.PatientID,
	archive.StudyLevel:    dict.StudyInstanceUID,
	archive.SeriesLevel:   dict.SeriesInstanceUID,
	archive.InstanceLevel: dict.SOPInstanceUID,
}

// newIdentifier checks level and unique keys of an identifier.
func newIdentifier(d *dicom.Dataset, m model, relational bool) (*identifier, error) {
	level, ok := levelOf(d.Text(dict.QueryRetrieveLevel))
	if !ok || !slices.Contains(m, level) {
		return nil, mismatch("Query/Retrieve Level is missing or is not one of the SOP class", dict.QueryRetrieveLevel)
	}
	id := &identifier{request: d, model: m, level: level, relational: relational}
	return id, id.checkHierarchy()
}

func mismatch(comment string, tag dicom.Tag) error {
	return &failure{status: IdentifierMismatch, comment: comment, tags: []dicom.Tag{tag}}
}

func levelOf(text string) (archive.Level, bool) {
	for l := archive.PatientLevel; l <= archive.InstanceLevel; l++ {
		if strings.TrimSpace(text) == l.String() {
			return l, true
		}
	}
	return 0, false
}

// checkHierarchy demands what PS3.4 §C.4.1.2.1 does: the unique key of each level above
// the queried one, as a single value.
func (id *identifier) checkHierarchy() error {
	for _, l := range id.model {
		if l >= id.level {
			break
		}
		key := uniqueKeys[l]
		values := id.values(key)
		switch {
		case len(values) == 0 && !id.relational:
			return mismatch("unique key of a higher level is missing", key)
		case len(values) > 1 && !id.relational:
			return mismatch("unique key of a higher level has several values", key)
		}
	}
	return nil
}

// values are the non-empty values of a key.
func (id *identifier) values(tag dicom.Tag) []string {
	return slices.DeleteFunc(id.request.Texts(tag), func(v string) bool { return v == "" })
}

// describing are elements of an identifier that are no keys (PS3.4 §C.4.1.1.3.1).
func describing(tag dicom.Tag) bool {
	switch tag {
	case dict.SpecificCharacterSet, dict.QueryRetrieveLevel, dict.QueryRetrieveView,
		dict.TimezoneOffsetFromUTC, dict.RetrieveAETitle, dict.InstanceAvailability:
		return true
	}
	return tag.GroupLength() || tag.PrivateCreator()
}

// question is an identifier of C-FIND turned into a query.
type question struct {
	query       archive.Query
	unsupported bool // some key is not supported: PS3.4 §C.4.1.1.4, status 0xFF01
}

// question turns the identifier into a query (PS3.4 §C.2.2.2). archive.ErrQuery names a
// key that can't be understood.
func (id *identifier) question(keys *archive.Keys, o options) (question, error) {
	q := question{query: archive.Query{Level: id.level, Fuzzy: o.fuzzy, CombinedDateTime: o.combined}}
	for e := range id.request.All() {
		if describing(e.Tag) {
			continue
		}
		if !id.supports(keys, e.Tag) {
			q.unsupported = true
			continue
		}
		q.query.Return = append(q.query.Return, []dicom.Tag{e.Tag})
		if err := q.add(id.request, e, nil); err != nil {
			return question{}, err
		}
	}
	return q, nil
}

// supports reports whether the archive keeps a key, at the level of the query or above.
func (id *identifier) supports(keys *archive.Keys, tag dicom.Tag) bool {
	if k, ok := keys.Lookup(tag); ok {
		return k.Level <= id.level
	}
	l, ok := archive.Computed(tag)
	return ok && l <= id.level
}

// add adds the conditions of one key, which lies at the end of a path of sequences.
func (q *question) add(d *dicom.Dataset, e *dicom.Element, path []dicom.Tag) error {
	path = append(slices.Clip(path), e.Tag)
	if e.VR == dict.SQ || len(e.Items) > 0 {
		return q.addItems(e, path)
	}
	values := d.Texts(e.Tag)
	if len(values) > maxListedUIDs {
		return mismatch("key has too many values", e.Tag)
	}
	match, err := archive.NewMatch(path, keyVR(e), strings.Join(values, `\`))
	if err != nil {
		return fmt.Errorf("%w: %w", mismatch("key can't be understood", e.Tag), err)
	}
	if match.Kind != archive.Universal {
		q.query.Match = append(q.query.Match, match)
	}
	return nil
}

// addItems adds the conditions of sequence matching (PS3.4 §C.2.2.2.6): one item.
func (q *question) addItems(e *dicom.Element, path []dicom.Tag) error {
	if len(e.Items) > 1 {
		return mismatch("sequence of a key has several items", e.Tag)
	}
	for _, item := range e.Items {
		for inner := range item.All() {
			if describing(inner.Tag) {
				continue
			}
			if err := q.add(item, inner, path); err != nil {
				return err
			}
		}
	}
	return nil
}

// keyVR is the VR to understand a key by: the dictionary's, as askers send UN and wrong
// ones.
func keyVR(e *dicom.Element) dicom.VR {
	if vr := dict.VROf(e.Tag); vr != dict.UN {
		return vr
	}
	return e.VR
}
