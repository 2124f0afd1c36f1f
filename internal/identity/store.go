package identity

import (
	"context"
	"crypto/sha256"
	"errors"
	"time"

	"pharos/internal/access"
)

var (
	// ErrUnknown says that there is no such user or token.
	ErrUnknown = errors.New("no such user or token")
	// ErrExists says that the name is taken.
	ErrExists = errors.New("name is taken")
	// ErrRefused says that credentials are wrong, expired or revoked. It never tells
	// which.
	ErrRefused = errors.New("credentials refused")
	// ErrInvalid says that a name, a right or a hash is not well-formed.
	ErrInvalid = errors.New("not valid")
)

// User is a local account.
type User struct {
	Name     string
	Password string        // argon2id in the PHC string format; see HashPassword
	May      access.Action // its rights
	Created  time.Time
}

// Principal is how the user appears to package access.
func (u User) Principal() access.Principal {
	return access.Principal{Name: "user:" + u.Name, May: u.May}
}

// Digest is the SHA-256 of a token's text. Only it is kept: the text has 256 random
// bits, so a slow hash would add nothing.
type Digest [sha256.Size]byte

// Token lets a program in without a password.
type Token struct {
	Name    string
	Digest  Digest
	May     access.Action
	Created time.Time
	Expires time.Time // zero: never
	Used    time.Time // the last use, to within UseInterval; zero: never used
	Revoked time.Time // zero: it is valid
}

// Principal is how the token appears to package access.
func (t Token) Principal() access.Principal {
	return access.Principal{Name: "token:" + t.Name, May: t.May}
}

// Valid reports whether the token opens anything at the time.
func (t Token) Valid(now time.Time) bool {
	return t.Revoked.IsZero() && (t.Expires.IsZero() || now.Before(t.Expires))
}

// Store keeps users and tokens. Methods are safe for concurrent use, and what one
// process changed is seen by every other at once. Changes are durable when a method
// returns.
type Store interface {
	// User returns the account of a name; ErrUnknown.
	User(ctx context.Context, name string) (User, error)
	// Users returns all accounts in the order of their names.
	Users(ctx context.Context) ([]User, error)
	// AddUser adds an account; ErrExists, and ErrInvalid for a name that ValidName
	// rejects.
	AddUser(ctx context.Context, u User) error
	// SetPassword replaces the password's hash; ErrUnknown.
	SetPassword(ctx context.Context, name, hash string) error
	// RemoveUser removes an account; ErrUnknown.
	RemoveUser(ctx context.Context, name string) error

	// Token returns the token of a digest, valid or not; ErrUnknown.
	Token(ctx context.Context, d Digest) (Token, error)
	// Tokens returns all tokens, revoked ones included, in the order of their names.
	Tokens(ctx context.Context) ([]Token, error)
	// AddToken adds a token; ErrExists when the name was ever used, so that the audit
	// trail stays unambiguous; ErrInvalid as for AddUser.
	AddToken(ctx context.Context, t Token) error
	// RevokeToken makes a token worthless for good; ErrUnknown. The time of a token that
	// is revoked already does not change.
	RevokeToken(ctx context.Context, name string, at time.Time) error
	// UseToken notes that a token was used; ErrUnknown. An earlier time than the one
	// noted changes nothing.
	UseToken(ctx context.Context, d Digest, at time.Time) error
}

const maxName = 64

// ValidName reports whether a user or token may have this name: 1 to 64 ASCII letters,
// digits and ". _ - @", so that it can stand in a log line, a command and a Basic
// credential without quoting.
func ValidName(name string) bool {
	if name == "" || len(name) > maxName {
		return false
	}
	for i := range len(name) {
		switch c := name[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case c == '.', c == '_', c == '-', c == '@':
		default:
			return false
		}
	}
	return true
}
