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

func (f osFile) punch(int64, int64) error { return errors.ErrUnsupported }
