// Package fileblob is a [pharos/internal/blob.Store] in a directory of a local
// file system. It is a log: blobs are appended to segment files, and all commits
// that wait at the same time share one fdatasync. A file of its own per blob would
// cost one fdatasync and one directory update each, which is two to four times
// slower on the same disk.
//
//	dir/LOCK                                one process at a time (flock)
//	dir/CHECKPOINT                          up to where the log is known to be whole
//	dir/segments/00000001.log               records, one after the other
//	dir/large/00000001/0000000000001f40     a blob too large for the log, under its key
//	dir/large/new/…                         large blobs that are being written
//
// The bytes of every file are drawn in docs/format/log.md.
//
// # Writing
//
// A [Store] writer collects up to [Options.LargeFrom] bytes in pooled chunks.
// Commit appends header and chunks to the active segment in one system call under
// the append lock, leaves the lock, and waits for a sync of the segment that began
// after the append. The first one to wait leads: it waits for the running sync to
// end, closes its batch, and syncs for all who joined it meanwhile, while the next
// batch is being appended. Before a sync of little it waits up to half a sync for
// those whom the last one released: senders of small blobs are back by then, and
// would otherwise need a sync of their own. A larger blob is written to a file in large/new and
// synced there; its record in the log has no payload, and the file takes the name
// of the record's key at the moment the record is appended. The sync of the segment
// syncs the directory of its large files first. So the log alone decides what
// exists and in which order, and one code path makes things visible: a record is
// visible when it lies below the durable end of its segment and its state is live.
//
// A segment gets a successor only when all its records are durable, so that after a
// crash only the last segment can have a torn end.
//
// # Reading
//
// A key is segment number and offset; there is no table in memory. Open reads the
// 64 bytes of the record's header and then the range. When the header has to come
// from the disk, the disk is told of the range first, so that a cold read costs one
// wait instead of two. The checksum of the payload
// is not verified on ranged reads; see [Store.Verify].
//
// # Deleting
//
// Delete overwrites the one state byte of the header, syncs, and then gives the
// room back: it punches a hole where the payload was, or unlinks the large file.
// Each open reader is counted under its record, and the hole waits for the last of
// them, so a reader never sees the zeros of a hole. A sealed segment without live
// record is unlinked. What cannot be given back this way is found by
// [Store.Fragmented].
//
// # Recovery
//
// [Open] walks the log from the checkpoint on and verifies payloads. What is torn at
// the end is cut off; a damaged record before that is marked and does not hide those
// behind it, because every header says which segment and offset it belongs to and
// the walk looks for the next such header. After a clean [Store.Close] there is
// nothing to walk.
package fileblob
