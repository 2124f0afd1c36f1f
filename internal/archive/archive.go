package archive

import (
	"context"
	"errors"
	"io"
	"iter"
	"time"

	"pharos/internal/access"
	"pharos/internal/dicom"
)

var (
	// ErrInvalid says that what arrived is no instance that can be kept: its UIDs are
	// missing or malformed, or it can't be read. The wrapping error says which.
	ErrInvalid = errors.New("instance is not acceptable")
	// ErrConflict says that another instance, with another data set, has the same SOP
	// Instance UID, or that its series or study UID belongs to another study.
	ErrConflict = errors.New("another instance has the same UID")
	// ErrNotFound says that there is no such study, series, instance, frame or value,
	// or that the caller may not know of it.
	ErrNotFound = errors.New("not found")
	// ErrFull says that there is no room. The sender may try again later.
	ErrFull = errors.New("archive is full")
	// ErrQuery says that a query can't be understood; the wrapping error names the
	// attribute.
	ErrQuery = errors.New("query is not valid")
)

// Archive takes instances in, finds them and gives them back. Implementations are
// safe for concurrent use. The scope argument means "search within": handlers pass
// access.All or an album, and Guard narrows it to what the caller may see.
type Archive interface {
	// Store keeps one instance and places it in the album, unless that is empty. When
	// it returns without error, the instance is on stable storage and visible.
	// Storing the same data set again succeeds with Receipt.Duplicate: the File Meta
	// Information may differ, since every sender writes its own.
	// ErrInvalid, ErrConflict, ErrFull; or an error of the incoming stream.
	Store(ctx context.Context, in *Incoming, to access.AlbumID) (Receipt, error)

	// Query yields one data set per match, in a stable order: that of arrival, at the
	// level of the query. ErrQuery.
	Query(ctx context.Context, q Query, in access.Scope) iter.Seq2[*dicom.Dataset, error]

	// Retrieve yields the instances that ref names, series by series, in the order of
	// their Instance Number. Nothing is opened yet. ErrNotFound when there are none.
	Retrieve(ctx context.Context, ref dicom.Ref, in access.Scope) iter.Seq2[Instance, error]

	// Metadata yields the header of each instance that ref names, in the order of
	// Retrieve, as one object of the DICOM JSON Model. Values that are not inlined have
	// a BulkDataURI relative to the instance: "bulkdata/7FE00010", marked by
	// BulkMark in front so that a server can put its own address there. The bytes are
	// valid until the next step. ErrNotFound when there are none.
	Metadata(ctx context.Context, ref dicom.Ref, in access.Scope) iter.Seq2[Metadata, error]

	// Delete removes what ref names, as far as it is in scope, and returns the number of
	// instances removed. ErrNotFound when there are none.
	Delete(ctx context.Context, ref dicom.Ref, in access.Scope) (int, error)
}

// BulkMark stands in Metadata.JSON, inside a JSON string, where the address of the
// instance followed by a slash belongs. It can't occur in JSON otherwise, being a bare
// control character.
const BulkMark = '\x01'

// Metadata is the header of one instance.
type Metadata struct {
	Ref  dicom.Ref
	JSON []byte
}

// Receipt tells what became of an instance.
type Receipt struct {
	Ref       dicom.Ref
	Size      int64    // bytes kept
	Digest    [32]byte // SHA-256 of the data set
	Duplicate bool     // the same data set was there already; nothing was stored
	Held      bool     // kept aside for review, since another has this UID; not visible
	Replaced  bool     // it took the place of another
}

// Instance is a stored instance, opened only as far as asked.
type Instance interface {
	Ref() dicom.Ref
	SOPClass() dicom.UID
	TransferSyntax() dicom.UID
	Size() int64          // bytes of the PS3.10 file
	DatasetOffset() int64 // where the data set begins in it, behind the File Meta Information
	Digest() [32]byte     // SHA-256 of the data set, from DatasetOffset to the end
	Received() time.Time

	// Open reads n bytes of the PS3.10 file from off; n < 0 to the end.
	Open(ctx context.Context, off, n int64) (io.ReadCloser, error)
	// Header is every attribute but the bulky values, which are ranges of the file.
	Header(ctx context.Context) (*dicom.Dataset, error)
	// Frames is the number of frames; 0 when the instance has no pixel data.
	Frames() int
	// Frame opens one frame, counted from 1, as it is encoded. ErrNotFound.
	Frame(ctx context.Context, n int) (Value, error)
	// Bulk opens the value at a path of tags and item numbers (see dicom.BulkURI).
	// ErrNotFound.
	Bulk(ctx context.Context, path string) (Value, error)
	// Verify reads the whole file and compares it with what was noted when it was received.
	Verify(ctx context.Context) error
}

// Value is an open value of known length.
type Value struct {
	io.ReadCloser
	Length int64 // bytes
	VR     dicom.VR
	// Sized values can be opened again in part: Open reads n bytes from off.
	Open func(ctx context.Context, off, n int64) (io.ReadCloser, error)
}
