package dicomweb

import (
	"pharos/internal/archive"
	"pharos/internal/dicom"
	"pharos/internal/dicom/dict"
)

// completion adds to results what PS3.18 §10.6.3.3 requires and the index does not keep.
// The elements that it adds are made once for a search: a result is good until the next
// one gets them.
type completion struct {
	server   *server
	search   *searchRequest
	address  dicom.Element
	online   dicom.Element
	required []dicom.Element  // empty ones, ascending by tag
	missing  []*dicom.Element // of these, in the result at hand
}

func (s *server) newCompletion(q *searchRequest) *completion {
	c := &completion{
		server: s, search: q,
		address:  dicom.Element{Tag: dict.RetrieveURL, VR: dict.UR},
		online:   dicom.Element{Tag: dict.InstanceAvailability, VR: dict.CS, Value: []byte("ONLINE")},
		required: make([]dicom.Element, len(q.required)),
	}
	for i, tag := range q.required {
		c.required[i] = dicom.Element{Tag: tag, VR: dict.VROf(tag)}
	}
	return c
}

func (c *completion) add(ds *dicom.Dataset) {
	c.address.Value = c.server.appendAddress(c.address.Value[:0], c.refOf(ds))
	if len(c.address.Value)%2 == 1 {
		c.address.Value = append(c.address.Value, ' ')
	}
	c.find(ds)
	for _, e := range c.missing {
		ds.Put(e)
	}
	ds.Put(&c.online)
	ds.Put(&c.address)
}

// find notes which required elements are missing. Both lists are in order.
func (c *completion) find(ds *dicom.Dataset) {
	c.missing = c.missing[:0]
	i := 0
	for e := range ds.All() {
		for i < len(c.required) && c.required[i].Tag < e.Tag {
			c.missing = append(c.missing, &c.required[i])
			i++
		}
		if i < len(c.required) && c.required[i].Tag == e.Tag {
			i++
		}
	}
	for ; i < len(c.required); i++ {
		c.missing = append(c.missing, &c.required[i])
	}
}

// refOf is what a result is about.
func (c *completion) refOf(ds *dicom.Dataset) dicom.Ref {
	ref := c.search.Ref
	if u := ds.UID(dict.StudyInstanceUID); u != "" {
		ref.Study = u
	}
	if c.search.Level >= archive.SeriesLevel {
		if u := ds.UID(dict.SeriesInstanceUID); u != "" {
			ref.Series = u
		}
	}
	if c.search.Level == archive.InstanceLevel {
		ref.Instance = ds.UID(dict.SOPInstanceUID)
	}
	return ref
}
