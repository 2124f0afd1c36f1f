package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// appendLog stores objects of the cell's size by the least that is durable: one file to
// which every connection appends, and one fdatasync for all that wait for one. An
// acknowledgement is one byte.
func (b *bench) appendLog(ctx context.Context, c storeCell) (s sample, err error) {
	l, err := openLog(filepath.Join(b.dir, "ceiling.log"), c.kind.size())
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, l.close()) }()
	return drive(ctx, c.clients, 0, c.count, func(ctx context.Context) (client, error) {
		var d net.Dialer
		conn, err := d.DialContext(ctx, "tcp", l.listener.Addr().String())
		return &logClient{conn: conn, instance: c.kind.instance()}, err
	})
}

// logClient sends objects to an appendLog.
type logClient struct {
	conn     net.Conn
	instance *instance
}

func (c *logClient) do(context.Context, int) (int64, error) {
	size := c.instance.size()
	head := binary.BigEndian.AppendUint64(nil, uint64(size))
	message := append(net.Buffers{head}, c.instance.buffers()...)
	if _, err := message.WriteTo(c.conn); err != nil {
		return 0, err
	}
	_, err := io.ReadFull(c.conn, head[:1])
	return size, err
}

func (c *logClient) close(context.Context) error { return c.conn.Close() }

// bareLog is the server of appendLog.
type bareLog struct {
	listener net.Listener
	file     *os.File
	size     int64 // of an object
	served   sync.WaitGroup

	mu      sync.Mutex
	cond    *sync.Cond
	written int // objects in the file
	durable int // of these
	syncing bool
	err     error
}

func openLog(path string, size int64) (*bareLog, error) {
	file, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it does not wait
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	l := &bareLog{listener: ln, file: file, size: size}
	l.cond = sync.NewCond(&l.mu)
	l.served.Go(l.accept)
	return l, nil
}

func (l *bareLog) close() error {
	err := l.listener.Close()
	l.served.Wait()
	return errors.Join(err, l.err, l.file.Close(), os.Remove(l.file.Name()))
}

func (l *bareLog) accept() {
	for {
		conn, err := l.listener.Accept()
		if err != nil {
			return // closed
		}
		l.served.Go(func() {
			defer conn.Close() //nolint:errcheck // the client has what it needs
			l.serve(conn)
		})
	}
}

// serve ends when the client does.
func (l *bareLog) serve(conn net.Conn) {
	message := make([]byte, 8+l.size)
	for {
		if _, err := io.ReadFull(conn, message); err != nil {
			return
		}
		if l.append(message[8:]) != nil {
			return
		}
		if _, err := conn.Write(message[:1]); err != nil {
			return
		}
	}
}

// append returns when the object is durable.
func (l *bareLog) append(object []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, err := l.file.Write(object); err != nil {
		l.err = err
	}
	l.written++
	for mine := l.written; l.durable < mine && l.err == nil; {
		if l.syncing {
			l.cond.Wait()
			continue
		}
		l.syncing = true
		through := l.written
		l.mu.Unlock()
		err := dataSync(l.file)
		l.mu.Lock()
		l.syncing, l.durable, l.err = false, through, err
		l.cond.Broadcast()
	}
	return l.err
}

// fileServer sends files with io.Copy and knows nothing else: /N is file N, /all is
// every file in one body.
type fileServer struct {
	server *http.Server
	dir    string
	files  int
	size   int64
	port   int
	served sync.WaitGroup
}

// openFileServer writes so many instances of a template and serves them.
func openFileServer(dir string, kind *template, files int) (*fileServer, error) {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	f := &fileServer{dir: dir, files: files, size: kind.size()}
	one := kind.instance()
	for i := range files {
		one.become(identity{instance: i})
		if err := writeFile(f.path(i), one.buffers()); err != nil {
			return nil, err
		}
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it does not wait
	if err != nil {
		return nil, err
	}
	f.port = ln.Addr().(*net.TCPAddr).Port
	mux := http.NewServeMux()
	mux.HandleFunc("/all", func(w http.ResponseWriter, _ *http.Request) { f.send(w, 0, f.files) })
	mux.HandleFunc("/one/{n}", func(w http.ResponseWriter, r *http.Request) {
		n := 0
		if _, err := fmt.Sscan(r.PathValue("n"), &n); err != nil || n < 0 || n >= f.files {
			http.NotFound(w, r)
			return
		}
		f.send(w, n, n+1)
	})
	f.server = &http.Server{Handler: mux, ReadHeaderTimeout: time.Minute}
	f.served.Go(func() { _ = f.server.Serve(ln) }) // it always says that it was closed
	return f, nil
}

func (f *fileServer) path(i int) string { return filepath.Join(f.dir, fmt.Sprint(i)) }

func writeFile(path string, content net.Buffers) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	_, err = content.WriteTo(file)
	return errors.Join(err, file.Close())
}

// send sends files from..to in one body. What fails shows as a body that is too short.
func (f *fileServer) send(w http.ResponseWriter, from, to int) {
	w.Header().Set("Content-Length", fmt.Sprint(f.size*int64(to-from)))
	for i := from; i < to; i++ {
		file, err := os.Open(f.path(i))
		if err != nil {
			return
		}
		_, err = io.Copy(w, file)
		_ = file.Close() // only read from
		if err != nil {
			return
		}
	}
}

func (f *fileServer) close() error {
	err := f.server.Close()
	f.served.Wait()
	return errors.Join(err, os.RemoveAll(f.dir))
}
