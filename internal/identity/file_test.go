package identity_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pharos/internal/access"
	"pharos/internal/identity"
	"pharos/internal/identity/identitytest"
)

func openFile(t *testing.T, path string) *identity.FileStore {
	t.Helper()
	s, err := identity.OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestFileStorePassesTheSuite(t *testing.T) {
	identitytest.Run(t, func(t *testing.T) identitytest.Open {
		path := filepath.Join(t.TempDir(), "identity.json")
		return func(t *testing.T) identity.Store { return openFile(t, path) }
	})
}

func TestFileIsReadableByItsOwnerOnly(t *testing.T) {
	path := filepath.Join(t.TempDir(), "identity.json")
	if err := openFile(t, path).AddUser(t.Context(), identity.User{Name: "ada"}); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if mode := info.Mode().Perm(); mode != 0o600 {
		t.Errorf("mode is %o", mode)
	}
}

func TestFileLeavesNoTemporaryFilesBehind(t *testing.T) {
	dir := t.TempDir()
	s := openFile(t, filepath.Join(dir, "identity.json"))
	for _, name := range []string{"ada", "bob"} {
		if err := s.AddUser(t.Context(), identity.User{Name: name}); err != nil {
			t.Fatal(err)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Name() != "identity.json" && e.Name() != "identity.json.lock" {
			t.Errorf("%s is left", e.Name())
		}
	}
}

func TestFileThatIsNotUnderstoodIsNotOverwritten(t *testing.T) {
	for name, content := range map[string]string{
		"newer version": `{"version":2,"users":[],"tokens":[]}`,
		"unknown field": `{"version":1,"users":[],"tokens":[],"more":1}`,
		"unknown right": `{"version":1,"users":[{"name":"ada","may":"fly"}],"tokens":[]}`,
		"broken digest": `{"version":1,"users":[],"tokens":[{"name":"x","sha256":"00"}]}`,
		"cut":           `{"version":1,"us`,
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "identity.json")
			s := openFile(t, path)
			if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := s.AddUser(t.Context(), identity.User{Name: "bob", May: access.Find}); err == nil {
				t.Error("a user was added")
			}
			if got, _ := os.ReadFile(path); string(got) != content {
				t.Errorf("the file is now %q", got)
			}
			if _, err := identity.OpenFile(path); err == nil || !strings.Contains(err.Error(), path) {
				t.Errorf("opening it: %v", err)
			}
		})
	}
}
