package fileblob

import "time"

// gathering decides how long the leader of a batch waits for others. A sync of a few
// small blobs costs the same for one and for eight, and their senders are back sooner
// than a second sync would end, so that waiting wins. Senders who are slower would
// leave the disk idle for nothing; the misses tell.
type gathering struct {
	usual  time.Duration // moving average of what a sync takes
	ended  time.Time     // the end of the last one
	misses int           // waits in a row that took too long, at most maxMisses
	skip   int           // how many batches from now on do not wait
}

const (
	// patienceShare is the part of a sync that the wait may take: a half.
	patienceShare = 2

	// maxMisses bounds how rarely waiting is tried: once in 2^8 batches.
	maxMisses = 8

	// waitBelow is the number of bytes up to which waiting pays: with more, the
	// sync is mostly transfer, which sharing does not shorten, and the disk
	// had better begin.
	waitBelow = 256 << 10
)

// patience is how long to wait. When the last sync is long over, whom it released is
// not on the way any more.
func (p *gathering) patience() time.Duration {
	if time.Since(p.ended) > p.usual {
		return 0
	}
	if p.skip > 0 {
		p.skip--
		return 0
	}
	return p.usual / patienceShare
}

// waited learns from a wait. That the batch became complete does not count, only how
// long it took: timers of the runtime may be late by a millisecond, which is several
// syncs of a fast disk.
func (p *gathering) waited(d time.Duration) {
	if d < p.usual/patienceShare {
		p.misses = 0
		return
	}
	p.misses = min(p.misses+1, maxMisses)
	p.skip = 1<<p.misses - 1
}

func (p *gathering) synced(took time.Duration) {
	p.usual += (took - p.usual) / 8
	p.ended = time.Now()
}
