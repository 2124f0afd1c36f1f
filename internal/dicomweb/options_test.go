package dicomweb

import (
	"encoding/json"
	"encoding/xml"
	"testing"
)

func TestCapabilitiesNameEveryResource(t *testing.T) {
	s := newSite(t)
	for _, path := range []string{"", "/"} {
		got := s.get(path, "Accept: application/vnd.sun.wadl+xml").wants(t, 200)
		var wadl struct {
			Resources struct {
				Base     string `xml:"base,attr"`
				Resource []struct {
					Path string `xml:"path,attr"`
				} `xml:"resource"`
			} `xml:"resources"`
		}
		if err := xml.Unmarshal(got.body, &wadl); err != nil {
			t.Fatal(err)
		}
		if wadl.Resources.Base != "https://pacs.example.org/dicom-web/" || len(wadl.Resources.Resource) != len(resources()) {
			t.Errorf("%+v", wadl)
		}
	}
	var described struct{ Resources []resource }
	if err := json.Unmarshal(s.get("", "Accept: application/json").wants(t, 200).body, &described); err != nil || len(described.Resources) != len(resources()) {
		t.Errorf("%v", err)
	}
	s.do("OPTIONS", "", nil, "Accept: application/json").wants(t, 200)
	s.get("", "Accept: image/png").wants(t, 406)
}

func TestOptionsTellMethods(t *testing.T) {
	s := newSite(t)
	for path, want := range map[string]string{
		"/studies":           "GET, HEAD, POST, OPTIONS",
		"/studies/1.2.3":     "GET, HEAD, POST, DELETE, OPTIONS",
		instancePath:         "GET, HEAD, DELETE, OPTIONS",
		"/studies/1/nothing": "",
	} {
		got := s.do("OPTIONS", path, nil).wants(t, 204, 404)
		if allow := got.Header.Get("Allow"); allow != want {
			t.Errorf("%s: Allow %q, want %q", path, allow, want)
		}
	}
	if got := s.do("PUT", "/studies", nil).wants(t, 405); got.Header.Get("Allow") == "" {
		t.Error("405 without Allow")
	}
}

func TestCrossOriginRequests(t *testing.T) {
	const viewer = "https://viewer.example.org"
	for _, c := range []struct {
		origins        []string
		origin, answer string
		credentials    string
	}{
		{nil, viewer, "", ""},
		{[]string{viewer}, viewer, viewer, "true"},
		{[]string{viewer}, "https://evil.example", "", ""},
		{[]string{"*"}, viewer, "*", ""},
		{[]string{viewer}, "", "", ""},
	} {
		s := newSite(t, func(cfg *Config) { cfg.Origins = c.origins })
		got := s.do("OPTIONS", "/studies", nil, "Origin: "+c.origin, "Access-Control-Request-Method: POST").wants(t, 204)
		if h := got.Header; h.Get("Access-Control-Allow-Origin") != c.answer || h.Get("Access-Control-Allow-Credentials") != c.credentials {
			t.Errorf("%v: %v", c, h)
		}
		if methods := got.Header.Get("Access-Control-Allow-Methods"); (methods != "") != (c.answer != "") {
			t.Errorf("%v: methods %q", c, methods)
		}
		if got := s.get("/studies", "Origin: "+c.origin).wants(t, 200); got.Header.Get("Access-Control-Allow-Origin") != c.answer {
			t.Errorf("%v: %v", c, got.Header)
		}
	}
}
