package dicomweb

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
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
	clip := dicomtest.EnhancedCT(dicomtest.WithUIDs(study1, series1, instanceUID(1)), dicomtest.WithSize(512, 900), dicomtest.WithFrames(8))
	s.put(dicomtest.Bytes(b, clip, dicom.ExplicitVRLittleEndian))
	frame := func(name, path string) {
		b.Run(name, func(b *testing.B) {
			benchGet(b, s, "/studies/1.2.3/series/1.2.3.1/instances/"+path, "Accept", `multipart/related; type="application/octet-stream"`)
		})
	}
	frame("CT", string(instanceUID(1050))+"/frames/1")
	frame("of many", string(instanceUID(1))+"/frames/5")
	frame("eight", string(instanceUID(1))+"/frames/1,2,3,4,5,6,7,8")
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
	b.Run("one study", func(b *testing.B) { benchGet(b, s, "/studies?PatientID=PH-0001", "Accept-Encoding", "identity") })
	b.Run("100 instances", func(b *testing.B) {
		benchGet(b, s, "/studies/1.2.3/series/1.2.3.1/instances", "Accept-Encoding", "identity")
	})
	b.Run("100 studies", func(b *testing.B) {
		s := newSite(b)
		for i := range 300 {
			study := dicom.UID("1.2.3." + strconv.Itoa(1000+i))
			s.put(ct(b, 1, dicomtest.WithUIDs(study, study+".1", study+".1.1"), dicomtest.WithSize(2, 2)))
		}
		benchGet(b, s, "/studies?limit=100&offset=100", "Accept-Encoding", "identity")
	})
}

// BenchmarkStore sends the same instances again and again: what is measured is the way to
// the archive, not its disk.
func BenchmarkStore(b *testing.B) {
	s := newSite(b, func(c *Config) { c.Archive = swallowing{c.Archive} })
	c := s.client()
	file := dicomtest.Bytes(b, dicomtest.CT(), dicom.ExplicitVRLittleEndian)
	for _, n := range [...]int{1, 20} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			files := slices.Repeat([][]byte{file}, n)
			b.SetBytes(int64(len(file) * n))
			b.ReportAllocs()
			for b.Loop() {
				if sent, err := c.Store(b.Context(), "", filesOf(files...)); err != nil || len(sent) != n {
					b.Fatal(len(sent), err)
				}
			}
		})
	}
}

// BenchmarkFindDelimiter searches in pixels, and in what is worst for each way to search.
func BenchmarkFindDelimiter(b *testing.B) {
	boundary := "0123456789abcdef"
	ct := dicomtest.Bytes(b, dicomtest.CT(), dicom.ExplicitVRLittleEndian)
	for name, body := range map[string][]byte{
		"CT":            ct,
		"last byte":     bytes.Repeat([]byte("f"), len(ct)),
		"half of it":    bytes.Repeat([]byte("fxxxxxxxxxx\x00"), len(ct)/12),
		"all but first": bytes.Repeat([]byte("\r\n--0123456789abcde"), len(ct)/19),
	} {
		b.Run(name, func(b *testing.B) {
			whole := append(append([]byte("--"+boundary+"\r\n\r\n"), body...), "\r\n--"+boundary+"--\r\n"...)
			b.SetBytes(int64(len(whole)))
			for b.Loop() {
				parts, err := newParts(bytes.NewReader(whole), boundary)
				if err != nil {
					b.Fatal(err)
				}
				one, err := parts.next()
				if err != nil {
					b.Fatal(err)
				}
				if n, err := one.WriteTo(io.Discard); err != nil || n != int64(len(body)) {
					b.Fatal(n, err)
				}
				parts.close()
			}
		})
	}
}
