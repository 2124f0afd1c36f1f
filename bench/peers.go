package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"pharos/internal/dimse"
)

const (
	startTime = 60 * time.Second // until both ports are open
	stopTime  = 60 * time.Second // until a peer that was asked to end is killed
	retryTime = 2 * time.Millisecond
)

// peer is a server under measurement, Pharos or Orthanc.
type peer struct {
	name    string
	dir     string // everything it keeps
	index   string // what the names of the files of its index begin with, below dir
	command []string
	env     []string
	aet     string
	dicom   int // ports on 127.0.0.1
	web     int

	cmd    *exec.Cmd
	exited chan struct{} // closed when the process has ended
	usage  *syscall.Rusage
}

// findOrthanc makes sure that Orthanc and its plugin are there.
func findOrthanc(o *options) error {
	if _, err := os.Stat(o.orthanc); err != nil {
		return fmt.Errorf("no Orthanc to compare with: %w; run make deps, name it with -orthanc, or measure Pharos -alone", err)
	}
	candidates := []string{o.plugin}
	if o.plugin == "" {
		candidates = []string{
			"/usr/share/orthanc/plugins/libOrthancDicomWeb.so",
			filepath.Join(filepath.Dir(o.orthanc), "libOrthancDicomWeb.so"),
		}
		installed, err := filepath.Glob("/usr/lib/orthanc/libOrthancDicomWeb.so*")
		if err != nil {
			return err
		}
		candidates = append(candidates, installed...)
	}
	for _, path := range candidates {
		if _, err := os.Stat(path); err == nil {
			o.plugin = path
			return nil
		}
	}
	return errors.New("no DICOMweb plugin for Orthanc: run make deps, or name it with -plugin")
}

// peers starts new, empty servers, Orthanc first.
func (b *bench) peers(ctx context.Context) ([]*peer, error) {
	pharos, err := b.startPharos(ctx)
	if err != nil {
		return nil, err
	}
	if b.opts.alone {
		return []*peer{pharos}, nil
	}
	orthanc, err := b.newPeer("orthanc", b.orthancConfig)
	if err == nil {
		err = b.startFirst(ctx, orthanc)
	}
	if err != nil {
		return nil, err
	}
	return []*peer{orthanc, pharos}, nil
}

// startPharos starts a new, empty Pharos.
func (b *bench) startPharos(ctx context.Context) (*peer, error) {
	p, err := b.newPeer("pharos", b.pharosConfig)
	if err != nil {
		return nil, err
	}
	return p, b.startFirst(ctx, p)
}

// startFirst starts a new peer and keeps it in mind for the end.
func (b *bench) startFirst(ctx context.Context, p *peer) error {
	b.running = append(b.running, p)
	_, err := p.start(ctx)
	return err
}

// retire stops peers and removes what they kept.
func (b *bench) retire(peers []*peer) error {
	var err error
	for _, p := range peers {
		err = errors.Join(err, p.stop(), b.remove(p.dir))
		b.running = slices.DeleteFunc(b.running, func(q *peer) bool { return p == q })
	}
	return err
}

// newPeer gives a peer a directory, ports and a configuration.
func (b *bench) newPeer(name string, configure func(*peer) ([]byte, error)) (*peer, error) {
	b.fresh++
	p := &peer{name: name, dir: filepath.Join(b.dir, fmt.Sprintf("%s-%d", name, b.fresh))}
	ports, err := freePorts(2)
	if err != nil {
		return nil, err
	}
	p.dicom, p.web = ports[0], ports[1]
	if err := os.Mkdir(p.dir, 0o700); err != nil {
		return nil, err
	}
	config, err := configure(p)
	if err != nil {
		return nil, err
	}
	return p, os.WriteFile(p.configFile(), config, 0o600)
}

func (p *peer) configFile() string { return filepath.Join(p.dir, "config") }

// pharosConfig is what the defaults don't say: addresses, no authentication, the node
// that C-MOVE sends to.
func (b *bench) pharosConfig(p *peer) ([]byte, error) {
	p.aet, p.index = "PHAROS", "data/index.db"
	p.command = []string{b.opts.pharos, "serve", "--config", p.configFile()}
	admin, err := freePorts(1)
	if err != nil {
		return nil, err
	}
	progress("pharos: profiles at http://127.0.0.1:%d/debug/pprof/", admin[0])
	// JSON is YAML.
	return json.Marshal(map[string]any{
		"data":          filepath.Join(p.dir, "data"),
		"http":          fmt.Sprintf("127.0.0.1:%d", p.web),
		"dicom":         fmt.Sprintf("127.0.0.1:%d", p.dicom),
		"admin":         fmt.Sprintf("127.0.0.1:%d", admin[0]),
		"insecure_open": true,
		"nodes": []map[string]any{{
			"name": "bench", "aet": sinkAET, "host": "127.0.0.1", "port": b.sink.port, "may": []string{"store"},
		}},
	})
}

// orthancConfig is what the defaults don't say: addresses, no authentication, every
// service, the node that C-MOVE sends to. TCP_NODELAY is for DCMTK: without it every
// answer waits 40 ms.
func (b *bench) orthancConfig(p *peer) ([]byte, error) {
	p.aet, p.index = "ORTHANC", "index/"
	p.env = []string{"TCP_NODELAY=1"}
	p.command = []string{b.opts.orthanc, p.configFile()}
	return json.Marshal(map[string]any{
		"DicomAet": p.aet, "DicomPort": p.dicom, "HttpPort": p.web,
		"StorageDirectory":    filepath.Join(p.dir, "storage"),
		"IndexDirectory":      filepath.Join(p.dir, "index"),
		"Plugins":             []string{b.opts.plugin},
		"RemoteAccessAllowed": false, "AuthenticationEnabled": false,
		"DicomAlwaysAllowEcho": true, "DicomAlwaysAllowStore": true, "DicomAlwaysAllowFind": true,
		"DicomAlwaysAllowGet": true, "DicomAlwaysAllowMove": true,
		"DicomModalities": map[string]any{"bench": map[string]any{
			"AET": sinkAET, "Host": "127.0.0.1", "Port": b.sink.port,
		}},
	})
}

// freePorts returns ports of the loopback interface that were free a moment ago.
func freePorts(n int) ([]int, error) {
	var ports []int
	for range n {
		ln, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it does not wait
		if err != nil {
			return nil, err
		}
		defer ln.Close() //nolint:errcheck // nothing was accepted
		ports = append(ports, ln.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}

// start runs the peer and returns how long it took until both ports were open.
func (p *peer) start(ctx context.Context) (time.Duration, error) {
	log, err := os.OpenFile(p.logFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return 0, err
	}
	defer log.Close()                                    //nolint:errcheck // the process has it
	p.cmd = exec.Command(p.command[0], p.command[1:]...) //nolint:noctx // it is stopped by stop, in order
	p.cmd.Env = append(environment(), p.env...)
	p.cmd.Stdout, p.cmd.Stderr = log, log
	p.cmd.SysProcAttr = childAttributes()
	begin := time.Now()
	if err := p.cmd.Start(); err != nil {
		return 0, fmt.Errorf("start %s: %w", p.name, err)
	}
	p.exited = make(chan struct{})
	go func(cmd *exec.Cmd, exited chan struct{}) {
		_ = cmd.Wait() // how it ended shows in what it printed
		p.usage, _ = cmd.ProcessState.SysUsage().(*syscall.Rusage)
		close(exited)
	}(p.cmd, p.exited)
	for _, port := range []int{p.dicom, p.web} {
		if err := p.await(ctx, port); err != nil {
			return 0, err
		}
	}
	return time.Since(begin), nil
}

// environment is ours without settings of Pharos, which would change what is measured.
func environment() []string {
	return slices.DeleteFunc(os.Environ(), func(e string) bool { return strings.HasPrefix(e, "PHAROS_") })
}

// await waits until something listens on a port.
func (p *peer) await(ctx context.Context, port int) error {
	deadline := time.Now().Add(startTime)
	for {
		conn, err := net.Dial("tcp", address(port)) //nolint:noctx // on loopback it does not wait
		if err == nil {
			return conn.Close()
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-p.exited:
			return fmt.Errorf("%s ended before it listened:\n%s", p.name, p.logTail())
		case <-time.After(retryTime):
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s does not listen after %v: %w", p.name, startTime, err)
		}
	}
}

func address(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }

func (p *peer) logFile() string { return filepath.Join(p.dir, "log") }

// logTail is the end of what the peer printed.
func (p *peer) logTail() string {
	text, err := os.ReadFile(p.logFile())
	if err != nil {
		return err.Error()
	}
	lines := bytes.Split(bytes.TrimSpace(text), []byte("\n"))
	return string(bytes.Join(lines[max(0, len(lines)-10):], []byte("\n")))
}

// stop asks the peer to end and waits for it.
func (p *peer) stop() error {
	if p.cmd == nil {
		return nil
	}
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-p.exited:
		p.cmd = nil
		return nil
	case <-time.After(stopTime):
		return errors.Join(fmt.Errorf("%s did not end in %v", p.name, stopTime), p.kill())
	}
}

// kill ends the peer at once, with whatever it has started.
func (p *peer) kill() error {
	if p.cmd == nil {
		return nil
	}
	err := syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	if err != nil && !errors.Is(err, syscall.ESRCH) {
		return err
	}
	<-p.exited
	p.cmd = nil
	return nil
}

// restart stops the peer and starts it again.
func (p *peer) restart(ctx context.Context) (time.Duration, error) {
	if err := p.stop(); err != nil {
		return 0, err
	}
	return p.start(ctx)
}

// node is where the peer speaks DICOM.
func (p *peer) node() dimse.Node {
	return dimse.Node{AETitle: p.aet, Host: "127.0.0.1", Port: p.dicom}
}

// dial opens an association with the peer.
func (p *peer) dial(ctx context.Context, offers ...dimse.Offer) (*dimse.Client, error) {
	c, err := dimse.Dial(ctx, p.node(), dimse.ClientConfig{AETitle: "BENCH"}, offers...)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", p.name, err)
	}
	return c, nil
}

// indexSize is the bytes of the files of the index, of a peer that is stopped.
func (p *peer) indexSize() (int64, error) {
	var size int64
	err := filepath.WalkDir(p.dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		name, err := filepath.Rel(p.dir, path)
		if err != nil || !strings.HasPrefix(name, p.index) {
			return err
		}
		info, err := entry.Info()
		if err == nil {
			size += info.Size()
		}
		return err
	})
	return size, err
}
