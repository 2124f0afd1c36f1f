// Package archivetest is the suite that every archive.Archive passes.
package archivetest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"

	"pharos/internal/access"
	"pharos/internal/archive"
	"pharos/internal/dicom"
	"pharos/internal/dicom/dict"
)

// Run checks an archive. open returns an empty one that refuses other bytes under a known
// UID; the callers of its context-free methods may do everything.
func Run(t *testing.T, open func(t *testing.T) archive.Archive) {
	for _, c := range []struct {
		name string
		test func(*testing.T, archive.Archive)
	}{
		{"what was stored comes back to the byte", testRoundTrip},
		{"a file without preamble is completed", testCompleted},
		{"the same bytes again are a duplicate", testDuplicate},
		{"other bytes under a known UID are a conflict", testConflict},
		{"a UID under another parent is a conflict", testParent},
		{"one of many at once is stored", testConcurrent},
		{"what is stored is found at every level", testQuery},
		{"metadata is the header of each instance", testMetadata},
		{"metadata follows a growing series", testGrowing},
		{"frames are where the header says", testFrames},
		{"bulk data is what metadata points to", testBulk},
		{"what is deleted is gone", testDelete},
		{"what does not exist is not found", testNotFound},
		{"an empty scope shows nothing", testScope},
		{"what can't be understood is refused and leaves nothing", testInvalid},
		{"a stream that breaks leaves nothing", testBroken},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, open(t)) })
	}
}

// Bytes of the pixel data of every Sample: large enough not to be kept in the header.
const sampleRows, sampleColumns, sampleFrames = 64, 64, 3

// Sample is a small multi-frame image in the file that it would be sent in.
func Sample(ref dicom.Ref, number int) []byte {
	d := dicom.NewDataset()
	d.SetText(dict.SpecificCharacterSet, dict.CS, "ISO_IR 192")
	d.SetText(dict.SOPClassUID, dict.UI, dict.UltrasoundMultiFrameImageStorage)
	d.SetText(dict.SOPInstanceUID, dict.UI, string(ref.Instance))
	d.SetText(dict.StudyDate, dict.DA, "20260102")
	d.SetText(dict.AccessionNumber, dict.SH, "A1")
	d.SetText(dict.Modality, dict.CS, "US")
	d.SetText(dict.PatientName, dict.PN, "Müller^Jörg")
	d.SetText(dict.PatientID, dict.LO, "P1")
	d.SetText(dict.StudyInstanceUID, dict.UI, string(ref.Study))
	d.SetText(dict.SeriesInstanceUID, dict.UI, string(ref.Series))
	d.SetInts(dict.InstanceNumber, dict.IS, int64(number))
	d.SetInts(dict.SamplesPerPixel, dict.US, 1)
	d.SetText(dict.PhotometricInterpretation, dict.CS, "MONOCHROME2")
	d.SetInts(dict.NumberOfFrames, dict.IS, sampleFrames)
	d.SetInts(dict.Rows, dict.US, sampleRows)
	d.SetInts(dict.Columns, dict.US, sampleColumns)
	d.SetInts(dict.BitsAllocated, dict.US, 8)
	d.SetInts(dict.BitsStored, dict.US, 8)
	d.SetInts(dict.HighBit, dict.US, 7)
	d.SetInts(dict.PixelRepresentation, dict.US, 0)
	d.SetBytes(dict.PixelData, dict.OB, samplePixels(number))
	var file bytes.Buffer
	meta := dicom.NewFileMeta(dict.UltrasoundMultiFrameImageStorage, ref.Instance, dicom.ExplicitVRLittleEndian)
	if err := dicom.WriteFile(&file, meta, d, nil); err != nil {
		panic(err) // writing to memory what was just built
	}
	return file.Bytes()
}

func samplePixels(seed int) []byte {
	pixels := make([]byte, sampleRows*sampleColumns*sampleFrames)
	for i := range pixels {
		pixels[i] = byte(i*7 + i/251 + seed)
	}
	return pixels
}

// sampleRef names instance i of the first series of the first study.
func sampleRef(i int) dicom.Ref {
	return dicom.Ref{Study: "1.2.3", Series: "1.2.3.1", Instance: dicom.UID(fmt.Sprintf("1.2.3.1.%d", i))}
}

func store(t *testing.T, a archive.Archive, file []byte) (archive.Receipt, error) {
	t.Helper()
	in, err := archive.ReadIncoming(bytes.NewReader(file))
	if err != nil {
		return archive.Receipt{}, err
	}
	in.Source = "archivetest"
	return a.Store(t.Context(), in, "")
}

func mustStore(t *testing.T, a archive.Archive, files ...[]byte) {
	t.Helper()
	for _, file := range files {
		if _, err := store(t, a, file); err != nil {
			t.Fatal(err)
		}
	}
}

// retrieve reads the files of what ref names.
func retrieve(t *testing.T, a archive.Archive, ref dicom.Ref) (files [][]byte) {
	t.Helper()
	for i, err := range a.Retrieve(t.Context(), ref, access.All()) {
		if errors.Is(err, archive.ErrNotFound) {
			return nil
		}
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, read(t, func() (io.ReadCloser, error) { return i.Open(t.Context(), 0, -1) }))
	}
	return files
}

func read(t *testing.T, open func() (io.ReadCloser, error)) []byte {
	t.Helper()
	r, err := open()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func one(t *testing.T, a archive.Archive, ref dicom.Ref) archive.Instance {
	t.Helper()
	for i, err := range a.Retrieve(t.Context(), ref, access.All()) {
		if err != nil {
			t.Fatal(err)
		}
		return i
	}
	t.Fatalf("nothing at %v", ref)
	return nil
}

func testRoundTrip(t *testing.T, a archive.Archive) {
	file := Sample(sampleRef(1), 1)
	receipt, err := store(t, a, file)
	if err != nil {
		t.Fatal(err)
	}
	if receipt.Ref != sampleRef(1) || receipt.Size != int64(len(file)) || receipt.Duplicate || receipt.Held {
		t.Fatalf("receipt %+v", receipt)
	}
	got := retrieve(t, a, sampleRef(1))
	if len(got) != 1 || !bytes.Equal(got[0], file) {
		t.Fatalf("%d files came back, or other bytes", len(got))
	}
	i := one(t, a, sampleRef(1))
	if i.Size() != int64(len(file)) || i.Digest() != receipt.Digest || i.TransferSyntax() != dicom.ExplicitVRLittleEndian ||
		i.SOPClass() != dict.UltrasoundMultiFrameImageStorage || i.Received().IsZero() {
		t.Fatalf("instance of %d bytes, %s, %s, %v", i.Size(), i.TransferSyntax(), i.SOPClass(), i.Received())
	}
	if err := i.Verify(t.Context()); err != nil {
		t.Fatal(err)
	}
	bare := read(t, func() (io.ReadCloser, error) { return i.Open(t.Context(), i.DatasetOffset(), -1) })
	if !bytes.Equal(bare, file[i.DatasetOffset():]) || bare[0] != 0x08 {
		t.Fatal("the data set does not begin where it should")
	}
	part := read(t, func() (io.ReadCloser, error) { return i.Open(t.Context(), 100, 50) })
	if !bytes.Equal(part, file[100:150]) {
		t.Fatal("a part came back other than it was")
	}
	beyond := read(t, func() (io.ReadCloser, error) { return i.Open(t.Context(), int64(len(file))-3, 1000) })
	if !bytes.Equal(beyond, file[len(file)-3:]) {
		t.Fatal("reading beyond the end is not cut there")
	}
}

func testCompleted(t *testing.T, a archive.Archive) {
	file := Sample(sampleRef(1), 1)
	whole := one(t, store1(t, a, file), sampleRef(1))
	bare := bytes.ReplaceAll(file[whole.DatasetOffset():], []byte("1.2.3.1.1"), []byte("1.2.3.1.2"))
	mustStore(t, a, bare)
	got := retrieve(t, a, sampleRef(2))[0]
	meta, _, err := dicom.ReadFile(bytes.NewReader(got), dicom.Limits{})
	if err != nil || meta.NoPreamble || meta.NoMeta || meta.TransferSyntax != dicom.ExplicitVRLittleEndian {
		t.Fatalf("completed file: %+v, %v", meta, err)
	}
	if !bytes.HasSuffix(got, bare) {
		t.Fatal("the data set was changed")
	}
	v, err := one(t, a, sampleRef(2)).Frame(t.Context(), 2)
	if err != nil {
		t.Fatal(err)
	}
	frame := read(t, func() (io.ReadCloser, error) { return v, nil })
	size := sampleRows * sampleColumns
	if !bytes.Equal(frame, samplePixels(1)[size:2*size]) {
		t.Fatal("frame 2 of the completed file is not where it should be")
	}
}

func store1(t *testing.T, a archive.Archive, file []byte) archive.Archive {
	t.Helper()
	mustStore(t, a, file)
	return a
}

func testDuplicate(t *testing.T, a archive.Archive) {
	file := Sample(sampleRef(1), 1)
	mustStore(t, a, file)
	receipt, err := store(t, a, file)
	if err != nil || !receipt.Duplicate {
		t.Fatalf("%+v, %v", receipt, err)
	}
	other := append(make([]byte, 128), file[128:]...)
	copy(other, "II*\x00 a preamble of another sender")
	if receipt, err = store(t, a, other); err != nil || !receipt.Duplicate {
		t.Fatalf("the same data set behind another preamble: %+v, %v", receipt, err)
	}
	if got := retrieve(t, a, dicom.Ref{Study: "1.2.3"}); len(got) != 1 || !bytes.Equal(got[0], file) {
		t.Fatalf("%d files after storing one three times", len(got))
	}
}

func testConflict(t *testing.T, a archive.Archive) {
	file := Sample(sampleRef(1), 1)
	mustStore(t, a, file)
	if _, err := store(t, a, Sample(sampleRef(1), 2)); !errors.Is(err, archive.ErrConflict) {
		t.Fatalf("other bytes: %v", err)
	}
	if got := retrieve(t, a, sampleRef(1)); len(got) != 1 || !bytes.Equal(got[0], file) {
		t.Fatal("the first instance did not stay as it was")
	}
}

func testParent(t *testing.T, a archive.Archive) {
	mustStore(t, a, Sample(sampleRef(1), 1))
	stranger := dicom.Ref{Study: "1.2.4", Series: "1.2.3.1", Instance: "1.2.4.1.1"}
	if _, err := store(t, a, Sample(stranger, 1)); !errors.Is(err, archive.ErrConflict) {
		t.Fatalf("the series in another study: %v", err)
	}
	if got := retrieve(t, a, dicom.Ref{Study: "1.2.4"}); got != nil {
		t.Fatal("something was stored")
	}
}

func testConcurrent(t *testing.T, a archive.Archive) {
	file := Sample(sampleRef(1), 1)
	const callers = 8
	receipts := make([]archive.Receipt, callers)
	errs := make([]error, callers)
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() { receipts[i], errs[i] = store(t, a, file) })
	}
	wg.Wait()
	first := 0
	for i := range callers {
		if errs[i] != nil {
			t.Fatal(errs[i])
		}
		if !receipts[i].Duplicate {
			first++
		}
	}
	if first != 1 {
		t.Fatalf("%d of %d were the first", first, callers)
	}
}

func testQuery(t *testing.T, a archive.Archive) {
	mustStore(t, a, Sample(sampleRef(1), 1), Sample(sampleRef(2), 2))
	for _, c := range []struct {
		level archive.Level
		ref   dicom.Ref
		tag   dicom.Tag
		want  []string
	}{
		{archive.StudyLevel, dicom.Ref{}, dict.StudyInstanceUID, []string{"1.2.3"}},
		{archive.StudyLevel, dicom.Ref{}, dict.PatientName, []string{"Müller^Jörg"}},
		{archive.StudyLevel, dicom.Ref{}, dict.NumberOfStudyRelatedInstances, []string{"2"}},
		{archive.SeriesLevel, dicom.Ref{Study: "1.2.3"}, dict.SeriesInstanceUID, []string{"1.2.3.1"}},
		{archive.InstanceLevel, dicom.Ref{Study: "1.2.3", Series: "1.2.3.1"}, dict.SOPInstanceUID, []string{"1.2.3.1.1", "1.2.3.1.2"}},
		{archive.InstanceLevel, dicom.Ref{Study: "1.2.5"}, dict.SOPInstanceUID, nil},
	} {
		var got []string
		for d, err := range a.Query(t.Context(), archive.Query{Level: c.level, Ref: c.ref}, access.All()) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, d.Text(c.tag))
		}
		if fmt.Sprint(got) != fmt.Sprint(c.want) {
			t.Errorf("%v of %v: %v, want %v", c.tag, c.level, got, c.want)
		}
	}
}

// header is what the tests look at in metadata.
type headerJSON map[string]struct {
	VR          string            `json:"vr"`
	Value       []json.RawMessage `json:"Value"`
	BulkDataURI string            `json:"BulkDataURI"`
}

func metadata(t *testing.T, a archive.Archive, ref dicom.Ref) (headers []headerJSON) {
	t.Helper()
	for m, err := range a.Metadata(t.Context(), ref, access.All()) {
		if err != nil {
			t.Fatal(err)
		}
		clean := bytes.ReplaceAll(m.JSON, []byte{archive.BulkMark}, []byte("here/"))
		var h headerJSON
		if err := json.Unmarshal(clean, &h); err != nil {
			t.Fatalf("%v in %s", err, clean)
		}
		if got := string(h["00080018"].Value[0]); got != `"`+string(m.Ref.Instance)+`"` {
			t.Fatalf("header of %s is marked %s", got, m.Ref.Instance)
		}
		headers = append(headers, h)
	}
	return headers
}

func testMetadata(t *testing.T, a archive.Archive) {
	mustStore(t, a, Sample(sampleRef(2), 2), Sample(sampleRef(1), 1))
	for _, ref := range []dicom.Ref{{Study: "1.2.3"}, {Study: "1.2.3", Series: "1.2.3.1"}} {
		headers := metadata(t, a, ref)
		if len(headers) != 2 {
			t.Fatalf("%d headers of %v", len(headers), ref)
		}
		for i, h := range headers {
			if got := string(h["00200013"].Value[0]); got != fmt.Sprint(i+1) {
				t.Errorf("header %d has Instance Number %s", i, got)
			}
			if got := h["7FE00010"].BulkDataURI; got != "here/bulkdata/7FE00010" {
				t.Errorf("bulk data at %q", got)
			}
		}
	}
	if headers := metadata(t, a, sampleRef(2)); len(headers) != 1 {
		t.Fatalf("%d headers of one instance", len(headers))
	}
}

func testGrowing(t *testing.T, a archive.Archive) {
	series := dicom.Ref{Study: "1.2.3", Series: "1.2.3.1"}
	for n := 1; n <= 5; n++ {
		mustStore(t, a, Sample(sampleRef(n), n))
		if headers := metadata(t, a, series); len(headers) != n {
			t.Fatalf("%d headers after %d instances", len(headers), n)
		}
	}
	if _, err := a.Delete(t.Context(), sampleRef(3), access.All()); err != nil {
		t.Fatal(err)
	}
	if headers := metadata(t, a, series); len(headers) != 4 {
		t.Fatalf("%d headers after one of 5 was deleted", len(headers))
	}
}

func testFrames(t *testing.T, a archive.Archive) {
	mustStore(t, a, Sample(sampleRef(1), 1))
	i := one(t, a, sampleRef(1))
	if i.Frames() != sampleFrames {
		t.Fatalf("%d frames", i.Frames())
	}
	size := sampleRows * sampleColumns
	for n := 1; n <= sampleFrames; n++ {
		v, err := i.Frame(t.Context(), n)
		if err != nil {
			t.Fatal(err)
		}
		got := read(t, func() (io.ReadCloser, error) { return v, nil })
		if want := samplePixels(1)[(n-1)*size : n*size]; !bytes.Equal(got, want) || v.Length != int64(size) {
			t.Fatalf("frame %d is not what was stored", n)
		}
	}
	for _, n := range []int{0, -1, sampleFrames + 1} {
		if _, err := i.Frame(t.Context(), n); !errors.Is(err, archive.ErrNotFound) {
			t.Fatalf("frame %d: %v", n, err)
		}
	}
}

func testBulk(t *testing.T, a archive.Archive) {
	mustStore(t, a, Sample(sampleRef(1), 1))
	i := one(t, a, sampleRef(1))
	v, err := i.Bulk(t.Context(), "7FE00010")
	if err != nil {
		t.Fatal(err)
	}
	if got := read(t, func() (io.ReadCloser, error) { return v, nil }); !bytes.Equal(got, samplePixels(1)) {
		t.Fatal("pixel data is not what was stored")
	}
	part := read(t, func() (io.ReadCloser, error) { return v.Open(t.Context(), 10, 5) })
	if !bytes.Equal(part, samplePixels(1)[10:15]) {
		t.Fatal("a part of it is not")
	}
	for _, path := range []string{"", "7FE00011", "x", "00100010/0/00100010", "../7FE00010"} {
		if _, err := i.Bulk(t.Context(), path); !errors.Is(err, archive.ErrNotFound) {
			t.Errorf("bulk data at %q: %v", path, err)
		}
	}
}

func testDelete(t *testing.T, a archive.Archive) {
	mustStore(t, a, Sample(sampleRef(1), 1), Sample(sampleRef(2), 2))
	if n, err := a.Delete(t.Context(), sampleRef(1), access.All()); n != 1 || err != nil {
		t.Fatalf("%d deleted, %v", n, err)
	}
	if got := retrieve(t, a, dicom.Ref{Study: "1.2.3"}); len(got) != 1 {
		t.Fatalf("%d instances left of 2", len(got))
	}
	if n, err := a.Delete(t.Context(), dicom.Ref{Study: "1.2.3"}, access.All()); n != 1 || err != nil {
		t.Fatalf("%d deleted, %v", n, err)
	}
	for d, err := range a.Query(t.Context(), archive.Query{Level: archive.StudyLevel}, access.All()) {
		t.Fatalf("still found: %v, %v", d, err)
	}
	mustStore(t, a, Sample(sampleRef(1), 2)) // other bytes are no conflict now
}

func testNotFound(t *testing.T, a archive.Archive) {
	mustStore(t, a, Sample(sampleRef(1), 1))
	for _, ref := range []dicom.Ref{{Study: "1.2"}, {Study: "1.2.3", Series: "1"}, {Study: "1.2.4", Series: "1.2.3.1", Instance: "1.2.3.1.1"}} {
		for _, err := range a.Retrieve(t.Context(), ref, access.All()) {
			if !errors.Is(err, archive.ErrNotFound) {
				t.Errorf("retrieving %v: %v", ref, err)
			}
		}
		for _, err := range a.Metadata(t.Context(), ref, access.All()) {
			if !errors.Is(err, archive.ErrNotFound) {
				t.Errorf("metadata of %v: %v", ref, err)
			}
		}
		if _, err := a.Delete(t.Context(), ref, access.All()); !errors.Is(err, archive.ErrNotFound) {
			t.Errorf("deleting %v: %v", ref, err)
		}
	}
}

func testScope(t *testing.T, a archive.Archive) {
	mustStore(t, a, Sample(sampleRef(1), 1))
	none := access.Scope{}
	for range a.Query(t.Context(), archive.Query{Level: archive.StudyLevel}, none) {
		t.Fatal("a study is found")
	}
	for _, err := range a.Retrieve(t.Context(), sampleRef(1), none) {
		if !errors.Is(err, archive.ErrNotFound) {
			t.Fatalf("an instance is retrieved: %v", err)
		}
	}
	for _, err := range a.Metadata(t.Context(), dicom.Ref{Study: "1.2.3"}, none) {
		if !errors.Is(err, archive.ErrNotFound) {
			t.Fatalf("metadata is read: %v", err)
		}
	}
	if n, err := a.Delete(t.Context(), sampleRef(1), none); n != 0 || !errors.Is(err, archive.ErrNotFound) {
		t.Fatalf("%d deleted, %v", n, err)
	}
	if len(retrieve(t, a, sampleRef(1))) != 1 {
		t.Fatal("it is gone")
	}
}

func testInvalid(t *testing.T, a archive.Archive) {
	file := Sample(sampleRef(1), 1)
	for name, bad := range map[string][]byte{
		"nothing":         {},
		"no DICOM":        []byte("<html>not an image</html>, but long enough to be looked at for a preamble and a prefix, which it does not have anywhere in it."),
		"no study UID":    bytes.Replace(file, []byte{0x20, 0, 0x0D, 0, 'U', 'I'}, []byte{0x20, 0, 0x0F, 0, 'U', 'I'}, 1),
		"UID like a path": bytes.ReplaceAll(file, []byte("1.2.3.1.1"), []byte("../../etc")),
		"cut":             file[:len(file)-100],
		"cut in the head": file[:400],
	} {
		if _, err := store(t, a, bad); !errors.Is(err, archive.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got := retrieve(t, a, dicom.Ref{Study: "1.2.3"}); got != nil {
		t.Fatalf("%d instances were stored", len(got))
	}
}

func testBroken(t *testing.T, a archive.Archive) {
	file := Sample(sampleRef(1), 1)
	cut := errors.New("connection reset")
	in, err := archive.ReadIncoming(io.MultiReader(bytes.NewReader(file[:5000]), failing{cut}))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Store(t.Context(), in, ""); !errors.Is(err, cut) {
		t.Fatalf("broken stream: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if in, err = archive.ReadIncoming(bytes.NewReader(file)); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Store(ctx, in, ""); err == nil {
		t.Fatal("stored for a caller who had gone")
	}
	if got := retrieve(t, a, sampleRef(1)); got != nil {
		t.Fatal("something was stored")
	}
	mustStore(t, a, file)
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }
