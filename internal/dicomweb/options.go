package dicomweb

import (
	"net/http"
	"slices"
	"strings"
)

// allowOrigin answers for cross-origin requests of the configured origins (Fetch §3.2).
// Credentials are allowed to origins that are named, never to "*".
func (s *server) allowOrigin(w http.ResponseWriter, r *http.Request) {
	if len(s.origins) == 0 {
		return
	}
	h := w.Header()
	h.Add("Vary", "Origin")
	origin := r.Header.Get("Origin")
	switch {
	case origin == "":
		return
	case slices.Contains(s.origins, origin):
		h.Set("Access-Control-Allow-Origin", origin)
		h.Set("Access-Control-Allow-Credentials", "true")
	case slices.Contains(s.origins, "*"):
		h.Set("Access-Control-Allow-Origin", "*")
	default:
		return
	}
	h.Set("Access-Control-Expose-Headers", "Content-Length, Content-Location, Content-Range, ETag, Warning")
}

// options answers OPTIONS: a preflight, or the question what can be done.
func (s *server) options(w http.ResponseWriter, r *http.Request) {
	methods := s.methods(r)
	if len(methods) == 0 {
		s.unknown(w, r)
		return
	}
	h := w.Header()
	h.Set("Allow", strings.Join(methods, ", "))
	if h.Get("Access-Control-Allow-Origin") != "" && r.Header.Get("Access-Control-Request-Method") != "" {
		h.Set("Access-Control-Allow-Methods", strings.Join(methods, ", "))
		h.Set("Access-Control-Allow-Headers", "Accept, Authorization, Content-Type, If-None-Match, Range")
		h.Set("Access-Control-Max-Age", "3600")
	}
	if path := strings.TrimSuffix(r.URL.Path, "/"); path == Root && h.Get("Access-Control-Allow-Methods") == "" {
		// PS3.18 §8.9.1: OPTIONS of the service asks for the capabilities description.
		reply := newReply(w, r, s.limits.Idle)
		if err := s.capabilities(reply, r); err != nil {
			s.fail(reply, r, err)
		}
		return
	}
	w.WriteHeader(http.StatusNoContent)
}
