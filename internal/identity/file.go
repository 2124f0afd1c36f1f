package identity

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"pharos/internal/access"
)

// FileStore is a Store in one file. Every change writes a new file and renames it over
// the old one, under a lock that other processes take too; every look-up checks whether
// the file was replaced meanwhile, which costs one stat.
type FileStore struct {
	path string

	mu    sync.Mutex
	stamp fs.FileInfo // of the file that state was read from; nil when there was none
	state state
}

var _ Store = (*FileStore)(nil)

// OpenFile opens the store in a file, which need not exist yet; its directory must.
func OpenFile(path string) (*FileStore, error) {
	s := &FileStore{path: path}
	_, err := s.current()
	return s, err
}

// state is the content of the file, never changed once it is read.
type state struct {
	users  map[string]User
	tokens map[Digest]Token
}

const fileVersion = 1

type fileForm struct {
	Version int         `json:"version"`
	Users   []userForm  `json:"users"`
	Tokens  []tokenForm `json:"tokens"`
}

type userForm struct {
	Name     string    `json:"name"`
	Password string    `json:"password"`
	May      string    `json:"may"`
	Created  time.Time `json:"created"`
}

type tokenForm struct {
	Name    string    `json:"name"`
	SHA256  string    `json:"sha256"`
	May     string    `json:"may"`
	Created time.Time `json:"created"`
	Expires time.Time `json:"expires,omitzero"`
	Used    time.Time `json:"used,omitzero"`
	Revoked time.Time `json:"revoked,omitzero"`
}

// User implements Store.
func (s *FileStore) User(_ context.Context, name string) (User, error) {
	st, err := s.current()
	if err != nil {
		return User{}, err
	}
	u, ok := st.users[name]
	if !ok {
		return User{}, fmt.Errorf("user: %w", ErrUnknown)
	}
	return u, nil
}

// Users implements Store.
func (s *FileStore) Users(context.Context) ([]User, error) {
	st, err := s.current()
	return st.sortedUsers(), err
}

// AddUser implements Store.
func (s *FileStore) AddUser(_ context.Context, u User) error {
	return s.change(func(st *state) error {
		if !ValidName(u.Name) {
			return fmt.Errorf("user name %q is %w", u.Name, ErrInvalid)
		}
		if _, ok := st.users[u.Name]; ok {
			return fmt.Errorf("user %s: %w", u.Name, ErrExists)
		}
		st.users[u.Name] = u
		return nil
	})
}

// SetPassword implements Store.
func (s *FileStore) SetPassword(_ context.Context, name, hash string) error {
	return s.change(func(st *state) error {
		u, ok := st.users[name]
		if !ok {
			return fmt.Errorf("user %s: %w", name, ErrUnknown)
		}
		u.Password = hash
		st.users[name] = u
		return nil
	})
}

// RemoveUser implements Store.
func (s *FileStore) RemoveUser(_ context.Context, name string) error {
	return s.change(func(st *state) error {
		if _, ok := st.users[name]; !ok {
			return fmt.Errorf("user %s: %w", name, ErrUnknown)
		}
		delete(st.users, name)
		return nil
	})
}

// Token implements Store.
func (s *FileStore) Token(_ context.Context, d Digest) (Token, error) {
	st, err := s.current()
	if err != nil {
		return Token{}, err
	}
	t, ok := st.tokens[d]
	if !ok {
		return Token{}, fmt.Errorf("token: %w", ErrUnknown)
	}
	return t, nil
}

// Tokens implements Store.
func (s *FileStore) Tokens(context.Context) ([]Token, error) {
	st, err := s.current()
	return st.sortedTokens(), err
}

// AddToken implements Store.
func (s *FileStore) AddToken(_ context.Context, t Token) error {
	return s.change(func(st *state) error {
		if !ValidName(t.Name) {
			return fmt.Errorf("token name %q is %w", t.Name, ErrInvalid)
		}
		if _, ok := st.named(t.Name); ok {
			return fmt.Errorf("token %s: %w", t.Name, ErrExists)
		}
		st.tokens[t.Digest] = t
		return nil
	})
}

// RevokeToken implements Store.
func (s *FileStore) RevokeToken(_ context.Context, name string, at time.Time) error {
	return s.change(func(st *state) error {
		t, ok := st.named(name)
		if !ok {
			return fmt.Errorf("token %s: %w", name, ErrUnknown)
		}
		if t.Revoked.IsZero() {
			t.Revoked = at
			st.tokens[t.Digest] = t
		}
		return nil
	})
}

// UseToken implements Store.
func (s *FileStore) UseToken(_ context.Context, d Digest, at time.Time) error {
	return s.change(func(st *state) error {
		t, ok := st.tokens[d]
		if !ok {
			return fmt.Errorf("token: %w", ErrUnknown)
		}
		if at.After(t.Used) {
			t.Used = at
			st.tokens[d] = t
		}
		return nil
	})
}

// current returns what the file says now.
func (s *FileStore) current() (state, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	info, err := os.Stat(s.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		s.stamp, s.state = nil, state{}
		return s.state, nil
	case err != nil:
		return state{}, fmt.Errorf("read accounts: %w", err)
	case s.stamp != nil && sameFile(s.stamp, info):
		return s.state, nil
	}
	return s.load()
}

func sameFile(a, b fs.FileInfo) bool {
	return os.SameFile(a, b) && a.ModTime().Equal(b.ModTime()) && a.Size() == b.Size()
}

// load reads the file; s.mu is held. The stamp comes from the open file, so that it
// belongs to what is read even if the file is replaced in between.
func (s *FileStore) load() (state, error) {
	f, err := os.Open(s.path)
	if err != nil {
		return state{}, fmt.Errorf("read accounts: %w", err)
	}
	defer func() { _ = f.Close() }() // it was only read
	info, err := f.Stat()
	if err != nil {
		return state{}, fmt.Errorf("read accounts: %w", err)
	}
	var form fileForm
	d := json.NewDecoder(f)
	d.DisallowUnknownFields()
	if err := d.Decode(&form); err != nil {
		return state{}, fmt.Errorf("read accounts: %s: %w", s.path, err)
	}
	st, err := form.state()
	if err != nil {
		return state{}, fmt.Errorf("read accounts: %s: %w", s.path, err)
	}
	s.stamp, s.state = info, st
	return st, nil
}

// change applies f to what the file says and writes the result.
func (s *FileStore) change(f func(*state) error) error {
	unlock, err := lockFile(s.path + ".lock")
	if err != nil {
		return fmt.Errorf("change accounts: %w", err)
	}
	defer unlock()
	st, err := s.current()
	if err != nil {
		return err
	}
	st = st.clone()
	if err := f(&st); err != nil {
		return err
	}
	text, err := json.MarshalIndent(st.form(), "", "  ")
	if err != nil {
		return fmt.Errorf("change accounts: %w", err)
	}
	if err := replaceFile(s.path, append(text, '\n')); err != nil {
		return fmt.Errorf("change accounts: %w", err)
	}
	return nil
}

// replaceFile makes the content durable under the name, or leaves the old one.
func replaceFile(path string, content []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }() // it is gone after the rename
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func (st state) clone() state {
	c := state{users: make(map[string]User, len(st.users)+1), tokens: make(map[Digest]Token, len(st.tokens)+1)}
	for k, v := range st.users {
		c.users[k] = v
	}
	for k, v := range st.tokens {
		c.tokens[k] = v
	}
	return c
}

func (st state) named(token string) (Token, bool) {
	for _, t := range st.tokens {
		if t.Name == token {
			return t, true
		}
	}
	return Token{}, false
}

func (st state) sortedUsers() []User {
	users := make([]User, 0, len(st.users))
	for _, u := range st.users {
		users = append(users, u)
	}
	slices.SortFunc(users, func(a, b User) int { return strings.Compare(a.Name, b.Name) })
	return users
}

func (st state) sortedTokens() []Token {
	tokens := make([]Token, 0, len(st.tokens))
	for _, t := range st.tokens {
		tokens = append(tokens, t)
	}
	slices.SortFunc(tokens, func(a, b Token) int {
		if c := strings.Compare(a.Name, b.Name); c != 0 {
			return c
		}
		return bytes.Compare(a.Digest[:], b.Digest[:])
	})
	return tokens
}

func (st state) form() fileForm {
	form := fileForm{Version: fileVersion, Users: []userForm{}, Tokens: []tokenForm{}}
	for _, u := range st.sortedUsers() {
		form.Users = append(form.Users, userForm{Name: u.Name, Password: u.Password, May: u.May.String(), Created: u.Created})
	}
	for _, t := range st.sortedTokens() {
		form.Tokens = append(form.Tokens, tokenForm{
			Name: t.Name, SHA256: hex.EncodeToString(t.Digest[:]), May: t.May.String(),
			Created: t.Created, Expires: t.Expires, Used: t.Used, Revoked: t.Revoked,
		})
	}
	return form
}

func (f fileForm) state() (state, error) {
	if f.Version != fileVersion {
		return state{}, fmt.Errorf("version %d is %w: this program knows version %d", f.Version, ErrInvalid, fileVersion)
	}
	st := state{users: make(map[string]User, len(f.Users)), tokens: make(map[Digest]Token, len(f.Tokens))}
	for _, u := range f.Users {
		may, err := parseKeptRights(u.Name, u.May)
		if err != nil {
			return state{}, err
		}
		st.users[u.Name] = User{Name: u.Name, Password: u.Password, May: may, Created: u.Created}
	}
	for _, t := range f.Tokens {
		may, err := parseKeptRights(t.Name, t.May)
		if err != nil {
			return state{}, err
		}
		digest, err := hex.DecodeString(t.SHA256)
		if err != nil || len(digest) != len(Digest{}) {
			return state{}, fmt.Errorf("token %s: digest is %w", t.Name, ErrInvalid)
		}
		st.tokens[Digest(digest)] = Token{
			Name: t.Name, Digest: Digest(digest), May: may,
			Created: t.Created, Expires: t.Expires, Used: t.Used, Revoked: t.Revoked,
		}
	}
	return st, nil
}

func parseKeptRights(name, text string) (access.Action, error) {
	may, err := ParseRights(text)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", name, err)
	}
	return may, nil
}
