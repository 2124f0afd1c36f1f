package dicomweb

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"
)

// maxQuery bounds the query component in bytes.
const maxQuery = 256 << 10

// parseQuery reads the query component strictly: what can't be understood is an error,
// because ignoring a condition shows more than was asked for.
func parseQuery(r *http.Request) (url.Values, error) {
	if r.URL.RawQuery == "" {
		return nil, nil
	}
	if len(r.URL.RawQuery) > maxQuery {
		return nil, &requestError{http.StatusRequestURITooLong, "the query is too long"}
	}
	values, err := url.ParseQuery(withoutAccept(r.URL.RawQuery))
	if err != nil {
		return nil, badRequest("the query is malformed: a percent sign needs two hex digits, and a semicolon must be escaped")
	}
	for name, vs := range values {
		if illegible(name) || slices.ContainsFunc(vs, illegible) {
			return nil, badRequest("the query has control characters, or is not in UTF-8")
		}
	}
	return values, nil
}

func illegible(s string) bool {
	return !utf8.ValidString(s) || strings.ContainsFunc(s, func(c rune) bool { return c < ' ' && c != '\t' || c == 0x7F })
}

// acceptParameters returns the values of the query parameter accept. Media types hold
// semicolons and plus signs, which nobody escapes, so they are taken as they are.
func acceptParameters(query string) []string {
	var found []string
	for pair := range strings.SplitSeq(query, "&") {
		text, ok := strings.CutPrefix(pair, "accept=")
		if !ok {
			continue
		}
		if value, err := url.PathUnescape(text); err == nil {
			text = value
		}
		found = append(found, text)
	}
	return found
}

// withoutAccept is the query without those parameters.
func withoutAccept(query string) string {
	if !strings.Contains(query, "accept=") {
		return query
	}
	pairs := strings.Split(query, "&")
	return strings.Join(slices.DeleteFunc(pairs, func(p string) bool { return strings.HasPrefix(p, "accept=") }), "&")
}
