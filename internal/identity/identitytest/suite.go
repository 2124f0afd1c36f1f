// Package identitytest is the suite that every identity.Store passes.
package identitytest

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"pharos/internal/access"
	"pharos/internal/identity"
)

// Open opens the same empty-at-first store; each call stands for another process.
type Open func(t *testing.T) identity.Store

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// Run runs the suite. newStore returns an Open for a fresh store.
func Run(t *testing.T, newStore func(t *testing.T) Open) {
	for name, test := range map[string]func(*testing.T, Open){
		"an empty store knows nobody":                   emptyStore,
		"a user is kept as added":                       userIsKept,
		"a user's name is taken once":                   userNameTaken,
		"names outside the alphabet are invalid":        invalidNames,
		"a password is replaced":                        passwordReplaced,
		"a removed user is unknown":                     userRemoved,
		"a token is found by its digest":                tokenIsKept,
		"a token's name is never used again":            tokenNameTaken,
		"a revoked token stays listed and is not valid": tokenRevoked,
		"the latest use of a token is kept":             tokenUse,
		"one process sees the changes of another":       twoProcesses,
		"changes at the same time all take effect":      concurrentChanges,
	} {
		t.Run(name, func(t *testing.T) { test(t, newStore(t)) })
	}
}

func emptyStore(t *testing.T, open Open) {
	s := open(t)
	users, err := s.Users(t.Context())
	check(t, err)
	tokens, err := s.Tokens(t.Context())
	check(t, err)
	if len(users) != 0 || len(tokens) != 0 {
		t.Errorf("found %d users and %d tokens", len(users), len(tokens))
	}
	_, err = s.User(t.Context(), "ada")
	is(t, err, identity.ErrUnknown)
	_, err = s.Token(t.Context(), identity.DigestOf("x"))
	is(t, err, identity.ErrUnknown)
	is(t, s.SetPassword(t.Context(), "ada", "h"), identity.ErrUnknown)
	is(t, s.RemoveUser(t.Context(), "ada"), identity.ErrUnknown)
	is(t, s.RevokeToken(t.Context(), "x", noon), identity.ErrUnknown)
	is(t, s.UseToken(t.Context(), identity.DigestOf("x"), noon), identity.ErrUnknown)
}

func userIsKept(t *testing.T, open Open) {
	s := open(t)
	want := identity.User{Name: "ada", Password: "$argon2id$x", May: access.Find | access.Delete, Created: noon}
	check(t, s.AddUser(t.Context(), want))
	check(t, s.AddUser(t.Context(), identity.User{Name: "Zoe"}))
	got, err := open(t).User(t.Context(), "ada")
	check(t, err)
	if got.Name != want.Name || got.Password != want.Password || got.May != want.May || !got.Created.Equal(want.Created) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	users, err := s.Users(t.Context())
	check(t, err)
	if len(users) != 2 || users[0].Name != "Zoe" || users[1].Name != "ada" {
		t.Errorf("users are %+v", users)
	}
}

func userNameTaken(t *testing.T, open Open) {
	s := open(t)
	check(t, s.AddUser(t.Context(), identity.User{Name: "ada", Password: "first"}))
	is(t, s.AddUser(t.Context(), identity.User{Name: "ada", Password: "second"}), identity.ErrExists)
	u, err := s.User(t.Context(), "ada")
	check(t, err)
	if u.Password != "first" {
		t.Errorf("password is %q", u.Password)
	}
}

func invalidNames(t *testing.T, open Open) {
	s := open(t)
	for _, name := range []string{"", "a b", "a:b", "a\nb", "ä", fmt.Sprintf("%065d", 0)} {
		is(t, s.AddUser(t.Context(), identity.User{Name: name}), identity.ErrInvalid)
		is(t, s.AddToken(t.Context(), identity.Token{Name: name}), identity.ErrInvalid)
	}
}

func passwordReplaced(t *testing.T, open Open) {
	s := open(t)
	check(t, s.AddUser(t.Context(), identity.User{Name: "ada", Password: "old", May: access.Find}))
	check(t, s.SetPassword(t.Context(), "ada", "new"))
	u, err := s.User(t.Context(), "ada")
	check(t, err)
	if u.Password != "new" || u.May != access.Find {
		t.Errorf("user is %+v", u)
	}
}

func userRemoved(t *testing.T, open Open) {
	s := open(t)
	check(t, s.AddUser(t.Context(), identity.User{Name: "ada"}))
	check(t, s.RemoveUser(t.Context(), "ada"))
	_, err := s.User(t.Context(), "ada")
	is(t, err, identity.ErrUnknown)
	check(t, s.AddUser(t.Context(), identity.User{Name: "ada"}))
}

func tokenIsKept(t *testing.T, open Open) {
	s := open(t)
	text, want := identity.NewToken("backup", access.Retrieve, noon, time.Hour)
	check(t, s.AddToken(t.Context(), want))
	got, err := open(t).Token(t.Context(), identity.DigestOf(text))
	check(t, err)
	if got.Name != "backup" || got.May != access.Retrieve || !got.Created.Equal(noon) ||
		!got.Expires.Equal(noon.Add(time.Hour)) || !got.Used.IsZero() || !got.Revoked.IsZero() || got.Digest != want.Digest {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if !got.Valid(noon) || got.Valid(noon.Add(time.Hour)) {
		t.Error("the token does not expire after an hour")
	}
}

func tokenNameTaken(t *testing.T, open Open) {
	s := open(t)
	_, first := identity.NewToken("backup", access.Find, noon, 0)
	_, second := identity.NewToken("backup", access.Find, noon, 0)
	check(t, s.AddToken(t.Context(), first))
	check(t, s.RevokeToken(t.Context(), "backup", noon))
	is(t, s.AddToken(t.Context(), second), identity.ErrExists)
}

func tokenRevoked(t *testing.T, open Open) {
	s := open(t)
	_, token := identity.NewToken("backup", access.Find, noon, 0)
	check(t, s.AddToken(t.Context(), token))
	check(t, s.RevokeToken(t.Context(), "backup", noon.Add(time.Hour)))
	check(t, s.RevokeToken(t.Context(), "backup", noon.Add(2*time.Hour)))
	tokens, err := s.Tokens(t.Context())
	check(t, err)
	if len(tokens) != 1 || tokens[0].Valid(noon) || !tokens[0].Revoked.Equal(noon.Add(time.Hour)) {
		t.Errorf("tokens are %+v", tokens)
	}
}

func tokenUse(t *testing.T, open Open) {
	s := open(t)
	_, token := identity.NewToken("backup", access.Find, noon, 0)
	check(t, s.AddToken(t.Context(), token))
	for _, at := range []time.Time{noon, noon.Add(2 * time.Hour), noon.Add(time.Hour)} {
		check(t, s.UseToken(t.Context(), token.Digest, at))
	}
	got, err := s.Token(t.Context(), token.Digest)
	check(t, err)
	if !got.Used.Equal(noon.Add(2 * time.Hour)) {
		t.Errorf("used %v", got.Used)
	}
}

func twoProcesses(t *testing.T, open Open) {
	one, two := open(t), open(t)
	for i := range 5 {
		name := fmt.Sprintf("user%d", i)
		check(t, one.AddUser(t.Context(), identity.User{Name: name}))
		if _, err := two.User(t.Context(), name); err != nil {
			t.Fatalf("%s added by one process is not seen by the other: %v", name, err)
		}
		one, two = two, one
	}
	check(t, one.RemoveUser(t.Context(), "user3"))
	_, err := two.User(t.Context(), "user3")
	is(t, err, identity.ErrUnknown)
}

func concurrentChanges(t *testing.T, open Open) {
	stores := []identity.Store{open(t), open(t)}
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			if err := stores[i%2].AddUser(t.Context(), identity.User{Name: fmt.Sprintf("user%d", i)}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	users, err := open(t).Users(t.Context())
	check(t, err)
	if len(users) != 20 {
		t.Errorf("%d of 20 users are there", len(users))
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func is(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("error is %v, want %v", err, want)
	}
}
