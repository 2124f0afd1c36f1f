package fileblob

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"

	"pharos/internal/blob"
)

// block is the unit in which file systems free room.
const block = 4096

// Delete implements [blob.Store]. The deletion is durable when it returns; the room
// is free then, or when the last present reader of the blob closes.
func (s *Store) Delete(ctx context.Context, k blob.Key) error {
	if err := ctx.Err(); err != nil {
		return wrap("delete", err)
	}
	number, off, ok := parseKey(k)
	if !ok {
		return nil
	}
	g, err := s.segments.acquire(number)
	if errors.Is(err, blob.ErrNotExist) {
		return nil
	}
	if err == nil {
		defer s.segments.release(g)
		err = s.delete(g, off)
	}
	return wrap(fmt.Sprintf("delete %q", k), err)
}

func (s *Store) delete(g *slot, off int64) error {
	r, err := g.record(off)
	if errors.Is(err, blob.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	// A record that is dead already passes too: an earlier Delete may have been
	// interrupted after any of these steps.
	if err := g.mark(r, stateDead); err != nil {
		return err
	}
	if err := g.settle(); err != nil {
		return err
	}
	if err := s.free(g, r); err != nil {
		return err
	}
	return s.reclaim(g)
}

// mark overwrites the state of a record. It is one byte, so it cannot be torn.
func (g *segment) mark(r record, to state) error {
	return g.file.writev([][]byte{{byte(to)}}, r.offset+stateOffset)
}

// free gives the room of a dead record's bytes back.
func (s *Store) free(g *slot, r record) error {
	if r.kind == kindLarge {
		err := os.Remove(largeName(g.segment, r))
		if err == nil {
			err = syncDir(g.large)
		}
		if errors.Is(err, fs.ErrNotExist) { // another Delete did it, or removed the whole segment
			return nil
		}
		return err
	}
	from := (r.offset + headerSize + block - 1) / block * block
	to := (r.offset + headerSize + r.size) / block * block
	if to > from {
		g.punch(r.offset, hole{off: from, n: to - from})
	}
	return nil
}

// reclaim unlinks a sealed segment that has no live record. It reads each header
// once in the life of the open segment, because a dead record stays dead.
func (s *Store) reclaim(g *slot) error {
	g.reclaimMu.Lock()
	defer g.reclaimMu.Unlock()
	if g.number >= s.number.Load() {
		return nil // the last segment stays, so that no key is given twice
	}
	for r, err := range g.walk(g.firstLive, g.end.Load()) {
		if err != nil {
			return err
		}
		if r.listed() || r.gap > 0 {
			return nil
		}
		g.firstLive = r.next()
	}
	if g.firstLive < g.end.Load() {
		return nil // a record may have been here whose header is damaged
	}
	return s.unlink(g)
}

func (s *Store) unlink(g *slot) error {
	if err := os.RemoveAll(g.large); err != nil {
		return err
	}
	name := s.segments.path(g.number)
	err := os.Remove(name)
	s.segments.forget(g)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return syncDir(filepath.Dir(name))
}

// Fragmented yields the live blobs of sealed segments that occupy more than twice
// the room their live blobs need: holes could not be punched, or the headers and
// edges of many small deleted blobs remain. The caller copies each blob, lets its
// index name the copy, and deletes the original; the segment disappears with its
// last blob. Segments without any live blob are removed on the way. It reads all
// headers of the log, so it belongs into the background. An error ends the sequence.
func (s *Store) Fragmented(ctx context.Context) iter.Seq2[blob.Info, error] {
	return func(yield func(blob.Info, error) bool) {
		for number := s.first; number < s.number.Load(); number++ {
			wasteful, err := s.inspect(ctx, number)
			if err != nil {
				yield(blob.Info{}, wrap("look for fragmented segments", err))
				return
			}
			if !wasteful {
				continue
			}
			for info, err := range s.listSegment(ctx, number, "") {
				if !yield(info, wrap("look for fragmented segments", err)) || err != nil {
					return
				}
			}
		}
	}
}

// inspect says whether a sealed segment wastes room, and removes it when it holds
// nothing else.
func (s *Store) inspect(ctx context.Context, number uint32) (wasteful bool, err error) {
	g, err := s.segments.acquire(number)
	if errors.Is(err, blob.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer s.segments.release(g)
	if err := s.reclaim(g); err != nil {
		return false, err
	}
	live, dead := int64(0), int64(0)
	for r, err := range g.walk(headerSize, g.end.Load()) {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return false, err
		}
		if r.listed() {
			live += r.next() - r.offset
		} else {
			dead++
		}
	}
	_, occupied, err := g.file.usage()
	return dead > 0 && live > 0 && occupied > 2*(live+block), err
}
