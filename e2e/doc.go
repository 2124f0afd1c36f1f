// Package e2e tests the program as it is shipped, from outside and with the software
// of others: DCMTK and Orthanc over DICOM, curl and Orthanc's plugin over DICOMweb,
// dciodvfy as the judge of what is written. It imports nothing of what it tests but
// the makers of synthetic instances.
//
// TestMain builds the program once. Each test starts it with a configuration file and
// a data directory of its own on free ports of the loopback interface, and ends what
// it started. The tests are
//
//   - kill_test.go, full_test.go: the machine fails. The program is killed while
//     clients send, its log is torn, its disk is full; what was acknowledged is there
//     afterwards, byte by byte.
//   - dimse_test.go, orthanc_test.go: foreign applications over DIMSE, plain and TLS.
//   - web_test.go: foreign clients of DICOMweb.
//   - hostile_dimse_test.go, hostile_http_test.go, hostile_file_test.go: bad input by
//     its number in the table of bad inputs (D, H and F). After each case the server
//     still serves others.
//
// A test that needs a program which is not installed is skipped, except where the
// environment variable CI is set: there it fails. These variables change what is done:
//
//	PHAROS_SAMPLES      directory of sample images; without it synthetic ones do
//	PHAROS_E2E_ROUNDS   how often the program is killed; the default is 12
//	PHAROS_E2E_BINARY   the program to test, in place of one that is built
package e2e
