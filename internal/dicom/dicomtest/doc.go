// Package dicomtest makes synthetic instances: small, deterministic, legal by PS3.3,
// and with pictures that can be told apart. They feed the tests, the benchmarks and the
// demonstration data; none shows a person.
//
// [CT], [MR], [US], [CR], [SR], [EnhancedCT] and [JPEG] each return a data set made
// after the options. Instances of one patient, study and series are told so by the
// same options: UIDs are derived from patient, study name and numbers, unless they are
// given. [WriteTo] writes a Part 10 file in any native syntax.
package dicomtest
