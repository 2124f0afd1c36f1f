package dict

import "fmt"

// Tag is a data element tag: the group in the high 16 bits, the element in the low.
type Tag uint32

// MakeTag builds a tag from its group and element numbers.
func MakeTag(group, element uint16) Tag { return Tag(group)<<16 | Tag(element) }

// Group is the group number.
func (t Tag) Group() uint16 { return uint16(t >> 16) }

// Element is the element number.
func (t Tag) Element() uint16 { return uint16(t) }

// Private reports whether the group is odd (PS3.5 §7.8).
func (t Tag) Private() bool { return t>>16&1 == 1 }

// PrivateCreator reports whether t reserves a block of private elements: (gggg,0010-00FF).
func (t Tag) PrivateCreator() bool {
	return t.Private() && t.Element() >= 0x10 && t.Element() <= 0xFF
}

// GroupLength reports whether t is (gggg,0000).
func (t Tag) GroupLength() bool { return t&0xFFFF == 0 }

// String writes t as PS3.5 does: (0010,0020).
func (t Tag) String() string { return fmt.Sprintf("(%04X,%04X)", t.Group(), t.Element()) }

// Hex writes t as DICOM JSON and DICOMweb do: 00100020 (PS3.18 §F.2.2).
func (t Tag) Hex() string { return fmt.Sprintf("%08X", uint32(t)) }
