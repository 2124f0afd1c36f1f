package dimsetest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"testing"
)

// OrthancPeer is a running Orthanc.
type OrthancPeer struct {
	Peer
	url string
}

// Orthanc starts an Orthanc that knows the given nodes on 127.0.0.1 under their AE
// titles, and accepts everything from everyone. Extra settings override its
// configuration.
func Orthanc(t testing.TB, aet string, known map[string]int, extra map[string]any) *OrthancPeer {
	t.Helper()
	web := FreePort(t)
	o := &OrthancPeer{
		Peer: Peer{AETitle: aet, Port: FreePort(t), Dir: t.TempDir(), log: &output{}},
		url:  fmt.Sprintf("http://127.0.0.1:%d", web),
	}
	nodes := map[string]any{}
	for title, port := range known {
		nodes[title] = map[string]any{"AET": title, "Host": "127.0.0.1", "Port": port, "AllowStorageCommitment": true}
	}
	config := map[string]any{
		"DicomAet": aet, "DicomPort": o.Port, "HttpPort": web, "Plugins": []string{},
		"StorageDirectory": o.Dir, "IndexDirectory": o.Dir, "RemoteAccessAllowed": false,
		"AuthenticationEnabled": false, "DicomModalities": nodes,
		"DicomAlwaysAllowEcho": true, "DicomAlwaysAllowStore": true, "DicomAlwaysAllowFind": true,
		"DicomAlwaysAllowMove": true, "DicomAlwaysAllowGet": true, "DicomCheckCalledAet": false,
	}
	for k, v := range extra {
		config[k] = v
	}
	encoded, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(o.Dir, "orthanc.json")
	if err := os.WriteFile(file, encoded, 0o600); err != nil {
		t.Fatal(err)
	}
	start(t, o.Dir, o.log, []int{web, o.Port}, "Orthanc", file)
	return o
}

// Post calls Orthanc's REST API and decodes the answer into result, unless that is nil.
func (o *OrthancPeer) Post(t testing.TB, path string, body any, result any) {
	t.Helper()
	content, ok := body.([]byte)
	if !ok {
		var err error
		if content, err = json.Marshal(body); err != nil {
			t.Fatal(err)
		}
	}
	rsp, err := http.Post(o.url+path, "application/octet-stream", bytes.NewReader(content))
	o.answer(t, path, rsp, err, result)
}

// Get calls Orthanc's REST API and decodes the answer into result.
func (o *OrthancPeer) Get(t testing.TB, path string, result any) {
	t.Helper()
	rsp, err := http.Get(o.url + path)
	o.answer(t, path, rsp, err, result)
}

// Delete deletes a resource of Orthanc.
func (o *OrthancPeer) Delete(t testing.TB, path string) {
	t.Helper()
	rq, err := http.NewRequestWithContext(t.Context(), http.MethodDelete, o.url+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	rsp, err := http.DefaultClient.Do(rq)
	o.answer(t, path, rsp, err, nil)
}

func (o *OrthancPeer) answer(t testing.TB, path string, rsp *http.Response, err error, result any) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rsp.Body.Close() }()
	body, err := io.ReadAll(rsp.Body)
	if err != nil || rsp.StatusCode != http.StatusOK {
		t.Fatalf("Orthanc %s: %s, %v\n%s", path, rsp.Status, err, body)
	}
	if result == nil {
		return
	}
	if err := json.Unmarshal(body, result); err != nil {
		t.Fatalf("Orthanc %s: %v\n%s", path, err, body)
	}
}
