package e2e

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestDiskFull fills the disk under the server. New instances are refused as the
// standard says, what was stored stays readable, with room again storing works without
// a restart, and nothing that was acknowledged is lost by any of it.
func TestDiskFull(t *testing.T) {
	need(t, "storescu")
	disk := smallDisk(t)
	filler := filepath.Join(disk, "filler")
	s := open(t, options{data: filepath.Join(disk, "data")})
	l := &ledger{sent: map[string]*kept{}}
	for number := range 4 {
		if status := storeInto(l, s, number); status != 0 {
			t.Fatalf("C-STORE with room: status %04X", status)
		}
	}
	fill(t, filler)
	for _, step := range []struct {
		name string
		run  func(t *testing.T, s *site, l *ledger)
	}{
		{"storing is refused", refusedWhileFull},
		{"what is stored is readable", checkKept},
		{"with room again storing works", func(t *testing.T, s *site, l *ledger) {
			if err := os.Remove(filler); err != nil {
				t.Fatal(err)
			}
			storesAgain(t, s, l)
		}},
		{"after a restart nothing is lost", func(t *testing.T, s *site, l *ledger) {
			s.kill()
			s.start()
			checkKept(t, s, l)
			s.stop()
			if out := s.run("fsck", "--data", s.data); !strings.Contains(out, " 0 faults") {
				t.Errorf("fsck: %s", out)
			}
		}},
	} {
		t.Run(step.name, func(t *testing.T) {
			view := s.in(t)
			step.run(t, view, l)
			s.cmd, s.exited = view.cmd, view.exited // it may have been started anew
		})
	}
}

// storeInto sends an instance and notes it if it was acknowledged.
func storeInto(l *ledger, s *site, number int) int {
	s.t.Helper()
	k := slice(s.t, "disk full", 1, number, 256)
	status := s.storeOne(k)
	if status == 0 {
		k.acknowledged = true
	}
	l.add(k)
	return status
}

// refusedWhileFull tries C-STORE, by hand and by DCMTK, and STOW-RS.
func refusedWhileFull(t *testing.T, s *site, l *ledger) {
	refusals := 0
	for number := 4; number < 12; number++ {
		switch status := storeInto(l, s, number); {
		case status == 0:
		case status&0xFF00 == 0xA700:
			refusals++
		default:
			t.Errorf("C-STORE: status %04X, want A7xx", status)
		}
	}
	if refusals == 0 {
		t.Fatal("the disk was not full")
	}
	out, err := s.storescu(slice(t, "disk full, storescu", 1, 1, 512))
	if err == nil || !strings.Contains(out, "OutOfResources") {
		t.Errorf("storescu: %v\n%s", err, out)
	}
	rsp, err := s.stow(slice(t, "disk full, web", 1, 1, 512))
	if err != nil {
		t.Fatal(err)
	}
	rsp.want(t, http.StatusInsufficientStorage, http.StatusServiceUnavailable)
	if !strings.Contains(string(rsp.body), fmt.Sprint(0xA700)) {
		t.Errorf("STOW: no failure reason A700: %s", rsp.body)
	}
}

// storesAgain stores what was refused, and something new by STOW-RS.
func storesAgain(t *testing.T, s *site, l *ledger) {
	for number := 4; number < 12; number++ {
		if status := storeInto(l, s, number); status != 0 {
			t.Errorf("C-STORE: status %04X", status)
		}
	}
	k := slice(t, "disk full, web", 1, 2, 256)
	k.whole = true
	l.add(k)
	rsp, err := s.stow(k)
	if err != nil {
		t.Fatal(err)
	}
	rsp.want(t, http.StatusOK)
	k.acknowledged = rsp.StatusCode == http.StatusOK
	checkKept(t, s, l)
}

// storeOne sends an instance over an association of its own, by hand.
func (s *site) storeOne(k *kept) int {
	s.t.Helper()
	a := s.associate(ctImageStorage)
	defer a.release()
	return a.store(ctImageStorage, k.instance, datasetOf(s.t, k.file))
}

func (s *site) storescu(k *kept) (string, error) {
	s.t.Helper()
	path := filepath.Join(s.t.TempDir(), "file.dcm")
	if err := os.WriteFile(path, k.file, 0o600); err != nil {
		s.t.Fatal(err)
	}
	out, err := exec.Command("storescu", append(append([]string{"-v", "-R"}, s.peer()...), path)...).CombinedOutput()
	return string(out), err
}

// smallDisk mounts a file system of 24 MB, which takes root.
func smallDisk(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=24m"); err != nil {
		if os.Getenv("CI") != "" && os.Getuid() == 0 {
			t.Fatalf("mount: %v", err)
		}
		t.Skipf("mount: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	return dir
}

// fill writes until there is no room, but for some 300 kB.
func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	size, block := int64(0), make([]byte, 64<<10)
	for {
		n, err := f.Write(block)
		if size += int64(n); err != nil {
			break
		}
	}
	if err := f.Truncate(size - 300<<10); err != nil {
		t.Fatal(err)
	}
}
