package local

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"

	"github.com/klauspost/compress/zstd"

	"pharos/internal/blob"
	"pharos/internal/dicom"
)

// The blob of a series' headers: a magic and a version, then one zstd stream of records,
// in the order of archive.Retrieve. docs/format/headers.md draws it.
const (
	headersMagic   = "PHSH"
	headersVersion = 1
	headersWindow  = 4 << 20   // how far back the compressor looks: about 500 headers
	maxHeaderJSON  = 256 << 20 // a longer record is not ours
)

// header is one record.
type header struct {
	instance dicom.UID
	digest   [32]byte // of the data set that the header was read from
	json     []byte
}

type headerWriter struct {
	z   *zstd.Encoder
	buf []byte
}

func newHeaderWriter(w io.Writer) (*headerWriter, error) {
	if _, err := w.Write(append([]byte(headersMagic), headersVersion)); err != nil {
		return nil, err
	}
	z, err := zstd.NewWriter(w, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(headersWindow),
		zstd.WithEncoderLevel(zstd.SpeedFastest))
	if err != nil {
		return nil, err
	}
	return &headerWriter{z: z}, nil
}

func (h *headerWriter) write(instance dicom.UID, digest [32]byte, json []byte) error {
	h.buf = append(h.buf[:0], byte(len(instance)))
	h.buf = append(h.buf, instance...)
	h.buf = append(h.buf, digest[:]...)
	h.buf = binary.AppendUvarint(h.buf, uint64(len(json)))
	if _, err := h.z.Write(h.buf); err != nil {
		return err
	}
	_, err := h.z.Write(json)
	return err
}

func (h *headerWriter) close() error { return h.z.Close() }

// isHeaders reports whether a blob holds the headers of a series.
func isHeaders(ctx context.Context, s blob.Store, key blob.Key) bool {
	r, err := s.Open(ctx, key, 0, int64(len(headersMagic)))
	if err != nil {
		return false
	}
	defer r.Close() //nolint:errcheck // only read from
	magic, err := io.ReadAll(r)
	return err == nil && string(magic) == headersMagic
}

// readHeaders yields the records of a blob. The JSON of a record is valid until the next
// step.
func readHeaders(r io.Reader) iter.Seq2[header, error] {
	return func(yield func(header, error) bool) {
		var magic [len(headersMagic) + 1]byte
		if _, err := io.ReadFull(r, magic[:]); err != nil || string(magic[:4]) != headersMagic || magic[4] != headersVersion {
			yield(header{}, fmt.Errorf("%w: not the headers of a series, or of a newer release", blob.ErrCorrupt))
			return
		}
		z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(headersWindow))
		if err != nil {
			yield(header{}, err)
			return
		}
		defer z.Close()
		in := bufio.NewReaderSize(z, 64<<10)
		var buf []byte
		for {
			h, err := readHeader(in, buf)
			if errors.Is(err, io.EOF) {
				return
			}
			buf = h.json
			if !yield(h, err) || err != nil {
				return
			}
		}
	}
}

// readHeader reads one record into buf, which grows as needed. io.EOF at the end.
func readHeader(in *bufio.Reader, buf []byte) (header, error) {
	var h header
	n, err := in.ReadByte()
	if err != nil {
		return h, err
	}
	uid := make([]byte, n)
	if _, err := io.ReadFull(in, uid); err != nil {
		return h, torn(err)
	}
	h.instance = dicom.UID(uid)
	if _, err := io.ReadFull(in, h.digest[:]); err != nil {
		return h, torn(err)
	}
	length, err := binary.ReadUvarint(in)
	if err != nil || length > maxHeaderJSON {
		return h, torn(err)
	}
	if uint64(cap(buf)) < length {
		buf = make([]byte, length, length+length/4)
	}
	h.json = buf[:length]
	if _, err := io.ReadFull(in, h.json); err != nil {
		return h, torn(err)
	}
	return h, nil
}

func torn(err error) error {
	return fmt.Errorf("%w: headers of a series: %w", blob.ErrCorrupt, err)
}

// headerCursor walks old records beside new entries, both in the same order.
type headerCursor struct {
	next    func() (header, error, bool)
	stop    func()
	current header
	ok      bool // there is a current record
	taken   bool // and it was given out, so that the next call steps on
}

func newHeaderCursor(seq iter.Seq2[header, error]) *headerCursor {
	c := &headerCursor{}
	c.next, c.stop = iter.Pull2(seq)
	c.advance()
	return c
}

func (c *headerCursor) advance() {
	var err error
	c.current, err, c.ok = c.next()
	c.ok = c.ok && err == nil
}

// take returns the JSON of the current record if it is about the same file, else nil. The
// bytes are valid until the next call. A record that no entry asks for, its instance being
// gone, stops the cursor, and the rest is read from the instances.
func (c *headerCursor) take(instance dicom.UID, digest [32]byte) []byte {
	if c == nil {
		return nil
	}
	if c.taken {
		c.advance()
		c.taken = false
	}
	if !c.ok || c.current.instance != instance || c.current.digest != digest {
		return nil
	}
	c.taken = true
	return c.current.json
}
