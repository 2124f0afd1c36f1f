package e2e

import (
	"bytes"
	"encoding/binary"
	"encoding/csv"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pharos/internal/dicom/dicomtest"
)

// samplesVariable names the directory of sample images.
const samplesVariable = "PHAROS_SAMPLES"

// corpusFile is an image file with one SOP Instance UID that no other has.
type corpusFile struct {
	path   string
	syntax string
}

// corpus returns the samples that have all UIDs, one for each SOP Instance UID, or
// synthetic instances in some transfer syntaxes.
func corpus(t *testing.T) []corpusFile {
	t.Helper()
	if dir := os.Getenv(samplesVariable); dir != "" {
		return sampleFiles(t, dir)
	}
	return writeCorpus(t, synthetic(t))
}

// synthetic are instances of several kinds in several transfer syntaxes.
func synthetic(t *testing.T) [][]byte {
	t.Helper()
	var files [][]byte
	for i, p := range dicomtest.Patients() {
		of := []dicomtest.Option{dicomtest.WithPatient(p), dicomtest.WithStudy("e2e"), dicomtest.WithSize(64, 64), dicomtest.WithInstance(i + 1)}
		switch i % 4 {
		case 0:
			files = append(files, dicomtest.Bytes(t, dicomtest.CT(of...), explicitLE))
		case 1:
			files = append(files, dicomtest.Bytes(t, dicomtest.MR(of...), implicitLE))
		case 2:
			files = append(files, dicomtest.Bytes(t, dicomtest.SR(of...), explicitBE))
		case 3:
			files = append(files, dicomtest.JPEGBytes(t, of...))
		}
	}
	return append(files, dicomtest.Bytes(t, dicomtest.EnhancedCT(dicomtest.WithStudy("e2e"), dicomtest.WithSeries(2), dicomtest.WithSize(32, 32)), deflated))
}

func writeCorpus(t *testing.T, files [][]byte) []corpusFile {
	t.Helper()
	dir := t.TempDir()
	var written []corpusFile
	for i, f := range files {
		path := filepath.Join(dir, fmt.Sprintf("%02d.dcm", i))
		if err := os.WriteFile(path, f, 0o600); err != nil {
			t.Fatal(err)
		}
		written = append(written, corpusFile{path: path, syntax: metaText(f, 0x10)})
	}
	return written
}

// sampleFiles reads the list of samples.
func sampleFiles(t *testing.T, dir string) []corpusFile {
	t.Helper()
	f, err := os.Open(filepath.Join(dir, "MANIFEST.tsv"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r := csv.NewReader(f)
	r.Comma, r.LazyQuotes, r.FieldsPerRecord = '\t', true, -1
	rows, err := r.ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	column := map[string]int{}
	for i, name := range rows[0] {
		column[name] = i
	}
	seen := map[string]bool{"": true}
	var found []corpusFile
	for _, row := range rows[1:] {
		if len(row) < len(rows[0]) || seen[row[column["sop_uid"]]] || strings.HasPrefix(row[0], "fuzz/") {
			continue
		}
		seen[row[column["sop_uid"]]] = true
		if row[column["study_uid"]] == "" || strings.Trim(row[column["sop_uid"]], "0123456789.") != "" {
			continue // of no patient, as palettes are, or by no UID
		}
		syntax := strings.Fields(row[column["transfer_syntax"]])
		if len(syntax) == 0 {
			continue
		}
		found = append(found, corpusFile{filepath.Join(dir, row[0]), syntax[len(syntax)-1]})
	}
	if len(found) == 0 {
		t.Fatalf("no samples in %s", dir)
	}
	return found
}

// metaText is the value of an element of the File Meta Information; 0x03 is Media
// Storage SOP Instance UID, 0x10 Transfer Syntax UID.
func metaText(file []byte, number byte) string {
	if len(file) < 144 || string(file[128:132]) != "DICM" {
		return ""
	}
	for rest := file[132:]; len(rest) > 12 && rest[0] == 2 && rest[1] == 0; {
		head, n := 8, int(binary.LittleEndian.Uint16(rest[6:]))
		if vr := string(rest[4:6]); vr == "OB" || vr == "UN" || vr == "UT" {
			head, n = 12, int(binary.LittleEndian.Uint32(rest[8:]))
		}
		if n < 0 || head+n > len(rest) {
			return ""
		}
		if rest[2] == number && rest[3] == 0 {
			return string(bytes.TrimRight(rest[head:head+n], " \x00"))
		}
		rest = rest[head+n:]
	}
	return ""
}

// received are data sets that a storescp has written, by SOP Instance UID.
func received(t *testing.T, files []string) map[string][]byte {
	t.Helper()
	found := map[string][]byte{}
	for _, path := range files {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		found[metaText(content, 0x03)+" "+metaText(content, 0x10)] = datasetOf(t, content)
	}
	return found
}
