package dicomweb

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strconv"

	"pharos/internal/access"
	"pharos/internal/archive"
	"pharos/internal/dicom"
)

// requestError is a fault of the request itself. Its detail is shown to the client, so
// it must not repeat values of the request that could be markup or patient data.
type requestError struct {
	status int
	detail string
}

func (e *requestError) Error() string { return e.detail }

func badRequest(detail string) error { return &requestError{http.StatusBadRequest, detail} }

func notAcceptable(detail string) error { return &requestError{http.StatusNotAcceptable, detail} }

// statuses maps the errors of the packages below to HTTP, for whole requests. The
// detail of those with shown set says what is wrong without telling a secret.
var statuses = [...]struct {
	err    error
	status int
	shown  bool
	detail string
}{
	{access.ErrHidden, http.StatusNotFound, false, "there is no such resource"},
	{archive.ErrNotFound, http.StatusNotFound, false, "there is no such resource"},
	{access.ErrDenied, http.StatusForbidden, false, "you may not do this"},
	{archive.ErrQuery, http.StatusBadRequest, true, ""},
	{archive.ErrConflict, http.StatusConflict, false, "another instance has the same UID"},
	{archive.ErrFull, http.StatusServiceUnavailable, false, "the archive is full"},
	{archive.ErrInvalid, http.StatusBadRequest, true, ""},
	{dicom.ErrNotDICOM, http.StatusBadRequest, true, ""},
	{dicom.ErrTruncated, http.StatusBadRequest, true, ""},
	{dicom.ErrMalformed, http.StatusBadRequest, true, ""},
	{dicom.ErrTooLarge, http.StatusRequestEntityTooLarge, true, ""},
	{dicom.ErrUnknownSyntax, http.StatusBadRequest, true, ""},
	{os.ErrDeadlineExceeded, http.StatusRequestTimeout, false, "the request body came too slowly"},
	{io.ErrUnexpectedEOF, http.StatusBadRequest, false, "the request body ended too early"},
}

// problemOf finds the status and the text for an error; known is false for a fault of
// ours.
func problemOf(err error) (status int, detail string, known bool) {
	var request *requestError
	if errors.As(err, &request) {
		return request.status, request.detail, true
	}
	for _, s := range statuses {
		switch {
		case !errors.Is(err, s.err):
		case s.shown:
			return s.status, err.Error(), true
		default:
			return s.status, s.detail, true
		}
	}
	return http.StatusInternalServerError, "the server failed; its log tells why", false
}

// fail answers with an error, or cuts the connection when an answer has begun.
func (s *server) fail(w *reply, r *http.Request, err error) {
	status, detail, known := problemOf(err)
	if !known && r.Context().Err() == nil && !errors.Is(err, errClientGone) && !errors.Is(err, context.Canceled) {
		s.log.LogAttrs(r.Context(), slog.LevelError, "request failed",
			slog.String("method", r.Method), slog.String("pattern", r.Pattern), slog.String("error", err.Error()))
	}
	if w.begun {
		panic(http.ErrAbortHandler)
	}
	if status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "60")
	}
	writeProblem(w, status, detail)
}

// problem is an RFC 9457 document.
type problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail,omitempty"`
}

// writeProblem answers with a problem document. Header fields that told of the body that
// there won't be are taken back; extra ones are given as names and values.
func writeProblem(w *reply, status int, detail string, extra ...string) {
	body, err := json.Marshal(problem{"about:blank", http.StatusText(status), status, detail})
	if err != nil {
		body = []byte("{}")
	}
	h := w.Header()
	for _, name := range [...]string{"Content-Encoding", "Content-Disposition", "Etag", "Content-Range", "Accept-Ranges"} {
		h.Del(name)
	}
	h.Set("Content-Type", "application/problem+json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Cache-Control", "no-store")
	for i := 0; i+1 < len(extra); i += 2 {
		h.Set(extra[i], extra[i+1])
	}
	w.WriteHeader(status)
	if !w.head {
		_, _ = w.Write(body) // whoever asked is gone if this fails
	}
}
