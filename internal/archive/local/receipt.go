package local

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"time"

	"pharos/internal/access"
	"pharos/internal/blob"
	"pharos/internal/dicom"
	"pharos/internal/index"
)

// A receipt stands behind the PS3.10 file in each blob, so that the index can be rebuilt
// from blobs alone. It is wrapped in a Data Set Trailing Padding element (PS3.10
// §7.2), so that the blob is a DICOM file that any tool opens. Its format is drawn in
// docs/format/receipt.md.
const (
	receiptMagic   = "PHRC"
	receiptVersion = 1
	receiptFixed   = 4 + 1 + 32 + 4 + 8 + 8 // magic, version, digest, head, received, size
	receiptFooter  = 4 + 4 + 4              // CRC-32C, length of everything behind the file, magic
	maxReceipt     = 1024
	maxNote        = 255 // bytes of source and album each
)

// castagnoli is never written to.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// errNoReceipt says that a blob is not an instance: the headers of a series, or not
// ours.
var errNoReceipt = errors.New("blob has no receipt")

// receipt is what an entry can't learn from the file itself.
type receipt struct {
	digest   [32]byte // of the data set
	head     uint32   // checksum of what stands before it
	received time.Time
	size     int64 // bytes of the PS3.10 file in front of it
	source   string
	album    access.AlbumID
}

// sealReceipt encodes the receipt of an entry, with its element header. head is the
// checksum of the file up to its data set.
func sealReceipt(e *index.Entry, head uint32) []byte {
	b := trailingPadding(e.TransferSyntax)
	header := len(b)
	b = append(b, receiptMagic...)
	b = append(b, receiptVersion)
	b = append(b, e.Digest[:]...)
	b = binary.LittleEndian.AppendUint32(b, head)
	b = binary.LittleEndian.AppendUint64(b, uint64(e.Received.UnixMicro()))
	b = binary.LittleEndian.AppendUint64(b, uint64(e.Size))
	b = appendNote(b, e.Source)
	b = appendNote(b, string(e.Album))
	if len(b)%2 != header%2 {
		b = append(b, 0)
	}
	b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(b[header:], castagnoli))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(b)+8))
	b = append(b, receiptMagic...)
	if header > 0 {
		putLength(b[header-4:header], e.TransferSyntax, len(b)-header)
	}
	return b
}

// trailingPadding is the header of (FFFC,FFFC) in the syntax, its length still zero. A
// deflated stream has an end of its own and needs none.
func trailingPadding(ts dicom.UID) []byte {
	s := dicom.SyntaxOf(ts)
	switch {
	case s.Deflated:
		return nil
	case s.Implicit:
		return []byte{0xFC, 0xFF, 0xFC, 0xFF, 0, 0, 0, 0}
	case s.BigEndian:
		return []byte{0xFF, 0xFC, 0xFF, 0xFC, 'O', 'B', 0, 0, 0, 0, 0, 0}
	}
	return []byte{0xFC, 0xFF, 0xFC, 0xFF, 'O', 'B', 0, 0, 0, 0, 0, 0}
}

func putLength(field []byte, ts dicom.UID, n int) {
	if dicom.SyntaxOf(ts).BigEndian {
		binary.BigEndian.PutUint32(field, uint32(n))
		return
	}
	binary.LittleEndian.PutUint32(field, uint32(n))
}

func appendNote(b []byte, s string) []byte {
	s = s[:min(len(s), maxNote)]
	return append(append(b, byte(len(s))), s...)
}

// readReceipt reads the receipt at the end of a blob. errNoReceipt, blob.ErrCorrupt.
func readReceipt(ctx context.Context, s blob.Store, info blob.Info) (receipt, error) {
	from := max(0, info.Size-maxReceipt)
	r, err := s.Open(ctx, info.Key, from, -1)
	if err != nil {
		return receipt{}, err
	}
	defer r.Close() //nolint:errcheck // only read from
	tail, err := io.ReadAll(r)
	if err != nil {
		return receipt{}, err
	}
	return openReceipt(tail, info.Size)
}

// openReceipt decodes the receipt at the end of tail, which ends a blob of the given
// size.
func openReceipt(tail []byte, size int64) (receipt, error) {
	n := len(tail)
	if n < receiptFixed+receiptFooter+2 || string(tail[n-4:]) != receiptMagic {
		return receipt{}, errNoReceipt
	}
	length := int(binary.LittleEndian.Uint32(tail[n-8:]))
	if length > n || length < receiptFixed+receiptFooter+2 {
		return receipt{}, fmt.Errorf("%w: receipt of %d bytes", blob.ErrCorrupt, length)
	}
	body := tail[n-length : n-receiptFooter]
	for _, header := range [...]int{12, 8, 0} {
		if len(body) > header+receiptFixed && string(body[header:header+4]) == receiptMagic {
			return parseReceipt(body[header:], binary.LittleEndian.Uint32(tail[n-receiptFooter:]), size-int64(length))
		}
	}
	return receipt{}, fmt.Errorf("%w: receipt does not begin where it says", blob.ErrCorrupt)
}

func parseReceipt(body []byte, sum uint32, size int64) (receipt, error) {
	if crc32.Checksum(body, castagnoli) != sum {
		return receipt{}, fmt.Errorf("%w: checksum of its receipt", blob.ErrCorrupt)
	}
	if body[4] != receiptVersion {
		return receipt{}, fmt.Errorf("%w: receipt of version %d; a newer release of Pharos wrote it", blob.ErrCorrupt, body[4])
	}
	var r receipt
	copy(r.digest[:], body[5:])
	r.head = binary.LittleEndian.Uint32(body[37:])
	r.received = time.UnixMicro(int64(binary.LittleEndian.Uint64(body[41:]))).UTC()
	r.size = int64(binary.LittleEndian.Uint64(body[49:]))
	if r.size != size {
		return receipt{}, fmt.Errorf("%w: its receipt is for a file of %d bytes, not %d", blob.ErrCorrupt, r.size, size)
	}
	source, rest, ok := cutNote(body[receiptFixed:])
	album, _, ok2 := cutNote(rest)
	if !ok || !ok2 {
		return receipt{}, fmt.Errorf("%w: notes of its receipt", blob.ErrCorrupt)
	}
	r.source, r.album = source, access.AlbumID(album)
	return r, nil
}

func cutNote(b []byte) (note string, rest []byte, ok bool) {
	if len(b) == 0 || len(b) < 1+int(b[0]) {
		return "", nil, false
	}
	return string(b[1 : 1+b[0]]), b[1+b[0]:], true
}
