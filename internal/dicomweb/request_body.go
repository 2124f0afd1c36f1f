package dicomweb

import (
	"compress/flate"
	"compress/zlib"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	fastflate "github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/gzip"
)

const (
	// progress is how many bytes must arrive within the idle time: without it, a byte a
	// minute would hold a connection for ever.
	progress = 16 << 10
	// freeInflation is how many bytes a compressed body may inflate to whatever its
	// size.
	freeInflation = 64 << 20
)

// requestBody is the body as the client meant it: inflated, and cut off when it stands
// still.
func (s *server) requestBody(w *reply, r *http.Request) (io.Reader, error) {
	raw := &patientReader{r: r.Body, control: w.control, idle: s.limits.Idle}
	raw.extend()
	switch strings.ToLower(strings.TrimSpace(r.Header.Get("Content-Encoding"))) {
	case "", "identity":
		return raw, nil
	case "gzip", "x-gzip":
		z, err := gzip.NewReader(raw)
		if err != nil {
			return nil, badRequest("the body is not compressed as its Content-Encoding says")
		}
		return &inflationCap{r: z, raw: raw, ratio: s.limits.Inflation}, nil
	case "deflate":
		z, err := zlib.NewReader(raw)
		if err != nil {
			return nil, badRequest("the body is not compressed as its Content-Encoding says")
		}
		return &inflationCap{r: z, raw: raw, ratio: s.limits.Inflation}, nil
	}
	return nil, &requestError{http.StatusUnsupportedMediaType, "the Content-Encoding of the body can be gzip, deflate or identity"}
}

// patientReader gives the client the idle time for each 16 kB.
type patientReader struct {
	r       io.Reader
	control *http.ResponseController
	idle    time.Duration
	n       int64 // bytes read
	owed    int64 // the deadline moves when n gets here
}

// Read implements io.Reader.
func (p *patientReader) Read(b []byte) (int, error) {
	n, err := p.r.Read(b)
	if p.n += int64(n); p.n >= p.owed {
		p.extend()
	}
	return n, err
}

func (p *patientReader) extend() {
	p.owed = p.n + progress
	// Not every connection has deadlines; those of net/http do.
	_ = p.control.SetReadDeadline(time.Now().Add(p.idle))
}

// inflationCap refuses bodies that inflate to a great many times their size.
type inflationCap struct {
	r     io.Reader
	raw   *patientReader
	ratio int64
	n     int64
}

// Read implements io.Reader.
func (c *inflationCap) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	if c.n += int64(n); c.n-freeInflation > c.ratio*c.raw.n {
		return 0, &requestError{http.StatusRequestEntityTooLarge, "the compressed body inflates to too many times its size"}
	}
	if errors.Is(err, gzip.ErrChecksum) || errors.Is(err, gzip.ErrHeader) || errors.Is(err, zlib.ErrChecksum) || isCorrupt(err) {
		err = badRequest("the body is not compressed as its Content-Encoding says")
	}
	return n, err
}

// isCorrupt recognises what the inflaters say of broken input.
func isCorrupt(err error) bool {
	var ours flate.CorruptInputError
	var theirs fastflate.CorruptInputError
	return errors.As(err, &ours) || errors.As(err, &theirs)
}
