package indextest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"pharos/internal/access"
	"pharos/internal/archive"
	"pharos/internal/dicom"
	"pharos/internal/dicom/dict"
	"pharos/internal/index"
)

// The naive index keeps data sets in a slice and compares each of them. What it shares
// with a real one is the Matcher, whose rules the table of matching.go tests; what is
// compared here is everything around it: narrowing, scopes, order, pages, counts.

// naiveSeries is a series of the naive index, in the order of arrival.
type naiveSeries struct {
	ref       dicom.Ref
	albums    []access.AlbumID
	instances []*dicom.Dataset
}

var (
	randomNames  = []string{"Doe^John", "DOE^JANE", "Roe^Ann", "Müller^Jörg", "Muller^Jorg=山田^太郎", "", "Doe", "Smith^Doe"}
	randomIDs    = []string{"1", "2", "10", "A1", "a1", ""}
	randomDates  = []string{"20200101", "20200102", "20200215", "20210101", "", "19991231"}
	randomTexts  = []string{"CT Thorax", "ct thorax", "MR Knee", "Thorax 100%", "", "x_y"}
	randomModes  = []string{"CT", "MR", "US"}
	randomAlbums = []access.AlbumID{"", "a", "b"}

	randomKeys = []struct {
		tag   dicom.Tag
		level archive.Level
		texts []string
	}{
		{dict.PatientName, archive.PatientLevel, []string{"doe*", "*o*", "doe^j*", "muller*", "山田*", "roe^ann", "*", "s?ith*", "ann", "j d", "*^jörg"}},
		{dict.PatientID, archive.PatientLevel, []string{"1", "2", "A1", "1*", `1\a1`, "?1", "*1", ""}},
		{dict.StudyDate, archive.StudyLevel, []string{"20200101", "20200101-20200131", "2020", "-20200102", "20210101-", `20200101\20210101`}},
		{dict.StudyDescription, archive.StudyLevel, []string{"ct*", "*thorax*", "mr knee", "*100%", "x_y", "x*y"}},
		{dict.AccessionNumber, archive.StudyLevel, []string{"acc1", "ACC*", "*2"}},
		{dict.ModalitiesInStudy, archive.StudyLevel, []string{"CT", `CT\US`, "M*"}},
		{dict.Modality, archive.SeriesLevel, []string{"CT", `MR\US`}},
		{dict.SeriesDescription, archive.SeriesLevel, []string{"*thorax*", "mr*"}},
		{dict.InstanceNumber, archive.InstanceLevel, []string{"1", `2\3`}},
	}
)

func testRandomWorlds(t *testing.T, open func(*testing.T, Options) index.Index) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			ix := open(t, Options{})
			defer func() { _ = ix.Close() }()
			w := world{t, t.Context(), ix}
			rnd := rand.New(rand.NewPCG(seed, 1))
			naive := w.populate(rnd)
			for range 150 {
				w.compare(naive, rnd)
			}
			for range 4 {
				w.removeOne(naive, rnd)
			}
			naive = slices.DeleteFunc(naive, func(s *naiveSeries) bool { return len(s.instances) == 0 })
			for range 100 {
				w.compare(naive, rnd)
			}
		})
	}
}

func pickOne[T any](rnd *rand.Rand, from []T) T { return from[rnd.IntN(len(from))] }

// populate commits a small world.
func (w world) populate(rnd *rand.Rand) []*naiveSeries {
	var naive []*naiveSeries
	for study := range 25 {
		ofStudy := all(text(dict.PatientName, pickOne(rnd, randomNames)), text(dict.PatientID, pickOne(rnd, randomIDs)),
			text(dict.StudyDate, pickOne(rnd, randomDates)), text(dict.StudyDescription, pickOne(rnd, randomTexts)),
			text(dict.AccessionNumber, fmt.Sprint("ACC", study%7)))
		for series := range 1 + rnd.IntN(3) {
			ofSeries := all(text(dict.Modality, pickOne(rnd, randomModes)), text(dict.SeriesDescription, pickOne(rnd, randomTexts)))
			s := &naiveSeries{}
			for number := range 1 + rnd.IntN(3) {
				im := image{study: study, series: series, number: number + 1, album: pickOne(rnd, randomAlbums), with: all(ofStudy, ofSeries)}
				w.add(im)
				s.ref = im.seriesRef()
				s.instances = append(s.instances, im.entry().Attributes)
				if im.album != "" && !slices.Contains(s.albums, im.album) {
					s.albums = append(s.albums, im.album)
				}
			}
			naive = append(naive, s)
		}
	}
	return naive
}

// removeOne removes a random instance, series or study from both.
func (w world) removeOne(naive []*naiveSeries, rnd *rand.Rand) {
	s := pickOne(rnd, naive)
	if len(s.instances) == 0 {
		return
	}
	ref := s.ref
	switch rnd.IntN(3) {
	case 0:
		ref.Instance = s.instances[0].UID(dict.SOPInstanceUID)
		w.remove(ref, access.All(), 1)
		s.instances = s.instances[1:]
	case 1:
		w.remove(ref, access.All(), len(s.instances))
		s.instances = nil
	default:
		n := 0
		for _, t := range naive {
			if t.ref.Study == ref.Study {
				n += len(t.instances)
				t.instances = nil
			}
		}
		w.remove(dicom.Ref{Study: ref.Study}, access.All(), n)
	}
}

// compare asks both a random question.
func (w world) compare(naive []*naiveSeries, rnd *rand.Rand) {
	w.Helper()
	q := archive.Query{Level: archive.StudyLevel + archive.Level(rnd.IntN(3)), Fuzzy: rnd.IntN(3) == 0}
	for range rnd.IntN(3) {
		k := pickOne(rnd, randomKeys)
		if k.level <= q.Level {
			q.Match = append(q.Match, w.match([]dicom.Tag{k.tag}, pickOne(rnd, k.texts)))
		}
	}
	if rnd.IntN(2) == 0 {
		q.Offset, q.Limit = rnd.IntN(12), 1+rnd.IntN(12)
	}
	if rnd.IntN(5) == 0 {
		q.Ref.Study = pickOne(rnd, naive).ref.Study
	}
	in := pickOne(rnd, []access.Scope{access.All(), access.All(), {Albums: []access.AlbumID{"a"}}, {Albums: []access.AlbumID{"a", "b"}}, {}})
	want := answer(naive, q, in)
	if q.Offset < len(want) {
		want = want[q.Offset:]
	} else {
		want = nil
	}
	if q.Limit > 0 && len(want) > q.Limit {
		want = want[:q.Limit]
	}
	var got []string
	for _, d := range w.find(q, in) {
		got = append(got, summary(d))
	}
	if !slices.Equal(got, want) {
		w.Errorf("query %+v in %+v:\n got %v\nwant %v", q, in, got, want)
	}
}

// summary names a result and tells its counts.
func summary(d *dicom.Dataset) string {
	return fmt.Sprint(d.Text(dict.StudyInstanceUID), "/", d.Text(dict.SeriesInstanceUID), "/", d.Text(dict.SOPInstanceUID), " ",
		d.Texts(dict.ModalitiesInStudy), d.Text(dict.NumberOfStudyRelatedSeries), d.Text(dict.NumberOfStudyRelatedInstances))
}

// answer is what the naive index finds.
func answer(naive []*naiveSeries, q archive.Query, in access.Scope) []string {
	m := index.NewMatcher(q)
	visible := slices.DeleteFunc(slices.Clone(naive), func(s *naiveSeries) bool { return !in.All && !overlap(s.albums, in.Albums) })
	var found []string
	var last dicom.UID
	for _, s := range visible {
		if q.Ref.Study != "" && s.ref.Study != q.Ref.Study {
			continue
		}
		computed := compute(visible, s.ref.Study)
		first := s.instances[0]
		result := dicom.NewDataset()
		result.SetText(dict.StudyInstanceUID, dict.UI, string(s.ref.Study))
		switch {
		case q.Level == archive.StudyLevel && s.ref.Study != last && m.Matches(first, computed):
			for e := range computed.All() {
				result.Put(e)
			}
			found = append(found, summary(result))
		case q.Level == archive.SeriesLevel && m.Matches(first, computed):
			found = append(found, summaryOf(s.ref, computed, q))
		case q.Level == archive.InstanceLevel:
			for _, d := range s.instances {
				if m.Matches(d, computed) {
					ref := s.ref
					ref.Instance = d.UID(dict.SOPInstanceUID)
					found = append(found, summaryOf(ref, computed, q))
				}
			}
		}
		last = s.ref.Study
	}
	return found
}

// summaryOf is the summary of a result below the study, which has what it was matched by.
func summaryOf(ref dicom.Ref, computed *dicom.Dataset, q archive.Query) string {
	d := dicom.NewDataset()
	d.SetText(dict.StudyInstanceUID, dict.UI, string(ref.Study))
	d.SetText(dict.SeriesInstanceUID, dict.UI, string(ref.Series))
	d.SetText(dict.SOPInstanceUID, dict.UI, string(ref.Instance))
	for _, m := range q.Match {
		if m.Tag() == dict.ModalitiesInStudy {
			d.Put(computed.Get(dict.ModalitiesInStudy))
		}
	}
	return summary(d)
}

// compute works out what a study has in the visible series.
func compute(visible []*naiveSeries, study dicom.UID) *dicom.Dataset {
	var modalities []string
	series, instances := 0, 0
	for _, s := range visible {
		if s.ref.Study == study {
			series++
			instances += len(s.instances)
			modalities = append(modalities, s.instances[0].Text(dict.Modality))
		}
	}
	slices.Sort(modalities)
	d := dicom.NewDataset()
	d.SetText(dict.ModalitiesInStudy, dict.CS, slices.Compact(modalities)...)
	d.SetInts(dict.NumberOfStudyRelatedSeries, dict.IS, int64(series))
	d.SetInts(dict.NumberOfStudyRelatedInstances, dict.IS, int64(instances))
	return d
}

func overlap(a, b []access.AlbumID) bool {
	return slices.ContainsFunc(a, func(x access.AlbumID) bool { return slices.Contains(b, x) })
}
