package fileblob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"pharos/internal/blob"
)

// recover makes the log whole and the last segment active.
func (s *Store) recover() error {
	f, from, err := openCheckpoint(s.dir, s.segments.open)
	if err != nil {
		return err
	}
	s.check.file = f
	if err := s.removeUnfinished(); err != nil {
		return err
	}
	numbers, err := s.numbers()
	if err != nil {
		return err
	}
	s.first = from.segment + 1
	if len(numbers) > 0 {
		s.first = numbers[0]
	}
	if len(numbers) == 0 || numbers[len(numbers)-1] < from.segment {
		return s.begin(from.segment + 1)
	}
	last := numbers[len(numbers)-1]
	if _, ok := slices.BinarySearch(numbers, from.segment); !ok {
		from = checkpoint{segment: last}
	}
	s.number.Store(last)
	for _, number := range numbers {
		if number >= from.segment {
			if err := s.repairSegment(number, from); err != nil {
				return fmt.Errorf("repair segment %08x: %w", number, err)
			}
		}
	}
	return s.resume(last)
}

// numbers lists the segments in ascending order.
func (s *Store) numbers() ([]uint32, error) {
	entries, err := os.ReadDir(filepath.Join(s.dir, "segments"))
	if err != nil {
		return nil, err
	}
	var numbers []uint32
	for _, e := range entries {
		name, isLog := strings.CutSuffix(e.Name(), ".log")
		n, err := strconv.ParseUint(name, 16, 32)
		if isLog && len(name) == 8 && err == nil && n > 0 {
			numbers = append(numbers, uint32(n))
		}
	}
	slices.Sort(numbers)
	return numbers, nil
}

// removeUnfinished removes the large blobs that were being written.
func (s *Store) removeUnfinished() error {
	dir := filepath.Join(s.dir, "large", "new")
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := os.Remove(filepath.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

// begin starts a log.
func (s *Store) begin(number uint32) error {
	parent, err := filepath.Abs(filepath.Join(s.dir, ".."))
	if err != nil {
		return err
	}
	for _, dir := range []string{filepath.Join(s.dir, "large"), s.dir, parent} {
		if err := syncDir(dir); err != nil {
			return err
		}
	}
	g, err := s.create(number)
	if err != nil {
		return err
	}
	return s.activate(s.segments.add(g))
}

// resume appends to the last segment, or to a new one when a crash came before the
// last one had its header.
func (s *Store) resume(last uint32) error {
	g, err := s.segments.acquire(last)
	if err != nil {
		return err
	}
	if g.id != unidentified {
		return s.activate(g)
	}
	empty := g.end.Load() <= headerSize
	s.segments.forget(g)
	s.segments.release(g)
	if !empty {
		last++
	}
	next, err := s.create(last)
	if err != nil {
		return err
	}
	return s.activate(s.segments.add(next))
}

func (s *Store) activate(g *slot) error {
	s.active = g
	s.number.Store(g.number)
	return s.check.move(g.segment, true)
}

// repairSegment repairs a segment from the checkpoint on.
func (s *Store) repairSegment(number uint32, from checkpoint) error {
	g, err := s.segments.acquire(number)
	if err != nil {
		return err
	}
	defer s.segments.release(g)
	if g.id == unidentified {
		return nil
	}
	start := int64(headerSize)
	if from.segment == number && from.id == g.id && from.offset <= g.end.Load() {
		start = from.offset
	}
	if start < g.end.Load() {
		if err := s.repair(g.segment, start); err != nil {
			return err
		}
	}
	return s.removeNameless(g.segment, start)
}

// repair verifies the records from an offset on. It cuts off what follows the last
// whole one and marks what is damaged before it.
func (s *Store) repair(g *segment, start int64) error {
	whole := start
	var torn, damaged []record
	for r, err := range g.walk(start, g.end.Load()) {
		if err != nil {
			return err
		}
		ok, err := s.whole(g, r.record)
		if err != nil {
			return err
		}
		if !ok {
			torn = append(torn, r.record)
			continue
		}
		damaged = append(damaged, torn...)
		torn = torn[:0]
		whole = r.next()
	}
	for _, r := range damaged {
		if err := g.mark(r, stateDamaged); err != nil {
			return err
		}
	}
	if err := g.file.truncate(whole); err != nil {
		return err
	}
	g.end.Store(whole)
	g.durable.Store(whole)
	return g.settle()
}

// whole says whether a record has its bytes. Those of a dead one do not matter. A
// large blob was synced before its record was written, so its size is proof enough.
func (s *Store) whole(g *segment, r record) (bool, error) {
	if !r.listed() {
		return true, nil
	}
	if r.kind == kindLarge {
		fi, err := os.Stat(largeName(g, r))
		if errors.Is(err, fs.ErrNotExist) {
			return false, nil
		}
		return err == nil && fi.Size() == r.size, err
	}
	err := s.compare(context.Background(), io.NewSectionReader(g.file, r.offset+headerSize, r.size), r)
	if errors.Is(err, blob.ErrCorrupt) {
		return false, nil
	}
	return err == nil, err
}

// removeNameless removes the large blobs of a segment that no record names: the
// crash came after they had their names and before their records were durable.
func (s *Store) removeNameless(g *segment, start int64) error {
	entries, err := os.ReadDir(g.large)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		off, err := strconv.ParseInt(e.Name(), 16, 64)
		if err != nil || off < start {
			continue
		}
		r, err := g.record(off)
		if errors.Is(err, blob.ErrNotExist) || err == nil && (r.kind != kindLarge || r.state == stateDead) {
			err = os.Remove(filepath.Join(g.large, e.Name()))
		}
		if err != nil && !errors.Is(err, blob.ErrCorrupt) {
			return err
		}
	}
	return nil
}
