package conformance

import (
	"errors"
	"flag"
	"os"
	"strings"
	"testing"

	"pharos/internal/archive"
	"pharos/internal/dicom/dict"
)

var update = flag.Bool("update", false, "rewrite the generated sections of docs/conformance.md")

const document = "../../docs/conformance.md"

func TestDocumentIsCurrent(t *testing.T) {
	old, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	current, err := Update(string(old), Sections())
	if err != nil {
		t.Fatal(err)
	}
	if current == string(old) {
		return
	}
	if !*update {
		t.Fatal("docs/conformance.md is not what the code says; run: go test ./internal/conformance -update")
	}
	if err := os.WriteFile(document, []byte(current), 0o644); err != nil { //nolint:gosec // a document for everybody
		t.Fatal(err)
	}
}

func TestUpdateReplacesWhatStandsBetweenTheMarks(t *testing.T) {
	one := []Section{{"one", func() string { return "\nnew\n" }}}
	got, err := Update("before\n<!-- begin: one -->\nold\n<!-- end: one -->\nafter\n", one)
	if want := "before\n<!-- begin: one -->\n\nnew\n\n<!-- end: one -->\nafter\n"; err != nil || got != want {
		t.Errorf("%q, %v; want %q", got, err, want)
	}
	again, err := Update(got, one)
	if err != nil || again != got {
		t.Errorf("a second update changes it: %q, %v", again, err)
	}
}

func TestUpdateRefusesADocumentThatDoesNotFit(t *testing.T) {
	one := []Section{{"one", func() string { return "x" }}}
	const whole = "<!-- begin: one --><!-- end: one -->"
	for name, text := range map[string]string{
		"missing":    "nothing",
		"not closed": "<!-- begin: one -->",
		"end first":  "<!-- end: one --><!-- begin: one -->",
		"twice":      whole + whole,
		"unknown":    whole + "<!-- begin: two --><!-- end: two -->",
	} {
		if _, err := Update(text, one); !errors.Is(err, ErrDocument) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestEveryKeyCanBeMatched(t *testing.T) {
	keys := archive.NewKeys()
	for _, l := range levels() {
		for _, k := range keys.At(l) {
			if kinds := matching(k.VR); kinds[0] == "none" || keyword(k.Tag) == "" {
				t.Errorf("%v of level %v: %v", k.Tag, l, kinds)
			}
		}
	}
}

func TestMatchingFollowsTheVR(t *testing.T) {
	for vr, want := range map[string]string{
		"PN": "single value, list, wildcard",
		"DA": "single value, list, range",
		"UI": "single value, list",
		"LT": "single value, wildcard",
		"SQ": "sequence",
		"OB": "none",
	} {
		if got := strings.Join(matching(dict.MakeVR(vr[0], vr[1])), ", "); got != want {
			t.Errorf("%s: %s, want %s", vr, got, want)
		}
	}
}

func TestEveryTermOfTheStandardIsUnderstood(t *testing.T) {
	text := CharacterSets()
	for _, set := range characterSets {
		for _, term := range set.terms {
			if term != "" && !strings.Contains(text, code(term)) {
				t.Errorf("%s: %s is not understood", set.name, term)
			}
		}
	}
}

func TestCellsHoldNothingThatBreaksATable(t *testing.T) {
	for _, s := range Sections() {
		width := 0
		for line := range strings.SplitSeq(s.Render(), "\n") {
			if !strings.HasPrefix(line, "|") {
				width = 0
				continue
			}
			if n := strings.Count(line, "|"); width != 0 && n != width {
				t.Errorf("%s: a row has %d bars, not %d: %s", s.Name, n, width, line)
			} else {
				width = n
			}
		}
	}
}
