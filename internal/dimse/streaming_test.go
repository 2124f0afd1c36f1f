package dimse

import (
	"bytes"
	"context"
	"errors"
	"io"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"pharos/internal/archive"
	"pharos/internal/dicom"
	"pharos/internal/dicom/dicomtest"
	"pharos/internal/dicom/dict"
)

// large is an object whose pixel data is n zero bytes, made while it is read.
func large(t *testing.T, n int64) Object {
	t.Helper()
	d := dicomtest.CT(dicomtest.WithSize(16, 16))
	d.Put(&dicom.Element{Tag: dict.PixelData, VR: dict.OW, Bulk: &dicom.Range{Length: n}})
	o := Object{Kind: Kind{Class: dict.CTImageStorage, Syntax: dicom.ExplicitVRLittleEndian}, Instance: d.UID(dict.SOPInstanceUID)}
	o.Dataset = func(context.Context) (io.ReadCloser, error) {
		r, w := io.Pipe()
		go func() {
			zeroes := func(dicom.Range) (io.ReadCloser, error) { return io.NopCloser(zero{}), nil }
			w.CloseWithError(dicom.WriteDataset(w, d, o.Syntax, zeroes))
		}()
		return r, nil
	}
	return o
}

// zero reads as zeroes without end.
type zero struct{}

func (zero) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func TestMemoryDoesNotGrowWithTheInstance(t *testing.T) {
	s := open(t, func(c *ServerConfig) { c.Archive = discarding{} })
	const size = 256 << 20
	o := large(t, size)
	c := s.dial(offersFor(o)...)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := c.Store(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if used := after.TotalAlloc - before.TotalAlloc; used > size/16 {
		t.Errorf("%d bytes allocated for %d", used, size)
	}
}

func TestPanicCostsOneAssociation(t *testing.T) {
	s := open(t)
	s.archive.storing = func(*archive.Incoming) error { panic("a fault") }
	o := object(t, slice(t, "one", 1, 1, dicom.ExplicitVRLittleEndian))
	if _, err := s.dial(offersFor(o)...).Store(t.Context(), o); err == nil {
		t.Error("acknowledged")
	}
	if err := s.dial(OfferEcho()).Echo(t.Context()); err != nil {
		t.Errorf("server is gone: %v", err)
	}
}

func TestRequestsAreObserved(t *testing.T) {
	type seen struct {
		operation Field
		status    Status
	}
	observed := make(chan seen, 10)
	s := open(t, func(c *ServerConfig) {
		c.Observe = func(f Field, status Status, _ time.Duration) { observed <- seen{f, status} }
	})
	s.archive.storing = func(*archive.Incoming) error { return archive.ErrFull }
	storeStatus(t, s, object(t, slice(t, "one", 1, 1, dicom.ExplicitVRLittleEndian)))
	want := []seen{{CStoreRQ, OutOfResources}, {CEchoRQ, Success}}
	if got := []seen{<-observed, <-observed}; !slices.Equal(got, want) {
		t.Errorf("observed %v", got)
	}
}

func TestLostDestinationIsDialledAgain(t *testing.T) {
	s := open(t)
	objects := s.fill(
		slice(t, "one", 1, 1, dicom.ExplicitVRLittleEndian),
		slice(t, "one", 1, 2, dicom.ExplicitVRLittleEndian),
		slice(t, "one", 1, 3, dicom.ExplicitVRLittleEndian))
	var crashes atomic.Int32
	to := destinationSite(t, s)
	to.archive.storing = func(in *archive.Incoming) error {
		if in.Ref.Instance == objects[1].Instance && crashes.Add(1) == 1 {
			panic("a fault")
		}
		return nil
	}
	got, err := s.dial(OfferMove(StudyRoot)).Move(t.Context(), StudyRoot, studyOf(s, objects[0]), "DEST", nil)
	if err != nil || got.Counts != (Counts{Completed: 2, Failed: 1}) || len(to.archive.stored) != 2 {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestShutdownLetsTheOperationUnderWayEnd(t *testing.T) {
	s := open(t)
	arrived, proceed := make(chan struct{}), make(chan struct{})
	s.archive.storing = func(*archive.Incoming) error {
		close(arrived)
		<-proceed
		return nil
	}
	o := object(t, slice(t, "one", 1, 1, dicom.ExplicitVRLittleEndian))
	c := s.dial(offersFor(o)...)
	stored := make(chan error, 1)
	go func() {
		_, err := c.Store(context.Background(), o)
		_, _ = c.receive() // the release
		stored <- err
	}()
	<-arrived
	down := make(chan error, 1)
	go func() { down <- s.server.Shutdown(context.Background()) }()
	close(proceed)
	if err := errors.Join(<-stored, <-down); err != nil {
		t.Error(err)
	}
}

func TestEndOfContextEndsAnOperation(t *testing.T) {
	stopped := make(chan struct{})
	s := open(t, func(c *ServerConfig) { c.Archive = endless{c.Archive, stopped} })
	c := s.dial(OfferFind(StudyRoot))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for _, err := range c.Find(ctx, StudyRoot, keys(archive.StudyLevel)) {
		cancel()
		if err != nil {
			if !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
			break
		}
	}
	<-stopped
}

func TestFilesWithoutMetaInformationAreSent(t *testing.T) {
	s := open(t)
	file := slice(t, "one", 1, 1, dicom.ExplicitVRLittleEndian)
	whole := object(t, file)
	r, err := whole.Dataset(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	bare, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{"whole": file, "bare": bare} {
		o, err := ReadObject(bytes.NewReader(b))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if o.Kind != whole.Kind || o.Instance != whole.Instance {
			t.Errorf("%s: %+v", name, o)
		}
		if got := storeStatus(t, s, o); got != Success {
			t.Errorf("%s: %v", name, got)
		}
	}
	if n := len(s.archive.stored); n != 1 {
		t.Errorf("%d instances", n)
	}
}
