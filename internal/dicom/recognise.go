package dicom

import (
	"encoding/binary"

	"pharos/internal/dicom/dict"
)

// recogniseWindow is how much of a data set is looked at to recognise its encoding.
const recogniseWindow = 4 << 10

// enoughHeaders in a row leave no doubt.
const enoughHeaders = 16

// recognise finds the native syntax in which b, the beginning of a data set, makes
// most sense. plausible tells whether it does enough to take b for a data set without
// any other sign: it begins with a known element of an early group, and at least two
// more follow or the input ends there.
func recognise(b []byte) (ts TransferSyntax, plausible bool) {
	best := 0
	ts = SyntaxOf(ExplicitVRLittleEndian)
	for _, uid := range []UID{ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian} {
		if n := score(b, SyntaxOf(uid)); n > best {
			ts, best = SyntaxOf(uid), n
		}
	}
	return ts, best >= 3 && startsDataset(b, ts)
}

// startsDataset tells whether b begins with an element that a data set can begin with.
func startsDataset(b []byte, ts TransferSyntax) bool {
	f := frame{bigEndian: ts.BigEndian}
	order := f.order()
	tag := dict.MakeTag(order.Uint16(b), order.Uint16(b[2:]))
	switch tag.Group() {
	case 0x0004, 0x0008, 0x0010:
		return dict.VROf(tag) != dict.UN
	}
	return false
}

// score counts the headers at the beginning of b that make sense in a syntax, up to
// sixteen. Reaching the end of b exactly counts for two more.
func score(b []byte, ts TransferSyntax) int {
	f := frame{bigEndian: ts.BigEndian}
	order := f.order()
	last := Tag(0)
	for n := 0; ; n++ {
		switch {
		case n == enoughHeaders:
			return enoughHeaders
		case len(b) == 0 && n > 0:
			return min(n+2, enoughHeaders)
		case len(b) < 8:
			return n
		}
		tag := dict.MakeTag(order.Uint16(b), order.Uint16(b[2:]))
		size, length, ok := plausibleHeader(b, tag, ts, order)
		if !ok || n > 0 && tag <= last {
			return n
		}
		if length == UndefinedLength || uint64(size)+uint64(length) > uint64(len(b)) {
			return n + 1
		}
		last = tag
		b = b[size+int(length):]
	}
}

// plausibleHeader reads the header at the beginning of b, which has 8 bytes or more.
func plausibleHeader(b []byte, tag Tag, ts TransferSyntax, order binary.ByteOrder) (size int, length uint32, ok bool) {
	vr := dict.MakeVR(b[4], b[5])
	switch {
	case ts.Implicit:
		known := tag.Private() || dict.VROf(tag) != dict.UN
		return 8, order.Uint32(b[4:]), known && !vr.Known()
	case !vr.Known():
		return 0, 0, false
	case !vr.Long():
		return 8, uint32(order.Uint16(b[6:])), true
	case len(b) < 12:
		return 12, 0, true
	}
	return 12, order.Uint32(b[8:]), b[6] == 0 && b[7] == 0
}
