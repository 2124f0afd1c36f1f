package e2e

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pharos/internal/dicom/dicomtest"
)

// us is a value of VR US.
func us(values ...uint16) string {
	var b []byte
	for _, v := range values {
		b = binary.LittleEndian.AppendUint16(b, v)
	}
	return string(b)
}

// patched is a synthetic CT with elements replaced, as a file.
func patched(t *testing.T, name string, replace ...patch) []byte {
	t.Helper()
	k := slice(t, name, 1, 1, 16)
	for _, p := range replace {
		i := bytes.Index(k.file, element(p.tag, p.vr, "")[:6])
		if i < 0 {
			t.Fatalf("no element %08X", p.tag)
		}
		n := int(binary.LittleEndian.Uint16(k.file[i+6:]))
		k.file = bytes.Join([][]byte{k.file[:i], element(p.tag, p.vr, p.value), k.file[i+8+n:]}, nil)
	}
	return k.file
}

type patch struct {
	tag       uint32
	vr, value string
}

// brokenFiles are those F cases that can be made from a good file.
func brokenFiles(t *testing.T) map[string][]byte {
	t.Helper()
	whole := slice(t, "F", 1, 1, 16)
	data := datasetOf(t, whole.file)
	jpeg := dicomtest.JPEGBytes(t, dicomtest.WithStudy("F jpeg"), dicomtest.WithSize(16, 16))
	name := bytes.Index(data, []byte{0x10, 0, 0x10, 0, 'P', 'N'})
	inserted := func(study string, elements []byte) []byte {
		k := slice(t, study, 1, 1, 16)
		d := datasetOf(t, k.file)
		at := bytes.Index(d, []byte{0x10, 0, 0x10, 0, 'P', 'N'})
		meta := k.file[:len(k.file)-len(d)]
		return bytes.Join([][]byte{meta, d[:at], elements, d[at:]}, nil)
	}
	return map[string][]byte{
		"F04 JPEG of huge dimensions":       bytes.Replace(jpeg, []byte{0xFF, 0xC0, 0, 11, 8, 0, 16, 0, 16}, []byte{0xFF, 0xC0, 0, 11, 8, 0xFF, 0xFF, 0xFF, 0xFF}, -1),
		"F11 65535 rows and columns":        patched(t, "F11", patch{0x00280010, "US", us(65535)}, patch{0x00280011, "US", us(65535)}),
		"F12 BitsStored 0":                  patched(t, "F12", patch{0x00280101, "US", us(0)}, patch{0x00280102, "US", us(65535)}),
		"F12 BitsAllocated 0":               patched(t, "F12 allocated", patch{0x00280100, "US", us(0)}),
		"F13 SamplesPerPixel 0":             patched(t, "F13", patch{0x00280002, "US", us(0)}),
		"F13 rows 0":                        patched(t, "F13 rows", patch{0x00280010, "US", us(0)}),
		"F16 window width 0":                patched(t, "F16", patch{0x00281051, "DS", "0"}, patch{0x00281053, "DS", "1e308"}),
		"F16 window no number":              patched(t, "F16 text", patch{0x00281051, "DS", "wide"}, patch{0x00281050, "DS", `NaN\inf`}),
		"F20 46341 squared":                 patched(t, "F20", patch{0x00280010, "US", us(46341)}, patch{0x00280011, "US", us(46341)}),
		"F14 palette without LUT":           patched(t, "F14", patch{0x00280004, "CS", "PALETTE COLOR"}),
		"F19 nested 5,000 deep":             inserted("F19", nested(0x00081111, 5000)),
		"F19 nested 60 deep, open":          inserted("F19 open", nested(0x00081111, 60)),
		"F22 HTML in the name":              patched(t, "F22", patch{0x00100010, "PN", "<script>alert(1)</script>"}),
		"F23 3 GB announced":                append(whole.file[:len(whole.file)-len(data)+name:len(whole.file)-len(data)+name], 0xE0, 0x7F, 0x10, 0, 'O', 'W', 0, 0, 0, 0, 0, 0xC0, 1, 2, 3),
		"F25 DICM inside data":              append(make([]byte, 100), whole.file...),
		"F26 truncated":                     whole.file[:len(whole.file)-100],
		"F27 IS that is no number":          patched(t, "F27", patch{0x00200013, "IS", "1A"}),
		"F27 date that is none":             patched(t, "F27 date", patch{0x00080020, "DA", "yesterday"}),
		"F31 name of 60 kB":                 patched(t, "F31", patch{0x00100010, "PN", strings.Repeat("N", 60_000)}),
		"F31 UID of 60 kB":                  patched(t, "F31 uid", patch{0x0020000E, "UI", strings.Repeat("1", 60_000)}),
		"F31 bad encoding":                  patched(t, "F31 encoding", patch{0x00100010, "PN", "\x1b$B\xff\xfe\x80^\x1b(J"}),
		"F32 path as UID":                   patched(t, "F32", patch{0x0020000D, "UI", "../../../../etc/cron.d/x"}),
		"F33 an executable in the preamble": append([]byte("MZ"), slice(t, "F33", 1, 1, 16).file[2:]...),
		"random bytes":                      garbage(100_000),
		"nothing":                           {},
	}
}

// TestIncompleteFilesBecomeFiles sends files that lack what comes before the data set
// (F24). Each is refused, or kept as a file that others can read, with its data set.
func TestIncompleteFilesBecomeFiles(t *testing.T) {
	s := open(t, options{})
	for name, cut := range map[string]func(file []byte) []byte{
		"no preamble":            func(f []byte) []byte { return f[128:] },
		"no preamble and prefix": func(f []byte) []byte { return f[132:] },
		"no prefix":              func(f []byte) []byte { return append(f[:128:128], f[132:]...) },
		"no meta":                func(f []byte) []byte { return append(f[:132:132], datasetOf(t, f)...) },
		"only a data set":        func(f []byte) []byte { return datasetOf(t, f) },
	} {
		t.Run(name, func(t *testing.T) {
			s := s.in(t)
			k := slice(t, "F24 "+name, 1, 1, 16)
			sent := cut(k.file)
			body, contentType := related(sent)
			rsp := s.do(http.MethodPost, "/dicom-web/studies", bytes.NewReader(body), "Content-Type: "+contentType, "Accept: application/dicom+json")
			if rsp.StatusCode != http.StatusOK {
				rsp.want(t, 400, 409)
				return
			}
			file := s.get(k.path(), "Accept: application/dicom; transfer-syntax=*").want(t, 200).body
			if metaText(file, 0x03) != k.instance || !bytes.HasSuffix(file, datasetOf(t, k.file)) {
				t.Fatalf("kept as what is no file: % x", file[:min(len(file), 300)])
			}
			if !bytes.Equal(datasetOf(t, file), datasetOf(t, k.file)) {
				t.Error("kept with another data set")
			}
			s.get(k.path()+"/rendered", "Accept: image/jpeg").want(t, 200)
			s.get(k.path()+"/metadata").want(t, 200)
		})
	}
}

// TestHostileFiles sends broken files by STOW-RS, and by C-STORE when they have a data
// set, and asks for everything that can be had of those that were taken. Nothing may
// fail on the side of the server.
func TestHostileFiles(t *testing.T) {
	s := open(t, options{})
	for name, file := range brokenFiles(t) {
		t.Run(name, func(t *testing.T) { s.in(t).endure(file) })
	}
	if dir := os.Getenv(samplesVariable); dir != "" {
		for _, part := range []string{"fuzz", filepath.Join("files", "malformed"), filepath.Join("files", "other")} {
			s.endureAll(t, filepath.Join(dir, part))
		}
	}
	s.everySearch()
	s.unharmed()
}

// endureAll sends every file of a directory.
func (s *site) endureAll(t *testing.T, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(filepath.Dir(dir), path)
		t.Run(name, func(t *testing.T) { s.in(t).endure(content) })
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// endure sends a file and asks for what became of it.
func (s *site) endure(file []byte) {
	s.t.Helper()
	if syntax := metaText(file, 0x10); syntax == explicitLE && len(file) > 144 {
		s.offer(file)
	}
	body, contentType := related(file)
	rsp := s.do(http.MethodPost, "/dicom-web/studies", bytes.NewReader(body), "Content-Type: "+contentType, "Accept: application/dicom+json")
	switch {
	case rsp.StatusCode >= 500:
		s.t.Errorf("STOW: status %d: %.300s", rsp.StatusCode, rsp.body)
		return
	case rsp.StatusCode != http.StatusOK:
		return
	}
	at := retrieveURL(s.t, s, rsp)
	for _, ask := range []struct{ path, accept string }{
		{"/metadata", "application/dicom+json"}, {"/metadata", "application/dicom+xml"},
		{"/rendered", "image/jpeg"}, {"/rendered?viewport=64,64&window=40,400,linear", "image/png"}, {"/thumbnail", "image/jpeg"},
		{"/frames/1", `multipart/related; type="application/octet-stream"; transfer-syntax=*`},
		{"/frames/1", `multipart/related; type="application/octet-stream"`},
		{"/frames/2,99999999", "*/*"}, {"/frames/1/rendered", "image/png"},
		{"/bulkdata/7FE00010", "*/*"},
		{"", "application/dicom; transfer-syntax=*"},
		{"", "application/dicom; transfer-syntax=" + explicitLE}, {"", "application/zip"},
	} {
		answer, err := s.try(http.MethodGet, at+ask.path, nil, "Accept: "+ask.accept)
		if err != nil {
			s.t.Errorf("%s as %s: %v", ask.path, ask.accept, err)
			continue
		}
		if answer.StatusCode >= 500 {
			s.t.Errorf("%s as %s: status %d: %.300s", ask.path, ask.accept, answer.StatusCode, answer.body)
		}
		if kind := answer.Header.Get("Content-Type"); strings.HasPrefix(kind, "text/html") {
			s.t.Errorf("%s: served as %s", ask.path, kind)
		}
		if ask.accept == "application/dicom+json" && answer.StatusCode == 200 {
			var metadata []object
			answer.json(s.t, &metadata)
		}
	}
	s.query("/instances?includefield=all&" + fmt.Sprintf("SOPInstanceUID=%s", at[strings.LastIndexByte(at, '/')+1:]))
}

// offer sends the data set of a file by C-STORE under the UIDs that the file claims. Any
// answer is good.
func (s *site) offer(file []byte) {
	class, instance := metaText(file, 0x02), metaText(file, 0x03)
	n := 144 + int64(binary.LittleEndian.Uint32(file[140:]))
	if len(class) > 64 || len(instance) > 64 || n > int64(len(file)) || string(file[132:136]) != "\x02\x00\x00\x00" {
		return
	}
	a := s.dial()
	defer a.conn.Close()
	a.send(goodRequest(class).bytes())
	kind, reply, err := a.receive()
	if err != nil || kind != pduAssociateAC {
		return
	}
	if results, _ := contextResults(reply); results[1] == 0 {
		a.store(class, instance, file[n:])
	}
}

// everySearch lists everything that was taken, at every level.
func (s *site) everySearch() {
	s.t.Helper()
	for _, path := range []string{"/studies", "/series", "/instances"} {
		for _, accept := range []string{"application/dicom+json", "application/dicom+xml"} {
			s.get("/dicom-web"+path+"?includefield=all&limit=1000", "Accept: "+accept).want(s.t, 200)
		}
		s.query(path + "?includefield=all&limit=1000")
	}
}
