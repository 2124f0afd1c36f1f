package pixeldata

import (
	"encoding/binary"
	"fmt"
)

const (
	rleHeader   = 64 // bytes: the number of segments, and where they begin
	rleSegments = 15 // at most
)

var errRLE = fmt.Errorf("%w: the RLE data is damaged", ErrMalformed)

// decodeRLE decodes RLE Lossless (PS3.5 §G): a segment for each byte of a pixel, the
// samples in their order and of each sample the most significant byte first.
func decodeRLE(f *format, compressed []byte) ([]byte, error) {
	bytesPerSample := int(f.allocated) / 8
	segments := f.samples * bytesPerSample
	if f.allocated%8 != 0 || f.halfChroma || f.numbers != integers || segments > rleSegments {
		return nil, fmt.Errorf("%w: RLE of %d bits", ErrUnsupported, f.allocated)
	}
	if len(compressed) < rleHeader || binary.LittleEndian.Uint32(compressed) != uint32(segments) {
		return nil, errRLE
	}
	f.planar = false
	native := make([]byte, f.frameBytes())
	for s := range segments {
		begin := int64(binary.LittleEndian.Uint32(compressed[4+s*4:]))
		end := int64(len(compressed))
		if s+1 < segments {
			end = int64(binary.LittleEndian.Uint32(compressed[8+s*4:]))
		}
		if begin < rleHeader || end < begin || end > int64(len(compressed)) {
			return nil, errRLE
		}
		sample, fromTop := s/bytesPerSample, s%bytesPerSample
		offset := sample*bytesPerSample + bytesPerSample - 1 - fromTop
		if !unpackBits(native[offset:], segments, f.rows*f.columns, compressed[begin:end]) {
			return nil, errRLE
		}
	}
	return native, nil
}

// unpackBits decodes a segment into every step-th byte of out, n in all (PS3.5 §G.3.2).
// What is behind the last byte that is needed does not matter. False when it is short.
func unpackBits(out []byte, step, n int, segment []byte) bool {
	at := 0
	for n > 0 && len(segment) >= 2 {
		control := int(int8(segment[0]))
		switch {
		case control >= 0:
			run := min(control+1, n)
			if run > len(segment)-1 {
				return false
			}
			for _, b := range segment[1 : 1+run] {
				out[at] = b
				at += step
			}
			n -= run
			segment = segment[1+run:]
		case control == -128: // does nothing
			segment = segment[1:]
		default:
			run := min(1-control, n)
			for range run {
				out[at] = segment[1]
				at += step
			}
			n -= run
			segment = segment[2:]
		}
	}
	return n == 0
}
