package dicom

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"

	"pharos/internal/dicom/dict"
)

// FileMeta is the File Meta Information of PS3.10 §7.1, with what was noticed while
// it was read.
type FileMeta struct {
	Dataset        *Dataset // group 0002 as read; made up when the file has none
	TransferSyntax UID      // of the data set that follows
	SOPClass       UID      // Media Storage SOP Class UID; empty when the file does not tell
	SOPInstance    UID      // Media Storage SOP Instance UID; empty when the file does not tell
	Start          int64    // where group 0002 begins, or the data set when there is none
	Length         int64    // bytes before the data set: preamble, prefix and group 0002
	Preamble       []byte   // the 128 bytes; nil when they are all zero or absent

	// Syntax is how the data set is encoded. It is that of TransferSyntax, except for
	// Implicit and BigEndian when Contradicted.
	Syntax TransferSyntax

	NoPreamble   bool // the file begins with group 0002 or with the data set itself
	NoMeta       bool // there is no group 0002: the transfer syntax was recognised from the data set
	Contradicted bool // the data set is not encoded as (0002,0010) says, and is read as it is
}

const preambleSize = 128

// readMeta reads up to the data set and decides how that is encoded.
//
// Where (0002,0010) and the first elements of the data set contradict each other, the
// elements win, since nothing else can be read: implicit against explicit VR, little
// against big endian, plain against deflated. For a native syntax TransferSyntax is
// then what was found; for an encapsulated one it stays what was declared, because
// only it tells how the fragments are compressed.
func (r *Reader) readMeta() (*FileMeta, error) {
	b := r.in.peek(recogniseWindow)
	if err := r.in.err; len(b) < 8 && err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	start, hasMeta := locateMeta(b)
	meta := &FileMeta{Dataset: NewDataset(), Start: int64(start), NoPreamble: start < preambleSize, NoMeta: !hasMeta}
	if start >= preambleSize && len(bytes.Trim(b[:preambleSize], "\x00")) > 0 {
		meta.Preamble = bytes.Clone(b[:preambleSize])
	}
	if !hasMeta {
		return r.withoutGroup2(meta, b, start)
	}
	implicit := implicitMeta(b[start:])
	r.in.take(start)
	if err := r.readGroup2(meta, implicit); err != nil {
		return nil, err
	}
	meta.Length = r.in.offset()
	return meta, r.decideSyntax(meta)
}

// withoutGroup2 makes up what a file does not have whose data set begins at start.
func (r *Reader) withoutGroup2(meta *FileMeta, b []byte, start int) (*FileMeta, error) {
	found, plausible := recognise(b[start:])
	if !plausible {
		return nil, ErrNotDICOM
	}
	r.in.take(start)
	meta.Dataset = NewFileMeta("", "", found.UID).Dataset
	meta.TransferSyntax, meta.Syntax = found.UID, found
	meta.Length = r.in.offset()
	return meta, nil
}

// locateMeta finds where group 0002 begins, or the data set when there is none.
func locateMeta(b []byte) (start int, hasMeta bool) {
	behind := func(n int) []byte { return b[min(n, len(b)):] }
	prefixed := bytes.HasPrefix(behind(preambleSize), []byte("DICM"))
	switch {
	case prefixed && group(behind(preambleSize+4)) == 0x0002:
		return preambleSize + 4, true
	case startsMeta(b):
		return 0, true
	case bytes.HasPrefix(b, []byte("DICM")) && startsMeta(b[4:]):
		return 4, true
	case startsMeta(behind(preambleSize)): // the prefix is missing
		return preambleSize, true
	case startsMeta(behind(preambleSize + 4)): // the prefix is damaged
		return preambleSize + 4, true
	}
	if _, bare := recognise(b); prefixed && !bare {
		return preambleSize + 4, false
	}
	return 0, false
}

// group is the group number that b begins with in little endian, or 0.
func group(b []byte) uint16 {
	if len(b) < 8 {
		return 0
	}
	return binary.LittleEndian.Uint16(b)
}

// startsMeta tells whether b begins with an element of group 0002, beyond doubt.
func startsMeta(b []byte) bool {
	if group(b) != 0x0002 {
		return false
	}
	tag := dict.MakeTag(0x0002, binary.LittleEndian.Uint16(b[2:]))
	vr := dict.VROf(tag)
	if vr == dict.UN {
		return false
	}
	return dict.MakeVR(b[4], b[5]) == vr || implicitMeta(b)
}

// implicitMeta tells whether group 0002 is in implicit VR, against PS3.10 §7.1.
func implicitMeta(b []byte) bool {
	if len(b) < 8 || dict.MakeVR(b[4], b[5]).Known() {
		return false
	}
	n := uint64(binary.LittleEndian.Uint32(b[4:]))
	if 8+n+8 > uint64(len(b)) {
		return false
	}
	next := b[8+n:]
	after := dict.MakeTag(group(next), binary.LittleEndian.Uint16(next[2:]))
	return group(next) == 0x0002 && after > dict.MakeTag(0x0002, binary.LittleEndian.Uint16(b[2:])) && !dict.MakeVR(next[4], next[5]).Known()
}

// readGroup2 gathers group 0002. Its end is where another group begins; the group
// length, which is often wrong, only decides when what follows could be either.
func (r *Reader) readGroup2(meta *FileMeta, implicit bool) error {
	r.scan = newScanner(r.in, TransferSyntax{Implicit: implicit}, r.limits)
	end := int64(-1)
	for {
		if err := r.scan.skipValue(); err != nil {
			r.scan.fail(err)
			return r.scan.err
		}
		b := r.in.peek(8)
		if group(b) != 0x0002 || r.in.offset() == end && !startsMeta(b) {
			break
		}
		tok, err := r.scan.Next()
		if err != nil {
			return err
		}
		if err := r.element(meta.Dataset, tok); err != nil {
			return err
		}
		if tok.Tag == dict.FileMetaInformationGroupLength {
			if v := meta.Dataset.elements[len(meta.Dataset.elements)-1].Value; len(v) == 4 {
				end = r.in.offset() + int64(binary.LittleEndian.Uint32(v))
			}
		}
	}
	meta.Dataset.settle()
	meta.TransferSyntax = metaUID(meta.Dataset, dict.TransferSyntaxUID)
	meta.SOPClass = metaUID(meta.Dataset, dict.MediaStorageSOPClassUID)
	meta.SOPInstance = metaUID(meta.Dataset, dict.MediaStorageSOPInstanceUID)
	r.scan = nil
	return nil
}

// metaUID is the UID at tag, whatever VR it was written with.
func metaUID(d *Dataset, tag Tag) UID {
	e := d.Get(tag)
	if e == nil {
		return ""
	}
	return UID(bytes.Trim(e.Value, " \x00"))
}

// decideSyntax compares what is declared with how the data set begins.
func (r *Reader) decideSyntax(meta *FileMeta) error {
	b := r.in.peek(recogniseWindow)
	meta.Syntax = SyntaxOf(meta.TransferSyntax)
	declared := score(b, meta.Syntax)
	if meta.TransferSyntax != "" && !meta.Syntax.Deflated && (declared == enoughHeaders || len(b) == 0) {
		return nil
	}
	found, plausible := recognise(b)
	switch {
	case meta.TransferSyntax == "" && plausible:
		meta.TransferSyntax, meta.Syntax = found.UID, found
		return nil
	case meta.TransferSyntax == "":
		return r.unknownSyntax()
	case !plausible && !meta.Syntax.Known:
		return r.unknownSyntax()
	case meta.Syntax.Deflated && !plausible:
		return nil
	case !meta.Syntax.Deflated && declared >= score(b, found):
		return nil
	case !plausible:
		return nil // the scanner will say what is wrong
	}
	meta.Contradicted = true
	if !meta.Syntax.Encapsulated {
		meta.TransferSyntax, meta.Syntax = found.UID, found
		return nil
	}
	meta.Syntax.Implicit, meta.Syntax.BigEndian = found.Implicit, found.BigEndian
	return nil
}

func (r *Reader) unknownSyntax() error {
	return &SyntaxError{Tag: dict.TransferSyntaxUID, Offset: r.in.offset(), Err: ErrUnknownSyntax}
}
