package fileblob

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

var errClosed = fmt.Errorf("store: %w", os.ErrClosed)

// commit appends a record and returns when it is durable and visible. For a large
// blob, tmp is the synced file that becomes its own.
func (s *Store) commit(r record, payload [][]byte, tmp string) (record, uint32, error) {
	g, r, err := s.append(r, payload, tmp)
	if err != nil {
		return record{}, 0, err
	}
	defer s.segments.release(g)
	if err := g.settle(); err != nil {
		return record{}, 0, err
	}
	if g.number == s.number.Load() && s.check.due(g.segment) {
		// An old checkpoint costs time after a crash, nothing else.
		_ = s.check.move(g.segment, false)
	}
	return r, g.number, nil
}

// append writes a record to the end of the active segment and acquires the segment.
// When it fails, the segment ends where it ended before.
func (s *Store) append(r record, payload [][]byte, tmp string) (*slot, record, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.active == nil {
		return nil, record{}, errClosed
	}
	if err := s.makeRoom(headerSize + r.payload()); err != nil {
		return nil, record{}, err
	}
	g := s.active
	r.state, r.segmentID, r.offset, r.created = stateLive, g.id, g.end.Load(), time.Now().UnixNano()
	err := s.write(g.segment, r, payload)
	if err == nil && tmp != "" {
		err = nameLarge(g.segment, r, tmp)
	}
	if err != nil {
		if cut := g.file.truncate(r.offset); cut != nil {
			g.group.fail(cut) // no record may follow what is torn
			err = errors.Join(err, cut)
		}
		return nil, record{}, err
	}
	g.end.Store(r.next())
	s.segments.share(g)
	return g, r, nil
}

// write puts header, payload and padding on the disk with one system call.
func (s *Store) write(g *segment, r record, payload [][]byte) error {
	r.encode(s.header[:headerSize])
	s.iov = append(s.iov[:0], s.header[:headerSize])
	s.iov = append(s.iov, payload...)
	if pad := r.next() - r.offset - headerSize - r.payload(); pad > 0 {
		s.iov = append(s.iov, s.header[headerSize:headerSize+pad])
	}
	err := g.file.writev(s.iov, r.offset)
	clear(s.iov) // the chunks go back to their pool
	return err
}

// nameLarge gives a large blob the name of its record's key. The sync of the
// segment makes the name durable.
func nameLarge(g *segment, r record, tmp string) error {
	name := largeName(g, r)
	err := os.Rename(tmp, name)
	if errors.Is(err, os.ErrNotExist) { // the first large one of this segment
		if err := os.Mkdir(g.large, 0o700); err != nil {
			return err
		}
		if err := syncDir(filepath.Dir(g.large)); err != nil {
			return err
		}
		err = os.Rename(tmp, name)
	}
	g.newLarge.Store(true)
	return err
}

func largeName(g *segment, r record) string {
	return filepath.Join(g.large, fmt.Sprintf("%016x", r.offset))
}

// makeRoom replaces the active segment when it is full or its sync has failed.
func (s *Store) makeRoom(n int64) error {
	g := s.active
	if g.group.failure() == nil {
		if g.end.Load()+n <= s.opts.SegmentSize || g.end.Load() == headerSize {
			return nil
		}
		_ = g.settle() // a failure is remembered by the group and treated below
	}
	cut := true
	if g.group.failure() != nil {
		cut = s.giveUp(g.segment)
	}
	next, err := s.create(g.number + 1)
	if err != nil {
		return err
	}
	s.active = s.segments.add(next)
	s.number.Store(next.number)
	if cut {
		s.segments.release(g) // else it stays open, because only memory knows its end
	}
	return s.check.move(next, true)
}

// giveUp cuts off what a failed sync may have lost, so that no reader and no later
// Open takes it for whole. Those who wait for these bytes are told of the failure.
func (s *Store) giveUp(g *segment) (cut bool) {
	end := g.durable.Load()
	err := g.file.truncate(end)
	if err == nil {
		err = g.file.sync()
	}
	if err != nil {
		s.check.freeze()
	}
	g.end.Store(end)
	return err == nil
}

// create begins a segment. It is durable before the first record goes in.
func (s *Store) create(number uint32) (*segment, error) {
	var id [8]byte
	if _, err := rand.Read(id[:]); err != nil {
		return nil, err
	}
	h := segmentHeader{number: number, id: binary.LittleEndian.Uint64(id[:]), created: time.Now().UnixNano()}
	name := s.segments.path(number)
	f, err := s.segments.open(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC)
	if err != nil {
		return nil, err
	}
	if err := begin(f, h, filepath.Dir(name)); err != nil {
		closeQuietly(f)
		return nil, errors.Join(err, os.Remove(name))
	}
	return newSegment(number, h.id, f, s.segments.largeDir(number), headerSize), nil
}

func begin(f file, h segmentHeader, dir string) error {
	if err := f.writev([][]byte{h.encode()}, 0); err != nil {
		return err
	}
	if err := f.sync(); err != nil {
		return err
	}
	return syncDir(dir)
}
