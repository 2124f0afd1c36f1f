package identity

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"pharos/internal/access"
)

// Node is a DICOM application that may call. Its AE title alone proves nothing, for
// anybody can send it; so a node is recognised by its title together with the name in
// its verified TLS certificate (if TLSName is set), or with the address it calls from.
type Node struct {
	Name    string // as in the configuration
	AET     string // calling AE title (PS3.8 §9.3.2); "" is any, for demonstrations
	TLSName string // DNS name or common name in the client certificate
	From    []netip.Prefix
	Host    string // name or address; used when From is empty
	As      string // name of the principal, if it isn't the node's own
	May     access.Action
}

// Principal is how the node appears to package access.
func (n Node) Principal() access.Principal {
	name := n.Name
	if n.As != "" {
		name = n.As
	}
	return access.Principal{Name: "node:" + name, May: n.May}
}

// Caller is what is known of the other end of an association.
type Caller struct {
	AET      string
	Addr     netip.Addr
	TLSNames []string // of its certificate, if that was verified
}

// Resolver finds the addresses of a host name; net.Resolver is one.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// resolveInterval is how long the addresses of a host name are believed.
const resolveInterval = time.Minute

// Nodes is the table of DICOM callers. It is safe for concurrent use.
type Nodes struct {
	nodes    []Node
	resolver Resolver
	now      func() time.Time

	mu       sync.Mutex
	resolved map[string]resolution
}

type resolution struct {
	addrs []netip.Addr
	until time.Time
}

// NewNodes returns a table. Host names are looked up when somebody calls under their
// node's title, and then believed for a minute.
func NewNodes(nodes []Node, resolver Resolver) *Nodes {
	return &Nodes{nodes: slices.Clone(nodes), resolver: resolver, now: time.Now, resolved: make(map[string]resolution)}
}

// Identify returns the first node that the caller is. ErrRefused when it is none, with
// the reason for the operator's log; a caller learns only that it was rejected.
func (t *Nodes) Identify(ctx context.Context, c Caller) (Node, error) {
	titled := false
	for _, n := range t.nodes {
		if n.AET != "" && n.AET != c.AET {
			continue
		}
		titled = true
		if t.matches(ctx, n, c) {
			return n, nil
		}
	}
	if titled {
		return Node{}, fmt.Errorf("a node with this AE title calls from elsewhere or with another certificate: %w", ErrRefused)
	}
	return Node{}, fmt.Errorf("no node has this AE title: %w", ErrRefused)
}

func (t *Nodes) matches(ctx context.Context, n Node, c Caller) bool {
	addr := c.Addr.Unmap().WithZone("")
	switch {
	case n.TLSName != "":
		return slices.Contains(c.TLSNames, n.TLSName) && (len(n.From) == 0 || within(n.From, addr))
	case len(n.From) > 0:
		return within(n.From, addr)
	case n.Host != "":
		return slices.Contains(t.resolve(ctx, n.Host), addr)
	}
	return false
}

// resolve returns the addresses of a host. One that can't be resolved matches nobody,
// but what was known before is still believed: a name server that is down must not stop
// a scanner from storing.
func (t *Nodes) resolve(ctx context.Context, host string) []netip.Addr {
	if addr, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{addr.Unmap().WithZone("")}
	}
	t.mu.Lock()
	known := t.resolved[host]
	t.mu.Unlock()
	if t.now().Before(known.until) {
		return known.addrs
	}
	found, err := t.resolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		found = known.addrs
	}
	found = slices.Clone(found)
	for i, a := range found {
		found[i] = a.Unmap().WithZone("")
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.resolved[host] = resolution{addrs: found, until: t.now().Add(resolveInterval)}
	return found
}
