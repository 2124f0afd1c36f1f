// Package dimsetest runs foreign DICOM peers for tests: the command line tools of DCMTK
// and Orthanc, on free ports of the loopback interface, with files in a temporary
// directory, over TCP or TLS. What is started ends with its test.
//
// A test that needs a program that is not installed is skipped, except where the
// environment variable CI is set: there it fails.
package dimsetest
