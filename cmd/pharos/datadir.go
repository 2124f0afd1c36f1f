package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"pharos/internal/identity"
)

// dataDir is the data directory. Files in it:
//
//	pharos.lock           who uses it
//	identity.json         accounts and tokens
//	index.db              the index, unless another database is configured
//	blobs/                the images, unless volumes are configured
//	imports/              what unfinished imports have done
//	spool/                bulk data of requests under way
//	first-password        the administrator's, until it is changed
type dataDir string

func (d dataDir) file(name string) string { return filepath.Join(string(d), name) }

// make creates the directory. Nobody else may look into it: it holds patient data.
func (d dataDir) make() error {
	if err := os.MkdirAll(string(d), 0o700); err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	return nil
}

// spool makes the directory for bulk data of requests under way, without what a crash
// left in it. It is in the data directory since it holds patient data.
func (d dataDir) spool() (string, error) {
	path := d.file("spool")
	if err := os.RemoveAll(path); err != nil {
		return "", fmt.Errorf("data directory: %w", err)
	}
	if err := os.Mkdir(path, 0o700); err != nil {
		return "", fmt.Errorf("data directory: %w", err)
	}
	return path, nil
}

// errInUse says that another process uses the data directory.
var errInUse = errors.New("data directory is in use")

// lock takes the directory for this process, without waiting.
func (d dataDir) lock() (unlock func(), err error) {
	if err := d.make(); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(d.file("pharos.lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		holder := make([]byte, 20)
		n, _ := f.Read(holder) // an unknown holder is named so
		_ = f.Close()          // nothing was written
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("data directory: lock: %w", err)
		}
		return nil, fmt.Errorf("%w: %s, by process %s", errInUse, string(d), strings.TrimSpace(string(holder[:n])))
	}
	err = errors.Join(f.Truncate(0), writeAt(f, strconv.Itoa(os.Getpid())+"\n"))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("data directory: lock: %w", err), f.Close())
	}
	return func() { _ = f.Close() }, nil // closing gives up the lock
}

func writeAt(f *os.File, text string) error {
	_, err := f.WriteAt([]byte(text), 0)
	return err
}

// accounts opens the store of users and tokens.
func (d dataDir) accounts() (*identity.FileStore, error) {
	if err := d.make(); err != nil {
		return nil, err
	}
	return identity.OpenFile(d.file("identity.json"))
}
