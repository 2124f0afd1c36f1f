package dicomweb

import (
	"fmt"
	"strings"
	"testing"
)

func TestAcceptIsUnderstood(t *testing.T) {
	for field, want := range map[string]string{
		"":                            "[{*/*   1000 }]",
		"application/dicom+json":      "[{application/dicom+json   1000 }]",
		"Application/DICOM+JSON ; Q=": "error",
		`multipart/related; type="application/dicom"; transfer-syntax=*`: "[{multipart/related application/dicom * 1000 }]",
		`multipart/related;type=application/dicom;transfer-syntax=1.2`:   "[{multipart/related application/dicom 1.2 1000 }]",
		`multipart/related; type="application/dicom"; boundary="x,y;z"`:  "[{multipart/related application/dicom  1000 x,y;z}]",
		"a/b;q=0.5, c/d, e/f;q=0, g/*;q=0.75":                            "[{c/d   1000 } {g/*   750 } {a/b   500 }]",
		"a/b, , c/d":                                                     "[{a/b   1000 } {c/d   1000 }]",
		"a/b;q=2":                                                        "error",
		"a/b;q=NaN":                                                      "error",
		"a":                                                              "error",
		"/b":                                                             "error",
		`a/b; type="x`:                                                   "error",
		`a/b; x="y\"z"`:                                                  "[{a/b   1000 }]",
	} {
		got, err := parseAccept([]string{field})
		text := fmt.Sprint(got)
		if err != nil {
			text = "error"
		}
		if text != want {
			t.Errorf("%q: %s, want %s", field, text, want)
		}
	}
}

func TestGzipIsUnderstood(t *testing.T) {
	for field, want := range map[string]bool{
		"": false, "gzip": true, "deflate, gzip;q=1.0": true, "gzip;q=0": false, "*": true, "*;q=0": false,
		"gzip; q=0.000, *": false, "br, x-gzip": true, "identity": false, "GZIP": true,
	} {
		if got := acceptsGzip([]string{field}); got != want {
			t.Errorf("%q: %v", field, got)
		}
	}
}

func FuzzAccept(f *testing.F) {
	f.Add(`multipart/related; type="application/dicom"; transfer-syntax=*, */*;q=0.1`)
	f.Add(`a/b; x="\"`)
	f.Add(";;;=,")
	f.Fuzz(func(t *testing.T, field string) {
		ranges, err := parseAccept([]string{field})
		if err != nil {
			return
		}
		for i, m := range ranges {
			if m.q <= 0 || m.q > 1000 || i > 0 && ranges[i-1].q < m.q {
				t.Fatalf("qualities of %v", ranges)
			}
			if !mediaType(m.kind) || m.kind != strings.ToLower(m.kind) {
				t.Fatalf("kind %q", m.kind)
			}
			// What was understood means the same when it is written out properly.
			if m.boundary == "" && !strings.ContainsAny(m.syntax, `"\`) {
				written := fmt.Sprintf(`%s; type="%s"; transfer-syntax="%s"; q=%d.%03d`, m.kind, m.part, m.syntax, m.q/1000, m.q%1000)
				if m.part == "" {
					written = fmt.Sprintf(`%s; transfer-syntax="%s"; q=%d.%03d`, m.kind, m.syntax, m.q/1000, m.q%1000)
				}
				if again, ok := parseMediaRange(written); !ok || again != m {
					t.Fatalf("%v, again %v", m, again)
				}
			}
		}
	})
}

func FuzzRange(f *testing.F) {
	f.Add("bytes=0-9", int64(100))
	f.Add("bytes=-5", int64(3))
	f.Add("bytes=99999999999999999999-", int64(1))
	f.Add("bytes=5-2", int64(0))
	f.Fuzz(func(t *testing.T, field string, size int64) {
		if size < 0 {
			return
		}
		off, n, partial, err := parseRange(field, size)
		switch {
		case err != nil:
		case !partial && (off != 0 || n != size):
			t.Fatalf("whole value is %d+%d of %d", off, n, size)
		case partial && (off < 0 || n <= 0 || off+n > size || off+n < 0):
			t.Fatalf("range %d+%d of %d", off, n, size)
		}
	})
}
