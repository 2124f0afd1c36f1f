package dimse

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	"pharos/internal/access"
	"pharos/internal/archive"
	"pharos/internal/dicom"
	"pharos/internal/dicom/dicomtest"
	"pharos/internal/dicom/dict"
	"pharos/internal/ul"
)

// site is a server under test with its archive.
type site struct {
	t       testing.TB
	server  *Server
	archive *memArchive
	node    Node
	config  ServerConfig

	mu    sync.Mutex
	nodes map[string]Node
}

// silent are associations that do not linger, so that tests of their end are quick.
var silent = ul.Limits{Linger: 100 * time.Millisecond}

// open starts a server on a free port; change adjusts its configuration.
func open(t testing.TB, change ...func(*ServerConfig)) *site {
	t.Helper()
	s := &site{t: t, archive: &memArchive{}, nodes: map[string]Node{}}
	s.config = ServerConfig{
		AETitle:      "PHAROS",
		Authenticate: everyone,
		Destination:  s.destination,
		Limits:       Limits{Association: silent},
		Log:          slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn})),
	}
	s.config.Archive = archive.Guard(s.archive, access.ByRight{}, access.LogAuditor{Log: slog.New(slog.DiscardHandler)})
	for _, c := range change {
		c(&s.config)
	}
	s.server = NewServer(s.config)
	s.node = s.listen(nil)
	return s
}

// listen makes the server answer on a port, over TLS if tlsConfig is not nil.
func (s *site) listen(tlsConfig *tls.Config) Node {
	s.t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		s.t.Fatal(err)
	}
	port := ln.Addr().(*net.TCPAddr).Port
	if tlsConfig != nil {
		ln = tls.NewListener(ln, tlsConfig)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.server.Serve(ctx, ln) }()
	s.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil && !errors.Is(err, ul.ErrServerClosed) {
			s.t.Errorf("serve: %v", err)
		}
		_ = s.server.Shutdown(ctx) // ends at once what storage commitment has under way
	})
	return Node{AETitle: "PHAROS", Host: "127.0.0.1", Port: port}
}

func everyone(context.Context, Caller) (access.Principal, error) {
	return access.Principal{Name: "node:test", May: access.Find | access.Retrieve | access.Store}, nil
}

func (s *site) destination(aet string) (Node, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, ok := s.nodes[aet]
	return n, ok
}

// knows adds a node to those that the server can reach.
func (s *site) knows(n Node) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.nodes[n.AETitle] = n
}

// dial requests an association with the server.
func (s *site) dial(offers ...Offer) *Client {
	s.t.Helper()
	c, err := Dial(s.t.Context(), s.node, ClientConfig{AETitle: "TESTER", Limits: silent}, offers...)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = c.Close() })
	return c
}

// offersFor are the offers of a single association for some objects.
func offersFor(objects ...Object) []Offer {
	kinds := make([]Kind, len(objects))
	for i, o := range objects {
		kinds[i] = o.Kind
	}
	return OfferStore(kinds)[0].Offers
}

// object makes a PS3.10 file an Object.
func object(t testing.TB, file []byte) Object {
	t.Helper()
	o, err := FileObject(bytesReader(file), int64(len(file)))
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// fill stores instances through the server.
func (s *site) fill(files ...[]byte) []Object {
	s.t.Helper()
	objects := make([]Object, len(files))
	for i, f := range files {
		objects[i] = object(s.t, f)
	}
	c := s.dial(offersFor(objects...)...)
	for _, o := range objects {
		if status, err := c.Store(s.t.Context(), o); err != nil || status != Success {
			s.t.Fatalf("store: %v, %v", status, err)
		}
	}
	if err := c.Release(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
	return objects
}

// slice is a small CT image of a study.
func slice(t testing.TB, study string, series, instance int, ts dicom.UID, more ...dicomtest.Option) []byte {
	t.Helper()
	options := append([]dicomtest.Option{
		dicomtest.WithStudy(study), dicomtest.WithSeries(series), dicomtest.WithInstance(instance), dicomtest.WithSize(16, 16),
	}, more...)
	return dicomtest.Bytes(t, dicomtest.CT(options...), ts)
}

// keys makes an identifier: pairs of tag and text.
func keys(level archive.Level, pairs ...any) *dicom.Dataset {
	d := dicom.NewDataset()
	d.SetText(dict.SpecificCharacterSet, dict.CS, utf8)
	d.SetText(dict.QueryRetrieveLevel, dict.CS, level.String())
	for i := 0; i < len(pairs); i += 2 {
		tag := pairs[i].(dicom.Tag)
		d.SetText(tag, dict.VROf(tag), pairs[i+1].(string))
	}
	return d
}
