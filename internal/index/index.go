package index

import (
	"context"
	"errors"
	"iter"
	"time"

	"pharos/internal/access"
	"pharos/internal/archive"
	"pharos/internal/blob"
	"pharos/internal/dicom"
)

// ErrLost says that the index lost instances that it had committed since the last Sync,
// as when its disk filled up. Before Revive it answers this to Mark and to whatever
// would change it, and reads without what is lost.
var ErrLost = errors.New("index lost what it had not yet made durable")

// Location is where bytes lie: a blob in one of the configured volumes.
type Location struct {
	Volume string
	Key    blob.Key
}

// Entry is what the index keeps of one instance.
type Entry struct {
	Ref            dicom.Ref
	SOPClass       dicom.UID
	TransferSyntax dicom.UID
	Location       Location
	Size           int64    // bytes of the PS3.10 file
	Digest         [32]byte // SHA-256 of its data set, without the File Meta Information
	Layout         []byte   // where header, frames and large values lie; opaque to the index
	Received       time.Time
	Source         string         // who sent it
	Album          access.AlbumID // where its series is placed; empty for nowhere
	Attributes     *dicom.Dataset // the attributes that archive.Keys names, and others, which are ignored; nil in entries that Locate yields
}

// Policy says what becomes of an instance whose SOP Instance UID is known with
// another digest.
type Policy uint8

// The policies.
const (
	Refuse  Policy = iota // the first one stays; archive.ErrConflict
	Replace               // the new one takes its place
	Keep                  // the new one is held aside, invisible, for review
)

// Outcome tells what Commit did.
type Outcome uint8

// The outcomes of Commit.
const (
	Added     Outcome = iota + 1 // it exists now
	Duplicate                    // the same digest was there; the entry's location is not needed
	Replaced                     // it took the place of another, whose location is garbage now
	Held                         // it is kept aside
)

// Seq orders changes: a later change has a greater one.
type Seq int64

// Change tells that something happened to a series.
type Change struct {
	Seq    Seq
	Ref    dicom.Ref // the instance; for a removal possibly only its study and series
	Kind   ChangeKind
	At     time.Time
	Source string
}

// ChangeKind is what happened.
type ChangeKind uint8

// The kinds of change.
const (
	Arrived ChangeKind = iota + 1
	Removed
)

// SeriesHeaders tells where the headers of a series lie and how fresh they are.
type SeriesHeaders struct {
	Ref       dicom.Ref // study and series
	Location  Location  // zero when none were built
	Through   Seq       // they reflect every change of the series up to this one
	Latest    Seq       // the latest change of the series
	Instances int
}

// Index is the archive's memory of what it holds. Methods are safe for concurrent use.
// What a method returned is seen by every later call of any method.
type Index interface {
	// Commit makes an instance exist, with its place in the album and its change, or
	// tells why not. Concurrent calls may share a transaction. A study, series or
	// instance UID that is known under another parent is archive.ErrConflict whatever
	// the policy. Two calls with one UID at once behave as one after the other. The
	// location of an entry that is a Duplicate or was refused is the caller's to delete;
	// whoever repeats a Commit must ask Unknown first, since the location may be the one
	// in use.
	// Commit need not be durable before the next Sync.
	Commit(ctx context.Context, e Entry, p Policy) (Outcome, error)

	// Sync makes durable everything that was committed before the call, together with
	// the mark, which Mark returns after a restart. Marks let the owner of the blobs
	// know from where it must look for instances that the index may have forgotten in a
	// crash.
	Sync(ctx context.Context, mark blob.Key) error
	// Revive lets an index that answers ErrLost be used again, as it was at some moment
	// since the last Sync. The caller has to commit again what is missing behind the mark.
	Revive(ctx context.Context) error
	// Mark returns the mark of the last Sync, or "".
	Mark(ctx context.Context) (blob.Key, error)

	// Query yields a data set per match in the order of arrival. See archive.Query and
	// package indextest for what matches.
	Query(ctx context.Context, q archive.Query, in access.Scope) iter.Seq2[*dicom.Dataset, error]

	// Locate yields the entries that ref names and that are in scope, without
	// attributes, ordered by series, Instance Number and arrival. Any part of ref may be
	// empty. No entries, no error.
	Locate(ctx context.Context, ref dicom.Ref, in access.Scope) iter.Seq2[Entry, error]

	// Relocate moves an instance's location if it still is from, and makes from garbage;
	// archive.ErrConflict when it is another, archive.ErrNotFound when there is none.
	Relocate(ctx context.Context, instance dicom.UID, from, to Location) error

	// Remove makes what ref names and is in scope not exist any more, and their
	// locations garbage. It is durable when it returns. It returns the number of
	// instances removed.
	Remove(ctx context.Context, ref dicom.Ref, in access.Scope) (int, error)

	// Garbage yields locations whose bytes are needed no longer. Forget is called when
	// they are gone.
	Garbage(ctx context.Context) iter.Seq2[Location, error]
	Forget(ctx context.Context, ls ...Location) error
	// Unknown returns those of the locations that no entry, no held entry, no series'
	// headers and no garbage names.
	Unknown(ctx context.Context, ls []Location) ([]Location, error)

	// Changes yields the changes after a Seq, in order and without gaps: a change that
	// is not yet visible holds back all later ones. It ends at the latest.
	Changes(ctx context.Context, after Seq) iter.Seq2[Change, error]

	// Headers yields, for each series that ref names, the state of its built headers.
	// Only series that are wholly in scope are yielded; scopes are unions of series, so
	// a series is in scope or it is not.
	Headers(ctx context.Context, ref dicom.Ref, in access.Scope) iter.Seq2[SeriesHeaders, error]
	// SetHeaders notes newly built headers; the location they replace becomes garbage.
	// It is archive.ErrConflict when fresher ones are noted already, and
	// archive.ErrNotFound when the series is gone.
	SetHeaders(ctx context.Context, h SeriesHeaders) error

	// Count returns the numbers of studies, series and instances, kept rather than
	// computed.
	Count(ctx context.Context) (Totals, error)
	// Close ends the use of the index, after making everything durable.
	Close() error
}

// Totals are counts of the whole index.
type Totals struct {
	Studies, Series, Instances int64
	Bytes                      int64 // of PS3.10 files
}
