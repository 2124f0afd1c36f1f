package fileblob

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"pharos/internal/blob"
)

// file is what the log needs of a file. The tests put a disk that fails
// behind it.
type file interface {
	io.ReaderAt
	io.Closer
	// readBefore is ReadAt for those who are going to read another range next: when
	// p has to come from the disk, the disk begins with that range too. The range
	// may go beyond the end.
	readBefore(next extent, p []byte, off int64) (int, error)
	// writev writes all the buffers in order, from the offset on.
	writev(bufs [][]byte, off int64) error
	// sync makes bytes and size durable.
	sync() error
	truncate(size int64) error
	// punch gives the room of a range back; errors.ErrUnsupported where that
	// cannot be done.
	punch(off, n int64) error
	// usage reports the file's size and the bytes it occupies on the disk.
	usage() (size, occupied int64, err error)
}

// extent is a range of a file.
type extent struct{ off, n int64 }

// opener opens a segment or the checkpoint.
type opener func(name string, flag int) (file, error)

type osFile struct{ *os.File }

func openFile(name string, flag int) (file, error) {
	f, err := os.OpenFile(name, flag, 0o600)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

func (f osFile) truncate(size int64) error { return f.Truncate(size) }

func (f osFile) usage() (size, occupied int64, err error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return 0, 0, fmt.Errorf("stat %s: %w", f.Name(), err)
	}
	return st.Size, st.Blocks * 512, nil // 512 whatever the block size: stat(2)
}

// readOnly is a file that can only be read.
type readOnly struct{ file }

func (readOnly) writev([][]byte, int64) error { return unix.EROFS }
func (readOnly) truncate(int64) error         { return unix.EROFS }
func (readOnly) punch(int64, int64) error     { return unix.EROFS }

// syncDir makes the entries of a directory durable.
func syncDir(name string) error {
	d, err := os.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// wrap names the operation and translates the errors of the disk that callers
// tell apart.
func wrap(op string, err error) error {
	if err == nil {
		return nil
	}
	for _, sentinel := range []error{blob.ErrFull, blob.ErrReadOnly, blob.ErrNotExist, blob.ErrCorrupt} {
		if errors.Is(err, sentinel) {
			return fmt.Errorf("fileblob: %s: %w", op, err)
		}
	}
	switch {
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT):
		return fmt.Errorf("fileblob: %s: %w: %w", op, blob.ErrFull, err)
	case errors.Is(err, unix.EROFS):
		return fmt.Errorf("fileblob: %s: %w: %w", op, blob.ErrReadOnly, err)
	}
	return fmt.Errorf("fileblob: %s: %w", op, err)
}
