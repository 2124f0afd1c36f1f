package dicomweb

import (
	"io"
	"os"

	"pharos/internal/dicom"
)

// spool keeps the bulk data of a request in a temporary file, one value behind the
// other, so that it costs no memory and may come in any order.
type spool struct {
	file   *os.File
	size   int64
	values map[string][]spooled // by Content-Location; several are the frames of one value
	count  int
}

// spooled is one value in the file.
type spooled struct {
	at          dicom.Range
	contentType string
}

// maxSpooled bounds the parts with bulk data in one request.
const maxSpooled = 1_000_000

// newSpool makes the file and takes its name away, so that nothing is left of it
// whatever happens.
func newSpool(dir string) (*spool, error) {
	file, err := os.CreateTemp(dir, "pharos-stow-*")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(file.Name()); err != nil {
		_ = file.Close() // the first error is the one to tell
		return nil, err
	}
	return &spool{file: file, values: make(map[string][]spooled)}, nil
}

// close frees the space.
func (s *spool) close() { _ = s.file.Close() } // only read from by now

// add copies a part into the file, padded to even length (PS3.5 §7.1.1).
func (s *spool) add(p *part) error {
	if s.count++; p.location == "" || s.count > maxSpooled {
		return badRequest("a part with bulk data has no Content-Location, or there are too many of them")
	}
	n, err := io.Copy(s.file, p)
	if err != nil {
		return err
	}
	if n%2 == 1 {
		if _, err := s.file.Write([]byte{0}); err != nil {
			return err
		}
		n++
	}
	s.values[p.location] = append(s.values[p.location], spooled{dicom.Range{Offset: s.size, Length: n}, p.contentType})
	s.size += n
	return nil
}

// open implements dicom.Source.
func (s *spool) open(r dicom.Range) (io.ReadCloser, error) {
	return io.NopCloser(io.NewSectionReader(s.file, r.Offset, r.Length)), nil
}
