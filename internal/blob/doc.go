// Package blob keeps immutable bytes under opaque keys. It knows nothing of
// DICOM, patients or indexes, so that each implementation can be reviewed alone.
//
// The flow of one write:
//
//	w, err := store.Create(ctx)     nothing is visible
//	defer w.Abort()                 harmless after Commit
//	io.Copy(w, src)                 still nothing is visible
//	info, err := w.Commit()         durable first, then visible under info.Key
//
// What was never committed leaves nothing behind, or leaves something that the
// store itself recognises and removes. What was committed but is named by no
// index entry is garbage; its owner finds it by comparing [Store.List] with the
// index and removes it by [Store.Delete]. Blobs are never changed in place, which
// makes retrying, caching, copying and moving them safe.
//
// Package blobtest holds the suite that every implementation passes.
package blob
