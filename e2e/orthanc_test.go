package e2e

import (
	"bytes"
	"fmt"
	"os"
	"testing"
	"time"

	"pharos/internal/dimse/dimsetest"
)

// plugin is Orthanc's DICOMweb, where Debian has it.
const plugin = "/usr/share/orthanc/plugins/libOrthancDicomWeb.so"

// pair is an archive and an Orthanc that know each other by DIMSE and DICOMweb.
type pair struct {
	*site
	orthanc *dimsetest.OrthancPeer
	ids     []string // what Orthanc calls its instances
	files   [][]byte
}

// newPair starts both and puts synthetic instances into Orthanc.
func newPair(t *testing.T) *pair {
	t.Helper()
	need(t, "Orthanc")
	if _, err := os.Stat(plugin); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	dicom, web := dimsetest.FreePort(t), dimsetest.FreePort(t)
	p := &pair{site: newSite(t, options{http: web, dicom: dicom})}
	p.orthanc = dimsetest.Orthanc(t, orthancAET, map[string]int{archiveAET: dicom}, map[string]any{
		"Plugins": []string{plugin},
		"DicomWeb": map[string]any{
			"Enable": true, "Root": "/dicom-web/",
			"Servers": map[string]any{"pharos": map[string]any{
				"Url": fmt.Sprintf("http://127.0.0.1:%d/dicom-web/", web), "HasDelete": true, "ChunkedTransfers": true,
				"HttpHeaders": map[string]string{"Authorization": "Bearer " + p.token},
			}},
		},
	})
	p.configure(options{http: web, dicom: dicom, nodes: nodeOf(&p.orthanc.Peer, "")})
	p.start()
	p.files = synthetic(t)[:8] // among them nothing deflated, which this Orthanc does not take
	for _, f := range p.files {
		var stored struct{ ID string }
		p.orthanc.Post(t, "/instances", f, &stored)
		p.ids = append(p.ids, stored.ID)
	}
	return p
}

// empty deletes Orthanc's instances.
func (p *pair) empty(t *testing.T) {
	t.Helper()
	var ids []string
	p.orthanc.Get(t, "/instances", &ids)
	for _, id := range ids {
		p.orthanc.Delete(t, "/instances/"+id)
	}
}

// wantAll checks what Orthanc has: as many instances, and of those not re-encoded by
// Orthanc itself the same bytes.
func (p *pair) wantAll(t *testing.T, what string) {
	t.Helper()
	var ids []string
	p.orthanc.Get(t, "/instances", &ids)
	if len(ids) != len(p.files) {
		t.Errorf("%s: Orthanc has %d of %d instances", what, len(ids), len(p.files))
	}
}

// TestOrthancAsModality lets Orthanc echo, store, ask for commitment, query and
// retrieve over DIMSE.
func TestOrthancAsModality(t *testing.T) {
	p := newPair(t)
	p.orthanc.Post(t, "/modalities/PHAROS/echo", map[string]any{}, nil)

	var sent struct{ InstancesCount, FailedInstancesCount int }
	p.orthanc.Post(t, "/modalities/PHAROS/store", map[string]any{"Resources": p.ids, "Synchronous": true}, &sent)
	if n := len(p.query("/instances?limit=1000")); n != len(p.files) || sent.FailedInstancesCount != 0 {
		t.Fatalf("C-STORE: %d of %d instances arrived, %d failed", n, len(p.files), sent.FailedInstancesCount)
	}
	p.commits(t)

	for _, c := range []struct {
		level string
		query map[string]string
		want  int
	}{
		{"Patient", map[string]string{"PatientID": "PH-0001"}, 1},
		{"Study", map[string]string{"PatientName": "*"}, len(p.files)},
		{"Study", map[string]string{"PatientID": "PH-0002"}, 1},
		{"Series", map[string]string{"Modality": "CT", "StudyInstanceUID": slice(t, "e2e", 1, 1, 64).study}, 1},
	} {
		var query struct{ ID string }
		p.orthanc.Post(t, "/modalities/PHAROS/query", map[string]any{"Level": c.level, "Query": c.query}, &query)
		var answers []string
		p.orthanc.Get(t, "/queries/"+query.ID+"/answers", &answers)
		if len(answers) != c.want {
			t.Errorf("C-FIND %s %v: %d answers, want %d", c.level, c.query, len(answers), c.want)
		}
		if c.level == "Study" && c.want == len(p.files) {
			p.empty(t)
			for i := range answers {
				p.orthanc.Post(t, fmt.Sprintf("/queries/%s/answers/%d/retrieve", query.ID, i),
					map[string]any{"TargetAet": orthancAET, "Synchronous": true}, nil)
			}
			p.wantAll(t, "C-MOVE")
		}
	}
	p.alive()
}

// commits asks for storage commitment of what is there and of what is not.
func (p *pair) commits(t *testing.T) {
	t.Helper()
	there := p.query("/instances?limit=1")[0]
	var asked struct{ ID string }
	p.orthanc.Post(t, "/modalities/PHAROS/storage-commitment", map[string]any{"DicomInstances": []map[string]string{
		{"SOPClassUID": there.text("00080016"), "SOPInstanceUID": there.text("00080018")},
		{"SOPClassUID": ctImageStorage, "SOPInstanceUID": "1.2.3.4.5"},
	}}, &asked)
	var report struct {
		Status   string
		Success  []struct{ SOPInstanceUID string }
		Failures []struct {
			SOPInstanceUID string
			FailureReason  int
		}
	}
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		p.orthanc.Get(t, "/storage-commitment/"+asked.ID, &report)
		if report.Status != "Pending" {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("no report of storage commitment came")
		}
	}
	if report.Status != "Failure" || len(report.Success) != 1 || report.Success[0].SOPInstanceUID != there.text("00080018") ||
		len(report.Failures) != 1 || report.Failures[0].FailureReason != 0x0112 {
		t.Errorf("storage commitment: %+v", report)
	}
}

// TestOrthancAsDICOMwebClient lets Orthanc's plugin store, query, retrieve and delete.
func TestOrthancAsDICOMwebClient(t *testing.T) {
	p := newPair(t)
	var servers []string
	p.orthanc.Get(t, "/dicom-web/servers", &servers)
	if len(servers) != 1 {
		t.Fatalf("servers: %v", servers)
	}
	var job struct {
		ID             string
		InstancesCount string
		RecoveredHTTP  any
	}
	p.orthanc.Post(t, "/dicom-web/servers/pharos/stow", map[string]any{"Resources": p.ids, "Synchronous": true}, &job)
	if n := len(p.query("/instances?limit=1000")); n != len(p.files) {
		t.Fatalf("STOW: %d of %d instances arrived: %+v", n, len(p.files), job)
	}
	for _, f := range p.files {
		instance := metaText(f, 0x03)
		at := p.query("/instances?SOPInstanceUID=" + instance)
		if len(at) != 1 {
			t.Errorf("%s: %d instances", instance, len(at))
			continue
		}
		parts := p.retrieve("/dicom-web/studies/" + at[0].text("0020000D") + "/series/" + at[0].text("0020000E") + "/instances/" + instance)
		if len(parts) != 1 || !bytes.Equal(datasetOf(t, parts[0]), datasetOf(t, f)) {
			t.Errorf("%s: other bytes than Orthanc sent", instance)
		}
	}

	studies := p.qidoByPlugin(t, "/studies", map[string]string{"PatientName": "*"}, len(p.files))
	p.qidoByPlugin(t, "/studies", map[string]string{"PatientID": "PH-0003"}, 1)
	p.qidoByPlugin(t, "/series", map[string]string{"Modality": "MR"}, 2)
	p.qidoByPlugin(t, "/instances", map[string]string{"SOPInstanceUID": metaText(p.files[0], 0x03)}, 1)

	p.empty(t)
	var resources []map[string]string
	for _, study := range studies {
		resources = append(resources, map[string]string{"Study": study})
	}
	p.orthanc.Post(t, "/dicom-web/servers/pharos/retrieve", map[string]any{"Resources": resources, "Synchronous": true}, nil)
	p.wantAll(t, "WADO-RS")

	var metadata []map[string]any
	p.orthanc.Post(t, "/dicom-web/servers/pharos/get", map[string]any{
		"Uri": "/studies/" + studies[0] + "/metadata", "HttpHeaders": map[string]string{"Accept": "application/dicom+json"},
	}, &metadata)
	if len(metadata) != 1 {
		t.Errorf("metadata of %d instances, want 1", len(metadata))
	}
	p.orthanc.Post(t, "/dicom-web/servers/pharos/delete", map[string]any{"Level": "Study", "StudyInstanceUID": studies[0]}, nil)
	if n := len(p.query("/studies?StudyInstanceUID=" + studies[0])); n != 0 {
		t.Errorf("the study was not deleted")
	}
	p.alive()
}

// qidoByPlugin queries through Orthanc and returns the Study Instance UIDs.
func (p *pair) qidoByPlugin(t *testing.T, uri string, arguments map[string]string, want int) []string {
	t.Helper()
	var found []map[string]struct{ Value any }
	p.orthanc.Post(t, "/dicom-web/servers/pharos/qido", map[string]any{"Uri": uri, "Arguments": arguments}, &found)
	if len(found) != want {
		t.Errorf("QIDO %s %v: %d results, want %d", uri, arguments, len(found), want)
	}
	var studies []string
	for _, o := range found {
		if uid, ok := o["0020000D"].Value.(string); ok {
			studies = append(studies, uid)
		}
	}
	return studies
}
