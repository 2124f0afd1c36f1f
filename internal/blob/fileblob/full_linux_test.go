package fileblob

import (
	"errors"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"pharos/internal/blob"
)

// smallDisk mounts a file system of 8 MB, which takes a privileged user.
func smallDisk(t *testing.T) string {
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=8m"); err != nil {
		if os.Getenv("CI") != "" && os.Getuid() == 0 {
			t.Fatalf("mount: %v", err)
		}
		t.Skipf("mount: %v; the injected errors of fault_test.go remain", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func TestAFullDiskLosesNothingAndRecovers(t *testing.T) {
	s := mustOpen(t, smallDisk(t), Options{SegmentSize: 3 << 20, LargeFrom: 400_000})
	kept := map[blob.Key]byte{}
	var keys []blob.Key
	put := func(seed byte) error {
		info, err := write(s, pattern(seed, 300_000+int(seed)*2000))
		if err == nil {
			kept[info.Key] = seed
			keys = append(keys, info.Key)
		}
		return err
	}
	for round := range 3 {
		failures := 0
		for seed := byte(0); failures < 10; seed += 7 {
			err := put(seed)
			if err != nil && !errors.Is(err, blob.ErrFull) {
				t.Fatalf("full disk: %v", err)
			}
			if err != nil {
				failures++
			}
		}
		for k, seed := range kept {
			wantBytes(t, s, k, pattern(seed, 300_000+int(seed)*2000))
		}
		wantKeys(t, s, keys...)
		for i := range 5 {
			mustDelete(t, s, keys[i])
			delete(kept, keys[i])
		}
		keys = keys[5:]
		if err := put(byte(round)); err != nil {
			t.Errorf("round %d: no room after deletions: %v", round, err)
		}
	}
}

func TestAFileSystemThatBecomesReadOnlyIsStillRead(t *testing.T) {
	dir := smallDisk(t)
	s := mustOpen(t, dir, Options{SegmentSize: 1, OpenSegments: 1})
	keys := []blob.Key{mustWrite(t, s, pattern(1, 1000)), mustWrite(t, s, pattern(2, 1000)), mustWrite(t, s, pattern(3, 1000))}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		if os.Getenv("CI") != "" && os.Getuid() == 0 {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	if s, err := Open(dir, Options{}); !errors.Is(err, blob.ErrReadOnly) {
		closeQuietly(s)
		t.Errorf("open: %v", err)
	}
	// As for a segment that is opened again after the file system changed.
	c := &cache{dir: dir, open: openFile, limit: 1, slots: map[uint32]*slot{}}
	g, err := c.acquire(1)
	if err != nil {
		t.Fatal(err)
	}
	_, off, _ := parseKey(keys[0])
	r, err := g.record(off)
	if err != nil || r.size != 1000 {
		t.Errorf("record %+v, %v", r, err)
	}
	if err := g.mark(r, stateDead); !errors.Is(err, unix.EROFS) {
		t.Errorf("mark: %v", err)
	}
	c.release(g)
	c.close()
}
