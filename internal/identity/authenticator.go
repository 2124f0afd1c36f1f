package identity

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	"pharos/internal/access"
)

var (
	// ErrTooMany says that an address failed too often and has to wait.
	ErrTooMany = errors.New("too many failed attempts")
	// ErrBusy says that too many passwords are waiting to be verified.
	ErrBusy = errors.New("too many sign-ins at once")
)

const (
	// UseInterval is how exact Token.Used is: it is written at most so often.
	UseInterval = 5 * time.Minute

	// RetryAfter is how long an address that failed too often waits for one attempt.
	RetryAfter = 6 * time.Second

	failureBurst   = 10               // failures in a row before an address has to wait
	knownAddresses = 10_000           // addresses whose failures are remembered
	goodLifetime   = 2 * time.Minute  // how long a verified password needs no hash
	goodSize       = 1000             // verified passwords remembered
	hashWait       = 10 * time.Second // how long a password waits for its turn to be hashed
	hashesAtOnce   = 2                // 19 MiB and one core each
)

// Options configure an Authenticator. Log and Store are required.
type Options struct {
	Store Store
	Log   *slog.Logger
	Now   func() time.Time // default time.Now

	// Proxies are the addresses whose X-Forwarded-For is believed.
	Proxies []netip.Prefix
}

// Authenticator verifies passwords and tokens. It is safe for concurrent use.
type Authenticator struct {
	store    Store
	log      *slog.Logger
	now      func() time.Time
	proxies  []netip.Prefix
	good     *cache
	failures *limiter
	hashing  chan struct{}
	decoy    string // hash verified for users who don't exist, so that they take as long
}

// NewAuthenticator returns an authenticator over the accounts and tokens of a store.
func NewAuthenticator(o Options) (*Authenticator, error) {
	decoy, err := HashPassword(NewPassword())
	if err != nil {
		return nil, err
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Authenticator{
		store: o.Store, log: o.Log, now: o.Now, proxies: o.Proxies,
		good:     newCache(goodLifetime, goodSize),
		failures: newLimiter(RetryAfter, failureBurst, knownAddresses),
		hashing:  make(chan struct{}, hashesAtOnce),
		decoy:    decoy,
	}, nil
}

// Password returns the principal of a user name and password that came from an
// address. ErrRefused, ErrTooMany, ErrBusy; anything else means that the accounts could
// not be read.
func (a *Authenticator) Password(ctx context.Context, from netip.Addr, name, password string) (access.Principal, error) {
	user, err := a.store.User(ctx, name)
	known := err == nil
	if err != nil && !errors.Is(err, ErrUnknown) {
		return access.Principal{}, err
	}
	hash := user.Password
	if !known {
		hash = a.decoy
	}
	if err := a.verify(ctx, from, name, password, hash); err != nil {
		return access.Principal{}, err
	}
	if !known {
		return access.Principal{}, a.refuse(ctx, from, "password")
	}
	return user.Principal(), nil
}

// verify compares the password with the hash, unless it did so a short time ago.
func (a *Authenticator) verify(ctx context.Context, from netip.Addr, name, password, hash string) error {
	key := a.good.key(name, password)
	if a.good.holds(key, hash, a.now()) {
		return nil
	}
	if a.failures.exhausted(from, a.now()) {
		return ErrTooMany
	}
	leave, err := a.enterHashing(ctx)
	if err != nil {
		return err
	}
	defer leave()
	if a.good.holds(key, hash, a.now()) { // found good by a request that came at the same time
		return nil
	}
	matches, err := verifyPassword(password, hash)
	if err != nil {
		return fmt.Errorf("user %s: %w", name, err)
	}
	if !matches {
		return a.refuse(ctx, from, "password")
	}
	a.good.add(key, hash, a.now())
	return nil
}

func (a *Authenticator) enterHashing(ctx context.Context) (leave func(), err error) {
	wait := time.NewTimer(hashWait)
	defer wait.Stop()
	select {
	case a.hashing <- struct{}{}:
		return func() { <-a.hashing }, nil
	case <-wait.C:
		return nil, ErrBusy
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Token returns the principal of a bearer token that came from an address. ErrRefused,
// ErrTooMany; anything else means that the tokens could not be read.
func (a *Authenticator) Token(ctx context.Context, from netip.Addr, text string) (access.Principal, error) {
	token, err := a.lookUp(ctx, text)
	switch {
	case errors.Is(err, ErrUnknown):
		if a.failures.exhausted(from, a.now()) {
			return access.Principal{}, ErrTooMany
		}
		return access.Principal{}, a.refuse(ctx, from, "token")
	case err != nil:
		return access.Principal{}, err
	case !token.Valid(a.now()):
		return access.Principal{}, a.refuse(ctx, from, "token", slog.String("token", token.Name))
	}
	a.noteUse(ctx, token)
	return token.Principal(), nil
}

func (a *Authenticator) lookUp(ctx context.Context, text string) (Token, error) {
	if !looksLikeToken(text) {
		return Token{}, ErrUnknown
	}
	// The look-up is by SHA-256: what its time tells of the digest does not help to
	// find a text that has it.
	return a.store.Token(ctx, DigestOf(text))
}

// noteUse is not worth refusing a request for.
func (a *Authenticator) noteUse(ctx context.Context, t Token) {
	now := a.now()
	if now.Sub(t.Used) < UseInterval {
		return
	}
	if err := a.store.UseToken(ctx, t.Digest, now); err != nil {
		a.log.LogAttrs(ctx, slog.LevelError, "use of a token was not noted",
			slog.String("token", t.Name), slog.Any("error", err))
	}
}

// refuse counts and logs a failure. Neither name nor secret is logged: people type
// their password into the wrong field.
func (a *Authenticator) refuse(ctx context.Context, from netip.Addr, kind string, more ...slog.Attr) error {
	a.failures.failed(from, a.now())
	attrs := append([]slog.Attr{slog.String("kind", kind), slog.String("from", from.String())}, more...)
	a.log.LogAttrs(ctx, slog.LevelWarn, "sign-in refused", attrs...)
	return ErrRefused
}
