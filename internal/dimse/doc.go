// Package dimse is the message exchange of PS3.7 and the service classes of PS3.4 that
// Pharos speaks: Verification, Storage, Query/Retrieve and Storage Commitment, each as
// provider ([Server]) and as user ([Client]). Associations are package ul's.
//
// The server. One goroutine serves one association: it receives a command set, hands
// the message to the handler of its service and does nothing else until that has
// answered. Every handler speaks to an archive.Archive that stands behind
// archive.Guard; the calling node's access.Principal is in the context, put there from
// what [ServerConfig.Authenticate] said when the association was negotiated.
//
//	C-STORE  data set fragments → archive.ReadIncoming → Archive.Store → response
//	C-FIND   identifier → archive.Query → Archive.Query, one response for each match
//	C-MOVE   identifier → refs → Archive.Retrieve → C-STORE on a new association
//	C-GET    the same → C-STORE on this association
//	N-ACTION list of instances → queue → Instance.Verify → N-EVENT-REPORT
//
// Nothing is gathered: a data set goes from the socket to the archive and from the
// archive to the socket in pieces. Identifiers are read whole, and are bounded.
//
// The client. [Dial] negotiates an association; its methods are the operations. It
// belongs to one goroutine at a time, as the protocol does one operation at a time.
//
// Transfer syntaxes. The server accepts, of those offered for a storage context, the
// first that it knows, since the sender lists first what it prefers to send, and keeps
// the data set as it came. When it sends, it proposes one presentation context for each
// pair of SOP class and stored transfer syntax, beside native ones for what can be
// re-encoded, so that one refusal does not take the others with it.
//
// Errors become statuses in one place, failure.go.
package dimse
