package dicomweb

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"iter"
	"net/http"
	"strings"

	"pharos/internal/access"
	"pharos/internal/archive"
	"pharos/internal/dicom"
)

// listed is how many instances are listed before an answer begins: enough for the size
// and the ETag of nearly every study to be told, and bounded for the others.
const listed = 4096

// listing is the instances of a study, series or instance.
type listing struct {
	known []archive.Instance // the first ones
	whole bool               // there are no others
	next  func() (archive.Instance, error, bool)
	stop  func()
}

// list looks up what ref names. close must be called in the end.
func (s *server) list(ctx context.Context, ref dicom.Ref) (*listing, error) {
	l := &listing{stop: func() {}}
	found := s.archive.Retrieve(ctx, ref, access.All())
	if ref.Instance != "" {
		l.whole = true
		for inst, err := range found {
			if err != nil {
				return nil, err
			}
			l.known = append(l.known, inst)
		}
	} else if err := l.pull(found); err != nil {
		l.stop()
		return nil, err
	}
	if len(l.known) == 0 {
		return nil, archive.ErrNotFound
	}
	return l, nil
}

// pull takes the first instances and leaves the sequence standing there.
func (l *listing) pull(found iter.Seq2[archive.Instance, error]) error {
	l.next, l.stop = iter.Pull2(found)
	for len(l.known) < listed {
		inst, err, ok := l.next()
		switch {
		case !ok:
			l.whole = true
			return nil
		case err != nil:
			return err
		}
		l.known = append(l.known, inst)
	}
	return nil
}

// all yields every instance, once.
func (l *listing) all() iter.Seq2[archive.Instance, error] {
	return func(yield func(archive.Instance, error) bool) {
		for _, inst := range l.known {
			if !yield(inst, nil) {
				return
			}
		}
		for !l.whole {
			inst, err, ok := l.next()
			if !ok || !yield(inst, err) || err != nil {
				return
			}
		}
	}
}

func (l *listing) close() { l.stop() }

// one looks up a single instance.
func (s *server) one(ctx context.Context, ref dicom.Ref) (archive.Instance, error) {
	l, err := s.list(ctx, ref)
	if err != nil {
		return nil, err
	}
	return l.known[0], nil
}

// etag is a weak validator of a form of the instances, or "" when there are too many to
// tell before the answer begins. Weak, because boundaries and compression differ from
// answer to answer.
func (l *listing) etag(form string) string {
	if !l.whole {
		return ""
	}
	return etagOf(form, l.known...)
}

func etagOf(form string, instances ...archive.Instance) string {
	sum := sha256.New()
	for _, inst := range instances {
		digest := inst.Digest()
		sum.Write(digest[:])
	}
	sum.Write([]byte(form))
	return `W/"` + hex.EncodeToString(sum.Sum(nil)[:12]) + `"`
}

// unchanged tells the validator, and answers 304 when the client has that
// representation already (RFC 9110 §13.1.2).
func (w *reply) unchanged(r *http.Request, etag string) bool {
	if etag == "" {
		return false
	}
	w.Header().Set("Etag", etag)
	// Shared caches must not keep images of patients, and who may see them can change.
	w.Header().Set("Cache-Control", "private, no-cache")
	given := r.Header.Get("If-None-Match")
	if given == "" {
		return false
	}
	opaque := strings.TrimPrefix(etag, "W/")
	for one := range strings.SplitSeq(given, ",") {
		one = strings.TrimSpace(one)
		if one == "*" || strings.TrimPrefix(one, "W/") == opaque {
			w.WriteHeader(http.StatusNotModified)
			return true
		}
	}
	return false
}
