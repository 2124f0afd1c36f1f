package index

import (
	"slices"
	"strconv"
	"strings"

	"pharos/internal/archive"
	"pharos/internal/dicom"
	"pharos/internal/dicom/dict"
)

// Matcher decides by the rules that package indextest tells. A database narrows down
// what may match; the Matcher has the last word, which makes all databases agree.
type Matcher struct {
	conditions []condition
	zone       bool // some condition needs Timezone Offset From UTC
}

// condition is one on an attribute or, with within, on the items of a sequence: one
// item must fulfil all of them (PS3.4 §C.2.2.2.6).
type condition struct {
	tag    dicom.Tag
	holds  func(d *dicom.Dataset, env environment) bool
	within []condition
}

// environment is what a comparison may need beyond its attribute.
type environment struct {
	levels []*dicom.Dataset
	offset int64 // µs that local time is ahead of UTC
	zoned  bool  // offset is known
}

// NewMatcher compiles the conditions of a query.
func NewMatcher(q archive.Query) *Matcher {
	m := &Matcher{}
	matches := q.Match
	if q.CombinedDateTime {
		var combined []condition
		matches, combined = combineDateTimes(q.Match)
		m.conditions = combined
	}
	for _, match := range matches {
		if match.Kind == archive.Universal {
			continue
		}
		m.zone = m.zone || match.VR == dict.DT
		m.conditions = insert(m.conditions, match.Path, compare(match, q.Fuzzy))
	}
	return m
}

// Empty reports whether everything matches.
func (m *Matcher) Empty() bool { return len(m.conditions) == 0 }

// insert puts a comparison below the sequences of its path.
func insert(in []condition, path []dicom.Tag, holds func(*dicom.Dataset, environment) bool) []condition {
	if len(path) == 1 {
		return append(in, condition{tag: path[0], holds: holds})
	}
	for i := range in {
		if in[i].tag == path[0] && in[i].within != nil {
			in[i].within = insert(in[i].within, path[1:], holds)
			return in
		}
	}
	return append(in, condition{tag: path[0], within: insert(nil, path[1:], holds)})
}

// Matches reports whether an entity with the attributes of these data sets, one for
// each level, fulfils every condition. An attribute is taken from the first data set
// that has it; nil ones are skipped.
func (m *Matcher) Matches(levels ...*dicom.Dataset) bool {
	if len(m.conditions) == 0 {
		return true
	}
	env := environment{levels: levels}
	if m.zone {
		if d := having(levels, dict.TimezoneOffsetFromUTC); d != nil {
			env.offset, env.zoned = archive.ParseOffset(d.Text(dict.TimezoneOffsetFromUTC))
		}
	}
	for i := range m.conditions {
		c := &m.conditions[i]
		d := having(levels, c.tag)
		if d == nil || !c.fulfilled(d, env) {
			return false
		}
	}
	return true
}

func having(levels []*dicom.Dataset, tag dicom.Tag) *dicom.Dataset {
	for _, d := range levels {
		if d != nil && d.Has(tag) {
			return d
		}
	}
	return nil
}

func (c *condition) fulfilled(d *dicom.Dataset, env environment) bool {
	if c.within == nil {
		return c.holds(d, env)
	}
	return slices.ContainsFunc(d.Items(c.tag), func(item *dicom.Dataset) bool {
		for i := range c.within {
			if !c.within[i].fulfilled(item, env) {
				return false
			}
		}
		return true
	})
}

// compare returns the comparison of a match that is not universal: any value of the
// attribute may fulfil it, and without a value it is not fulfilled.
func compare(m archive.Match, fuzzy bool) func(*dicom.Dataset, environment) bool {
	tag := m.Tag()
	switch m.VR {
	case dict.DT:
		return compareMoments(m)
	case dict.IS, dict.DS, dict.US, dict.SS, dict.UL, dict.SL, dict.UV, dict.SV, dict.FL, dict.FD:
		return compareNumbers(m)
	}
	value := compareText(m, fuzzy)
	return func(d *dicom.Dataset, _ environment) bool {
		return slices.ContainsFunc(d.Texts(tag), value)
	}
}

// compareText returns the comparison of one value of an attribute.
func compareText(m archive.Match, fuzzy bool) func(string) bool {
	switch m.VR {
	case dict.UI, dict.UR:
		return func(v string) bool { return v != "" && slices.Contains(m.Values, v) }
	case dict.DA:
		return comparePeriods(m, archive.ParseDate)
	case dict.TM:
		return comparePeriods(m, archive.ParseTime)
	case dict.AT:
		return func(v string) bool {
			return slices.ContainsFunc(m.Values, func(w string) bool { return strings.EqualFold(v, w) })
		}
	case dict.PN:
		if fuzzy {
			return compareWords(m.Values)
		}
		return compareNames(m.Values)
	}
	fold := FoldOf(m.Tag())
	patterns := foldAll(m.Values, fold)
	return func(v string) bool {
		v = fold(v)
		return v != "" && slices.ContainsFunc(patterns, func(p string) bool { return matchWildcard(p, v) })
	}
}

func foldAll(values []string, fold func(string) string) []string {
	folded := make([]string, len(values))
	for i, v := range values {
		folded[i] = fold(v)
	}
	return folded
}

// compareNames compares person names group by group: each group that the key has must
// be like some group of the value.
func compareNames(keys []string) func(string) bool {
	patterns := make([][]string, len(keys))
	for i, k := range keys {
		patterns[i] = FoldName(k)
	}
	return func(v string) bool {
		groups := FoldName(v)
		return slices.ContainsFunc(patterns, func(pattern []string) bool {
			for _, p := range pattern {
				if !slices.ContainsFunc(groups, func(g string) bool { return matchName(p, g) }) {
					return false
				}
			}
			return len(pattern) > 0 && len(groups) > 0
		})
	}
}

// matchName is matchWildcard, but a delimiter before or after an asterisk may be
// missing: DOE^* finds a name that has but one component.
func matchName(pattern, group string) bool {
	if matchWildcard(pattern, group) {
		return true
	}
	if p, ok := strings.CutSuffix(pattern, " *"); ok && matchWildcard(p, group) {
		return true
	}
	p, ok := strings.CutPrefix(pattern, "* ")
	return ok && matchWildcard(p, group)
}

// compareWords is the fuzzy comparison of person names: every word of the key begins
// some word of the name.
func compareWords(keys []string) func(string) bool {
	words := make([][]string, len(keys))
	for i, k := range keys {
		words[i] = NameWords(k)
	}
	return func(v string) bool {
		have := NameWords(v)
		return slices.ContainsFunc(words, func(wanted []string) bool {
			for _, w := range wanted {
				if !slices.ContainsFunc(have, func(h string) bool { return strings.HasPrefix(h, w) }) {
					return false
				}
			}
			return len(have) > 0
		})
	}
}

// compareNumbers compares by what numbers are worth, so that 1, 01 and 1.0 are one.
func compareNumbers(m archive.Match) func(*dicom.Dataset, environment) bool {
	var wanted []float64
	for _, v := range m.Values {
		if f, err := strconv.ParseFloat(v, 64); err == nil {
			wanted = append(wanted, f)
		}
	}
	tag := m.Tag()
	return func(d *dicom.Dataset, _ environment) bool {
		for _, v := range d.Texts(tag) {
			if f, err := strconv.ParseFloat(v, 64); err == nil && slices.Contains(wanted, f) {
				return true
			}
		}
		return false
	}
}
