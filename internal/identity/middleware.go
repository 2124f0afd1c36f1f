package identity

import (
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"strconv"
	"strings"

	"pharos/internal/access"
)

// Middleware lets requests with good credentials pass, with their principal in the
// context, and answers all others: 401, 429 or 503 as RFC 9457 problems.
func (a *Authenticator) Middleware(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p, err := a.principal(r)
		if err != nil {
			a.answer(w, r, err)
			return
		}
		next.ServeHTTP(w, r.WithContext(access.WithPrincipal(r.Context(), p)))
	})
}

func (a *Authenticator) principal(r *http.Request) (access.Principal, error) {
	from := a.Address(r)
	scheme, credentials, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	switch {
	case strings.EqualFold(scheme, "Bearer"):
		return a.Token(r.Context(), from, strings.TrimSpace(credentials))
	case strings.EqualFold(scheme, "Basic"):
		name, password, ok := r.BasicAuth()
		if !ok {
			return access.Principal{}, ErrRefused
		}
		return a.Password(r.Context(), from, name, password)
	}
	return access.Principal{}, ErrRefused
}

func (a *Authenticator) answer(w http.ResponseWriter, r *http.Request, err error) {
	switch {
	case errors.Is(err, ErrRefused):
		w.Header().Add("WWW-Authenticate", `Basic realm="Pharos", charset="UTF-8"`)
		w.Header().Add("WWW-Authenticate", `Bearer realm="Pharos"`)
		problem(w, http.StatusUnauthorized, "Sign in with a user name and password (Basic) or a token (Bearer).")
	case errors.Is(err, ErrTooMany):
		w.Header().Set("Retry-After", strconv.Itoa(int(RetryAfter.Seconds())))
		problem(w, http.StatusTooManyRequests, "Too many failed attempts came from this address.")
	case errors.Is(err, ErrBusy):
		w.Header().Set("Retry-After", "1")
		problem(w, http.StatusServiceUnavailable, "Too many sign-ins are under way.")
	case r.Context().Err() != nil: // the caller is gone
	default:
		a.log.LogAttrs(r.Context(), slog.LevelError, "sign-in failed", slog.Any("error", err))
		problem(w, http.StatusServiceUnavailable, "Sign-in is not possible at the moment.")
	}
}

// problem writes an RFC 9457 problem. The detail is a constant without characters that
// JSON escapes.
func problem(w http.ResponseWriter, status int, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(`{"type":"about:blank","title":"` + http.StatusText(status) + // a caller who is gone needs no answer
		`","status":` + strconv.Itoa(status) + `,"detail":"` + detail + `"}` + "\n"))
}

// Address returns the address that a request came from. What a trusted proxy says of
// it is believed: the last address of X-Forwarded-For that is no trusted proxy itself,
// since everything to the left of it may be made up.
func (a *Authenticator) Address(r *http.Request) netip.Addr {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	addr := peer.Addr().Unmap()
	if !within(a.proxies, addr) {
		return addr
	}
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(hops) - 1; i >= 0; i-- {
		hop, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil {
			return addr
		}
		addr = hop.Unmap()
		if !within(a.proxies, addr) {
			return addr
		}
	}
	return addr
}

func within(networks []netip.Prefix, addr netip.Addr) bool {
	for _, n := range networks {
		if n.Contains(addr) {
			return true
		}
	}
	return false
}
