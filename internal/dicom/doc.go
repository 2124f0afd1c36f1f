// Package dicom is the data set of PS3.5, the file of PS3.10 and its other
// spellings in PS3.18 Annex F (JSON) and PS3.19 Annex A (XML).
//
// There are two levels, and most callers want the upper one:
//
//   - [Scanner] walks an encoded data set token by token: an element's header with
//     its offsets, the beginning and end of a sequence, of an item, of a fragment. A
//     value stays in the stream until the caller asks for it. It holds a bounded
//     buffer and a bounded stack, whatever the data set claims to be.
//   - [Reader] sits on a Scanner and gathers elements into a [Dataset], portion by
//     portion: the File Meta Information, the elements below a tag, the rest. A value
//     longer than a limit is not loaded; its element says where in the file it lies
//     ([Element.Bulk]).
//
// What was read unchanged is written unchanged by [WriteDataset]: lengths as they were
// (defined, undefined, odd), padding, group lengths, unknown VRs and vendor's quirks
// included; what the standard forbids is put right, as the list there says. In memory every binary value is little endian, whatever the transfer
// syntax was.
//
// Text is decoded on access, not on reading: a data set carries the character sets
// that were in force where it stood ([Charset]), and a declaration that is wrong or
// missing costs replacement characters, never an error.
//
// The facts of PS3.6 and PS3.4 (tags, keywords, VRs, UIDs, SOP classes) are in
// package dict.
package dicom
