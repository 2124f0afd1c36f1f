package archive_test

import (
	"bytes"
	"context"
	"errors"
	"iter"
	"testing"

	"pharos/internal/access"
	"pharos/internal/archive"
	"pharos/internal/archive/archivetest"
	"pharos/internal/dicom"
)

// recorded is an archive that notes the scope of each call, and an auditor.
type recorded struct {
	scopes []access.Scope
	events []access.Event
}

func (r *recorded) Store(context.Context, *archive.Incoming, access.AlbumID) (archive.Receipt, error) {
	r.scopes = append(r.scopes, access.All())
	return archive.Receipt{}, nil
}

func (r *recorded) Query(_ context.Context, _ archive.Query, in access.Scope) iter.Seq2[*dicom.Dataset, error] {
	return func(yield func(*dicom.Dataset, error) bool) {
		r.scopes = append(r.scopes, in)
		yield(dicom.NewDataset(), nil)
	}
}

func (r *recorded) Retrieve(_ context.Context, _ dicom.Ref, in access.Scope) iter.Seq2[archive.Instance, error] {
	return func(yield func(archive.Instance, error) bool) {
		r.scopes = append(r.scopes, in)
		yield(nil, archive.ErrNotFound)
	}
}

func (r *recorded) Metadata(_ context.Context, _ dicom.Ref, in access.Scope) iter.Seq2[archive.Metadata, error] {
	return func(func(archive.Metadata, error) bool) { r.scopes = append(r.scopes, in) }
}

func (r *recorded) Delete(_ context.Context, _ dicom.Ref, in access.Scope) (int, error) {
	r.scopes = append(r.scopes, in)
	return 3, nil
}

func (r *recorded) Record(_ context.Context, e access.Event) { r.events = append(r.events, e) }

// calls does each thing once behind the gate and returns its error.
func calls(ctx context.Context, t *testing.T, a archive.Archive) map[access.Action][]error {
	t.Helper()
	ref := dicom.Ref{Study: "1.2.3", Series: "1.2.3.1", Instance: "1.2.3.1.1"}
	in, err := archive.ReadIncoming(bytes.NewReader(archivetest.Sample(ref, 1)))
	if err != nil {
		t.Fatal(err)
	}
	errs := make(map[access.Action][]error)
	_, err = a.Store(ctx, in, "")
	errs[access.Store] = append(errs[access.Store], err)
	for _, err := range a.Query(ctx, archive.Query{Level: archive.StudyLevel}, access.All()) {
		errs[access.Find] = append(errs[access.Find], err)
		break
	}
	for _, err := range a.Retrieve(ctx, ref, access.All()) {
		errs[access.Retrieve] = append(errs[access.Retrieve], err)
	}
	for _, err := range a.Metadata(ctx, ref, access.All()) {
		errs[access.Retrieve] = append(errs[access.Retrieve], err)
	}
	_, err = a.Delete(ctx, ref, access.All())
	errs[access.Delete] = append(errs[access.Delete], err)
	return errs
}

func TestGateLetsThroughWhatTheCallerMayAndNothingElse(t *testing.T) {
	for _, may := range []access.Action{
		0, access.Find, access.Retrieve, access.Store, access.Delete, access.Find | access.Retrieve, access.Everything,
	} {
		r := &recorded{}
		a := archive.Guard(r, access.ByRight{}, r)
		ctx := access.WithPrincipal(t.Context(), access.Principal{Name: "user:x", May: may})
		for action, errs := range calls(ctx, t, a) {
			for _, err := range errs {
				refused := errors.Is(err, access.ErrDenied) || errors.Is(err, access.ErrHidden)
				if refused == (may&action != 0) {
					t.Errorf("may %q, %q: %v", may, action, err)
				}
				if may == 0 && !errors.Is(err, access.ErrHidden) {
					t.Errorf("a stranger learns that there is something: %v", err)
				}
			}
		}
		if len(r.events) != 5 {
			t.Errorf("may %q: %d audit events for 5 touches", may, len(r.events))
		}
		for _, e := range r.events {
			if refused := errors.Is(e.Err, access.ErrDenied) || errors.Is(e.Err, access.ErrHidden); refused == (may&e.Action != 0) || e.Principal.Name != "user:x" {
				t.Errorf("may %q: event %+v", may, e)
			}
		}
	}
}

// narrow lets every caller see two albums.
type narrow struct{}

func (narrow) Authorize(context.Context, access.Principal, access.Action, access.Resource) error {
	return nil
}

func (narrow) Scope(context.Context, access.Principal, access.Action) (access.Scope, error) {
	return access.Scope{Albums: []access.AlbumID{"a", "b"}}, nil
}

func TestGateNarrowsScopes(t *testing.T) {
	r := &recorded{}
	calls(t.Context(), t, archive.Guard(r, narrow{}, r))
	for i, scope := range r.scopes[1:] {
		if scope.All || len(scope.Albums) != 2 {
			t.Errorf("call %d ran in %+v", i, scope)
		}
	}
	r.scopes = nil
	a := archive.Guard(r, narrow{}, r)
	if _, err := a.Delete(t.Context(), dicom.Ref{}, access.Scope{Albums: []access.AlbumID{"b", "c"}}); err != nil {
		t.Fatal(err)
	}
	if got := r.scopes[0]; got.All || len(got.Albums) != 1 || got.Albums[0] != "b" {
		t.Fatalf("%+v", got)
	}
}

// undecided can't tell, as when its database is away.
type undecided struct{}

var errAway = errors.New("database is away")

func (undecided) Authorize(context.Context, access.Principal, access.Action, access.Resource) error {
	return errAway
}

func (undecided) Scope(context.Context, access.Principal, access.Action) (access.Scope, error) {
	return access.All(), errAway
}

func TestGateRefusesWhenItCannotDecide(t *testing.T) {
	r := &recorded{}
	for action, errs := range calls(t.Context(), t, archive.Guard(r, undecided{}, r)) {
		for _, err := range errs {
			if !errors.Is(err, errAway) {
				t.Errorf("%q: %v", action, err)
			}
		}
	}
	if len(r.scopes) != 0 {
		t.Fatalf("%d calls went through", len(r.scopes))
	}
}
