// Package archive is what the protocols see of Pharos: a place that takes instances
// in, finds them, gives them back and removes them.
//
// Three things are here because there must be exactly one of each:
//
//   - [ReadIncoming] is the front door. DIMSE and DICOMweb turn what they receive into
//     an io.Reader over a PS3.10 file and call it; it reads the head, which names the
//     instance, and leaves the rest in the stream. Nothing else can make an [Incoming],
//     so its checks can't be avoided.
//   - [Guard] is the gate: a decorator around any [Archive] that asks an
//     access.Authorizer and tells an access.Auditor. Everything that speaks for a user
//     stands behind it.
//   - [Query] is the question. QIDO-RS and C-FIND both parse into it, so that both
//     match by the same rules.
//
// An instance arrives like this:
//
//	socket → ReadIncoming (head) → Guard.Store (may they?) → local.Store:
//	    Incoming.WriteTo → SHA-256 → blob.Writer; the parser notes header and ranges
//	    blob Commit, durable → index Commit, visible → Receipt → success to the sender
//
// Package local keeps instances in a blob.Store and an index.Index; package remote
// puts another DICOMweb server behind the same interface.
package archive
