package dicomweb

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"pharos/internal/access"
	"pharos/internal/dicom"
	"pharos/internal/dicom/dicomtest"
)

// benchSite holds a series of n CT slices of 512 x 512.
func benchSite(b *testing.B, n int) *site {
	b.Helper()
	s := newSite(b)
	file := dicomtest.Bytes(b, dicomtest.CT(dicomtest.WithUIDs(study1, series1, instanceUID(1000))), dicom.ExplicitVRLittleEndian)
	for i := range n {
		s.put(bytes.ReplaceAll(file, []byte(instanceUID(1000)), []byte(instanceUID(1000+i))))
	}
	return s
}

// fetch reads an answer and throws it away.
func fetch(b *testing.B, client *http.Client, r *http.Request, buf []byte) int64 {
	b.Helper()
	resp, err := client.Do(r)
	if err != nil {
		b.Fatal(err)
	}
	n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{resp.Body}, buf)
	if err != nil || resp.StatusCode != 200 {
		b.Fatal(resp.StatusCode, err)
	}
	_ = resp.Body.Close()
	return n
}

func benchGet(b *testing.B, s *site, path string, fields ...string) {
	b.Helper()
	buf := make([]byte, 256<<10)
	r, err := http.NewRequestWithContext(b.Context(), "GET", s.URL+Root+path, nil)
	if err != nil {
		b.Fatal(err)
	}
	for i := 0; i < len(fields); i += 2 {
		r.Header.Set(fields[i], fields[i+1])
	}
	b.SetBytes(fetch(b, s.Client(), r, buf))
	b.ReportAllocs()
	for b.Loop() {
		fetch(b, s.Client(), r, buf)
	}
}

func BenchmarkRetrieveSeries(b *testing.B) {
	s := benchSite(b, 200)
	b.Run("multipart", func(b *testing.B) {
		benchGet(b, s, "/studies/1.2.3/series/1.2.3.1", "Accept", `multipart/related; type="application/dicom"; transfer-syntax=*`)
	})
	b.Run("converted", func(b *testing.B) {
		benchGet(b, s, "/studies/1.2.3/series/1.2.3.1", "Accept", `multipart/related; type="application/dicom"; transfer-syntax=1.2.840.10008.1.2`)
	})
	b.Run("zip", func(b *testing.B) { benchGet(b, s, "/studies/1.2.3/series/1.2.3.1", "Accept", "application/zip") })
	// What the same bytes cost when files are sent with io.Copy.
	b.Run("io.Copy", func(b *testing.B) { benchCopy(b, s) })
}

func benchCopy(b *testing.B, s *site) {
	dir := b.TempDir()
	var names []string
	var size int64
	for inst, err := range s.archive.Retrieve(b.Context(), dicom.Ref{Study: study1}, access.All()) {
		if err != nil {
			b.Fatal(err)
		}
		r, err := inst.Open(b.Context(), 0, -1)
		if err != nil {
			b.Fatal(err)
		}
		data, err := io.ReadAll(r)
		if err != nil {
			b.Fatal(err)
		}
		name := filepath.Join(dir, strconv.Itoa(len(names)))
		if err := os.WriteFile(name, data, 0o600); err != nil {
			b.Fatal(err)
		}
		names, size = append(names, name), size+int64(len(data))
	}
	s.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", strconv.FormatInt(size, 10))
		for _, name := range names {
			f, err := os.Open(name)
			if err != nil {
				return
			}
			_, _ = io.Copy(w, f)
			_ = f.Close()
		}
	})
	benchGet(b, s, "/")
}

func BenchmarkFrame(b *testing.B) {
	s := benchSite(b, 100)
	benchGet(b, s, "/studies/1.2.3/series/1.2.3.1/instances/"+string(instanceUID(1050))+"/frames/1", "Accept", `multipart/related; type="application/octet-stream"`)
}

func BenchmarkMetadata(b *testing.B) {
	s := benchSite(b, 500)
	benchGetMetadata := func(name string, fields ...string) {
		b.Run(name, func(b *testing.B) { benchGet(b, s, "/studies/1.2.3/series/1.2.3.1/metadata", fields...) })
	}
	benchGetMetadata("plain", "Accept-Encoding", "identity")
	benchGetMetadata("gzip", "Accept-Encoding", "gzip")
	benchGetMetadata("XML", "Accept", `multipart/related; type="application/dicom+xml"`, "Accept-Encoding", "identity")
}

func BenchmarkSearch(b *testing.B) {
	s := benchSite(b, 100)
	b.Run("one study", func(b *testing.B) { benchGet(b, s, "/studies?PatientID=PH-0001") })
	b.Run("100 instances", func(b *testing.B) { benchGet(b, s, "/studies/1.2.3/series/1.2.3.1/instances") })
}

// BenchmarkStore sends the same instances again and again: what is measured is the way to
// the archive, not its disk.
func BenchmarkStore(b *testing.B) {
	s := newSite(b, func(c *Config) { c.Archive = swallowing{c.Archive} })
	file := dicomtest.Bytes(b, dicomtest.CT(), dicom.ExplicitVRLittleEndian)
	files := make([][]byte, 20)
	for i := range files {
		files[i] = file
	}
	c := s.client()
	b.SetBytes(int64(len(file) * len(files)))
	b.ReportAllocs()
	for b.Loop() {
		if sent, err := c.Store(b.Context(), "", filesOf(files...)); err != nil || len(sent) != len(files) {
			b.Fatal(len(sent), err)
		}
	}
}
