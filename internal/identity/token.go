package identity

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"strings"
	"time"

	"pharos/internal/access"
)

const (
	// TokenPrefix begins every token, so that scanners of repositories and logs can
	// recognise one that leaked.
	TokenPrefix = "pharos_"

	tokenBytes = 32
)

// NewToken makes a token and its text, which is shown once and kept by nobody. A zero
// lifetime means that it never expires.
func NewToken(name string, may access.Action, now time.Time, lifetime time.Duration) (text string, t Token) {
	raw := make([]byte, tokenBytes)
	_, _ = rand.Read(raw) // never fails
	text = TokenPrefix + base64.RawURLEncoding.EncodeToString(raw)
	t = Token{Name: name, Digest: DigestOf(text), May: may, Created: now}
	if lifetime > 0 {
		t.Expires = now.Add(lifetime)
	}
	return text, t
}

// DigestOf returns what is kept of a token.
func DigestOf(text string) Digest { return sha256.Sum256([]byte(text)) }

func looksLikeToken(text string) bool {
	return strings.HasPrefix(text, TokenPrefix) &&
		len(text) == len(TokenPrefix)+base64.RawURLEncoding.EncodedLen(tokenBytes)
}
