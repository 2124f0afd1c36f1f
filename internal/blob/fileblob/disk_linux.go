package fileblob

import (
	"errors"
	"fmt"
	"io"

	"golang.org/x/sys/unix"
)

// maxBuffers is Linux's limit of buffers in one pwritev (UIO_MAXIOV).
const maxBuffers = 1024

func (f osFile) writev(bufs [][]byte, off int64) error {
	for len(bufs) > 0 {
		n, err := unix.Pwritev(int(f.Fd()), bufs[:min(len(bufs), maxBuffers)], off)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return fmt.Errorf("write %s: %w", f.Name(), err)
		case n == 0:
			return fmt.Errorf("write %s: %w", f.Name(), io.ErrShortWrite)
		}
		off += int64(n)
		bufs = advance(bufs, n)
	}
	return nil
}

// advance drops the first n bytes. It changes the elements of bufs.
func advance(bufs [][]byte, n int) [][]byte {
	for len(bufs) > 0 && n >= len(bufs[0]) {
		n -= len(bufs[0])
		bufs = bufs[1:]
	}
	if n > 0 {
		bufs[0] = bufs[0][n:]
	}
	return bufs
}

// sync uses fdatasync: it writes the size, which is needed to read the bytes, and
// leaves out the times, which are not.
func (f osFile) sync() error {
	for {
		err := unix.Fdatasync(int(f.Fd()))
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return fmt.Errorf("fdatasync %s: %w", f.Name(), err)
		}
		return nil
	}
}

// readBefore tells by RWF_NOWAIT what is in memory, so that the hint, which looks at every
// page of the range, costs nothing there.
func (f osFile) readBefore(next extent, p []byte, off int64) (int, error) {
	n, err := unix.Preadv2(int(f.Fd()), [][]byte{p}, off, unix.RWF_NOWAIT)
	if err == nil && n == len(p) {
		return n, nil
	}
	if next.n > 0 { // 0 would mean to the end of the file
		_ = unix.Fadvise(int(f.Fd()), next.off, next.n, unix.FADV_WILLNEED) // a hint may go unheard
	}
	return f.ReadAt(p, off)
}

func (f osFile) punch(off, n int64) error {
	err := unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, off, n)
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOSYS) {
		return errors.ErrUnsupported
	}
	if err != nil {
		return fmt.Errorf("punch hole in %s: %w", f.Name(), err)
	}
	return nil
}

// diskRoom returns the bytes of the file system of dir that are free for this process,
// and those that it has in all.
func diskRoom(dir string) (free, total int64, err error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, 0, err
	}
	return int64(st.Bavail) * st.Bsize, int64(st.Blocks) * st.Bsize, nil
}
