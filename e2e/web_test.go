package e2e

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"image"
	_ "image/jpeg" // what rendered answers are checked with
	_ "image/png"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"pharos/internal/dicom/dicomtest"
	"pharos/internal/dimse/dimsetest"
)

// curl runs curl with the token and returns what it wrote to the output; the status is
// the last line of the error stream.
func (s *site) curl(args ...string) (status, out string) {
	s.t.Helper()
	file := filepath.Join(s.t.TempDir(), "out")
	status = dimsetest.Run(s.t, "curl", append([]string{"-s", "-o", file, "-w", "%{http_code}", "-H", "Authorization: Bearer " + s.token}, args...)...)
	content, err := os.ReadFile(file)
	if err != nil && !os.IsNotExist(err) {
		s.t.Fatal(err)
	}
	return status, string(content)
}

func (s *site) url(path string) string { return "http://" + s.http + "/dicom-web" + path }

// TestCurlStoresAndRetrieves is the tour of DICOMweb with curl.
func TestCurlStoresAndRetrieves(t *testing.T) {
	need(t, "curl", "unzip")
	s := open(t, options{})
	k := slice(t, "curl", 1, 1, 64)
	path := filepath.Join(t.TempDir(), "file.dcm")
	if err := os.WriteFile(path, k.file, 0o600); err != nil {
		t.Fatal(err)
	}
	if status, out := s.curl("-X", "POST", "-H", "Content-Type: application/dicom", "--data-binary", "@"+path, s.url("/studies")); status != "200" {
		t.Fatalf("STOW of one file: %s %s", status, out)
	}
	second := slice(t, "curl", 1, 2, 64)
	body, contentType := related(second.file, k.file)
	parts := filepath.Join(t.TempDir(), "parts")
	if err := os.WriteFile(parts, body, 0o600); err != nil {
		t.Fatal(err)
	}
	if status, out := s.curl("-X", "POST", "-H", "Content-Type: "+contentType, "-H", "Expect: 100-continue", "--data-binary", "@"+parts, s.url("/studies/"+k.study)); status != "200" {
		t.Fatalf("STOW of parts: %s %s", status, out)
	}
	at := strings.TrimPrefix(k.path(), "/dicom-web")
	status, file := s.curl("-H", "Accept: application/dicom; transfer-syntax=*", s.url(at))
	if status != "200" || file != string(k.file) {
		t.Errorf("WADO-RS: %s, %d bytes of %d", status, len(file), len(k.file))
	}
	status, file = s.curl("http://" + s.http + "/wado?requestType=WADO&contentType=application/dicom&transferSyntax=" + explicitLE +
		"&studyUID=" + k.study + "&seriesUID=" + k.series + "&objectUID=" + k.instance)
	if status != "200" || file != string(k.file) {
		t.Errorf("WADO-URI: %s, %d bytes of %d", status, len(file), len(k.file))
	}
	zip := filepath.Join(t.TempDir(), "study.zip")
	dimsetest.Run(t, "curl", "-sf", "-o", zip, "-H", "Authorization: Bearer "+s.token, "-H", "Accept: application/zip", s.url("/studies/"+k.study))
	if out := dimsetest.Run(t, "unzip", "-t", zip); !strings.Contains(out, "No errors detected") || strings.Count(out, "OK") != 2 {
		t.Errorf("zip: %s", out)
	}
	if status, out := s.curl("--compressed", s.url("/studies/"+k.study+"/metadata")); status != "200" || !json.Valid([]byte(out)) {
		t.Errorf("metadata: %s %.200s", status, out)
	}
	for _, accept := range []string{"image/jpeg", "image/png"} {
		status, out := s.curl("-H", "Accept: "+accept, s.url(at+"/rendered"))
		if config, format, err := image.DecodeConfig(strings.NewReader(out)); status != "200" || err != nil || "image/"+format != accept || config.Width != 64 {
			t.Errorf("rendered as %s: %s %s %+v %v", accept, status, format, config, err)
		}
	}
	if status, _ := s.curl("-X", "DELETE", s.url("/studies/"+k.study)); status != "200" && status != "204" {
		t.Errorf("DELETE: %s", status)
	}
	if status, _ := s.curl(s.url("/studies/" + k.study + "/metadata")); status != "404" {
		t.Errorf("deleted, and there: %s", status)
	}
	out := dimsetest.Run(t, "curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", s.url("/studies"))
	if out != "401" {
		t.Errorf("without a token: %s", out)
	}
}

// TestFilesComeBackByteByByte sends the corpus by STOW-RS.
func TestFilesComeBackByteByByte(t *testing.T) {
	s := open(t, options{})
	n, converted := 0, 0
	for _, f := range corpus(t) {
		content, err := os.ReadFile(f.path)
		if err != nil {
			t.Fatal(err)
		}
		if metaText(content, 0x03) == "" { // completed when it is stored
			continue
		}
		body, contentType := related(content)
		rsp := s.do(http.MethodPost, "/dicom-web/studies", bytes.NewReader(body), "Content-Type: "+contentType, "Accept: application/dicom+json")
		if rsp.StatusCode != http.StatusOK {
			t.Logf("%s: not stored: %d %s", filepath.Base(f.path), rsp.StatusCode, rsp.body)
			if rsp.StatusCode >= 500 {
				t.Errorf("%s: status %d", f.path, rsp.StatusCode)
			}
			continue
		}
		n++
		at := retrieveURL(t, s, rsp)
		if parts := s.retrieve(at); len(parts) != 1 || !bytes.Equal(parts[0], content) {
			t.Errorf("%s: other bytes than were sent", filepath.Base(f.path))
		}
		var metadata []object
		s.get(at+"/metadata", "Accept: application/dicom+json").want(t, 200).json(t, &metadata)
		if len(metadata) != 1 {
			t.Errorf("%s: metadata of %d instances", filepath.Base(f.path), len(metadata))
		}
		s.get(at+"/metadata", "Accept: application/dicom+xml").want(t, 200)
		s.get(at+"/rendered", "Accept: image/jpeg").want(t, 200, 400, 404, 406, 415)
		s.get(at+"/frames/1", `Accept: multipart/related; type="application/octet-stream"; transfer-syntax=*`).want(t, 200, 400, 404, 406)
		if f.syntax == implicitLE || f.syntax == explicitBE || f.syntax == deflated {
			converted++
			checkConversion(t, s, at, content)
		}
	}
	if n == 0 || converted == 0 {
		t.Errorf("%d files stored, %d converted", n, converted)
	}
	t.Logf("%d files stored, %d converted", n, converted)
}

// retrieveURL is the path of the instance that a STOW response names.
func retrieveURL(t *testing.T, s *site, rsp *response) string {
	t.Helper()
	var answer map[string]json.RawMessage
	rsp.json(t, &answer)
	var sequence struct{ Value []object }
	if err := json.Unmarshal(answer["00081199"], &sequence); err != nil || len(sequence.Value) != 1 {
		t.Fatalf("STOW answers %s: %v", rsp.body, err)
	}
	return strings.TrimPrefix(sequence.Value[0].text("00081190"), "http://"+s.http)
}

var errorsOf = regexp.MustCompile(`(?m)^Error`)

// checkConversion lets dciodvfy compare what it says of a file as sent and as converted
// to explicit VR little endian.
func checkConversion(t *testing.T, s *site, at string, sent []byte) {
	t.Helper()
	need(t, "dciodvfy")
	rsp := s.get(at, "Accept: application/dicom; transfer-syntax="+explicitLE)
	if rsp.StatusCode == http.StatusNotAcceptable {
		t.Errorf("%s: can't be had in explicit VR little endian", at)
		return
	}
	rsp.want(t, http.StatusOK)
	if metaText(rsp.body, 0x10) != explicitLE {
		t.Errorf("%s: transfer syntax %s", at, metaText(rsp.body, 0x10))
	}
	before, after := verdict(t, sent), verdict(t, rsp.body)
	if n, m := len(errorsOf.FindAllString(before, -1)), len(errorsOf.FindAllString(after, -1)); m > n {
		t.Errorf("%s: dciodvfy finds %d errors, in the file that was sent %d:\n%s\nbefore:\n%s", at, m, n, after, before)
	}
}

func verdict(t *testing.T, file []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file.dcm")
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
	out, _ := dimsetest.Try(t, "dciodvfy", path) // its status tells of errors too
	return out
}

// TestMetadataIsThatOfDCMTK compares metadata with what dcm2json writes.
func TestMetadataIsThatOfDCMTK(t *testing.T) {
	need(t, "dcm2json")
	s := open(t, options{})
	of := []dicomtest.Option{dicomtest.WithStudy("json"), dicomtest.WithSize(16, 16)}
	for name, file := range map[string][]byte{
		"CT": dicomtest.Bytes(t, dicomtest.CT(of...), explicitLE),
		"MR": dicomtest.Bytes(t, dicomtest.MR(of...), implicitLE),
		"SR": dicomtest.Bytes(t, dicomtest.SR(of...), explicitBE),
		"US": dicomtest.Bytes(t, dicomtest.US(append(of, dicomtest.WithFrames(2))...), explicitLE),
	} {
		path := filepath.Join(t.TempDir(), "file.dcm")
		if err := os.WriteFile(path, file, 0o600); err != nil {
			t.Fatal(err)
		}
		body, contentType := related(file)
		at := retrieveURL(t, s, s.do(http.MethodPost, "/dicom-web/studies", bytes.NewReader(body), "Content-Type: "+contentType, "Accept: application/dicom+json").want(t, 200))
		var want map[string]any
		if err := json.Unmarshal([]byte(dimsetest.Run(t, "dcm2json", path)), &want); err != nil {
			t.Fatal(err)
		}
		var got []map[string]any
		s.get(at+"/metadata").want(t, 200).json(t, &got)
		delete(want, "7FE00010")
		delete(got[0], "7FE00010")
		for _, tag := range []string{"00081190", "00083002", "00080005"} { // added by the archive; always UTF-8
			delete(want, tag)
			delete(got[0], tag)
		}
		for tag, value := range want {
			a, _ := json.Marshal(value)
			b, _ := json.Marshal(got[0][tag])
			if !bytes.Equal(a, b) {
				t.Errorf("%s %s: %s, DCMTK writes %s", name, tag, b, a)
			}
			delete(got[0], tag)
		}
		for tag := range got[0] {
			t.Errorf("%s: DCMTK has no %s", name, tag)
		}
	}
}

// TestPartsOfInstances takes frames, bulk data, ranges and conditional requests.
func TestPartsOfInstances(t *testing.T) {
	s := open(t, options{})
	d := dicomtest.US(dicomtest.WithStudy("frames"), dicomtest.WithSize(32, 32), dicomtest.WithFrames(4))
	pixels := datasetOf(t, dicomtest.Bytes(t, d, explicitLE))
	pixels = pixels[len(pixels)-4*32*32:]
	k := &kept{study: string(d.UID(0x0020000D)), series: string(d.UID(0x0020000E)), instance: string(d.UID(0x00080018)), file: dicomtest.Bytes(t, d, explicitLE)}
	if rsp, err := s.stow(k); err != nil || rsp.StatusCode != 200 {
		t.Fatal(rsp, err)
	}
	at := k.path()
	parts := s.get(at+"/frames/2,4", `Accept: multipart/related; type=application/octet-stream`).want(t, 200).parts(t)
	if len(parts) != 2 || !bytes.Equal(parts[0], pixels[1024:2048]) || !bytes.Equal(parts[1], pixels[3072:]) {
		t.Error("frames are not those that were sent")
	}
	var metadata []object
	s.get(at+"/metadata").want(t, 200).json(t, &metadata)
	bulk := strings.TrimPrefix(metadata[0]["7FE00010"].BulkDataURI, "http://"+s.http)
	if bulk == "" {
		t.Fatal("no BulkDataURI for Pixel Data")
	}
	whole := s.get(bulk, "Accept: application/octet-stream").want(t, 200)
	if !bytes.Equal(whole.body, pixels) {
		t.Errorf("bulk data: %d bytes, want %d", len(whole.body), len(pixels))
	}
	part := s.get(bulk, "Accept: application/octet-stream", "Range: bytes=100-199").want(t, 206)
	if !bytes.Equal(part.body, pixels[100:200]) || part.Header.Get("Content-Range") != fmt.Sprintf("bytes 100-199/%d", len(pixels)) {
		t.Errorf("range: %d bytes, %s", len(part.body), part.Header.Get("Content-Range"))
	}
	s.get(bulk, "Accept: application/octet-stream", "Range: bytes=999999-").want(t, 416)
	file := s.get(at, "Accept: application/dicom; transfer-syntax=*", "Range: bytes=0-131").want(t, 206)
	if string(file.body[128:]) != "DICM" {
		t.Error("a range of the file is not its beginning")
	}
	for _, path := range []string{at + "/metadata", at, "/dicom-web/studies/" + k.study, bulk} {
		first := s.get(path).want(t, 200)
		tag := first.Header.Get("Etag")
		if tag == "" {
			t.Errorf("%s: no ETag", path)
			continue
		}
		if again := s.get(path, "If-None-Match: "+tag); again.StatusCode != 304 || len(again.body) != 0 {
			t.Errorf("%s: status %d with its ETag", path, again.StatusCode)
		}
	}
	for _, accept := range []string{"*/*", "multipart/related; type=application/dicom; transfer-syntax=*", `multipart/related;type="application/dicom";transfer-syntax="*"`, "application/dicom;q=0.5, application/zip;q=0.1"} {
		s.get(at, "Accept: "+accept).want(t, 200)
	}
	s.get(at+"?accept=application/dicom", "Accept: text/html").want(t, 200)
	s.get(at, "Accept: text/html").want(t, 406)
	for _, query := range []string{"?viewport=16,16", "?window=128,64,linear&quality=50", "?annotation=patient"} {
		if _, _, err := image.Decode(bytes.NewReader(s.get(at+"/frames/3/rendered"+query, "Accept: image/jpeg").want(t, 200).body)); err != nil {
			t.Errorf("rendered%s: %v", query, err)
		}
	}
	s.get(at+"/thumbnail", "Accept: image/png").want(t, 200)
}

// TestQueriesOverTheWeb asks by QIDO-RS in the ways that clients write.
func TestQueriesOverTheWeb(t *testing.T) {
	s := open(t, options{})
	for _, f := range synthetic(t) {
		if rsp, err := s.stow(&kept{file: f}); err != nil || rsp.StatusCode != 200 {
			t.Fatal(rsp, err)
		}
	}
	patients := len(dicomtest.Patients())
	study := slice(t, "e2e", 1, 1, 64).study
	for path, want := range map[string]int{
		"/studies":                                                   patients,
		"/studies?limit=5":                                           5,
		"/studies?limit=5&offset=10":                                 patients - 10,
		"/studies?PatientName=Example*":                              1,
		"/studies?PatientName=Example%2A":                            1,
		"/studies?PatientName=%2AAda":                                1,
		"/studies?PatientName=exam%3Fle%5EAda":                       1,
		"/studies?00100010=Example%5EAda":                            1,
		"/studies?PatientName=%E5%B1%B1%E7%94%B0*":                   1, // in the second component group
		"/studies?PatientName=JEROME&fuzzymatching=true":             1,
		"/studies?PatientID=PH-0001&PatientID=PH-0002":               -400,
		"/studies?StudyDate=20260101-":                               patients,
		"/studies?StudyDate=-20251231":                               0,
		"/studies?ModalitiesInStudy=US":                              3,
		"/studies?StudyInstanceUID=" + study + ",1.2.3":              1,
		"/studies?StudyInstanceUID=" + study + "%5C1.2.3":            1,
		"/studies/" + study + "/series":                              2,
		"/studies/" + study + "/instances":                           2,
		"/series?Modality=CT&PatientName=Example*":                   2,
		"/instances?PatientID=PH-0001&SOPClassUID=" + ctImageStorage: 1,
		"/studies?PatientName=%25":                                   0,
		"/studies?PatientName=_*":                                    0,
		"/studies?NoSuchAttribute=1":                                 -400,
		"/studies?StudyDate=tomorrow":                                -400,
		"/studies?limit=-1":                                          -400,
	} {
		if want < 0 {
			s.get("/dicom-web"+path).want(t, -want)
			continue
		}
		if got := len(s.query(path)); got != want {
			t.Errorf("%s: %d results, want %d", path, got, want)
		}
	}
	found := s.query("/studies?PatientID=PH-0003&includefield=all")
	if len(found) != 1 {
		t.Fatalf("%d studies", len(found))
	}
	name, err := json.Marshal(found[0]["00100010"].Value)
	if err != nil || !strings.Contains(string(name), "山田^太郎") || !strings.Contains(string(name), "やまだ^たろう") {
		t.Errorf("a name in three scripts: %s, %v", name, err)
	}
	if rsp := s.get("/dicom-web/studies?Rows=512"); rsp.Header.Get("Warning") == "" {
		t.Errorf("an attribute that is not searched: no Warning, status %d", rsp.StatusCode)
	}
	if rsp := s.get("/dicom-web/studies", "Accept: application/dicom+xml").want(t, 200); !strings.Contains(string(rsp.body), "NativeDicomModel") {
		t.Errorf("XML: %.200s", rsp.body)
	}
	basic := base64.StdEncoding.EncodeToString([]byte("admin:wrong"))
	s.get("/dicom-web/studies", "Authorization: Basic "+basic).want(t, 401)
}
