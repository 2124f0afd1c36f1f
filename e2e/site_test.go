package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"pharos/internal/dimse/dimsetest"
)

// The AE titles that the configuration of a site admits from loopback, with all rights.
const (
	archiveAET = "PHAROS"
	testerAET  = "TESTER"
	orthancAET = "ORTHANC"
)

// readyTime is how long a start may take, with recovery.
const readyTime = 30 * time.Second

// site is a data directory with the program that serves it.
type site struct {
	t      *testing.T
	data   string
	config string // file
	token  string // of a caller who may do everything

	http, dicom, dicomTLS string // addresses, once started

	cmd    *exec.Cmd
	log    *lines
	exited chan struct{}
}

// options change the configuration of a site.
type options struct {
	data     string // directory; a temporary one if empty
	http     int    // port; any free one if 0
	dicom    int    // port; any free one if 0
	settings string // further lines of the configuration file
	nodes    string // further nodes, as lines of YAML
}

// newSite writes a configuration and a token, without starting the program.
func newSite(t *testing.T, o options) *site {
	t.Helper()
	if o.data == "" {
		o.data = filepath.Join(t.TempDir(), "data")
	}
	s := &site{t: t, data: o.data, config: filepath.Join(t.TempDir(), "pharos.yaml")}
	s.configure(o)
	s.token = strings.TrimSpace(s.run("token", "create", "tester", "--may", "everything", "--expires", "1h", "--data", s.data))
	t.Cleanup(s.clean)
	return s
}

func (s *site) configure(o options) {
	s.t.Helper()
	text := fmt.Sprintf(`aet: %s
data: %q
http: 127.0.0.1:%d
dicom: 127.0.0.1:%d
log: {format: json, level: info}
%s
nodes:
  - {name: tester, aet: %s, address: [127.0.0.0/8], may: [store, find, move, get]}
%s`, archiveAET, s.data, o.http, o.dicom, o.settings, testerAET, o.nodes)
	if err := os.WriteFile(s.config, []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// open starts a site.
func open(t *testing.T, o options) *site {
	t.Helper()
	s := newSite(t, o)
	s.start()
	return s
}

// command is the program with arguments, in an environment without settings.
func (s *site) command(args ...string) *exec.Cmd {
	cmd := exec.Command(os.Getenv(binaryVariable), args...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "TMPDIR=" + s.t.TempDir()}
	cmd.Dir = filepath.Dir(s.config)
	return cmd
}

// run executes a command of the program that must succeed, and returns what it wrote.
func (s *site) run(args ...string) string {
	s.t.Helper()
	cmd := s.command(args...)
	var errors bytes.Buffer
	cmd.Stderr = &errors
	out, err := cmd.Output()
	if err != nil {
		s.t.Fatalf("pharos %v: %v\n%s%s", args, err, out, &errors)
	}
	return string(out)
}

// start runs the server and waits until it is ready.
func (s *site) start() {
	s.t.Helper()
	s.cmd = s.command("serve", "--config", s.config)
	stderr, err := s.cmd.StderrPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	if s.log == nil {
		s.log = &lines{}
	}
	ready := make(chan map[string]any, 1)
	s.exited = make(chan struct{})
	go func() {
		for sc := bufio.NewScanner(stderr); sc.Scan(); {
			s.log.add(sc.Text())
			var entry map[string]any
			if json.Unmarshal(sc.Bytes(), &entry) == nil && entry["msg"] == "ready" {
				ready <- entry
			}
		}
		_ = s.cmd.Wait() // how it ended is in ProcessState
		close(s.exited)
	}()
	select {
	case entry := <-ready:
		s.http, _ = entry["http"].(string)
		s.dicom, _ = entry["dicom"].(string)
		s.dicomTLS, _ = entry["dicom_tls"].(string)
	case <-s.exited:
		s.t.Fatalf("the server ended at the start:\n%s", s.log.tail())
	case <-time.After(readyTime):
		s.t.Fatalf("the server was not ready in time:\n%s", s.log.tail())
	}
}

// stop asks the server to end, which it must do properly.
func (s *site) stop() {
	s.t.Helper()
	_ = s.cmd.Process.Signal(syscall.SIGTERM) // one that has ended is noticed below
	<-s.exited
	if code := s.cmd.ProcessState.ExitCode(); code != 0 {
		s.t.Fatalf("the server ended with %d:\n%s", code, s.log.tail())
	}
}

// kill ends the server as a power cut would.
func (s *site) kill() {
	_ = s.cmd.Process.Kill() // it may have ended
	<-s.exited
}

func (s *site) clean() {
	if s.cmd == nil {
		return
	}
	s.kill()
	if trace := s.log.find("panic", "goroutine ", "fatal error"); trace != "" {
		s.t.Errorf("the log tells of a panic: %s", trace)
	}
	if s.t.Failed() {
		s.t.Logf("log of the server:\n%s", s.log.tail())
	}
}

// port is the port of the DICOM listener as an argument of a tool.
func (s *site) port() string { return s.dicom[strings.LastIndexByte(s.dicom, ':')+1:] }

// peer are the arguments of a DCMTK client that come before those given, and the
// address behind them.
func (s *site) peer(args ...string) []string {
	return append(append([]string{"-aet", testerAET, "-aec", archiveAET}, args...), "127.0.0.1", s.port())
}

// alive verifies that the server still answers by DICOM and by DICOMweb.
func (s *site) alive() {
	s.t.Helper()
	a := s.dialFrom("127.0.0.2") // the limits are those of each address
	a.open(goodRequest(verification))
	if status := a.echo(); status != 0 {
		s.t.Errorf("C-ECHO: status %04X", status)
	}
	a.release()
	s.get("/dicom-web/studies?limit=1").want(s.t, http.StatusOK, http.StatusNoContent)
}

// highWater is the most memory that the server has had resident, in MB.
func (s *site) highWater() int {
	s.t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	if err != nil {
		s.t.Skip("memory can be measured on Linux only")
	}
	found := regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindSubmatch(status)
	if found == nil {
		s.t.Fatalf("no VmHWM in %s", status)
	}
	kB, err := strconv.Atoi(string(found[1]))
	if err != nil {
		s.t.Fatal(err)
	}
	return kB / 1024
}

// spooled are the files of requests under way.
func (s *site) spooled() []string {
	s.t.Helper()
	var files []string
	for _, pattern := range []string{"spool/*", "blobs/large/new/*"} {
		found, err := filepath.Glob(filepath.Join(s.data, pattern))
		if err != nil {
			s.t.Fatal(err)
		}
		files = append(files, found...)
	}
	return files
}

// response is a whole answer over HTTP.
type response struct {
	*http.Response
	body []byte
}

// want fails the test unless the status is one of those.
func (r *response) want(t *testing.T, statuses ...int) *response {
	t.Helper()
	for _, s := range statuses {
		if r.StatusCode == s {
			return r
		}
	}
	t.Errorf("%s %s: status %d, want %v: %.300s", r.Request.Method, r.Request.URL, r.StatusCode, statuses, r.body)
	return r
}

// json decodes the body.
func (r *response) json(t *testing.T, into any) {
	t.Helper()
	if len(r.body) == 0 && r.StatusCode == http.StatusNoContent {
		return
	}
	if err := json.Unmarshal(r.body, into); err != nil {
		t.Fatalf("%s: %v: %.300s", r.Request.URL, err, r.body)
	}
}

// get asks with the site's token. Fields are header fields as "Name: value".
func (s *site) get(path string, fields ...string) *response {
	s.t.Helper()
	return s.do(http.MethodGet, path, nil, fields...)
}

func (s *site) do(method, path string, body io.Reader, fields ...string) *response {
	s.t.Helper()
	r, err := s.try(method, path, body, fields...)
	if err != nil {
		s.t.Fatal(err)
	}
	return r
}

// try is do for a server that may be gone.
func (s *site) try(method, path string, body io.Reader, fields ...string) (*response, error) {
	rq, err := http.NewRequest(method, "http://"+s.http+path, body)
	if err != nil {
		return nil, err
	}
	rq.Header.Set("Authorization", "Bearer "+s.token)
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		rq.Header.Set(name, value)
	}
	rsp, err := http.DefaultClient.Do(rq)
	if err != nil {
		return nil, err
	}
	defer rsp.Body.Close()
	content, err := io.ReadAll(rsp.Body)
	return &response{rsp, content}, err
}

// object is one of a DICOM JSON array.
type object map[string]struct {
	VR          string `json:"vr"`
	Value       []any  `json:"Value"`
	BulkDataURI string `json:"BulkDataURI"`
}

// text is the first value of an attribute.
func (o object) text(tag string) string {
	if v := o[tag].Value; len(v) > 0 {
		return fmt.Sprint(v[0])
	}
	return ""
}

// query asks by QIDO-RS.
func (s *site) query(path string) []object {
	s.t.Helper()
	var found []object
	s.get("/dicom-web"+path).want(s.t, http.StatusOK, http.StatusNoContent).json(s.t, &found)
	return found
}

// lines are those of a log.
type lines struct {
	mu  sync.Mutex
	all []string
}

func (l *lines) add(line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, line)
}

// find returns the first line that has one of the texts.
func (l *lines) find(texts ...string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, line := range l.all {
		for _, text := range texts {
			if strings.Contains(line, text) {
				return line
			}
		}
	}
	return ""
}

// tail is what tells why a test failed: the errors, and the last lines.
func (l *lines) tail() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	last := max(0, len(l.all)-40)
	var told []string
	for i, line := range l.all {
		if i >= last || strings.Contains(line, `"level":"ERROR"`) {
			told = append(told, line)
		}
	}
	return strings.Join(told, "\n")
}

// need skips the test where a program is missing; in CI it fails.
func need(t *testing.T, programs ...string) {
	t.Helper()
	for _, name := range programs {
		dimsetest.Find(t, name)
	}
}
