package indextest

import (
	"sync"

	"pharos/internal/access"
	"pharos/internal/archive"
	"pharos/internal/dicom"
	"pharos/internal/index"

	"errors"
)

func testChanges(w world) {
	im := image{study: 1, series: 1, number: 1}
	w.add(im, image{study: 1, series: 1, number: 2})
	got := w.changes(0)
	if len(got) != 2 || got[0].Seq >= got[1].Seq || got[0].Seq <= 0 {
		w.Fatalf("changes %v, want two in order", got)
	}
	if c := got[0]; c.Ref != im.ref() || c.Kind != index.Arrived || c.Source != "CT1" || !c.At.Equal(received) {
		w.Errorf("first change %+v, want the arrival of %v", c, im.ref())
	}
	if rest := w.changes(got[0].Seq); len(rest) != 1 || rest[0] != got[1] {
		w.Errorf("changes after the first: %v, want the second", rest)
	}
	w.remove(im.studyRef(), access.All(), 2)
	rest := w.changes(got[1].Seq)
	if len(rest) != 1 || rest[0].Kind != index.Removed || rest[0].Ref != im.seriesRef() {
		w.Errorf("changes after removal: %v, want that of the series", rest)
	}
}

// testChangesWithoutGaps follows the changes while others write: a change that turned
// up behind one already read would be missed for ever.
func testChangesWithoutGaps(w world) {
	const writers, each = 6, 60
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() {
			for n := range each {
				if _, err := w.commit(image{study: i, series: n % 2, number: n + 1}, index.Refuse); err != nil {
					w.Errorf("Commit: %v", err)
				}
			}
		})
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	seen := make(map[dicom.UID]bool)
	last := index.Seq(0)
	follow := func() {
		for _, c := range w.changes(last) {
			if c.Seq <= last {
				w.Errorf("change %d comes after %d", c.Seq, last)
			}
			last = c.Seq
			seen[c.Ref.Instance] = true
		}
	}
	for finished := false; !finished; {
		select {
		case <-done:
			finished = true
		default:
		}
		follow()
	}
	if len(seen) != writers*each {
		w.Errorf("followed %d arrivals, want %d", len(seen), writers*each)
	}
}

func (w world) headers(ref dicom.Ref, in access.Scope) []index.SeriesHeaders {
	w.Helper()
	var all []index.SeriesHeaders
	for h, err := range w.Headers(w.ctx, ref, in) {
		if err != nil {
			w.Fatalf("Headers: %v", err)
		}
		all = append(all, h)
	}
	return all
}

func testHeaders(w world) {
	im := image{study: 1, series: 1, number: 1, album: "a"}
	w.add(im, image{study: 1, series: 2, number: 1})
	fresh := w.headers(im.seriesRef(), access.All())
	if len(fresh) != 1 || fresh[0].Location != (index.Location{}) || fresh[0].Instances != 1 || fresh[0].Latest == 0 || fresh[0].Through != 0 {
		w.Fatalf("headers %+v, want none built", fresh)
	}
	h := fresh[0]
	h.Location, h.Through = index.Location{Volume: "hot", Key: "headers-1"}, h.Latest
	if err := w.SetHeaders(w.ctx, h); err != nil {
		w.Fatalf("SetHeaders: %v", err)
	}
	if got := w.headers(im.seriesRef(), access.All()); len(got) != 1 || got[0] != h {
		w.Errorf("headers %+v, want %+v", got, h)
	}
	w.add(image{study: 1, series: 1, number: 2})
	newer := w.headers(im.seriesRef(), access.All())[0]
	if newer.Latest <= h.Latest || newer.Through != h.Through || newer.Location != h.Location || newer.Instances != 2 {
		w.Errorf("headers after an arrival %+v, want stale ones", newer)
	}
	newer.Location, newer.Through = index.Location{Volume: "hot", Key: "headers-2"}, newer.Latest
	if err := w.SetHeaders(w.ctx, newer); err != nil {
		w.Fatalf("SetHeaders: %v", err)
	}
	if err := w.SetHeaders(w.ctx, h); !errors.Is(err, archive.ErrConflict) {
		w.Errorf("SetHeaders with older ones: %v, want ErrConflict", err)
	}
	if got := w.garbage(); len(got) != 1 || got[0].Key != "headers-1" {
		w.Errorf("garbage %v, want the replaced headers", got)
	}
	if got := w.headers(im.studyRef(), access.All()); len(got) != 2 {
		w.Errorf("%d series of the study have headers, want 2", len(got))
	}
	if got := w.headers(im.studyRef(), access.Scope{Albums: []access.AlbumID{"a"}}); len(got) != 1 {
		w.Errorf("%d series in the album have headers, want 1", len(got))
	}
	w.remove(image{study: 1, series: 1, number: 2}.ref(), access.All(), 1)
	if got := w.headers(im.seriesRef(), access.All())[0]; got.Latest <= newer.Latest {
		w.Errorf("latest %d after a removal, want more than %d", got.Latest, newer.Latest)
	}
	w.remove(im.studyRef(), access.All(), 2)
	if err := w.SetHeaders(w.ctx, newer); !errors.Is(err, archive.ErrNotFound) {
		w.Errorf("SetHeaders of a removed series: %v, want ErrNotFound", err)
	}
	if got := w.garbage(); len(got) != 5 {
		w.Errorf("%d locations are garbage, want 3 instances and 2 headers", len(got))
	}
}

func testMark(w world) {
	if mark, err := w.Mark(w.ctx); err != nil || mark != "" {
		w.Errorf("Mark of a new index = %q, %v", mark, err)
	}
	w.add(image{study: 1, series: 1, number: 1})
	for _, m := range []string{"0001-2", "0002-1"} {
		if err := w.Sync(w.ctx, key(m)); err != nil {
			w.Fatalf("Sync: %v", err)
		}
		if mark, err := w.Mark(w.ctx); err != nil || mark != key(m) {
			w.Errorf("Mark = %q, %v; want %q", mark, err, m)
		}
	}
}
