package dimse

import (
	"context"
	"fmt"
	"io"
	"testing"

	"pharos/internal/access"
	"pharos/internal/archive"
	"pharos/internal/dicom"
	"pharos/internal/dicom/dicomtest"
)

// discarding is an archive that reads what arrives and keeps nothing.
type discarding struct{ archive.Archive }

func (discarding) Store(_ context.Context, in *archive.Incoming, _ access.AlbumID) (archive.Receipt, error) {
	n, err := in.WriteTo(io.Discard)
	return archive.Receipt{Ref: in.Ref, Size: n}, err
}

// BenchmarkStore sends an instance again and again over loopback, client and server
// together: of a CT's size and of a small one's.
func BenchmarkStore(b *testing.B) {
	for _, size := range []int{512, 96} {
		file := dicomtest.Bytes(b, dicomtest.CT(dicomtest.WithSize(size, size)), dicom.ExplicitVRLittleEndian)
		b.Run(fmt.Sprintf("%dkB", len(file)/1000), func(b *testing.B) {
			s := open(b, func(c *ServerConfig) { c.Archive = discarding{} })
			o := object(b, file)
			c := s.dial(offersFor(o)...)
			b.SetBytes(int64(len(file)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := c.Store(context.Background(), o); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
