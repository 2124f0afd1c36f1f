package e2e

import (
	"bufio"
	"bytes"
	"compress/flate"
	"compress/gzip"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"pharos/internal/dicom/dicomtest"
)

// webCase is a request that must be answered with one of some statuses.
type webCase struct {
	name, method, path string
	body               func(t *testing.T) io.Reader // nil for none
	fields             []string
	want               []int
}

const parts = `Content-Type: multipart/related; type="application/dicom"; boundary=BOUNDARY`

// text is a body that does not depend on the test.
func text(s string) func(*testing.T) io.Reader {
	return func(*testing.T) io.Reader { return strings.NewReader(s) }
}

// part is a body of one part.
func part(contentType string, content func(t *testing.T) []byte) func(*testing.T) io.Reader {
	return func(t *testing.T) io.Reader {
		return io.MultiReader(strings.NewReader("--BOUNDARY\r\nContent-Type: "+contentType+"\r\n\r\n"),
			bytes.NewReader(content(t)), strings.NewReader("\r\n--BOUNDARY--\r\n"))
	}
}

func good(t *testing.T) []byte { return slice(t, "hostile", 1, 99, 16).file }

// withSOP is a file whose SOP Instance UID is text.
func withSOP(text string) func(t *testing.T) []byte {
	return func(t *testing.T) []byte {
		k := slice(t, "hostile", 1, 98, 16)
		_, dataset := spoiled(t, "hostile", 0x00080018, "UI", text)
		return append(k.file[:len(k.file)-len(datasetOf(t, k.file)):len(k.file)-len(datasetOf(t, k.file))], dataset...)
	}
}

// zeros is n of them.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func gzipBomb(t *testing.T) io.Reader {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = io.WriteString(z, "--BOUNDARY\r\nContent-Type: application/dicom\r\n\r\n")
	if _, err := io.CopyN(z, zeros{}, 300<<20); err != nil {
		t.Fatal(err)
	}
	_ = z.Close() // a buffer does not fail
	return &b
}

// deflateBomb is a file in the deflated syntax whose pixel data inflate to 3 GB. Blocks
// of zeros are the same, so they are deflated once.
func deflateBomb(t *testing.T) []byte {
	t.Helper()
	k := slice(t, "bomb", 1, 1, 16)
	file := dicomtest.Bytes(t, dicomtest.CT(dicomtest.WithStudy("bomb"), dicomtest.WithSize(16, 16)), deflated)
	meta := file[:len(file)-len(datasetOf(t, file))]
	data := datasetOf(t, k.file)
	at := bytes.Index(data, []byte{0xE0, 0x7F, 0x10, 0})
	var b bytes.Buffer
	z, err := flate.NewWriter(&b, flate.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = z.Write(append(data[:at:at], 0xE0, 0x7F, 0x10, 0, 'O', 'W', 0, 0, 0, 0, 0, 0xC0))
	_ = z.Flush()
	head := b.Len()
	_, _ = io.CopyN(z, zeros{}, 16<<20)
	_ = z.Flush()
	block := slices.Clone(b.Bytes()[head:]) // refers to zeros only
	for range 3 * 1024 / 16 {
		b.Write(block)
	}
	return append(meta[:len(meta):len(meta)], b.Bytes()...)
}

const entityBomb = `<?xml version="1.0"?><!DOCTYPE b [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;">]>` +
	`<NativeDicomModel><DicomAttribute tag="00100010" vr="PN"><PersonName number="1"><Alphabetic><FamilyName>&c;</FamilyName></Alphabetic></PersonName></DicomAttribute></NativeDicomModel>`

const externalEntity = `<?xml version="1.0"?><!DOCTYPE b [<!ENTITY a SYSTEM "file:///etc/passwd">]><NativeDicomModel><DicomAttribute tag="00100020" vr="LO"><Value number="1">&a;</Value></DicomAttribute></NativeDicomModel>`

// webCases are the H cases that one request makes. AT in a path is the instance that is
// there.
var webCases = []webCase{
	{"H01 no boundary", "POST", "/studies", text("x"), []string{`Content-Type: multipart/related; type="application/dicom"`}, []int{400, 415}},
	{"H02 boundary absent", "POST", "/studies", text("--OTHER\r\n\r\nx\r\n--OTHER--\r\n"), []string{parts}, []int{400, 415}},
	{"H03 no end", "POST", "/studies", text("--BOUNDARY\r\nContent-Type: application/dicom\r\n\r\nDICM"), []string{parts}, []int{400, 409, 415}},
	{"H04 empty", "POST", "/studies", nil, []string{parts}, []int{400, 415}},
	{"H05 part that is no DICOM", "POST", "/studies", part("application/dicom", func(*testing.T) []byte { return garbage(10_000) }), []string{parts}, []int{400, 409, 415}},
	{"H06 20,000 parts", "POST", "/studies", text(strings.Repeat("--BOUNDARY\r\nContent-Type: application/dicom\r\n\r\n\r\n", 20_000) + "--BOUNDARY--\r\n"), []string{parts}, []int{400, 409, 413}},
	{"H07 part header of 1 MB", "POST", "/studies", text("--BOUNDARY\r\nX: " + strings.Repeat("y", 1<<20) + "\r\n\r\nx\r\n--BOUNDARY--\r\n"), []string{parts}, []int{400, 413, 431}},
	{"H08 boundary of 5,000 characters", "POST", "/studies", text("x"), []string{`Content-Type: multipart/related; type="application/dicom"; boundary=` + strings.Repeat("b", 5000)}, []int{400, 415}},
	{"H09 wrong type", "POST", "/studies", text("x"), []string{"Content-Type: text/html"}, []int{400, 415}},
	{"H10 other study in the URL", "POST", "/studies/1.2.3.4", part("application/dicom", good), []string{parts}, []int{409}},
	{"H11 markup as UID", "POST", "/studies", part("application/dicom", withSOP("<script>alert(1)</script>")), []string{parts}, []int{400, 409}},
	{"H12 JSON 20,000 deep", "POST", "/studies", part("application/dicom+json", func(*testing.T) []byte {
		return []byte("[" + strings.Repeat(`{"00081111":{"vr":"SQ","Value":[`, 20_000))
	}), []string{strings.Replace(parts, "application/dicom", "application/dicom+json", 1)}, []int{400, 409, 413, 415}},
	{"H13 XML entities", "POST", "/studies", part("application/dicom+xml", func(*testing.T) []byte { return []byte(entityBomb) }), []string{strings.Replace(parts, "application/dicom", "application/dicom+xml", 1)}, []int{400, 409, 415}},
	{"H13 XML external entity", "POST", "/studies", part("application/dicom+xml", func(*testing.T) []byte { return []byte(externalEntity) }), []string{strings.Replace(parts, "application/dicom", "application/dicom+xml", 1)}, []int{400, 409, 415}},
	{"H14 gzip bomb", "POST", "/studies", gzipBomb, []string{parts, "Content-Encoding: gzip"}, []int{400, 409, 413, 415}},
	{"H15 deflated bomb", "POST", "/studies", part("application/dicom", deflateBomb), []string{parts}, []int{400, 409, 413}},
	{"a bulk data URI of somebody else", "POST", "/studies", part("application/dicom+json", func(*testing.T) []byte {
		return []byte(`[{"00080016":{"vr":"UI","Value":["` + ctImageStorage + `"]},"00080018":{"vr":"UI","Value":["1.2.9"]},"0020000D":{"vr":"UI","Value":["1.2.7"]},"0020000E":{"vr":"UI","Value":["1.2.8"]},` +
			`"7FE00010":{"vr":"OW","BulkDataURI":"http://127.0.0.1:1/secret"}}]`)
	}), []string{strings.Replace(parts, "application/dicom", "application/dicom+json", 1)}, []int{400, 409}},

	{"H16 limit -1", "GET", "/studies?limit=-1", nil, nil, []int{400}},
	{"H16 limit 1e20", "GET", "/studies?limit=1e20", nil, nil, []int{200, 400}},
	{"H17 offset abc", "GET", "/studies?offset=abc", nil, nil, []int{400}},
	{"H18 unknown tag", "GET", "/studies?99999999=1", nil, nil, []int{200, 400}},
	{"H18 bad tag", "GET", "/studies?0010ZZ10=1", nil, nil, []int{400}},
	{"H19 300 includefields", "GET", "/studies?" + strings.Repeat("includefield=PatientName&", 300), nil, nil, []int{200, 400}},
	{"H20 NUL", "GET", "/studies?PatientName=a%00b", nil, nil, []int{200, 204, 400}},
	{"H21 UID of 10 kB", "GET", "/studies?StudyInstanceUID=" + strings.Repeat("1", 10_000), nil, nil, []int{200, 204, 400, 414}},
	{"H22 SQL", "GET", "/studies?PatientID=%27%20OR%201%3D1%20--", nil, nil, []int{200, 204, 400}},
	{"H23 bad dates", "GET", "/studies?StudyDate=20269999-00000000", nil, nil, []int{200, 204, 400}},
	{"H24 wildcard storm", "GET", "/studies?PatientName=" + strings.Repeat("*a", 2000), nil, nil, []int{200, 204, 400, 414}},
	{"H26 broken percent encoding", "GET", "/studies?PatientName=%25%zz", nil, nil, []int{400}},
	{"H27 UTF-8 that is none", "GET", "/studies?PatientName=%FF%FE*", nil, nil, []int{200, 204, 400}},
	{"H28 path traversal", "GET", "/studies/..%2F..%2F..%2Fetc%2Fpasswd", nil, nil, []int{400, 404}},
	{"H28 path traversal with dots", "GET", "/studies/%2e%2e/%2e%2e/etc/passwd", nil, nil, []int{400, 404}},
	{"H29 path traversal in bulk data", "GET", "AT/bulkdata/..%2F..%2F..%2Fetc%2Fpasswd", nil, nil, []int{400, 404}},
	{"H30 path of 10 kB", "GET", "/studies/" + strings.Repeat("1", 10_000), nil, nil, []int{400, 404, 414}},
	{"H31 unknown study", "GET", "/studies/1.2.3.4.5", nil, nil, []int{404}},
	{"H32 frame 0", "GET", "AT/frames/0", nil, nil, []int{400, 404}},
	{"H33 frame -1", "GET", "AT/frames/-1", nil, nil, []int{400, 404}},
	{"H34 frame 99999999999", "GET", "AT/frames/99999999999", nil, nil, []int{400, 404}},
	{"H35 frame 1 3,000 times", "GET", "AT/frames/1" + strings.Repeat(",1", 2999), nil, nil, []int{200, 400, 404, 414}},
	{"H36 viewport of 100,000 squared", "GET", "AT/rendered?viewport=100000,100000", nil, []string{"Accept: image/jpeg"}, []int{400}},
	{"H37 window NaN", "GET", "AT/rendered?window=NaN,NaN,linear", nil, []string{"Accept: image/jpeg"}, []int{400}},
	{"H37 window 0", "GET", "AT/rendered?window=0,0,linear", nil, []string{"Accept: image/jpeg"}, []int{200, 400}},
	{"H38 quality 1e6", "GET", "AT/rendered?quality=1000000", nil, []string{"Accept: image/jpeg"}, []int{400}},
	{"H39 Accept of 60 kB", "GET", "AT", nil, []string{"Accept: " + strings.Repeat("text/html, ", 5500)}, []int{400, 406, 431}},
	{"H40 garbage Accept", "GET", "AT", nil, []string{"Accept: ;;;,,\"=/"}, []int{400, 406}},
	{"H41 1,000 ranges", "GET", "AT/bulkdata/7FE00010", nil, []string{"Range: bytes=0-0" + strings.Repeat(",1-1", 999)}, []int{200, 400, 416}},
}

// TestHostileHTTP sends the H cases of the table of bad inputs to one server.
func TestHostileHTTP(t *testing.T) {
	s := open(t, options{settings: impatient + "\npublic_url: https://images.example.org"})
	there := slice(t, "there", 1, 1, 32)
	if status := s.storeOne(there); status != 0 {
		t.Fatalf("status %04X", status)
	}
	for _, c := range webCases {
		t.Run(c.name, func(t *testing.T) {
			s := s.in(t)
			path := "/dicom-web" + strings.Replace(c.path, "AT", strings.TrimPrefix(there.path(), "/dicom-web"), 1)
			var body io.Reader
			if c.body != nil {
				body = c.body(t)
			}
			rsp, err := s.raw(c.method, path, body, c.fields...)
			if err != nil {
				t.Fatalf("no answer: %v", err)
			}
			if !slices.Contains(c.want, rsp.StatusCode) {
				t.Errorf("status %d, want %v: %.300s", rsp.StatusCode, c.want, rsp.body)
			}
			if strings.Contains(string(rsp.body), "<script") || strings.Contains(string(rsp.body), "root:") {
				t.Errorf("what was sent comes back: %.300s", rsp.body)
			}
			if n := s.count(); n != 1 {
				t.Errorf("%d instances, want 1", n)
			}
			s.alive()
		})
	}
	t.Run("H25 LIKE characters", func(t *testing.T) {
		for _, pattern := range []string{"%25", "_", "Example%5EAd_", "%25Ada"} {
			if n := len(s.in(t).query("/studies?PatientName=" + pattern)); n != 0 {
				t.Errorf("%s matches %d studies", pattern, n)
			}
		}
	})
	t.Run("H44 Content-Length and Transfer-Encoding", func(t *testing.T) { smuggle(t, s.in(t)) })
	t.Run("H45 another host", func(t *testing.T) { otherHost(t, s.in(t)) })
	t.Run("slow", func(t *testing.T) {
		t.Run("H42 100 slow headers", func(t *testing.T) {
			t.Parallel()
			slowHeaders(t, s.in(t))
		})
		t.Run("H43 a body of 1 GB that does not come", func(t *testing.T) {
			t.Parallel()
			slowBody(t, s.in(t))
		})
	})
	s.unharmed()
}

// raw sends a request whose path and fields Go's client would not let pass, and reads
// one answer. The body is chunked.
func (s *site) raw(method, path string, body io.Reader, fields ...string) (*response, error) {
	conn, err := net.Dial("tcp", s.http)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(60 * time.Second))
	answer := make(chan *response, 1)
	go func() {
		defer close(answer)
		rsp, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
		if err != nil {
			return
		}
		defer rsp.Body.Close()
		content, _ := io.ReadAll(rsp.Body) // what came is looked at
		answer <- &response{rsp, content}
	}()
	head := method + " " + path + " HTTP/1.1\r\nHost: " + s.http + "\r\nConnection: close\r\nAuthorization: Bearer " + s.token + "\r\n"
	for _, f := range fields {
		head += f + "\r\n"
	}
	if body != nil {
		head += "Transfer-Encoding: chunked\r\n"
	} else if method == http.MethodPost {
		head += "Content-Length: 0\r\n"
	}
	_, _ = io.WriteString(conn, head+"\r\n") // a server that has had enough answers and closes
	if body != nil {
		sendChunks(conn, body)
	}
	rsp, ok := <-answer
	if !ok {
		return nil, io.ErrUnexpectedEOF
	}
	return rsp, nil
}

func sendChunks(w io.Writer, body io.Reader) {
	block := make([]byte, 64<<10)
	for {
		n, err := io.ReadFull(body, block)
		if n > 0 {
			if _, err := fmt.Fprintf(w, "%x\r\n%s\r\n", n, block[:n]); err != nil {
				return
			}
		}
		if err != nil {
			break
		}
	}
	_, _ = io.WriteString(w, "0\r\n\r\n")
}

// smuggle sends a request with two lengths, behind which a second one hides.
func smuggle(t *testing.T, s *site) {
	conn, err := net.Dial("tcp", s.http)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	_, _ = fmt.Fprintf(conn, "POST /dicom-web/studies HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nContent-Type: application/dicom\r\n"+
		"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", s.http, s.token)
	content, _ := io.ReadAll(conn) // until the server closes or the time is over
	if n := strings.Count(string(content), "HTTP/1.1 "); n != 1 {
		t.Errorf("%d answers, want 1: %q", n, content)
	}
	if !strings.HasPrefix(string(content), "HTTP/1.1 400") {
		t.Errorf("want 400: %.200q", content)
	}
}

// otherHost asks under another name; addresses in the answer are still the public ones.
func otherHost(t *testing.T, s *site) {
	rq, err := http.NewRequest(http.MethodGet, "http://"+s.http+"/dicom-web/studies", nil)
	if err != nil {
		t.Fatal(err)
	}
	rq.Host = "evil.example"
	rq.Header.Set("Authorization", "Bearer "+s.token)
	rsp, err := http.DefaultClient.Do(rq)
	if err != nil {
		t.Fatal(err)
	}
	defer rsp.Body.Close()
	content, err := io.ReadAll(rsp.Body)
	if err != nil || strings.Contains(string(content), "evil.example") {
		t.Errorf("the sent host is in the answer: %s %v", content, err)
	}
	if !strings.Contains(string(content), "https://images.example.org/dicom-web/studies/") {
		t.Errorf("the public URL is not in the answer: %s", content)
	}
}

// slowHeaders begins requests and never ends their headers.
func slowHeaders(t *testing.T, s *site) {
	var conns []net.Conn
	for range 100 {
		c, err := net.Dial("tcp", s.http)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_, _ = io.WriteString(c, "GET /dicom-web/studies HTTP/1.1\r\nHost: x\r\nX: ")
		conns = append(conns, c)
	}
	s.alive()
	for _, c := range conns {
		_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
		if _, err := io.Copy(io.Discard, c); isTimeout(err) {
			t.Fatal("a request without the end of its header is still open")
		}
	}
}

// slowBody declares a body and sends its beginning only.
func slowBody(t *testing.T, s *site) {
	c, err := net.Dial("tcp", s.http)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, _ = fmt.Fprintf(c, "POST /dicom-web/studies HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n%s\r\nContent-Length: 1000000000\r\n\r\n--BOUNDARY\r\n", s.token, parts)
	_ = c.SetReadDeadline(time.Now().Add(30 * time.Second))
	content, err := io.ReadAll(c)
	if isTimeout(err) {
		t.Fatal("a body that does not come is still waited for")
	}
	if strings.Contains(string(content), "HTTP/1.1 5") {
		t.Errorf("%.200s", content)
	}
}
