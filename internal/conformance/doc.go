// Package conformance renders the parts of docs/conformance.md that are tables in the
// code: SOP classes, transfer syntaxes, query keys, character sets, identifiers of the
// implementation, defaults of limits.
//
// [Sections] has a function for each of them. In the document such a part stands between
// the comments
//
//	<!-- begin: NAME -->
//	<!-- end: NAME -->
//
// and [Update] puts what is rendered there. The package's test fails when the document is
// not what Update makes of it, and rewrites it when it is run with -update:
//
//	go test ./internal/conformance -update
//
// Nothing but that test uses the package, so that it costs the program nothing.
package conformance
