package conformance

import (
	"errors"
	"fmt"
	"strings"
)

// Section is a part of the document that is rendered from the code.
type Section struct {
	Name   string
	Render func() string
}

// Sections are all of them, in the order of the document.
func Sections() []Section {
	return []Section{
		{"implementation", Implementation},
		{"storage-classes", StorageClasses},
		{"transfer-syntaxes", TransferSyntaxes},
		{"query-keys", QueryKeys},
		{"computed-keys", ComputedKeys},
		{"matching-by-vr", MatchingByVR},
		{"character-sets", CharacterSets},
		{"association-limits", AssociationLimits},
	}
}

// ErrDocument says that the document and the sections do not fit together: a section is
// not there, is there twice, or is not closed, or the document has one that is not known.
var ErrDocument = errors.New("document and sections do not fit")

// Update returns the document with every section as it is rendered now. ErrDocument.
func Update(document string, sections []Section) (string, error) {
	for _, s := range sections {
		begin, end := marks(s.Name)
		before, rest, opened := strings.Cut(document, begin)
		_, after, closed := strings.Cut(rest, end)
		if !opened || !closed || strings.Contains(after, begin) {
			return "", fmt.Errorf("conformance: %w: %q must stand there once, with its end", ErrDocument, begin)
		}
		document = before + begin + "\n\n" + strings.TrimSpace(s.Render()) + "\n\n" + end + after
	}
	if n := strings.Count(document, "<!-- begin: "); n != len(sections) {
		return "", fmt.Errorf("conformance: %w: it has %d, known are %d", ErrDocument, n, len(sections))
	}
	return document, nil
}

func marks(name string) (begin, end string) {
	return "<!-- begin: " + name + " -->", "<!-- end: " + name + " -->"
}

// table renders rows as Markdown. Cells hold no line breaks and no bars.
func table(head []string, rows [][]string) string {
	var b strings.Builder
	line := func(cells []string) { b.WriteString("| " + strings.Join(cells, " | ") + " |\n") }
	line(head)
	b.WriteString(strings.Repeat("|---", len(head)) + "|\n")
	for _, r := range rows {
		line(r)
	}
	return b.String()
}
