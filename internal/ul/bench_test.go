package ul

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"testing"
)

const benchSize = 512 << 10 // one CT instance

// sink receives messages with data sets and acknowledges each, as a storage SCP
// does.
func sink(read func(*DataSetReader) error) func(*Association) error {
	return func(a *Association) error {
		reply := make([]byte, 120)
		for {
			m, err := a.Receive()
			if err != nil {
				return err
			}
			if err := read(a.OpenDataSet(m.ContextID)); err != nil {
				return err
			}
			if err := a.Send(m.ContextID, reply); err != nil {
				return err
			}
		}
	}
}

// discard hides the io.ReaderFrom of io.Discard, whose buffers are small.
type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }

func writeTo(r *DataSetReader) error {
	_, err := r.WriteTo(discard{})
	return err
}

func benchmarkStore(b *testing.B, maxPDU uint32, config *tls.Config, clientTLS *tls.Config, read func(*DataSetReader) error) {
	ln := listen(b)
	go func() {
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		if config != nil {
			conn = tls.Server(conn, config)
		}
		a, err := Accept(context.Background(), conn, &AcceptorConfig{Negotiate: acceptAll, Limits: Limits{MaxPDU: maxPDU}})
		if err != nil {
			return
		}
		_ = sink(read)(a)
		_ = a.Close()
	}()
	request := verification("BENCH")
	request.TLS = clientTLS
	a, err := Dial(context.Background(), "tcp", ln.Addr().String(), request)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = a.Close() }()
	command, data := make([]byte, 200), make([]byte, benchSize)
	b.SetBytes(benchSize)
	b.ReportAllocs()
	source := bytes.NewReader(nil)
	for b.Loop() {
		w, err := a.SendWithDataSet(3, command)
		if err != nil {
			b.Fatal(err)
		}
		source.Reset(data)
		if _, err := w.ReadFrom(source); err != nil {
			b.Fatal(err)
		}
		if err := w.Close(); err != nil {
			b.Fatal(err)
		}
		if _, err := a.Receive(); err != nil {
			b.Fatal(err)
		}
	}
	if err := a.Release(context.Background()); err != nil {
		b.Error(err)
	}
}

func BenchmarkStoreWriteTo128K(b *testing.B) { benchmarkStore(b, 128<<10, nil, nil, writeTo) }
func BenchmarkStoreWriteTo16K(b *testing.B)  { benchmarkStore(b, 16<<10, nil, nil, writeTo) }

func BenchmarkStoreRead128K(b *testing.B) {
	buf := make([]byte, 256<<10)
	benchmarkStore(b, 128<<10, nil, nil, func(r *DataSetReader) error {
		for {
			_, err := r.Read(buf)
			if errors.Is(err, io.EOF) {
				return nil
			}
			if err != nil {
				return err
			}
		}
	})
}

func BenchmarkStoreTLS(b *testing.B) {
	p := newPKI(b)
	server, err := ServerTLS(ProfileBCP195, p.load(b, "server"), ClientCertificateNone, nil)
	if err != nil {
		b.Fatal(err)
	}
	benchmarkStore(b, 128<<10, server, ClientTLS(ProfileBCP195, nil, p.authorities(b), "localhost"), writeTo)
}

// BenchmarkLoopback is the limit that the store benchmarks can come near to: the
// same bytes and acknowledgements without PDUs.
func BenchmarkLoopback(b *testing.B) {
	conn, raw := listen(b).pair(b)
	go func() {
		buf := make([]byte, 64<<10)
		for {
			if _, err := io.CopyBuffer(discard{}, io.LimitReader(struct{ io.Reader }{conn}, benchSize), buf); err != nil {
				return
			}
			if _, err := conn.Write(buf[:130]); err != nil {
				return
			}
		}
	}()
	data, reply := make([]byte, benchSize), make([]byte, 130)
	b.SetBytes(benchSize)
	for b.Loop() {
		if _, err := raw.Write(data); err != nil {
			b.Fatal(err)
		}
		if _, err := io.ReadFull(raw, reply); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEcho(b *testing.B) {
	addr, _ := acceptOne(b, &AcceptorConfig{}, func(a *Association) error { return answerEchoes(context.Background(), a) })
	a, err := Dial(context.Background(), "tcp", addr.String(), verification("BENCH"))
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = a.Close() }()
	command := echo(0x0030, 1)
	b.ReportAllocs()
	for b.Loop() {
		if err := a.Send(1, command); err != nil {
			b.Fatal(err)
		}
		if _, err := a.Receive(); err != nil {
			b.Fatal(err)
		}
	}
}
