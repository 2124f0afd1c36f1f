// Package dict holds the tables of PS3.6 (data elements, UIDs) and PS3.4 (storage SOP
// classes).
//
// The facts are in elements.tsv and uids.tsv beside this file, whose heads tell where
// they come from: the dictionaries of DCMTK, pydicom and dcmjs. generate.go turns them
// into constants, sorted arrays and a hash table, which the linker lays out: nothing
// is built when the program starts. [Lookup], [VROf], [ByKeyword] and [UIDByValue] search them.
//
// The package is below package dicom, which looks up VRs here, and so defines the
// [Tag] and [VR] types itself.
package dict
