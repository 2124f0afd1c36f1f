// Package access decides who may do what to which images.
//
// Who: package identity (for HTTP) or the node table (for DIMSE) puts one [Principal]
// into the context. May: the [Authorizer] answers two kinds of question. A point,
// "may p write to this series?", is [Authorizer.Authorize]. A set, "everything p may
// find", is [Authorizer.Scope]; it is pushed into SQL rather than applied to results.
// Both come from one table, so that they can't disagree.
//
// Only archive.Guard asks. No handler does, so none can forget to.
//
// To somebody without any right to a thing, a refusal and its absence look alike:
// [ErrHidden].
package access
