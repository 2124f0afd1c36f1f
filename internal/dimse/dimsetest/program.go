package dimsetest

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	runTime   = 60 * time.Second // for one run of a tool
	startTime = 30 * time.Second // until a server listens
	retryTime = 20 * time.Millisecond
)

// Peer is an application entity that a test has started.
type Peer struct {
	AETitle string
	Port    int    // on 127.0.0.1
	Dir     string // where it keeps its files
	log     *output
}

// Log is what the peer has printed so far.
func (p *Peer) Log() string { return p.log.String() }

// Find returns the path of a program, or skips the test.
func Find(t testing.TB, name string) string {
	t.Helper()
	for _, candidate := range []string{name, "/usr/sbin/" + name} {
		if path, err := exec.LookPath(candidate); err == nil {
			return path
		}
	}
	if os.Getenv("CI") != "" {
		t.Fatalf("%s is not installed", name)
	}
	t.Skipf("%s is not installed", name)
	return ""
}

// Run runs a tool to its end and returns what it printed. A status other than 0 fails
// the test.
func Run(t testing.TB, name string, args ...string) string {
	t.Helper()
	out, err := Try(t, name, args...)
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return out
}

// Try is Run for a tool that may fail.
func Try(t testing.TB, name string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), runTime)
	defer cancel()
	out, err := exec.CommandContext(ctx, Find(t, name), args...).CombinedOutput()
	return string(out), err
}

// FreePort returns a port of the loopback interface that was free a moment ago.
func FreePort(t testing.TB) int {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	return ln.Addr().(*net.TCPAddr).Port
}

// start runs a program until the test ends and waits until it listens on the ports.
func start(t testing.TB, dir string, log *output, ports []int, name string, args ...string) {
	t.Helper()
	cmd := exec.Command(Find(t, name), args...)
	cmd.Dir = dir
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan struct{})
	go func() {
		_ = cmd.Wait() // killed, or it will be missed
		close(exited)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended
		<-exited
		if t.Failed() {
			t.Logf("%s printed:\n%s", name, log)
		}
	})
	for _, port := range ports {
		if err := awaitPort(port, exited); err != nil {
			t.Fatalf("%s: %v\n%s", name, err, log)
		}
	}
}

var errExited = errors.New("ended before it listened")

// awaitPort waits until something listens on a port.
func awaitPort(port int, exited <-chan struct{}) error {
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	deadline := time.Now().Add(startTime)
	for {
		conn, err := net.DialTimeout("tcp", address, time.Second)
		if err == nil {
			return conn.Close()
		}
		if time.Now().After(deadline) {
			return err
		}
		select {
		case <-exited:
			return errExited
		case <-time.After(retryTime):
		}
	}
}

// output gathers what a program prints.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write implements io.Writer.
func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

// String is all of it.
func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}
