package fileblob

import (
	"context"
	"errors"
	"fmt"
	"io"

	"pharos/internal/blob"
)

// Verify reads a whole blob and compares it with the checksum taken when it was
// written. ErrCorrupt when they differ, ErrNotExist when there is no such blob.
func (s *Store) Verify(ctx context.Context, k blob.Key) error {
	return wrap(fmt.Sprintf("verify %q", k), s.verify(ctx, k))
}

func (s *Store) verify(ctx context.Context, k blob.Key) error {
	g, r, err := s.find(k)
	if err != nil {
		return err
	}
	bytes, err := s.read(g, r, 0, r.size)
	if err != nil {
		return err
	}
	defer closeQuietly(bytes)
	return s.compare(ctx, bytes, r)
}

// compare checks bytes against the size and checksum of their record.
func (s *Store) compare(ctx context.Context, bytes io.Reader, r record) error {
	b := s.blocks.Get().(*[readSize]byte)
	defer s.blocks.Put(b)
	sum, left := uint32(0), r.size
	for left > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := io.ReadFull(bytes, b[:min(left, readSize)])
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return fmt.Errorf("bytes end early: %w", blob.ErrCorrupt)
		}
		if err != nil {
			return err
		}
		sum = checksum(sum, b[:n])
		left -= int64(n)
	}
	if sum != r.sum {
		return fmt.Errorf("checksum %08x instead of %08x: %w", sum, r.sum, blob.ErrCorrupt)
	}
	return nil
}
