package dict

// VR is a value representation (PS3.5 §6.2): its two letters, the first one in the
// high byte. Any two bytes fit, so that an unknown VR met on the wire survives.
type VR uint16

// MakeVR builds a VR from its two letters.
func MakeVR(a, b byte) VR { return VR(a)<<8 | VR(b) }

// The value representations of PS3.5 Table 6.2-1.
const (
	AE VR = 'A'<<8 | 'E'
	AS VR = 'A'<<8 | 'S'
	AT VR = 'A'<<8 | 'T'
	CS VR = 'C'<<8 | 'S'
	DA VR = 'D'<<8 | 'A'
	DS VR = 'D'<<8 | 'S'
	DT VR = 'D'<<8 | 'T'
	FD VR = 'F'<<8 | 'D'
	FL VR = 'F'<<8 | 'L'
	IS VR = 'I'<<8 | 'S'
	LO VR = 'L'<<8 | 'O'
	LT VR = 'L'<<8 | 'T'
	OB VR = 'O'<<8 | 'B'
	OD VR = 'O'<<8 | 'D'
	OF VR = 'O'<<8 | 'F'
	OL VR = 'O'<<8 | 'L'
	OV VR = 'O'<<8 | 'V'
	OW VR = 'O'<<8 | 'W'
	PN VR = 'P'<<8 | 'N'
	SH VR = 'S'<<8 | 'H'
	SL VR = 'S'<<8 | 'L'
	SQ VR = 'S'<<8 | 'Q'
	SS VR = 'S'<<8 | 'S'
	ST VR = 'S'<<8 | 'T'
	SV VR = 'S'<<8 | 'V'
	TM VR = 'T'<<8 | 'M'
	UC VR = 'U'<<8 | 'C'
	UI VR = 'U'<<8 | 'I'
	UL VR = 'U'<<8 | 'L'
	UN VR = 'U'<<8 | 'N'
	UR VR = 'U'<<8 | 'R'
	US VR = 'U'<<8 | 'S'
	UT VR = 'U'<<8 | 'T'
	UV VR = 'U'<<8 | 'V'
)

// String returns the two letters.
func (v VR) String() string { return string([]byte{byte(v >> 8), byte(v)}) }

// Known reports whether v is one of PS3.5 Table 6.2-1.
func (v VR) Known() bool {
	switch v {
	case AE, AS, AT, CS, DA, DS, DT, FD, FL, IS, LO, LT, OB, OD, OF, OL, OV, OW,
		PN, SH, SL, SQ, SS, ST, SV, TM, UC, UI, UL, UN, UR, US, UT, UV:
		return true
	}
	return false
}

// Long reports whether an explicit-VR header of v has a 32-bit length after two
// reserved bytes (PS3.5 §7.1.2). An unknown VR is read with a 16-bit length by most
// of the field and with a 32-bit one by the standard; Long follows the standard.
func (v VR) Long() bool {
	switch v {
	case AE, AS, AT, CS, DA, DS, DT, FD, FL, IS, LO, LT, PN, SH, SL, SS, ST, TM, UI, UL, US:
		return false
	}
	return true
}

// Text reports whether values of v are subject to Specific Character Set
// (PS3.5 §6.1.2.3).
func (v VR) Text() bool {
	switch v {
	case SH, LO, ST, PN, LT, UC, UT:
		return true
	}
	return false
}

// Binary reports whether values of v are bytes or numbers in binary, not characters.
func (v VR) Binary() bool {
	switch v {
	case AT, FD, FL, OB, OD, OF, OL, OV, OW, SL, SS, SV, UL, UN, US, UV:
		return true
	}
	return false
}

// Unit is the size in bytes of what a change of byte order swaps: 2 for OW and US,
// 8 for FD, 1 for what has no byte order. AT counts as two 16-bit numbers.
func (v VR) Unit() int {
	switch v {
	case AT, OW, SS, US:
		return 2
	case FL, OF, OL, SL, UL:
		return 4
	case FD, OD, OV, SV, UV:
		return 8
	}
	return 1
}
