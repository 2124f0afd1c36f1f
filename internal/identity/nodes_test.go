package identity

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"time"

	"pharos/internal/access"
)

type hosts map[string][]netip.Addr

func (h hosts) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	if addrs, ok := h[host]; ok {
		return addrs, nil
	}
	return nil, errors.New("no such host")
}

func TestNodeIsIdentifiedByTitleAndAddressOrCertificate(t *testing.T) {
	nodes := NewNodes([]Node{
		{Name: "ct", AET: "CT1", Host: "192.0.2.1", May: access.Store},
		{Name: "mr", AET: "MR1", Host: "mr.example", May: access.Store},
		{Name: "net", AET: "WS", From: []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}, As: "readers", May: access.Find},
		{Name: "tls", AET: "TLS", TLSName: "ct.example", May: access.Store},
		{Name: "local", From: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, May: access.Everything},
	}, hosts{"mr.example": {netip.MustParseAddr("192.0.2.7")}})
	for name, c := range map[string]struct {
		aet, addr string
		tls       []string
		want      string
	}{
		"address":                {"CT1", "192.0.2.1", nil, "node:ct"},
		"address mapped to IPv6": {"CT1", "::ffff:192.0.2.1", nil, "node:ct"},
		"other address":          {"CT1", "192.0.2.2", nil, ""},
		"other title":            {"CT2", "192.0.2.1", nil, ""},
		"host name":              {"MR1", "192.0.2.7", nil, "node:mr"},
		"network":                {"WS", "198.51.100.77", nil, "node:readers"},
		"outside the network":    {"WS", "198.51.101.77", nil, ""},
		"certificate":            {"TLS", "203.0.113.5", []string{"x", "ct.example"}, "node:tls"},
		"other certificate":      {"TLS", "203.0.113.5", []string{"mr.example"}, ""},
		"no certificate":         {"TLS", "203.0.113.5", nil, ""},
		"any title":              {"WHOEVER", "127.0.0.1", nil, "node:local"},
		"any title, elsewhere":   {"WHOEVER", "192.0.2.1", nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			n, err := nodes.Identify(t.Context(), Caller{AET: c.aet, Addr: netip.MustParseAddr(c.addr), TLSNames: c.tls})
			if c.want == "" {
				if !errors.Is(err, ErrRefused) {
					t.Errorf("identified as %+v, %v", n, err)
				}
				return
			}
			if err != nil || n.Principal().Name != c.want {
				t.Errorf("%+v, %v; want %s", n, err, c.want)
			}
		})
	}
}

func TestHostNameIsLookedUpAgainAfterAMinuteAndBelievedWhenThatFails(t *testing.T) {
	names := hosts{"mr.example": {here}}
	nodes := NewNodes([]Node{{AET: "MR1", Host: "mr.example"}}, names)
	clock := noon
	nodes.now = func() time.Time { return clock }
	known := func(addr netip.Addr) bool {
		_, err := nodes.Identify(t.Context(), Caller{AET: "MR1", Addr: addr})
		return err == nil
	}
	if !known(here) {
		t.Fatal("not known at first")
	}
	names["mr.example"] = []netip.Addr{there}
	if !known(here) || known(there) {
		t.Error("looked up again within a minute")
	}
	clock = clock.Add(resolveInterval)
	if known(here) || !known(there) {
		t.Error("not looked up again")
	}
	delete(names, "mr.example")
	clock = clock.Add(resolveInterval)
	if !known(there) {
		t.Error("forgotten when the name server failed")
	}
}
