package dicomweb

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pharos/internal/access"
	"pharos/internal/archive"
	"pharos/internal/archive/local"
	"pharos/internal/blob"
	"pharos/internal/blob/fileblob"
	"pharos/internal/dicom"
	"pharos/internal/dicom/dicomtest"
	"pharos/internal/dicom/dict"
	"pharos/internal/sqldb"
)

const (
	study1  = dicom.UID("1.2.3")
	series1 = dicom.UID("1.2.3.1")
)

// site is a server with an archive behind it.
type site struct {
	*httptest.Server
	t       testing.TB
	archive archive.Archive
	server  *server
}

// openArchive makes an empty archive in a directory that goes away with the test.
func openArchive(t testing.TB) archive.Archive {
	t.Helper()
	volume, err := fileblob.Open(t.TempDir(), fileblob.Options{})
	if err != nil {
		t.Fatal(err)
	}
	db, err := sqldb.OpenSQLite(filepath.Join(t.TempDir(), "index.db"), sqldb.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background() // t's own is over before the clean-up begins
	a, err := local.Open(ctx, local.Options{Index: db, Volumes: map[string]blob.Store{"main": volume}, Receives: "main", Quiet: 20 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(a.Close(ctx), db.Close(), volume.Close()); err != nil {
			t.Error(err)
		}
	})
	return a
}

func newSite(t testing.TB, change ...func(*Config)) *site {
	t.Helper()
	s := &site{t: t, archive: openArchive(t)}
	c := Config{
		Archive: s.archive, Keys: archive.NewKeys(), PublicURL: "https://pacs.example.org", TempDir: t.TempDir(),
		Limits: Limits{Idle: 20 * time.Second},
	}
	for _, f := range change {
		f(&c)
	}
	s.server = newServer(c)
	s.Server = httptest.NewServer(s.server)
	t.Cleanup(s.Close)
	return s
}

// ct is instance n of the first series, small.
func ct(t testing.TB, n int, opts ...dicomtest.Option) []byte {
	t.Helper()
	return ctIn(t, n, dicom.ExplicitVRLittleEndian, opts...)
}

func ctIn(t testing.TB, n int, syntax dicom.UID, opts ...dicomtest.Option) []byte {
	t.Helper()
	opts = append([]dicomtest.Option{
		dicomtest.WithUIDs(study1, series1, instanceUID(n)), dicomtest.WithInstance(n), dicomtest.WithSize(64, 64),
	}, opts...)
	return dicomtest.Bytes(t, dicomtest.CT(opts...), syntax)
}

func instanceUID(n int) dicom.UID { return dicom.UID(fmt.Sprintf("%s.%d", series1, n)) }

// put stores files without HTTP.
func (s *site) put(files ...[]byte) {
	s.t.Helper()
	for _, f := range files {
		in, err := archive.ReadIncoming(bytes.NewReader(f))
		if err != nil {
			s.t.Fatal(err)
		}
		if _, err := s.archive.Store(s.t.Context(), in, ""); err != nil {
			s.t.Fatal(err)
		}
	}
}

// count is how many instances there are.
func (s *site) count() int {
	s.t.Helper()
	n := 0
	for _, err := range s.archive.Retrieve(s.t.Context(), dicom.Ref{}, access.All()) {
		if errors.Is(err, archive.ErrNotFound) {
			return 0
		}
		if err != nil {
			s.t.Fatal(err)
		}
		n++
	}
	return n
}

// answered is a response with its body read.
type answered struct {
	*http.Response
	body []byte
}

// do sends a request below Root, with header fields as "Name: value".
func (s *site) do(method, path string, body io.Reader, fields ...string) answered {
	s.t.Helper()
	return s.send(method, Root+path, body, fields...)
}

func (s *site) send(method, path string, body io.Reader, fields ...string) answered {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), method, s.URL+path, body)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		r.Header.Add(name, value)
	}
	resp, err := s.Client().Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return answered{resp, data}
}

func (s *site) get(path string, fields ...string) answered {
	s.t.Helper()
	return s.do("GET", path, nil, fields...)
}

// wants fails unless the status is one of those given.
func (a answered) wants(t testing.TB, statuses ...int) answered {
	t.Helper()
	for _, s := range statuses {
		if a.StatusCode == s {
			return a
		}
	}
	t.Fatalf("status %d, want %v: %s", a.StatusCode, statuses, a.body)
	return a
}

// json reads the body as data sets of the DICOM JSON Model.
func (a answered) json(t testing.TB) []map[string]jsonElement {
	t.Helper()
	var sets []map[string]jsonElement
	text := a.body
	if bytes.HasPrefix(text, []byte("{")) {
		text = append(append([]byte{'['}, text...), ']')
	}
	if err := json.Unmarshal(text, &sets); err != nil {
		t.Fatalf("%v in %s", err, a.body)
	}
	return sets
}

type jsonElement struct {
	VR          string `json:"vr"`
	Value       []any
	BulkDataURI string
}

// one returns the first value of an attribute, or nil.
func one(set map[string]jsonElement, tag dicom.Tag) any {
	if v := set[tag.Hex()].Value; len(v) > 0 {
		return v[0]
	}
	return nil
}

// items returns a sequence.
func items(t testing.TB, set map[string]jsonElement, tag dicom.Tag) []map[string]jsonElement {
	t.Helper()
	text, err := json.Marshal(set[tag.Hex()].Value)
	if err != nil {
		t.Fatal(err)
	}
	var sets []map[string]jsonElement
	if err := json.Unmarshal(text, &sets); err != nil {
		t.Fatal(err)
	}
	return sets
}

// partOf is a part as the standard library's reader sees it.
type partOf struct {
	contentType, location string
	body                  []byte
}

func (a answered) parts(t testing.TB) []partOf {
	t.Helper()
	kind, params, err := mime.ParseMediaType(a.Header.Get("Content-Type"))
	if err != nil || kind != typeRelated {
		t.Fatalf("Content-Type %q: %v", a.Header.Get("Content-Type"), err)
	}
	var parts []partOf
	r := multipart.NewReader(bytes.NewReader(a.body), params["boundary"])
	for {
		p, err := r.NextRawPart()
		if err == io.EOF {
			return parts
		}
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(p)
		if err != nil {
			t.Fatal(err)
		}
		parts = append(parts, partOf{p.Header.Get("Content-Type"), p.Header.Get("Content-Location"), data})
	}
}

// related makes a multipart body of parts; each begins with its header lines.
func related(boundary string, parts ...[]byte) io.Reader {
	var b bytes.Buffer
	for _, p := range parts {
		b.WriteString("--" + boundary + "\r\n")
		b.Write(p)
		b.WriteString("\r\n")
	}
	b.WriteString("--" + boundary + "--\r\n")
	return &b
}

func dicomPart(file []byte) []byte {
	return append([]byte("Content-Type: application/dicom\r\n\r\n"), file...)
}

const dicomParts = `Content-Type: multipart/related; type="application/dicom"; boundary=BOUNDARY`

// stow stores files by HTTP.
func (s *site) stow(path string, files ...[]byte) answered {
	s.t.Helper()
	parts := make([][]byte, len(files))
	for i, f := range files {
		parts[i] = dicomPart(f)
	}
	return s.do("POST", path, related("BOUNDARY", parts...), dicomParts)
}

func TestWhatIsStoredComesBackToTheByte(t *testing.T) {
	s := newSite(t)
	files := [][]byte{ct(t, 1), ct(t, 2), dicomtest.JPEGBytes(t, dicomtest.WithUIDs(study1, "1.2.3.2", "1.2.3.2.1"))}
	s.stow("/studies", files...).wants(t, 200)

	got := s.get("/studies/1.2.3", `Accept: multipart/related; type="application/dicom"; transfer-syntax=*`).wants(t, 200)
	if got.ContentLength != int64(len(got.body)) {
		t.Errorf("Content-Length is %d for %d bytes", got.ContentLength, len(got.body))
	}
	parts := got.parts(t)
	if len(parts) != len(files) {
		t.Fatalf("%d parts, want %d", len(parts), len(files))
	}
	for i, p := range parts {
		if !bytes.Equal(p.body, files[i]) {
			t.Errorf("part %d differs from what was stored", i)
		}
	}
	if want := "application/dicom; transfer-syntax=" + string(dicomtest.JPEGBaseline); parts[2].contentType != want {
		t.Errorf("Content-Type is %q, want %q", parts[2].contentType, want)
	}
	if want := "https://pacs.example.org/dicom-web/studies/1.2.3/series/1.2.3.1/instances/1.2.3.1.1"; parts[0].location != want {
		t.Errorf("Content-Location is %q, want %q", parts[0].location, want)
	}
}

func TestSearchFindsWhatWasStored(t *testing.T) {
	s := newSite(t)
	s.put(ct(t, 1), ct(t, 2))
	for path, want := range map[string]int{
		"/studies": 1, "/series": 1, "/instances": 2,
		"/studies/1.2.3/series": 1, "/studies/1.2.3/instances": 2, "/studies/1.2.3/series/1.2.3.1/instances": 2,
		"/studies?StudyInstanceUID=9.9,1.2.3": 1, "/studies?0020000D=9.9%5C1.2.3": 1, "/studies?StudyInstanceUID=9.9": 0,
		"/instances?limit=1": 1, "/instances?offset=1": 1, "/instances?limit=0": 0, "/instances?offset=99999999999999999999": 0,
	} {
		sets := s.get(path).wants(t, 200).json(t)
		if len(sets) != want {
			t.Errorf("%s: %d results, want %d", path, len(sets), want)
		}
	}
	set := s.get("/studies/1.2.3/series").json(t)[0]
	if got, want := one(set, dict.RetrieveURL), "https://pacs.example.org/dicom-web/studies/1.2.3/series/1.2.3.1"; got != want {
		t.Errorf("RetrieveURL %v, want %v", got, want)
	}
}
