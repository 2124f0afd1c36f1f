package dicomweb

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"pharos/internal/dicom"
	"pharos/internal/dicom/dicomtest"
	"pharos/internal/dicom/dict"
)

const instancePath = "/studies/1.2.3/series/1.2.3.1/instances/1.2.3.1.1"

// TestHostileRequests is the table of bad HTTP input: each row is answered with one of
// the statuses it names, and nothing is stored.
func TestHostileRequests(t *testing.T) {
	s := newSite(t)
	s.put(ct(t, 1))
	good := ct(t, 2)
	relatedType := func(params string) string { return "Content-Type: multipart/related; " + params }
	for _, c := range []struct {
		name, method, path string
		body               io.Reader
		fields             []string
		wants              []int
	}{
		{"H01 STOW without boundary", "POST", "/studies", strings.NewReader("x"), []string{relatedType(`type="application/dicom"`)}, []int{400, 415}},
		{"H02 STOW whose boundary is absent", "POST", "/studies", related("OTHER", dicomPart(good)), []string{dicomParts}, []int{400, 415}},
		{"H03 STOW without end", "POST", "/studies", io.MultiReader(strings.NewReader("--BOUNDARY\r\n\r\n"), bytes.NewReader(good)), []string{dicomParts}, []int{400, 415}},
		{"H04 STOW of nothing", "POST", "/studies", nil, []string{dicomParts}, []int{400, 415}},
		{"H04 STOW of no parts", "POST", "/studies", related("BOUNDARY"), []string{dicomParts}, []int{400, 415}},
		{"H05 STOW of text", "POST", "/studies", related("BOUNDARY", []byte("Content-Type: text/plain\r\n\r\nhello")), []string{dicomParts}, []int{400, 409, 415}},
		{"H05 STOW of text said to be DICOM", "POST", "/studies", related("BOUNDARY", dicomPart([]byte("hello"))), []string{dicomParts}, []int{400, 409}},
		{"H06 STOW of 20,000 empty parts", "POST", "/studies", related("BOUNDARY", emptyParts(20_000)...), []string{dicomParts}, []int{400, 413}},
		{"H07 STOW with a part header of 1 MB", "POST", "/studies", related("BOUNDARY", append([]byte("X: "+strings.Repeat("y", 1<<20)+"\r\n"), dicomPart(good)...)), []string{dicomParts}, []int{400, 431}},
		{"H08 STOW with a boundary of 5,000 characters", "POST", "/studies", related(strings.Repeat("b", 5000), dicomPart(good)), []string{relatedType(`type="application/dicom"; boundary=` + strings.Repeat("b", 5000))}, []int{400, 415}},
		{"H09 STOW of a wrong type", "POST", "/studies", related("BOUNDARY", dicomPart(good)), []string{relatedType(`type="image/png"; boundary=BOUNDARY`)}, []int{415}},
		{"H09 STOW of a form", "POST", "/studies", strings.NewReader("a=b"), []string{"Content-Type: application/x-www-form-urlencoded"}, []int{415}},
		{"H09 STOW without a type", "POST", "/studies", strings.NewReader("a=b"), nil, []int{415}},
		{"H10 STOW to another study", "POST", "/studies/9.9", related("BOUNDARY", dicomPart(good)), []string{dicomParts}, []int{409}},
		{"H11 STOW of markup as UID", "POST", "/studies", related("BOUNDARY", dicomPart(markupUID(t))), []string{dicomParts}, []int{400, 409}},
		{"H12 STOW of JSON nested 20,000 deep", "POST", "/studies", related("BOUNDARY", []byte("Content-Type: application/dicom+json\r\n\r\n"+deepJSON(20_000))), []string{relatedType(`type="application/dicom+json"; boundary=BOUNDARY`)}, []int{400, 413, 415}},
		{"H13 STOW of an XML entity bomb", "POST", "/studies", related("BOUNDARY", []byte("Content-Type: application/dicom+xml\r\n\r\n"+entityBomb)), []string{relatedType(`type="application/dicom+xml"; boundary=BOUNDARY`)}, []int{400, 415}},
		{"H14 STOW of a gzip bomb", "POST", "/studies", gzipBomb(200 << 20), []string{dicomParts, "Content-Encoding: gzip"}, []int{400, 413}},
		{"H14 STOW of what is not gzip", "POST", "/studies", strings.NewReader("not gzip"), []string{dicomParts, "Content-Encoding: gzip"}, []int{400}},
		{"H14 STOW of an unknown coding", "POST", "/studies", strings.NewReader("x"), []string{dicomParts, "Content-Encoding: br"}, []int{415}},

		{"H16 limit -1", "GET", "/studies?limit=-1", nil, nil, []int{400}},
		{"H16 limit 1e20", "GET", "/studies?limit=1e20", nil, nil, []int{400}},
		{"H17 a limit of 21 digits", "GET", "/studies?limit=100000000000000000000", nil, nil, []int{200}},
		{"H17 offset abc", "GET", "/studies?offset=abc", nil, nil, []int{400}},
		{"H18 unknown parameter", "GET", "/studies?NoSuchAttribute=1", nil, nil, []int{400}},
		{"H18 unknown tag", "GET", "/studies?00020FFF=1", nil, nil, []int{400}},
		{"H18 half a tag", "GET", "/studies?0010=1", nil, nil, []int{400}},
		{"H19 300 includefields", "GET", "/studies?" + strings.Repeat("includefield=PatientName&", 300), nil, nil, []int{200}},
		{"H20 NUL", "GET", "/studies?PatientName=%00", nil, nil, []int{400}},
		{"H20 NUL in the path", "GET", "/studies/1.2%00", nil, nil, []int{400, 404}},
		{"H21 a UID of 10 kB", "GET", "/studies?StudyInstanceUID=" + strings.Repeat("1", 10_000), nil, nil, []int{200, 400}},
		{"H22 SQL", "GET", "/studies?PatientID=" + "%27%3B%20DROP%20TABLE%20study%3B--", nil, nil, []int{200, 400}},
		{"H23 bad date", "GET", "/studies?StudyDate=99999999", nil, nil, []int{200, 400}},
		{"H23 no date", "GET", "/studies?StudyDate=yesterday", nil, nil, []int{400}},
		{"H24 wildcard storm", "GET", "/studies?PatientName=" + strings.Repeat("*%3F", 500), nil, nil, []int{200, 400}},
		{"H25 LIKE characters", "GET", "/studies?PatientName=%25_%5C", nil, nil, []int{200, 400}},
		{"H26 broken percent encoding", "GET", "/studies?PatientName=%zz", nil, nil, []int{400}},
		{"H27 100 kB of parameters", "GET", "/studies?PatientName=" + strings.Repeat("x", 100_000), nil, nil, []int{200, 400, 414}},

		{"H28 path traversal", "GET", "/studies/../../../etc/passwd", nil, nil, []int{400, 404}},
		{"H28 escaped path traversal", "GET", "/studies/..%2f..%2fetc%2fpasswd", nil, nil, []int{400, 404}},
		{"H29 bulk data path traversal", "GET", instancePath + "/bulkdata/..%2f..%2fetc%2fpasswd", nil, nil, []int{400, 404}},
		{"H29 bulk data at a wrong path", "GET", instancePath + "/bulkdata/7FE00010/0", nil, nil, []int{400, 404}},
		{"H29 bulk data that is not there", "GET", instancePath + "/bulkdata/00091010", nil, nil, []int{404}},
		{"H30 a path of 10 kB", "GET", "/studies/" + strings.Repeat("1", 10_000), nil, nil, []int{400, 404, 414}},
		{"H31 unknown study", "GET", "/studies/9.9.9", nil, nil, []int{404}},
		{"H31 unknown study's metadata", "GET", "/studies/9.9.9/metadata", nil, nil, []int{404}},
		{"H32 frame 0", "GET", instancePath + "/frames/0", nil, nil, []int{400}},
		{"H33 frame -1", "GET", instancePath + "/frames/-1", nil, nil, []int{400}},
		{"H34 frame 99999999999", "GET", instancePath + "/frames/99999999999", nil, nil, []int{404}},
		{"H34 frame 10^30", "GET", instancePath + "/frames/1" + strings.Repeat("0", 30), nil, nil, []int{404}},
		{"H35 3,000 times frame 1", "GET", instancePath + "/frames/1" + strings.Repeat(",1", 2999), nil, nil, []int{200}},
		{"H35 300,000 times frame 1", "GET", instancePath + "/frames/1" + strings.Repeat(",1", 299_999), nil, nil, []int{400, 414}},
		{"H36 a viewport of 100,000 squared", "GET", instancePath + "/rendered?viewport=100000,100000", nil, nil, []int{400}},
		{"H36 a negative viewport", "GET", instancePath + "/rendered?viewport=-1,-1", nil, nil, []int{400}},
		{"H37 a window of NaN", "GET", instancePath + "/rendered?window=NaN,NaN,linear", nil, nil, []int{400}},
		{"H37 a window of infinity", "GET", instancePath + "/rendered?window=1,Inf,linear", nil, nil, []int{400}},
		{"H38 quality 1e6", "GET", instancePath + "/rendered?quality=1000000", nil, nil, []int{400}},
		{"H39 Accept of 60 kB", "GET", "/studies", nil, []string{"Accept: " + strings.Repeat("a/b, ", 12_000)}, []int{400, 406, 431}},
		{"H40 garbage Accept", "GET", "/studies", nil, []string{"Accept: ;;;=,\"\\"}, []int{400, 406}},
		{"H40 Accept of nothing we have", "GET", "/studies", nil, []string{"Accept: text/html"}, []int{406}},
		{"H41 1,000 ranges", "GET", instancePath + "/bulkdata/7FE00010", nil, []string{"Range: bytes=" + strings.Repeat("0-1,", 999) + "0-1"}, []int{400, 416}},
		{"a method that there is not", "PUT", "/studies", nil, nil, []int{405}},
		{"a path that there is not", "GET", "/nonsense", nil, nil, []int{404}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := s.do(c.method, c.path, c.body, c.fields...).wants(t, c.wants...)
			if got.StatusCode >= 400 && !strings.HasPrefix(string(got.body), `{"type":"about:blank"`) && c.method == "GET" {
				t.Errorf("no problem document: %s", got.body)
			}
		})
	}
	if n := s.count(); n != 1 {
		t.Errorf("%d instances are stored, want the 1 that was there", n)
	}
	s.get(instancePath).wants(t, 200)
}

func emptyParts(n int) [][]byte {
	parts := make([][]byte, n)
	for i := range parts {
		parts[i] = dicomPart(nil)
	}
	return parts
}

func markupUID(t *testing.T) []byte {
	d := dicomtest.CT(dicomtest.WithSize(8, 8))
	d.SetText(dict.SOPInstanceUID, dict.UI, "<script>alert(1)</script>")
	return dicomtest.Bytes(t, d, dicom.ExplicitVRLittleEndian)
}

func deepJSON(depth int) string {
	return strings.Repeat(`{"00400275":{"vr":"SQ","Value":[`, depth) + strings.Repeat(`]}}`, depth)
}

const entityBomb = `<?xml version="1.0"?><!DOCTYPE b [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>` +
	`<NativeDicomModel><DicomAttribute tag="00100010" vr="LO"><Value number="1">&b;</Value></DicomAttribute></NativeDicomModel>`

// gzipBomb is a body of one part that inflates to n zero bytes.
func gzipBomb(n int64) io.Reader {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = io.WriteString(z, "--BOUNDARY\r\nContent-Type: application/dicom\r\n\r\n")
	_, _ = io.CopyN(z, zeroes{}, n)
	_ = z.Close()
	return &b
}

type zeroes struct{}

func (zeroes) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func TestH15DeflatedBombIsRefused(t *testing.T) {
	s := newSite(t)
	bomb := dicomtest.CT(dicomtest.WithUIDs(study1, series1, instanceUID(1)), dicomtest.WithSize(8, 8))
	bomb.SetBytes(dict.PixelData, dict.OW, make([]byte, 64<<20))
	file := dicomtest.Bytes(t, bomb, dicom.DeflatedExplicitVRLittleEndian)
	s.stow("/studies", file).wants(t, 200, 400, 409, 413)
	if len(file) > 1<<20 {
		t.Fatalf("the bomb has %d bytes", len(file))
	}
}

func TestH43BodyThatStandsStillIsCutOff(t *testing.T) {
	s := newSite(t, func(c *Config) { c.Limits.Idle = 200 * time.Millisecond })
	conn := dial(t, s)
	fmt.Fprintf(conn, "POST %s/studies HTTP/1.1\r\nHost: x\r\n%s\r\nContent-Length: 1000000000\r\n\r\n--BOUNDARY\r\n", Root, dicomParts)
	if status := readStatus(t, conn); !strings.Contains(status, " 408 ") {
		t.Errorf("answer %q, want 408", status)
	}
}

func TestH44TwoLengthsAreRefusedOnce(t *testing.T) {
	s := newSite(t)
	conn := dial(t, s)
	fmt.Fprintf(conn, "POST %s/studies HTTP/1.1\r\nHost: x\r\n%s\r\nContent-Length: 4\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\nGET / HTTP/1.1\r\n\r\n", Root, dicomParts)
	text, err := io.ReadAll(conn)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(text), "HTTP/1.1 "); n != 1 {
		t.Errorf("%d answers: %s", n, text)
	}
}

func TestH45HostHeaderIsNotBelieved(t *testing.T) {
	s := newSite(t)
	s.put(ct(t, 1))
	for _, path := range []string{"/studies", instancePath + "/metadata", "/"} {
		r, err := http.NewRequestWithContext(t.Context(), "GET", s.URL+Root+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = "evil.example"
		r.Header.Set("X-Forwarded-Host", "evil.example")
		resp, err := s.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil || resp.StatusCode != 200 {
			t.Fatalf("%s: status %d, %v", path, resp.StatusCode, err)
		}
		if strings.Contains(string(text), "evil") || !strings.Contains(string(text), "https://pacs.example.org/dicom-web") {
			t.Errorf("%s: %s", path, text)
		}
	}
}

func dial(t *testing.T, s *site) net.Conn {
	t.Helper()
	var d net.Dialer
	conn, err := d.DialContext(t.Context(), "tcp", strings.TrimPrefix(s.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return conn
}

func readStatus(t *testing.T, conn net.Conn) string {
	t.Helper()
	buf := make([]byte, 64)
	n, err := conn.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	return string(buf[:n])
}

func TestMetadataThatPointsElsewhereIsNeverFetched(t *testing.T) {
	asked := make(chan string, 1)
	inner := newInner(t, asked)
	s := newSite(t)
	json := `[{"00080016":{"vr":"UI","Value":["1.2.840.10008.5.1.4.1.1.2"]},"00080018":{"vr":"UI","Value":["1.2.3.1.1"]},` +
		`"0020000D":{"vr":"UI","Value":["1.2.3"]},"0020000E":{"vr":"UI","Value":["1.2.3.1"]},` +
		`"7FE00010":{"vr":"OW","BulkDataURI":"` + inner + `/secret"}}]`
	body := related("BOUNDARY", []byte("Content-Type: application/dicom+json\r\n\r\n"+json))
	got := s.do("POST", "/studies", body, `Content-Type: multipart/related; type="application/dicom+json"; boundary=BOUNDARY`).wants(t, 400, 409)
	select {
	case path := <-asked:
		t.Errorf("%s was fetched", path)
	default:
	}
	if s.count() != 0 {
		t.Error("it was stored")
	}
	if failed := items(t, got.json(t)[0], dict.FailedSOPSequence); len(failed) != 1 || one(failed[0], dict.FailureReason) != float64(0xC000) {
		t.Errorf("answer %s", got.body)
	}
}

func newInner(t *testing.T, asked chan<- string) string {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(context.WithoutCancel(t.Context()), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { asked <- r.URL.Path })}
	go server.Serve(l)
	t.Cleanup(func() { _ = server.Close() })
	return "http://" + l.Addr().String()
}
