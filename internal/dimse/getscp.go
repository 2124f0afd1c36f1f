package dimse

import (
	"context"

	"pharos/internal/archive"
)

// get answers C-GET (PS3.4 §C.4.3): it sends the instances on the association of the
// request, in presentation contexts of which this side is the user by role selection.
func (s *session) get(ctx context.Context, m *message) error {
	id, err := s.identifier(m)
	if err != nil {
		return s.refuse(m, err)
	}
	r, err := s.retrieval(ctx, m, id)
	if err != nil {
		return s.refuse(m, err)
	}
	for _, i := range r.instances {
		cancelled, err := r.sendBack(ctx, i)
		if err != nil {
			return err
		}
		if cancelled {
			return r.finish(Cancelled, "")
		}
		if err := r.progress(); err != nil {
			return err
		}
	}
	return r.finish(r.outcome())
}

// sendBack sends one instance and waits for its response; a cancellation can arrive
// before that. An error ends the association.
func (r *retrieval) sendBack(ctx context.Context, i archive.Instance) (cancelled bool, err error) {
	s := r.session
	rq, err := s.sendInstance(ctx, ObjectOf(i), r.request.Priority, originator{})
	if over := s.assoc.Err(); over != nil {
		return false, over
	}
	if err != nil {
		r.count(i, 0, err) // nothing of it has left
		return false, nil
	}
	for {
		m, err := s.receive()
		switch {
		case err != nil:
			return false, err
		case m.Field == CCancelRQ && m.MessageID == r.request.MessageID:
			cancelled = true
			continue
		case m.Field == CStoreRSP && m.MessageID == rq.MessageID:
			r.count(i, m.Status, failed(&m.Command))
			return cancelled, nil
		}
		if err := s.aside(&m); err != nil {
			return false, err
		}
	}
}
