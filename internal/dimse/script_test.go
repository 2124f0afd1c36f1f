package dimse

import (
	"context"
	"net"
	"testing"

	"pharos/internal/ul"
)

// scriptedNode is a node that accepts associations as negotiate says and treats them as
// serve does.
func scriptedNode(t *testing.T, aet string, negotiate ul.Negotiate, serve func(*link)) Node {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &ul.Server{
		Config: ul.AcceptorConfig{Limits: silent, Negotiate: negotiate},
		Handle: func(_ context.Context, a *ul.Association) { serve(&link{assoc: a}) },
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- server.Serve(ctx, ln) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("scripted node: %v", err)
		}
	})
	return Node{AETitle: aet, Host: "127.0.0.1", Port: ln.Addr().(*net.TCPAddr).Port}
}
