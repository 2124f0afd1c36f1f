package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"time"

	"pharos/internal/access"
	"pharos/internal/archive"
	"pharos/internal/dicom"
	"pharos/internal/dimse"
	"pharos/internal/identity"
	"pharos/internal/ul"
)

// dicomSide is everything between the configuration and package dimse.
type dicomSide struct {
	config *Config
	nodes  *identity.Nodes
	people *identity.Authenticator
	peers  *peerTLS
	m      *metrics
	log    *slog.Logger
}

func newDICOMSide(c *Config, people *identity.Authenticator, m *metrics, log *slog.Logger) (*dicomSide, error) {
	peers, err := loadPeerTLS(c, log)
	if err != nil {
		return nil, err
	}
	nodes := c.nodes()
	if c.Demo {
		nodes = append(nodes, demoNode)
	}
	return &dicomSide{config: c, nodes: identity.NewNodes(nodes, net.DefaultResolver), people: people, peers: peers, m: m, log: log}, nil
}

func (d *dicomSide) server(a archive.Archive) *dimse.Server {
	c := d.config
	private := make([]dicom.UID, len(c.PrivateSOPClasses))
	for i, uid := range c.PrivateSOPClasses {
		private[i] = dicom.UID(uid)
	}
	return dimse.NewServer(dimse.ServerConfig{
		AETitle:        c.AET,
		Accepted:       c.calledAETs(),
		Archive:        a,
		Authenticate:   d.authenticate,
		Keys:           c.keys(),
		PrivateClasses: private,
		Destination:    d.destination,
		Limits: dimse.Limits{
			Association:     associationLimits(c),
			MaxAssociations: c.Limits.Associations,
			MaxPerPeer:      c.Limits.AssociationsPerPeer,
		},
		Log: d.log,
	})
}

func associationLimits(c *Config) ul.Limits {
	return ul.Limits{
		Idle:     time.Duration(c.Limits.AssociationIdle),
		Progress: time.Duration(c.Limits.Stall),
		MaxPDU:   uint32(c.Limits.PDU),
	}
}

// authenticate finds the node that calls. Who is none hears only that the association
// was rejected; the log tells the operator what to add to the configuration.
func (d *dicomSide) authenticate(ctx context.Context, c dimse.Caller) (access.Principal, error) {
	if d.config.InsecureOpen {
		d.m.associations.WithLabelValues("accepted").Inc()
		return anybody, nil
	}
	addr := addrOf(c.RemoteAddr)
	names := certificateNames(c.TLS)
	node, err := d.nodes.Identify(ctx, identity.Caller{AET: c.CallingAET, Addr: addr, TLSNames: names})
	if err != nil {
		d.m.associations.WithLabelValues("rejected").Inc()
		d.log.LogAttrs(ctx, slog.LevelWarn, "association rejected: the caller is no node; to let it in, add to the configuration",
			slog.String("calling_aet", c.CallingAET), slog.String("from", addr.String()), slog.Any("reason", err),
			slog.String("nodes", nodeSnippet(c.CallingAET, addr, names)))
		return access.Principal{}, err
	}
	p, err := d.person(ctx, addr, c.Identity, node.Principal())
	if err != nil {
		d.m.associations.WithLabelValues("rejected").Inc()
		d.log.LogAttrs(ctx, slog.LevelWarn, "association rejected: the user name or passcode that it gives is wrong",
			slog.String("calling_aet", c.CallingAET), slog.String("from", addr.String()))
		return access.Principal{}, err
	}
	d.m.associations.WithLabelValues("accepted").Inc()
	return p, nil
}

// person narrows a node's rights to those of the user who signs in at it (PS3.7
// §D.3.3.7). Nobody has to; a name without passcode proves nothing and changes nothing.
func (d *dicomSide) person(ctx context.Context, addr netip.Addr, given *ul.UserIdentity, node access.Principal) (access.Principal, error) {
	if given == nil || given.Type != ul.IdentityUsernamePasscode {
		return node, nil
	}
	user, err := d.people.Password(ctx, addr, string(given.Primary), string(given.Secondary))
	if err != nil {
		return access.Principal{}, err
	}
	return access.Principal{Name: user.Name + "@" + node.Name, May: user.May & node.May}, nil
}

// nodeSnippet is an entry of nodes in the configuration that would let a caller store.
func nodeSnippet(aet string, addr netip.Addr, names []string) string {
	name := strings.ToLower(strings.Map(func(r rune) rune {
		if r < 0x80 && identity.ValidName(string(r)) {
			return r
		}
		return '-'
	}, aet))
	if len(names) > 0 {
		return fmt.Sprintf("- {name: %s, aet: %q, tls_name: %q, may: [store]}", name, aet, names[0])
	}
	return fmt.Sprintf("- {name: %s, aet: %q, host: %q, may: [store]}", name, aet, addr)
}

func addrOf(a net.Addr) netip.Addr {
	p, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return netip.Addr{}
	}
	return p.Addr().Unmap()
}

// certificateNames are those of a certificate that was verified, for others prove
// nothing.
func certificateNames(s *tls.ConnectionState) []string {
	if s == nil || len(s.VerifiedChains) == 0 {
		return nil
	}
	leaf := s.VerifiedChains[0][0]
	names := append([]string(nil), leaf.DNSNames...)
	if leaf.Subject.CommonName != "" {
		names = append(names, leaf.Subject.CommonName)
	}
	return names
}

// destination finds the node that instances are sent to by C-MOVE.
func (d *dicomSide) destination(aet string) (dimse.Node, bool) {
	for _, n := range d.config.Nodes {
		if n.AET == aet && n.Host != "" && n.Port != 0 {
			return d.peers.node(n), true
		}
	}
	return dimse.Node{}, false
}

// peerTLS is what is shown to and demanded of nodes that are called by TLS.
type peerTLS struct {
	cert        *ul.CertificateFiles
	authorities *ul.AuthorityFile
}

func loadPeerTLS(c *Config, log *slog.Logger) (*peerTLS, error) {
	p := &peerTLS{}
	var err error
	if c.DICOMTLS.Cert != "" {
		if p.cert, err = ul.LoadCertificate(c.DICOMTLS.Cert, c.DICOMTLS.Key, logReload(log)); err != nil {
			return nil, err
		}
	}
	if c.DICOMTLS.ClientCA != "" {
		if p.authorities, err = ul.LoadAuthorities(c.DICOMTLS.ClientCA, logReload(log)); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// server returns the TLS configuration of the listener.
func (p *peerTLS) server(auth string) (*tls.Config, error) {
	return ul.ServerTLS(ul.ProfileBCP195, p.cert, map[string]ul.ClientAuth{
		"none": ul.ClientCertificateNone, "optional": ul.ClientCertificateOptional, "required": ul.ClientCertificateRequired,
	}[auth], p.authorities)
}

// node returns the node as package dimse dials it. Its certificate must carry the name
// of the configuration, or that of the host.
func (p *peerTLS) node(n Node) dimse.Node {
	node := dimse.Node{AETitle: n.AET, Host: n.Host, Port: n.Port}
	if n.TLS {
		name := n.TLSName
		if name == "" {
			name = n.Host
		}
		node.TLS = ul.ClientTLS(ul.ProfileBCP195, p.cert, p.authorities, name)
	}
	return node
}
