package sqldb

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"pharos/internal/archive"
	"pharos/internal/dicom"
	"pharos/internal/dicom/dict"
	"pharos/internal/index"
)

// A term is a value of a study's attribute, or one component group of a name, in the
// form in which it is compared. The table of terms leads from them to studies, for
// every attribute that narrows a search well. Terms are hints: what they find is
// compared once more with the attributes themselves.

// maxTerm bounds a term in bytes; a longer one is cut, and ends with cutMark.
const (
	maxTerm = 64
	cutMark = "\uE000"
)

// beyond is behind every text that begins as the text before it does.
const beyond = "\U0010FFFF"

// indexedTags are the standard attributes that have terms, beside those that are
// added by configuration.
var indexedTags = map[dicom.Tag]bool{
	dict.PatientName: true, dict.PatientID: true, dict.PatientBirthDate: true, dict.OtherPatientIDs: true,
	dict.StudyDate: true, dict.AccessionNumber: true, dict.StudyID: true, dict.StudyDescription: true,
	dict.ReferringPhysicianName: true,
}

// wordsOf is the number under which the words of a name are filed.
func wordsOf(tag dicom.Tag) int64 { return -int64(tag) }

// filedTags returns the attributes whose values are filed as terms.
func filedTags(keys *archive.Keys) map[dicom.Tag]bool {
	filed := maps.Clone(indexedTags)
	standard := archive.NewKeys()
	for _, k := range studyKeys(keys) {
		switch k.VR {
		case dict.DA, dict.AE, dict.CS, dict.LO, dict.SH, dict.PN, dict.UI:
			if _, ok := standard.Lookup(k.Tag); !ok {
				filed[k.Tag] = true
			}
		}
	}
	return filed
}

// studyKeys returns the keys kept with a study.
func studyKeys(keys *archive.Keys) []archive.Key {
	all := slices.Concat(keys.At(archive.PatientLevel), keys.At(archive.StudyLevel))
	slices.SortFunc(all, func(a, b archive.Key) int { return cmp.Compare(a.Tag, b.Tag) })
	return all
}

type term struct {
	tag  int64
	text string
}

// termsOf returns the terms of a study's attributes, without repetition.
func termsOf(d *dicom.Dataset, keys []archive.Key, filed map[dicom.Tag]bool) []term {
	var terms []term
	seen := make(map[term]bool)
	add := func(t term) {
		if t.text != "" && !seen[t] {
			seen[t] = true
			terms = append(terms, t)
		}
	}
	for _, k := range keys {
		if !filed[k.Tag] {
			continue
		}
		for _, v := range d.Texts(k.Tag) {
			for _, text := range termTexts(k.Tag, k.VR, v) {
				add(term{int64(k.Tag), text})
			}
			if k.Tag == dict.PatientName {
				for _, w := range index.NameWords(v) {
					add(term{wordsOf(k.Tag), cutTerm(w)})
				}
			}
		}
	}
	return terms
}

// termTexts returns what a value is filed under.
func termTexts(tag dicom.Tag, vr dicom.VR, v string) []string {
	switch vr {
	case dict.PN:
		groups := index.FoldName(v)
		for i := range groups {
			groups[i] = cutTerm(groups[i])
		}
		return groups
	case dict.DA:
		p, ok := archive.ParseDate(v)
		if !ok {
			return nil
		}
		return []string{strconv.FormatInt(p.First, 10)}
	}
	return []string{cutTerm(index.FoldOf(tag)(v))}
}

// cutTerm makes text fit to be a term: short, valid UTF-8 and without NUL.
func cutTerm(s string) string {
	s = cleanTerm(s)
	if len(s) <= maxTerm {
		return s
	}
	return cutPrefix(s) + cutMark
}

// cleanTerm removes what PostgreSQL does not take as text.
func cleanTerm(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "")
}

// cutPrefix returns as much of text as a cut term has of it.
func cutPrefix(s string) string {
	if len(s) <= maxTerm {
		return s
	}
	n := maxTerm
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// hint is where the terms of a match lie: between two terms, or anywhere under a tag
// with some text within.
type hint struct {
	tag      int64
	from, to string
	within   string
}

// hints returns where the studies that fulfil a match are to be sought; nil when terms
// do not help. Every study that fulfils it has a term in one of them.
func hints(m archive.Match, fuzzy bool) []hint {
	if m.VR == dict.DA {
		var all []hint
		for _, p := range index.Dates(m) {
			all = append(all, hint{tag: int64(m.Tag()), from: dateTerm(p.First), to: dateTerm(p.Last)})
		}
		return all
	}
	var all []hint
	for _, v := range m.Values {
		h, ok := textHint(m, v, fuzzy)
		if !ok {
			return nil
		}
		all = append(all, h)
	}
	return all
}

func dateTerm(day int64) string {
	const last = 99999999
	return strconv.FormatInt(min(max(day, 0), last)+last+1, 10)[1:]
}

func textHint(m archive.Match, value string, fuzzy bool) (hint, bool) {
	tag := int64(m.Tag())
	if m.VR == dict.PN && fuzzy {
		if m.Tag() != dict.PatientName {
			return hint{}, false
		}
		word := longest(index.NameWords(value))
		return prefixHint(wordsOf(m.Tag()), word), word != ""
	}
	text := ""
	if m.VR == dict.PN {
		if groups := index.FoldName(value); len(groups) > 0 {
			text = groups[0]
		}
	} else {
		text = index.FoldOf(m.Tag())(value)
	}
	wild := strings.IndexAny(text, "*?")
	if wild < 0 {
		return hint{tag: tag, from: cutTerm(text), to: cutTerm(text)}, text != ""
	}
	if prefix := strings.TrimRight(text[:wild], " "); prefix != "" {
		return prefixHint(tag, prefix), true
	}
	part := strings.TrimSpace(longest(strings.FieldsFunc(text, func(r rune) bool { return r == '*' || r == '?' })))
	return hint{tag: tag, within: part}, part != ""
}

func prefixHint(tag int64, prefix string) hint {
	prefix = cutPrefix(cleanTerm(prefix))
	return hint{tag: tag, from: prefix, to: prefix + beyond}
}

func longest(texts []string) string {
	best := ""
	for _, t := range texts {
		if len(t) > len(best) {
			best = t
		}
	}
	return best
}
