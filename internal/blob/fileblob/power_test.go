package fileblob

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"testing"

	"pharos/internal/blob"
)

// disk is a disk with a volatile cache: what was not synced when the power fails is
// there sector by sector, or not.
type disk struct {
	rng   *rand.Rand
	left  atomic.Int64 // operations until the power fails
	off   atomic.Bool  // it has failed: what is acknowledged from here on does not count
	after map[string][]byte

	mu    sync.Mutex
	files map[string]*diskFile
}

type diskFile struct {
	disk        *disk
	mu          sync.Mutex
	now, stable []byte
}

const sector = 512

func (d *disk) open(name string, flag int) (file, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f := d.files[name]
	if f == nil {
		old, err := os.ReadFile(name)
		if os.IsNotExist(err) && flag&os.O_CREATE != 0 {
			err = os.WriteFile(name, nil, 0o600) // so that others see the name
		}
		if err != nil {
			return nil, err
		}
		f = &diskFile{disk: d, now: old, stable: append([]byte(nil), old...)}
		d.files[name] = f
	}
	if flag&os.O_TRUNC != 0 {
		f.now = nil
	}
	return f, nil
}

// step counts an operation and fails in its time.
func (d *disk) step() {
	if d.left.Add(-1) != 0 {
		return
	}
	d.off.Store(true)
	d.mu.Lock()
	defer d.mu.Unlock()
	for name, f := range d.files {
		d.after[name] = f.remains(d.rng)
	}
}

// restart puts what remained where the next round finds it. A file that is rewritten
// in place is flushed by some file systems, which takes time, so it is replaced.
func (d *disk) restart(t *testing.T) {
	for name, b := range d.after {
		old, err := os.ReadFile(name)
		if os.IsNotExist(err) || bytes.Equal(old, b) {
			continue // a segment that was given back, or one that was only read
		}
		if err := errors.Join(err, os.Remove(name), os.WriteFile(name, b, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
}

func (f *diskFile) remains(rng *rand.Rand) []byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	b := make([]byte, max(len(f.now), len(f.stable)))
	copy(b, f.stable)
	lost := rng.Float64() // of the sectors
	for at := 0; at < len(f.now); at += sector {
		end := min(at+sector, len(f.now))
		if rng.Float64() >= lost {
			copy(b[at:end], f.now[at:end])
		}
	}
	if len(f.now) > len(f.stable) { // a size between the two
		b = b[:len(f.stable)+rng.IntN(len(f.now)-len(f.stable)+1)]
	} else if rng.IntN(2) == 0 {
		b = b[:len(f.now)]
	}
	return b
}

func (f *diskFile) ReadAt(p []byte, off int64) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if off >= int64(len(f.now)) {
		return 0, io.EOF
	}
	n := copy(p, f.now[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (f *diskFile) readBefore(_ extent, p []byte, off int64) (int, error) { return f.ReadAt(p, off) }

func (f *diskFile) writev(bufs [][]byte, off int64) error {
	f.disk.step()
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, p := range bufs {
		if need := off + int64(len(p)) - int64(len(f.now)); need > 0 {
			f.now = append(f.now, make([]byte, need)...)
		}
		copy(f.now[off:], p)
		off += int64(len(p))
	}
	return nil
}

func (f *diskFile) sync() error {
	f.disk.step()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stable = append(f.stable[:0], f.now...)
	return nil
}

func (f *diskFile) truncate(size int64) error {
	f.disk.step()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now = append(f.now[:min(size, int64(len(f.now)))], make([]byte, max(0, size-int64(len(f.now))))...)
	return nil
}

func (f *diskFile) punch(off, n int64) error {
	f.disk.step()
	f.mu.Lock()
	defer f.mu.Unlock()
	clear(f.now[off : off+n])
	return nil
}

func (f *diskFile) usage() (size, occupied int64, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return int64(len(f.now)), int64(len(f.now)), nil
}

func (f *diskFile) Close() error { return nil }

// TestAPowerFailureLosesNothingAcknowledged stops the disk while writers and
// deleters are busy, again and again on the same log.
func TestAPowerFailureLosesNothingAcknowledged(t *testing.T) {
	opts := Options{SegmentSize: 60 << 10, OpenSegments: 3}
	dir := t.TempDir()
	know := &ledger{must: map[blob.Key]byte{}, may: map[blob.Key]byte{}, gone: map[blob.Key]bool{}}
	for round := range 100 {
		rng := rand.New(rand.NewPCG(uint64(round), 1))
		d := &disk{rng: rng, after: map[string][]byte{}, files: map[string]*diskFile{}}
		s, err := open(dir, opts, d.open)
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		checkSurvivors(t, s, know)
		if t.Failed() {
			t.Fatalf("round %d", round)
		}
		d.left.Store(int64(1 + rng.IntN(150)))
		busy(t, s, d, know)
		// The process does not close the store; it is gone. Only the lock has to go.
		closeQuietly(s.lock)
		d.restart(t)
	}
}

// ledger is what callers were told, by key; the seed tells the bytes.
type ledger struct {
	mu   sync.Mutex
	must map[blob.Key]byte // commit acknowledged, no deletion begun
	may  map[blob.Key]byte // commit acknowledged, deletion begun
	gone map[blob.Key]bool // deletion acknowledged
}

// busy runs writers and deleters until the power fails.
func busy(t *testing.T, s *Store, d *disk, know *ledger) {
	var wg sync.WaitGroup
	for w := range uint64(4) {
		seeds := rand.New(rand.NewPCG(uint64(d.left.Load()), w))
		wg.Go(func() {
			for !d.off.Load() {
				seed := byte(seeds.IntN(250))
				info, err := write(s, patternOf(seed))
				if err != nil {
					t.Error(err)
				}
				if know.committed(d, info.Key, seed) && seed%3 == 0 {
					know.deleting(info.Key)
					if err := s.Delete(t.Context(), info.Key); err != nil {
						t.Error(err)
					}
					know.deleted(d, info.Key)
				}
			}
		})
	}
	wg.Wait()
}

// committed notes a key, unless the power failed before the caller had it.
func (k *ledger) committed(d *disk, key blob.Key, seed byte) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if d.off.Load() {
		return false
	}
	k.must[key] = seed
	return true
}

func (k *ledger) deleting(key blob.Key) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.may[key] = k.must[key]
	delete(k.must, key)
}

func (k *ledger) deleted(d *disk, key blob.Key) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !d.off.Load() {
		delete(k.may, key)
		k.gone[key] = true
	}
}

// patternOf derives size and bytes from the seed.
func patternOf(seed byte) []byte { return pattern(seed, int(seed)*int(seed)/3) }

// checkSurvivors expects everything acknowledged and nothing torn. Then it deletes
// most, so that the log does not grow from round to round.
func checkSurvivors(t *testing.T, s *Store, know *ledger) {
	t.Helper()
	listed := map[blob.Key]bool{}
	for info, err := range s.List(t.Context(), "") {
		if err != nil {
			t.Fatalf("list: %v", err)
		}
		k := info.Key
		listed[k] = true
		if err := s.Verify(t.Context(), k); err != nil {
			t.Errorf("listed, but: %v", err)
		}
		if know.gone[k] {
			t.Errorf("deleted blob %q is back", k)
		}
		if seed, ok := know.may[k]; ok {
			wantBytes(t, s, k, patternOf(seed))
		}
	}
	for k, seed := range know.must {
		wantBytes(t, s, k, patternOf(seed))
		if !listed[k] {
			t.Errorf("acknowledged blob %q is not listed", k)
		}
	}
	for k := range listed {
		// The rest was never acknowledged, or its deletion was interrupted.
		if seed, ok := know.must[k]; !ok || seed%16 != 0 {
			mustDelete(t, s, k)
			delete(know.must, k)
			know.gone[k] = true
		}
	}
}
