package indextest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"pharos/internal/access"
	"pharos/internal/archive"
	"pharos/internal/blob"
	"pharos/internal/dicom"
	"pharos/internal/dicom/dict"
	"pharos/internal/index"
)

func key(s string) blob.Key { return blob.Key(s) }

// match understands the text of a key.
func (w world) match(path []dicom.Tag, text string) archive.Match {
	w.Helper()
	m, err := archive.NewMatch(path, dict.VROf(path[len(path)-1]), text)
	if err != nil {
		w.Fatalf("NewMatch %v: %v", path, err)
	}
	return m
}

func (w world) matches(tag dicom.Tag, text string) []archive.Match {
	w.Helper()
	return []archive.Match{w.match([]dicom.Tag{tag}, text)}
}

func testAlbums(w world) {
	mr := all(text(dict.Modality, "MR"), text(dict.SOPClassUID, dict.MRImageStorage))
	w.add(
		image{study: 1, series: 1, number: 1, album: "a"}, image{study: 1, series: 1, number: 2, album: "a"},
		image{study: 1, series: 2, number: 1, with: mr},
		image{study: 2, series: 1, number: 1, album: "b", with: mr}, image{study: 3, series: 1, number: 1},
	)
	a, b := access.Scope{Albums: []access.AlbumID{"a"}}, access.Scope{Albums: []access.AlbumID{"b"}}
	both := access.Scope{Albums: []access.AlbumID{"a", "b", "unknown"}}
	q := archive.Query{Level: archive.StudyLevel, Return: [][]dicom.Tag{{dict.SOPClassesInStudy}}}
	for _, c := range []struct {
		in   access.Scope
		want int
	}{{a, 1}, {b, 1}, {both, 2}, {access.All(), 3}, {access.Scope{Albums: []access.AlbumID{"unknown"}}, 0}} {
		if got := len(w.find(q, c.in)); got != c.want {
			w.Errorf("%d studies in %v, want %d", got, c.in, c.want)
		}
	}
	part := w.find(q, a)[0]
	got := []string{part.Text(dict.ModalitiesInStudy), part.Text(dict.NumberOfStudyRelatedSeries), part.Text(dict.NumberOfStudyRelatedInstances), part.Text(dict.SOPClassesInStudy)}
	if want := []string{"CT", "1", "2", dict.CTImageStorage}; !slices.Equal(got, want) {
		w.Errorf("study in part has %v, want %v", got, want)
	}
	byModality := archive.Query{Level: archive.StudyLevel, Match: w.matches(dict.ModalitiesInStudy, "MR")}
	if got := len(w.find(byModality, a)); got != 0 {
		w.Errorf("album shows %d studies by the modality of a series outside of it", got)
	}
	if got := len(w.find(byModality, access.All())); got != 2 {
		w.Errorf("%d studies have MR, want 2", got)
	}
	for level, want := range map[archive.Level]int{archive.PatientLevel: 1, archive.SeriesLevel: 1, archive.InstanceLevel: 2} {
		if got := len(w.find(archive.Query{Level: level}, a)); got != want {
			w.Errorf("%d results at %v in the album, want %d", got, level, want)
		}
	}
	if got := len(w.locate(image{study: 1}.studyRef(), a)); got != 2 {
		w.Errorf("located %d in the album, want 2", got)
	}
	if got := len(w.locate(image{study: 1, series: 2, number: 1}.ref(), a)); got != 0 {
		w.Error("located an instance outside of the album")
	}
	// The same bytes again, to another album, place the series there too.
	again := image{study: 1, series: 2, number: 1, with: mr, album: "a"}
	if outcome, err := w.commit(again, index.Refuse); err != nil || outcome != index.Duplicate {
		w.Errorf("Commit to another album = %v, %v; want Duplicate", outcome, err)
	}
	if got := len(w.find(byModality, a)); got != 1 {
		w.Errorf("%d studies have MR in the album after it was placed there, want 1", got)
	}
}

func testEmptyScope(w world) {
	w.add(image{study: 1, series: 1, number: 1, album: "a"})
	for level := archive.PatientLevel; level <= archive.InstanceLevel; level++ {
		if got := w.find(archive.Query{Level: level}, access.Scope{}); len(got) != 0 {
			w.Errorf("%d results at %v", len(got), level)
		}
	}
	if got := w.locate(dicom.Ref{}, access.Scope{}); len(got) != 0 {
		w.Errorf("located %d", len(got))
	}
	if got := w.headers(dicom.Ref{}, access.Scope{}); len(got) != 0 {
		w.Errorf("%d headers", len(got))
	}
}

func testReturned(w world) {
	w.add(image{study: 1, series: 1, number: 1, with: all(
		text(dict.PatientName, "Müller^Jürgen"), text(dict.PatientComments, "a comment"), text(dict.StudyDate, "20200102"),
		text(dict.AccessionNumber, ""), text(dict.StationName, "S1"), text(dict.ContentLabel, "L"), text(dict.Manufacturer, "M"),
		func(d *dicom.Dataset) {
			item := dicom.NewDataset()
			item.SetText(dict.CodeValue, dict.SH, "C1")
			d.SetItems(dict.ProcedureCodeSequence, item)
		})})
	has := func(q archive.Query, present, absent []dicom.Tag) {
		w.Helper()
		d := w.find(q, access.All())[0]
		for _, t := range present {
			if !d.Has(t) {
				w.Errorf("result at %v has no %v", q.Level, t)
			}
		}
		for _, t := range absent {
			if d.Has(t) {
				w.Errorf("result at %v has %v", q.Level, t)
			}
		}
	}
	has(archive.Query{Level: archive.PatientLevel}, []dicom.Tag{dict.PatientName}, []dicom.Tag{dict.PatientComments, dict.StudyDate, dict.StudyInstanceUID})
	has(archive.Query{Level: archive.StudyLevel}, []dicom.Tag{dict.PatientName, dict.StudyDate, dict.AccessionNumber, dict.StudyInstanceUID, dict.SpecificCharacterSet},
		[]dicom.Tag{dict.PatientComments, dict.Modality, dict.ProcedureCodeSequence})
	has(archive.Query{Level: archive.StudyLevel, Return: [][]dicom.Tag{{dict.PatientComments}, {dict.ProcedureCodeSequence, dict.CodeValue}}},
		[]dicom.Tag{dict.PatientComments, dict.ProcedureCodeSequence}, []dicom.Tag{dict.StationName})
	has(archive.Query{Level: archive.SeriesLevel, All: true}, []dicom.Tag{dict.PatientComments, dict.StationName, dict.StudyDate, dict.Modality}, []dicom.Tag{dict.ContentLabel})
	has(archive.Query{Level: archive.InstanceLevel}, []dicom.Tag{dict.SOPInstanceUID, dict.SOPClassUID, dict.SeriesInstanceUID, dict.StudyInstanceUID, dict.InstanceNumber, dict.AvailableTransferSyntaxUID},
		[]dicom.Tag{dict.ContentLabel, dict.StationName})
	has(archive.Query{Level: archive.InstanceLevel, All: true}, []dicom.Tag{dict.ContentLabel, dict.StationName}, nil)
	d := w.find(archive.Query{Level: archive.StudyLevel, Match: w.matches(dict.StudyID, "*")}, access.All())[0]
	if got := d.Text(dict.PatientName); got != "Müller^Jürgen" || d.Text(dict.SpecificCharacterSet) != "ISO_IR 192" {
		w.Errorf("name %q in %q", got, d.Text(dict.SpecificCharacterSet))
	}
}

func testCounts(w world) {
	pid := text(dict.PatientID, "P")
	w.add(
		image{study: 1, series: 1, number: 1, with: pid}, image{study: 1, series: 1, number: 2, with: pid}, image{study: 1, series: 2, number: 1, with: pid},
		image{study: 2, series: 1, number: 1, with: pid},
	)
	for _, c := range []struct {
		level archive.Level
		tag   dicom.Tag
		want  string
	}{
		{archive.PatientLevel, dict.NumberOfPatientRelatedStudies, "2"},
		{archive.PatientLevel, dict.NumberOfPatientRelatedSeries, "3"},
		{archive.PatientLevel, dict.NumberOfPatientRelatedInstances, "4"},
		{archive.StudyLevel, dict.NumberOfStudyRelatedSeries, "2"},
		{archive.StudyLevel, dict.NumberOfStudyRelatedInstances, "3"},
		{archive.SeriesLevel, dict.NumberOfSeriesRelatedInstances, "2"},
		{archive.InstanceLevel, dict.NumberOfStudyRelatedInstances, "3"},
		{archive.InstanceLevel, dict.NumberOfSeriesRelatedInstances, "2"},
	} {
		q := archive.Query{Level: c.level, Return: [][]dicom.Tag{{c.tag}}}
		if got := w.find(q, access.All())[0].Text(c.tag); got != c.want {
			w.Errorf("%v at %v is %q, want %s", c.tag, c.level, got, c.want)
		}
	}
}

func testPatients(w world) {
	who := func(id, issuer, name string) func(*dicom.Dataset) {
		return all(text(dict.PatientID, id), text(dict.IssuerOfPatientID, issuer), text(dict.PatientName, name))
	}
	w.add(
		image{study: 1, series: 1, number: 1, with: who("1", "", "Doe^John")},
		image{study: 2, series: 1, number: 1, with: who("1", "A", "Doe^John")},
		image{study: 3, series: 1, number: 1, with: who("1", "", "DOE^JOHN^^")},
		image{study: 4, series: 1, number: 1, with: who("", "", "Roe^Jane")},
		image{study: 5, series: 1, number: 1, with: who("", "", "Poe^Edgar")},
		image{study: 6, series: 1, number: 1, with: who("", "", "ROE^JANE")},
	)
	var names []string
	for _, d := range w.find(archive.Query{Level: archive.PatientLevel}, access.All()) {
		names = append(names, d.Text(dict.PatientName)+" "+d.Text(dict.NumberOfPatientRelatedStudies))
	}
	if want := []string{"Doe^John 2", "Doe^John 1", "Roe^Jane 2", "Poe^Edgar 1"}; !slices.Equal(names, want) {
		w.Errorf("patients %v, want %v", names, want)
	}
	page := w.find(archive.Query{Level: archive.PatientLevel, Offset: 1, Limit: 2}, access.All())
	if len(page) != 2 || page[1].Text(dict.PatientName) != "Roe^Jane" {
		w.Errorf("second page has %d patients", len(page))
	}
}

func testPages(w world) {
	const studies = 60
	for n := range studies {
		w.add(image{study: n, series: 1, number: 1, album: access.AlbumID([]string{"even", "odd"}[n%2]), with: text(dict.PatientID, fmt.Sprint("P", n%3))})
	}
	even := access.Scope{Albums: []access.AlbumID{"even"}}
	for name, c := range map[string]struct {
		q  archive.Query
		in access.Scope
	}{
		"all":            {archive.Query{Level: archive.StudyLevel}, access.All()},
		"album":          {archive.Query{Level: archive.StudyLevel}, even},
		"patient":        {archive.Query{Level: archive.StudyLevel, Match: w.matches(dict.PatientID, "P1")}, access.All()},
		"not narrowed":   {archive.Query{Level: archive.StudyLevel, Match: w.matches(dict.ModalitiesInStudy, "CT")}, access.All()},
		"series":         {archive.Query{Level: archive.SeriesLevel}, access.All()},
		"series, album":  {archive.Query{Level: archive.SeriesLevel}, even},
		"instances":      {archive.Query{Level: archive.InstanceLevel, Match: w.matches(dict.PatientID, "P*")}, even},
		"patients' list": {archive.Query{Level: archive.PatientLevel}, access.All()},
	} {
		whole := uids(w.find(c.q, c.in))
		for range 2 { // the second time, ends of pages are remembered
			var joined []string
			for q := c.q; ; q.Offset += q.Limit {
				q.Limit = 7
				page := uids(w.find(q, c.in))
				joined = append(joined, page...)
				if len(page) < q.Limit {
					break
				}
			}
			if !slices.Equal(joined, whole) {
				w.Errorf("%s: pages have %v, want %v", name, joined, whole)
			}
		}
		q := c.q
		q.Offset = len(whole)
		if got := len(w.find(q, c.in)); got != 0 {
			w.Errorf("%s: %d results behind the end", name, got)
		}
	}
	// After a removal offsets count what is left.
	w.remove(dicom.Ref{Study: studyUID(0)}, access.All(), 1)
	got := w.find(archive.Query{Level: archive.StudyLevel, Offset: 7, Limit: 1}, access.All())
	if len(got) != 1 || got[0].UID(dict.StudyInstanceUID) != studyUID(8) {
		w.Errorf("study at offset 7 is %v, want the ninth that came", uids(got))
	}
}

// uids returns what names each result.
func uids(found []*dicom.Dataset) []string {
	var all []string
	for _, d := range found {
		all = append(all, d.Text(dict.StudyInstanceUID)+"/"+d.Text(dict.SeriesInstanceUID)+"/"+d.Text(dict.SOPInstanceUID)+"/"+d.Text(dict.PatientID))
	}
	return all
}

func testBadQueries(w world) {
	one := func(tag dicom.Tag, text string) []archive.Match { return w.matches(tag, text) }
	for name, q := range map[string]archive.Query{
		"no level":              {},
		"an attribute not kept": {Level: archive.StudyLevel, Match: one(dict.StudyComments, "x")},
		"a lower level":         {Level: archive.StudyLevel, Match: one(dict.SeriesDescription, "x")},
		"a count":               {Level: archive.StudyLevel, Match: one(dict.NumberOfStudyRelatedSeries, "1")},
		"a computed one above":  {Level: archive.PatientLevel, Match: one(dict.ModalitiesInStudy, "CT")},
		"a negative offset":     {Level: archive.StudyLevel, Offset: -1},
		"a negative limit":      {Level: archive.StudyLevel, Limit: -1},
		"no path":               {Level: archive.StudyLevel, Match: []archive.Match{{Kind: archive.Single, Values: []string{"x"}}}},
	} {
		var err error
		for _, err = range w.Query(w.ctx, q, access.All()) {
			break
		}
		if !errors.Is(err, archive.ErrQuery) {
			w.Errorf("%s: %v, want ErrQuery", name, err)
		}
	}
	q := archive.Query{Level: archive.StudyLevel, Match: one(dict.StudyComments, "")}
	if got := w.find(q, access.All()); len(got) != 0 {
		w.Errorf("universal key of an attribute that is not kept finds %d", len(got))
	}
}

func testWithin(w world) {
	for study := range 3 {
		for series := range 2 {
			w.add(image{study: study, series: series, number: 1}, image{study: study, series: series, number: 2})
		}
	}
	im := image{study: 1, series: 1, number: 2}
	elsewhere := dicom.Ref{Study: studyUID(2), Series: im.ref().Series}
	for _, c := range []struct {
		level archive.Level
		ref   dicom.Ref
		want  int
	}{
		{archive.StudyLevel, im.studyRef(), 1}, {archive.SeriesLevel, im.studyRef(), 2}, {archive.InstanceLevel, im.studyRef(), 4},
		{archive.InstanceLevel, im.seriesRef(), 2}, {archive.SeriesLevel, im.seriesRef(), 1}, {archive.InstanceLevel, im.ref(), 1},
		{archive.InstanceLevel, elsewhere, 0}, {archive.SeriesLevel, elsewhere, 0}, {archive.InstanceLevel, dicom.Ref{Study: "1.9"}, 0},
	} {
		if got := len(w.find(archive.Query{Level: c.level, Ref: c.ref}, access.All())); got != c.want {
			w.Errorf("%d results at %v within %v, want %d", got, c.level, c.ref, c.want)
		}
	}
	q := archive.Query{Level: archive.InstanceLevel, Ref: im.studyRef(), Match: w.matches(dict.InstanceNumber, "2"), Offset: 1}
	if got := w.find(q, access.All()); len(got) != 1 || got[0].UID(dict.SOPInstanceUID) != im.ref().Instance {
		w.Errorf("second instance numbered 2 of the study: %v", uids(got))
	}
}

func testCancelled(w world) {
	w.add(image{study: 1, series: 1, number: 1})
	ctx, cancel := context.WithCancel(w.ctx)
	cancel()
	var err error
	for _, err = range w.Query(ctx, archive.Query{Level: archive.StudyLevel}, access.All()) {
		break
	}
	if !errors.Is(err, context.Canceled) {
		w.Errorf("Query: %v, want Canceled", err)
	}
	if _, err := w.Commit(ctx, image{study: 2, series: 1, number: 1}.entry(), index.Refuse); !errors.Is(err, context.Canceled) {
		w.Errorf("Commit: %v, want Canceled", err)
	}
	if got := w.totals(); got.Instances != 1 {
		w.Errorf("%d instances, want 1", got.Instances)
	}
}

func testConfiguredKeys(t *testing.T, open func(*testing.T, Options) index.Index) {
	keys := archive.NewKeys(
		archive.Key{Tag: dict.StudyComments, VR: dict.LT, Level: archive.StudyLevel},
		archive.Key{Tag: 0x00091001, VR: dict.LO, Level: archive.StudyLevel},
		archive.Key{Tag: dict.KVP, VR: dict.DS, Level: archive.SeriesLevel},
	)
	ix := open(t, Options{Keys: keys})
	defer func() { _ = ix.Close() }()
	w := world{t, t.Context(), ix}
	w.add(
		image{study: 1, series: 1, number: 1, with: all(text(dict.StudyComments, "first"), func(d *dicom.Dataset) { d.SetText(0x00091001, dict.LO, "Grant 1") }, text(dict.KVP, "120"))},
		image{study: 2, series: 1, number: 1, with: all(text(dict.StudyComments, "second"), func(d *dicom.Dataset) { d.SetText(0x00091001, dict.LO, "Grant 2") }, text(dict.KVP, "80"))},
	)
	private, err := archive.NewMatch([]dicom.Tag{0x00091001}, dict.LO, "grant 2")
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range []archive.Query{
		{Level: archive.StudyLevel, Match: w.matches(dict.StudyComments, "sec*")},
		{Level: archive.StudyLevel, Match: []archive.Match{private}},
		{Level: archive.SeriesLevel, Match: w.matches(dict.KVP, "80.0")},
	} {
		if got := w.find(q, access.All()); len(got) != 1 || got[0].UID(dict.StudyInstanceUID) != studyUID(2) {
			t.Errorf("%v finds %v, want the second study", q.Match[0].Path, uids(got))
		}
	}
}
