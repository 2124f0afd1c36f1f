package fileblob

import (
	"io"
	"math/rand/v2"
	"testing"

	"pharos/internal/blob"
	"pharos/internal/blob/blobtest"
)

// small makes every threshold near: several segments, large blobs and evictions.
var small = Options{SegmentSize: 200 << 10, LargeFrom: 100 << 10, OpenSegments: 2}

func mustOpen(t testing.TB, dir string, opts Options) *Store {
	t.Helper()
	s, err := Open(dir, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

func TestConformance(t *testing.T) {
	for name, opts := range map[string]Options{"default": {}, "small": small} {
		t.Run(name, func(t *testing.T) {
			blobtest.Run(t, func(t *testing.T) blob.Store { return mustOpen(t, t.TempDir(), opts) })
			blobtest.RunReopen(t, func(t *testing.T, dir string) blobtest.StoreCloser { return mustOpen(t, dir, opts) })
		})
	}
}

// randomBytes yields bytes without end that follow from the seed.
func randomBytes(seed byte) io.Reader { return rand.NewChaCha8([32]byte{seed}) }
