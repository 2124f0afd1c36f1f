package dimse

import (
	"context"
	"crypto/tls"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"pharos/internal/archive"
	"pharos/internal/dicom"
	"pharos/internal/dicom/dicomtest"
	"pharos/internal/dicom/dict"
	"pharos/internal/dimse/dimsetest"
	"pharos/internal/ul"
)

// samples are instances of several classes and transfer syntaxes.
func samples(t testing.TB) [][]byte {
	t.Helper()
	return [][]byte{
		slice(t, "foreign", 1, 1, dicom.ExplicitVRLittleEndian),
		slice(t, "foreign", 1, 2, dicom.ImplicitVRLittleEndian),
		slice(t, "foreign", 1, 3, dicom.ExplicitVRBigEndian),
		dicomtest.Bytes(t, dicomtest.MR(dicomtest.WithStudy("foreign"), dicomtest.WithSize(16, 16)), dicom.ExplicitVRLittleEndian),
		dicomtest.JPEGBytes(t, dicomtest.WithStudy("foreign")),
	}
}

// writeFiles writes files into a directory and returns it.
func writeFiles(t testing.TB, files [][]byte) string {
	t.Helper()
	dir := t.TempDir()
	for i, f := range files {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%02d.dcm", i)), f, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// secured is how a test is run: over TCP or TLS.
type secured struct {
	pki   *dimsetest.PKI
	node  Node     // the site
	flags []string // for DCMTK's clients
}

// bothWays runs a test against a site over TCP and over TLS with client certificates.
func bothWays(t *testing.T, run func(t *testing.T, s *site, way secured)) {
	t.Run("TCP", func(t *testing.T) {
		s := open(t)
		run(t, s, secured{node: s.node})
	})
	t.Run("TLS", func(t *testing.T) {
		s := open(t)
		pki := dimsetest.NewPKI(t, "tester")
		run(t, s, secured{pki: pki, node: s.listen(serverTLS(t, pki)), flags: pki.SCUArgs()})
	})
}

func serverTLS(t testing.TB, pki *dimsetest.PKI) *tls.Config {
	t.Helper()
	cert, err := ul.LoadCertificate(pki.ServerCert, pki.ServerKey, nil)
	if err != nil {
		t.Fatal(err)
	}
	authorities, err := ul.LoadAuthorities(pki.Authority, nil)
	if err != nil {
		t.Fatal(err)
	}
	config, err := ul.ServerTLS(ul.ProfileBCP195, cert, ul.ClientCertificateRequired, authorities)
	if err != nil {
		t.Fatal(err)
	}
	return config
}

func clientTLS(t testing.TB, pki *dimsetest.PKI) *tls.Config {
	t.Helper()
	if pki == nil {
		return nil
	}
	cert, err := ul.LoadCertificate(pki.ClientCert, pki.ClientKey, nil)
	if err != nil {
		t.Fatal(err)
	}
	authorities, err := ul.LoadAuthorities(pki.Authority, nil)
	if err != nil {
		t.Fatal(err)
	}
	return ul.ClientTLS(ul.ProfileBCP195, cert, authorities, "")
}

// args are the arguments of a DCMTK client that calls the site.
func (w secured) args(more ...string) []string {
	all := append(slices.Clone(w.flags), "-aet", "TESTER", "-aec", "PHAROS")
	return append(append(all, more...), "127.0.0.1", strconv.Itoa(w.node.Port))
}

func TestDCMTKEchoes(t *testing.T) {
	bothWays(t, func(t *testing.T, _ *site, way secured) {
		dimsetest.Run(t, "echoscu", way.args("--repeat", "3")...)
	})
}

func TestDCMTKStores(t *testing.T) {
	bothWays(t, func(t *testing.T, s *site, way secured) {
		// storescu proposes the uncompressed syntaxes of a class together: what we choose
		// is what it re-encodes to.
		dir := writeFiles(t, samples(t)[:4])
		for _, flags := range [][]string{{"-xe"}, {"-xi"}, {"-xb"}, {"-xd"}} {
			dimsetest.Run(t, "storescu", append(way.args(append(flags, "-R", "+sd")...), dir)...)
			n := len(s.archive.instances(dicom.Ref{}))
			if n != 4 {
				t.Errorf("storescu %v: %d of 4 instances", flags, n)
			}
			s.archive.empty()
		}
	})
}

func TestDCMTKSendsEverySyntaxAsItIs(t *testing.T) {
	s := open(t)
	files := samples(t)
	way := secured{node: s.node}
	args := append(way.args("--scan-directories", "--decompress-never"), writeFiles(t, files))
	dimsetest.Run(t, "dcmsend", args...)
	for _, f := range files {
		o := object(t, f)
		found := s.archive.instances(dicom.Ref{Instance: o.Instance})
		if len(found) != 1 || o.Syntax == jpegBaseline && found[0].syntax != o.Syntax {
			t.Errorf("%v: %d instances", o.Syntax, len(found))
		}
	}
}

const jpegBaseline dicom.UID = "1.2.840.10008.1.2.4.50"

func TestDCMTKFinds(t *testing.T) {
	bothWays(t, func(t *testing.T, s *site, way secured) {
		objects := s.fill(samples(t)...)
		study := s.archive.instances(dicom.Ref{Instance: objects[0].Instance})[0].ref.Study
		for _, c := range []struct {
			args []string
			want int
		}{
			{[]string{"-P", "-k", "QueryRetrieveLevel=PATIENT", "-k", "PatientID", "-k", "PatientName=*"}, 1},
			{[]string{"-S", "-k", "QueryRetrieveLevel=STUDY", "-k", "StudyInstanceUID", "-k", "StudyDescription=for*"}, 1},
			{[]string{"-S", "-k", "QueryRetrieveLevel=STUDY", "-k", "StudyInstanceUID", "-k", "StudyDate=19000101-19000102"}, 0},
			{[]string{"-S", "-k", "QueryRetrieveLevel=SERIES", "-k", "SeriesInstanceUID", "-k", "Modality=CT", "-k", "StudyInstanceUID=" + string(study)}, 1},
			{[]string{"-S", "-xi", "-k", "QueryRetrieveLevel=SERIES", "-k", "SeriesInstanceUID", "-k", "StudyInstanceUID=" + string(study)}, 3},
			{[]string{"-S", "-xd", "-k", "QueryRetrieveLevel=SERIES", "-k", "SeriesInstanceUID", "-k", "StudyInstanceUID=" + string(study)}, 3},
		} {
			dir := t.TempDir()
			dimsetest.Run(t, "findscu", way.args(append(c.args, "-X", "-od", dir)...)...)
			matches, err := filepath.Glob(filepath.Join(dir, "rsp*.dcm"))
			if err != nil || len(matches) != c.want {
				t.Errorf("%v: %d matches, want %d, %v", c.args, len(matches), c.want, err)
			}
		}
	})
}

func TestDCMTKCancelsItsQuery(t *testing.T) {
	stopped := make(chan struct{})
	s := open(t, func(c *ServerConfig) { c.Archive = endless{c.Archive, stopped} })
	way := secured{node: s.node}
	dimsetest.Run(t, "findscu", way.args("-S", "--cancel", "5", "-k", "QueryRetrieveLevel=STUDY", "-k", "StudyInstanceUID")...)
	<-stopped
}

func TestDCMTKMovesToItself(t *testing.T) {
	s := open(t)
	objects := s.fill(samples(t)[:4]...)
	port, dir := dimsetest.FreePort(t), t.TempDir()
	s.knows(Node{AETitle: "TESTER", Host: "127.0.0.1", Port: port})
	way := secured{node: s.node}
	study := s.archive.instances(dicom.Ref{Instance: objects[0].Instance})[0].ref.Study
	out := dimsetest.Run(t, "movescu", way.args("-S", "-aem", "TESTER", "+P", strconv.Itoa(port), "-od", dir, "-v",
		"-k", "QueryRetrieveLevel=STUDY", "-k", "StudyInstanceUID="+string(study))...)
	checkReceived(t, s, dir, objects, out)
}

func TestDCMTKGets(t *testing.T) {
	s := open(t)
	objects := s.fill(samples(t)[:4]...)
	way := secured{node: s.node}
	study := s.archive.instances(dicom.Ref{Instance: objects[0].Instance})[0].ref.Study
	for _, flags := range [][]string{{"-xe"}, {"-xi"}, {"-xb"}, {"-xd"}} {
		dir := t.TempDir()
		out := dimsetest.Run(t, "getscu", way.args(append(flags, "-S", "-od", dir, "+B", "-v",
			"-k", "QueryRetrieveLevel=STUDY", "-k", "StudyInstanceUID="+string(study))...)...)
		checkReceived(t, s, dir, objects, out)
	}
}

// checkReceived compares files that a peer has written with what the site has.
func checkReceived(t *testing.T, s *site, dir string, want []Object, out string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	var got memArchive
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		in, err := archive.ReadIncoming(f)
		if err == nil {
			_, err = got.Store(t.Context(), in, "")
		}
		_ = f.Close()
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, o := range want {
		sameInstances(t, s.archive, &got, o)
	}
	if t.Failed() {
		t.Logf("the peer printed:\n%s", out)
	}
}

func TestDCMTKReceivesAMove(t *testing.T) {
	bothWays(t, func(t *testing.T, s *site, way secured) {
		objects := s.fill(samples(t)...)
		for _, c := range []struct {
			flags []string
			want  []Object
		}{
			{[]string{"+xa"}, objects},
			{[]string{"+xe"}, objects[:4]},
			{[]string{"+xi"}, objects[:4]}, // implicit VR little endian and nothing else: re-encoded
		} {
			flags := c.flags
			if way.pki != nil {
				flags = append(flags, way.pki.SCPArgs()...)
			}
			peer := dimsetest.StoreSCP(t, "DEST", flags...)
			s.knows(Node{AETitle: "DEST", Host: "127.0.0.1", Port: peer.Port, TLS: clientTLS(t, way.pki)})
			got, err := s.dial(OfferMove(StudyRoot)).Move(t.Context(), StudyRoot, studyOf(s, objects[0]), "DEST", nil)
			if err != nil || int(got.Completed) != len(c.want) || int(got.Counts.Failed) != len(objects)-len(c.want) {
				t.Fatalf("%v: %+v, %v", c.flags, got, err)
			}
			checkReceived(t, s, peer.Dir, c.want, peer.Log())
		}
	})
}

func TestClientUsesDCMTKsArchive(t *testing.T) {
	s := open(t)
	objects := s.fill(samples(t)[:4]...)
	peer := dimsetest.QueryRetrieveSCP(t, "DCMQR", map[string]int{"PHAROS": s.node.Port})
	node := Node{AETitle: "DCMQR", Host: "127.0.0.1", Port: peer.Port}
	exerciseClient(t, s, node, objects)
}

// exerciseClient echoes, stores into, queries, moves and gets from an archive of others
// that knows the site as PHAROS.
func exerciseClient(t *testing.T, s *site, node Node, objects []Object) {
	t.Helper()
	study := studyOf(s, objects[0])
	offers := append(offersFor(objects...), OfferEcho(), OfferFind(StudyRoot), OfferMove(StudyRoot), OfferFind(PatientRoot))
	c, err := Dial(t.Context(), node, ClientConfig{AETitle: "PHAROS", Limits: silent}, offers...)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if err := c.Echo(t.Context()); err != nil {
		t.Fatal(err)
	}
	original := &memArchive{stored: s.archive.instances(dicom.Ref{})}
	for _, o := range objects {
		if status, err := c.Store(t.Context(), o); err != nil || status != Success {
			t.Fatalf("store: %v, %v", status, err)
		}
	}
	if matches := found(t, c, StudyRoot, study); len(matches) != 1 {
		t.Errorf("%d studies", len(matches))
	}
	if matches := found(t, c, PatientRoot, keys(archive.PatientLevel, dict.PatientID, "", dict.PatientName, "*")); len(matches) != 1 {
		t.Errorf("%d patients", len(matches))
	}
	s.archive.empty()
	moved, err := c.Move(t.Context(), StudyRoot, study, "PHAROS", nil)
	if err != nil || int(moved.Completed) != len(objects) {
		t.Errorf("move: %+v, %v", moved, err)
	}
	for _, o := range objects {
		sameInstances(t, original, s.archive, o)
	}
	if err := c.Release(t.Context()); err != nil {
		t.Error(err)
	}
	getFrom(t, node, study, original, objects)
}

// getFrom retrieves by C-GET and compares.
func getFrom(t *testing.T, node Node, study *dicom.Dataset, original *memArchive, objects []Object) {
	t.Helper()
	offers := OfferGet(StudyRoot, []dicom.UID{dict.CTImageStorage, dict.MRImageStorage})
	c, err := Dial(t.Context(), node, ClientConfig{AETitle: "PHAROS", Limits: silent}, offers...)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	var to memArchive
	got, err := c.Get(t.Context(), StudyRoot, study, gotten(&to), nil)
	if err != nil || int(got.Completed) != len(objects) {
		t.Errorf("get: %+v, %v", got, err)
	}
	for _, o := range objects {
		sameInstances(t, original, &to, o)
	}
	if err := c.Release(context.Background()); err != nil {
		t.Error(err)
	}
}

func TestClientUsesOrthanc(t *testing.T) {
	s := open(t)
	objects := s.fill(samples(t)[:4]...)
	peer := dimsetest.Orthanc(t, "ORTHANC", map[string]int{"PHAROS": s.node.Port}, nil)
	exerciseClient(t, s, Node{AETitle: "ORTHANC", Host: "127.0.0.1", Port: peer.Port}, objects)
}

func TestOrthancUsesTheServer(t *testing.T) {
	s := open(t)
	peer := dimsetest.Orthanc(t, "ORTHANC", map[string]int{"PHAROS": s.node.Port}, nil)
	s.knows(Node{AETitle: "ORTHANC", Host: "127.0.0.1", Port: peer.Port})
	peer.Post(t, "/modalities/PHAROS/echo", map[string]any{}, nil)

	files := samples(t)
	var ids []string
	for _, f := range files {
		var stored struct{ ID string }
		peer.Post(t, "/instances", f, &stored)
		ids = append(ids, stored.ID)
	}
	var sent struct{ FailedInstancesCount int }
	peer.Post(t, "/modalities/PHAROS/store", map[string]any{"Resources": ids, "Synchronous": true, "StorageCommitment": false}, &sent)
	if n := len(s.archive.instances(dicom.Ref{})); n != len(files) || sent.FailedInstancesCount != 0 {
		t.Fatalf("%d of %d instances arrived, %d failed", n, len(files), sent.FailedInstancesCount)
	}

	var query struct{ ID string }
	peer.Post(t, "/modalities/PHAROS/query", map[string]any{"Level": "Study", "Query": map[string]string{"StudyDescription": "for*"}}, &query)
	var answers []string
	peer.Get(t, "/queries/"+query.ID+"/answers", &answers)
	if len(answers) != 1 {
		t.Fatalf("%d answers", len(answers))
	}
	for _, id := range ids {
		peer.Delete(t, "/instances/"+id)
	}
	peer.Post(t, "/queries/"+query.ID+"/answers/0/retrieve", map[string]any{"TargetAet": "ORTHANC", "Synchronous": true}, nil)
	var back []string
	peer.Get(t, "/instances", &back)
	if len(back) != len(files) {
		t.Errorf("%d of %d instances came back", len(back), len(files))
	}
}
