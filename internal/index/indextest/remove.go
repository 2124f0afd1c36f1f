package indextest

import (
	"errors"
	"slices"

	"pharos/internal/access"
	"pharos/internal/archive"
	"pharos/internal/dicom"
	"pharos/internal/dicom/dict"
	"pharos/internal/index"
)

func testRemoveInstance(w world) {
	mr := image{study: 1, series: 1, number: 2, with: text(dict.SOPClassUID, dict.MRImageStorage)}
	w.add(image{study: 1, series: 1, number: 1}, mr, image{study: 1, series: 1, number: 3})
	before := w.changes(0)
	w.remove(mr.ref(), access.All(), 1)
	w.remove(mr.ref(), access.All(), 0)
	if got, want := w.totals(), (index.Totals{Studies: 1, Series: 1, Instances: 2, Bytes: 2004}); got != want {
		w.Errorf("totals %+v, want %+v", got, want)
	}
	study := w.find(archive.Query{Level: archive.StudyLevel, Return: [][]dicom.Tag{{dict.SOPClassesInStudy}}}, access.All())[0]
	if got := study.Text(dict.NumberOfStudyRelatedInstances); got != "2" {
		w.Errorf("study counts %s instances, want 2", got)
	}
	if got := study.Texts(dict.SOPClassesInStudy); !slices.Equal(got, []string{dict.CTImageStorage}) {
		w.Errorf("SOP classes %v, want only CT", got)
	}
	if got := w.garbage(); !slices.Equal(got, []index.Location{mr.entry().Location}) {
		w.Errorf("garbage %v, want its location", got)
	}
	changes := w.changes(before[len(before)-1].Seq)
	if len(changes) != 1 || changes[0].Kind != index.Removed || changes[0].Ref.Series != mr.ref().Series {
		w.Errorf("changes %v, want one removal", changes)
	}
	w.add(mr) // what was removed may come again
}

func testRemoveStudy(w world) {
	w.add(image{study: 1, series: 1, number: 1}, image{study: 1, series: 2, number: 1}, image{study: 2, series: 1, number: 1})
	w.remove(dicom.Ref{Study: studyUID(9)}, access.All(), 0)
	w.remove(image{study: 1, series: 1}.seriesRef(), access.All(), 1)
	if got := w.totals(); got.Studies != 2 || got.Series != 2 {
		w.Errorf("totals %+v, want 2 studies, 2 series", got)
	}
	w.remove(image{study: 1, series: 2, number: 1}.ref(), access.All(), 1)
	if got := w.totals(); got.Studies != 1 || got.Series != 1 {
		w.Errorf("totals %+v, want 1 study, 1 series", got)
	}
	if got := w.find(archive.Query{Level: archive.StudyLevel}, access.All()); len(got) != 1 || got[0].UID(dict.StudyInstanceUID) != studyUID(2) {
		w.Errorf("%d studies, want the second only", len(got))
	}
	w.remove(dicom.Ref{Study: studyUID(2)}, access.All(), 1)
	if got := w.totals(); got != (index.Totals{}) {
		w.Errorf("totals %+v, want none", got)
	}
	w.add(image{study: 1, series: 1, number: 1, with: text(dict.PatientID, "new")})
	if got := w.find(archive.Query{Level: archive.StudyLevel}, access.All()); len(got) != 1 || got[0].Text(dict.PatientID) != "new" {
		w.Errorf("study that came again: %d, want its new attributes", len(got))
	}
}

func testRemoveInScope(w world) {
	w.add(image{study: 1, series: 1, number: 1, album: "a"}, image{study: 1, series: 2, number: 1, album: "b"}, image{study: 1, series: 3, number: 1})
	w.remove(dicom.Ref{Study: studyUID(1)}, access.Scope{}, 0)
	w.remove(dicom.Ref{Study: studyUID(1)}, access.Scope{Albums: []access.AlbumID{"c"}}, 0)
	w.remove(dicom.Ref{Study: studyUID(1)}, access.Scope{Albums: []access.AlbumID{"a", "c"}}, 1)
	if got := w.totals(); got.Series != 2 {
		w.Errorf("totals %+v, want 2 series left", got)
	}
}

func testRemoveHeld(w world) {
	first := image{study: 1, series: 1, number: 1, bytes: "first"}
	other := image{study: 1, series: 1, number: 1, bytes: "other"}
	w.add(first)
	if outcome, err := w.commit(other, index.Keep); err != nil || outcome != index.Held {
		w.Fatalf("Keep = %v, %v; want Held", outcome, err)
	}
	w.remove(first.studyRef(), access.All(), 1)
	if got := len(w.garbage()); got != 2 {
		w.Errorf("%d locations are garbage, want that of the held instance too", got)
	}
}

func testGarbage(w world) {
	w.add(image{study: 1, series: 1, number: 1}, image{study: 1, series: 1, number: 2})
	w.remove(image{study: 1}.studyRef(), access.All(), 2)
	list := w.garbage()
	if len(list) != 2 {
		w.Fatalf("garbage %v, want 2 locations", list)
	}
	if err := w.Forget(w.ctx, list[0], index.Location{Volume: "unknown", Key: "x"}); err != nil {
		w.Fatalf("Forget: %v", err)
	}
	if got := w.garbage(); !slices.Equal(got, list[1:]) {
		w.Errorf("garbage %v, want %v", got, list[1:])
	}
}

func testUnknown(w world) {
	im := image{study: 1, series: 1, number: 1}
	removed := image{study: 2, series: 1, number: 1}
	held := image{study: 1, series: 1, number: 1, bytes: "other"}
	w.add(im, removed)
	w.remove(removed.studyRef(), access.All(), 1)
	if _, err := w.commit(held, index.Keep); err != nil {
		w.Fatal(err)
	}
	headers := index.SeriesHeaders{Ref: im.seriesRef(), Location: index.Location{Volume: "hot", Key: "headers"}, Through: 1}
	if err := w.SetHeaders(w.ctx, headers); err != nil {
		w.Fatal(err)
	}
	unknown := []index.Location{{Volume: "hot", Key: "nowhere"}, {Volume: "old", Key: im.entry().Location.Key}}
	ask := append([]index.Location{im.entry().Location, removed.entry().Location, held.entry().Location, headers.Location}, unknown...)
	got, err := w.Unknown(w.ctx, ask)
	if err != nil || !slices.Equal(got, unknown) {
		w.Errorf("Unknown = %v, %v; want %v", got, err, unknown)
	}
	if got, err := w.Unknown(w.ctx, nil); err != nil || len(got) != 0 {
		w.Errorf("Unknown of nothing = %v, %v", got, err)
	}
}

func testRelocate(w world) {
	im := image{study: 1, series: 1, number: 1}
	w.add(im)
	uid, from, to := im.ref().Instance, im.entry().Location, index.Location{Volume: "cold", Key: "x/1"}
	if err := w.Relocate(w.ctx, uid, to, from); !errors.Is(err, archive.ErrConflict) {
		w.Errorf("Relocate from elsewhere: %v, want ErrConflict", err)
	}
	if err := w.Relocate(w.ctx, "1.9", from, to); !errors.Is(err, archive.ErrNotFound) {
		w.Errorf("Relocate of nothing: %v, want ErrNotFound", err)
	}
	if err := w.Relocate(w.ctx, uid, from, to); err != nil {
		w.Fatalf("Relocate: %v", err)
	}
	if got := w.locate(im.ref(), access.All()); len(got) != 1 || got[0].Location != to {
		w.Errorf("located %v, want it at %v", got, to)
	}
	if got := w.garbage(); !slices.Equal(got, []index.Location{from}) {
		w.Errorf("garbage %v, want %v", got, from)
	}
}
