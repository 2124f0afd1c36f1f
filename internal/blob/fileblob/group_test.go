package fileblob

import (
	"sync"
	"testing"
	"time"
)

// patient is a group whose last sync released some callers just now and whose syncs
// take so long that a leader who waits in vain would stop the test.
func patient(released int) *group {
	return &group{released: released, gather: gathering{usual: 24 * time.Hour, ended: time.Now()}}
}

func TestALeaderWaitsForThoseWhoWereReleased(t *testing.T) {
	q := patient(3)
	syncs := 0
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			err := q.wait(nothing, func() error {
				syncs++
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if syncs != 1 {
		t.Errorf("%d syncs", syncs)
	}
}

func TestALeaderDoesNotWait(t *testing.T) {
	much := func() int64 { return waitBelow + 1 }
	old := patient(3)
	old.gather.ended = time.Now().Add(-48 * time.Hour)
	disappointed := patient(3)
	disappointed.gather.skip = 1
	for name, c := range map[string]struct {
		q       *group
		pending func() int64
	}{
		"at the first sync":                   {&group{}, nothing},
		"when it is alone":                    {patient(1), nothing},
		"when there is much to write":         {patient(3), much},
		"when the last sync was long ago":     {old, nothing},
		"when waiting was in vain before":     {disappointed, nothing},
		"when it is alone with much to write": {patient(1), much},
	} {
		t.Run(name, func(t *testing.T) {
			if err := c.q.wait(c.pending, func() error { return nil }); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestWaitsInVainBecomeRareAndOneSuccessMakesThemUsual(t *testing.T) {
	p := gathering{usual: time.Hour, ended: time.Now()}
	for _, want := range []int{1, 3, 7, 15, 31, 63, 127, 255, 255} {
		p.waited(time.Hour)
		skipped := 0
		for p.patience() == 0 {
			skipped++
		}
		if skipped != want {
			t.Errorf("%d batches do not wait, want %d", skipped, want)
		}
	}
	p.waited(time.Minute)
	if p.patience() == 0 {
		t.Error("no patience after a success")
	}
	p.waited(time.Hour)
	if p.skip != 1 {
		t.Errorf("%d batches do not wait after the first miss", p.skip)
	}
}
