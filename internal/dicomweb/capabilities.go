package dicomweb

import (
	"encoding/json"
	"encoding/xml"
	"net/http"
	"slices"
	"strings"
)

const typeWADL = "application/vnd.sun.wadl+xml"

// resource is a line of the capabilities description (PS3.18 §8.9, Annex H).
type resource struct {
	Path    string   `json:"path"`
	Methods []method `json:"methods"`
}

type method struct {
	Name     string   `json:"name"`
	ID       string   `json:"id"`
	Query    []string `json:"query,omitempty"`
	Requests []string `json:"accepts,omitempty"`
	Answers  []string `json:"returns,omitempty"`
}

// resources describes what this server can do.
func resources() []resource {
	search := []string{"{attribute}", "includefield", "fuzzymatching", "limit", "offset"}
	render := []string{"annotation", "iccprofile", "quality", "viewport", "window"}
	documents := []string{typeDICOMJSON, typeJSON, typeRelated + `; type="` + typeDICOMXML + `"`}
	files := []string{typeRelated + `; type="` + typeDICOM + `"`, typeZip}
	stores := []string{
		typeRelated + `; type="` + typeDICOM + `"`, typeRelated + `; type="` + typeDICOMJSON + `"`,
		typeRelated + `; type="` + typeDICOMXML + `"`, typeDICOM,
	}
	values := []string{typeRelated + `; type="` + typeOctetStream + `"`, typeOctetStream}

	finds := func(id string) method { return method{Name: "GET", ID: id, Query: search, Answers: documents} }
	stored := func(id string) method {
		return method{Name: "POST", ID: id, Requests: stores, Answers: []string{typeDICOMJSON, typeDICOMXML}}
	}
	list := []resource{
		{"studies", []method{finds("SearchForStudies"), stored("StoreInstances")}},
		{"series", []method{finds("SearchForSeries")}},
		{"instances", []method{finds("SearchForInstances")}},
		{"studies/{study}/series", []method{finds("SearchForStudySeries")}},
		{"studies/{study}/instances", []method{finds("SearchForStudyInstances")}},
		{"studies/{study}/series/{series}/instances", []method{finds("SearchForSeriesInstances")}},
	}
	const instance = "studies/{study}/series/{series}/instances/{instance}"
	for _, level := range []struct{ path, name string }{
		{"studies/{study}", "Study"}, {"studies/{study}/series/{series}", "Series"}, {instance, "Instance"},
	} {
		methods := []method{{Name: "GET", ID: "Retrieve" + level.name, Answers: files}, {Name: "DELETE", ID: "Delete" + level.name}}
		switch level.path {
		case "studies/{study}":
			methods = append(methods, stored("StoreStudyInstances"))
		case instance:
			methods[0].Answers = slices.Concat(files, []string{typeDICOM})
		}
		list = append(list,
			resource{level.path, methods},
			resource{level.path + "/metadata", []method{{Name: "GET", ID: "Retrieve" + level.name + "Metadata", Answers: documents}}},
			resource{level.path + "/rendered", []method{{Name: "GET", ID: "RetrieveRendered" + level.name, Query: render, Answers: pictureTypes[:]}}},
			resource{level.path + "/thumbnail", []method{{Name: "GET", ID: "Retrieve" + level.name + "Thumbnail", Query: render, Answers: pictureTypes[:]}}})
	}
	return append(list,
		resource{instance + "/frames/{frames}", []method{{Name: "GET", ID: "RetrieveFrames", Answers: values}}},
		resource{instance + "/frames/{frames}/rendered", []method{{Name: "GET", ID: "RetrieveRenderedFrames", Query: render, Answers: pictureTypes[:]}}},
		resource{instance + "/frames/{frames}/thumbnail", []method{{Name: "GET", ID: "RetrieveFrameThumbnail", Query: render, Answers: pictureTypes[:]}}},
		resource{instance + "/bulkdata/{path}", []method{{Name: "GET", ID: "RetrieveBulkdata", Answers: values}}})
}

// capabilities answers with the description as WADL or JSON.
func (s *server) capabilities(w *reply, r *http.Request) error {
	ranges, err := accepted(r)
	if err != nil {
		return err
	}
	for _, m := range ranges {
		var contentType string
		var text []byte
		switch {
		case m.takes(typeWADL):
			contentType, text = typeWADL, s.wadl()
		case m.takes(typeJSON), m.takes(typeDICOMJSON):
			contentType = typeJSON
			if text, err = json.Marshal(map[string]any{"base": s.service, "resources": resources()}); err != nil {
				return err
			}
		default:
			continue
		}
		out, finish := w.document(r, contentType, http.StatusOK)
		if !w.head {
			_, err = out.Write(text)
		}
		return finish(err)
	}
	return notAcceptable("the capabilities can be had as " + typeWADL + " or " + typeJSON)
}

// wadl writes the description in the Web Application Description Language.
func (s *server) wadl() []byte {
	var b strings.Builder
	b.WriteString(xml.Header + `<application xmlns="http://wadl.dev.java.net/2009/02"><resources base="` + escaped(s.service+"/") + `">`)
	for _, r := range resources() {
		b.WriteString(`<resource path="` + r.Path + `">`)
		for _, m := range r.Methods {
			b.WriteString(`<method name="` + m.Name + `" id="` + m.ID + `"><request>`)
			for _, q := range m.Query {
				b.WriteString(`<param name="` + q + `" style="query"/>`)
			}
			for _, t := range m.Requests {
				b.WriteString(`<representation mediaType="` + escaped(t) + `"/>`)
			}
			b.WriteString(`</request><response>`)
			for _, t := range m.Answers {
				b.WriteString(`<representation mediaType="` + escaped(t) + `"/>`)
			}
			b.WriteString(`</response></method>`)
		}
		b.WriteString(`</resource>`)
	}
	b.WriteString(`</resources></application>`)
	return []byte(b.String())
}

// escaped makes text fit into an XML attribute.
func escaped(s string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", `"`, "&quot;").Replace(s)
}
