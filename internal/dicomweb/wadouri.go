package dicomweb

import (
	"net/http"
	"net/url"
	"strings"

	"pharos/internal/archive"
	"pharos/internal/dicom"
	"pharos/internal/pixeldata"
)

// wadoURI answers a request of the URI service (PS3.18 §9): everything is said by query
// parameters, and one instance or one picture of it is the answer.
func (s *server) wadoURI(w *reply, r *http.Request) error {
	q, err := parseQuery(r)
	if err != nil {
		return err
	}
	ref, err := wadoRef(q)
	if err != nil {
		return err
	}
	l, err := s.list(r.Context(), ref)
	if err != nil {
		return err
	}
	inst := l.known[0]
	kind, err := wadoType(q, r, inst)
	if err != nil {
		return err
	}
	w.Header().Add("Vary", "Accept")
	if kind == typeDICOM {
		return s.wadoFile(w, r, q, inst)
	}
	return s.wadoPicture(w, r, q, inst, kind)
}

// wadoRef reads what identifies the instance.
func wadoRef(q url.Values) (dicom.Ref, error) {
	if q.Get("requestType") != "WADO" {
		return dicom.Ref{}, badRequest("requestType must be WADO")
	}
	ref := dicom.Ref{Study: dicom.UID(q.Get("studyUID")), Series: dicom.UID(q.Get("seriesUID")), Instance: dicom.UID(q.Get("objectUID"))}
	for _, p := range [...]struct {
		name string
		uid  dicom.UID
	}{{"studyUID", ref.Study}, {"seriesUID", ref.Series}, {"objectUID", ref.Instance}} {
		if len(q[p.name]) > 1 || !p.uid.Valid() {
			return dicom.Ref{}, badRequest(p.name + " must be given once and be a UID")
		}
	}
	return ref, nil
}

// wadoType is the media type to answer with: by contentType, else by the Accept header,
// else a picture of what has frames and the file of what has none (PS3.18 §9.4.1.1).
func wadoType(q url.Values, r *http.Request, inst archive.Instance) (string, error) {
	fields := q["contentType"]
	if len(fields) == 0 {
		fields = r.Header.Values("Accept")
	}
	ranges, err := parseAccept(fields)
	if err != nil {
		return "", err
	}
	kinds := append([]string{typeDICOM}, pictureTypes[:]...)
	if inst.Frames() > 0 {
		kinds = append(append([]string{}, pictureTypes[:]...), typeDICOM)
	}
	for _, m := range ranges {
		for _, kind := range kinds {
			if m.takes(kind) {
				return kind, nil
			}
		}
	}
	return "", notAcceptable("the object can be had as application/dicom, image/jpeg, image/png or image/gif")
}

// wadoFile answers with the instance. Without transferSyntax it is in explicit VR little
// endian if that is possible, and as stored otherwise.
func (s *server) wadoFile(w *reply, r *http.Request, q url.Values, inst archive.Instance) error {
	if q.Get("anonymize") != "" {
		return notAcceptable("this server does not anonymize on retrieval")
	}
	c := instanceChoice{form: asSingle, syntaxes: []dicom.UID{dicom.ExplicitVRLittleEndian, anySyntax}}
	if wanted := q.Get("transferSyntax"); wanted != "" {
		c.syntaxes = []dicom.UID{dicom.UID(wanted)}
	}
	return s.sendInstance(w, r, inst, c)
}

// wadoPicture answers with a rendered frame.
func (s *server) wadoPicture(w *reply, r *http.Request, q url.Values, inst archive.Instance, kind string) error {
	params, frame, err := parseWadoPicture(q, s.limits)
	if err != nil {
		return err
	}
	if inst.Frames() == 0 {
		return notAcceptable("the object has no frames; it can be had as application/dicom")
	}
	if err := checkFrames(inst, []int{frame}); err != nil {
		return err
	}
	if w.unchanged(r, etagOf(kind+r.URL.RequestURI(), inst)) {
		return nil
	}
	return s.sendPicture(w, r, picture{inst, frame}, kind, params)
}

// parseWadoPicture reads the parameters of PS3.18 §9.4.1.2 and §9.5.
func parseWadoPicture(q url.Values, limits Limits) (renderParams, int, error) {
	p := renderParams{quality: defaultQuality, view: pixeldata.View{MaxPixels: limits.Pixels}}
	frame := 1
	for name, values := range q {
		if len(values) != 1 {
			return p, 0, badRequest("a parameter is given more than once")
		}
		v, err := values[0], error(nil)
		switch name {
		case "frameNumber":
			n, ok := digits(v)
			if !ok || n == 0 {
				err = badRequest("frameNumber must be a number from 1")
			}
			frame = int(n)
		case "imageQuality":
			p.quality, err = parseQualityPercent(v)
		case "rows":
			p.view.Height, err = wadoSide(name, v)
		case "columns":
			p.view.Width, err = wadoSide(name, v)
		case "windowCenter":
			p.view.Window, err = newWindow(v, q.Get("windowWidth"), pixeldata.Linear)
		case "windowWidth":
			if !q.Has("windowCenter") {
				err = badRequest("windowWidth needs windowCenter")
			}
		case "region":
			p.view.Region, err = parseRegion(v)
		case "requestType", "studyUID", "seriesUID", "objectUID", "contentType", "charset", "annotation", "transferSyntax":
		default:
			err = badRequest("parameter " + printable(name) + " is not one of the URI service, or not supported")
		}
		if err != nil {
			return p, 0, err
		}
	}
	if p.view.Width*p.view.Height > limits.Pixels {
		return p, 0, badRequest("rows and columns ask for too large a picture")
	}
	return p, frame, nil
}

func wadoSide(name, v string) (int, error) {
	n, ok := digits(v)
	if !ok || n < 1 || n > maxSide {
		return 0, badRequest(name + " must be a number of pixels")
	}
	return int(n), nil
}

// parseRegion reads "xmin,ymin,xmax,ymax" as fractions of the image (PS3.18 §9.5.2).
func parseRegion(text string) (n [4]float64, err error) {
	parts := strings.Split(text, ",")
	if len(parts) != 4 {
		return n, badRequest("region must be four numbers with commas between them")
	}
	for i, p := range parts {
		f, ok := finite(p)
		if !ok || f < 0 || f > 1 {
			return n, badRequest("region must be numbers from 0 to 1")
		}
		n[i] = f
	}
	if n[0] >= n[2] || n[1] >= n[3] {
		return n, badRequest("region must not be empty")
	}
	return n, nil
}
