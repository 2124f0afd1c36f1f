package fileblob

import (
	"encoding/binary"
	"sync"
	"testing"
)

// FuzzRecovery edits the bytes of a segment at will and cuts it anywhere. The
// oracle: each record that was not touched is still there with its bytes, each
// record that is offered as live has the right bytes, and nothing is cut off that
// lies before an untouched record.
func FuzzRecovery(f *testing.F) {
	sizes := []int{100, 0, 64, 5000, 1, 4000, 63, 300}
	image, offsets := fuzzImage(sizes)
	f.Add([]byte{}, uint16(len(image)))
	f.Add([]byte{0, 70, 0xff}, uint16(len(image)))
	f.Add([]byte{1, 0, 1, 2, 0, 0x80, 3, 1, 0x10}, uint16(len(image)-1))
	for _, off := range offsets {
		at := binary.BigEndian.AppendUint16(nil, uint16(off+stateOffset))
		f.Add(append(at, 0xff), uint16(len(image)))
		f.Add(append(at, 0x01), uint16(off+40))
	}
	f.Fuzz(func(t *testing.T, edits []byte, size uint16) {
		b := append([]byte(nil), image...)
		touched := map[int]bool{}
		for ; len(edits) >= 3; edits = edits[3:] {
			at := headerSize + int(binary.BigEndian.Uint16(edits))%(len(b)-headerSize)
			b[at] ^= edits[2]
			touched[at] = true
		}
		b = b[:max(headerSize, min(int(size), len(b)))]
		s, g := fuzzSegment(b)
		if err := s.repair(g, headerSize); err != nil {
			t.Fatal(err)
		}
		live := map[int64]record{}
		for r, err := range g.walk(headerSize, g.end.Load()) {
			if err != nil {
				t.Fatal(err)
			}
			if r.listed() {
				live[r.offset] = r.record
			}
		}
		for i, off := range offsets {
			end := int(align(off + headerSize + int64(sizes[i])))
			whole := end <= len(b)
			for at := int(off); whole && at < end; at++ {
				whole = !touched[at]
			}
			r, ok := live[off]
			if whole && !ok {
				t.Errorf("untouched record %d at %d vanished", i, off)
			}
			if ok && string(g.file.(*diskFile).now[off+headerSize:off+headerSize+r.size]) != string(pattern(byte(i), sizes[i])) {
				t.Errorf("record %d is live with other bytes", i)
			}
			delete(live, off)
		}
		if len(live) > 0 {
			t.Errorf("records where none was written: %+v", live)
		}
	})
}

// fuzzImage is a segment with records of those sizes.
func fuzzImage(sizes []int) (image []byte, offsets []int64) {
	image = segmentHeader{number: 1, id: sampleID}.encode()
	for i, n := range sizes {
		off := int64(len(image))
		p := pattern(byte(i), n)
		r := record{kind: kindInline, state: stateLive, segmentID: sampleID, offset: off, size: int64(n), sum: checksum(0, p)}
		h := make([]byte, headerSize)
		r.encode(h)
		image = append(append(image, h...), p...)
		image = append(image, make([]byte, r.next()-int64(len(image)))...)
		offsets = append(offsets, off)
	}
	return image, offsets
}

// fuzzSegment is an open segment in memory and as much of a store as recovery needs.
func fuzzSegment(b []byte) (*Store, *segment) {
	s := &Store{blocks: sync.Pool{New: func() any { return new([readSize]byte) }}}
	return s, newSegment(1, sampleID, &diskFile{disk: &disk{}, now: b}, "", int64(len(b)))
}
