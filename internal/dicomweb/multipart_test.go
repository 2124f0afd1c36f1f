package dicomweb

import (
	"bytes"
	"errors"
	"io"
	"mime/multipart"
	"regexp"
	"strings"
	"testing"
	"testing/iotest"
)

// readParts reads a body with our reader.
func readParts(r io.Reader, boundary string) (parts []partOf, err error) {
	m, err := newParts(r, boundary)
	if err != nil {
		return nil, err
	}
	defer m.close()
	for {
		p, err := m.next()
		if errors.Is(err, io.EOF) {
			return parts, nil
		}
		if err != nil {
			return parts, err
		}
		body, err := io.ReadAll(struct{ io.Reader }{p})
		if err != nil {
			return parts, err
		}
		parts = append(parts, partOf{p.contentType, p.location, body})
	}
}

func TestPartsReader(t *testing.T) {
	for _, c := range []struct {
		name, boundary, body string
		want                 []string
	}{
		{"one part", "b", "--b\r\n\r\nvalue\r\n--b--\r\n", []string{"value"}},
		{"preamble and epilogue are skipped", "b", "pre\r\n--b\r\n\r\nvalue\r\n--b--\r\nepilogue", []string{"value"}},
		{"a line end before the first delimiter", "b", "\r\n--b\r\n\r\nvalue\r\n--b--", []string{"value"}},
		{"several parts", "b", "--b\r\nX: y\r\n\r\n1\r\n--b\r\n\r\n2\r\n--b--\r\n", []string{"1", "2"}},
		{"empty value", "b", "--b\r\nX: y\r\n\r\n\r\n--b--\r\n", []string{""}},
		{"no value at all", "b", "--b\r\nX: y\r\n\r\n--b\r\n\r\n--b--\r\n", []string{"", ""}},
		{"the boundary in the value without its line end", "b", "--b\r\n\r\nx--b--\r\n--b--\r\n", []string{"x--b--"}},
		{"a longer boundary in the value", "b", "--b\r\n\r\nx\r\n--bc\r\ny\r\n--b--\r\n", []string{"x\r\n--bc\r\ny"}},
		{"half a delimiter in the value", "b", "--b\r\n\r\n\r\n-\r\n--\r\n\r\n--b--\r\n", []string{"\r\n-\r\n--\r\n"}},
		{"white space behind the boundary", "b", "--b \t\r\n\r\nvalue\r\n--b--\r\n", []string{"value"}},
		{"line ends without CR in the header", "b", "--b\nX: y\n\nvalue\r\n--b--\r\n", []string{"value"}},
		{"a long boundary", strings.Repeat("b", 150), "--" + strings.Repeat("b", 150) + "\r\n\r\nvalue\r\n--" + strings.Repeat("b", 150) + "--", []string{"value"}},
		{"no part", "b", "--b--\r\n", nil},
	} {
		for how, wrap := range map[string]func(io.Reader) io.Reader{
			"at once": func(r io.Reader) io.Reader { return r }, "byte by byte": iotest.OneByteReader, "with EOF in time": iotest.DataErrReader,
		} {
			parts, err := readParts(wrap(strings.NewReader(c.body)), c.boundary)
			if err != nil {
				t.Errorf("%s, %s: %v", c.name, how, err)
				continue
			}
			var got []string
			for _, p := range parts {
				got = append(got, string(p.body))
			}
			if strings.Join(got, "|") != strings.Join(c.want, "|") || len(got) != len(c.want) {
				t.Errorf("%s, %s: %q, want %q", c.name, how, got, c.want)
			}
		}
	}
}

func TestPartsReaderRefuses(t *testing.T) {
	for name, c := range map[string]struct{ boundary, body string }{
		"no boundary":                   {"", "--\r\n\r\nx\r\n----\r\n"},
		"a boundary of 5000 characters": {strings.Repeat("b", 5000), "x"},
		"a boundary that is not there":  {"b", "--c\r\n\r\nx\r\n--c--\r\n"},
		"an endless preamble":           {"b", strings.Repeat("x", 1<<20) + "\r\n--b--\r\n"},
		"an empty body":                 {"b", ""},
		"a body without end":            {"b", "--b\r\n\r\nvalue"},
		"a header without end":          {"b", "--b\r\nX: y"},
		"a header of 1 MB":              {"b", "--b\r\nX: " + strings.Repeat("y", 1<<20) + "\r\n\r\nx\r\n--b--\r\n"},
		"a header of 100,000 lines":     {"b", "--b\r\n" + strings.Repeat("X: y\r\n", 100_000) + "\r\nx\r\n--b--\r\n"},
		"a header line without colon":   {"b", "--b\r\nX\r\n\r\nx\r\n--b--\r\n"},
	} {
		if parts, err := readParts(strings.NewReader(c.body), c.boundary); err == nil {
			t.Errorf("%s: accepted as %d parts", name, len(parts))
		}
	}
}

func TestPartsReaderFindsDelimitersAtEveryPlaceInItsBuffer(t *testing.T) {
	for shift := -80; shift <= 80; shift++ {
		value := bytes.Repeat([]byte("\r\n--b"), (partsBuffer+shift)/5)
		value = append(value, make([]byte, (partsBuffer+shift)%5)...)
		body := append(append([]byte("--boundary\r\n\r\n"), value...), "\r\n--boundary\r\n\r\n2\r\n--boundary--\r\n"...)
		parts, err := readParts(bytes.NewReader(body), "boundary")
		if err != nil || len(parts) != 2 || !bytes.Equal(parts[0].body, value) {
			t.Fatalf("shift %d: %d parts, %v", shift, len(parts), err)
		}
	}
}

// FuzzPartsReader compares with the standard library: what that one reads without error
// is read here with the same values, whichever way it is asked.
func FuzzPartsReader(f *testing.F) {
	f.Add([]byte("--b\r\nContent-Type: application/dicom\r\n\r\nvalue\r\n--b--\r\n"), uint8(3))
	f.Add([]byte("x\r\n--b\r\n\r\n\r\n--b\r\n\r\n--b\r\nA: b\r\n\r\n\r\n-\r\n--b--"), uint8(1))
	f.Add([]byte("--b--"), uint8(1))
	f.Add([]byte("--b\r\n\r\n--b \r\n\r\n--bb\r\n--b--"), uint8(7))
	f.Fuzz(func(t *testing.T, body []byte, piece uint8) {
		whole, err := readParts(bytes.NewReader(body), "b")
		pieces, errPieces := readParts(&pieceReader{body, int(piece) + 1}, "b")
		if (err == nil) != (errPieces == nil) || len(whole) != len(pieces) {
			t.Fatalf("read at once: %d parts, %v; in pieces: %d parts, %v", len(whole), err, len(pieces), errPieces)
		}
		total := 0
		for i := range whole {
			total += len(whole[i].body)
			if !bytes.Equal(whole[i].body, pieces[i].body) {
				t.Fatalf("part %d is %q at once and %q in pieces", i, whole[i].body, pieces[i].body)
			}
		}
		if total > len(body) {
			t.Fatalf("%d bytes of values in %d bytes", total, len(body))
		}
		if want, ok := standardParts(body); ok && err == nil {
			compareParts(t, whole, want)
		}
	})
}

func compareParts(t *testing.T, got []partOf, want [][]byte) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d parts, the standard library has %d", len(got), len(want))
	}
	for i := range got {
		if !bytes.Equal(got[i].body, want[i]) {
			t.Fatalf("part %d is %q, the standard library has %q", i, got[i].body, want[i])
		}
	}
}

// differs matches bodies that mime/multipart reads in another way: it understands line
// ends without CR between parts too, and wants a line end behind the last delimiter.
var differs = regexp.MustCompile("[^\r]\n|^\n|\r\r|--b--[^\r]|--b--\r[^\n]|--b--\r$")

// standardParts reads the body with mime/multipart.
func standardParts(body []byte) (parts [][]byte, ok bool) {
	if differs.Match(body) {
		return nil, false
	}
	m := multipart.NewReader(bytes.NewReader(body), "b")
	for {
		p, err := m.NextRawPart()
		if err == io.EOF {
			return parts, true
		}
		if err != nil {
			return nil, false
		}
		value, err := io.ReadAll(p)
		if err != nil {
			return nil, false
		}
		parts = append(parts, value)
	}
}

type pieceReader struct {
	rest []byte
	size int
}

func (p *pieceReader) Read(b []byte) (int, error) {
	if len(p.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(b[:min(len(b), p.size)], p.rest)
	p.rest = p.rest[n:]
	return n, nil
}

// BenchmarkPartsReader measures the search for boundaries in CT-like values.
func BenchmarkPartsReader(b *testing.B) {
	value := bytes.Repeat([]byte{0x0D, 0x04, 0x0A, 0x04, 0x12, 0x04, 0x00, 0x00, 0x0D, 0x0A}, 52_600)
	var body bytes.Buffer
	for range 20 {
		body.WriteString("--f3a9c2d4e5b60718f3a9c2d4e5b60718\r\nContent-Type: application/dicom\r\n\r\n")
		body.Write(value)
		body.WriteString("\r\n")
	}
	body.WriteString("--f3a9c2d4e5b60718f3a9c2d4e5b60718--\r\n")
	b.Run("ours", func(b *testing.B) {
		b.SetBytes(int64(body.Len()))
		b.ReportAllocs()
		for b.Loop() {
			m, err := newParts(bytes.NewReader(body.Bytes()), "f3a9c2d4e5b60718f3a9c2d4e5b60718")
			if err != nil {
				b.Fatal(err)
			}
			for {
				p, err := m.next()
				if err != nil {
					break
				}
				if _, err := io.Copy(io.Discard, p); err != nil {
					b.Fatal(err)
				}
			}
			m.close()
		}
	})
	b.Run("standard library", func(b *testing.B) {
		b.SetBytes(int64(body.Len()))
		b.ReportAllocs()
		buf := make([]byte, 64<<10)
		for b.Loop() {
			m := multipart.NewReader(bytes.NewReader(body.Bytes()), "f3a9c2d4e5b60718f3a9c2d4e5b60718")
			for {
				p, err := m.NextRawPart()
				if err != nil {
					break
				}
				if _, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{p}, buf); err != nil {
					b.Fatal(err)
				}
			}
		}
	})
}

// Both ways to search must find the delimiter, wherever the one gives way to the other.
func TestDelimiterIsFoundAmongItsOwnBytes(t *testing.T) {
	const boundary = "abcab"
	for _, filler := range []string{"b", "ab", "abcab", "\r\n--abca", "\r", "xxxxxxb", strings.Repeat("x", 70) + "b", "x"} {
		for _, n := range []int{0, 1, 15, 16, 17, 18, 100, 5000} {
			value := strings.Repeat(filler, n)
			parts, err := newParts(strings.NewReader("--"+boundary+"\r\n\r\n"+value+"\r\n--"+boundary+"--\r\n"), boundary)
			if err != nil {
				t.Fatal(err)
			}
			one, err := parts.next()
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(one)
			if err != nil || string(got) != value {
				t.Errorf("%d times %q: %d bytes of %d, %v", n, filler, len(got), len(value), err)
			}
			if _, err := parts.next(); !errors.Is(err, io.EOF) {
				t.Errorf("%d times %q: %v behind the last part", n, filler, err)
			}
			parts.close()
		}
	}
}
