package fileblob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"pharos/internal/blob"
)

const (
	// chunkSize is the unit of buffering: one chunk holds a small instance, a CT
	// slice takes nine.
	chunkSize = 64 << 10

	// readSize is the unit in which WriteTo reads.
	readSize = 256 << 10
)

// Store is a log of blobs in a directory. It implements [blob.Store]; keys sort in
// the exact order of the commits.
type Store struct {
	dir      string
	opts     Options
	lock     *os.File
	segments *cache

	mu     sync.Mutex // serialises appending
	active *slot      // takes the records; nil after Close
	header [2 * headerSize]byte
	iov    [][]byte
	first  uint32        // segment at Open; only later ones can hold anything
	number atomic.Uint32 // of the active segment

	check  checkpointFile
	chunks sync.Pool // *[chunkSize]byte
	blocks sync.Pool // *[readSize]byte
}

var _ blob.Store = (*Store)(nil)

// Open opens the store in a directory, which is created when there is none. After a
// crash it first repairs the end of the log. Only one process can have a directory
// open; the error for the second one says so.
func Open(dir string, opts Options) (*Store, error) {
	return open(dir, opts, openFile)
}

func open(dir string, opts Options, opener opener) (*Store, error) {
	opts, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	for _, d := range []string{"segments", filepath.Join("large", "new")} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o700); err != nil {
			return nil, wrap("open", err)
		}
	}
	lock, err := lockDir(dir)
	if err != nil {
		return nil, err
	}
	s := &Store{
		dir: dir, opts: opts, lock: lock,
		segments: &cache{dir: dir, open: opener, limit: opts.OpenSegments, slots: map[uint32]*slot{}},
		chunks:   sync.Pool{New: func() any { return new([chunkSize]byte) }},
		blocks:   sync.Pool{New: func() any { return new([readSize]byte) }},
	}
	if err := s.recover(); err != nil {
		s.segments.close()
		if s.check.file != nil {
			closeQuietly(s.check.file)
		}
		closeQuietly(lock)
		return nil, wrap("open "+dir, err)
	}
	return s, nil
}

// Close makes the log clean, so that the next Open has nothing to repair, and
// gives the directory to other processes. Calls that are under way should have
// ended. Readers that are open may be read to their end; writers that are not
// committed fail.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.active == nil {
		return nil
	}
	err := s.active.settle()
	if err == nil {
		err = s.check.move(s.active.segment, true)
	}
	s.segments.release(s.active)
	s.active = nil
	s.segments.close()
	return wrap("close", errors.Join(err, s.check.file.Close(), s.lock.Close()))
}

// find acquires the segment of a key and reads the record. The record's bytes stay
// untouched until leave.
func (s *Store) find(k blob.Key) (*slot, record, error) {
	return s.findBefore(k, 0, 0)
}

// findBefore is find for those who are going to read n bytes of the blob from an
// offset on, or to its end if n < 0.
func (s *Store) findBefore(k blob.Key, from, n int64) (*slot, record, error) {
	number, off, ok := parseKey(k)
	if !ok {
		return nil, record{}, blob.ErrNotExist
	}
	g, err := s.segments.acquire(number)
	if err != nil {
		return nil, record{}, err
	}
	g.enter(off)
	r, err := g.recordBefore(off, from, n)
	switch {
	case err != nil:
	case r.state == stateDead:
		err = blob.ErrNotExist
	case r.state == stateDamaged:
		err = blob.ErrCorrupt
	}
	if err != nil {
		s.leave(g, off)
		return nil, record{}, err
	}
	return g, r, nil
}

func (s *Store) leave(g *slot, off int64) {
	g.leave(off)
	s.segments.release(g)
}

// Open implements [blob.Store]. It reads the record's header and then the range,
// which a cold disk fetches together, without a look at the checksum of the whole. The reader implements io.WriterTo.
func (s *Store) Open(ctx context.Context, k blob.Key, off, n int64) (io.ReadCloser, error) {
	if err := ctx.Err(); err != nil {
		return nil, wrap("open", err)
	}
	if off < 0 {
		return nil, fmt.Errorf("fileblob: open %q: negative offset %d", k, off)
	}
	g, r, err := s.findBefore(k, off, n)
	if err != nil {
		return nil, wrap(fmt.Sprintf("open %q", k), err)
	}
	off = min(off, r.size)
	if n < 0 || n > r.size-off {
		n = r.size - off
	}
	rc, err := s.read(g, r, off, n)
	if err != nil {
		return nil, wrap(fmt.Sprintf("open %q", k), err)
	}
	return rc, nil
}

// Stat implements [blob.Store].
func (s *Store) Stat(ctx context.Context, k blob.Key) (blob.Info, error) {
	if err := ctx.Err(); err != nil {
		return blob.Info{}, wrap("stat", err)
	}
	g, r, err := s.find(k)
	if err != nil {
		return blob.Info{}, wrap(fmt.Sprintf("stat %q", k), err)
	}
	defer s.leave(g, r.offset)
	return r.info(g.number), nil
}

// List implements [blob.Store]. It reads one header per record and no payload.
func (s *Store) List(ctx context.Context, after blob.Key) iter.Seq2[blob.Info, error] {
	return func(yield func(blob.Info, error) bool) {
		for number := s.firstAfter(after); number <= s.number.Load(); number++ {
			for info, err := range s.listSegment(ctx, number, after) {
				if !yield(info, wrap("list", err)) || err != nil {
					return
				}
			}
		}
	}
}

// firstAfter is the first segment that can hold keys after the given one, which
// need not be a key that the store gave out.
func (s *Store) firstAfter(after blob.Key) uint32 {
	if number, _, ok := parseKey(after); ok {
		return max(number, s.first)
	}
	return s.first
}

func (s *Store) listSegment(ctx context.Context, number uint32, after blob.Key) iter.Seq2[blob.Info, error] {
	return func(yield func(blob.Info, error) bool) {
		g, err := s.segments.acquire(number)
		if errors.Is(err, blob.ErrNotExist) {
			return // given back
		}
		if err != nil {
			yield(blob.Info{}, err)
			return
		}
		defer s.segments.release(g)
		from := int64(headerSize)
		if n, off, ok := parseKey(after); ok && n == number {
			from = off
		}
		for r, err := range g.walk(from, g.durable.Load()) {
			if err == nil {
				err = ctx.Err()
			}
			if err != nil {
				yield(blob.Info{}, err)
				return
			}
			info := r.info(number)
			if r.listed() && info.Key > after && !yield(info, nil) {
				return
			}
		}
	}
}
