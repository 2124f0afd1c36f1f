package main

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"

	"pharos/internal/access"
	"pharos/internal/identity"
)

// web is the handler of the public listener: DICOMweb behind sign-in, and beside it
// what anybody may see.
type web struct {
	dicomweb http.Handler                // behind sign-in
	ready    func(context.Context) error // nil when requests can be served
	draining atomic.Bool
}

// newWeb puts sign-in in front of DICOMweb.
func newWeb(c *Config, dicomweb http.Handler, auth *identity.Authenticator, ready func(context.Context) error) (*web, error) {
	w := &web{ready: ready, dicomweb: openToAll(dicomweb)}
	if !c.InsecureOpen {
		w.dicomweb = preflightBefore(auth.Middleware(dicomweb), dicomweb)
	}
	// Browsers add a Basic credential by themselves, also to requests that another site
	// makes them send.
	csrf := http.NewCrossOriginProtection()
	for _, origin := range c.CORS {
		if origin == "*" {
			csrf.AddInsecureBypassPattern("/")
			continue
		}
		if err := csrf.AddTrustedOrigin(origin); err != nil {
			return nil, err
		}
	}
	w.dicomweb = csrf.Handler(w.dicomweb)
	return w, nil
}

// ServeHTTP implements http.Handler.
func (s *web) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Referrer-Policy", "no-referrer")
	switch path := r.URL.Path; {
	case path == "/dicom-web", strings.HasPrefix(path, "/dicom-web/"), path == "/wado":
		s.dicomweb.ServeHTTP(w, r)
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "There is nothing to do here but to look.", http.StatusMethodNotAllowed)
	case path == "/":
		landing(w)
	case path == "/healthz":
		plain(w, http.StatusOK, "ok")
	case path == "/readyz":
		s.readyz(w, r)
	default:
		http.Error(w, "There is no such page. DICOMweb is at /dicom-web.", http.StatusNotFound)
	}
}

// readyz answers whether requests should be sent here.
func (s *web) readyz(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), 5*time.Second)
	defer cancel()
	switch {
	case s.draining.Load():
		plain(w, http.StatusServiceUnavailable, "stopping")
	case s.ready(ctx) != nil:
		plain(w, http.StatusServiceUnavailable, "the index does not answer")
	default:
		plain(w, http.StatusOK, "ready")
	}
}

func plain(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text + "\n")) // a caller who is gone needs no answer
}

const landingPage = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Pharos</title>
<style>body{font:16px/1.5 system-ui,sans-serif;max-width:40rem;margin:4rem auto;padding:0 1rem}code{background:#8882;padding:.1em .3em}</style>
<h1>Pharos</h1>
<p>This is an archive for medical images. Programs reach it by DICOM and by DICOMweb:</p>
<ul>
<li>DICOMweb is at <a href="/dicom-web"><code>/dicom-web</code></a>, WADO-URI at <code>/wado</code>.
Sign in with a user name and password, or with a token that an administrator creates by <code>pharos token create</code>.</li>
<li>The state of the server is at <a href="/healthz"><code>/healthz</code></a> and <a href="/readyz"><code>/readyz</code></a>.</li>
</ul>
`

func landing(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'")
	_, _ = w.Write([]byte(landingPage)) // a caller who is gone needs no answer
}

// preflightBefore lets OPTIONS pass without sign-in: a browser's preflight carries no
// credentials (Fetch §3.2.2), and the answer tells nothing about images.
func preflightBefore(signedIn, open http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodOptions {
			open.ServeHTTP(w, r)
			return
		}
		signedIn.ServeHTTP(w, r)
	})
}

// anybody is every caller of an open archive.
var anybody = access.Principal{Name: "anybody", May: access.Everything}

// openToAll makes every caller an administrator, as insecure_open says. Requests that
// name another host than this machine are refused: a web page could otherwise read
// everything by letting its own name point to 127.0.0.1.
func openToAll(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !localHost(r.Host) {
			http.Error(w, "The archive is open to this machine only: call it localhost.", http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, r.WithContext(access.WithPrincipal(r.Context(), anybody)))
	})
}

func localHost(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	addr, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return host == "localhost" || err == nil && addr.IsLoopback()
}
