package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"mime"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"pharos/internal/dicom/dicomtest"
)

const (
	storers = 3 // storescu processes at a time
	batch   = 12
)

// kept is an instance that was sent, and whether its arrival was acknowledged.
type kept struct {
	study, series, instance string
	file                    []byte // as sent
	whole                   bool   // sent as a file, by STOW-RS: given back as such
	acknowledged            bool
}

func (k *kept) path() string {
	return "/dicom-web/studies/" + k.study + "/series/" + k.series + "/instances/" + k.instance
}

// ledger is what was sent to a site.
type ledger struct {
	mu   sync.Mutex
	sent map[string]*kept // by SOP Instance UID
}

func (l *ledger) add(k *kept) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sent[k.instance] = k
}

func (l *ledger) acknowledge(instance string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sent[instance].acknowledged = true
}

// slice makes a small instance of a study that is called name.
func slice(t testing.TB, name string, series, number, size int) *kept {
	d := dicomtest.CT(dicomtest.WithStudy(name), dicomtest.WithSeries(series), dicomtest.WithInstance(number), dicomtest.WithSize(size, size))
	return &kept{
		study: string(d.UID(0x0020000D)), series: string(d.UID(0x0020000E)), instance: string(d.UID(0x00080018)),
		file: dicomtest.Bytes(t, d, explicitLE),
	}
}

// TestKilledWhileReceivingLosesNothing kills the server at random moments while DCMTK
// and a DICOMweb client send. Whatever was acknowledged is there after the next start,
// byte by byte, and nothing that is there is torn.
func TestKilledWhileReceivingLosesNothing(t *testing.T) {
	need(t, "storescu")
	rounds := 12
	if text := os.Getenv("PHAROS_E2E_ROUNDS"); text != "" {
		var err error
		if rounds, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
	}
	for done := 0; done < rounds; done += campaign {
		n := min(campaign, rounds-done)
		t.Run(fmt.Sprintf("rounds %d to %d", done+1, done+n), func(t *testing.T) {
			killRepeatedly(t, n, rand.New(rand.NewPCG(1, uint64(done))))
		})
	}
}

// campaign is how many rounds share a data directory: what is in it is compared as a
// whole in every round.
const campaign = 20

// killRepeatedly is a campaign. The moments are random; random decides on the damage.
func killRepeatedly(t *testing.T, rounds int, random *rand.Rand) {
	t.Helper()
	s := newSite(t, options{})
	l := &ledger{sent: map[string]*kept{}}
	for round := range rounds {
		s.start()
		var clients sync.WaitGroup
		for i := range storers {
			clients.Go(func() { storeUntilGone(t, s, l, fmt.Sprintf("round %d, storer %d", round, i)) })
		}
		clients.Go(func() { postUntilGone(t, s, l, fmt.Sprintf("round %d, web", round)) })
		time.Sleep(50*time.Millisecond + rand.N(700*time.Millisecond)) // the moment is what varies
		s.kill()
		clients.Wait()
		tearLog(t, s, random, round)
		s.start()
		checkKept(t, s, l)
		if round%3 == 2 {
			s.stop()
		} else {
			s.kill()
		}
		if t.Failed() {
			t.Fatalf("in round %d", round)
		}
	}
	acknowledged := 0
	for _, k := range l.sent {
		if k.acknowledged {
			acknowledged++
		}
	}
	t.Logf("%d rounds, %d instances sent, %d acknowledged", rounds, len(l.sent), acknowledged)
	if acknowledged == 0 {
		t.Error("nothing was acknowledged: the test shows nothing")
	}
	checkReindex(t, s)
	s.start()
	checkKept(t, s, l)
}

// checkReindex rebuilds the index from the images, which must give the same answers,
// and looks for faults before and after.
func checkReindex(t *testing.T, s *site) {
	t.Helper()
	s.start()
	before := answers(s)
	s.stop()
	for _, command := range []string{"fsck", "reindex", "fsck"} {
		out := s.run(command, "--data", s.data)
		if command == "fsck" && !strings.Contains(out, " 0 faults") {
			t.Errorf("fsck: %s", out)
		}
	}
	s.start()
	after := answers(s)
	s.stop()
	for path, want := range before {
		if got := after[path]; got != want {
			t.Errorf("%s: other answers after reindex:\n%.600s\n%.600s", path, want, got)
		}
	}
}

// answers are those to some queries, in which nothing depends on port or order.
func answers(s *site) map[string]string {
	found := map[string]string{}
	for _, path := range []string{"/studies?includefield=all", "/series?includefield=all", "/instances?includefield=all"} {
		page := func(offset int) []object {
			return s.query(fmt.Sprintf("%s&limit=500&offset=%d", path, offset))
		}
		sorted := map[string]object{} // encoding/json writes maps in order
		for offset := 0; ; {
			objects := page(offset)
			if len(objects) == 0 {
				break
			}
			offset += len(objects)
			for _, o := range objects {
				delete(o, "00081190") // Retrieve URL has the port
				sorted[o.text("0020000D")+o.text("0020000E")+o.text("00080018")] = o
			}
		}
		text, err := json.Marshal(sorted)
		if err != nil {
			s.t.Fatal(err)
		}
		found[path] = string(text)
	}
	return found
}

// storeUntilGone sends series by storescu until the server does not answer any more.
func storeUntilGone(t *testing.T, s *site, l *ledger, name string) {
	dir, err := os.MkdirTemp("", "pharos-e2e-send-")
	if err != nil {
		t.Error(err)
		return
	}
	defer os.RemoveAll(dir)
	for series := 1; ; series++ {
		var files []string
		instances := map[string]string{} // by path
		for i := range batch {
			k := slice(t, name, series, i+1, 64)
			l.add(k)
			path := filepath.Join(dir, fmt.Sprintf("%d-%d.dcm", series, i))
			if err := os.WriteFile(path, k.file, 0o600); err != nil {
				t.Error(err)
				return
			}
			files, instances[path] = append(files, path), k.instance
		}
		cmd := exec.Command("storescu", append(append([]string{"-v", "-R"}, s.peer()...), files...)...)
		out, err := cmd.CombinedOutput()
		for _, path := range acknowledgedBy(string(out)) {
			l.acknowledge(instances[path])
		}
		if err != nil {
			return
		}
	}
}

// acknowledgedBy reads what storescu tells of each file.
func acknowledgedBy(output string) []string {
	var files []string
	sending := ""
	for line := range strings.Lines(output) {
		if _, path, ok := strings.Cut(line, "Sending file: "); ok {
			sending = strings.TrimSpace(path)
		}
		if strings.Contains(line, "Received Store Response (Success)") {
			files = append(files, sending)
		}
	}
	return files
}

// postUntilGone sends by STOW-RS until the server does not answer any more.
func postUntilGone(t *testing.T, s *site, l *ledger, name string) {
	for n := 1; ; n++ {
		var parts []*kept
		for i := range 4 {
			k := slice(t, name, n, i+1, 96)
			k.whole = true
			l.add(k)
			parts = append(parts, k)
		}
		rsp, err := s.stow(parts...)
		if err != nil {
			return
		}
		if rsp.StatusCode != http.StatusOK {
			t.Errorf("STOW: %d %s", rsp.StatusCode, rsp.body)
			return
		}
		for _, k := range parts {
			l.acknowledge(k.instance)
		}
	}
}

// stow sends files in one request.
func (s *site) stow(instances ...*kept) (*response, error) {
	var files [][]byte
	for _, k := range instances {
		files = append(files, k.file)
	}
	body, contentType := related(files...)
	return s.try(http.MethodPost, "/dicom-web/studies", bytes.NewReader(body), "Content-Type: "+contentType, "Accept: application/dicom+json")
}

// related is a body of multipart/related with files.
func related(files ...[]byte) (body []byte, contentType string) {
	var b bytes.Buffer
	m := multipart.NewWriter(&b)
	for _, f := range files {
		p, _ := m.CreatePart(textproto.MIMEHeader{"Content-Type": {"application/dicom"}}) // a buffer does not fail
		_, _ = p.Write(f)
	}
	_ = m.Close()
	return b.Bytes(), `multipart/related; type="application/dicom"; boundary=` + m.Boundary()
}

// tearLog makes the log end as a power cut may leave it: with garbage, zeros or a part
// of a record behind the last acknowledged one.
func tearLog(t *testing.T, s *site, random *rand.Rand, round int) {
	t.Helper()
	segments, err := filepath.Glob(filepath.Join(s.data, "blobs", "segments", "*.log"))
	if err != nil || len(segments) == 0 {
		t.Fatalf("no segments: %v", err)
	}
	newest := segments[len(segments)-1]
	content, err := os.ReadFile(newest)
	if err != nil {
		t.Fatal(err)
	}
	var tail []byte
	switch round % 4 {
	case 0:
		return
	case 1:
		tail = make([]byte, 1+random.IntN(10_000))
		for i := range tail {
			tail[i] = byte(random.Uint32())
		}
	case 2:
		tail = make([]byte, 1+random.IntN(10_000))
	case 3:
		if len(content) > 200 { // the beginning of the first record once more
			tail = content[64:min(len(content), 64+136+random.IntN(5000))]
		}
	}
	f, err := os.OpenFile(newest, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Write(tail); err != nil {
		t.Fatal(err)
	}
}

// checkKept compares what the site has with what it was sent.
func checkKept(t *testing.T, s *site, l *ledger) {
	t.Helper()
	seen := map[string]bool{}
	total := 0
	for offset := 0; ; {
		page := s.query(fmt.Sprintf("/studies?limit=100&offset=%d&includefield=NumberOfStudyRelatedInstances", offset))
		if len(page) == 0 {
			break
		}
		offset += len(page)
		for _, study := range page {
			n := checkStudy(t, s, l, study.text("0020000D"), seen)
			total += n
			if counted := study.text("00201208"); counted != strconv.Itoa(n) {
				t.Errorf("study %s: %d instances, counted as %s", study.text("0020000D"), n, counted)
			}
		}
	}
	for _, k := range l.sent {
		if k.acknowledged && !seen[k.instance] {
			t.Errorf("lost: instance %s was acknowledged", k.instance)
		}
	}
	listed := 0
	for {
		n := len(s.query(fmt.Sprintf("/instances?limit=1000&offset=%d", listed)))
		if n == 0 {
			break
		}
		listed += n
	}
	if listed != total {
		t.Errorf("%d instances are listed, %d retrieved", listed, total)
	}
}

// checkStudy retrieves a study and returns how many instances it has.
func checkStudy(t *testing.T, s *site, l *ledger, study string, seen map[string]bool) int {
	t.Helper()
	n := 0
	for _, file := range s.retrieve("/dicom-web/studies/" + study) {
		n++
		instance := instanceOf(file)
		k := l.sent[instance]
		switch {
		case k == nil:
			t.Errorf("instance %q was never sent", instance)
		case k.study != study:
			t.Errorf("instance %s is in study %s", instance, study)
		case seen[instance]:
			t.Errorf("instance %s is there twice", instance)
		case k.whole && !bytes.Equal(file, k.file):
			t.Errorf("instance %s has other bytes than its file", instance)
		case !bytes.Equal(datasetOf(t, file), datasetOf(t, k.file)):
			t.Errorf("instance %s has another data set than was sent", instance)
		}
		seen[instance] = true
	}
	if listed := len(s.query("/studies/" + study + "/instances?limit=1000")); listed != n {
		t.Errorf("study %s: %d instances are listed, %d retrieved", study, listed, n)
	}
	return n
}

// retrieve gets the parts of a resource as they are stored.
func (s *site) retrieve(path string) [][]byte {
	s.t.Helper()
	return s.get(path, `Accept: multipart/related; type="application/dicom"; transfer-syntax=*`).want(s.t, http.StatusOK).parts(s.t)
}

// parts are those of a multipart body.
func (r *response) parts(t *testing.T) [][]byte {
	t.Helper()
	_, parameters, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil {
		t.Fatalf("%s: %v", r.Request.URL, err)
	}
	var parts [][]byte
	for m := multipart.NewReader(bytes.NewReader(r.body), parameters["boundary"]); ; {
		p, err := m.NextRawPart()
		if err == io.EOF {
			return parts
		}
		if err != nil {
			t.Fatalf("%s: %v", r.Request.URL, err)
		}
		content, err := io.ReadAll(p)
		if err != nil {
			t.Fatalf("%s: %v", r.Request.URL, err)
		}
		parts = append(parts, content)
	}
}

// instanceOf finds the SOP Instance UID of a synthetic file, in explicit little endian.
func instanceOf(file []byte) string {
	i := bytes.Index(file, []byte{8, 0, 0x18, 0, 'U', 'I'})
	if i < 0 {
		return ""
	}
	n := int(file[i+6]) | int(file[i+7])<<8
	return strings.TrimRight(string(file[i+8:min(len(file), i+8+n)]), "\x00")
}
