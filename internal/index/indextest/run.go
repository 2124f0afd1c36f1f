package indextest

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"pharos/internal/access"
	"pharos/internal/archive"
	"pharos/internal/dicom"
	"pharos/internal/dicom/dict"
	"pharos/internal/index"
)

// Options are what a test wants of an index.
type Options struct {
	Keys *archive.Keys // attributes to keep; nil means the standard ones
}

// Run runs the suite. open returns a new, empty index for the given test; Run closes it.
func Run(t *testing.T, open func(t *testing.T, o Options) index.Index) {
	t.Helper()
	in := func(f func(world)) func(*testing.T) {
		return func(t *testing.T) {
			ix := open(t, Options{})
			t.Cleanup(func() {
				if err := ix.Close(); err != nil {
					t.Errorf("Close: %v", err)
				}
			})
			f(world{t, t.Context(), ix})
		}
	}
	t.Run("a committed instance is there with all its entry", in(testCommit))
	t.Run("the same bytes again are a duplicate", in(testDuplicate))
	t.Run("other bytes of the same UID follow the policy", in(testConflict))
	t.Run("a UID belongs to one parent", in(testParents))
	t.Run("one UID at once from many is added once", in(testOneUIDAtOnce))
	t.Run("many at once are all there and counted", in(testManyAtOnce))
	t.Run("later instances fill in what is empty and change nothing", in(testFillIn))
	t.Run("instances are located by series, number and arrival", in(testLocateOrder))
	t.Run("a removed instance leaves the rest", in(testRemoveInstance))
	t.Run("a study goes with its last series", in(testRemoveStudy))
	t.Run("removal stays within the scope", in(testRemoveInScope))
	t.Run("a held instance goes with its series", in(testRemoveHeld))
	t.Run("garbage is listed until forgotten", in(testGarbage))
	t.Run("unknown locations are those that nothing names", in(testUnknown))
	t.Run("relocation compares before it swaps", in(testRelocate))
	t.Run("changes come in order", in(testChanges))
	t.Run("changes have no gaps while others write", in(testChangesWithoutGaps))
	t.Run("albums show their series and nothing else", in(testAlbums))
	t.Run("an empty scope shows nothing", in(testEmptyScope))
	t.Run("headers know how fresh they are", in(testHeaders))
	t.Run("the mark is that of the last sync", in(testMark))
	t.Run("results have what is always there and what is asked for", in(testReturned))
	t.Run("counts are those of the level", in(testCounts))
	t.Run("patients are grouped by identifier and issuer", in(testPatients))
	t.Run("pages join without overlap", in(testPages))
	t.Run("a query that can't be answered is refused", in(testBadQueries))
	t.Run("queries stay within their study or series", in(testWithin))
	t.Run("a query ends with its context", in(testCancelled))
	t.Run("values match by the rules", func(t *testing.T) { testMatching(t, open) })
	t.Run("configured keys are kept and matched", func(t *testing.T) { testConfiguredKeys(t, open) })
	t.Run("random worlds answer like the naive matcher", func(t *testing.T) { testRandomWorlds(t, open) })
}

func testCommit(w world) {
	im := image{study: 1, series: 2, number: 3}
	w.add(im)
	want := im.entry()
	found := w.locate(im.ref(), access.All())
	if len(found) != 1 {
		w.Fatalf("located %d entries, want 1", len(found))
	}
	want.Attributes, want.Album = nil, ""
	if got := found[0]; fmt.Sprint(got) != fmt.Sprint(want) {
		w.Errorf("located\n%+v, want\n%+v", got, want)
	}
	if got, want := w.totals(), (index.Totals{Studies: 1, Series: 1, Instances: 1, Bytes: 1003}); got != want {
		w.Errorf("totals %+v, want %+v", got, want)
	}
}

func testDuplicate(w world) {
	im := image{study: 1, series: 1, number: 1}
	w.add(im)
	before := w.changes(0)
	for _, p := range []index.Policy{index.Refuse, index.Replace, index.Keep} {
		again := im.entry()
		again.Location.Key = "elsewhere"
		if outcome, err := w.Commit(w.ctx, again, p); err != nil || outcome != index.Duplicate {
			w.Errorf("Commit again, policy %v = %v, %v; want Duplicate", p, outcome, err)
		}
	}
	if got := w.totals(); got.Instances != 1 {
		w.Errorf("%d instances, want 1", got.Instances)
	}
	if got := w.locate(im.ref(), access.All()); got[0].Location != im.entry().Location {
		w.Errorf("location %v, want the first one", got[0].Location)
	}
	if got := w.changes(0); !slices.Equal(got, before) {
		w.Errorf("changes %v, want none more than %v", got, before)
	}
}

func testConflict(w world) {
	first := image{study: 1, series: 1, number: 1, bytes: "first"}
	other := image{study: 1, series: 1, number: 1, bytes: "other"}
	w.add(first)
	if outcome, err := w.commit(other, index.Refuse); !errors.Is(err, archive.ErrConflict) {
		w.Errorf("Refuse = %v, %v; want ErrConflict", outcome, err)
	}
	for _, want := range []index.Outcome{index.Held, index.Duplicate} {
		if outcome, err := w.commit(other, index.Keep); err != nil || outcome != want {
			w.Errorf("Keep = %v, %v; want %v", outcome, err, want)
		}
	}
	if got := w.locate(first.ref(), access.All()); len(got) != 1 || got[0].Digest != first.entry().Digest {
		w.Errorf("located %v, want the first", got)
	}
	third := image{study: 1, series: 1, number: 1, bytes: "third", with: text(dict.ImageType, "DERIVED")}
	if outcome, err := w.commit(third, index.Replace); err != nil || outcome != index.Replaced {
		w.Errorf("Replace = %v, %v; want Replaced", outcome, err)
	}
	if got := w.locate(first.ref(), access.All()); len(got) != 1 || got[0].Digest != third.entry().Digest {
		w.Errorf("located %v, want the third", got)
	}
	if got := w.garbage(); !slices.Equal(got, []index.Location{first.entry().Location}) {
		w.Errorf("garbage %v, want the location of the first", got)
	}
	if got := w.totals(); got.Instances != 1 || got.Bytes != 1001 {
		w.Errorf("totals %+v, want 1 instance", got)
	}
	if got := w.changes(0); len(got) == 0 || got[len(got)-1].Kind != index.Arrived || got[len(got)-1].Ref != first.ref() {
		w.Errorf("changes %v, want the arrival of the third last", got)
	}
}

func testParents(w world) {
	w.add(image{study: 1, series: 1, number: 1})
	for name, change := range map[string]func(*dicom.Ref){
		"series in another study":    func(r *dicom.Ref) { r.Study, r.Instance = studyUID(2), "1.2.3" },
		"instance in another series": func(r *dicom.Ref) { r.Series = "1.2.4" },
		"instance in another study":  func(r *dicom.Ref) { r.Study, r.Series = studyUID(2), "1.2.4" },
	} {
		for _, p := range []index.Policy{index.Refuse, index.Replace, index.Keep} {
			e := image{study: 1, series: 1, number: 1}.entry()
			change(&e.Ref)
			if outcome, err := w.Commit(w.ctx, e, p); !errors.Is(err, archive.ErrConflict) {
				w.Errorf("%s, policy %v: %v, %v; want ErrConflict", name, p, outcome, err)
			}
		}
	}
	if got, want := w.totals(), (index.Totals{Studies: 1, Series: 1, Instances: 1, Bytes: 1001}); got != want {
		w.Errorf("totals %+v, want %+v: a refused instance must leave nothing", got, want)
	}
	if got := w.find(archive.Query{Level: archive.SeriesLevel}, access.All()); len(got) != 1 {
		w.Errorf("%d series, want 1", len(got))
	}
}

func testOneUIDAtOnce(w world) {
	const callers = 8
	outcomes := make([]index.Outcome, callers)
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			outcomes[i], _ = w.commit(image{study: 1, series: 1, number: 1, bytes: "same"}, index.Refuse)
		})
	}
	wg.Wait()
	counts := map[index.Outcome]int{}
	for _, o := range outcomes {
		counts[o]++
	}
	if counts[index.Added] != 1 || counts[index.Duplicate] != callers-1 {
		w.Errorf("outcomes %v, want Added once and Duplicate for the others", counts)
	}
}

func testManyAtOnce(w world) {
	const callers, each = 8, 40
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			for n := range each { // callers share studies, and series
				if _, err := w.commit(image{study: n % 5, series: n % 3, number: i*each + n + 1}, index.Refuse); err != nil {
					w.Errorf("Commit: %v", err)
				}
			}
		})
	}
	wg.Wait()
	if got := w.totals(); got.Studies != 5 || got.Series != 15 || got.Instances != callers*each {
		w.Errorf("totals %+v, want 5, 15, %d", got, callers*each)
	}
	instances := int64(0)
	for _, d := range w.find(archive.Query{Level: archive.StudyLevel}, access.All()) {
		n, _ := d.Int(dict.NumberOfStudyRelatedInstances)
		instances += n
	}
	if instances != callers*each {
		w.Errorf("studies count %d instances, want %d", instances, callers*each)
	}
	if got := w.locate(dicom.Ref{}, access.All()); len(got) != callers*each {
		w.Errorf("located %d, want %d", len(got), callers*each)
	}
}

func testFillIn(w world) {
	w.add(
		image{study: 1, series: 1, number: 1, with: all(text(dict.PatientName, "Doe^John"), text(dict.PatientID, ""))},
		image{study: 1, series: 1, number: 2, with: all(text(dict.PatientName, "Roe^Jane"), text(dict.PatientID, "P1"), text(dict.SeriesDescription, "later"))},
		image{study: 1, series: 2, number: 1, with: text(dict.PatientID, "P2")},
	)
	for _, c := range []struct {
		tag  dicom.Tag
		key  string
		want int
	}{{dict.PatientName, "Doe^John", 1}, {dict.PatientName, "Roe^Jane", 0}, {dict.PatientID, "P1", 1}, {dict.PatientID, "P2", 0}} {
		q := archive.Query{Level: archive.StudyLevel, Match: []archive.Match{w.match([]dicom.Tag{c.tag}, c.key)}}
		if got := len(w.find(q, access.All())); got != c.want {
			w.Errorf("%v %q finds %d studies, want %d", c.tag, c.key, got, c.want)
		}
	}
	series := w.find(archive.Query{Level: archive.SeriesLevel}, access.All())
	if len(series) != 2 || series[0].Text(dict.SeriesDescription) != "later" {
		w.Errorf("series description %q, want that of the later instance", series[0].Text(dict.SeriesDescription))
	}
}

func testLocateOrder(w world) {
	unnumbered := image{study: 1, series: 1, number: 9, with: func(d *dicom.Dataset) { d.Delete(dict.InstanceNumber) }}
	w.add(
		image{study: 1, series: 2, number: 5}, unnumbered, image{study: 1, series: 1, number: 10},
		image{study: 1, series: 2, number: 4}, image{study: 1, series: 1, number: 2}, image{study: 2, series: 1, number: 1},
	)
	var got []string
	for _, e := range w.locate(image{study: 1}.studyRef(), access.All()) {
		got = append(got, string(e.Ref.Instance[len(studyUID(1))+1:]))
	}
	if want := []string{"2.4", "2.5", "1.2", "1.10", "1.9"}; !slices.Equal(got, want) {
		w.Errorf("order %v, want %v", got, want)
	}
	other := image{study: 2, series: 1, number: 1}.ref()
	other.Study = studyUID(1)
	for _, ref := range []dicom.Ref{other, {Study: "1.9"}, {Study: studyUID(1), Series: "1.9"}, {Study: studyUID(1), Series: "1.9", Instance: "1.9"}} {
		if found := w.locate(ref, access.All()); len(found) != 0 {
			w.Errorf("located %d entries of %v, want none", len(found), ref)
		}
	}
}
