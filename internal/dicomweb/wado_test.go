package dicomweb

import (
	"archive/zip"
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"strconv"
	"strings"
	"testing"

	"pharos/internal/dicom"
	"pharos/internal/dicom/dicomtest"
	"pharos/internal/dicom/dict"
)

const jpegPath = "/studies/1.2.3/series/1.2.3.2/instances/1.2.3.2.1"

func putJPEG(t *testing.T, s *site) []byte {
	t.Helper()
	file := dicomtest.JPEGBytes(t, dicomtest.WithUIDs(study1, "1.2.3.2", "1.2.3.2.1"))
	s.put(file)
	return file
}

func TestTransferSyntaxIsNegotiated(t *testing.T) {
	s := newSite(t)
	s.put(ctIn(t, 1, dicom.ImplicitVRLittleEndian))
	putJPEG(t, s)
	related := `multipart/related; type="application/dicom"`
	for _, c := range []struct {
		name, path, accept string
		status             int
		syntax             dicom.UID // of the first instance
	}{
		{"no Accept", instancePath, "", 200, dicom.ImplicitVRLittleEndian},
		{"anything", instancePath, "*/*", 200, dicom.ImplicitVRLittleEndian},
		{"the default is explicit", instancePath, related, 200, dicom.ExplicitVRLittleEndian},
		{"unquoted", instancePath, "multipart/related; type=application/dicom; transfer-syntax=*", 200, dicom.ImplicitVRLittleEndian},
		{"as stored", instancePath, related + "; transfer-syntax=*", 200, dicom.ImplicitVRLittleEndian},
		{"quoted syntax", instancePath, related + `; transfer-syntax="1.2.840.10008.1.2.1"`, 200, dicom.ExplicitVRLittleEndian},
		{"the wanted one first", instancePath, related + "; transfer-syntax=*; q=0.1, " + related + "; transfer-syntax=1.2.840.10008.1.2.1", 200, dicom.ExplicitVRLittleEndian},
		{"what can't be had is passed over", instancePath, related + "; transfer-syntax=1.2.840.10008.1.2.4.90, " + related + "; transfer-syntax=*; q=0.5", 200, dicom.ImplicitVRLittleEndian},
		{"what can't be had", instancePath, related + "; transfer-syntax=1.2.840.10008.1.2.4.90", 406, ""},
		{"accept as parameter", instancePath + "?accept=multipart/related;type=application/dicom;transfer-syntax=*", "text/html", 200, dicom.ImplicitVRLittleEndian},
		{"accept as escaped parameter", instancePath + "?accept=multipart/related%3Btype%3Dapplication/dicom%3Btransfer-syntax%3D*", "text/html", 200, dicom.ImplicitVRLittleEndian},
		{"no media type of ours", instancePath, "image/png", 406, ""},
		{"quality zero", instancePath, "*/*;q=0", 406, ""},

		{"compressed as stored", jpegPath, related + "; transfer-syntax=*", 200, dicomtest.JPEGBaseline},
		{"compressed by name", jpegPath, related + "; transfer-syntax=1.2.840.10008.1.2.4.50", 200, dicomtest.JPEGBaseline},
		{"compressed but explicit wanted", jpegPath, related, 406, ""},
		{"anything of a compressed one", jpegPath, "*/*", 200, dicomtest.JPEGBaseline},
		{"those that can be sent", "/studies/1.2.3", related, 206, dicom.ExplicitVRLittleEndian},
	} {
		t.Run(c.name, func(t *testing.T) {
			var fields []string
			if c.accept != "" {
				fields = []string{"Accept: " + c.accept}
			}
			got := s.get(c.path, fields...).wants(t, c.status)
			if c.status >= 400 {
				return
			}
			first := got.parts(t)[0]
			if want := "application/dicom; transfer-syntax=" + string(c.syntax); first.contentType != want {
				t.Errorf("Content-Type %q, want %q", first.contentType, want)
			}
			meta, ds, err := dicom.ReadFile(bytes.NewReader(first.body), dicom.Limits{})
			if err != nil || meta.TransferSyntax != c.syntax || ds.UID(dict.StudyInstanceUID) != study1 {
				t.Errorf("file in %s, %v", meta.TransferSyntax, err)
			}
		})
	}
}

func TestNativeSyntaxesAreConvertedWithTheirPixels(t *testing.T) {
	want := pixelsOf(t, ct(t, 1))
	for _, stored := range []dicom.UID{
		dicom.ImplicitVRLittleEndian, dicom.ExplicitVRLittleEndian, dicom.ExplicitVRBigEndian, dicom.DeflatedExplicitVRLittleEndian,
	} {
		s := newSite(t)
		s.put(ctIn(t, 1, stored))
		for _, wanted := range []dicom.UID{dicom.ImplicitVRLittleEndian, dicom.ExplicitVRLittleEndian} {
			got := s.get(instancePath, "Accept: application/dicom; transfer-syntax="+string(wanted)).wants(t, 200)
			if !bytes.Equal(pixelsOf(t, got.body), want) {
				t.Errorf("from %s to %s: other pixels", stored, wanted)
			}
		}
		frame := s.get(instancePath+"/frames/1", "Accept: application/octet-stream").wants(t, 200)
		if !bytes.Equal(frame.body, want) {
			t.Errorf("frame of %s: other pixels", stored)
		}
		bulk := s.get(instancePath+"/bulkdata/7FE00010").wants(t, 200)
		if !bytes.Equal(bulk.body, want) {
			t.Errorf("bulk data of %s: other pixels", stored)
		}
	}
}

func pixelsOf(t *testing.T, file []byte) []byte {
	t.Helper()
	_, ds, err := dicom.ReadFile(bytes.NewReader(file), dicom.Limits{Value: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	return ds.Bytes(dict.PixelData)
}

func TestSwapReaderSwapsWholeUnitsHoweverItIsRead(t *testing.T) {
	value := make([]byte, 8*100)
	for i := range value {
		value[i] = byte(i)
	}
	for _, unit := range []int{1, 2, 4, 8} {
		for piece := 1; piece < 20; piece++ {
			r := swapped(io.NopCloser(&pieceReader{bytes.Clone(value), 3}), unit)
			var got []byte
			buf := make([]byte, piece)
			for {
				n, err := r.Read(buf)
				got = append(got, buf[:n]...)
				if errors.Is(err, io.EOF) {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			swap(got, unit)
			if !bytes.Equal(got, value) {
				t.Fatalf("unit %d in pieces of %d: differs", unit, piece)
			}
		}
	}
}

func TestZipHoldsTheFilesUnderSafeNames(t *testing.T) {
	s := newSite(t)
	files := map[string][]byte{"1.2.3/1.2.3.1/1.2.3.1.1.dcm": ct(t, 1), "1.2.3/1.2.3.1/1.2.3.1.2.dcm": ct(t, 2)}
	for _, f := range files {
		s.put(f)
	}
	got := s.get("/studies/1.2.3", "Accept: application/zip").wants(t, 200)
	if cd := got.Header.Get("Content-Disposition"); cd != `attachment; filename="1.2.3.zip"` {
		t.Errorf("Content-Disposition %s", cd)
	}
	z, err := zip.NewReader(bytes.NewReader(got.body), int64(len(got.body)))
	if err != nil || len(z.File) != len(files) {
		t.Fatalf("%v", err)
	}
	for _, f := range z.File {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		if body, err := io.ReadAll(r); err != nil || !bytes.Equal(body, files[f.Name]) {
			t.Errorf("%s: %v", f.Name, err)
		}
	}
}

func TestUnchangedInstancesAreNotSentAgain(t *testing.T) {
	s := newSite(t)
	s.put(ct(t, 1))
	for _, path := range []string{"/studies/1.2.3", instancePath, instancePath + "/metadata", "/studies/1.2.3/metadata", instancePath + "/frames/1", instancePath + "/bulkdata/7FE00010"} {
		first := s.get(path).wants(t, 200)
		etag := first.Header.Get("ETag")
		if etag == "" {
			t.Errorf("%s has no ETag", path)
		}
		if again := s.get(path, "If-None-Match: "+`"other", `+etag); again.StatusCode != 304 || len(again.body) != 0 {
			t.Errorf("%s: status %d", path, again.StatusCode)
		}
		s.get(path, `If-None-Match: "other"`).wants(t, 200)
	}
	before := s.get("/studies/1.2.3").Header.Get("ETag")
	s.put(ct(t, 2))
	if after := s.get("/studies/1.2.3").Header.Get("ETag"); after == before {
		t.Error("a grown study has the ETag that it had")
	}
}

func TestRanges(t *testing.T) {
	s := newSite(t)
	s.put(ct(t, 1))
	whole := pixelsOf(t, ct(t, 1))
	size := strconv.Itoa(len(whole))
	for _, c := range []struct {
		field  string
		status int
		want   []byte
		told   string
	}{
		{"bytes=0-9", 206, whole[:10], "bytes 0-9/" + size},
		{"bytes=100-", 206, whole[100:], "bytes 100-8191/" + size},
		{"bytes=-7", 206, whole[len(whole)-7:], "bytes 8185-8191/" + size},
		{"bytes=8000-99999999999999999999", 206, whole[8000:], "bytes 8000-8191/" + size},
		{"bytes=-99999999", 206, whole, "bytes 0-8191/" + size},
		{"bytes=8192-", 416, nil, "bytes */" + size},
		{"bytes=-0", 416, nil, "bytes */" + size},
		{"bytes=0-1,5-6", 416, nil, "bytes */" + size},
		{"bytes=9-1", 400, nil, "bytes */" + size},
		{"bytes=x", 400, nil, "bytes */" + size},
		{"items=0-1", 200, whole, ""},
	} {
		got := s.get(instancePath+"/bulkdata/7FE00010", "Range: "+c.field).wants(t, c.status)
		if c.want != nil && !bytes.Equal(got.body, c.want) {
			t.Errorf("%s: %d bytes, want %d", c.field, len(got.body), len(c.want))
		}
		if told := got.Header.Get("Content-Range"); told != c.told {
			t.Errorf("%s: Content-Range %q, want %q", c.field, told, c.told)
		}
	}
	file := ct(t, 1)
	part := s.get(instancePath, "Accept: application/dicom", "Range: bytes=128-131").wants(t, 206)
	if !bytes.Equal(part.body, file[128:132]) || string(part.body) != "DICM" {
		t.Errorf("range of a file: %q", part.body)
	}
}

func TestFramesAreSentAsStored(t *testing.T) {
	s := newSite(t)
	us := dicomtest.US(dicomtest.WithUIDs(study1, "1.2.3.3", "1.2.3.3.1"), dicomtest.WithSize(40, 40), dicomtest.WithFrames(4))
	s.put(dicomtest.Bytes(t, us, dicom.ExplicitVRLittleEndian))
	putJPEG(t, s)
	const usPath = "/studies/1.2.3/series/1.2.3.3/instances/1.2.3.3.1"
	pixels := us.Bytes(dict.PixelData)
	frame := len(pixels) / 4

	several := s.get(usPath+"/frames/4,1", `Accept: multipart/related; type="application/octet-stream"`).wants(t, 200)
	if several.ContentLength != int64(len(several.body)) {
		t.Errorf("%d bytes are announced and %d sent", several.ContentLength, len(several.body))
	}
	parts := several.parts(t)
	if len(parts) != 2 || !bytes.Equal(parts[0].body, pixels[3*frame:]) || !bytes.Equal(parts[1].body, pixels[:frame]) {
		t.Error("frames 4 and 1 are not what was stored")
	}
	if !strings.HasSuffix(parts[0].location, usPath+"/frames/4") {
		t.Errorf("Content-Location %q", parts[0].location)
	}
	s.get(usPath+"/frames/5").wants(t, 404)
	s.get(usPath+"/frames/1,5").wants(t, 404)
	s.get(usPath+"/frames/1", "Accept: image/jpeg").wants(t, 406)

	for accept, want := range map[string]string{
		"":                                   "image/jpeg; transfer-syntax=1.2.840.10008.1.2.4.50",
		"multipart/related; type=image/jpeg": "image/jpeg; transfer-syntax=1.2.840.10008.1.2.4.50",
		`multipart/related; type="application/octet-stream"; transfer-syntax=*`:                          "application/octet-stream; transfer-syntax=1.2.840.10008.1.2.4.50",
		"multipart/related; type=application/octet-stream; transfer-syntax=1.2.840.10008.1.2.4.50":       "application/octet-stream; transfer-syntax=1.2.840.10008.1.2.4.50",
		`multipart/related; type="image/jls", multipart/related; type="image/*"; transfer-syntax=*;q=.5`: "image/jpeg; transfer-syntax=1.2.840.10008.1.2.4.50",
	} {
		var fields []string
		if accept != "" {
			fields = []string{"Accept: " + accept}
		}
		parts := s.get(jpegPath+"/frames/1", fields...).wants(t, 200).parts(t)
		if parts[0].contentType != want || !bytes.HasPrefix(parts[0].body, []byte{0xFF, 0xD8}) {
			t.Errorf("Accept %q: %q", accept, parts[0].contentType)
		}
		bulk := s.get(jpegPath+"/bulkdata/7FE00010", fields...).wants(t, 200).parts(t)
		if !bytes.Equal(bulk[0].body, parts[0].body) {
			t.Errorf("Accept %q: bulk data differs from the frame", accept)
		}
	}
	s.get(jpegPath+"/frames/1", `Accept: multipart/related; type="application/octet-stream"`).wants(t, 406)
	single := s.get(jpegPath+"/frames/1", "Accept: image/jpeg").wants(t, 200)
	if single.Header.Get("Content-Type") != "image/jpeg; transfer-syntax=1.2.840.10008.1.2.4.50" || single.ContentLength != int64(len(single.body)) {
		t.Errorf("%v", single.Header)
	}
}

func TestMetadataAddressesWork(t *testing.T) {
	s := newSite(t, func(c *Config) { c.PublicURL = "" })
	s.put(ct(t, 1), ct(t, 2))
	sets := s.get("/studies/1.2.3/metadata").wants(t, 200).json(t)
	if len(sets) != 2 {
		t.Fatalf("%d data sets", len(sets))
	}
	uri := sets[1][dict.PixelData.Hex()].BulkDataURI
	if want := Root + "/studies/1.2.3/series/1.2.3.1/instances/1.2.3.1.2/bulkdata/7FE00010"; uri != want {
		t.Fatalf("BulkDataURI %q, want %q", uri, want)
	}
	if got := s.send("GET", uri, nil).wants(t, 200); !bytes.Equal(got.body, pixelsOf(t, ct(t, 2))) {
		t.Error("the value behind the BulkDataURI is another")
	}
	zipped := s.get("/studies/1.2.3/metadata", "Accept-Encoding: gzip").wants(t, 200)
	if zipped.Header.Get("Content-Encoding") != "gzip" || len(zipped.body) > 3000 {
		t.Errorf("%d bytes, Content-Encoding %q", len(zipped.body), zipped.Header.Get("Content-Encoding"))
	}
}

func TestMetadataInXML(t *testing.T) {
	s := newSite(t)
	s.put(ct(t, 1), ct(t, 2))
	parts := s.get("/studies/1.2.3/metadata", `Accept: multipart/related; type="application/dicom+xml"`).wants(t, 200).parts(t)
	if len(parts) != 2 || parts[0].contentType != "application/dicom+xml" {
		t.Fatalf("%d parts", len(parts))
	}
	var model struct {
		Attributes []struct {
			Tag      string `xml:"tag,attr"`
			Value    string
			BulkData struct {
				URI string `xml:"uri,attr"`
			}
		} `xml:"DicomAttribute"`
	}
	if err := xml.Unmarshal(parts[1].body, &model); err != nil {
		t.Fatal(err)
	}
	got := make(map[string]string)
	for _, a := range model.Attributes {
		got[a.Tag] = a.Value + a.BulkData.URI
	}
	if got["00080018"] != "1.2.3.1.2" || !strings.HasSuffix(got["7FE00010"], "/instances/1.2.3.1.2/bulkdata/7FE00010") {
		t.Errorf("%v", got)
	}
}

func TestHeadTellsTheSize(t *testing.T) {
	s := newSite(t)
	s.put(ct(t, 1))
	for _, path := range []string{"/studies/1.2.3", instancePath + "/frames/1", instancePath + "/bulkdata/7FE00010"} {
		head := s.do("HEAD", path, nil).wants(t, 200)
		if get := s.get(path); head.ContentLength != get.ContentLength || get.ContentLength != int64(len(get.body)) {
			t.Errorf("%s: HEAD says %d, GET %d and sends %d", path, head.ContentLength, get.ContentLength, len(get.body))
		}
	}
	for _, path := range []string{"/studies", instancePath + "/metadata", "/studies/9.9/metadata"} {
		s.do("HEAD", path, nil).wants(t, 200, 404)
	}
}

func TestDelete(t *testing.T) {
	s := newSite(t)
	s.put(ct(t, 1), ct(t, 2), ct(t, 3))
	s.do("DELETE", instancePath, nil).wants(t, 204)
	s.do("DELETE", instancePath, nil).wants(t, 404)
	s.get(instancePath).wants(t, 404)
	s.do("DELETE", "/studies/1.2.3", nil).wants(t, 204)
	if n := s.count(); n != 0 {
		t.Errorf("%d instances are left", n)
	}
}

func TestWadoURI(t *testing.T) {
	s := newSite(t)
	s.put(ctIn(t, 1, dicom.ImplicitVRLittleEndian))
	const object = "/wado?requestType=WADO&studyUID=1.2.3&seriesUID=1.2.3.1&objectUID=1.2.3.1.1"
	file := s.send("GET", object+"&contentType=application/dicom", nil).wants(t, 200)
	meta, _, err := dicom.ReadFile(bytes.NewReader(file.body), dicom.Limits{})
	if err != nil || meta.TransferSyntax != dicom.ExplicitVRLittleEndian {
		t.Errorf("file in %v, %v", meta, err)
	}
	stored := s.send("GET", object+"&contentType=application%2Fdicom&transferSyntax=1.2.840.10008.1.2", nil).wants(t, 200)
	if !bytes.Equal(stored.body, ctIn(t, 1, dicom.ImplicitVRLittleEndian)) {
		t.Error("the file as stored differs")
	}
	for query, status := range map[string]int{
		"?requestType=WADO&studyUID=1.2.3":                                                                           400,
		strings.TrimPrefix(object, "/wado") + "9":                                                                    404,
		strings.Replace(strings.TrimPrefix(object, "/wado"), "=WADO", "=X", 1):                                       400,
		strings.TrimPrefix(object, "/wado") + "&contentType=application/dicom&transferSyntax=1.2.840.10008.1.2.4.90": 406,
		strings.TrimPrefix(object, "/wado") + "&contentType=text/html":                                               406,
		strings.TrimPrefix(object, "/wado") + "&frameNumber=2":                                                       404,
	} {
		s.send("GET", "/wado"+query, nil).wants(t, status)
	}
}
