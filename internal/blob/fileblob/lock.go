package fileblob

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// lockDir makes this process the only user of the directory. The kernel frees the
// lock when the process ends, however it ends.
func lockDir(dir string) (*os.File, error) {
	name := filepath.Join(dir, "LOCK")
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, wrap("lock", err)
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	switch {
	case err == nil:
		err = f.Truncate(0)
		if err == nil {
			_, err = fmt.Fprintln(f, os.Getpid())
		}
	case errors.Is(err, unix.EWOULDBLOCK):
		err = fmt.Errorf("directory %s is in use by process %s: stop that process, or give this one a directory of its own", dir, owner(f))
	default:
		err = fmt.Errorf("flock %s: %w", name, err)
	}
	if err != nil {
		closeQuietly(f)
		return nil, wrap("lock", err)
	}
	return f, nil
}

// owner is the process id that the holder of the lock left in the file.
func owner(f *os.File) string {
	b, err := io.ReadAll(io.LimitReader(f, 20))
	if pid := strings.TrimSpace(string(b)); err == nil && pid != "" {
		return pid
	}
	return "unknown"
}
