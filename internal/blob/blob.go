package blob

import (
	"context"
	"errors"
	"io"
	"iter"
	"time"
)

// Key names one blob within one store. The store chooses it at Commit; it carries
// no meaning for anybody else except its order: see [Store.List]. Keys are at most
// 255 bytes of [0-9A-Za-z./_-].
type Key string

// Info describes a committed blob.
type Info struct {
	Key     Key
	Size    int64     // bytes
	Created time.Time // when the blob was committed, to the store's precision
}

var (
	// ErrNotExist says that no blob is committed under the key: it never was, or it
	// was deleted.
	ErrNotExist = errors.New("blob does not exist")
	// ErrCorrupt says that the stored bytes are not those that were written.
	ErrCorrupt = errors.New("blob is corrupt")
	// ErrFull says that the store has no room. Nothing was stored; the caller may
	// repeat the write when there is room again.
	ErrFull = errors.New("blob store is full")
	// ErrReadOnly says that the store cannot be written at the moment.
	ErrReadOnly = errors.New("blob store is read-only")
)

// Store is write-once storage of byte sequences. All methods are safe for
// concurrent use. A cancelled context ends a call with the context's error and
// leaves the store as it was before the call or as it would be after it.
type Store interface {
	// Create begins a blob. Any number may be under way at once. The context
	// covers the Writer too: once it is cancelled, Write and Commit fail.
	Create(ctx context.Context) (Writer, error)

	// Open reads n bytes from offset off; n < 0 reads to the end. A range that
	// begins at or beyond the end yields an empty reader; one that ends beyond it
	// is cut. The blob may be deleted while it is read: the reader then yields
	// either all the bytes or an error, never other bytes. It costs at most one
	// ranged read of the medium. ErrNotExist when there is no such blob.
	Open(ctx context.Context, key Key, off, n int64) (io.ReadCloser, error)

	// Stat describes a blob. ErrNotExist when there is no such blob.
	Stat(ctx context.Context, key Key) (Info, error)

	// Delete removes a blob for good and frees its room. Deleting what does not
	// exist succeeds, so that an interrupted deletion may be repeated.
	Delete(ctx context.Context, key Key) error

	// List yields every committed blob whose key sorts after the given one, in
	// ascending order of keys (bytewise). Keys sort by time of commit, to the
	// precision that the store documents, so that a caller who remembers a key
	// sees only what is newer. A blob committed or deleted during the listing may
	// or may not be seen. An error ends the sequence.
	List(ctx context.Context, after Key) iter.Seq2[Info, error]
}

// Writer takes the bytes of one blob. It is not safe for concurrent use.
type Writer interface {
	io.Writer

	// Commit makes the bytes durable and then visible, and returns the key that
	// the store chose. When it returns an error, the blob is not visible and will
	// not become so, except when the outcome could not be learned (a crash, a lost
	// connection): then it may exist as garbage. A second Commit is an error.
	Commit() (Info, error)

	// Abort gives the bytes up. After Commit it does nothing, so it is deferred.
	Abort() error
}
