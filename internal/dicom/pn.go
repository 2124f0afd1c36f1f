package dicom

import "strings"

// PersonName is a value of VR PN by its component groups (PS3.5 §6.2.1). Within a
// group, ^ separates family name, given name, middle name, prefix and suffix.
type PersonName struct {
	Alphabetic  string
	Ideographic string
	Phonetic    string
}

// ParsePersonName splits a decoded value at its equals signs. What stands behind a
// third one, which the standard does not know, is kept in Phonetic.
func ParsePersonName(value string) PersonName {
	var p PersonName
	var more bool
	if p.Alphabetic, value, more = strings.Cut(value, "="); more {
		p.Ideographic, p.Phonetic, _ = strings.Cut(value, "=")
	}
	return p
}

// String is the reverse of ParsePersonName, without empty groups at the end.
func (p PersonName) String() string {
	switch {
	case p.Phonetic != "":
		return p.Alphabetic + "=" + p.Ideographic + "=" + p.Phonetic
	case p.Ideographic != "":
		return p.Alphabetic + "=" + p.Ideographic
	}
	return p.Alphabetic
}

// Components returns the five components of a group: family name, given name, middle
// name, prefix, suffix. What stands behind a fifth ^ is kept in the suffix.
func Components(group string) [5]string {
	var c [5]string
	copy(c[:], strings.SplitN(group, "^", len(c)))
	return c
}

// PersonName returns the first value of the element as a person name.
func (d *Dataset) PersonName(tag Tag) PersonName { return ParsePersonName(d.Text(tag)) }
