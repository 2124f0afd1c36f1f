package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestListenerKeepsToItsNumberOfConnections(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln := limitListener(inner, 1)
	accepted := make(chan net.Conn, 2)
	ended := make(chan error, 1)
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				ended <- err
				return
			}
			accepted <- c
		}
	}()
	for range 2 {
		c, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	first := <-accepted
	select {
	case <-accepted:
		t.Fatal("a second connection was accepted beside the first")
	case <-time.After(50 * time.Millisecond):
	}
	if err := errors.Join(first.Close(), nil); err != nil {
		t.Fatal(err)
	}
	second := <-accepted
	if err := ln.Close(); err != nil { // while Accept waits for a place
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept ended with %v", err)
	}
	_ = second.Close()
}

func TestBodyThatMakesNoProgressIsCutOff(t *testing.T) {
	read := make(chan error, 1)
	s := httptest.NewServer(steady(50*time.Millisecond, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, err := io.Copy(io.Discard, r.Body)
		read <- err
	})))
	defer s.Close()
	body, w := io.Pipe()
	defer w.Close()
	go func() {
		r, err := http.Post(s.URL, "text/plain", body)
		if err == nil {
			_ = r.Body.Close()
		}
	}()
	if _, err := w.Write([]byte("beginning")); err != nil {
		t.Fatal(err)
	}
	if err := <-read; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the read ended with %v", err)
	}
}

func TestLongAnswerIsNotCutByTheDeadlineOfTheBody(t *testing.T) {
	s := httptest.NewServer(steady(20*time.Millisecond, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		select {
		case <-time.After(100 * time.Millisecond):
		case <-r.Context().Done():
		}
		if r.Context().Err() != nil {
			w.WriteHeader(http.StatusTeapot)
		}
	})))
	defer s.Close()
	r, err := http.Post(s.URL, "text/plain", strings.NewReader("short"))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	if r.StatusCode != http.StatusOK {
		t.Errorf("status is %d", r.StatusCode)
	}
}

func TestRoutesAreCountedUnderAFixedSetOfNames(t *testing.T) {
	for path, want := range map[string]string{
		"/":                      "/",
		"/wado":                  "/wado",
		"/dicom-web/studies":     "studies",
		"/dicom-web/studies/1.2": "studies",
		"/dicom-web/studies/1.2/series/3/instances/4/frames/1,2":          "studies/series/instances/frames",
		"/dicom-web/studies/1.2/series/3/instances/4/bulkdata/00081140/0": "studies/series/instances/bulkdata",
		"/dicom-web/studies/1.2/instances":                                "studies/instances",
		"/dicom-web/frames/frames/rendered":                               "other",
		"/dicom-web/studies/studies/studies":                              "studies",
		"/secret/PATIENT^NAME":                                            "other",
	} {
		if got := routeOf(path); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
}

func TestObserverLogsNeitherPathNorQuery(t *testing.T) {
	var log strings.Builder
	m := newMetrics()
	h := observe(m, slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusTeapot) }))
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GEHEIM", "/dicom-web/studies/1.2.3?PatientName=Doe", http.NoBody))
	if text := log.String(); strings.Contains(text, "Doe") || strings.Contains(text, "1.2.3") || strings.Contains(text, "GEHEIM") || !strings.Contains(text, "status=418") {
		t.Error(text)
	}
}

func TestOpenArchiveAnswersOnlyToNamesOfThisMachine(t *testing.T) {
	for host, want := range map[string]bool{
		"localhost": true, "localhost:8080": true, "127.0.0.1:8080": true, "127.0.0.53": true, "[::1]:8080": true, "[::1]": true,
		"evil.example:8080": false, "localhost.evil.example": false, "192.0.2.1": false, "": false, "0.0.0.0": false,
	} {
		if got := localHost(host); got != want {
			t.Errorf("%q: %v", host, got)
		}
	}
}

func TestDrainingServerIsNotReady(t *testing.T) {
	w := &web{ready: func(context.Context) error { return nil }}
	status := func() int {
		r := httptest.NewRecorder()
		w.ServeHTTP(r, httptest.NewRequest(http.MethodGet, "/readyz", http.NoBody))
		return r.Code
	}
	if status() != http.StatusOK {
		t.Error("not ready")
	}
	w.draining.Store(true)
	if status() != http.StatusServiceUnavailable {
		t.Error("ready while stopping")
	}
	w.draining.Store(false)
	w.ready = func(context.Context) error { return errors.New("the database is gone") }
	if status() != http.StatusServiceUnavailable {
		t.Error("ready without an index")
	}
}

func TestSnippetForARejectedCallerIsConfigurationThatLetsItIn(t *testing.T) {
	config := defaultConfig()
	text := "nodes:\n  " + nodeSnippet(`ODD "AE`, netip.MustParseAddr("2001:db8::1"), nil) + "\n  " +
		nodeSnippet("CT1", netip.MustParseAddr("192.0.2.1"), []string{"ct1.example"}) + "\n"
	if err := parseConfig(&config, "f", []byte(text)); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	if n := config.Nodes[0]; n.AET != `ODD "AE` || n.Host != "2001:db8::1" || n.Name != "odd--ae" {
		t.Errorf("%+v", n)
	}
	if n := config.Nodes[1]; n.AET != "CT1" || n.TLSName != "ct1.example" {
		t.Errorf("%+v", n)
	}
}

func TestJournalDropsAMarkThatWasCutOff(t *testing.T) {
	path := filepath.Join(t.TempDir(), "imports", "j")
	j, err := openJournal(path)
	if err != nil {
		t.Fatal(err)
	}
	one, two := mark{1}, mark{2}
	if err := errors.Join(j.add(one), j.add(two), j.close(false)); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, 20); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if j, err = openJournal(path); err != nil {
			t.Fatal(err)
		}
		if !j.has(one) || j.has(two) {
			t.Error("the first mark must be there and the second must not")
		}
		if err := j.close(false); err != nil {
			t.Fatal(err)
		}
	}
	if info, err := os.Stat(path); err != nil || info.Size() != 16 {
		t.Errorf("%v, %v", info.Size(), err)
	}
}

func TestLifetimesOfTokens(t *testing.T) {
	for text, want := range map[string]time.Duration{"never": 0, "12h": 12 * time.Hour, "90d": 90 * 24 * time.Hour} {
		if got, err := parseLifetime(text); err != nil || got != want {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "d", "-1d", "0d", "99999999d", "1 year", "-5h"} {
		if _, err := parseLifetime(text); err == nil {
			t.Errorf("%q is a lifetime", text)
		}
	}
}
