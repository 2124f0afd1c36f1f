package fileblob

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"pharos/internal/blob"
)

// bareLog is the least that a durable log can do: append under a lock, and share
// fdatasync. It is the ceiling to compare with.
type bareLog struct {
	file osFile
	mu   sync.Mutex
	end  int64

	synced  int64
	syncing bool
	cond    *sync.Cond
}

func (l *bareLog) append(p []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, err := l.file.WriteAt(p, l.end); err != nil {
		return err
	}
	l.end += int64(len(p))
	for mine := l.end; l.synced < mine; {
		if l.syncing {
			l.cond.Wait()
			continue
		}
		l.syncing = true
		end := l.end
		l.mu.Unlock()
		err := l.file.sync()
		l.mu.Lock()
		l.syncing = false
		if err != nil {
			return err
		}
		l.synced = end
		l.cond.Broadcast()
	}
	return nil
}

// parallel shares b.N calls among goroutines.
func parallel(b *testing.B, goroutines int, f func() error) {
	var left atomic.Int64
	left.Store(int64(b.N))
	var wg sync.WaitGroup
	b.ResetTimer()
	for range goroutines {
		wg.Go(func() {
			for left.Add(-1) >= 0 {
				if err := f(); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "blobs/s")
}

func BenchmarkAppend(b *testing.B) {
	for _, size := range []int{526_000, 20_500} {
		p := make([]byte, size)
		if _, err := io.ReadFull(randomBytes(1), p); err != nil {
			b.Fatal(err)
		}
		for _, goroutines := range []int{1, 4} {
			b.Run(fmt.Sprintf("bare/%d/x%d", size, goroutines), func(b *testing.B) {
				f, err := os.Create(filepath.Join(b.TempDir(), "log"))
				if err != nil {
					b.Fatal(err)
				}
				defer closeQuietly(f)
				l := &bareLog{file: osFile{f}}
				l.cond = sync.NewCond(&l.mu)
				b.SetBytes(int64(size))
				parallel(b, goroutines, func() error { return l.append(p) })
			})
			b.Run(fmt.Sprintf("store/%d/x%d", size, goroutines), func(b *testing.B) {
				s := mustOpen(b, b.TempDir(), Options{})
				b.SetBytes(int64(size))
				b.ReportAllocs()
				parallel(b, goroutines, func() error {
					_, err := write(s, p)
					return err
				})
			})
		}
	}
}

// write commits p as io.Copy would hand it over.
func write(s *Store, p []byte) (blob.Info, error) {
	w, err := s.Create(context.Background())
	if err != nil {
		return blob.Info{}, err
	}
	defer w.Abort()
	for len(p) > 0 {
		n := min(len(p), 32<<10)
		if _, err := w.Write(p[:n]); err != nil {
			return blob.Info{}, err
		}
		p = p[n:]
	}
	return w.Commit()
}

// BenchmarkRead reads ranges from the middle of blobs of 3 MiB, which lie in the log
// or in files of their own.
func BenchmarkRead(b *testing.B) {
	conn := sink(b)
	for where, opts := range map[string]Options{"log": {}, "file": {LargeFrom: 1 << 20}} {
		s := mustOpen(b, b.TempDir(), opts)
		keys := fill(b, s, 64, 3<<20)
		for _, n := range []int64{16 << 10, 512 << 10} {
			for name, w := range map[string]io.Writer{"discard": struct{ io.Writer }{io.Discard}, "tcp": conn} {
				b.Run(fmt.Sprintf("%s/%s/%d", where, name, n), func(b *testing.B) {
					b.SetBytes(n)
					b.ReportAllocs()
					for i := range b.N {
						readRange(b, s, keys[i%len(keys)], 1<<20, n, w)
					}
				})
			}
		}
	}
}

func readRange(b *testing.B, s *Store, k blob.Key, off, n int64, w io.Writer) {
	r, err := s.Open(context.Background(), k, off, n)
	if err != nil {
		b.Fatal(err)
	}
	if _, err := io.Copy(w, r); err != nil {
		b.Fatal(err)
	}
	if err := r.Close(); err != nil {
		b.Fatal(err)
	}
}

func fill(b *testing.B, s *Store, blobs, size int) []blob.Key {
	var keys []blob.Key
	p := make([]byte, size)
	for range blobs {
		info, err := write(s, p)
		if err != nil {
			b.Fatal(err)
		}
		keys = append(keys, info.Key)
	}
	return keys
}

// BenchmarkMillion measures what grows with the number of records: 1,000,000 of
// 1 kB in one segment.
func BenchmarkMillion(b *testing.B) {
	dir := b.TempDir()
	s, err := Open(dir, Options{SegmentSize: 2 << 30})
	if err != nil {
		b.Fatal(err)
	}
	p := make([]byte, 1000)
	for range 1_000_000 {
		r := record{kind: kindInline, size: int64(len(p)), sum: checksum(0, p)}
		g, _, err := s.append(r, [][]byte{p}, "")
		if err != nil {
			b.Fatal(err)
		}
		s.segments.release(g)
	}
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
	open := func(b *testing.B) *Store {
		s, err := Open(dir, Options{SegmentSize: 2 << 30})
		if err != nil {
			b.Fatal(err)
		}
		return s
	}
	b.Run("open/clean", func(b *testing.B) {
		for range b.N {
			closeQuietly(open(b))
		}
	})
	b.Run("open/without checkpoint", func(b *testing.B) {
		for range b.N {
			if err := os.Remove(filepath.Join(dir, "CHECKPOINT")); err != nil {
				b.Fatal(err)
			}
			closeQuietly(open(b))
		}
	})
	b.Run("open/64 MiB behind the checkpoint", func(b *testing.B) {
		s := open(b)
		c := checkpoint{segment: 1, id: s.active.id, offset: s.active.end.Load() - checkpointEvery}
		closeQuietly(s)
		for range b.N {
			if err := os.WriteFile(filepath.Join(dir, "CHECKPOINT"), c.encode(), 0o600); err != nil {
				b.Fatal(err)
			}
			closeQuietly(open(b))
		}
	})
	b.Run("list", func(b *testing.B) {
		s := open(b)
		defer closeQuietly(s)
		for range b.N {
			for _, err := range s.List(context.Background(), "") {
				if err != nil {
					b.Fatal(err)
				}
			}
		}
	})
}

// sink is a TCP connection whose other end throws everything away.
func sink(b *testing.B) net.Conn {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer closeQuietly(l)
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	peer, err := l.Accept()
	if err != nil {
		b.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.Copy(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{peer})
	}()
	b.Cleanup(func() {
		closeQuietly(conn)
		<-done
		closeQuietly(peer)
	})
	return conn
}
