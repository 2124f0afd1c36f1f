package archive

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"pharos/internal/dicom"
	"pharos/internal/dicom/dict"
)

const (
	// maxHead bounds the bytes before group 0021. Heads are a few kilobytes; vendors'
	// private groups have been seen to make them some hundreds.
	maxHead = 8 << 20
	// afterHead is the first tag that may follow all UIDs.
	afterHead = dicom.Tag(0x00210000)
	// inlineValue is how long a value may be to be kept in the header; longer ones stay
	// in the file.
	inlineValue = 4 << 10
	// headerMemory bounds the values held for one arriving instance.
	headerMemory = 4 << 20
	// inflatedData bounds what a deflated data set may inflate to. Deflate is meant for
	// reports and the like; the largest seen are some megabytes.
	inflatedData = 1 << 30
)

// Incoming is an instance on its way in: its head has been read, the rest is still in
// the stream. Only [ReadIncoming] makes one.
type Incoming struct {
	Ref            dicom.Ref
	SOPClass       dicom.UID
	TransferSyntax dicom.UID
	Source         string // who sent it, for the record: set by the protocol

	reader  *dicom.Reader
	head    *dicom.Dataset
	raw     boundedBuffer // what was read so far, to be written before the rest
	preface []byte        // preamble and File Meta Information, for a file that came without
	dataset int64         // where the data set begins in the file to be kept
	shift   int64         // what the preface moves everything by
	written bool
}

// ReadIncoming reads the head of a PS3.10 file: preamble, File Meta Information and
// the data set up to group 0020, where every UID is. A file without preamble or File
// Meta Information is completed; one that has them is kept to the byte. ErrInvalid
// says what is missing.
func ReadIncoming(r io.Reader) (*Incoming, error) {
	in := &Incoming{}
	in.reader = dicom.NewReader(r, dicom.Limits{Value: inlineValue, Pixels: -1, Memory: headerMemory, Inflated: inflatedData})
	in.reader.Tee(&in.raw)
	meta, err := in.reader.Meta()
	if err != nil {
		return nil, invalid(err)
	}
	in.TransferSyntax = meta.TransferSyntax
	if in.head, err = in.reader.ReadUntil(afterHead); err != nil {
		return nil, invalid(err)
	}
	in.Ref = dicom.Ref{
		Study:    in.head.UID(dict.StudyInstanceUID),
		Series:   in.head.UID(dict.SeriesInstanceUID),
		Instance: in.head.UID(dict.SOPInstanceUID),
	}
	in.SOPClass = in.head.UID(dict.SOPClassUID)
	if err := in.checkUIDs(); err != nil {
		return nil, err
	}
	in.complete(meta)
	return in, nil
}

// invalid marks an error of the data set as the sender's, and leaves errors of the
// stream (a cut connection, a full disk) as they are.
func invalid(err error) error {
	var syntax *dicom.SyntaxError
	if errors.As(err, &syntax) || errors.Is(err, dicom.ErrNotDICOM) || errors.Is(err, dicom.ErrTooLarge) ||
		errors.Is(err, dicom.ErrMalformed) || errors.Is(err, dicom.ErrTruncated) || errors.Is(err, dicom.ErrUnknownSyntax) {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return err
}

func (in *Incoming) checkUIDs() error {
	for _, u := range [...]struct {
		tag dicom.Tag
		uid dicom.UID
	}{
		{dict.StudyInstanceUID, in.Ref.Study},
		{dict.SeriesInstanceUID, in.Ref.Series},
		{dict.SOPInstanceUID, in.Ref.Instance},
		{dict.SOPClassUID, in.SOPClass},
	} {
		if !u.uid.Valid() {
			e, _ := dict.Lookup(u.tag)
			return fmt.Errorf("%w: %s %v is missing or is not a UID", ErrInvalid, e.Keyword, u.tag)
		}
	}
	return nil
}

// complete prepares what a file without preamble, prefix or File Meta Information lacks,
// and drops what it has instead in front of them.
func (in *Incoming) complete(meta *dicom.FileMeta) {
	const whole = 128 + len("DICM")
	switch {
	case meta.NoMeta:
		in.preface = dicom.EncodeFileMeta(in.SOPClass, in.Ref.Instance, in.TransferSyntax, "")
	case meta.Start == int64(whole) && bytes.HasSuffix(in.raw.Bytes()[:whole], []byte("DICM")):
		in.dataset = meta.Length
		return
	default:
		in.preface = append(make([]byte, 128), "DICM"...)
	}
	in.raw.Next(int(meta.Start))
	in.shift = int64(len(in.preface)) - meta.Start
	in.dataset = meta.Length + in.shift
}

// DatasetOffset is where the data set begins in the file that WriteTo writes.
func (in *Incoming) DatasetOffset() int64 { return in.dataset }

// Gather names the sequences that Header is to have; the others are checked but not
// remembered. It is called before WriteTo; without it Header has all.
func (in *Incoming) Gather(want func(dicom.Tag) bool) { in.reader.Gather(want) }

// WriteTo writes the whole instance as a PS3.10 file, once, reading the rest of the
// stream as it goes and keeping its header: see Header. ErrInvalid when the rest can't
// be understood; then what was written is to be thrown away.
func (in *Incoming) WriteTo(w io.Writer) (int64, error) {
	if in.written {
		return 0, errors.New("archive: incoming instance was written already")
	}
	in.written = true
	count := &countingWriter{w: w}
	for _, b := range [...][]byte{in.preface, in.raw.Bytes()} {
		if _, err := count.Write(b); err != nil {
			return count.n, err
		}
	}
	in.raw = boundedBuffer{}
	in.reader.Tee(count)
	rest, err := in.reader.ReadRest()
	if err != nil {
		return count.n, invalid(err)
	}
	for e := range rest.All() {
		in.head.Put(e)
	}
	if in.shift != 0 {
		dicom.Shift(in.head, in.shift)
	}
	return count.n, nil
}

// Header is every element of the instance, long values as ranges of the file that
// WriteTo wrote. It is whole only after WriteTo.
func (in *Incoming) Header() *dicom.Dataset { return in.head }

// boundedBuffer is the raw head.
type boundedBuffer struct{ bytes.Buffer }

func (b *boundedBuffer) Write(p []byte) (int, error) {
	if b.Len()+len(p) > maxHead {
		return 0, fmt.Errorf("%w: more than %d bytes before group 0021", dicom.ErrTooLarge, maxHead)
	}
	return b.Buffer.Write(p)
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
