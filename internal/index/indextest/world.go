package indextest

import (
	"context"
	"crypto/sha256"
	"fmt"
	"strconv"
	"testing"
	"time"

	"pharos/internal/access"
	"pharos/internal/archive"
	"pharos/internal/blob"
	"pharos/internal/dicom"
	"pharos/internal/dicom/dict"
	"pharos/internal/index"
)

// image describes an instance in few words. Study, series and number become its UIDs.
type image struct {
	study, series, number int
	bytes                 string // what the digest is of; default: its UID
	album                 access.AlbumID
	with                  func(*dicom.Dataset) // sets attributes
}

func studyUID(n int) dicom.UID { return dicom.UID("1.2.826.0.1.77." + strconv.Itoa(n)) }

func (im image) ref() dicom.Ref {
	study := studyUID(im.study)
	series := study + dicom.UID("."+strconv.Itoa(im.series))
	return dicom.Ref{Study: study, Series: series, Instance: series + dicom.UID("."+strconv.Itoa(im.number))}
}

func (im image) seriesRef() dicom.Ref {
	r := im.ref()
	r.Instance = ""
	return r
}

func (im image) studyRef() dicom.Ref { return dicom.Ref{Study: im.ref().Study} }

// received is when images arrive: the database keeps microseconds.
var received = time.Date(2026, 3, 14, 15, 9, 26, 535897000, time.UTC)

// entry makes the entry of an image.
func (im image) entry() index.Entry {
	ref := im.ref()
	d := dicom.NewDataset()
	d.SetText(dict.SpecificCharacterSet, dict.CS, "ISO_IR 192")
	d.SetText(dict.StudyInstanceUID, dict.UI, string(ref.Study))
	d.SetText(dict.SeriesInstanceUID, dict.UI, string(ref.Series))
	d.SetText(dict.SOPInstanceUID, dict.UI, string(ref.Instance))
	d.SetText(dict.SOPClassUID, dict.UI, dict.CTImageStorage)
	d.SetText(dict.Modality, dict.CS, "CT")
	d.SetInts(dict.InstanceNumber, dict.IS, int64(im.number))
	if im.with != nil {
		im.with(d)
	}
	bytes := im.bytes
	if bytes == "" {
		bytes = string(ref.Instance)
	}
	digest := sha256.Sum256([]byte(bytes))
	return index.Entry{
		Ref: ref, SOPClass: d.UID(dict.SOPClassUID), TransferSyntax: dicom.ExplicitVRLittleEndian,
		Location: index.Location{Volume: "hot", Key: blob.Key(fmt.Sprintf("%x", digest[:10]))},
		Size:     int64(1000 + im.number), Digest: digest, Layout: []byte("layout of " + bytes),
		Received: received, Source: "CT1", Album: im.album, Attributes: d,
	}
}

// world is an index under test.
type world struct {
	*testing.T
	ctx context.Context
	index.Index
}

func (w world) commit(im image, p index.Policy) (index.Outcome, error) {
	w.Helper()
	return w.Commit(w.ctx, im.entry(), p)
}

// add commits images that must become new ones.
func (w world) add(images ...image) {
	w.Helper()
	for _, im := range images {
		outcome, err := w.commit(im, index.Refuse)
		if err != nil || outcome != index.Added {
			w.Fatalf("Commit %v = %v, %v; want Added", im.ref(), outcome, err)
		}
	}
}

// locate returns what Locate yields.
func (w world) locate(ref dicom.Ref, in access.Scope) []index.Entry {
	w.Helper()
	var all []index.Entry
	for e, err := range w.Locate(w.ctx, ref, in) {
		if err != nil {
			w.Fatalf("Locate %v: %v", ref, err)
		}
		all = append(all, e)
	}
	return all
}

// find returns what Query yields.
func (w world) find(q archive.Query, in access.Scope) []*dicom.Dataset {
	w.Helper()
	var all []*dicom.Dataset
	for d, err := range w.Query(w.ctx, q, in) {
		if err != nil {
			w.Fatalf("Query %+v: %v", q, err)
		}
		all = append(all, d)
	}
	return all
}

func (w world) changes(after index.Seq) []index.Change {
	w.Helper()
	var all []index.Change
	for c, err := range w.Changes(w.ctx, after) {
		if err != nil {
			w.Fatalf("Changes: %v", err)
		}
		all = append(all, c)
	}
	return all
}

func (w world) garbage() []index.Location {
	w.Helper()
	var all []index.Location
	for l, err := range w.Garbage(w.ctx) {
		if err != nil {
			w.Fatalf("Garbage: %v", err)
		}
		all = append(all, l)
	}
	return all
}

func (w world) totals() index.Totals {
	w.Helper()
	n, err := w.Count(w.ctx)
	if err != nil {
		w.Fatalf("Count: %v", err)
	}
	return n
}

func (w world) remove(ref dicom.Ref, in access.Scope, want int) {
	w.Helper()
	if n, err := w.Remove(w.ctx, ref, in); err != nil || n != want {
		w.Fatalf("Remove %v = %d, %v; want %d", ref, n, err, want)
	}
}

// text puts an attribute of the dictionary's VR.
func text(tag dicom.Tag, values ...string) func(*dicom.Dataset) {
	return func(d *dicom.Dataset) { d.SetText(tag, dict.VROf(tag), values...) }
}

// all does several things to a data set.
func all(do ...func(*dicom.Dataset)) func(*dicom.Dataset) {
	return func(d *dicom.Dataset) {
		for _, f := range do {
			f(d)
		}
	}
}
