package archive

import "pharos/internal/dicom"

// Level is a level of the information model of PS3.4 §C.6.
type Level uint8

// The levels, from the top.
const (
	PatientLevel Level = iota + 1
	StudyLevel
	SeriesLevel
	InstanceLevel
)

// String is the value of Query/Retrieve Level (0008,0052).
func (l Level) String() string {
	return [...]string{"", "PATIENT", "STUDY", "SERIES", "IMAGE"}[l]
}

// Query asks for entities of one level. All of its conditions must hold.
type Query struct {
	Level Level
	Ref   dicom.Ref // within this study or series
	Match []Match

	// Return names attributes wanted beyond those that are always returned; a path has
	// more than one tag. All wants everything kept at the level and above.
	Return [][]dicom.Tag
	All    bool

	Fuzzy bool // match words of person names in any order and by their beginnings
	// CombinedDateTime takes conditions on a date and on the time that belongs to it as
	// one on the moment (PS3.4 §C.2.2.2.5, combined date-time matching). Otherwise a
	// range of times holds on every day of the range of dates.
	CombinedDateTime bool

	Limit  int // at most so many results; 0 means no limit
	Offset int // skip so many
}

// MatchKind is a kind of matching of PS3.4 §C.2.2.2.
type MatchKind uint8

// The kinds of matching.
const (
	Universal MatchKind = iota // everything, absent values too (§C.2.2.2.3)
	Single                     // one value (§C.2.2.2.1)
	List                       // any of several values (§C.2.2.2.2, and QIDO-RS lists)
	Wildcard                   // * and ? (§C.2.2.2.4)
	Between                    // a range of dates or times (§C.2.2.2.5)
)

// Match is a condition on one attribute. How values compare (case, accents, person
// names, precision of times) is the index's affair and is told by package indextest.
type Match struct {
	Path   []dicom.Tag // the sequences that lead to the attribute, then itself
	VR     dicom.VR
	Kind   MatchKind
	Values []string // Single, Wildcard: one. List: several. Between: from and to, either may be ""
}

// Tag is the attribute itself.
func (m Match) Tag() dicom.Tag { return m.Path[len(m.Path)-1] }
