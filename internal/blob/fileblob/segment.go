package fileblob

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"sync"
	"sync/atomic"

	"pharos/internal/blob"
)

// segment is one open file of the log. Its records never move. All methods are safe
// for concurrent use; appending is serialised by the store.
type segment struct {
	number uint32
	id     uint64
	file   file
	large  string // the directory of its large blobs

	end     atomic.Int64 // behind the last record appended
	durable atomic.Int64 // behind the last record known to be on the disk: what readers see

	group     group
	newLarge  atomic.Bool // a large blob was named since the last sync
	reclaimMu sync.Mutex
	firstLive int64 // no record below is live; guarded by reclaimMu

	readersMu sync.Mutex
	readers   map[int64]*readers // by offset of the record
}

// readers counts who reads one record.
type readers struct {
	n    int
	hole hole // what Delete left for the last of them to punch
}

// hole is a range of a segment whose room can be given back.
type hole struct{ off, n int64 }

func newSegment(number uint32, id uint64, f file, large string, end int64) *segment {
	g := &segment{number: number, id: id, file: f, large: large, firstLive: headerSize, readers: map[int64]*readers{}}
	g.end.Store(end)
	g.durable.Store(end)
	return g
}

// record reads the header at an offset. It is ErrNotExist beyond the durable end.
func (g *segment) record(off int64) (record, error) { return g.recordBefore(off, 0, 0) }

// recordBefore is record for those who are going to read n bytes of the blob from an
// offset on, or to its end if n < 0.
func (g *segment) recordBefore(off, from, n int64) (record, error) {
	if off >= g.durable.Load() {
		return record{}, blob.ErrNotExist
	}
	var b [headerSize]byte
	if err := readFull(ahead{g.file, likely(off, from, n)}, b[:], off); err != nil {
		return record{}, err
	}
	r, ok := decodeRecord(b[:], g.id, off)
	if !ok || r.next() > g.durable.Load() {
		return record{}, fmt.Errorf("header of record: %w", blob.ErrCorrupt)
	}
	return r, nil
}

// likely is where a range of a blob begins, if the record at the offset is inline and
// long enough: a wrong guess costs a read, and a right one saves waiting for the header
// first.
func likely(record, from, n int64) extent {
	if n < 0 || n > readSize {
		n = readSize
	}
	return extent{off: record + headerSize + min(from, math.MaxInt64/4), n: n}
}

// ahead is a file that is read before an extent of it.
type ahead struct {
	file
	next extent
}

func (a ahead) ReadAt(p []byte, off int64) (int, error) { return a.readBefore(a.next, p, off) }

// enter counts a reader of the record. It comes before the look at the record's
// state: either Delete sees the reader, or the reader sees the mark of Delete.
func (g *segment) enter(off int64) {
	g.readersMu.Lock()
	defer g.readersMu.Unlock()
	if g.readers[off] == nil {
		g.readers[off] = &readers{}
	}
	g.readers[off].n++
}

// leave ends what enter began, and punches the hole that waited for it.
func (g *segment) leave(off int64) {
	g.readersMu.Lock()
	r := g.readers[off]
	r.n--
	last := r.n == 0
	if last {
		delete(g.readers, off)
	}
	g.readersMu.Unlock()
	if last && r.hole.n > 0 {
		g.punchNow(r.hole)
	}
}

// punch gives the room of a dead record's payload back, now or when the last
// present reader of the record leaves.
func (g *segment) punch(record int64, h hole) {
	g.readersMu.Lock()
	r := g.readers[record]
	if r != nil {
		r.hole = h
	}
	g.readersMu.Unlock()
	if r == nil {
		g.punchNow(h)
	}
}

// punchNow ignores errors: without the hole the blob is deleted all the same, and
// Fragmented finds the room that is still taken.
func (g *segment) punchNow(h hole) { _ = g.file.punch(h.off, h.n) }

// found is a record met on a walk.
type found struct {
	record
	gap int64 // bytes before it that are not records
}

// walk yields the records from an offset on that lie wholly below end, live or
// not. Where no valid header stands it looks for the next one. The offset need not
// be the begin of a record.
func (g *segment) walk(from, end int64) iter.Seq2[found, error] {
	return func(yield func(found, error) bool) {
		var b [headerSize]byte
		for off := from; off+headerSize <= end; {
			if err := readFull(g.file, b[:], off); err != nil {
				yield(found{}, err)
				return
			}
			r, ok := decodeRecord(b[:], g.id, off)
			gap := int64(0)
			if !ok || r.next() > end {
				var err error
				if r, ok, err = g.resync(off+headerSize, end); err != nil {
					yield(found{}, err)
					return
				}
				if !ok {
					return
				}
				gap = r.offset - off
			}
			if !yield(found{record: r, gap: gap}, nil) {
				return
			}
			off = r.next()
		}
	}
}

// resync finds the first valid header from an offset on. Payloads cannot imitate
// one: they would have to know the random id of the segment.
func (g *segment) resync(from, end int64) (record, bool, error) {
	return search(g.file, from, end, func(r record) bool { return r.segmentID == g.id })
}

// search finds the first header that stands where it says it does and is accepted.
func search(f io.ReaderAt, from, end int64, accept func(record) bool) (record, bool, error) {
	b := make([]byte, chunkSize)
	for off := from; off+headerSize <= end; off += chunkSize {
		p := b[:min(chunkSize, end-off)]
		if err := readFull(f, p, off); err != nil {
			return record{}, false, err
		}
		for i := 0; i+headerSize <= len(p); i += headerSize {
			r, ok := decodeAnyRecord(p[i:])
			if ok && r.offset == off+int64(i) && r.next() <= end && accept(r) {
				return r, true, nil
			}
		}
	}
	return record{}, false, nil
}

// readFull reads all of p. A file that ends early has lost bytes.
func readFull(f io.ReaderAt, p []byte, off int64) error {
	n, err := f.ReadAt(p, off)
	if n == len(p) {
		return nil
	}
	if errors.Is(err, io.EOF) {
		return fmt.Errorf("file ends at %d: %w", off+int64(n), blob.ErrCorrupt)
	}
	return err
}
