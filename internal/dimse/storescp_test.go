package dimse

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"testing"

	"pharos/internal/access"
	"pharos/internal/archive"
	"pharos/internal/dicom"
	"pharos/internal/dicom/dict"
)

func bytesReader(b []byte) *bytes.Reader { return bytes.NewReader(b) }

func TestEchoIsAnswered(t *testing.T) {
	s := open(t)
	c := s.dial(OfferEcho())
	for range 3 {
		if err := c.Echo(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestDataSetsAreKeptAsTheyCame(t *testing.T) {
	s := open(t)
	var files [][]byte
	for n, ts := range nativeSyntaxes {
		files = append(files, slice(t, "native", 1, n+1, ts))
	}
	objects := s.fill(files...)
	for n, o := range objects {
		found := s.archive.instances(dicom.Ref{Instance: o.Instance})
		if len(found) != 1 {
			t.Fatalf("%v: %d instances", o.Syntax, len(found))
		}
		if found[0].syntax != o.Syntax || found[0].source != "TESTER" {
			t.Errorf("stored in %v from %q", found[0].syntax, found[0].source)
		}
		sent, err := o.Dataset(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		want, err := io.ReadAll(sent)
		if err != nil || !bytes.Equal(want, found[0].file[found[0].dataset:]) {
			t.Errorf("data set %d differs: %v", n, err)
		}
	}
}

// storeStatus sends one instance and returns how it was answered.
func storeStatus(t *testing.T, s *site, o Object) Status {
	t.Helper()
	c := s.dial(append(offersFor(o), OfferEcho())...)
	status, err := c.Store(t.Context(), o)
	var refused *StatusError
	if errors.As(err, &refused) {
		status, err = refused.Status, nil
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Echo(t.Context()); err != nil {
		t.Errorf("association is of no use after status %v: %v", status, err)
	}
	return status
}

func TestErrorsOfTheArchiveBecomeStatuses(t *testing.T) {
	for _, c := range []struct {
		err  error
		want Status
	}{
		{archive.ErrFull, OutOfResources},
		{archive.ErrConflict, UIDConflict},
		{archive.ErrInvalid, CannotUnderstand},
		{access.ErrDenied, NotAuthorized},
		{access.ErrHidden, NotAuthorized},
		{errors.New("the name of a patient"), ProcessingFailure},
	} {
		s := open(t)
		s.archive.storing = func(*archive.Incoming) error { return fmt.Errorf("wrapped: %w", c.err) }
		if got := storeStatus(t, s, object(t, slice(t, "refused", 1, 1, dicom.ExplicitVRLittleEndian))); got != c.want {
			t.Errorf("%v: status %v, want %v", c.err, got, c.want)
		}
	}
}

func TestWhoMayNotStoreIsToldSo(t *testing.T) {
	s := open(t, func(c *ServerConfig) {
		c.Authenticate = principalWith(access.Find)
	})
	if got := storeStatus(t, s, object(t, slice(t, "denied", 1, 1, dicom.ExplicitVRLittleEndian))); got != NotAuthorized {
		t.Errorf("status %v", got)
	}
}

func TestUIDsOfCommandAndDataSetMustAgree(t *testing.T) {
	s := open(t)
	honest := object(t, slice(t, "mismatch", 1, 1, dicom.ExplicitVRLittleEndian))
	for name, change := range map[string]func(*Object){
		"instance": func(o *Object) { o.Instance = "1.2.3" },
		"class":    func(o *Object) { o.Class = dict.MRImageStorage },
	} {
		o := honest
		change(&o)
		if got := storeStatus(t, s, o); got != ClassMismatch {
			t.Errorf("%s: status %v", name, got)
		}
	}
	if n := len(s.archive.instances(dicom.Ref{})); n != 0 {
		t.Errorf("%d instances stored", n)
	}
}

// dataset replaces the data set of an object.
func dataset(o Object, b []byte) Object {
	o.Dataset = opensBytes(b)
	return o
}

func TestUnacceptableInstancesAreRefusedAndNotStored(t *testing.T) {
	s := open(t)
	good := object(t, slice(t, "bad", 1, 1, dicom.ExplicitVRLittleEndian))
	traversal := good
	traversal.Instance = "../../../../tmp/pwn"
	unnamed := good
	unnamed.Instance = ""
	huge := append(unhex(t, "0800 0500 4353 0a00"), "ISO_IR 100"...)
	huge = append(huge, unhex(t, "e07f 1000 4f57 0000 f0ffffff 0000")...)
	deep := append([]byte(nil), unhex(t, "0800 1600 5549 0400 312e3200")...)
	for range 50_000 {
		deep = append(deep, unhex(t, "4000 30a7 5351 0000 ffffffff feff 00e0 ffffffff")...)
	}
	for name, c := range map[string]struct {
		object Object
		want   Status
	}{
		"D26 no SOP instance UID":         {unnamed, InvalidInstance},
		"D27 empty data set":              {dataset(good, nil), CannotUnderstand},
		"D28 garbage":                     {dataset(good, bytes.Repeat([]byte("garbage!"), 5000)), CannotUnderstand},
		"D30 path as SOP instance UID":    {traversal, InvalidInstance},
		"D31 empty study UID":             {object(t, slice(t, "bad", 1, 2, dicom.ExplicitVRLittleEndian, withEmptyStudy())), CannotUnderstand},
		"D32 length of 4 GiB":             {dataset(good, huge), CannotUnderstand},
		"D35 fifty thousand nested items": {dataset(good, deep), CannotUnderstand},
	} {
		if got := storeStatus(t, s, c.object); got != c.want {
			t.Errorf("%s: status %v, want %v", name, got, c.want)
		}
	}
	if n := len(s.archive.instances(dicom.Ref{})); n != 0 {
		t.Errorf("%d instances stored", n)
	}
}
