package dicomweb

import (
	"context"
	"encoding/xml"
	"fmt"
	"iter"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"pharos/internal/access"
	"pharos/internal/archive"
	"pharos/internal/dicom"
	"pharos/internal/dicom/dicomtest"
	"pharos/internal/dicom/dict"
)

// parse understands the query of a search at a level.
func parse(t testing.TB, level archive.Level, query string) (*searchRequest, error) {
	t.Helper()
	s := New(Config{Keys: archive.NewKeys()}).(*server)
	r := httptest.NewRequest("GET", "/studies", nil)
	r.URL.RawQuery = query
	return s.parseSearch(r, level, dicom.Ref{})
}

func TestSearchParameters(t *testing.T) {
	for _, c := range []struct {
		level archive.Level
		query string
		want  string // conditions
	}{
		{archive.StudyLevel, "PatientName=DOE^J*", "PatientName wildcard [DOE^J*]"},
		{archive.StudyLevel, "00100010=DOE%5EJOHN", "PatientName single [DOE^JOHN]"},
		{archive.StudyLevel, "PatientName=DOE+JOHN", "PatientName single [DOE JOHN]"},
		{archive.StudyLevel, "StudyDate=20200101-20201231", "StudyDate between [20200101 20201231]"},
		{archive.StudyLevel, "StudyDate=20200101-", "StudyDate between [20200101 ]"},
		{archive.StudyLevel, "StudyInstanceUID=1.2,1.3%5C1.4", "StudyInstanceUID list [1.2 1.3 1.4]"},
		{archive.StudyLevel, "StudyInstanceUID=1.2&StudyInstanceUID=1.3", "StudyInstanceUID list [1.2 1.3]"},
		{archive.StudyLevel, "ModalitiesInStudy=CT", "ModalitiesInStudy single [CT]"},
		{archive.StudyLevel, "PatientID=", ""},
		{archive.StudyLevel, "PatientID=*", ""},
		{archive.SeriesLevel, "Modality=CT&PatientID=1", "Modality single [CT]; PatientID single [1]"},
		{archive.SeriesLevel, "RequestAttributesSequence.ScheduledProcedureStepID=S1", "RequestAttributesSequence.ScheduledProcedureStepID single [S1]"},
		{archive.SeriesLevel, "00400275.00400009=S1", "RequestAttributesSequence.ScheduledProcedureStepID single [S1]"},
		{archive.InstanceLevel, "InstanceNumber=7", "InstanceNumber single [7]"},
		{archive.StudyLevel, "limit=7&offset=9&fuzzymatching=true&includefield=all&accept=application/json;a=b", ""},
	} {
		q, err := parse(t, c.level, c.query)
		if err != nil {
			t.Errorf("%s: %v", c.query, err)
			continue
		}
		var got []string
		for _, m := range q.Match {
			kind := [...]string{"universal", "single", "list", "wildcard", "between"}[m.Kind]
			got = append(got, fmt.Sprintf("%s %s %v", nameOf(m.Path), kind, m.Values))
		}
		if text := strings.Join(got, "; "); text != c.want || len(q.unmatched) > 0 {
			t.Errorf("%s: %s, want %s; unmatched %v", c.query, text, c.want, q.unmatched)
		}
	}
}

func TestSearchParametersThatAreRefusedAreNamed(t *testing.T) {
	for query, named := range map[string]string{
		"PatientNaem=x":                        "PatientNaem",
		"patientname=x":                        "patientname",
		"00100011=x":                           "00100011",
		"StudyDate=someday":                    "(0008,0020)",
		"PatientID=1&PatientID=2":              "PatientID",
		"limit=1&limit=2":                      "limit",
		"limit=x":                              "limit",
		"offset=-1":                            "offset",
		"fuzzymatching=perhaps":                "fuzzymatching",
		"includefield=Nonsense":                "Nonsense",
		"RequestAttributesSequence=x":          "(0040,0275)",
		"a.b.c.d.e.f.g.h.i.j=x":                "dots",
		"%3Cscript%3E=x":                       "?script?",
		"RequestAttributesSequence.Nonsense=x": "Nonsense",
	} {
		_, err := parse(t, archive.InstanceLevel, query)
		if status, detail, _ := problemOf(err); err == nil || status != 400 || !strings.Contains(detail, named) {
			t.Errorf("%s: %v, want a 400 that names %s", query, err, named)
		}
	}
}

func TestWhatCanNotBeSearchedIsWarnedOf(t *testing.T) {
	s := newSite(t)
	s.put(ct(t, 1))
	for _, c := range []struct{ path, warning string }{
		{"/studies?SliceThickness=5", "SliceThickness"},
		{"/studies?Modality=XX", "Modality"},
		{"/studies?NumberOfStudyRelatedSeries=7", "NumberOfStudyRelatedSeries"},
		{"/studies?00091001=x", "00091001"},
		{"/studies?includefield=SliceThickness", "SliceThickness"},
		{"/studies?includefield=RetrieveURL,SpecificCharacterSet", ""},
		{"/studies?includefield=StudyDescription", ""},
		{"/studies", ""},
	} {
		got := s.get(c.path).wants(t, 200)
		if n := len(got.json(t)); n != 1 {
			t.Errorf("%s: %d results", c.path, n)
		}
		warning := got.Header.Get("Warning")
		if c.warning == "" && warning != "" || !strings.Contains(warning, c.warning) || c.warning != "" && !strings.HasPrefix(warning, "299 https://pacs.example.org/dicom-web: ") {
			t.Errorf("%s: Warning %q", c.path, warning)
		}
	}
}

func TestServersLimitIsWarnedOf(t *testing.T) {
	s := newSite(t, func(c *Config) { c.Limits.Page, c.Limits.MaxPage = 2, 3 })
	for n := 1; n <= 4; n++ {
		s.put(ct(t, n))
	}
	for path, want := range map[string]struct {
		results int
		warned  bool
	}{
		"/instances": {2, true}, "/instances?offset=2": {2, false}, "/instances?offset=3": {1, false},
		"/instances?limit=3": {3, false}, "/instances?limit=9": {3, true}, "/instances?limit=9&offset=1": {3, false},
		"/instances?limit=1": {1, false},
	} {
		for _, accept := range []string{typeDICOMJSON, `multipart/related; type="application/dicom+xml"`} {
			got := s.get(path, "Accept: "+accept).wants(t, 200)
			n := 0
			if accept == typeDICOMJSON {
				n = len(got.json(t))
			} else {
				n = len(got.parts(t))
			}
			if warned := strings.Contains(got.Header.Get("Warning"), "exceeded the maximum"); n != want.results || warned != want.warned {
				t.Errorf("%s as %s: %d results, warned %v; want %v", path, accept, n, warned, want)
			}
		}
	}
}

func TestResultsHoldWhatTheStandardRequires(t *testing.T) {
	s := newSite(t)
	s.put(ct(t, 1))
	study := []dicom.Tag{
		dict.StudyDate, dict.StudyTime, dict.AccessionNumber, dict.InstanceAvailability, dict.ModalitiesInStudy, dict.ReferringPhysicianName,
		dict.RetrieveURL, dict.PatientName, dict.PatientID, dict.PatientBirthDate, dict.PatientSex, dict.StudyInstanceUID, dict.StudyID,
		dict.NumberOfStudyRelatedSeries, dict.NumberOfStudyRelatedInstances,
	}
	series := []dicom.Tag{dict.Modality, dict.RetrieveURL, dict.SeriesInstanceUID, dict.SeriesNumber, dict.NumberOfSeriesRelatedInstances, dict.StudyInstanceUID}
	instance := []dicom.Tag{
		dict.SOPClassUID, dict.SOPInstanceUID, dict.InstanceAvailability, dict.RetrieveURL, dict.InstanceNumber,
		dict.Rows, dict.Columns, dict.BitsAllocated, dict.StudyInstanceUID, dict.SeriesInstanceUID,
	}
	for path, want := range map[string][]dicom.Tag{
		"/studies": study, "/series": slices.Concat(study, series), "/instances": slices.Concat(study, series, instance),
		"/studies/1.2.3/series": series, "/studies/1.2.3/instances": slices.Concat(series, instance),
		"/studies/1.2.3/series/1.2.3.1/instances": instance,
	} {
		set := s.get(path).wants(t, 200).json(t)[0]
		for _, tag := range want {
			if _, ok := set[tag.Hex()]; !ok {
				t.Errorf("%s: no %s", path, nameOf([]dicom.Tag{tag}))
			}
		}
	}
	set := s.get("/studies").json(t)[0]
	if one(set, dict.ModalitiesInStudy) != "CT" || one(set, dict.NumberOfStudyRelatedInstances) != float64(1) || one(set, dict.InstanceAvailability) != "ONLINE" {
		t.Errorf("%v", set)
	}
}

func TestResultsInEveryForm(t *testing.T) {
	s := newSite(t)
	s.put(ct(t, 1), ct(t, 2, dicomtest.WithUIDs("9.8", "9.8.1", "9.8.1.1")))
	for accept, want := range map[string]string{
		"": typeDICOMJSON, "*/*": typeDICOMJSON, "application/json": typeJSON, "application/dicom+json": typeDICOMJSON,
		"application/*": typeDICOMJSON, "text/html, application/json;q=0.5": typeJSON,
	} {
		var fields []string
		if accept != "" {
			fields = []string{"Accept: " + accept}
		}
		got := s.get("/studies", fields...).wants(t, 200)
		if got.Header.Get("Content-Type") != want || len(got.json(t)) != 2 {
			t.Errorf("Accept %q: %s", accept, got.Header.Get("Content-Type"))
		}
	}
	for _, accept := range []string{`multipart/related; type="application/dicom+xml"`, "multipart/related;type=application/dicom+xml", "application/dicom+xml"} {
		parts := s.get("/studies", "Accept: "+accept).wants(t, 200).parts(t)
		if len(parts) != 2 || parts[0].contentType != typeDICOMXML || xml.Unmarshal(parts[0].body, new(struct{})) != nil {
			t.Errorf("Accept %q: %d parts", accept, len(parts))
		}
	}
	s.get("/studies?PatientID=nobody", `Accept: multipart/related; type="application/dicom+xml"`).wants(t, 204)
	if got := s.get("/studies?PatientID=nobody").wants(t, 200); string(got.body) != "[]" {
		t.Errorf("no results are %s", got.body)
	}
	if got := s.get("/studies?accept=application/json", "Accept: text/html").wants(t, 200); got.Header.Get("Content-Type") != typeJSON {
		t.Errorf("accept as parameter: %s", got.Header.Get("Content-Type"))
	}
}

// broken is an archive whose answers end in an error.
type broken struct {
	archive.Archive
	err   error
	after int
}

func (b broken) Query(_ context.Context, _ archive.Query, _ access.Scope) iter.Seq2[*dicom.Dataset, error] {
	return func(yield func(*dicom.Dataset, error) bool) {
		for range b.after {
			if !yield(dicom.NewDataset(), nil) {
				return
			}
		}
		yield(nil, b.err)
	}
}

func TestErrorsOfTheArchiveAreMapped(t *testing.T) {
	for _, c := range []struct {
		err    error
		status int
		shows  string
	}{
		{access.ErrDenied, 403, "may not"},
		{access.ErrHidden, 404, "no such"},
		{archive.ErrNotFound, 404, "no such"},
		{fmt.Errorf("%w: (0010,0010) is odd", archive.ErrQuery), 400, "(0010,0010)"},
		{fmt.Errorf("disk /secret is on fire"), 500, "log"},
	} {
		for _, after := range []int{0, 3} {
			s := newSite(t, func(cfg *Config) { cfg.Archive = broken{cfg.Archive, c.err, after} })
			got := s.get("/studies").wants(t, c.status)
			if got.Header.Get("Content-Type") != "application/problem+json" || !strings.Contains(string(got.body), c.shows) || strings.Contains(string(got.body), "secret") {
				t.Errorf("%v: %s", c.err, got.body)
			}
		}
	}
}

// FuzzSearch holds the parser of searches to what it promises: no condition is lost.
func FuzzSearch(f *testing.F) {
	for _, q := range []string{
		"PatientName=DOE*&limit=3", "00100020=1&includefield=all", "StudyInstanceUID=1,2%5C3", "RequestAttributesSequence.00400009=x",
		"fuzzymatching=true&StudyDate=2020-", "a=b;c=d", "%", "limit=&offset=", "includefield=,,&accept=x/y;z",
	} {
		f.Add(q)
	}
	f.Fuzz(func(t *testing.T, query string) {
		q, err := parse(t, archive.SeriesLevel, query)
		if err != nil {
			if status, _, known := problemOf(err); !known || status < 400 || status > 499 {
				t.Fatalf("%v", err)
			}
			return
		}
		if q.limit < 0 || q.limit > 5000 || q.Offset < 0 {
			t.Fatalf("limit %d, offset %d", q.limit, q.Offset)
		}
		for _, m := range q.Match {
			if m.Kind == archive.Universal || len(m.Values) == 0 || len(m.Path) == 0 {
				t.Fatalf("condition %+v", m)
			}
		}
		for _, w := range q.warnings() {
			if strings.ContainsAny(w, "\r\n\x00") {
				t.Fatalf("warning %q", w)
			}
		}
	})
}

func TestResultsTellTheirSize(t *testing.T) {
	s := newSite(t)
	s.put(ct(t, 1), ct(t, 2))
	for _, path := range []string{"/studies", "/instances?limit=1", "/studies?PatientID=nobody"} {
		get := s.get(path, "Accept-Encoding: identity").wants(t, 200)
		head := s.do("HEAD", path, nil, "Accept-Encoding: identity").wants(t, 200)
		if n := int64(len(get.body)); get.ContentLength != n || head.ContentLength != n {
			t.Errorf("%s: GET says %d, HEAD %d; %d bytes came", path, get.ContentLength, head.ContentLength, n)
		}
		if packed := s.get(path, "Accept-Encoding: gzip").wants(t, 200); packed.Header.Get("Content-Encoding") != "gzip" {
			t.Errorf("%s is not compressed: %v", path, packed.Header)
		}
	}
}
