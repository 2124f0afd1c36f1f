package dicomweb

import (
	"bytes"
	"context"
	"errors"
	"io"
	"iter"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	"pharos/internal/archive"
	"pharos/internal/dicom"
	"pharos/internal/dicom/dict"
)

func filesOf(files ...[]byte) Files {
	return func(yield func(io.ReadCloser, error) bool) {
		for _, f := range files {
			if !yield(io.NopCloser(bytes.NewReader(f)), nil) {
				return
			}
		}
	}
}

func (s *site) client() *Client { return &Client{Base: s.URL + Root, HTTP: s.Client()} }

func TestClientDoesEveryVerb(t *testing.T) {
	s := newSite(t)
	c := s.client()
	files := [][]byte{ct(t, 1), ct(t, 2), ct(t, 3)}
	sent, err := c.Store(t.Context(), study1, filesOf(files...))
	if err != nil || len(sent) != 3 {
		t.Fatalf("store: %v, %v", sent, err)
	}
	for i, one := range sent {
		if one.Failure != 0 || one.Instance != instanceUID(i+1) || one.SOPClass != dict.CTImageStorage || one.URL == "" {
			t.Errorf("sent %+v", one)
		}
	}
	if got := collect(t, c.SearchStudies(t.Context(), url.Values{"PatientID": {"PH-0001"}})); len(got) != 1 || got[0].UID(dict.StudyInstanceUID) != study1 {
		t.Errorf("studies: %v", got)
	}
	if got := collect(t, c.SearchSeries(t.Context(), study1, nil)); len(got) != 1 {
		t.Errorf("series: %v", got)
	}
	if got := collect(t, c.SearchInstances(t.Context(), dicom.Ref{Study: study1, Series: series1}, nil)); len(got) != 3 {
		t.Errorf("instances: %v", got)
	}
	headers := collect(t, c.RetrieveMetadata(t.Context(), dicom.Ref{Study: study1}))
	if len(headers) != 3 || headers[0].Bulk["7FE00010"] == "" {
		t.Errorf("metadata: %v", headers)
	}
	i := 0
	for r, err := range c.Retrieve(t.Context(), dicom.Ref{Study: study1}) {
		if err != nil {
			t.Fatal(err)
		}
		if i == 1 { // skipping one must not disturb the next
			i++
			continue
		}
		if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, files[i]) {
			t.Errorf("instance %d differs: %v", i, err)
		}
		i++
	}
	if i != 3 {
		t.Errorf("%d instances came back", i)
	}
	for r, err := range c.RetrieveFrames(t.Context(), dicom.Ref{Study: study1, Series: series1, Instance: instanceUID(1)}, 1) {
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(r); err != nil || len(got) != 64*64*2 {
			t.Errorf("frame of %d bytes, %v", len(got), err)
		}
	}
	if err := c.Delete(t.Context(), dicom.Ref{Study: study1}); err != nil {
		t.Error(err)
	}
	if err := c.Delete(t.Context(), dicom.Ref{Study: study1}); !errors.Is(err, archive.ErrNotFound) {
		t.Errorf("deleting again: %v", err)
	}
	for _, err := range c.Retrieve(t.Context(), dicom.Ref{Study: study1}) {
		if !errors.Is(err, archive.ErrNotFound) {
			t.Errorf("retrieving what was deleted: %v", err)
		}
	}
}

func collect[T any](t *testing.T, seq iter.Seq2[T, error]) (all []T) {
	t.Helper()
	for v, err := range seq {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, v)
	}
	return all
}

func TestClientTellsWhatFailed(t *testing.T) {
	s := newSite(t)
	sent, err := s.client().Store(t.Context(), "", filesOf(ct(t, 1), []byte("no DICOM"), changed(ct(t, 1))))
	if err != nil {
		t.Fatal(err)
	}
	var failures []uint16
	for _, one := range sent {
		failures = append(failures, one.Failure)
	}
	if len(failures) != 3 || failures[0] != 0 || failures[1] != 0x0111 || failures[2] != 0xC000 {
		t.Errorf("failures %04X", failures)
	}
}

// changed is the same instance with another pixel.
func changed(file []byte) []byte {
	file = bytes.Clone(file)
	file[len(file)-1] ^= 0x0F
	return file
}

func TestClientRetriesOnlyWhatHadNoEffect(t *testing.T) {
	for _, c := range []struct {
		name   string
		answer func(w http.ResponseWriter)
		run    func(*Client) error
		tries  int32
	}{
		{"a search answered 503", func(w http.ResponseWriter) { w.WriteHeader(503) }, search, 3},
		{"a search answered 400", func(w http.ResponseWriter) { w.WriteHeader(400) }, search, 1},
		{"a store answered 503 with a time", func(w http.ResponseWriter) { w.Header().Set("Retry-After", "0"); w.WriteHeader(503) }, storeOne, 3},
		{"a store answered 503 without one", func(w http.ResponseWriter) { w.WriteHeader(503) }, storeOne, 1},
		{"a store cut off", func(http.ResponseWriter) { panic(http.ErrAbortHandler) }, storeOne, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			var tries atomic.Int32
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				tries.Add(1)
				_, _ = io.Copy(io.Discard, r.Body)
				c.answer(w)
			}))
			defer server.Close()
			err := c.run(&Client{Base: server.URL, HTTP: server.Client(), Retries: 2, Pause: time.Millisecond})
			if err == nil || tries.Load() != c.tries {
				t.Errorf("%d tries, want %d; %v", tries.Load(), c.tries, err)
			}
		})
	}
}

func search(c *Client) error {
	for _, err := range c.SearchStudies(context.Background(), nil) {
		return err
	}
	return nil
}

func storeOne(c *Client) error {
	_, err := c.Store(context.Background(), "", filesOf([]byte("file")))
	return err
}

func TestClientStoresAgainWhenNobodyListened(t *testing.T) {
	s := newSite(t)
	dials := 0
	var dialer net.Dialer
	flaky := &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		if dials++; dials == 1 {
			return nil, errors.New("nobody listens")
		}
		return dialer.DialContext(ctx, network, address)
	}}
	defer flaky.CloseIdleConnections()
	c := &Client{Base: s.URL + Root, HTTP: &http.Client{Transport: flaky}, Retries: 1, Pause: time.Millisecond}
	if sent, err := c.Store(t.Context(), "", filesOf(ct(t, 1))); err != nil || len(sent) != 1 || sent[0].Failure != 0 {
		t.Errorf("%v, %v", sent, err)
	}
}

func TestClientPassesOnTheErrorOfAFile(t *testing.T) {
	s := newSite(t)
	broken := errors.New("disk on fire")
	files := func(yield func(io.ReadCloser, error) bool) {
		_ = yield(io.NopCloser(bytes.NewReader(ct(t, 1))), nil) && yield(nil, broken)
	}
	c := s.client()
	c.Retries = 3
	if _, err := c.Store(t.Context(), "", files); !errors.Is(err, broken) {
		t.Errorf("error %v", err)
	}
}
