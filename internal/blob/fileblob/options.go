package fileblob

import "fmt"

// Defaults of [Options].
const (
	DefaultSegmentSize  = 1 << 30
	DefaultLargeFrom    = 4 << 20
	DefaultOpenSegments = 256
	DefaultReserve      = 64 << 20
)

// Options tune a store. They may differ from one [Open] of a directory to the next;
// the zero value means the defaults.
type Options struct {
	// SegmentSize is the size in bytes from which a segment gets a successor; 0
	// means 1 GiB. Smaller segments can be given back sooner when their blobs are
	// deleted; larger ones are fewer files.
	SegmentSize int64

	// LargeFrom is the number of bytes up to which a blob is buffered and goes into
	// the log; what is larger gets a file of its own; 0 means 4 MiB. It bounds the
	// memory of one writer.
	LargeFrom int64

	// Reserve is how many bytes of the file system are left free, but at most a tenth of
	// it: an index on the same disk needs room to note what was already stored. A blob
	// that would use them is refused as ErrFull. 0 means 64 MiB, less than 0 none.
	Reserve int64

	// OpenSegments is how many segment files are kept open while nobody reads them;
	// 0 means 256.
	OpenSegments int
}

func (o Options) withDefaults() (Options, error) {
	if o.SegmentSize < 0 || o.LargeFrom < 0 || o.OpenSegments < 0 {
		return o, fmt.Errorf("fileblob: negative option in %+v", o)
	}
	if o.SegmentSize == 0 {
		o.SegmentSize = DefaultSegmentSize
	}
	if o.LargeFrom == 0 {
		o.LargeFrom = DefaultLargeFrom
	}
	if o.Reserve == 0 {
		o.Reserve = DefaultReserve
	}
	if o.OpenSegments == 0 {
		o.OpenSegments = DefaultOpenSegments
	}
	return o, nil
}
