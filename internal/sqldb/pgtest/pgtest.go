// Package pgtest gives tests a PostgreSQL server: the one that PHAROS_TEST_POSTGRES
// names, else a private one that is started from an installation of Debian's packages
// and stopped when the test binary ends.
//
//	func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }
//
//	url := pgtest.NewDatabase(t)
//
// Without either, tests that ask for a database are skipped, except where CI is set.
package pgtest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Variable is the environment variable with the address of a database in which schemas
// may be created.
const Variable = "PHAROS_TEST_POSTGRES"

// server is the private server of this test binary. Tests have no other way to share
// one, so it is the one variable of a package that may change.
var server struct {
	start sync.Once
	mu    sync.Mutex
	proc  *process
	url   string
	err   error
	count int
}

// Main runs the tests and stops the server afterwards, if one was started.
func Main(m *testing.M) int {
	code := m.Run()
	if server.proc != nil {
		server.proc.stop()
	}
	return code
}

// NewDatabase returns the address of a new, empty schema in the server's database, which
// is dropped when the test ends. Making a database of its own would take a second.
func NewDatabase(t testing.TB) string {
	t.Helper()
	server.start.Do(start)
	if server.err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("PostgreSQL: %v", server.err)
		}
		t.Skipf("PostgreSQL: %v", server.err)
	}
	server.mu.Lock()
	server.count++
	name := fmt.Sprintf("pharos_test_%d_%d", os.Getpid(), server.count)
	server.mu.Unlock()
	administer(t, "CREATE SCHEMA "+name)
	t.Cleanup(func() { administer(t, "DROP SCHEMA "+name+" CASCADE") })
	u, err := url.Parse(server.url)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	q.Set("search_path", name)
	u.RawQuery = q.Encode()
	return u.String()
}

func administer(t testing.TB, stmt string) {
	t.Helper()
	ctx := context.Background()
	c, err := pgx.Connect(ctx, server.url)
	if err != nil {
		t.Fatalf("connect to PostgreSQL: %v", err)
	}
	defer func() { _ = c.Close(ctx) }()
	if _, err := c.Exec(ctx, stmt); err != nil {
		t.Fatalf("%s: %v", stmt, err)
	}
}

func start() {
	if server.url = os.Getenv(Variable); server.url != "" {
		return
	}
	server.proc, server.err = startProcess()
	if server.err == nil {
		server.url = server.proc.url()
	}
}

// process is a server of our own, in a directory of its own.
type process struct {
	dir  string
	port int
	cmd  *exec.Cmd
}

// startProcess makes a cluster and starts a server for it. As root it does so as the
// user postgres, since the server refuses to run as root.
func startProcess() (*process, error) {
	bin, err := newestInstallation()
	if err != nil {
		return nil, err
	}
	p := &process{}
	if p.dir, err = os.MkdirTemp("", "pgtest"); err != nil {
		return nil, err
	}
	if err := p.launch(bin); err != nil {
		p.stop()
		return nil, err
	}
	return p, nil
}

func newestInstallation() (string, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin")
	if err == nil && len(found) == 0 {
		err = errors.New("not installed: install postgresql, or set " + Variable)
	}
	if err != nil {
		return "", err
	}
	return found[len(found)-1], nil
}

func (p *process) launch(bin string) error {
	credential, err := p.credential()
	if err != nil {
		return err
	}
	data := filepath.Join(p.dir, "data")
	initdb := exec.Command(filepath.Join(bin, "initdb"), "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
	initdb.Dir, initdb.SysProcAttr = p.dir, &syscall.SysProcAttr{Credential: credential}
	if out, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w: %s", err, out)
	}
	if p.port, err = freePort(); err != nil {
		return err
	}
	log, err := os.Create(filepath.Join(p.dir, "log"))
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }() // the server has its own copy
	p.cmd = exec.Command(filepath.Join(bin, "postgres"), "-D", data, "-p", strconv.Itoa(p.port), "-k", p.dir,
		"-c", "listen_addresses=127.0.0.1", "-c", "fsync=on", "-c", "shared_buffers=64MB")
	p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = p.dir, log, log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Credential: credential}
	if err := p.cmd.Start(); err != nil {
		return err
	}
	return p.wait()
}

// credential is that of the user postgres for root, to whom it gives the directory.
func (p *process) credential() (*syscall.Credential, error) {
	if os.Getuid() != 0 {
		return nil, nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return nil, err
	}
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.Atoi(u.Gid)
	if err != nil {
		return nil, err
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, os.Chown(p.dir, uid, gid)
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	return l.Addr().(*net.TCPAddr).Port, l.Close()
}

// wait returns when the server answers.
func (p *process) wait() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for {
		c, err := pgx.Connect(ctx, p.url())
		if err == nil {
			return c.Close(ctx)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("server does not answer: %w", err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// url is the address by the socket in the directory, which nobody else is given.
func (p *process) url() string {
	q := url.Values{"host": {p.dir}, "port": {strconv.Itoa(p.port)}, "user": {"postgres"}}
	return "postgres:///postgres?" + q.Encode()
}

// stop ends the server at once (SIGQUIT), for its data are thrown away.
func (p *process) stop() {
	if p.cmd != nil && p.cmd.Process != nil {
		_ = p.cmd.Process.Signal(syscall.SIGQUIT) // it may have ended already
		_ = p.cmd.Wait()
	}
	_ = os.RemoveAll(p.dir)
}
