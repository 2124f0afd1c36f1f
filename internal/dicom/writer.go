package dicom

import (
	"bytes"
	"compress/flate"
	"fmt"
	"io"
	"slices"

	"pharos/internal/dicom/dict"
)

// Source gives the bytes of a value that is not in memory: of an element with Bulk or
// Fragments, in the byte order that they had in the file. Usually it reads a range of
// the file that the data set came from. Of a deflated file, ranges count in the
// inflated data set.
type Source func(Range) (io.ReadCloser, error)

// WriteDataset encodes a data set. Values that are not loaded are copied from src,
// which may be nil when there are none.
//
// A data set that was read and not changed since is written in the same syntax byte
// by byte as it was, except that
//
//   - elements stand in ascending order and once (PS3.5 §7.1),
//   - what does not belong into a data set is left out: delimiters that end nothing and
//     zero bytes behind the last element,
//   - every sequence, item and encapsulated value of undefined length ends with its
//     delimiter, which has length 0 (PS3.5 §7.5), and a last item that was longer than
//     its sequence ends with it,
//   - group lengths, where there are any, are right (PS3.5 §7.2), and so are the
//     reserved bytes of an explicit VR header (PS3.5 §7.1.2),
//   - an element without VR in explicit VR gets one, a UN sequence of undefined length
//     goes on in implicit VR (PS3.5 §6.2.2), and a defined VR has the form of length
//     that belongs to it,
//   - a deflated data set is deflated anew.
//
// From one syntax to another, values and the choice of defined or undefined length
// stay; lengths are computed anew. A value too long for the 16-bit length of its VR in
// explicit VR is written as UN (PS3.5 §6.2.2). Bytes of UN keep their order. Pixel data
// is not transcoded: fragments cannot be written in a native syntax, ErrMalformed.
func WriteDataset(w io.Writer, d *Dataset, ts UID, src Source) error {
	return writeDataset(w, d, SyntaxOf(ts), src)
}

// WriteFile writes preamble, File Meta Information and data set (PS3.10 §7).
//
// Group 0002 is written as it was read, except that it is in explicit VR little
// endian, the group length is right, and what PS3.10 §7.1 demands and is missing is
// added: the version, the transfer syntax, and class and instance from the data set.
// A data set that was not encoded as (0002,0010) says is written as it says, and
// without elements of group 0002, which would be taken for File Meta Information.
func WriteFile(w io.Writer, meta *FileMeta, d *Dataset, src Source) error {
	group2 := completeMeta(meta, d)
	var head bytes.Buffer
	if len(meta.Preamble) == preambleSize {
		head.Write(meta.Preamble)
	} else {
		head.Write(make([]byte, preambleSize))
	}
	head.WriteString("DICM")
	if err := WriteDataset(&head, group2, ExplicitVRLittleEndian, src); err != nil {
		return fmt.Errorf("write File Meta Information: %w", err)
	}
	if _, err := w.Write(head.Bytes()); err != nil {
		return fmt.Errorf("write File Meta Information: %w", err)
	}
	return WriteDataset(w, withoutMeta(d), meta.TransferSyntax, src)
}

// withoutMeta is d without group 0002.
func withoutMeta(d *Dataset) *Dataset {
	isMeta := func(e *Element) bool { return e.Tag.Group() == 0x0002 }
	if !slices.ContainsFunc(d.elements, isMeta) {
		return d
	}
	return &Dataset{elements: slices.DeleteFunc(slices.Clone(d.elements), isMeta), charset: d.charset}
}

// completeMeta is group 0002 with what must be there.
func completeMeta(meta *FileMeta, d *Dataset) *Dataset {
	out := NewDataset()
	for e := range meta.Dataset.All() {
		if e.Tag.Group() == 0x0002 {
			out.add(e)
		}
	}
	missing := func(tag Tag, e *Element) {
		if !out.Has(tag) && len(e.Value) > 0 {
			out.Put(e)
		}
	}
	missing(dict.FileMetaInformationGroupLength, &Element{Tag: dict.FileMetaInformationGroupLength, VR: dict.UL, Value: make([]byte, 4)})
	missing(dict.FileMetaInformationVersion, &Element{Tag: dict.FileMetaInformationVersion, VR: dict.OB, Value: []byte{0, 1}})
	missing(dict.MediaStorageSOPClassUID, uidElement(dict.MediaStorageSOPClassUID, metaUID(d, dict.SOPClassUID)))
	missing(dict.MediaStorageSOPInstanceUID, uidElement(dict.MediaStorageSOPInstanceUID, metaUID(d, dict.SOPInstanceUID)))
	if metaUID(out, dict.TransferSyntaxUID) != meta.TransferSyntax {
		out.Put(uidElement(dict.TransferSyntaxUID, meta.TransferSyntax))
	}
	missing(dict.ImplementationClassUID, uidElement(dict.ImplementationClassUID, ImplementationClassUID))
	return out
}

// NewFileMeta makes the File Meta Information for an instance: version, class,
// instance, syntax, and the implementation's own UID and version name. A class or
// instance that is empty is left out.
func NewFileMeta(class, instance, ts UID) *FileMeta {
	d := NewDataset()
	d.Put(&Element{Tag: dict.FileMetaInformationGroupLength, VR: dict.UL, Value: make([]byte, 4)})
	d.Put(&Element{Tag: dict.FileMetaInformationVersion, VR: dict.OB, Value: []byte{0, 1}})
	if class != "" {
		d.Put(uidElement(dict.MediaStorageSOPClassUID, class))
	}
	if instance != "" {
		d.Put(uidElement(dict.MediaStorageSOPInstanceUID, instance))
	}
	d.Put(uidElement(dict.TransferSyntaxUID, ts))
	d.Put(uidElement(dict.ImplementationClassUID, ImplementationClassUID))
	d.Put(&Element{Tag: dict.ImplementationVersionName, VR: dict.SH, Value: padded(ImplementationVersion, ' ')})
	return &FileMeta{Dataset: d, TransferSyntax: ts, SOPClass: class, SOPInstance: instance, Syntax: SyntaxOf(ts)}
}

// EncodeFileMeta returns preamble, prefix and group 0002 for a data set that follows
// in the given syntax: what C-STORE puts before the data set it received. aet, if not
// empty, is Source Application Entity Title.
func EncodeFileMeta(class, instance, ts UID, aet string) []byte {
	d := NewFileMeta(class, instance, ts).Dataset
	if aet != "" {
		d.Put(&Element{Tag: dict.SourceApplicationEntityTitle, VR: dict.AE, Value: padded(aet, ' ')})
	}
	var b bytes.Buffer
	b.Write(make([]byte, preambleSize))
	b.WriteString("DICM")
	// A buffer does not fail, and nothing here has to be fetched.
	_ = WriteDataset(&b, d, ExplicitVRLittleEndian, nil)
	return b.Bytes()
}

// ImplementationClassUID and ImplementationVersion identify Pharos in files and
// associations (PS3.7 §D.3.3.2).
const (
	ImplementationClassUID UID    = "2.25.183718604718429034657382949872634019283"
	ImplementationVersion  string = "PHAROS_0_1"
)

func uidElement(tag Tag, uid UID) *Element {
	return &Element{Tag: tag, VR: dict.UI, Value: padded(string(uid), 0)}
}

// padded is text with even length.
func padded(text string, pad byte) []byte {
	b := []byte(text)
	if len(b)%2 == 1 {
		b = append(b, pad)
	}
	return b
}

// writeDataset encodes d, deflating it where the syntax says so.
func writeDataset(w io.Writer, d *Dataset, ts TransferSyntax, src Source) error {
	if !ts.Deflated {
		return encode(w, d, ts, src)
	}
	counted := &countingWriter{w: w}
	z, err := flate.NewWriter(counted, flate.DefaultCompression)
	if err != nil {
		return err
	}
	if err := encode(z, d, ts, src); err != nil {
		return err
	}
	if err := z.Close(); err != nil {
		return err
	}
	if counted.n%2 == 1 { // PS3.5 §A.5
		_, err = w.Write([]byte{0})
	}
	return err
}

type countingWriter struct {
	w io.Writer
	n int64
}

func (c *countingWriter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}

// encode writes a data set in a syntax that is not deflated.
func encode(w io.Writer, d *Dataset, ts TransferSyntax, src Source) error {
	if e := d.Get(dict.PixelData); e != nil && len(e.Fragments) > 0 && !ts.Encapsulated && ts.Known {
		return fmt.Errorf("%w: encapsulated pixel data in %s", ErrMalformed, ts.Name)
	}
	array := buffers.Get().(*[bufferSize]byte)
	defer buffers.Put(array)
	enc := &encoder{w: w, src: src, buf: array[:0]}
	enc.enter(ts.Implicit, ts.BigEndian)
	if _, err := enc.measure(d); err != nil {
		return err
	}
	enc.dataset(d)
	enc.flush()
	return enc.err
}
