package fileblob

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"

	"pharos/internal/blob"
)

// cache keeps segments open between uses.
type cache struct {
	dir   string
	open  opener
	limit int // of idle segments

	mu    sync.Mutex
	slots map[uint32]*slot // nil after close
	clock uint64
}

// slot is a segment with its users.
type slot struct {
	*segment
	refs int
	used uint64 // clock of the last acquire
	gone bool   // no longer in the map: closed by its last user
}

func (c *cache) path(number uint32) string {
	return filepath.Join(c.dir, "segments", fmt.Sprintf("%08x.log", number))
}

func (c *cache) largeDir(number uint32) string {
	return filepath.Join(c.dir, "large", fmt.Sprintf("%08x", number))
}

// acquire opens a segment or shares the open one; release must follow. It is
// ErrNotExist when there is no such segment.
func (c *cache) acquire(number uint32) (*slot, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.slots == nil {
		return nil, errClosed
	}
	c.clock++
	if s := c.slots[number]; s != nil {
		s.refs++
		s.used = c.clock
		return s, nil
	}
	g, err := c.load(number)
	if err != nil {
		return nil, err
	}
	return c.put(g), nil
}

// add takes a segment that was opened elsewhere, acquired once.
func (c *cache) add(g *segment) *slot {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.put(g)
}

func (c *cache) put(g *segment) *slot {
	c.evict()
	s := &slot{segment: g, refs: 1, used: c.clock}
	c.slots[g.number] = s
	return s
}

// evict closes the segments that nobody used for the longest time, until there is
// room for one more.
func (c *cache) evict() {
	for len(c.slots) >= c.limit {
		var oldest *slot
		for _, s := range c.slots {
			if s.refs == 0 && (oldest == nil || s.used < oldest.used) {
				oldest = s
			}
		}
		if oldest == nil {
			return
		}
		c.drop(oldest)
	}
}

func (c *cache) release(s *slot) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s.refs--
	if s.refs == 0 && s.gone {
		closeQuietly(s.file)
	}
}

// forget makes the next acquire look at the file system again.
func (c *cache) forget(s *slot) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !s.gone {
		c.drop(s)
	}
}

// close closes what is idle at once and the rest when it is released.
func (c *cache) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.slots {
		c.drop(s)
	}
	c.slots = nil
}

func (c *cache) drop(s *slot) {
	s.gone = true
	delete(c.slots, s.number)
	if s.refs == 0 {
		closeQuietly(s.file)
	}
}

// closeQuietly closes a file whose bytes are durable or given up already: an error
// of close could tell nothing about them.
func closeQuietly(f interface{ Close() error }) { _ = f.Close() }

// unidentified is the id of a segment in which no header is left: it has no
// records.
const unidentified = 0

// load opens a segment that has a successor, or whose recovery is over.
func (c *cache) load(number uint32) (*segment, error) {
	f, err := c.open(c.path(number), os.O_RDWR)
	if errors.Is(err, unix.EROFS) {
		f, err = c.openReadOnly(c.path(number))
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("segment %08x: %w", number, blob.ErrNotExist)
	}
	if err != nil {
		return nil, err
	}
	g, err := c.identify(number, f)
	if err != nil {
		closeQuietly(f)
		return nil, fmt.Errorf("segment %08x: %w", number, err)
	}
	return g, nil
}

// openReadOnly is for a file system that has become read-only.
func (c *cache) openReadOnly(name string) (file, error) {
	f, err := c.open(name, os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	return readOnly{f}, nil
}

// identify reads the id of a segment from its header or, when that is damaged,
// from the first record that is whole, for each carries it too.
func (c *cache) identify(number uint32, f file) (*segment, error) {
	size, _, err := f.usage()
	if err != nil {
		return nil, err
	}
	b := make([]byte, min(headerSize, size))
	if err := readFull(f, b, 0); err != nil {
		return nil, err
	}
	if h, ok := decodeSegmentHeader(b); ok && h.number == number {
		return newSegment(number, h.id, f, c.largeDir(number), size), nil
	}
	if v := headerVersion(b, segmentMagic); v > formatVersion {
		return nil, fmt.Errorf("format version %d is newer than this program, which knows %d", v, formatVersion)
	}
	r, ok, err := search(f, headerSize, size, func(record) bool { return true })
	if err != nil {
		return nil, err
	}
	if !ok {
		return newSegment(number, unidentified, f, c.largeDir(number), size), nil
	}
	return newSegment(number, r.segmentID, f, c.largeDir(number), size), nil
}

// share acquires a segment that the caller holds already.
func (c *cache) share(s *slot) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s.refs++
}
