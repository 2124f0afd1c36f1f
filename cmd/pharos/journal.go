package main

import (
	"bufio"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
)

// mark is by what a journal knows a file: a hash of path, size and time of change. A
// file that changed since is another one.
type mark [16]byte

func markOf(path string, info fs.FileInfo) (m mark) {
	if abs, err := filepath.Abs(path); err == nil {
		path = abs
	}
	h := sha256.New()
	var fixed [16]byte
	binary.LittleEndian.PutUint64(fixed[:8], uint64(info.Size()))
	binary.LittleEndian.PutUint64(fixed[8:], uint64(info.ModTime().UnixNano()))
	h.Write(fixed[:])
	h.Write([]byte(path))
	copy(m[:], h.Sum(nil))
	return m
}

// journal remembers which files an import has done, so that one that was interrupted
// goes on where it was. It is a file of marks. Losing the last of them costs reading
// these files again, and no more: the archive recognises the same bytes.
type journal struct {
	mu   sync.Mutex
	file *os.File
	w    *bufio.Writer
	done map[mark]struct{}
}

// flushEvery is how many marks are written at once.
const flushEvery = 64 * len(mark{})

// openJournal reads what is there. A mark that was cut off is dropped.
func openJournal(path string) (_ *journal, err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("journal: %w", err), f.Close())
		}
	}()
	j := &journal{file: f, w: bufio.NewWriterSize(f, flushEvery), done: make(map[mark]struct{})}
	r := bufio.NewReader(f)
	for {
		var m mark
		_, err := io.ReadFull(r, m[:])
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		j.done[m] = struct{}{}
	}
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	whole := info.Size() - info.Size()%int64(len(mark{}))
	if err := f.Truncate(whole); err != nil {
		return nil, err
	}
	_, err = f.Seek(whole, io.SeekStart)
	return j, err
}

func (j *journal) has(m mark) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	_, ok := j.done[m]
	return ok
}

// add notes a file that is done for good: its instance is on stable storage.
func (j *journal) add(m mark) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.done[m] = struct{}{}
	_, err := j.w.Write(m[:])
	return err
}

// close keeps the journal, unless everything is done: then there is nothing to go on
// with, and the next import of the same files shall look at them again.
func (j *journal) close(complete bool) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	err := errors.Join(j.w.Flush(), j.file.Close())
	if complete {
		err = errors.Join(err, os.Remove(j.file.Name()))
	}
	return err
}
