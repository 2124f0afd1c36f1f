package ul

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"sync"
)

// Profile is a TLS profile of PS3.15 Annex B. TLS before 1.2 is never
// negotiated: all of them allow that and the current ones demand it. The cipher
// suites of TLS 1.3 are fixed by crypto/tls.
type Profile int

const (
	// ProfileBCP195 is the BCP 195 RFC 8996, 9325 profile of PS3.15 §B.12. It also
	// serves peers of the retired profiles §B.9 and §B.10. TLS 1.2 is restricted to
	// suites with forward secrecy and authenticated encryption.
	ProfileBCP195 Profile = iota

	// ProfileModifiedBCP195 is the modified profile of PS3.15 §B.13, and serves
	// peers of the retired §B.11 (extended BCP 195). TLS 1.2 is further restricted
	// to ciphers with 256-bit keys.
	ProfileModifiedBCP195
)

// suites returns the cipher suites of the profile for TLS 1.2. Those with DHE
// key exchange do not exist in crypto/tls.
func (p Profile) suites() []uint16 {
	strong := []uint16{
		tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
		tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
		tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
		tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
	}
	if p == ProfileModifiedBCP195 {
		return strong
	}
	return append(strong,
		tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
		tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
	)
}

// ClientAuth says whether a server wants certificates of its clients.
type ClientAuth int

// Certificates of clients are not asked for, verified if given, or demanded.
const (
	ClientCertificateNone ClientAuth = iota
	ClientCertificateOptional
	ClientCertificateRequired
)

// ErrNoAuthorities says that client certificates are to be verified but
// no authorities are given.
var ErrNoAuthorities = errors.New("ul: client certificates need certificates of authorities")

// ServerTLS returns the configuration of a server. Changes of the certificate
// and of the authorities apply to connections that come after them.
func ServerTLS(p Profile, cert *CertificateFiles, auth ClientAuth, authorities *AuthorityFile) (*tls.Config, error) {
	c := &tls.Config{
		MinVersion:     tls.VersionTLS12,
		CipherSuites:   p.suites(),
		GetCertificate: cert.GetCertificate,
	}
	if auth == ClientCertificateNone {
		return c, nil
	}
	if authorities == nil {
		return nil, ErrNoAuthorities
	}
	c.ClientAuth = tls.VerifyClientCertIfGiven
	if auth == ClientCertificateRequired {
		c.ClientAuth = tls.RequireAndVerifyClientCert
	}
	c.SessionTicketsDisabled = true // a ticket would outlive a change of the authorities
	c.ClientCAs = authorities.Pool()
	current := &currentConfig{base: c.Clone(), authorities: authorities}
	c.GetConfigForClient = current.get
	return c, nil
}

// currentConfig keeps a configuration for the current authorities.
type currentConfig struct {
	base        *tls.Config
	authorities *AuthorityFile

	mu   sync.Mutex
	pool *x509.CertPool
	last *tls.Config
}

func (c *currentConfig) get(*tls.ClientHelloInfo) (*tls.Config, error) {
	pool := c.authorities.Pool()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pool != pool {
		c.pool = pool
		c.last = c.base.Clone()
		c.last.ClientCAs = pool
	}
	return c.last, nil
}

// ClientTLS returns the configuration of a client. cert may be nil: then none is
// shown. authorities may be nil: then those of the system are trusted. name is
// the host name that the certificate of the server must carry; empty is the
// host that is dialled. Authorities are read once per call, so a new
// configuration is to be made for each connection.
func ClientTLS(p Profile, cert *CertificateFiles, authorities *AuthorityFile, name string) *tls.Config {
	c := &tls.Config{MinVersion: tls.VersionTLS12, CipherSuites: p.suites(), ServerName: name}
	if cert != nil {
		c.GetClientCertificate = cert.GetClientCertificate
	}
	if authorities != nil {
		c.RootCAs = authorities.Pool()
	}
	return c
}
