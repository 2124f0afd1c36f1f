package dicomweb

import (
	"context"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// sendRange answers with a value of known size, or with the one range of it that the
// client asks for (RFC 9110 §14).
func sendRange(w *reply, r *http.Request, contentType string, size int64, open func(ctx context.Context, off, n int64) (io.ReadCloser, error)) error {
	h := w.Header()
	h.Set("Accept-Ranges", "bytes")
	off, n, partial, err := requestedRange(r, size)
	if err != nil {
		return refuseRange(w, size, err)
	}
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.FormatInt(n, 10))
	if w.head {
		return nil
	}
	value, err := open(r.Context(), off, n)
	if err != nil {
		return ours(err)
	}
	if partial {
		h.Set("Content-Range", contentRange(off, n, size))
		w.WriteHeader(http.StatusPartialContent)
	}
	b := newBody(w)
	defer b.close()
	if err := b.copyValue(value, n); err != nil {
		return err
	}
	return b.Flush()
}

func contentRange(off, n, size int64) string {
	b := append(make([]byte, 0, 64), "bytes "...)
	b = strconv.AppendInt(b, off, 10)
	b = append(b, '-')
	b = strconv.AppendInt(b, off+n-1, 10)
	b = append(b, '/')
	return string(strconv.AppendInt(b, size, 10))
}

// refuseRange is 416 with the size, so that the client can ask better.
func refuseRange(w *reply, size int64, err error) error {
	status, detail, _ := problemOf(err)
	writeProblem(w, status, detail, "Content-Range", "bytes */"+strconv.FormatInt(size, 10))
	return nil
}

// requestedRange understands the Range header field. An If-Range that isn't the current
// validator makes it void; those of ours are weak, so it always does.
func requestedRange(r *http.Request, size int64) (off, n int64, partial bool, err error) {
	field := r.Header.Get("Range")
	if field == "" || r.Header.Get("If-Range") != "" {
		return 0, size, false, nil
	}
	return parseRange(field, size)
}

// parseRange reads a byte range of a value of a given size. Other units are ignored, as
// the RFC says; several ranges are refused.
func parseRange(field string, size int64) (off, n int64, partial bool, err error) {
	unit, spec, ok := strings.Cut(field, "=")
	if !ok || !strings.EqualFold(strings.TrimSpace(unit), "bytes") {
		return 0, size, false, nil
	}
	if strings.ContainsRune(spec, ',') {
		return 0, 0, false, &requestError{http.StatusRequestedRangeNotSatisfiable, "only one range can be had at a time"}
	}
	first, last, ok := strings.Cut(strings.TrimSpace(spec), "-")
	from, fromOK := digits(first)
	to, toOK := digits(last)
	switch {
	case !ok || !fromOK && first != "" || !toOK && last != "" || first == "" && last == "" || fromOK && toOK && to < from:
		return 0, 0, false, badRequest("the Range header is malformed")
	case first == "":
		to = min(to, size)
		from, to = size-to, size-1
	case last == "" || to >= size:
		to = size - 1
	}
	if from >= size || to < from {
		return 0, 0, false, &requestError{http.StatusRequestedRangeNotSatisfiable, "the range is not within the value"}
	}
	return from, to - from + 1, true, nil
}

// digits reads a decimal number without sign. One that is too great is the greatest.
func digits(s string) (int64, bool) {
	if s == "" {
		return 0, false
	}
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return 1<<63 - 1, true
	}
	return n, true
}
