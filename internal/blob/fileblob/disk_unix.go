//go:build unix && !linux

package fileblob

import "errors"

func (f osFile) writev(bufs [][]byte, off int64) error {
	for _, b := range bufs {
		n, err := f.WriteAt(b, off)
		if err != nil {
			return err
		}
		off += int64(n)
	}
	return nil
}

func (f osFile) sync() error { return f.Sync() }

func (f osFile) readBefore(_ extent, p []byte, off int64) (int, error) { return f.ReadAt(p, off) }

func (f osFile) punch(int64, int64) error { return errors.ErrUnsupported }

func diskRoom(string) (free, total int64, err error) { return 0, 0, errors.ErrUnsupported }
