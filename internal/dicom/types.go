package dicom

import (
	"errors"
	"fmt"

	"pharos/internal/dicom/dict"
)

// Tag and VR are defined beside the dictionary, which is below this package.
type (
	// Tag is a data element tag.
	Tag = dict.Tag
	// VR is a value representation.
	VR = dict.VR
)

// UndefinedLength is the length of a sequence, item or encapsulated value that ends
// with a delimiter (PS3.5 §7.1.1).
const UndefinedLength = 0xFFFFFFFF

// MaxUIDLength is the longest legal UID in bytes (PS3.5 §9.1).
const MaxUIDLength = 64

// UID is a unique identifier without padding (PS3.5 §9).
type UID string

// Valid reports whether u is non-empty, at most 64 bytes, and made of digits and
// single dots between them. Leading zeroes of a component, which are illegal but
// common, are accepted.
func (u UID) Valid() bool {
	if len(u) == 0 || len(u) > MaxUIDLength {
		return false
	}
	dot := true // a dot may not stand at the beginning, after a dot, or at the end
	for i := 0; i < len(u); i++ {
		switch c := u[i]; {
		case c >= '0' && c <= '9':
			dot = false
		case c == '.' && !dot:
			dot = true
		default:
			return false
		}
	}
	return !dot
}

// Ref names a study, a series or an instance by its UIDs, from the left. An empty
// part means "all of them": Ref{Study: s} is a whole study, and the zero Ref is
// everything.
type Ref struct {
	Study    UID
	Series   UID
	Instance UID
}

// String joins the parts as in a DICOMweb path.
func (r Ref) String() string {
	return fmt.Sprintf("%s/%s/%s", r.Study, r.Series, r.Instance)
}

// Range is a run of bytes. In an element that was read from a PS3.10 file it counts
// from the first byte of the file, preamble included.
type Range struct {
	Offset int64
	Length int64
}

// End is the offset behind the last byte.
func (r Range) End() int64 { return r.Offset + r.Length }

var (
	// ErrNotDICOM says that the input is not a DICOM file nor a bare data set.
	ErrNotDICOM = errors.New("not a DICOM file")
	// ErrTruncated says that the input ended inside an element.
	ErrTruncated = errors.New("data set is truncated")
	// ErrMalformed says that the input breaks the encoding rules of PS3.5.
	ErrMalformed = errors.New("data set is malformed")
	// ErrTooLarge says that a limit was reached: see [Limits].
	ErrTooLarge = errors.New("data set exceeds a limit")
	// ErrUnknownSyntax says that the transfer syntax is not known, so that the data
	// set cannot be walked.
	ErrUnknownSyntax = errors.New("transfer syntax is not known")
)

// A SyntaxError tells where a data set could not be read. It unwraps to one of the
// sentinel errors of this package or to the error of the underlying reader.
type SyntaxError struct {
	Tag    Tag   // the element being read, or the last one begun
	Offset int64 // in bytes from the start of the input
	Err    error
	Detail string // what was wrong, in words; never a value of the data set
}

// Error gives tag, offset and detail.
func (e *SyntaxError) Error() string {
	if e.Detail == "" {
		return fmt.Sprintf("%v at %v, byte %d", e.Err, e.Tag, e.Offset)
	}
	return fmt.Sprintf("%v at %v, byte %d: %s", e.Err, e.Tag, e.Offset, e.Detail)
}

// Unwrap returns the sentinel or the reader's error.
func (e *SyntaxError) Unwrap() error { return e.Err }
