package dict

import (
	"iter"
	"sort"
)

//go:generate go run generate.go

// Entry is a data element of PS3.6 or PS3.7.
type Entry struct {
	Tag     Tag    // of a repeating group or element: the first
	VR      VR     // the only one, or the one to assume in implicit VR; UN when it has none
	VRs     string // as the standard writes it: "US or SS"; "-" when it has none
	VM      string // value multiplicity: "1", "2-n"
	Keyword string // empty for a few elements retired long ago
	Name    string
	Retired bool
}

// UIDEntry is a UID of PS3.6 Annex A.
type UIDEntry struct {
	Value   string
	Name    string
	Keyword string
	Type    string // "SOP Class", "Transfer Syntax" and so on, as PS3.6 Table A-1 has it
	Retired bool
	Storage string // where PS3.4 lists it as a storage SOP class: "B.5", "B.6", "GG"; "DICOS" and "DICONDE" for theirs; else empty
}

// Lookup finds an element. Any tag of a repeating group is found, with itself as
// Entry.Tag, as are group lengths (UL) and private creators (LO). Other private
// elements are not known.
func Lookup(t Tag) (Entry, bool) {
	if i := find(t); i >= 0 {
		return entries[i], true
	}
	if i := findRepeating(t); i >= 0 {
		e := repeating[i].entry
		e.Tag = t
		return e, true
	}
	switch {
	case t.GroupLength():
		return Entry{Tag: t, VR: UL, VRs: "UL", VM: "1", Keyword: "GenericGroupLength", Name: "Generic Group Length", Retired: true}, true
	case t.PrivateCreator():
		return Entry{Tag: t, VR: LO, VRs: "LO", VM: "1", Keyword: "PrivateCreator", Name: "Private Creator"}, true
	}
	return Entry{}, false
}

// VROf is the VR to assume for an element whose encoding does not tell it (PS3.5
// §A.1): UN when the element is not known. Where the standard leaves a choice it is US
// for "US or SS" and OW for the others.
func VROf(t Tag) VR {
	if i := find(t); i >= 0 {
		return entries[i].VR
	}
	if i := findRepeating(t); i >= 0 {
		return repeating[i].entry.VR
	}
	switch {
	case t.GroupLength():
		return UL
	case t.PrivateCreator():
		return LO
	}
	return UN
}

// slotBits is the binary logarithm of the size of the hash table over the tags. A
// third of its slots is taken, so that a look-up touches one or two.
const slotBits = 14

// find returns the index of a tag that is in the table as such, or -1.
func find(t Tag) int {
	for h := uint32(t) * 0x9E3779B1 >> (32 - slotBits); ; h = (h + 1) % (1 << slotBits) {
		i := int(slots[h]) - 1
		if i < 0 || tags[i] == t {
			return i
		}
	}
}

// findRepeating returns the index of the repeating element that t belongs to, or -1.
// Only groups 0020, 0028, 1000, 1010, 50xx, 60xx and 7Fxx have some. Odd groups have
// none: they are private.
func findRepeating(t Tag) int {
	switch g := t.Group(); {
	case t.Private():
		return -1
	case g>>8 == 0x50, g>>8 == 0x60, g>>8 == 0x7F, g == 0x20, g == 0x28, g == 0x1000, g == 0x1010:
	default:
		return -1
	}
	for i := range repeating {
		if r := &repeating[i]; (t^r.entry.Tag)&r.mask == 0 {
			return i
		}
	}
	return -1
}

// ByKeyword finds an element by its keyword, which is case-sensitive. Of a repeating
// group the first element is found.
func ByKeyword(keyword string) (Entry, bool) {
	at := func(i int) *Entry {
		if n := int(byKeyword[i]); n >= len(entries) {
			return &repeating[n-len(entries)].entry
		}
		return &entries[byKeyword[i]]
	}
	i := sort.Search(len(byKeyword), func(i int) bool { return at(i).Keyword >= keyword })
	if i < len(byKeyword) && at(i).Keyword == keyword {
		return *at(i), true
	}
	return Entry{}, false
}

// UIDByValue finds a UID of PS3.6 Annex A.
func UIDByValue(uid string) (UIDEntry, bool) {
	i := sort.Search(len(uids), func(i int) bool { return uids[i].Value >= uid })
	if i < len(uids) && uids[i].Value == uid {
		return uids[i], true
	}
	return UIDEntry{}, false
}

// UIDs yields every UID of the table in the order of their characters.
func UIDs() iter.Seq[UIDEntry] {
	return func(yield func(UIDEntry) bool) {
		for _, u := range uids {
			if !yield(u) {
				return
			}
		}
	}
}

// StorageClasses yields the storage SOP classes: of PS3.4 Annex B, the retired ones
// included, of Annex GG, and of DICOS and DICONDE.
func StorageClasses() iter.Seq[UIDEntry] {
	return func(yield func(UIDEntry) bool) {
		for _, u := range uids {
			if u.Storage != "" && !yield(u) {
				return
			}
		}
	}
}

// IsStorageClass reports whether the UID is one of StorageClasses.
func IsStorageClass(uid string) bool {
	u, ok := UIDByValue(uid)
	return ok && u.Storage != ""
}
