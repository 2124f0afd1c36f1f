package fileblob

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"
	"strconv"
	"time"

	"pharos/internal/blob"
)

// The formats of docs/format/log.md. All integers are little-endian.
const (
	recordMagic     = "PhRc"
	segmentMagic    = "PharosLg"
	checkpointMagic = "PharosCp"
	formatVersion   = 1

	// headerSize is the size of each of the three headers, and the alignment of
	// records: a header never crosses a sector.
	headerSize = 64

	stateOffset = 6
)

// kind says where the bytes of a blob are.
type kind byte

const (
	kindInline kind = 1 // behind the header
	kindLarge  kind = 2 // in a file under large/
)

// state is the one byte of a record that changes. The values differ in at least
// four bits, and what is none of them counts as live: a flipped bit must not
// delete.
type state byte

const (
	stateLive    state = 0x5a
	stateDead    state = 0xa5
	stateDamaged state = 0x3c // recovery found other bytes than the checksum says
)

// record is the header of a record.
type record struct {
	kind      kind
	state     state
	segmentID uint64 // of the segment it belongs to; random, so that no payload can imitate a header
	offset    int64  // of the header in its segment
	created   int64  // nanoseconds since 1970-01-01 UTC
	size      int64  // bytes of the blob
	sum       uint32 // CRC-32C of the blob
}

// payload is the number of bytes behind the header, without padding.
func (r record) payload() int64 {
	if r.kind == kindInline {
		return r.size
	}
	return 0
}

// next is the offset behind the record.
func (r record) next() int64 { return align(r.offset + headerSize + r.payload()) }

// listed says whether the record is a blob that exists.
func (r record) listed() bool { return r.state != stateDead && r.state != stateDamaged }

func (r record) info(segment uint32) blob.Info {
	return blob.Info{Key: key(segment, r.offset), Size: r.size, Created: time.Unix(0, r.created).UTC()}
}

func align(n int64) int64 { return (n + headerSize - 1) &^ (headerSize - 1) }

// checksum continues a CRC-32C, the polynomial that processors have an instruction
// for.
func checksum(sum uint32, p []byte) uint32 {
	return crc32.Update(sum, crc32.MakeTable(crc32.Castagnoli), p)
}

func (r record) encode(b []byte) {
	clear(b[:headerSize])
	copy(b, recordMagic)
	b[4] = formatVersion
	b[5] = byte(r.kind)
	binary.LittleEndian.PutUint64(b[8:], r.segmentID)
	binary.LittleEndian.PutUint64(b[16:], uint64(r.offset))
	binary.LittleEndian.PutUint64(b[24:], uint64(r.created))
	binary.LittleEndian.PutUint64(b[32:], uint64(r.size))
	binary.LittleEndian.PutUint32(b[56:], r.sum)
	binary.LittleEndian.PutUint32(b[60:], checksum(0, b[:60]))
	b[stateOffset] = byte(r.state)
}

// decodeRecord reads the header at an offset of a segment. It reports false for
// anything that is not a header written for this place.
func decodeRecord(b []byte, segmentID uint64, offset int64) (record, bool) {
	r, ok := decodeAnyRecord(b)
	return r, ok && r.segmentID == segmentID && r.offset == offset
}

// decodeAnyRecord reads a header without knowing where it belongs.
func decodeAnyRecord(b []byte) (record, bool) {
	if len(b) < headerSize || string(b[:4]) != recordMagic || b[4] != formatVersion {
		return record{}, false
	}
	var h [headerSize]byte
	copy(h[:], b)
	h[stateOffset] = 0 // it changes, so the checksum leaves it out
	if checksum(0, h[:60]) != binary.LittleEndian.Uint32(h[60:]) {
		return record{}, false
	}
	r := record{
		kind:      kind(h[5]),
		state:     state(b[stateOffset]),
		segmentID: binary.LittleEndian.Uint64(h[8:]),
		offset:    int64(binary.LittleEndian.Uint64(h[16:])),
		created:   int64(binary.LittleEndian.Uint64(h[24:])),
		size:      int64(binary.LittleEndian.Uint64(h[32:])),
		sum:       binary.LittleEndian.Uint32(h[56:]),
	}
	known := r.kind == kindInline || r.kind == kindLarge
	sane := r.size >= 0 && r.offset >= headerSize && r.size < math.MaxInt64-r.offset-2*headerSize
	return r, known && sane
}

// segmentHeader stands at the begin of each segment.
type segmentHeader struct {
	number  uint32
	id      uint64
	created int64
}

func (h segmentHeader) encode() []byte {
	b := make([]byte, headerSize)
	copy(b, segmentMagic)
	b[8] = formatVersion
	binary.LittleEndian.PutUint32(b[12:], h.number)
	binary.LittleEndian.PutUint64(b[16:], h.id)
	binary.LittleEndian.PutUint64(b[24:], uint64(h.created))
	binary.LittleEndian.PutUint32(b[60:], checksum(0, b[:60]))
	return b
}

func decodeSegmentHeader(b []byte) (segmentHeader, bool) {
	if !sealedHeader(b, segmentMagic) {
		return segmentHeader{}, false
	}
	return segmentHeader{
		number:  binary.LittleEndian.Uint32(b[12:]),
		id:      binary.LittleEndian.Uint64(b[16:]),
		created: int64(binary.LittleEndian.Uint64(b[24:])),
	}, true
}

// checkpoint says that all records of the segment that end at or below the offset,
// and all older segments, are whole and durable. The log only grows, so it stays
// true; it only grows old.
type checkpoint struct {
	segment uint32
	id      uint64
	offset  int64
}

func (c checkpoint) encode() []byte {
	b := make([]byte, headerSize)
	copy(b, checkpointMagic)
	b[8] = formatVersion
	binary.LittleEndian.PutUint32(b[12:], c.segment)
	binary.LittleEndian.PutUint64(b[16:], c.id)
	binary.LittleEndian.PutUint64(b[24:], uint64(c.offset))
	binary.LittleEndian.PutUint32(b[60:], checksum(0, b[:60]))
	return b
}

func decodeCheckpoint(b []byte) (checkpoint, bool) {
	if !sealedHeader(b, checkpointMagic) {
		return checkpoint{}, false
	}
	c := checkpoint{
		segment: binary.LittleEndian.Uint32(b[12:]),
		id:      binary.LittleEndian.Uint64(b[16:]),
		offset:  int64(binary.LittleEndian.Uint64(b[24:])),
	}
	return c, c.offset >= headerSize && c.offset%headerSize == 0
}

// sealedHeader checks what segment header and checkpoint have in common: an
// eight-byte magic, the version and a checksum at the end.
func sealedHeader(b []byte, magic string) bool {
	return headerVersion(b, magic) == formatVersion
}

// headerVersion is the version of such a header, 0 when it is none.
func headerVersion(b []byte, magic string) byte {
	if len(b) < headerSize || string(b[:8]) != magic ||
		checksum(0, b[:60]) != binary.LittleEndian.Uint32(b[60:]) {
		return 0
	}
	return b[8]
}

// key names a record: eight hexadecimal digits of the segment, a hyphen, sixteen
// of the offset. Fixed widths make bytewise order the order of commits.
func key(segment uint32, offset int64) blob.Key {
	return blob.Key(fmt.Sprintf("%08x-%016x", segment, offset))
}

// parseKey reports false for what this package never gave out as a key.
func parseKey(k blob.Key) (segment uint32, offset int64, ok bool) {
	if len(k) != 25 || k[8] != '-' {
		return 0, 0, false
	}
	s, err1 := strconv.ParseUint(string(k[:8]), 16, 32)
	o, err2 := strconv.ParseInt(string(k[9:]), 16, 64)
	ok = err1 == nil && err2 == nil && s > 0 && o >= headerSize && o%headerSize == 0 && key(uint32(s), o) == k
	return uint32(s), o, ok
}
