package e2e

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pharos/internal/dicom/dicomtest"
	"pharos/internal/dimse/dimsetest"
)

// proposals are the options of storescu that propose a transfer syntax, and those of
// storescp that prefer it.
var proposals = []struct{ syntax, scu, scp string }{
	{explicitLE, "-xe", "+xe"},
	{implicitLE, "-xi", "+xi"},
	{explicitBE, "-xb", "+xb"},
	{deflated, "-xd", "+xd"},
	{jpegBaseline, "-xy", "+xy"},
	{"1.2.840.10008.1.2.4.51", "-xx", "+xx"},
	{"1.2.840.10008.1.2.4.70", "-xs", "+xs"},
	{"1.2.840.10008.1.2.4.90", "-xv", "+xv"},
	{"1.2.840.10008.1.2.4.91", "-xw", "+xw"},
	{"1.2.840.10008.1.2.4.80", "-xt", "+xt"},
	{"1.2.840.10008.1.2.4.81", "-xu", "+xu"},
	{"1.2.840.10008.1.2.4.100", "-xm", "+xm"},
	{"1.2.840.10008.1.2.4.102", "-xn", "+xn"},
	{"1.2.840.10008.1.2.5", "-xr", "+xr"},
}

// nodeOf is a line of the configuration for a destination of C-MOVE.
func nodeOf(p *dimsetest.Peer, more string) string {
	return fmt.Sprintf("  - {name: %s, aet: %s, host: 127.0.0.1, port: %d, may: [store, find, move, get]%s}\n",
		strings.ToLower(p.AETitle), p.AETitle, p.Port, more)
}

// TestDCMTKStoresMovesAndGets sends the corpus by storescu to a storescp that keeps
// bytes as they come, and to the archive. The archive gives the same bytes back by
// WADO-RS and C-MOVE, and by C-GET where the syntax was agreed on.
func TestDCMTKStoresMovesAndGets(t *testing.T) {
	need(t, "storescu", "storescp", "movescu", "getscu")
	destination := dimsetest.StoreSCP(t, "DEST", "+xa")
	s := open(t, options{nodes: nodeOf(destination, "")})
	files := corpus(t)
	want := map[string][]byte{}
	for _, p := range proposals {
		var paths []string
		for _, f := range files {
			if f.syntax == p.syntax {
				paths = append(paths, f.path)
			}
		}
		if len(paths) == 0 {
			continue
		}
		reference := dimsetest.StoreSCP(t, "REFERENCE", p.scp)
		args := append([]string{"-v", "-nh", "-R", p.scu, "-aet", testerAET, "-aec"}, "REFERENCE", "127.0.0.1", fmt.Sprint(reference.Port))
		_, _ = dimsetest.Try(t, "storescu", append(args, paths...)...) // it does not understand every sample
		args = append([]string{"-v", "-nh", "-R", p.scu, "-aet", testerAET, "-aec"}, archiveAET, "127.0.0.1", s.port())
		out, _ := dimsetest.Try(t, "storescu", append(args, paths...)...)
		for _, line := range refusedBy(out) {
			t.Errorf("%s: %s", p.syntax, line)
		}
		for key, dataset := range received(t, reference.Files(t)) {
			want[key] = dataset
		}
	}
	if len(want) < len(files)/2 {
		t.Fatalf("DCMTK sent only %d of %d files", len(want), len(files))
	}
	t.Logf("%d of %d files sent", len(want), len(files))
	studies := checkRetrieved(t, s, want)

	for list := range slices.Chunk(studies, 25) {
		dimsetest.Run(t, "movescu", s.peer("-S", "-aem", "DEST", "-k", "QueryRetrieveLevel=STUDY", "-k", "StudyInstanceUID="+strings.Join(list, `\`))...)
	}
	moved := received(t, destination.Files(t))
	for key, dataset := range want {
		if got, ok := moved[key]; !ok {
			t.Errorf("%s: not moved", key)
		} else if !bytes.Equal(got, dataset) {
			t.Errorf("%s: moved with other bytes", key)
		}
	}
	checkGotten(t, s, want, studies)
}

// refusedBy reads from the output of storescu which files were refused.
func refusedBy(output string) []string {
	var refused []string
	sending := ""
	for line := range strings.Lines(output) {
		if _, path, ok := strings.Cut(line, "Sending file: "); ok {
			sending = filepath.Base(strings.TrimSpace(path))
		}
		if strings.Contains(line, "Received Store Response") && !strings.Contains(line, "(Success)") || strings.Contains(line, "Store Failed") {
			refused = append(refused, sending+": "+strings.TrimSpace(line))
		}
	}
	return refused
}

// checkRetrieved compares data sets with what WADO-RS gives, and returns the studies.
func checkRetrieved(t *testing.T, s *site, want map[string][]byte) (studies []string) {
	t.Helper()
	for key, dataset := range want {
		instance, syntax, _ := strings.Cut(key, " ")
		found := s.query("/instances?SOPInstanceUID=" + instance)
		if len(found) != 1 {
			t.Errorf("%s: %d instances, want 1", instance, len(found))
			continue
		}
		study := found[0].text("0020000D")
		if !slices.Contains(studies, study) {
			studies = append(studies, study)
		}
		parts := s.retrieve("/dicom-web/studies/" + study + "/series/" + found[0].text("0020000E") + "/instances/" + instance)
		switch {
		case len(parts) != 1:
			t.Errorf("%s: %d parts", instance, len(parts))
		case metaText(parts[0], 0x10) != syntax:
			t.Errorf("%s: kept in %s, sent in %s", instance, metaText(parts[0], 0x10), syntax)
		case !bytes.Equal(datasetOf(t, parts[0]), dataset):
			t.Errorf("%s: other bytes than were sent", instance)
		}
	}
	return studies
}

// checkGotten retrieves by getscu, which proposes uncompressed syntaxes.
func checkGotten(t *testing.T, s *site, want map[string][]byte, studies []string) {
	t.Helper()
	dir := t.TempDir()
	for list := range slices.Chunk(studies, 25) {
		// Some instances can't be had uncompressed, of which getscu warns by its status.
		_, _ = dimsetest.Try(t, "getscu", s.peer("-S", "+B", "-od", dir, "-k", "QueryRetrieveLevel=STUDY", "-k", "StudyInstanceUID="+strings.Join(list, `\`))...)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	gotten, same := map[string]bool{}, 0
	for key, dataset := range received(t, files) {
		instance, _, _ := strings.Cut(key, " ")
		gotten[instance] = true
		switch original, ok := want[key]; {
		case !ok: // another syntax was agreed on
		case bytes.Equal(original, dataset):
			same++
		default:
			t.Errorf("%s: gotten with other bytes", key)
		}
	}
	if same == 0 {
		t.Error("C-GET: nothing came back as it was sent")
	}
	for key := range want {
		instance, syntax, _ := strings.Cut(key, " ")
		native := slices.Contains([]string{explicitLE, implicitLE, explicitBE}, syntax)
		// getscu does not propose every storage class.
		if native && !gotten[instance] && s.log.find(instance+`","error":"dimse: no presentation context accepted`) == "" {
			t.Errorf("%s: not gotten", key)
		}
	}
}

// TestDCMTKSendsAndSendsAgain shows that an instance that arrives twice is a success
// and one instance, and that other bytes under its UID are refused.
func TestDCMTKSendsAndSendsAgain(t *testing.T) {
	need(t, "dcmsend", "storescu")
	s := open(t, options{})
	files := writeCorpus(t, synthetic(t))
	args := []string{"-v", "-dn"}
	args = append(args, s.peer()...)
	for _, f := range files {
		args = append(args, f.path)
	}
	for range 2 {
		out := dimsetest.Run(t, "dcmsend", args...)
		if n := strings.Count(out, "with status SUCCESS"); n == 0 && strings.Contains(out, "Failed") {
			t.Errorf("dcmsend: %s", out)
		}
		if n := len(s.query("/instances?limit=1000")); n != len(files) {
			t.Errorf("%d instances, want %d", n, len(files))
		}
	}
	first := slice(t, "twice", 1, 1, 64)
	other := slice(t, "twice", 1, 1, 32) // of another size under the same UIDs
	if status := s.storeOne(first); status != 0 {
		t.Fatalf("status %04X", status)
	}
	if status := s.storeOne(other); status < 0xA000 {
		t.Errorf("other bytes under the same UID: status %04X", status)
	}
	if parts := s.retrieve(first.path()); len(parts) != 1 || !bytes.Equal(datasetOf(t, parts[0]), datasetOf(t, first.file)) {
		t.Error("the first instance is not what it was")
	}
}

func TestDCMTKEchoes(t *testing.T) {
	need(t, "echoscu")
	s := open(t, options{})
	dimsetest.Run(t, "echoscu", s.peer("--repeat", "5")...)
	if out, err := dimsetest.Try(t, "echoscu", "-aet", "STRANGER", "-aec", archiveAET, "127.0.0.1", s.port()); err == nil {
		t.Errorf("a stranger may call: %s", out)
	}
	if out, err := dimsetest.Try(t, "echoscu", "-aet", testerAET, "-aec", "ELSEWHERE", "127.0.0.1", s.port()); err == nil {
		t.Errorf("another archive's title is answered to: %s", out)
	}
}

// TestDCMTKFinds queries at every level in both information models.
func TestDCMTKFinds(t *testing.T) {
	need(t, "findscu")
	s := open(t, options{})
	for _, f := range synthetic(t) {
		if rsp, err := s.stow(&kept{file: f}); err != nil || rsp.StatusCode != 200 {
			t.Fatalf("STOW: %v %v", rsp, err)
		}
	}
	first := slice(t, "e2e", 1, 1, 64) // its UIDs are those of the first patient's
	study, series, instance := first.study, first.series, first.instance
	patients := len(dicomtest.Patients())
	for _, c := range []struct {
		name string
		keys []string
		want int
	}{
		{"patients", []string{"-P", "QueryRetrieveLevel=PATIENT", "PatientID", "PatientName"}, patients},
		{"a patient by id", []string{"-P", "QueryRetrieveLevel=PATIENT", "PatientID=PH-0003", "PatientName"}, 1},
		{"studies of a patient", []string{"-P", "QueryRetrieveLevel=STUDY", "PatientID=PH-0001", "StudyInstanceUID"}, 1},
		{"series, patient root", []string{"-P", "QueryRetrieveLevel=SERIES", "PatientID=PH-0001", "StudyInstanceUID=" + study, "SeriesInstanceUID"}, 2},
		{"images, patient root", []string{"-P", "QueryRetrieveLevel=IMAGE", "PatientID=PH-0001", "StudyInstanceUID=" + study, "SeriesInstanceUID=" + series, "SOPInstanceUID"}, 1},
		{"studies", []string{"-S", "QueryRetrieveLevel=STUDY", "StudyInstanceUID", "PatientName"}, patients},
		{"studies by prefix", []string{"-S", "QueryRetrieveLevel=STUDY", "StudyInstanceUID", "PatientName=Example*"}, 1},
		{"studies by another case", []string{"-S", "QueryRetrieveLevel=STUDY", "StudyInstanceUID", "PatientName=eXAMPLE*"}, 1},
		{"studies by one letter", []string{"-S", "QueryRetrieveLevel=STUDY", "StudyInstanceUID", "PatientID=PH-000?"}, 9},
		{"studies by date", []string{"-S", "QueryRetrieveLevel=STUDY", "StudyInstanceUID", "StudyDate=20260101-20260131"}, patients},
		{"studies before", []string{"-S", "QueryRetrieveLevel=STUDY", "StudyInstanceUID", "StudyDate=-20251231"}, 0},
		{"studies by modality", []string{"-S", "QueryRetrieveLevel=STUDY", "StudyInstanceUID", "ModalitiesInStudy=MR"}, 3},
		{"studies by name in UTF-8", []string{"-S", "QueryRetrieveLevel=STUDY", "SpecificCharacterSet=ISO_IR 192", "StudyInstanceUID", "PatientName=*山田*"}, 1},
		{"studies by name without accents", []string{"-S", "QueryRetrieveLevel=STUDY", "StudyInstanceUID", "PatientName=buc^jerome"}, 1},
		{"series", []string{"-S", "QueryRetrieveLevel=SERIES", "StudyInstanceUID=" + study, "SeriesInstanceUID", "Modality", "NumberOfSeriesRelatedInstances"}, 2},
		{"images", []string{"-S", "QueryRetrieveLevel=IMAGE", "StudyInstanceUID=" + study, "SeriesInstanceUID=" + series, "SOPInstanceUID"}, 1},
		{"an image", []string{"-S", "QueryRetrieveLevel=IMAGE", "StudyInstanceUID=" + study, "SeriesInstanceUID=" + series, "SOPInstanceUID=" + instance}, 1},
		{"a list of images", []string{"-S", "QueryRetrieveLevel=IMAGE", "StudyInstanceUID=" + study, "SeriesInstanceUID=" + series, "SOPInstanceUID=" + instance + `\1.2.3`}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			args := []string{c.keys[0], "-X", "-od", dir}
			for _, key := range c.keys[1:] {
				args = append(args, "-k", key)
			}
			out := dimsetest.Run(t, "findscu", s.peer(args...)...)
			matches, err := filepath.Glob(filepath.Join(dir, "rsp*.dcm"))
			if err != nil || len(matches) != c.want {
				t.Errorf("%d matches, want %d, %v\n%s", len(matches), c.want, err, out)
			}
		})
	}
	dimsetest.Run(t, "findscu", s.peer("-S", "--cancel", "3", "-k", "QueryRetrieveLevel=STUDY", "-k", "StudyInstanceUID")...)
	s.alive()
}

// TestDCMTKMovesToItself lets movescu be its own destination, and asks for one that
// nobody knows.
func TestDCMTKMovesToItself(t *testing.T) {
	need(t, "movescu")
	self := &dimsetest.Peer{AETitle: "MOVER", Port: dimsetest.FreePort(t)}
	s := open(t, options{nodes: nodeOf(self, "")})
	var all []*kept
	for i := range 5 {
		all = append(all, slice(t, "move", 1, i+1, 64))
		if status := s.storeOne(all[i]); status != 0 {
			t.Fatalf("status %04X", status)
		}
	}
	for _, c := range []struct {
		level string
		keys  []string
		want  int
	}{
		{"STUDY", []string{"StudyInstanceUID=" + all[0].study}, 5},
		{"SERIES", []string{"StudyInstanceUID=" + all[0].study, "SeriesInstanceUID=" + all[0].series}, 5},
		{"IMAGE", []string{"StudyInstanceUID=" + all[0].study, "SeriesInstanceUID=" + all[0].series, "SOPInstanceUID=" + all[2].instance}, 1},
		{"STUDY", []string{"StudyInstanceUID=1.2.3.4"}, 0},
	} {
		dir := t.TempDir()
		args := []string{"-v", "-S", "-aem", self.AETitle, "+P", fmt.Sprint(self.Port), "-od", dir, "-k", "QueryRetrieveLevel=" + c.level}
		for _, k := range c.keys {
			args = append(args, "-k", k)
		}
		out := dimsetest.Run(t, "movescu", s.peer(args...)...)
		files, err := filepath.Glob(filepath.Join(dir, "*"))
		if err != nil || len(files) != c.want {
			t.Errorf("%s %v: %d files, want %d, %v\n%s", c.level, c.keys, len(files), c.want, err, out)
		}
		for key, dataset := range received(t, files) {
			instance, _, _ := strings.Cut(key, " ")
			i := slices.IndexFunc(all, func(k *kept) bool { return k.instance == instance })
			if i < 0 || !bytes.Equal(dataset, datasetOf(t, all[i].file)) {
				t.Errorf("%s: other bytes than were sent", key)
			}
		}
	}
	out, err := dimsetest.Try(t, "movescu", s.peer("-v", "-S", "-aem", "NOBODY", "-k", "QueryRetrieveLevel=STUDY", "-k", "StudyInstanceUID="+all[0].study)...)
	if !strings.Contains(out, "MoveDestinationUnknown") {
		t.Errorf("D38: an unknown destination: %v\n%s", err, out)
	}
	// The archive itself is no node: a loop can't be asked for.
	out, _ = dimsetest.Try(t, "movescu", s.peer("-v", "-S", "-aem", archiveAET, "-k", "QueryRetrieveLevel=STUDY", "-k", "StudyInstanceUID="+all[0].study)...)
	if !strings.Contains(out, "MoveDestinationUnknown") {
		t.Errorf("a move to the archive itself:\n%s", out)
	}
	s.alive()
}

// TestDCMTKOverTLS lets in only who shows the certificate of a node, and moves to a node
// over TLS.
func TestDCMTKOverTLS(t *testing.T) {
	need(t, "echoscu", "storescu", "findscu", "movescu", "storescp")
	pki, strange := dimsetest.NewPKI(t, "modality.example"), dimsetest.NewPKI(t, "modality.example")
	unnamed := dimsetest.NewPKI(t, "other.example")
	destination := dimsetest.StoreSCP(t, "DEST", append(pki.SCPArgs(), "+xa")...)
	s := open(t, options{
		settings: fmt.Sprintf("dicom_tls: {addr: \"127.0.0.1:0\", cert: %q, key: %q, client_ca: %q}", pki.ServerCert, pki.ServerKey, pki.Authority),
		nodes: "  - {name: secure, aet: SECURE, tls_name: modality.example, may: [store, find, move, get]}\n" +
			nodeOf(destination, ", tls: true"),
	})
	port := s.dicomTLS[strings.LastIndexByte(s.dicomTLS, ':')+1:]
	args := func(flags []string, more ...string) []string {
		all := append(slices.Clone(flags), "-aet", "SECURE", "-aec", archiveAET)
		return append(append(all, more...), "127.0.0.1", port)
	}
	dimsetest.Run(t, "echoscu", args(pki.SCUArgs())...)
	k := slice(t, "tls", 1, 1, 64)
	path := filepath.Join(t.TempDir(), "file.dcm")
	if err := os.WriteFile(path, k.file, 0o600); err != nil {
		t.Fatal(err)
	}
	dimsetest.Run(t, "storescu", append(args(pki.SCUArgs(), "-R"), path)...)
	if parts := s.retrieve(k.path()); len(parts) != 1 || !bytes.Equal(datasetOf(t, parts[0]), datasetOf(t, k.file)) {
		t.Error("other bytes than were sent")
	}
	dir := t.TempDir()
	dimsetest.Run(t, "findscu", args(pki.SCUArgs(), "-S", "-X", "-od", dir, "-k", "QueryRetrieveLevel=STUDY", "-k", "StudyInstanceUID")...)
	if found, err := filepath.Glob(filepath.Join(dir, "rsp*")); len(found) != 1 {
		t.Errorf("%d studies found, %v", len(found), err)
	}
	// movescu has no TLS itself.
	out, err := dimsetest.Try(t, "movescu", s.peer("-v", "-S", "-aem", "DEST", "-k", "QueryRetrieveLevel=STUDY", "-k", "StudyInstanceUID="+k.study)...)
	if got := received(t, destination.Files(t)); err != nil || !bytes.Equal(got[k.instance+" "+explicitLE], datasetOf(t, k.file)) {
		t.Errorf("move over TLS: %v\n%s\n%s", err, out, destination.Log())
	}
	for name, flags := range map[string][]string{
		"no TLS":                             nil,
		"no certificate":                     {"+tla", "+cf", pki.Authority},
		"a certificate of another authority": {"+tls", strange.ClientKey, strange.ClientCert, "-pw", "+cf", pki.Authority},
		"another authority and name":         {"+tls", unnamed.ClientKey, unnamed.ClientCert, "-pw", "+cf", pki.Authority},
		"the server's certificate":           {"+tls", pki.ServerKey, pki.ServerCert, "-pw", "+cf", pki.Authority},
	} {
		if out, err := dimsetest.Try(t, "echoscu", args(flags)...); err == nil {
			t.Errorf("%s: let in\n%s", name, out)
		}
	}
	// The node is one by its certificate only: its title alone, without TLS, opens nothing.
	if out, err := dimsetest.Try(t, "echoscu", "-aet", "SECURE", "-aec", archiveAET, "127.0.0.1", s.port()); err == nil {
		t.Errorf("let in without TLS: %s", out)
	}
	s.alive()
}
