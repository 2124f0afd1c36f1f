package dicomweb

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// The media types of PS3.18 §8.7.
const (
	typeDICOM       = "application/dicom"
	typeJSON        = "application/json"
	typeDICOMJSON   = "application/dicom+json"
	typeDICOMXML    = "application/dicom+xml"
	typeOctetStream = "application/octet-stream"
	typeZip         = "application/zip"
	typeRelated     = "multipart/related"
	anyType         = "*/*"
	anySyntax       = "*"
)

// Bounds of an Accept header field: more is an attack, not a wish.
const (
	maxAccept = 8 << 10
	maxRanges = 64
)

// mediaRange is one thing that a client accepts.
type mediaRange struct {
	kind   string // lower case; multipart/related when the parts are meant
	part   string // the type parameter of multipart/related, lower case; may be empty
	syntax string // the transfer-syntax parameter: a UID, "*", or "" for the default of the type
	q      int    // quality in thousandths

	boundary string // the boundary parameter, of a Content-Type
}

// accepted returns what the client accepts, most wanted first. The query parameter
// accept goes before the header field (PS3.18 §8.3.3.1). Without any, everything is
// accepted.
func accepted(r *http.Request) ([]mediaRange, error) {
	fields := r.Header.Values("Accept")
	if given := acceptParameters(r.URL.RawQuery); len(given) > 0 {
		fields = given
	}
	return parseAccept(fields)
}

// parseAccept reads Accept fields (RFC 9110 §12.5.1). Values of parameters may hold
// slashes without quotes, as many DICOMweb clients write them. Ranges of quality 0 are
// left out.
func parseAccept(fields []string) ([]mediaRange, error) {
	size := 0
	var ranges []mediaRange
	for _, f := range fields {
		if size += len(f); size > maxAccept {
			return nil, badRequest("the Accept header is too long")
		}
		for f != "" {
			var one string
			one, f = cutUnquoted(f, ',')
			if strings.TrimSpace(one) == "" {
				continue
			}
			m, ok := parseMediaRange(one)
			if !ok {
				return nil, badRequest("the Accept header is malformed")
			}
			if len(ranges) == maxRanges {
				return nil, badRequest("the Accept header lists too many types")
			}
			ranges = append(ranges, m)
		}
	}
	if len(ranges) == 0 {
		return []mediaRange{{kind: anyType, q: 1000}}, nil
	}
	slices.SortStableFunc(ranges, func(a, b mediaRange) int { return b.q - a.q })
	return slices.DeleteFunc(ranges, func(m mediaRange) bool { return m.q == 0 }), nil
}

// parseMediaRange reads "type/subtype; name=value …".
func parseMediaRange(s string) (mediaRange, bool) {
	kind, params := cutUnquoted(s, ';')
	m := mediaRange{kind: strings.ToLower(strings.TrimSpace(kind)), q: 1000}
	if !mediaType(m.kind) {
		return m, false
	}
	for params != "" {
		var one string
		one, params = cutUnquoted(params, ';')
		name, value, _ := strings.Cut(one, "=")
		value, ok := unquote(strings.TrimSpace(value))
		if !ok {
			return m, false
		}
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "type":
			m.part = strings.ToLower(value)
			ok = mediaType(m.part)
		case "transfer-syntax":
			m.syntax = value
		case "boundary":
			m.boundary = value
		case "q":
			m.q, ok = parseQuality(value)
		}
		if !ok {
			return m, false
		}
	}
	return m, true
}

// mediaType reports whether s has the form type/subtype.
func mediaType(s string) bool {
	major, minor, ok := strings.Cut(s, "/")
	return ok && token(major) && token(minor)
}

// token reports whether s is a token of RFC 9110 §5.6.2.
func token(s string) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c <= ' ' || c >= 0x7F || strings.IndexByte(`"(),/:;<=>?@[\]{}`, c) >= 0 {
			return false
		}
	}
	return s != ""
}

func parseQuality(s string) (int, bool) {
	q, err := strconv.ParseFloat(s, 64)
	if err != nil || !(q >= 0 && q <= 1) {
		return 0, false
	}
	return int(q*1000 + 0.5), true
}

// cutUnquoted cuts s at the first separator outside of a quoted string.
func cutUnquoted(s string, separator byte) (before, after string) {
	quoted := false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case c == separator && !quoted:
			return s[:i], s[i+1:]
		}
	}
	return s, ""
}

// unquote takes the quotes of a quoted string away (RFC 9110 §5.6.4).
func unquote(s string) (string, bool) {
	if !strings.HasPrefix(s, `"`) {
		return s, !strings.ContainsRune(s, '"')
	}
	if len(s) < 2 || s[len(s)-1] != '"' {
		return "", false
	}
	s = s[1 : len(s)-1]
	if strings.IndexByte(s, '\\') < 0 {
		return s, !strings.ContainsRune(s, '"')
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' {
			if i++; i == len(s) {
				return "", false
			}
		}
		b.WriteByte(s[i])
	}
	return b.String(), true
}

// takes reports whether the range covers a single media type.
func (m mediaRange) takes(kind string) bool {
	if m.kind == kind || m.kind == anyType {
		return true
	}
	major, minor, _ := strings.Cut(m.kind, "/")
	return minor == "*" && strings.HasPrefix(kind, major+"/")
}

// takesParts reports whether the range covers multipart/related with parts of a type.
func (m mediaRange) takesParts(kind string) bool {
	if !m.takes(typeRelated) {
		return false
	}
	return m.part == "" || m.part == kind || mediaRange{kind: m.part}.takes(kind)
}

// open reports whether the range leaves the transfer syntax to the server: because it
// says so, or because it is as general as what browsers and simple scripts send.
func (m mediaRange) open() bool {
	return m.syntax == anySyntax || m.syntax == "" && (strings.HasSuffix(m.kind, "*") || m.kind == typeRelated && m.part == "")
}
