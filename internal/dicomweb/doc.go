// Package dicomweb is the Studies Service of PS3.18 §10, both sides of it, and the URI
// service of §9.
//
// A request takes this way:
//
//	middleware outside puts the access.Principal into the context
//	→ [New]'s handler: path checks, CORS, OPTIONS
//	→ one handler per resource: qido.go, wado.go, metadata.go, frames.go, bulkdata.go,
//	  rendered.go, wadouri.go, stow.go, delete.go
//	→ archive.Archive, which is guarded: no handler decides who may do what
//	→ a reply, streamed through one pooled buffer (reply.go)
//
// Handlers return an error instead of writing one. problem.go turns it into a status
// and an RFC 9457 document by one table; what is not in the table is a 500 whose text
// goes to the log only. An error after the first byte of a body cuts the connection,
// because a client must not take half an answer for a whole one.
//
// What the client accepts is understood in media.go. The rules of PS3.18 §8.7 hold, and
// where the field is laxer than the standard so is this package: media types need not be
// quoted, the Accept header may be missing, and "*/*" means "as stored".
//
// Native transfer syntaxes are converted into each other on retrieval (convert.go).
// Encapsulated ones are sent as stored to whoever accepts that, and are a 406 otherwise.
//
// Addresses in answers (RetrieveURL, BulkDataURI) begin with the configured public URL.
// The Host header is the client's word and is not used.
//
// [Client] speaks to other servers with the same verbs. It retries only what cannot
// have had an effect.
package dicomweb
