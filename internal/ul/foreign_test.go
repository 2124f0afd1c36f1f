package ul

import (
	"bytes"
	"context"

	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"
)

// tool returns the path of a program of DCMTK. In CI it must be there.
func tool(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err == nil {
		return path
	}
	if os.Getenv("CI") != "" {
		t.Fatalf("%s is not installed", name)
	}
	t.Skipf("%s is not installed", name)
	return ""
}

// echo returns the command set of C-ECHO-RQ (0030H) or -RSP (8030H), Implicit VR
// Little Endian, PS3.7 §9.3.5.
func echo(field, message uint16) []byte {
	element := func(b []byte, tag uint16, value []byte) []byte {
		b = binary.LittleEndian.AppendUint16(b, 0)
		b = binary.LittleEndian.AppendUint16(b, tag)
		b = binary.LittleEndian.AppendUint32(b, uint32(len(value)))
		return append(b, value...)
	}
	us := func(v uint16) []byte { return binary.LittleEndian.AppendUint16(nil, v) }
	reference := uint16(0x0110) // message ID
	if field == 0x8030 {
		reference = 0x0120 // message ID being responded to
	}
	var set []byte
	set = element(set, 0x0002, []byte(verificationUID+"\x00")) // affected SOP class UID
	set = element(set, 0x0100, us(field))                      // command field
	set = element(set, reference, us(message))
	set = element(set, 0x0800, us(0x0101)) // no data set
	if field == 0x8030 {
		set = element(set, 0x0900, us(0)) // status: success
	}
	length := binary.LittleEndian.AppendUint32(nil, uint32(len(set)))
	return append(element(nil, 0x0000, length), set...)
}

// messageID finds the message ID (0000,0110) in a command set.
func messageID(command []byte) uint16 {
	i := bytes.Index(command, []byte{0, 0, 0x10, 0x01, 2, 0, 0, 0})
	return binary.LittleEndian.Uint16(command[i+8:])
}

// answerEchoes answers C-ECHO requests until the association ends.
func answerEchoes(_ context.Context, a *Association) error {
	for {
		m, err := a.Receive()
		if err != nil {
			return err
		}
		if err := a.Send(m.ContextID, echo(0x8030, messageID(m.Command))); err != nil {
			return err
		}
	}
}

// serve runs a server until the end of the test and returns where, and how its
// associations end.
func serve(t *testing.T, s *Server) (net.Addr, <-chan error) {
	t.Helper()
	ended := make(chan error, 1000)
	if s.Handle == nil {
		s.Handle = func(ctx context.Context, a *Association) { ended <- answerEchoes(ctx, a) }
	}
	if s.Config.Negotiate == nil {
		s.Config.Negotiate = acceptAll
	}
	ln := listen(t)
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx, ln.Listener) }()
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil && !errors.Is(err, ErrServerClosed) {
			t.Errorf("Serve: %v", err)
		}
	})
	return ln.Addr(), ended
}

func run(t *testing.T, name string, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if out, err := exec.CommandContext(ctx, tool(t, name), args...).CombinedOutput(); err != nil {
		t.Errorf("%s %v: %v\n%s", name, args, err, out)
	}
}

func port(addr net.Addr) string { return strconv.Itoa(addr.(*net.TCPAddr).Port) }

func TestEchoSCUOfDCMTKIsServed(t *testing.T) {
	tool(t, "echoscu")
	addr, ended := serve(t, &Server{})
	run(t, "echoscu", "-v", "--repeat", "3", "--propose-pc", "128", "--propose-ts", "38", "127.0.0.1", port(addr))
	if err := <-ended; !errors.Is(err, ErrReleased) {
		t.Errorf("association ended with %v", err)
	}
	run(t, "echoscu", "--abort", "127.0.0.1", port(addr))
	var abort *Abort
	if err := <-ended; !errors.As(err, &abort) || abort.Sent {
		t.Errorf("association ended with %v", err)
	}
}

func TestEchoSCUOfDCMTKIsServedWithTLS(t *testing.T) {
	tool(t, "echoscu")
	pki := newPKI(t)
	for _, c := range []struct {
		profile Profile
		options []string
	}{
		{ProfileBCP195, []string{"--profile-bcp195"}},
		{ProfileBCP195, []string{"--profile-bcp195-nd"}},
		{ProfileModifiedBCP195, []string{"--profile-bcp195-ex"}},
	} {
		config, err := ServerTLS(c.profile, pki.load(t, "server"), ClientCertificateRequired, pki.authorities(t))
		if err != nil {
			t.Fatal(err)
		}
		names := make(chan string, 1)
		addr, _ := serve(t, &Server{TLS: config, Handle: func(ctx context.Context, a *Association) {
			names <- a.TLS().PeerCertificates[0].Subject.CommonName
			_ = answerEchoes(ctx, a)
		}})
		run(t, "echoscu", append(c.options, "+tls", pki.key("client"), pki.cert("client"), "+cf", pki.ca, "127.0.0.1", port(addr))...)
		if name := <-names; name != "client" {
			t.Errorf("client certificate of %q", name)
		}
	}
}

// storeSCP starts storescp and returns its address when it listens.
func storeSCP(t *testing.T, args ...string) string {
	t.Helper()
	ln := listen(t)
	address := ln.Addr().String()
	_ = ln.Close()
	_, port, _ := net.SplitHostPort(address)
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, tool(t, "storescp"), append(args, "--ignore", port)...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("storescp: %s", &out)
		}
	})
	for deadline := time.Now().Add(patience); ; {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			_ = conn.Close()
			return address
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Millisecond) // until the foreign process listens
	}
}

func echoOnce(address string, config *RequestorConfig) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	a, err := Dial(ctx, "tcp", address, config)
	if err != nil {
		return err
	}
	defer func() { _ = a.Close() }()
	if err := a.Send(1, echo(0x0030, 7)); err != nil {
		return err
	}
	m, err := a.Receive()
	if err != nil {
		return err
	}
	// DCMTK orders the elements by tag, as echo does.
	if want := echo(0x8030, 7); !bytes.Equal(m.Command, want) {
		return fmt.Errorf("received % x, want % x", m.Command, want)
	}
	return a.Release(ctx)
}

func TestStoreSCPOfDCMTKIsCalled(t *testing.T) {
	address := storeSCP(t)
	config := verification("PHAROS")
	config.Roles = []RoleSelection{{SOPClassUID: storageUID, SCU: true, SCP: true}}
	config.AsyncWindow = &AsyncWindow{Invoked: 4, Performed: 1}
	config.Identity = &UserIdentity{Type: IdentityUsername, Primary: []byte("alice")}
	if err := echoOnce(address, config); err != nil {
		t.Error(err)
	}
}

func TestStoreSCPOfDCMTKIsCalledWithTLS(t *testing.T) {
	pki := newPKI(t)
	address := storeSCP(t, "+tls", pki.key("server"), pki.cert("server"), "+cf", pki.ca)
	config := verification("PHAROS")
	config.TLS = ClientTLS(ProfileBCP195, pki.load(t, "client"), pki.authorities(t), "localhost")
	if err := echoOnce(address, config); err != nil {
		t.Error(err)
	}
	config.TLS = ClientTLS(ProfileBCP195, nil, pki.authorities(t), "localhost")
	if err := echoOnce(address, config); err == nil {
		t.Error("storescp accepted a client without certificate")
	}
}
