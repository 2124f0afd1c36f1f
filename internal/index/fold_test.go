package index

import (
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestFoldIsIdempotent(t *testing.T) {
	for _, s := range []string{"", " ABC ", "Müller", "ＡＢＣ", "ﾔﾏﾀﾞ", "Ø\x00ß", "김희중", "é\u0301", "İ", "Ǆ", "ΣΑΣ"} {
		once := Fold(s)
		if twice := Fold(once); once != twice {
			t.Errorf("%q folds to %q, that to %q", s, once, twice)
		}
	}
}

// FuzzMatchWildcard compares with a regular expression.
func FuzzMatchWildcard(f *testing.F) {
	for _, s := range [][2]string{{"a*b?c", "axxbyc"}, {"*", ""}, {"?", "é"}, {"**a**", "ba"}, {"a*a*a", "aaaa"}, {"", "x"}, {"*?x", "éx"}} {
		f.Add(s[0], s[1])
	}
	f.Fuzz(func(t *testing.T, pattern, text string) {
		if !utf8.ValidString(pattern) || !utf8.ValidString(text) || len(pattern) > 50 || len(text) > 200 {
			return
		}
		expression := strings.NewReplacer(`\*`, `.*`, `\?`, `.`).Replace(regexp.QuoteMeta(pattern))
		want := regexp.MustCompile(`(?s)^` + expression + `$`).MatchString(text)
		if got := matchWildcard(pattern, text); got != want {
			t.Errorf("matchWildcard(%q, %q) = %t", pattern, text, got)
		}
	})
}
