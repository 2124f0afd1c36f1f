package fileblob

import (
	"fmt"

	"pharos/internal/blob"
)

// room says by blob.ErrFull that n more bytes would use the reserve. What can't be
// learned does not stop anybody: then the disk itself tells when it is full.
func (s *Store) room(n int64) error {
	if s.opts.Reserve < 0 {
		return nil
	}
	free, total, err := diskRoom(s.dir)
	if err != nil {
		return nil //nolint:nilerr // see above
	}
	if reserve := min(s.opts.Reserve, total/10); free-n < reserve {
		return fmt.Errorf("%w: %d bytes are free, of which %d stay in reserve", blob.ErrFull, free, reserve)
	}
	return nil
}
