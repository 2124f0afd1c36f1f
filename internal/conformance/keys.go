package conformance

import (
	"slices"
	"strings"

	"pharos/internal/archive"
	"pharos/internal/dicom"
	"pharos/internal/dicom/dict"
)

// levels are those of the information model, from the top.
func levels() []archive.Level {
	return []archive.Level{archive.PatientLevel, archive.StudyLevel, archive.SeriesLevel, archive.InstanceLevel}
}

// QueryKeys renders the attributes that are kept for queries when the configuration adds
// none, by level.
func QueryKeys() string {
	keys := archive.NewKeys()
	var b strings.Builder
	for _, l := range levels() {
		var rows [][]string
		for _, k := range keys.At(l) {
			rows = append(rows, []string{keyword(k.Tag), k.Tag.String(), k.VR.String(), strings.Join(matching(k.VR), ", ")})
		}
		b.WriteString("Level " + l.String() + ":\n\n")
		b.WriteString(table([]string{"Attribute", "Tag", "VR", "matching"}, rows) + "\n")
	}
	return b.String()
}

func keyword(t dicom.Tag) string {
	e, _ := dict.Lookup(t)
	return e.Keyword
}

// ComputedKeys renders the attributes that the archive works out.
func ComputedKeys() string {
	var rows [][]string
	for _, group := range [...]uint16{0x0008, 0x0020} { // PS3.4 §C.3.4 has them all in these
		for element := range 0x10000 {
			tag := dict.MakeTag(group, uint16(element))
			if l, ok := archive.Computed(tag); ok {
				rows = append(rows, []string{keyword(tag), tag.String(), l.String()})
			}
		}
	}
	return table([]string{"Attribute", "Tag", "level"}, rows)
}

// MatchingByVR renders the kinds of matching that each VR has, as found by trying.
func MatchingByVR() string {
	all := [...]dicom.VR{
		dict.AE, dict.AS, dict.AT, dict.CS, dict.DA, dict.DS, dict.DT, dict.FL, dict.FD, dict.IS, dict.LO, dict.LT,
		dict.PN, dict.SH, dict.SL, dict.SQ, dict.SS, dict.ST, dict.SV, dict.TM, dict.UC, dict.UI, dict.UL, dict.UR,
		dict.US, dict.UT, dict.UV, dict.OB, dict.OD, dict.OF, dict.OL, dict.OV, dict.OW, dict.UN,
	}
	vrs := make(map[string][]string)
	var order []string
	for _, vr := range all {
		kinds := strings.Join(matching(vr), ", ")
		if !slices.Contains(order, kinds) {
			order = append(order, kinds)
		}
		vrs[kinds] = append(vrs[kinds], vr.String())
	}
	var rows [][]string
	for _, kinds := range order {
		rows = append(rows, []string{strings.Join(vrs[kinds], ", "), kinds})
	}
	return table([]string{"VR", "matching"}, rows)
}

// matching tells the kinds of matching of a VR beside universal matching, by trying keys
// that would be understood as one if the VR had it.
func matching(vr dicom.VR) []string {
	if vr == dict.SQ {
		return []string{"sequence"}
	}
	var kinds []string
	for _, try := range [...]struct {
		kind  archive.MatchKind
		name  string
		texts []string
	}{
		{archive.Single, "single value", probes},
		{archive.List, "list", lists()},
		{archive.Wildcard, "wildcard", []string{"A*"}},
		{archive.Between, "range", []string{"20200101-20200102", "1000-1100"}},
	} {
		if understood(vr, try.kind, try.texts) {
			kinds = append(kinds, try.name)
		}
	}
	if kinds == nil {
		return []string{"none"}
	}
	return kinds
}

// probes are values of which at least one is good for any VR that can be matched.
var probes = []string{"12", "1.2.840", "20200101"}

func lists() []string {
	var pairs []string
	for _, p := range probes {
		pairs = append(pairs, p+`\`+p)
	}
	return pairs
}

func understood(vr dicom.VR, kind archive.MatchKind, texts []string) bool {
	return slices.ContainsFunc(texts, func(text string) bool {
		m, err := archive.NewMatch([]dicom.Tag{dict.PatientID}, vr, text)
		return err == nil && m.Kind == kind
	})
}
