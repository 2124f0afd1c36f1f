package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"pharos/internal/access"
	"pharos/internal/archive"
	"pharos/internal/archive/local"
	"pharos/internal/blob"
	"pharos/internal/blob/fileblob"
	"pharos/internal/index"
	"pharos/internal/sqldb"
)

// storage is the archive with what it stands on. It holds the lock of the data
// directory until close.
type storage struct {
	*local.Archive
	index   index.Index
	volumes map[string]blob.Store
	closers []func(context.Context) error // in the order of opening
}

// openStorage locks the data directory and opens what is in it. progress, if not nil,
// is told of recovery.
func openStorage(ctx context.Context, c *Config, log *slog.Logger, progress func(seen, adopted int)) (_ *storage, err error) {
	s, err := openParts(ctx, c)
	if err != nil {
		return nil, err
	}
	s.Archive, err = local.Open(ctx, local.Options{
		Index: s.index, Volumes: s.volumes, Receives: c.receives(), Policy: c.policy(), Keys: c.keys(), Log: log, Progress: progress,
	})
	if err != nil {
		return nil, errors.Join(err, s.close(context.WithoutCancel(ctx)))
	}
	s.onClose(s.Archive.Close)
	return s, nil
}

// openParts locks the data directory and opens volumes and index, but not the archive
// that is made of them.
func openParts(ctx context.Context, c *Config) (_ *storage, err error) {
	s := &storage{volumes: make(map[string]blob.Store)}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close(context.WithoutCancel(ctx)))
		}
	}()
	unlock, err := dataDir(c.Data).lock()
	if err != nil {
		return nil, err
	}
	s.onClose(func(context.Context) error { unlock(); return nil })
	for _, v := range c.volumes() {
		if s.volumes[v.Name], err = s.openVolume(v); err != nil {
			return nil, fmt.Errorf("volume %s: %w", v.Name, err)
		}
	}
	if s.index, err = openIndex(ctx, c); err != nil {
		return nil, err
	}
	s.onClose(func(context.Context) error { return s.index.Close() })
	return s, nil
}

func (s *storage) onClose(f func(context.Context) error) { s.closers = append(s.closers, f) }

// close makes everything durable and gives the lock up, the last opened first.
func (s *storage) close(ctx context.Context) error {
	var err error
	for i := len(s.closers) - 1; i >= 0; i-- {
		err = errors.Join(err, s.closers[i](ctx))
	}
	s.closers = nil
	return err
}

// openVolume is where a URL becomes a blob.Store.
func (s *storage) openVolume(v Volume) (blob.Store, error) {
	switch scheme, rest, _ := strings.Cut(v.URL, ":"); scheme {
	case "file":
		store, err := fileblob.Open(rest, fileblob.Options{})
		if err != nil {
			return nil, err
		}
		s.onClose(func(context.Context) error { return io.Closer(store).Close() })
		return store, nil
	default:
		return nil, fmt.Errorf("%s: there are no volumes of this kind", scheme)
	}
}

// openIndex is where a URL becomes an index.Index.
func openIndex(ctx context.Context, c *Config) (index.Index, error) {
	text, err := c.databaseURL()
	if err != nil {
		return nil, err
	}
	options := sqldb.Options{Keys: c.keys()}
	if path, ok := strings.CutPrefix(text, "sqlite:"); ok {
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return nil, fmt.Errorf("index: %w", err)
		}
		return sqldb.OpenSQLite(path, options)
	}
	db, err := sqldb.OpenPostgres(ctx, text, options)
	if err != nil {
		return nil, fmt.Errorf("index: %w", withoutPassword(err, text))
	}
	return db, nil
}

// withoutPassword keeps the password in a database URL out of an error's text.
func withoutPassword(err error, text string) error {
	u, parseErr := url.Parse(text)
	if parseErr != nil {
		return errors.New("the database can't be opened, and its URL is not well-formed")
	}
	password, _ := u.User.Password()
	if password == "" || !strings.Contains(err.Error(), password) {
		return err
	}
	return errors.New(strings.ReplaceAll(err.Error(), password, "xxxxx"))
}

// guarded puts the gate, and the counting before it, in front of an archive.
func guarded(a archive.Archive, m *metrics, via string, log *slog.Logger) archive.Archive {
	return m.meter(archive.Guard(a, access.ByRight{}, access.LogAuditor{Log: log}), via)
}
