// Package blobtest holds what every [blob.Store] must do, as tests. An
// implementation calls [Run] with a function that opens an empty store, and
// [RunReopen] when its stores outlive the process.
//
// The suite writes only synthetic bytes that follow from a seed, so a wrong byte is
// noticed wherever it stands, and compares streams piece by piece, so that the suite
// needs no more memory for a large blob than for a small one.
package blobtest
