package fileblob

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"testing"
)

// BenchmarkRhythm stores as servers do: each sender sends a blob over TCP, waits until
// it is durable, and only then sends the next one. What grouping gains shows here and
// not in BenchmarkAppend, whose goroutines come back at once.
func BenchmarkRhythm(b *testing.B) {
	for _, size := range []int64{526_000, 20_500} {
		for _, senders := range []int{1, 2, 4, 8} {
			b.Run(fmt.Sprintf("%d/x%d", size, senders), func(b *testing.B) {
				s := mustOpen(b, b.TempDir(), Options{})
				p := make([]byte, size)
				if _, err := io.ReadFull(randomBytes(1), p); err != nil {
					b.Fatal(err)
				}
				conns := make(chan net.Conn, senders)
				for range senders {
					conns <- receiver(b, s, size)
				}
				b.SetBytes(size)
				parallel(b, senders, func() error {
					c := <-conns
					defer func() { conns <- c }()
					if _, err := c.Write(p); err != nil {
						return err
					}
					_, err := io.ReadFull(c, make([]byte, 1))
					return err
				})
			})
		}
	}
}

// receiver is a connection whose other end commits blobs of a size and answers each
// with one byte.
func receiver(b *testing.B, s *Store, size int64) net.Conn {
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
		defer closeQuietly(peer)
		for receive(s, peer, size) == nil {
			if _, err := peer.Write([]byte{1}); err != nil {
				return
			}
		}
	}()
	b.Cleanup(func() {
		closeQuietly(conn)
		<-done
	})
	return conn
}

func receive(s *Store, from io.Reader, size int64) error {
	w, err := s.Create(context.Background())
	if err != nil {
		return err
	}
	defer w.Abort()
	to := struct{ io.Writer }{io.MultiWriter(w, sha256.New())}
	if _, err := io.CopyN(to, struct{ io.Reader }{from}, size); err != nil {
		return err
	}
	_, err = w.Commit()
	return err
}
