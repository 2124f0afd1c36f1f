package dicomweb

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"pharos/internal/access"
	"pharos/internal/archive"
	"pharos/internal/dicom"
	"pharos/internal/dicom/dicomtest"
	"pharos/internal/dicom/dict"
)

// result gives the failure reasons of a STOW answer by SOP Instance UID; 0 is success.
func (a answered) result(t *testing.T) map[string]float64 {
	t.Helper()
	got := make(map[string]float64)
	set := a.json(t)[0]
	for _, item := range items(t, set, dict.ReferencedSOPSequence) {
		got[fmt.Sprint(one(item, dict.ReferencedSOPInstanceUID))] = 0
	}
	for _, sequence := range []dicom.Tag{dict.FailedSOPSequence, dict.OtherFailuresSequence} {
		for _, item := range items(t, set, sequence) {
			got[fmt.Sprint(one(item, dict.ReferencedSOPInstanceUID))] = one(item, dict.FailureReason).(float64)
		}
	}
	return got
}

func TestStoreTellsOfEachInstance(t *testing.T) {
	other := func(t *testing.T) []byte { return ct(t, 9, dicomtest.WithUIDs("4.5", "4.5.1", "4.5.1.1")) }
	for _, c := range []struct {
		name   string
		path   string
		files  [][]byte
		status int
		want   map[string]float64
	}{
		{"all stored", "/studies", [][]byte{ct(t, 2), other(t)}, 200, map[string]float64{"1.2.3.1.2": 0, "4.5.1.1": 0}},
		{"the same again", "/studies/1.2.3", [][]byte{ct(t, 1)}, 200, map[string]float64{"1.2.3.1.1": 0}},
		{"other bytes", "/studies", [][]byte{changed(ct(t, 1))}, 409, map[string]float64{"1.2.3.1.1": 0x0111}},
		{"one of another study", "/studies/1.2.3", [][]byte{ct(t, 2), other(t)}, 202, map[string]float64{"1.2.3.1.2": 0, "4.5.1.1": 0xA900}},
		{"one unreadable", "/studies", [][]byte{ct(t, 2), []byte("text")}, 202, map[string]float64{"1.2.3.1.2": 0, "<nil>": 0xC000}},
		{"one cut short", "/studies", [][]byte{ct(t, 2)[:5000], ct(t, 3)}, 202, map[string]float64{"1.2.3.1.2": 0xC000, "1.2.3.1.3": 0}},
		{"all unreadable", "/studies", [][]byte{[]byte("text")}, 400, map[string]float64{"<nil>": 0xC000}},
		{"different failures", "/studies/1.2.3", [][]byte{changed(ct(t, 1)), []byte("text")}, 409, map[string]float64{"1.2.3.1.1": 0x0111, "<nil>": 0xC000}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t)
			s.put(ct(t, 1))
			got := s.stow(c.path, c.files...).wants(t, c.status).result(t)
			if fmt.Sprint(got) != fmt.Sprint(c.want) {
				t.Errorf("%v, want %v", got, c.want)
			}
		})
	}
}

// failing is an archive whose store always fails.
type failing struct {
	archive.Archive
	err error
}

func (f failing) Store(_ context.Context, in *archive.Incoming, _ access.AlbumID) (archive.Receipt, error) {
	if _, err := in.WriteTo(io.Discard); err != nil {
		return archive.Receipt{}, err
	}
	return archive.Receipt{}, f.err
}

func TestStoreMapsFailuresOfTheArchive(t *testing.T) {
	for _, c := range []struct {
		err    error
		status int
		reason float64
	}{
		{archive.ErrFull, 503, 0xA700},
		{fmt.Errorf("store: %w", access.ErrDenied), 403, 0x0124},
		{access.ErrHidden, 403, 0x0124},
		{errors.New("disk on fire"), 500, 0x0110},
		{fmt.Errorf("%w: no", archive.ErrInvalid), 400, 0xC000},
	} {
		s := newSite(t, func(cfg *Config) { cfg.Archive = failing{cfg.Archive, c.err} })
		got := s.stow("/studies", ct(t, 1)).wants(t, c.status)
		if reason := got.result(t)["1.2.3.1.1"]; reason != c.reason {
			t.Errorf("%v: reason %04X, want %04X", c.err, int(reason), int(c.reason))
		}
		if strings.Contains(string(got.body), "fire") {
			t.Errorf("the answer tells too much: %s", got.body)
		}
	}
}

func TestStoreForms(t *testing.T) {
	file := ct(t, 1)
	zipped := func(r io.Reader) io.Reader {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		_, _ = io.Copy(z, r)
		_ = z.Close()
		return &b
	}
	for name, c := range map[string]struct {
		body   io.Reader
		fields []string
	}{
		"one file alone":        {bytes.NewReader(file), []string{"Content-Type: application/dicom"}},
		"unquoted type":         {related("BOUNDARY", dicomPart(file)), []string{"Content-Type: multipart/related; type=application/dicom; boundary=BOUNDARY"}},
		"no type":               {related("BOUNDARY", dicomPart(file)), []string{"Content-Type: multipart/related; boundary=BOUNDARY"}},
		"a boundary in quotes":  {related("a b", dicomPart(file)), []string{`Content-Type: multipart/related; type="application/dicom"; boundary="a b"`}},
		"parts without header":  {related("BOUNDARY", append([]byte("\r\n"), file...)), []string{dicomParts}},
		"gzip":                  {zipped(related("BOUNDARY", dicomPart(file))), []string{dicomParts, "Content-Encoding: gzip"}},
		"of unknown length":     {io.MultiReader(related("BOUNDARY", dicomPart(file))), []string{dicomParts}},
		"answered in XML":       {related("BOUNDARY", dicomPart(file)), []string{dicomParts, "Accept: application/dicom+xml"}},
		"answered nevertheless": {related("BOUNDARY", dicomPart(file)), []string{dicomParts, "Accept: text/html"}},
		"without its preamble":  {related("BOUNDARY", dicomPart(file[132:])), []string{dicomParts}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			got := s.do("POST", "/studies", c.body, c.fields...).wants(t, 200)
			if !bytes.Contains(got.body, []byte("https://pacs.example.org/dicom-web"+instancePath)) {
				t.Errorf("no RetrieveURL in %s", got.body)
			}
			if stored := s.get(instancePath, "Accept: application/dicom;transfer-syntax=*"); !bytes.Equal(stored.body[132:], file[132:]) {
				t.Error("what was stored differs")
			}
		})
	}
}

func TestStoreNotesWhoSends(t *testing.T) {
	seen := make(chan string, 1)
	s := newSite(t, func(c *Config) { c.Archive = watching{c.Archive, seen} })
	s.stow("/studies", ct(t, 1)).wants(t, 200)
	if source := <-seen; source != "127.0.0.1" {
		t.Errorf("source %q", source)
	}
}

type watching struct {
	archive.Archive
	seen chan<- string
}

func (w watching) Store(ctx context.Context, in *archive.Incoming, to access.AlbumID) (archive.Receipt, error) {
	w.seen <- in.Source
	return w.Archive.Store(ctx, in, to)
}

func TestStoreKeepsWhatCameBeforeABreak(t *testing.T) {
	s := newSite(t)
	body := io.MultiReader(strings.NewReader("--BOUNDARY\r\n\r\n"), bytes.NewReader(ct(t, 1)),
		strings.NewReader("\r\n--BOUNDARY\r\n\r\n"), bytes.NewReader(ct(t, 2)[:3000]))
	s.do("POST", "/studies", body, dicomParts).wants(t, 202)
	if n := s.count(); n != 1 {
		t.Errorf("%d instances are stored, want the 1 that came whole", n)
	}
}

func TestPanicWhileStoringFailsTheInstanceOnly(t *testing.T) {
	s := newSite(t, func(c *Config) { c.Archive = panicking{c.Archive} })
	s.stow("/studies", ct(t, 1), ct(t, 2)).wants(t, 500)
	s.get("/studies").wants(t, 200)
}

type panicking struct{ archive.Archive }

func (panicking) Store(context.Context, *archive.Incoming, access.AlbumID) (archive.Receipt, error) {
	panic("bug")
}

// asDocument turns an instance into JSON metadata with its pixel data under an address.
func asDocument(t *testing.T, file []byte, pixels string) string {
	t.Helper()
	_, ds, err := dicom.ReadFile(bytes.NewReader(file), dicom.Limits{Value: 1024})
	if err != nil {
		t.Fatal(err)
	}
	return string(dicom.AppendJSON(nil, ds, 1024, func(string, *dicom.Element) string { return pixels }))
}

func bulkPart(contentType, location string, value []byte) []byte {
	return append([]byte("Content-Type: "+contentType+"\r\nContent-Location: "+location+"\r\n\r\n"), value...)
}

func TestStoreOfMetadataWithBulkData(t *testing.T) {
	native, jpeg := ct(t, 1), dicomtest.JPEGBytes(t, dicomtest.WithUIDs(study1, "1.2.3.2", "1.2.3.2.1"), dicomtest.WithFrames(1))
	pixels := pixelsOf(t, native)
	jpegSite := newSite(t)
	jpegSite.put(jpeg)
	frame := jpegSite.get(jpegPath+"/frames/1", "Accept: image/jpeg").wants(t, 200).body
	const jsonType = `Content-Type: multipart/related; type="application/dicom+json"; boundary=BOUNDARY`
	const xmlType = `Content-Type: multipart/related; type="application/dicom+xml"; boundary=BOUNDARY`
	metadata := func(kind, text string) []byte { return []byte("Content-Type: " + kind + "\r\n\r\n" + text) }

	for name, c := range map[string]struct {
		contentType string
		parts       [][]byte
		path        string
		syntax      dicom.UID
		frame       []byte
	}{
		"JSON": {jsonType, [][]byte{metadata(typeDICOMJSON, "["+asDocument(t, native, "bulk/1")+"]"), bulkPart(typeOctetStream, "bulk/1", pixels)},
			instancePath, dicom.ExplicitVRLittleEndian, pixels},
		"bulk data first": {jsonType, [][]byte{bulkPart(typeOctetStream, "bulk/1", pixels), metadata(typeDICOMJSON, asDocument(t, native, "bulk/1"))},
			instancePath, dicom.ExplicitVRLittleEndian, pixels},
		"JPEG": {jsonType, [][]byte{metadata(typeDICOMJSON, "["+asDocument(t, jpeg, "u:1")+"]"), bulkPart("image/jpeg; transfer-syntax=1.2.840.10008.1.2.4.50", "u:1", frame)},
			jpegPath, dicomtest.JPEGBaseline, frame},
		"XML": {xmlType, [][]byte{metadata(typeDICOMXML, asXMLDocument(t, native, "bulk/1")), bulkPart(typeOctetStream, "bulk/1", pixels)},
			instancePath, dicom.ExplicitVRLittleEndian, pixels},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			s.do("POST", "/studies", related("BOUNDARY", c.parts...), c.contentType).wants(t, 200)
			file := s.get(c.path, "Accept: application/dicom; transfer-syntax=*").wants(t, 200).body
			meta, ds, err := dicom.ReadFile(bytes.NewReader(file), dicom.Limits{})
			if err != nil || meta.TransferSyntax != c.syntax {
				t.Fatalf("stored in %v, %v", meta, err)
			}
			if got := ds.Text(dict.PatientName); got != "Example^Ada" {
				t.Errorf("PatientName %q", got)
			}
			if got := ds.Floats(dict.PixelSpacing); c.path == instancePath && (len(got) != 2 || got[0] != 6.25) {
				t.Errorf("PixelSpacing %v", got)
			}
			got := s.get(c.path+"/frames/1", "Accept: application/octet-stream; transfer-syntax=*").wants(t, 200).body
			if !bytes.Equal(got, c.frame) {
				t.Errorf("frame of %d bytes, want %d", len(got), len(c.frame))
			}
		})
	}
}

func asXMLDocument(t *testing.T, file []byte, pixels string) string {
	t.Helper()
	_, ds, err := dicom.ReadFile(bytes.NewReader(file), dicom.Limits{Value: 1024})
	if err != nil {
		t.Fatal(err)
	}
	return string(dicom.AppendXML(nil, ds, 1024, func(string, *dicom.Element) string { return pixels }))
}

func TestXMLSaysTheSameAsJSON(t *testing.T) {
	d := dicomtest.CT(dicomtest.WithSize(4, 4))
	d.SetText(dict.SpecificCharacterSet, dict.CS, "ISO_IR 192")
	d.SetText(dict.PatientName, dict.PN, "Yamada^Tarou=山田^太郎=やまだ^たろう")
	d.SetText(dict.OtherPatientNames, dict.PN, "A^B", "", "C^D^E^F^G")
	d.SetText(dict.PatientComments, dict.LT, "a < b & \"c\"\nd ")
	item := dicom.NewDataset()
	item.SetText(dict.CodeValue, dict.SH, "1", "2")
	item.SetBytes(dict.SelectorOBValue, dict.OB, []byte{1, 2, 3, 4})
	d.SetItems(dict.ProcedureCodeSequence, item, dicom.NewDataset())
	d.SetInts(dict.FrameIncrementPointer, dict.AT, int64(dict.FrameTime))
	want := dicom.AppendJSON(nil, d, 1<<20, nil)
	got, err := readDocuments(bytes.NewReader(dicom.AppendXML(nil, d, 1<<20, nil)), typeDICOMXML)
	if err != nil || len(got) != 1 {
		t.Fatalf("%d documents, %v", len(got), err)
	}
	if again := dicom.AppendJSON(nil, got[0].header, 1<<20, nil); !bytes.Equal(again, want) {
		t.Errorf("got\n%s\nwant\n%s", again, want)
	}
}

// swallowing is an archive that reads everything and keeps nothing.
type swallowing struct{ archive.Archive }

func (swallowing) Store(_ context.Context, in *archive.Incoming, _ access.AlbumID) (archive.Receipt, error) {
	n, err := in.WriteTo(io.Discard)
	return archive.Receipt{Ref: in.Ref, Size: n}, err
}
