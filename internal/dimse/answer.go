package dimse

import (
	"pharos/internal/dicom"
	"pharos/internal/dicom/dict"
)

// utf8 is what an answer is written in when the asker's character set can't express it.
const utf8 = "ISO_IR 192"

// answer makes the identifier of a C-FIND response from a match (PS3.4 §C.4.1.1.3.2):
// the keys of the request, those that the archive has no value for being empty, and the
// unique keys down to the level of the query.
func (id *identifier) answer(match *dicom.Dataset, aet string) *dicom.Dataset {
	d := id.answerIn(match, id.request.Texts(dict.SpecificCharacterSet))
	d.SetText(dict.QueryRetrieveLevel, dict.CS, id.level.String())
	d.SetText(dict.RetrieveAETitle, dict.AE, aet)
	d.SetText(dict.InstanceAvailability, dict.CS, "ONLINE")
	return d
}

// answerIn writes the answer in the character sets of the request, or in UTF-8 when
// those lack a character.
func (id *identifier) answerIn(match *dicom.Dataset, terms []string) *dicom.Dataset {
	charset, ok := dicom.ParseCharset(terms)
	if !ok || !expressible(charset, match) {
		terms = []string{utf8}
	}
	d := dicom.NewDataset()
	if len(terms) > 0 {
		d.SetText(dict.SpecificCharacterSet, dict.CS, terms...)
	}
	pick(d, match, id.request)
	for _, l := range id.model {
		if tag := uniqueKeys[l]; l <= id.level && !d.Has(tag) && match.Has(tag) {
			put(d, match, match.Get(tag))
		}
	}
	return d
}

// pick puts into d what wanted asks for of a match, empty where the match has nothing.
func pick(d, match, wanted *dicom.Dataset) {
	for key := range wanted.All() {
		if describing(key.Tag) {
			continue
		}
		found := match.Get(key.Tag)
		switch {
		case found == nil || found.Empty():
			d.Put(&dicom.Element{Tag: key.Tag, VR: keyVR(key)})
		case len(found.Items) > 0 && len(key.Items) == 1 && key.Items[0].Len() > 0:
			pickItems(d, key.Tag, found.Items, key.Items[0])
		default:
			put(d, match, found)
		}
	}
}

// pickItems picks the same keys from each item of a sequence.
func pickItems(d *dicom.Dataset, tag dicom.Tag, items []*dicom.Dataset, wanted *dicom.Dataset) {
	for i, picked := range emptyItems(d, tag, len(items)) {
		pick(picked, items[i], wanted)
	}
}

// emptyItems puts a sequence of empty items into d, so that what is put into them is
// encoded in d's character set.
func emptyItems(d *dicom.Dataset, tag dicom.Tag, n int) []*dicom.Dataset {
	items := make([]*dicom.Dataset, n)
	for i := range items {
		items[i] = dicom.NewDataset()
	}
	d.SetItems(tag, items...)
	return items
}

// put copies an element into d, in d's character set.
func put(d, from *dicom.Dataset, e *dicom.Element) {
	switch {
	case e.VR.Text():
		d.SetText(e.Tag, e.VR, from.Texts(e.Tag)...)
	case len(e.Items) > 0:
		for i, item := range emptyItems(d, e.Tag, len(e.Items)) {
			for inner := range e.Items[i].All() {
				put(item, e.Items[i], inner)
			}
		}
	default:
		d.Put(&dicom.Element{Tag: e.Tag, VR: e.VR, Value: e.Value})
	}
}

// expressible reports whether the character set has every character of the match.
func expressible(c *dicom.Charset, match *dicom.Dataset) bool {
	for e := range match.All() {
		for _, item := range e.Items {
			if !expressible(c, item) {
				return false
			}
		}
		if !e.VR.Text() || ascii(e.Value) {
			continue
		}
		for _, text := range match.Texts(e.Tag) {
			if _, ok := c.Encode(text, e.VR); !ok {
				return false
			}
		}
	}
	return true
}

// ascii reports whether the bytes mean the same in every character set: they are ASCII
// and no escape sequence is among them.
func ascii(b []byte) bool {
	for _, c := range b {
		if c >= 0x80 || c == 0x1B {
			return false
		}
	}
	return true
}
