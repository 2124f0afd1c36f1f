package identity

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"
)

// hashCost are the parameters of argon2id (RFC 9106). They are written into each hash,
// so they may be raised without making old ones invalid.
type hashCost struct {
	memory  uint32 // KiB
	passes  uint32
	threads uint8
}

// currentCost is what OWASP recommends for a server with little memory: 19 MiB, two
// passes, one thread. It takes about 25 ms.
var currentCost = hashCost{memory: 19 << 10, passes: 2, threads: 1}

// maxCost bounds what a hash in the store may cost, should the store be tampered with.
var maxCost = hashCost{memory: 256 << 10, passes: 10, threads: 16}

const (
	saltSize      = 16
	hashSize      = 32
	maxPassword   = 1024                               // bytes; hashing more only serves who wants to keep us busy
	passwordChars = "abcdefghijkmnpqrstuvwxyz23456789" // 32 of them, none easily mistaken
	passwordSize  = 20                                 // characters of 5 bits each
)

// HashPassword returns the argon2id hash of a password with a fresh salt, in the PHC
// string format: $argon2id$v=19$m=…,t=…,p=…$salt$hash. ErrInvalid for an empty one and
// for more than 1024 bytes.
func HashPassword(password string) (string, error) {
	if password == "" || len(password) > maxPassword {
		return "", fmt.Errorf("a password of %d bytes is %w", len(password), ErrInvalid)
	}
	salt := make([]byte, saltSize)
	_, _ = rand.Read(salt) // never fails: see its documentation
	c := currentCost
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, c.memory, c.passes, c.threads,
		b64.EncodeToString(salt), b64.EncodeToString(c.derive(password, salt, hashSize))), nil
}

// NewPassword returns a random password of 100 bits that is easy to type.
func NewPassword() string {
	raw := make([]byte, passwordSize)
	_, _ = rand.Read(raw) // never fails
	var b strings.Builder
	for i, r := range raw {
		if i > 0 && i%5 == 0 {
			b.WriteByte('-')
		}
		b.WriteByte(passwordChars[r%32])
	}
	return b.String()
}

func (c hashCost) derive(password string, salt []byte, size uint32) []byte {
	return argon2.IDKey([]byte(password), salt, c.passes, c.memory, c.threads, size)
}

// verifyPassword compares in constant time. ErrInvalid says that the hash itself can't
// be used.
func verifyPassword(password, hash string) (bool, error) {
	c, salt, want, err := parseHash(hash)
	if err != nil {
		return false, err
	}
	if len(password) > maxPassword {
		return false, nil
	}
	got := c.derive(password, salt, uint32(len(want)))
	return subtle.ConstantTimeCompare(got, want) == 1, nil
}

func parseHash(hash string) (c hashCost, salt, sum []byte, err error) {
	fields := strings.Split(hash, "$")
	if len(fields) != 6 || fields[0] != "" || fields[1] != "argon2id" || fields[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return c, nil, nil, fmt.Errorf("password hash is %w: no argon2id of version %d", ErrInvalid, argon2.Version)
	}
	if _, err := fmt.Sscanf(fields[3], "m=%d,t=%d,p=%d", &c.memory, &c.passes, &c.threads); err != nil {
		return c, nil, nil, fmt.Errorf("password hash is %w: parameters", ErrInvalid)
	}
	if !c.sane() {
		return c, nil, nil, fmt.Errorf("password hash is %w: parameters out of range", ErrInvalid)
	}
	salt, errSalt := base64.RawStdEncoding.DecodeString(fields[4])
	sum, errSum := base64.RawStdEncoding.DecodeString(fields[5])
	if errSalt != nil || errSum != nil || len(salt) < 8 || len(salt) > 64 || len(sum) < 16 || len(sum) > 64 {
		return c, nil, nil, fmt.Errorf("password hash is %w: salt or sum", ErrInvalid)
	}
	return c, salt, sum, nil
}

func (c hashCost) sane() bool {
	return c.passes >= 1 && c.passes <= maxCost.passes &&
		c.threads >= 1 && c.threads <= maxCost.threads &&
		c.memory >= 8*uint32(c.threads) && c.memory <= maxCost.memory
}
