package fileblob

import (
	"bufio"
	"context"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"pharos/internal/blob"
)

// childDir names the variable that turns the test binary into the process that is
// killed: it writes to the store in that directory for ever.
const (
	childDir  = "FILEBLOB_TEST_CHILD_DIR"
	childSeed = "FILEBLOB_TEST_CHILD_SEED"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		if err := child(dir, os.Getenv(childSeed)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

var killOptions = Options{SegmentSize: 1 << 20, LargeFrom: 80_000, OpenSegments: 4}

// child prints one line for each thing that it knows: "put KEY SHA256" after a
// commit, "del KEY" before a deletion and "gone KEY" after it.
func child(dir, seed string) error {
	n, err := strconv.ParseUint(seed, 10, 64)
	if err != nil {
		return err
	}
	s, err := Open(dir, killOptions)
	if err != nil {
		return err
	}
	errs := make(chan error)
	for w := range uint64(4) {
		go func() { errs <- childWriter(s, rand.New(rand.NewPCG(n, w))) }()
	}
	return <-errs
}

func childWriter(s *Store, rng *rand.Rand) error {
	for {
		size := rng.IntN(20_000)
		if rng.IntN(10) == 0 {
			size = rng.IntN(200_000)
		}
		p := pattern(byte(rng.IntN(256)), size)
		info, err := write(s, p)
		if err != nil {
			return err
		}
		// One write of a short line to a pipe is never torn.
		if _, err := fmt.Printf("put %s %x\n", info.Key, sha256.Sum256(p)); err != nil {
			return err
		}
		if rng.IntN(3) > 0 {
			continue
		}
		if _, err := fmt.Printf("del %s\n", info.Key); err != nil {
			return err
		}
		if err := s.Delete(context.Background(), info.Key); err != nil {
			return err
		}
		if _, err := fmt.Printf("gone %s\n", info.Key); err != nil {
			return err
		}
	}
}

// told is what the children said.
type told struct {
	sums    map[blob.Key]string
	maybe   map[blob.Key]bool // a deletion was begun
	deleted map[blob.Key]bool
}

func (k *told) line(line string) {
	f := strings.Fields(line)
	switch {
	case len(f) == 3 && f[0] == "put":
		k.sums[blob.Key(f[1])] = f[2]
	case len(f) == 2 && f[0] == "del":
		k.maybe[blob.Key(f[1])] = true
	case len(f) == 2 && f[0] == "gone":
		k.deleted[blob.Key(f[1])] = true
	}
}

func TestAKilledProcessLosesNothingAcknowledged(t *testing.T) {
	rounds := 30
	if testing.Short() {
		rounds = 5
	}
	dir := t.TempDir()
	rng := rand.New(rand.NewPCG(1, 2))
	know := &told{map[blob.Key]string{}, map[blob.Key]bool{}, map[blob.Key]bool{}}
	for round := range rounds {
		runAndKill(t, dir, round, time.Duration(rng.IntN(60_000))*time.Microsecond, know)
		s, err := Open(dir, killOptions)
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		checkTold(t, s, know)
		if round%4 == 3 { // mostly leave no clean end behind
			err = s.Close()
		} else {
			err = s.lock.Close()
		}
		if err != nil || t.Failed() {
			t.Fatalf("round %d: %v", round, err)
		}
	}
	t.Logf("%d commits and %d deletions were acknowledged", len(know.sums), len(know.deleted))
}

// runAndKill runs a child until the delay after its first line has passed.
func runAndKill(t *testing.T, dir string, seed int, delay time.Duration, know *told) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), childDir+"="+dir, childSeed+"="+strconv.Itoa(seed))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for n := 0; lines.Scan(); n++ {
		if n == 0 {
			checkBusy(t, dir, cmd.Process.Pid)
			time.AfterFunc(delay, func() { _ = cmd.Process.Kill() })
		}
		know.line(lines.Text())
	}
	if err := cmd.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Fatalf("child: %v", err)
	}
}

// checkBusy expects that two processes cannot have the store.
func checkBusy(t *testing.T, dir string, pid int) {
	t.Helper()
	s, err := Open(dir, killOptions)
	if err == nil {
		closeQuietly(s)
		t.Error("two processes have the store")
	} else if !strings.Contains(err.Error(), fmt.Sprintf("process %d:", pid)) {
		t.Errorf("the error does not name the process: %v", err)
	}
}

func checkTold(t *testing.T, s *Store, know *told) {
	t.Helper()
	listed := map[blob.Key]bool{}
	for info, err := range s.List(t.Context(), "") {
		if err != nil {
			t.Fatalf("list: %v", err)
		}
		listed[info.Key] = true
		if err := s.Verify(t.Context(), info.Key); err != nil {
			t.Errorf("listed, but: %v", err)
		}
		if know.deleted[info.Key] {
			t.Errorf("deleted blob %q is back", info.Key)
		}
	}
	for k, sum := range know.sums {
		if know.deleted[k] || know.maybe[k] {
			continue
		}
		p, err := readAll(s, k)
		if err != nil || fmt.Sprintf("%x", sha256.Sum256(p)) != sum || !listed[k] {
			t.Errorf("acknowledged blob %q: %d bytes, listed %v, %v", k, len(p), listed[k], err)
		}
	}
}
