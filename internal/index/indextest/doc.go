// Package indextest is the contract of index.Index as tests. Every implementation calls
// [Run]; what an implementation may rely on beyond the comments of package index is told
// by the names of the tests.
//
// # What matches
//
// The rules of PS3.4 §C.2.2.2 leave choices. They are made here, in matching.go, as a
// table of stored values and keys, and are the same for every database:
//
//   - Text is compared without regard to case, accents and width, and without the
//     spaces at its ends; * and ? are wildcards and no other character is. Patient ID,
//     its issuer and other patient IDs are compared as they stand.
//   - Person names are compared group by group (alphabetic, ideographic, phonetic), with
//     component delimiters as single spaces; a key of one group may match any group.
//     Fuzzy matching wants each word of the key to begin some word of the name.
//   - UIDs are compared as they stand, numbers by what they are worth.
//   - A date or time of less precision covers all that begins with it when it is a key,
//     and counts as its beginning when it is stored. Ranges include both ends. A date
//     and a time are separate conditions unless they are combined expressly.
//   - Of an attribute with several values any may match, of a sequence any item; several
//     conditions within one sequence must hold for the same item.
//   - An absent or empty attribute matches a universal key and no other.
//   - A condition is on an attribute of the query's level or above.
package indextest
