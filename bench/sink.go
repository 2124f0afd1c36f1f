package main

import (
	"context"
	"io"
	"net"
	"sync"

	"pharos/internal/access"
	"pharos/internal/archive"
	"pharos/internal/dimse"
)

// sinkAET is the AE title to which C-MOVE sends.
const sinkAET = "BENCH"

// sink receives what C-MOVE sends and throws it away.
type sink struct {
	server *dimse.Server
	port   int
	cancel context.CancelFunc
	served sync.WaitGroup
}

func openSink() (*sink, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it does not wait
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	s := &sink{
		server: dimse.NewServer(dimse.ServerConfig{
			AETitle: sinkAET,
			Archive: discarding{},
			Authenticate: func(context.Context, dimse.Caller) (access.Principal, error) {
				return access.Principal{Name: "peer", May: access.Store}, nil
			},
		}),
		port: ln.Addr().(*net.TCPAddr).Port, cancel: cancel,
	}
	s.served.Go(func() { _ = s.server.Serve(ctx, ln) }) // it always says that it was closed
	return s, nil
}

func (s *sink) close() {
	s.cancel()
	s.served.Wait()
}

// discarding is an archive that reads what arrives and keeps nothing. It is asked for
// nothing else.
type discarding struct{ archive.Archive }

// Store implements archive.Archive.
func (discarding) Store(_ context.Context, in *archive.Incoming, _ access.AlbumID) (archive.Receipt, error) {
	n, err := in.WriteTo(io.Discard)
	return archive.Receipt{Ref: in.Ref, Size: n}, err
}
