package archive

import (
	"context"
	"iter"

	"pharos/internal/access"
	"pharos/internal/dicom"
)

// Guard returns an archive that lets each caller do what the authorizer allows, and
// reports every touch and every refusal to the auditor. The caller is the
// access.Principal in the context.
func Guard(a Archive, az access.Authorizer, au access.Auditor) Archive {
	return &guard{next: a, authorizer: az, auditor: au}
}

type guard struct {
	next       Archive
	authorizer access.Authorizer
	auditor    access.Auditor
}

// Store asks for the album and for the series that the instance would join: who knows a
// series' UID must not be able to add to it.
func (g *guard) Store(ctx context.Context, in *Incoming, to access.AlbumID) (Receipt, error) {
	resource := access.Resource{Album: to, Ref: in.Ref}
	err := g.authorizer.Authorize(ctx, access.PrincipalOf(ctx), access.Store, resource)
	var receipt Receipt
	if err == nil {
		receipt, err = g.next.Store(ctx, in, to)
	}
	g.record(ctx, access.Store, in.Ref, to, 1, err)
	return receipt, err
}

func (g *guard) Query(ctx context.Context, q Query, in access.Scope) iter.Seq2[*dicom.Dataset, error] {
	return guarded(g, ctx, access.Find, q.Ref, in, func(in access.Scope) iter.Seq2[*dicom.Dataset, error] {
		return g.next.Query(ctx, q, in)
	})
}

func (g *guard) Retrieve(ctx context.Context, ref dicom.Ref, in access.Scope) iter.Seq2[Instance, error] {
	return guarded(g, ctx, access.Retrieve, ref, in, func(in access.Scope) iter.Seq2[Instance, error] {
		return g.next.Retrieve(ctx, ref, in)
	})
}

func (g *guard) Metadata(ctx context.Context, ref dicom.Ref, in access.Scope) iter.Seq2[Metadata, error] {
	return guarded(g, ctx, access.Retrieve, ref, in, func(in access.Scope) iter.Seq2[Metadata, error] {
		return g.next.Metadata(ctx, ref, in)
	})
}

func (g *guard) Delete(ctx context.Context, ref dicom.Ref, in access.Scope) (int, error) {
	in, err := g.narrow(ctx, access.Delete, in)
	n := 0
	if err == nil {
		n, err = g.next.Delete(ctx, ref, in)
	}
	g.record(ctx, access.Delete, ref, "", n, err)
	return n, err
}

// guarded narrows the scope, lets the sequence run and records how it went. A sequence
// that found nothing is recorded too: looking for a patient is a touch.
func guarded[T any](g *guard, ctx context.Context, a access.Action, ref dicom.Ref, in access.Scope,
	run func(access.Scope) iter.Seq2[T, error]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var zero T
		scope, err := g.narrow(ctx, a, in)
		if err != nil {
			g.record(ctx, a, ref, "", 0, err)
			yield(zero, err)
			return
		}
		count := 0
		var failed error
		for v, err := range run(scope) {
			if err != nil {
				failed = err
			} else {
				count++
			}
			if !yield(v, err) {
				break
			}
		}
		g.record(ctx, a, ref, "", count, failed)
	}
}

// narrow intersects a scope with what the caller may do a to. A caller who may do it to
// nothing at all is refused rather than shown emptiness, since a missing right is a
// fault that somebody wants to know of.
func (g *guard) narrow(ctx context.Context, a access.Action, in access.Scope) (access.Scope, error) {
	p := access.PrincipalOf(ctx)
	allowed, err := g.authorizer.Scope(ctx, p, a)
	if err != nil {
		return access.Scope{}, err
	}
	if allowed.Empty() {
		return access.Scope{}, g.refusal(ctx, p, a)
	}
	return in.Intersect(allowed), nil
}

// refusal is how the authorizer words it. Should it contradict its own scope, the answer
// stays on the safe side.
func (g *guard) refusal(ctx context.Context, p access.Principal, a access.Action) error {
	if err := g.authorizer.Authorize(ctx, p, a, access.Resource{}); err != nil {
		return err
	}
	return access.ErrHidden
}

func (g *guard) record(ctx context.Context, a access.Action, ref dicom.Ref, album access.AlbumID, n int, err error) {
	g.auditor.Record(ctx, access.Event{
		Principal: access.PrincipalOf(ctx), Action: a, Ref: ref, Album: album, Count: n, Err: err,
	})
}
