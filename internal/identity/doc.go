// Package identity finds out who is calling and says so with an access.Principal in
// the context of the request. It never decides what the caller may do to which image:
// that is package access.
//
// An HTTP request passes [Authenticator.Middleware]:
//
//	Authorization: Bearer pharos_…  → SHA-256 → Store.Token → Principal "token:NAME"
//	Authorization: Basic …          → cache, else argon2id against Store.User → "user:NAME"
//	neither                         → 401 with both challenges
//
// Failures are counted per address; an address with too many of them gets 429 before
// its password is even looked at. Credentials that are known to be good pass all the
// same, so that one misconfigured program can't lock out everybody behind its router.
//
// A DICOM association is identified by [Nodes.Identify]: the calling AE title together
// with the address of the peer or, stronger, with the name in its TLS certificate.
//
// Accounts and tokens live behind [Store]. [FileStore] keeps them in one file of the
// data directory, which the command line may change while a server runs. Package
// identitytest holds the suite for further implementations.
package identity
