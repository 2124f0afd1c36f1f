package identity

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"pharos/internal/access"
)

var (
	noon  = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	here  = netip.MustParseAddr("192.0.2.1")
	there = netip.MustParseAddr("192.0.2.2")
)

// fixture is an authenticator with user ada, password "pw", and a clock.
type fixture struct {
	*Authenticator
	store *countingStore
	clock time.Time
	log   *strings.Builder
}

type countingStore struct {
	Store
	uses int
}

func (s *countingStore) UseToken(ctx context.Context, d Digest, at time.Time) error {
	s.uses++
	return s.Store.UseToken(ctx, d, at)
}

func newFixture(t *testing.T, proxies ...netip.Prefix) *fixture {
	t.Helper()
	file, err := OpenFile(filepath.Join(t.TempDir(), "identity.json"))
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{store: &countingStore{Store: file}, clock: noon, log: &strings.Builder{}}
	f.Authenticator, err = NewAuthenticator(Options{
		Store: f.store, Log: slog.New(slog.NewTextHandler(f.log, nil)), Now: func() time.Time { return f.clock }, Proxies: proxies,
	})
	if err != nil {
		t.Fatal(err)
	}
	hash, err := HashPassword("pw")
	if err != nil {
		t.Fatal(err)
	}
	if err := file.AddUser(t.Context(), User{Name: "ada", Password: hash, May: access.Find}); err != nil {
		t.Fatal(err)
	}
	return f
}

func (f *fixture) token(t *testing.T, lifetime time.Duration) string {
	t.Helper()
	text, token := NewToken("backup", access.Retrieve, f.clock, lifetime)
	if err := f.store.AddToken(t.Context(), token); err != nil {
		t.Fatal(err)
	}
	return text
}

func TestPasswordYieldsThePrincipalWithItsRights(t *testing.T) {
	f := newFixture(t)
	p, err := f.Password(t.Context(), here, "ada", "pw")
	if err != nil || p != (access.Principal{Name: "user:ada", May: access.Find}) {
		t.Errorf("%+v, %v", p, err)
	}
}

func TestWrongPasswordAndUnknownUserAreRefusedAlike(t *testing.T) {
	f := newFixture(t)
	_, wrong := f.Password(t.Context(), here, "ada", "no")
	_, unknown := f.Password(t.Context(), here, "eve", "no")
	if !errors.Is(wrong, ErrRefused) || wrong.Error() != unknown.Error() {
		t.Errorf("%v and %v", wrong, unknown)
	}
}

func TestVerifiedPasswordNeedsNoHashForAWhile(t *testing.T) {
	f := newFixture(t)
	if _, err := f.Password(t.Context(), here, "ada", "pw"); err != nil {
		t.Fatal(err)
	}
	for range hashesAtOnce { // from now on nobody gets to hash
		f.hashing <- struct{}{}
	}
	if _, err := f.Password(t.Context(), here, "ada", "pw"); err != nil {
		t.Errorf("it was hashed again: %v", err)
	}
	f.clock = f.clock.Add(goodLifetime)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := f.Password(ctx, here, "ada", "pw"); !errors.Is(err, context.Canceled) {
		t.Errorf("it was not hashed again: %v", err)
	}
}

func TestChangedPasswordAndRemovedUserAreRefusedAtOnce(t *testing.T) {
	f := newFixture(t)
	if _, err := f.Password(t.Context(), here, "ada", "pw"); err != nil {
		t.Fatal(err)
	}
	hash, _ := HashPassword("new")
	if err := f.store.SetPassword(t.Context(), "ada", hash); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Password(t.Context(), here, "ada", "pw"); !errors.Is(err, ErrRefused) {
		t.Errorf("old password: %v", err)
	}
	if _, err := f.Password(t.Context(), here, "ada", "new"); err != nil {
		t.Errorf("new password: %v", err)
	}
	if err := f.store.RemoveUser(t.Context(), "ada"); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Password(t.Context(), here, "ada", "new"); !errors.Is(err, ErrRefused) {
		t.Errorf("removed user: %v", err)
	}
}

func TestManyRequestsWithOnePasswordCostFewHashes(t *testing.T) {
	f := newFixture(t)
	var wg sync.WaitGroup
	for range 200 {
		wg.Go(func() {
			if _, err := f.Password(t.Context(), here, "ada", "pw"); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait() // 200 hashes would take seconds; the cache holds one entry
	if n := f.good.order.Len(); n != 1 {
		t.Errorf("%d entries", n)
	}
}

func TestAddressWithManyFailuresHasToWait(t *testing.T) {
	f := newFixture(t)
	for range failureBurst {
		if _, err := f.Token(t.Context(), here, "pharos_x"); !errors.Is(err, ErrRefused) {
			t.Fatal(err)
		}
	}
	if _, err := f.Password(t.Context(), here, "ada", "pw"); !errors.Is(err, ErrTooMany) {
		t.Errorf("the address that failed: %v", err)
	}
	if _, err := f.Password(t.Context(), there, "ada", "pw"); err != nil {
		t.Errorf("another address: %v", err)
	}
	if _, err := f.Password(t.Context(), here, "ada", "pw"); err != nil {
		t.Errorf("a password known to be good: %v", err)
	}
	if _, err := f.Token(t.Context(), here, f.token(t, 0)); err != nil {
		t.Errorf("a good token: %v", err)
	}
	f.clock = f.clock.Add(RetryAfter)
	if _, err := f.Password(t.Context(), here, "ada", "no"); !errors.Is(err, ErrRefused) {
		t.Errorf("after waiting: %v", err)
	}
}

func TestTokensOpenUntilTheyExpireOrAreRevoked(t *testing.T) {
	f := newFixture(t)
	text := f.token(t, time.Hour)
	p, err := f.Token(t.Context(), here, text)
	if err != nil || p != (access.Principal{Name: "token:backup", May: access.Retrieve}) {
		t.Errorf("%+v, %v", p, err)
	}
	f.clock = noon.Add(time.Hour)
	if _, err := f.Token(t.Context(), here, text); !errors.Is(err, ErrRefused) {
		t.Errorf("expired: %v", err)
	}
	f.clock = noon
	if err := f.store.RevokeToken(t.Context(), "backup", noon); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Token(t.Context(), here, text); !errors.Is(err, ErrRefused) {
		t.Errorf("revoked: %v", err)
	}
}

func TestUseOfATokenIsWrittenAtMostOncePerInterval(t *testing.T) {
	f := newFixture(t)
	text := f.token(t, 0)
	for range 100 {
		if _, err := f.Token(t.Context(), here, text); err != nil {
			t.Fatal(err)
		}
		f.clock = f.clock.Add(UseInterval / 50)
	}
	if f.store.uses != 2 {
		t.Errorf("written %d times", f.store.uses)
	}
}

func TestLogNamesNeitherSecretsNorWhatWasTypedAsName(t *testing.T) {
	f := newFixture(t)
	_, _ = f.Password(t.Context(), here, "hunter2", "hunter3")
	_, _ = f.Token(t.Context(), here, "pharos_hunter4")
	if log := f.log.String(); strings.Contains(log, "hunter") || strings.Count(log, "sign-in refused") != 2 || !strings.Contains(log, "192.0.2.1") {
		t.Errorf("log is %s", log)
	}
}

func TestLimiterRemembersABoundedNumberOfAddresses(t *testing.T) {
	l := newLimiter(time.Minute, 1, 3)
	addr := here
	for range 10 {
		l.failed(addr, noon)
		addr = addr.Next()
	}
	if len(l.byKey) != 3 || l.order.Len() != 3 {
		t.Errorf("%d and %d", len(l.byKey), l.order.Len())
	}
}

func TestLimiterCountsAnIPv6NetworkAsOneCaller(t *testing.T) {
	l := newLimiter(time.Minute, 1, 3)
	l.failed(netip.MustParseAddr("2001:db8::1"), noon)
	if !l.exhausted(netip.MustParseAddr("2001:db8::2"), noon) || l.exhausted(netip.MustParseAddr("2001:db8:0:1::1"), noon) {
		t.Error("not by /64")
	}
	l.failed(netip.MustParseAddr("::ffff:192.0.2.1"), noon)
	if !l.exhausted(here, noon) || l.exhausted(there, noon) {
		t.Error("IPv4 addresses mapped to IPv6 are not told apart as IPv4")
	}
}

func TestMiddlewareAnswers(t *testing.T) {
	f := newFixture(t)
	token := f.token(t, 0)
	h := f.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte(access.PrincipalOf(r.Context()).Name))
	}))
	basic := func(name, password string) string {
		r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
		r.SetBasicAuth(name, password)
		return r.Header.Get("Authorization")
	}
	for name, c := range map[string]struct {
		authorization string
		status        int
		body          string
	}{
		"nothing":        {"", 401, "Sign in"},
		"other scheme":   {"Digest x", 401, "Sign in"},
		"bad base64":     {"Basic ???", 401, "Sign in"},
		"wrong password": {basic("ada", "no"), 401, "Sign in"},
		"password":       {basic("ada", "pw"), 200, "user:ada"},
		"token":          {"bearer " + token, 200, "token:backup"},
		"wrong token":    {"Bearer " + token[:len(token)-1] + "!", 401, "Sign in"},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
			if c.authorization != "" {
				r.Header.Set("Authorization", c.authorization)
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if w.Code != c.status || !strings.Contains(w.Body.String(), c.body) {
				t.Errorf("%d %s", w.Code, w.Body)
			}
			if challenges := len(w.Header().Values("WWW-Authenticate")); (c.status == 401) != (challenges == 2) {
				t.Errorf("%d challenges", challenges)
			}
		})
	}
}

func TestForwardedAddressIsBelievedOnlyFromAProxy(t *testing.T) {
	f := newFixture(t, netip.MustParsePrefix("10.0.0.0/8"))
	for name, c := range map[string]struct{ peer, forwarded, want string }{
		"no proxy":           {"192.0.2.9:1", "192.0.2.1", "192.0.2.9"},
		"proxy":              {"10.0.0.1:1", "192.0.2.1", "192.0.2.1"},
		"two proxies":        {"10.0.0.1:1", "192.0.2.1, 10.0.0.2", "192.0.2.1"},
		"made up":            {"10.0.0.1:1", "1.1.1.1, 192.0.2.1", "192.0.2.1"},
		"proxy without word": {"10.0.0.1:1", "", "10.0.0.1"},
		"nonsense":           {"10.0.0.1:1", "192.0.2.1, what", "10.0.0.1"},
		"IPv6":               {"[2001:db8::1]:1", "", "2001:db8::1"},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
			r.RemoteAddr = c.peer
			if c.forwarded != "" {
				r.Header.Set("X-Forwarded-For", c.forwarded)
			}
			if got := f.Address(r); got.String() != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

func TestRightsAreParsedAsTheyAreWritten(t *testing.T) {
	for a := range access.Everything + 1 {
		if got, err := ParseRights(a.String()); err != nil || got != a {
			t.Errorf("%q: %v, %v", a, got, err)
		}
	}
	if _, err := ParseRights("find,fly"); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), "fly") {
		t.Errorf("error is %v", err)
	}
}

func BenchmarkPasswordKnownToBeGood(b *testing.B) {
	file, err := OpenFile(filepath.Join(b.TempDir(), "identity.json"))
	if err != nil {
		b.Fatal(err)
	}
	a, err := NewAuthenticator(Options{Store: file, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	hash, _ := HashPassword("pw")
	if err := file.AddUser(b.Context(), User{Name: "ada", Password: hash}); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := a.Password(b.Context(), here, "ada", "pw"); err != nil {
			b.Fatal(err)
		}
	}
}
