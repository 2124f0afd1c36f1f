// Package local is the archive on own storage: blobs in one or several volumes, facts
// in an index.
//
// An instance arrives (store.go): it is streamed once into a blob while its digest is
// taken and its header is noted; a receipt is put behind it (receipt.go); the blob is
// committed, which makes it durable; the index entry is committed, which makes it
// exist. The crash table:
//
//	killed before                 found at the next start            what happens
//	blob commit                   nothing, or what the volume        nothing: the sender was
//	                              itself throws away                 told of no success
//	index commit                  a blob that no entry names         the receipt says all that the
//	                                                                 entry would have: it is
//	                                                                 committed now, or deleted if
//	                                                                 the index refuses it
//	the answer                    an instance                        the sender repeats and is
//	                                                                 told that it is there
//	deletion of a removed blob    a location in the index's list     it is deleted
//	                              of garbage
//
// The index need not be durable with every instance, since the volume is: a mark
// (mark.go) says up to which blob the index is known to be durable, and recovery
// (recover.go) looks at what is newer. Rebuilding the whole index is the same with an
// empty index and no mark.
//
// An instance is read (instance.go) by ranges that were noted when it arrived. The
// headers of a series are gathered in one blob once the series is quiet (headers.go),
// so that metadata of 500 instances is one read.
//
// What is needed no longer is deleted in the background (sweep.go). Check compares
// index and volumes both ways (check.go).
package local
