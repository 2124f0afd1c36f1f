package fileblob

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
)

// checkpointEvery is how many bytes the log grows until the checkpoint moves. After
// a kill, recovery reads at most about as many.
const checkpointEvery = 64 << 20

// checkpointFile remembers up to where the log is whole. It is only ever behind the
// log, so it need not be synced with it.
type checkpointFile struct {
	mu     sync.Mutex
	file   file
	number uint32       // of the segment it is in
	at     atomic.Int64 // offset in that segment
	frozen bool         // a segment before the active one has an end that could not be cut
}

func openCheckpoint(dir string, open opener) (file, checkpoint, error) {
	f, err := open(filepath.Join(dir, "CHECKPOINT"), os.O_RDWR|os.O_CREATE)
	if err != nil {
		return nil, checkpoint{}, err
	}
	b := make([]byte, headerSize)
	if _, err := f.ReadAt(b, 0); err != nil && !errors.Is(err, io.EOF) {
		closeQuietly(f)
		return nil, checkpoint{}, err
	}
	c, _ := decodeCheckpoint(b) // without one, the last segment is read
	return f, c, nil
}

// due says whether the segment has grown enough since the checkpoint moved.
func (c *checkpointFile) due(g *segment) bool {
	return g.durable.Load()-c.at.Load() >= checkpointEvery
}

// move puts the checkpoint at the durable end of the active segment.
func (c *checkpointFile) move(g *segment, sync bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.frozen || g.number < c.number {
		return nil
	}
	end := g.durable.Load()
	at := checkpoint{segment: g.number, id: g.id, offset: end}
	if err := c.file.writev([][]byte{at.encode()}, 0); err != nil {
		return err
	}
	c.number = g.number
	c.at.Store(end)
	if sync {
		return c.file.sync()
	}
	return nil
}

// freeze keeps the checkpoint where it is until the next Open, which then repairs
// everything behind it.
func (c *checkpointFile) freeze() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.frozen = true
}
