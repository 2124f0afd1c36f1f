package fileblob

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"pharos/internal/blob"
)

// writer collects a small blob in chunks and writes a large one to its own file.
type writer struct {
	store  *Store
	ctx    context.Context
	chunks []*[chunkSize]byte
	size   int64
	sum    uint32
	large  *os.File // nil while the blob fits into the chunks
	err    error    // why no more bytes are taken
}

var errDone = errors.New("writer is committed or aborted")

// Create implements [blob.Store].
func (s *Store) Create(ctx context.Context) (blob.Writer, error) {
	if err := ctx.Err(); err != nil {
		return nil, wrap("create", err)
	}
	return &writer{store: s, ctx: ctx}, nil
}

// Write implements io.Writer.
func (w *writer) Write(p []byte) (int, error) {
	if w.err == nil {
		w.err = w.ctx.Err()
	}
	if w.err == nil && w.large == nil && w.size+int64(len(p)) > w.store.opts.LargeFrom {
		w.err = w.spill()
	}
	if w.err != nil {
		return 0, wrap("write", w.err)
	}
	n := len(p)
	if w.large == nil {
		w.buffer(p)
	} else if n, w.err = 0, w.checkRoom(int64(len(p))); w.err == nil {
		n, w.err = w.large.Write(p)
	}
	w.size += int64(n)
	w.sum = checksum(w.sum, p[:n])
	return n, wrap("write", w.err)
}

func (w *writer) buffer(p []byte) {
	for at := w.size; len(p) > 0; {
		used := int(at % chunkSize)
		if used == 0 {
			w.chunks = append(w.chunks, w.store.chunks.Get().(*[chunkSize]byte))
		}
		n := copy(w.chunks[len(w.chunks)-1][used:], p)
		p = p[n:]
		at += int64(n)
	}
}

// payload is what the chunks hold.
func (w *writer) payload() [][]byte {
	bufs := make([][]byte, len(w.chunks))
	left := w.size
	for i, c := range w.chunks {
		bufs[i] = c[:min(left, chunkSize)]
		left -= chunkSize
	}
	return bufs
}

// checkEvery is how many bytes of a large blob are written between two looks at the room
// that is left.
const checkEvery = 16 << 20

// checkRoom looks from time to time whether there is room for more of a large blob.
func (w *writer) checkRoom(n int64) error {
	if w.size/checkEvery == (w.size+n)/checkEvery {
		return nil
	}
	return w.store.room(checkEvery)
}

// spill moves the blob to a file of its own.
func (w *writer) spill() error {
	f, err := os.CreateTemp(filepath.Join(w.store.dir, "large", "new"), "*")
	if err != nil {
		return err
	}
	w.large = f
	for _, b := range w.payload() {
		if _, err := f.Write(b); err != nil {
			return err
		}
	}
	w.free()
	return nil
}

func (w *writer) free() {
	for _, c := range w.chunks {
		w.store.chunks.Put(c)
	}
	w.chunks = nil
}

// Commit implements [blob.Writer]. The context is not looked at any more once the
// record is in the log: the sync that follows belongs to others too.
func (w *writer) Commit() (blob.Info, error) {
	info, err := w.commit()
	if abort := w.Abort(); err == nil {
		err = abort
	}
	return info, wrap("commit", err)
}

func (w *writer) commit() (blob.Info, error) {
	if w.err == nil {
		w.err = w.ctx.Err()
	}
	if w.err != nil {
		return blob.Info{}, w.err
	}
	r := record{kind: kindInline, size: w.size, sum: w.sum}
	tmp := ""
	if w.large == nil {
		if err := w.store.room(w.size); err != nil {
			return blob.Info{}, err
		}
	}
	if w.large != nil {
		r.kind = kindLarge
		tmp = w.large.Name()
		if err := w.large.Sync(); err != nil {
			return blob.Info{}, fmt.Errorf("sync large blob: %w", err)
		}
	}
	r, segment, err := w.store.commit(r, w.payload(), tmp)
	if err != nil {
		return blob.Info{}, err
	}
	return r.info(segment), nil
}

// Abort implements [blob.Writer].
func (w *writer) Abort() error {
	w.err = errDone
	w.free()
	if w.large == nil {
		return nil
	}
	f := w.large
	w.large = nil
	err := f.Close()
	if gone := os.Remove(f.Name()); !errors.Is(gone, os.ErrNotExist) {
		err = errors.Join(err, gone)
	}
	return wrap("abort", err)
}
