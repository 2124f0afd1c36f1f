package dicomweb

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"pharos/internal/archive"
	"pharos/internal/dicom"
	"pharos/internal/dicom/dict"
)

const (
	// maxInline is the longest binary value that a search result carries.
	maxInline = 1 << 20
	// maxFields bounds includefield and the conditions of one search.
	maxFields = 1000
	// maxOffset is beyond any archive and far from overflow.
	maxOffset = 1 << 40
	// maxPath is the deepest sequence path of a parameter.
	maxPath = 8
)

// searchRequest is an understood search.
type searchRequest struct {
	archive.Query
	limit      int         // results at most
	limited    bool        // by the server rather than the client
	required   []dicom.Tag // present in every result, empty if need be; ascending
	unmatched  []string    // attributes given that can't be matched
	unreturned []string    // attributes wanted that can't be returned
}

// parseSearch reads the query parameters (PS3.18 §8.3.4, §10.6.1.2).
func (s *server) parseSearch(r *http.Request, level archive.Level, ref dicom.Ref) (*searchRequest, error) {
	values, err := parseQuery(r)
	if err != nil {
		return nil, err
	}
	q := &searchRequest{Query: archive.Query{Level: level, Ref: ref}, limit: s.limits.Page, limited: true}
	if len(values) > maxFields {
		return nil, badRequest("there are too many parameters")
	}
	names := make([]string, 0, len(values))
	for name := range values {
		names = append(names, name)
	}
	slices.Sort(names) // so that answers and errors don't depend on chance
	for _, name := range names {
		if err := s.parameter(q, name, values[name]); err != nil {
			return nil, err
		}
	}
	q.require()
	return q, nil
}

// parameter understands one of them.
func (s *server) parameter(q *searchRequest, name string, values []string) error {
	switch name {
	case "accept", "charset":
		return nil
	case "includefield":
		return s.include(q, values)
	}
	value, single := values[0], len(values) == 1
	switch name {
	case "limit", "offset", "fuzzymatching":
		if !single {
			return badRequest(name + " is given more than once")
		}
	}
	switch name {
	case "limit":
		n, ok := digits(value)
		if !ok {
			return badRequest("limit must be a whole number that is not negative")
		}
		q.limited = n > int64(s.limits.MaxPage)
		q.limit = int(min(n, int64(s.limits.MaxPage)))
	case "offset":
		n, ok := digits(value)
		if !ok {
			return badRequest("offset must be a whole number that is not negative")
		}
		q.Offset = int(min(n, maxOffset))
	case "fuzzymatching":
		fuzzy, err := strconv.ParseBool(value)
		if err != nil {
			return badRequest("fuzzymatching must be true or false")
		}
		q.Fuzzy = fuzzy
	default:
		return s.condition(q, name, values)
	}
	return nil
}

// condition understands an attribute and what it must match.
func (s *server) condition(q *searchRequest, name string, values []string) error {
	path, err := parsePath(name)
	if err != nil {
		return err
	}
	vr, ok := s.searchable(q.Level, path)
	if !ok {
		q.unmatched = append(q.unmatched, nameOf(path))
		return nil
	}
	text := values[0]
	switch {
	case vr == dict.UI:
		// A list of UIDs is separated by commas or backslashes, or given one by one.
		text = strings.ReplaceAll(strings.Join(values, `\`), ",", `\`)
	case len(values) > 1:
		return badRequest(nameOf(path) + " is given more than once")
	}
	match, err := archive.NewMatch(path, vr, text)
	if err != nil {
		return err
	}
	if match.Kind != archive.Universal {
		q.Match = append(q.Match, match)
	}
	q.Return = append(q.Return, path)
	return nil
}

// searchable tells the VR by which an attribute can be matched in a search at a level,
// if it can: those of lower levels are not attributes of what is searched.
func (s *server) searchable(level archive.Level, path []dicom.Tag) (dicom.VR, bool) {
	vr, at, ok := s.kept(path)
	if !ok || at > level || countOnly(path[0]) {
		return 0, false
	}
	return vr, true
}

// kept tells VR and level of an attribute that the archive keeps or works out.
func (s *server) kept(path []dicom.Tag) (vr dicom.VR, level archive.Level, ok bool) {
	first := path[0]
	if level, ok := archive.Computed(first); ok && len(path) == 1 {
		return dict.VROf(first), level, true
	}
	key, ok := s.keys.Lookup(first)
	switch {
	case !ok:
		return 0, 0, false
	case len(path) == 1:
		return key.VR, key.Level, true
	case key.VR != dict.SQ:
		return 0, 0, false
	}
	return dict.VROf(path[len(path)-1]), key.Level, true
}

// countOnly reports whether the attribute is worked out for results only.
func countOnly(t dicom.Tag) bool {
	_, computed := archive.Computed(t)
	return computed && t != dict.ModalitiesInStudy && t != dict.SOPClassesInStudy
}

// include understands includefield: repeated, with commas, or "all".
func (s *server) include(q *searchRequest, values []string) error {
	for _, list := range values {
		for name := range strings.SplitSeq(list, ",") {
			switch name {
			case "":
				continue
			case "all":
				q.All = true
				continue
			}
			path, err := parsePath(name)
			if err != nil {
				return err
			}
			if len(q.Return) == maxFields {
				return badRequest("includefield names too many attributes")
			}
			if _, level, ok := s.kept(path); ok && level <= q.Level {
				q.Return = append(q.Return, path)
			} else if !given(path[0]) {
				q.unreturned = append(q.unreturned, nameOf(path))
			}
		}
	}
	return nil
}

// given reports whether the attribute is in every result although it isn't kept.
func given(t dicom.Tag) bool {
	switch t {
	case dict.RetrieveURL, dict.InstanceAvailability, dict.SpecificCharacterSet:
		return true
	}
	return false
}

// parsePath reads an attribute as a keyword or eight hex digits, with dots between a
// sequence and what is in it (PS3.18 §8.3.4.1).
func parsePath(name string) ([]dicom.Tag, error) {
	if strings.Count(name, ".") >= maxPath {
		return nil, badRequest("a parameter has too many dots")
	}
	var path []dicom.Tag
	for part := range strings.SplitSeq(name, ".") {
		tag, ok := parseTag(part)
		if !ok {
			return nil, badRequest("parameter " + printable(name) + " is neither an attribute nor known otherwise")
		}
		path = append(path, tag)
	}
	return path, nil
}

// parseTag finds an attribute of the dictionary, or a private one by its number.
func parseTag(s string) (dicom.Tag, bool) {
	if tag, ok := parseHexTag(s); ok {
		_, known := dict.Lookup(tag)
		return tag, known || tag.Private()
	}
	e, ok := dict.ByKeyword(s)
	return e.Tag, ok && s != ""
}

// parseHexTag reads eight hex digits.
func parseHexTag(s string) (dicom.Tag, bool) {
	if len(s) != 8 {
		return 0, false
	}
	n, err := strconv.ParseUint(s, 16, 32)
	return dicom.Tag(n), err == nil
}

// printable cuts what a client sent down to what can be shown anywhere.
func printable(s string) string {
	keep := func(c rune) rune {
		if c == '.' || c == '_' || c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' {
			return c
		}
		return '?'
	}
	if len(s) > 80 {
		s = s[:80]
	}
	return strings.Map(keep, s)
}

// nameOf writes a path with keywords, as the standard does.
func nameOf(path []dicom.Tag) string {
	names := make([]string, len(path))
	for i, t := range path {
		if e, ok := dict.Lookup(t); ok && e.Keyword != "" && !t.Private() {
			names[i] = e.Keyword
		} else {
			names[i] = t.Hex()
		}
	}
	return strings.Join(names, ".")
}
