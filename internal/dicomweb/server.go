package dicomweb

import (
	"log/slog"
	"net/http"
	"os"
	"strings"
	"time"

	"pharos/internal/archive"
	"pharos/internal/dicom"
	"pharos/internal/pixeldata"
)

// Root is where the DICOMweb resources are, below the public URL.
const Root = "/dicom-web"

// Config says what a server answers from.
type Config struct {
	Archive archive.Archive // guarded: see archive.Guard
	Keys    *archive.Keys   // the attributes that can be searched

	// PublicURL is how clients reach this server, as in "https://pacs.example.org";
	// without one, the address of the listener. When it is empty, addresses in answers
	// begin with a slash, which RFC 3986 §4.2 and VR UR permit.
	PublicURL string
	// Origins are the web origins whose scripts may call (CORS); "*" for any.
	Origins []string
	// TempDir is where bulk data of STOW requests with metadata is kept for the time of
	// the request; empty for the system's.
	TempDir string
	Log     *slog.Logger // nil: no log
	Limits  Limits
}

// Limits bound what one request can cost. The zero value of a field means its default.
type Limits struct {
	Page    int           // results of a search without limit; default 200
	MaxPage int           // results of a search at most; default 5,000
	Idle    time.Duration // how long a body may stand still in either direction; default 60 s
	Frames  int           // frames in one request; default 10,000
	// Unusable is how many parts of a STOW request may be no instance before it is
	// given up; default 1,000. Parts that are instances are not limited.
	Unusable int
	// Metadata is the size of the JSON or XML of a STOW request in bytes; default 64 MiB.
	Metadata int64
	// Inflation is how many times its size a compressed request body may inflate to,
	// beyond the first 64 MiB; default 200.
	Inflation int64
	// Pixels is the size of a rendered image; default 16,777,216 (4096 x 4096).
	Pixels int
}

func (l Limits) withDefaults() Limits {
	setDefault(&l.Page, 200)
	setDefault(&l.MaxPage, 5000)
	setDefault(&l.Idle, 60*time.Second)
	setDefault(&l.Frames, 10_000)
	setDefault(&l.Unusable, 1000)
	setDefault(&l.Metadata, 64<<20)
	setDefault(&l.Inflation, 200)
	setDefault(&l.Pixels, 4096*4096)
	return l
}

func setDefault[T int | int64 | time.Duration](v *T, d T) {
	if *v == 0 {
		*v = d
	}
}

type server struct {
	archive archive.Archive
	keys    *archive.Keys
	service string // public URL and Root, without a slash at the end
	origins []string
	render  renderer
	tempDir string
	log     *slog.Logger
	limits  Limits
	mux     *http.ServeMux
}

// New returns the handler of everything below Root and of /wado. The middleware around
// it authenticates and puts the access.Principal into the context.
func New(c Config) http.Handler { return newServer(c) }

func newServer(c Config) *server {
	s := &server{
		archive: c.Archive,
		keys:    c.Keys,
		service: strings.TrimSuffix(c.PublicURL, "/") + Root,
		origins: c.Origins,
		render:  pixeldata.Render,
		tempDir: c.TempDir,
		log:     c.Log,
		limits:  c.Limits.withDefaults(),
		mux:     http.NewServeMux(),
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.tempDir == "" {
		s.tempDir = os.TempDir()
	}
	s.route()
	return s
}

// handler answers a request, or returns why not.
type handler func(w *reply, r *http.Request) error

// route lists the resources of PS3.18 §10.3 and what can be done to them.
func (s *server) route() {
	const (
		study    = "/studies/{study}"
		series   = study + "/series/{series}"
		instance = series + "/instances/{instance}"
		frames   = instance + "/frames/{frames}"
	)
	for pattern, h := range map[string]handler{
		"GET " + Root:          s.capabilities,
		"GET " + Root + "/{$}": s.capabilities,
		"GET /wado":            s.wadoURI,

		"GET " + Root + "/studies":            s.search(archive.StudyLevel),
		"GET " + Root + "/series":             s.search(archive.SeriesLevel),
		"GET " + Root + "/instances":          s.search(archive.InstanceLevel),
		"GET " + Root + study + "/series":     s.search(archive.SeriesLevel),
		"GET " + Root + study + "/instances":  s.search(archive.InstanceLevel),
		"GET " + Root + series + "/instances": s.search(archive.InstanceLevel),

		"POST " + Root + "/studies": s.store,
		"POST " + Root + study:      s.store,

		"GET " + Root + frames:                           s.frames,
		"GET " + Root + frames + "/rendered":             s.rendered,
		"GET " + Root + frames + "/thumbnail":            s.thumbnail,
		"GET " + Root + instance + "/bulkdata/{path...}": s.bulkdata,
	} {
		s.handle(pattern, h)
	}
	for _, level := range []string{study, series, instance} {
		s.handle("GET "+Root+level, s.retrieve)
		s.handle("GET "+Root+level+"/metadata", s.metadata)
		s.handle("GET "+Root+level+"/rendered", s.rendered)
		s.handle("GET "+Root+level+"/thumbnail", s.thumbnail)
		s.handle("DELETE "+Root+level, s.delete)
	}
}

func (s *server) handle(pattern string, h handler) {
	s.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		reply := newReply(w, r, s.limits.Idle)
		if err := h(reply, r); err != nil {
			s.fail(reply, r, err)
		}
	})
}

// ServeHTTP implements http.Handler.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.allowOrigin(w, r)
	switch {
	case unclean(r.URL.Path):
		s.fail(newReply(w, r, s.limits.Idle), r, badRequest("the path has empty or dotted segments"))
		return
	case r.Method == http.MethodOptions:
		s.options(w, r)
		return
	}
	if _, pattern := s.mux.Handler(r); pattern == "" {
		s.unknown(w, r)
		return
	}
	s.mux.ServeHTTP(w, r)
}

// unclean reports whether the path would be another one after cleaning. ServeMux would
// redirect it, which helps nobody but those who try paths.
func unclean(path string) bool {
	return strings.Contains(path, "//") || strings.Contains(path, "/../") || strings.Contains(path, "/./") ||
		strings.HasSuffix(path, "/..") || strings.HasSuffix(path, "/.") || strings.IndexByte(path, 0) >= 0
}

// unknown answers a request for which there is no handler.
func (s *server) unknown(w http.ResponseWriter, r *http.Request) {
	reply := newReply(w, r, s.limits.Idle)
	methods := s.methods(r)
	if len(methods) == 0 {
		s.fail(reply, r, &requestError{http.StatusNotFound, "there is no such resource"})
		return
	}
	w.Header().Set("Allow", strings.Join(methods, ", "))
	s.fail(reply, r, &requestError{http.StatusMethodNotAllowed, "the resource has no " + safeToken(r.Method)})
}

// methods are those that the path of r has.
func (s *server) methods(r *http.Request) []string {
	var found []string
	for _, m := range [...]string{http.MethodGet, http.MethodPost, http.MethodDelete} {
		probe := http.Request{Method: m, URL: r.URL, Host: r.Host}
		if _, pattern := s.mux.Handler(&probe); pattern == "" {
			continue
		}
		found = append(found, m)
		if m == http.MethodGet {
			found = append(found, http.MethodHead)
		}
	}
	if len(found) > 0 {
		found = append(found, http.MethodOptions)
	}
	return found
}

// safeToken keeps what a client sent from looking like anything but a word.
func safeToken(s string) string {
	if len(s) > 20 {
		s = s[:20]
	}
	return strings.Map(func(c rune) rune {
		if c < 'A' || c > 'Z' {
			return -1
		}
		return c
	}, s)
}

// refOf reads the UIDs in the path. A segment that is no UID can't name anything.
func refOf(r *http.Request) (dicom.Ref, error) {
	ref := dicom.Ref{
		Study:    dicom.UID(r.PathValue("study")),
		Series:   dicom.UID(r.PathValue("series")),
		Instance: dicom.UID(r.PathValue("instance")),
	}
	for _, p := range [...]struct {
		name string
		uid  dicom.UID
	}{{"study", ref.Study}, {"series", ref.Series}, {"instance", ref.Instance}} {
		if p.uid != "" && !p.uid.Valid() {
			return dicom.Ref{}, badRequest("the " + p.name + " in the path is not a UID")
		}
	}
	return ref, nil
}
