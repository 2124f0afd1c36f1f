package access

import (
	"context"
	"errors"
	"slices"

	"pharos/internal/dicom"
)

var (
	// ErrDenied refuses an action on something that the principal may know of.
	ErrDenied = errors.New("permission denied")
	// ErrHidden refuses without telling whether the thing exists. Protocols answer it
	// as they answer "not found".
	ErrHidden = errors.New("not found")
)

// Action is something done to images.
type Action uint8

// The actions. A node's or token's rights are a set of them.
const (
	Find       Action = 1 << iota // see that a study exists, and its attributes
	Retrieve                      // read instances
	Store                         // bring instances in
	Delete                        // remove instances
	Administer                    // everything else: nodes, users, maintenance
)

// Everything is the set of all actions.
const Everything = Find | Retrieve | Store | Delete | Administer

// String names the actions in the set, as configuration and audit spell them.
func (a Action) String() string {
	names := ""
	for _, n := range [...]struct {
		a    Action
		name string
	}{{Find, "find"}, {Retrieve, "retrieve"}, {Store, "store"}, {Delete, "delete"}, {Administer, "administer"}} {
		if a&n.a == 0 {
			continue
		}
		if names != "" {
			names += ","
		}
		names += n.name
	}
	return names
}

// Principal is who calls. The zero Principal is a stranger, who may do nothing.
type Principal struct {
	Name string // for the audit trail: "user:ada", "node:ct1", "token:backup"
	May  Action // what the principal may do at most
}

type principalKey struct{}

// WithPrincipal returns a context in which p is the caller.
func WithPrincipal(ctx context.Context, p Principal) context.Context {
	return context.WithValue(ctx, principalKey{}, p)
}

// PrincipalOf returns the caller, or a stranger.
func PrincipalOf(ctx context.Context) Principal {
	p, _ := ctx.Value(principalKey{}).(Principal)
	return p
}

// AlbumID names an album. The empty one stands for no album: instances that were
// placed nowhere are visible to those whose scope is All, and to nobody else.
type AlbumID string

// Resource is what an action is done to: an album, a study, series or instance in it,
// or both. The zero Resource is the archive as a whole.
type Resource struct {
	Album AlbumID
	Ref   dicom.Ref
}

// Scope is a set of series. The zero Scope is empty, so that a forgotten scope shows
// nothing.
type Scope struct {
	All    bool // every series; the other fields are ignored
	Albums []AlbumID
}

// All is the scope of everything. Protocol handlers pass it to mean "whatever the
// caller may see"; archive.Guard narrows it.
func All() Scope { return Scope{All: true} }

// Empty reports whether nothing is in scope.
func (s Scope) Empty() bool { return !s.All && len(s.Albums) == 0 }

// Intersect returns what is in both scopes.
func (s Scope) Intersect(t Scope) Scope {
	switch {
	case s.All:
		return t
	case t.All:
		return s
	}
	var both []AlbumID
	for _, a := range s.Albums {
		if slices.Contains(t.Albums, a) {
			both = append(both, a)
		}
	}
	return Scope{Albums: both}
}

// Authorizer decides. Any error is a refusal; one that is neither ErrDenied nor
// ErrHidden means that the decision could not be made.
type Authorizer interface {
	// Authorize reports by nil that p may do a to r.
	Authorize(ctx context.Context, p Principal, a Action, r Resource) error
	// Scope returns everything that p may do a to; the empty Scope when that is nothing.
	Scope(ctx context.Context, p Principal, a Action) (Scope, error)
}

// ByRight is the Authorizer of an archive without albums: a principal may do to every
// image what its rights say, and sees either everything or nothing.
type ByRight struct{}

// Authorize implements Authorizer. Who may not even find is told nothing.
func (ByRight) Authorize(_ context.Context, p Principal, a Action, _ Resource) error {
	switch {
	case p.May&a == a:
		return nil
	case p.May == 0:
		return ErrHidden
	}
	return ErrDenied
}

// Scope implements Authorizer.
func (ByRight) Scope(_ context.Context, p Principal, a Action) (Scope, error) {
	return Scope{All: p.May&a == a}, nil
}
