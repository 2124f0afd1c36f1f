package main

import (
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// observe counts and logs requests. Neither path nor query is logged: the one holds
// UIDs, the other names of patients. What is logged is the kind of resource.
func observe(m *metrics, log *slog.Logger, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		m.answering.Inc()
		defer m.answering.Dec()
		o := &observed{ResponseWriter: w, status: http.StatusOK}
		route := routeOf(r.URL.Path)
		defer func() {
			elapsed := time.Since(start)
			m.requests.WithLabelValues(route, methodOf(r.Method), strconv.Itoa(o.status)).Inc()
			m.requestTime.WithLabelValues(route).Observe(elapsed.Seconds())
			m.sentBytes.WithLabelValues(route).Add(float64(o.bytes))
			log.LogAttrs(r.Context(), slog.LevelDebug, "request",
				slog.String("method", methodOf(r.Method)), slog.String("route", route), slog.Int("status", o.status),
				slog.Int64("bytes", o.bytes), slog.Duration("took", elapsed), slog.String("from", r.RemoteAddr))
		}()
		next.ServeHTTP(o, r)
	})
}

// observed remembers status and size of an answer.
type observed struct {
	http.ResponseWriter
	status int
	bytes  int64
	begun  bool
}

// Unwrap lets http.ResponseController reach the connection.
func (o *observed) Unwrap() http.ResponseWriter { return o.ResponseWriter }

// WriteHeader implements http.ResponseWriter.
func (o *observed) WriteHeader(status int) {
	if !o.begun && status >= http.StatusOK {
		o.begun, o.status = true, status
	}
	o.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (o *observed) Write(p []byte) (int, error) {
	o.begun = true
	n, err := o.ResponseWriter.Write(p)
	o.bytes += int64(n)
	return n, err
}

// ReadFrom keeps the way open for sendfile.
func (o *observed) ReadFrom(r io.Reader) (int64, error) {
	o.begun = true
	n, err := io.Copy(o.ResponseWriter, r)
	o.bytes += n
	return n, err
}

// routeOf names the kind of resource by the words of its path: "studies/metadata" for
// the metadata of a study. What has no words of ours is "other", so that callers can't
// make up labels.
func routeOf(path string) string {
	switch path {
	case "/", "/healthz", "/readyz", "/wado", "/dicom-web":
		return path
	}
	rest, ok := strings.CutPrefix(path, "/dicom-web/")
	if !ok {
		return "other"
	}
	words := make([]string, 0, 5)
	for segment := range strings.SplitSeq(rest, "/") {
		if resources[segment] && len(words) < cap(words) && !contains(words, segment) {
			words = append(words, segment)
		}
	}
	route := strings.Join(words, "/")
	if !routes[route] {
		return "other"
	}
	return route
}

func contains(words []string, word string) bool {
	for _, w := range words {
		if w == word {
			return true
		}
	}
	return false
}

var resources = map[string]bool{
	"studies": true, "series": true, "instances": true, "metadata": true, "frames": true,
	"bulkdata": true, "rendered": true, "thumbnail": true,
}

// routes are the labels: the resources of PS3.18 §10.3.
var routes = func() map[string]bool {
	all := map[string]bool{"series": true, "instances": true, "studies/instances": true}
	for _, level := range []string{"studies", "studies/series", "studies/series/instances"} {
		all[level] = true
		for _, kind := range []string{"metadata", "rendered", "thumbnail", "bulkdata", "frames", "frames/rendered", "frames/thumbnail"} {
			all[level+"/"+kind] = true
		}
	}
	return all
}()

func methodOf(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodOptions:
		return method
	}
	return "other"
}
