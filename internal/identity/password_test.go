package identity

import (
	"errors"
	"strings"
	"testing"
)

func TestPasswordMatchesItsHashAndNoOther(t *testing.T) {
	hash, err := HashPassword("correct horse")
	if err != nil {
		t.Fatal(err)
	}
	for password, want := range map[string]bool{"correct horse": true, "correct horsf": false, "": false, strings.Repeat("x", 2000): false} {
		if got, err := verifyPassword(password, hash); err != nil || got != want {
			t.Errorf("%.20q: %v, %v", password, got, err)
		}
	}
}

// The vector was made with the argon2 command of Debian's package argon2 (0~20171227):
// printf password | argon2 somesaltsomesalt -id -k 19456 -t 2 -p 1 -l 32 -e
func TestPasswordMatchesAHashOfTheReferenceImplementation(t *testing.T) {
	ok, err := verifyPassword("password", referenceHash)
	if err != nil || !ok {
		t.Errorf("%v, %v", ok, err)
	}
}

func TestHashesOfOnePasswordDiffer(t *testing.T) {
	a, _ := HashPassword("x")
	b, _ := HashPassword("x")
	if a == b {
		t.Error("the salt is not random")
	}
}

func TestHashesOutOfRangeAreNotComputed(t *testing.T) {
	good := referenceHash
	for name, hash := range map[string]string{
		"empty":         "",
		"other method":  strings.Replace(good, "argon2id", "argon2i", 1),
		"other version": strings.Replace(good, "v=19", "v=16", 1),
		"much memory":   strings.Replace(good, "m=19456", "m=4194304", 1),
		"no passes":     strings.Replace(good, "t=2", "t=0", 1),
		"no threads":    strings.Replace(good, "p=1", "p=0", 1),
		"many passes":   strings.Replace(good, "t=2", "t=4000000000", 1),
		"no salt":       strings.Replace(good, "c29tZXNhbHRzb21lc2FsdA", "", 1),
		"bad base64":    good + "!",
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := verifyPassword("password", hash); !errors.Is(err, ErrInvalid) {
				t.Errorf("error is %v", err)
			}
		})
	}
}

func TestPasswordsThatCannotBeHashedAreInvalid(t *testing.T) {
	for _, p := range []string{"", strings.Repeat("x", 1025)} {
		if _, err := HashPassword(p); !errors.Is(err, ErrInvalid) {
			t.Errorf("%d bytes: %v", len(p), err)
		}
	}
}

func TestNewPasswordsDiffer(t *testing.T) {
	a, b := NewPassword(), NewPassword()
	if a == b || len(a) != passwordSize+3 {
		t.Errorf("%q, %q", a, b)
	}
}

func FuzzParseHash(f *testing.F) {
	f.Add(referenceHash)
	f.Add("$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHQ$AAAAAAAAAAAAAAAAAAAAAA")
	f.Fuzz(func(t *testing.T, hash string) {
		c, salt, sum, err := parseHash(hash)
		if err != nil {
			return
		}
		if !c.sane() || len(salt) > 64 || len(sum) > 64 {
			t.Errorf("accepted %+v with %d and %d bytes", c, len(salt), len(sum))
		}
	})
}

const referenceHash = "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$K13EBUiG7JV+9ZxztmHFTdb7J0WQsnj2V8bZaqyPptE"
