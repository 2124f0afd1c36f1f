package dimse

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"pharos/internal/dicom"
)

// sampleDir is a directory of the sample files, or skips the test.
func sampleDir(t *testing.T, name string) string {
	t.Helper()
	root := os.Getenv("PHAROS_SAMPLES")
	if root == "" {
		if os.Getenv("CI") != "" {
			t.Fatal("PHAROS_SAMPLES is not set")
		}
		t.Skip("PHAROS_SAMPLES is not set")
	}
	return filepath.Join(root, name)
}

func TestSamplesAreStoredBitByBitOrRefused(t *testing.T) {
	dir := sampleDir(t, "files")
	s := open(t)
	sent, refused := 0, 0
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		status, ok := sendSample(t, s, path)
		switch {
		case !ok:
		case status == Success:
			sent++
		case status == CannotUnderstand || status == UIDConflict || status == ClassMismatch:
			refused++
		default:
			t.Errorf("%s: status %v", filepath.Base(path), status)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d stored, %d refused", sent, refused)
	if sent < 4*refused {
		t.Error("too many refused")
	}
}

// sendSample stores a file, unless it is none that can be sent, and compares what the
// archive has. Nothing stays in the archive.
func sendSample(t *testing.T, s *site, path string) (Status, bool) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	o, err := FileObject(f, info.Size())
	if err != nil || !known(string(o.Syntax)) || !s.server.stores(string(o.Class)) {
		return 0, false
	}
	defer s.archive.empty()
	c := s.dial(OfferStore([]Kind{o.Kind})[0].Offers...)
	defer func() { _ = c.Release(t.Context()) }()
	status, err := c.Store(t.Context(), o)
	var no *StatusError
	if errors.As(err, &no) {
		return no.Status, true
	}
	if err != nil {
		t.Errorf("%s: %v", filepath.Base(path), err)
		return 0, false
	}
	r, err := o.Dataset(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	i := s.archive.stored[0]
	if !bytes.Equal(i.file[i.dataset:], want) {
		t.Errorf("%s: stored bytes differ", filepath.Base(path))
	}
	return status, true
}

func TestRecordedStreamsDoNotHarmTheServer(t *testing.T) {
	dir := sampleDir(t, "dimse-seeds")
	s := open(t, func(c *ServerConfig) { c.Accepted = []string{"*"} })
	seeds, err := filepath.Glob(filepath.Join(dir, "*.raw"))
	if err != nil || len(seeds) == 0 {
		t.Fatalf("no streams in %s, %v", dir, err)
	}
	for _, name := range seeds {
		stream, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		conn, err := net.DialTimeout("tcp", s.node.Address(), 5*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Write(stream); err != nil {
			t.Logf("%s: %v", filepath.Base(name), err) // refused before its end
		}
		if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
			t.Fatal(err)
		}
		if err := conn.(*net.TCPConn).CloseWrite(); err == nil {
			_, _ = io.Copy(io.Discard, conn)
		}
		_ = conn.Close()
	}
	if err := s.dial(OfferEcho()).Echo(t.Context()); err != nil {
		t.Error(err)
	}
	t.Logf("%d instances of %v", len(s.archive.instances(dicom.Ref{})), len(seeds))
}
