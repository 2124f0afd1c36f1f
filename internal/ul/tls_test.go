package ul

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// pki is an authority with certificates in files.
type pki struct {
	dir    string
	ca     string // file
	caCert *x509.Certificate
	caKey  *ecdsa.PrivateKey
}

func newPKI(t testing.TB) *pki {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	p := &pki{dir: t.TempDir(), caKey: key}
	p.ca = filepath.Join(p.dir, "ca.pem")
	if p.caCert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	writePEM(t, p.ca, "CERTIFICATE", der)
	p.issue(t, "server", "server", 2)
	p.issue(t, "client", "client", 3)
	return p
}

// issue writes a certificate with an RSA key, which the older profiles need.
func (p *pki) issue(t testing.TB, file, name string, serial int64) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		DNSNames:    []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, p.caCert, key.Public(), p.caKey)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	writePEM(t, p.cert(file), "CERTIFICATE", der)
	writePEM(t, p.key(file), "PRIVATE KEY", private)
}

func (p *pki) cert(name string) string { return filepath.Join(p.dir, name+".crt") }
func (p *pki) key(name string) string  { return filepath.Join(p.dir, name+".key") }

func (p *pki) load(t testing.TB, name string) *CertificateFiles {
	t.Helper()
	c, err := LoadCertificate(p.cert(name), p.key(name), nil)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (p *pki) authorities(t testing.TB) *AuthorityFile {
	t.Helper()
	a, err := LoadAuthorities(p.ca, nil)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func writePEM(t testing.TB, file, kind string, der []byte) {
	t.Helper()
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestClientCertificatesAreNotAskedForVerifiedOrDemanded(t *testing.T) {
	ours, theirs := newPKI(t), newPKI(t)
	for name, c := range map[string]struct {
		auth   ClientAuth
		cert   *CertificateFiles
		accept bool
	}{
		"none, without":     {ClientCertificateNone, nil, true},
		"optional, without": {ClientCertificateOptional, nil, true},
		"optional, ours":    {ClientCertificateOptional, ours.load(t, "client"), true},
		"optional, foreign": {ClientCertificateOptional, theirs.load(t, "client"), false},
		"required, without": {ClientCertificateRequired, nil, false},
		"required, ours":    {ClientCertificateRequired, ours.load(t, "client"), true},
		"required, foreign": {ClientCertificateRequired, theirs.load(t, "client"), false},
	} {
		t.Run(name, func(t *testing.T) {
			server, err := ServerTLS(ProfileBCP195, ours.load(t, "server"), c.auth, ours.authorities(t))
			if err != nil {
				t.Fatal(err)
			}
			addr, _ := serve(t, &Server{TLS: server})
			config := verification("CLIENT")
			config.TLS = ClientTLS(ProfileBCP195, c.cert, ours.authorities(t), "")
			if err := echoOnce(addr.String(), config); (err == nil) != c.accept {
				t.Errorf("echo: %v", err)
			}
		})
	}
}

func TestClientCertificatesNeedAuthorities(t *testing.T) {
	p := newPKI(t)
	if _, err := ServerTLS(ProfileBCP195, p.load(t, "server"), ClientCertificateRequired, nil); !errors.Is(err, ErrNoAuthorities) {
		t.Errorf("error %v", err)
	}
}

func TestProfilesLimitVersionsAndSuites(t *testing.T) {
	p := newPKI(t)
	for name, c := range map[string]struct {
		profile Profile
		client  *tls.Config
		accept  bool
	}{
		"TLS 1.1":                    {ProfileBCP195, &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}, false},
		"TLS 1.2":                    {ProfileBCP195, &tls.Config{MaxVersion: tls.VersionTLS12}, true},
		"TLS 1.3":                    {ProfileModifiedBCP195, &tls.Config{MinVersion: tls.VersionTLS13}, true},
		"CBC":                        {ProfileBCP195, suite(tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA), false},
		"without forward secrecy":    {ProfileBCP195, suite(tls.TLS_RSA_WITH_AES_256_GCM_SHA384), false},
		"128 bits":                   {ProfileBCP195, suite(tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256), true},
		"128 bits, modified profile": {ProfileModifiedBCP195, suite(tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256), false},
		"256 bits, modified profile": {ProfileModifiedBCP195, suite(tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384), true},
		"ChaCha20, modified profile": {ProfileModifiedBCP195, suite(tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256), true},
	} {
		t.Run(name, func(t *testing.T) {
			server, err := ServerTLS(c.profile, p.load(t, "server"), ClientCertificateNone, nil)
			if err != nil {
				t.Fatal(err)
			}
			addr, _ := serve(t, &Server{TLS: server})
			config := verification("CLIENT")
			config.TLS = c.client.Clone()
			config.TLS.RootCAs = p.authorities(t).Pool()
			if err := echoOnce(addr.String(), config); (err == nil) != c.accept {
				t.Errorf("echo: %v", err)
			}
		})
	}
}

func suite(id uint16) *tls.Config {
	return &tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{id}}
}

func TestPlainDICOMToATLSServerIsRefused(t *testing.T) {
	p := newPKI(t)
	server, err := ServerTLS(ProfileBCP195, p.load(t, "server"), ClientCertificateNone, nil)
	if err != nil {
		t.Fatal(err)
	}
	addr, _ := serve(t, &Server{TLS: server})
	if err := echoOnce(addr.String(), verification("CLIENT")); err == nil {
		t.Error("echo without TLS succeeded")
	}
}

func TestCertificatesAreReloadedWhenTheirFilesChange(t *testing.T) {
	p := newPKI(t)
	var failures []error
	cert, err := LoadCertificate(p.cert("server"), p.key("server"), func(err error) { failures = append(failures, err) })
	if err != nil {
		t.Fatal(err)
	}
	serial := func() int64 {
		cert.cert.mu.Lock()
		cert.cert.checked = time.Time{} // the files may be looked at again
		cert.cert.mu.Unlock()
		c, err := cert.GetCertificate(nil)
		if err != nil {
			t.Fatal(err)
		}
		return c.Leaf.SerialNumber.Int64()
	}
	if got := serial(); got != 2 {
		t.Errorf("serial number %d", got)
	}
	p.issue(t, "server", "server", 20)
	if got := serial(); got != 20 {
		t.Errorf("serial number %d after renewal", got)
	}
	if err := os.WriteFile(p.key("server"), []byte("half a key"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := serial(); got != 20 || len(failures) != 1 {
		t.Errorf("serial number %d and failures %v after a bad renewal", got, failures)
	}
	p.issue(t, "server", "server", 21)
	if got := serial(); got != 21 {
		t.Errorf("serial number %d after the bad renewal was repaired", got)
	}
}

func TestAuthoritiesAreReloadedForNewConnections(t *testing.T) {
	p, other := newPKI(t), newPKI(t)
	authorities := p.authorities(t)
	server, err := ServerTLS(ProfileBCP195, p.load(t, "server"), ClientCertificateRequired, authorities)
	if err != nil {
		t.Fatal(err)
	}
	addr, _ := serve(t, &Server{TLS: server})
	config := verification("CLIENT")
	config.TLS = ClientTLS(ProfileBCP195, other.load(t, "client"), p.authorities(t), "")
	if err := echoOnce(addr.String(), config); err == nil {
		t.Fatal("a certificate of another authority was accepted")
	}
	both, err := os.ReadFile(other.ca)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(p.ca, both, 0o600); err != nil {
		t.Fatal(err)
	}
	authorities.pool.mu.Lock()
	authorities.pool.checked = time.Time{}
	authorities.pool.mu.Unlock()
	if err := echoOnce(addr.String(), config); err != nil {
		t.Errorf("the new authority is not trusted: %v", err)
	}
}

func TestATLSClientThatStallsIsTimedOut(t *testing.T) {
	p := newPKI(t)
	server, err := ServerTLS(ProfileBCP195, p.load(t, "server"), ClientCertificateNone, nil)
	if err != nil {
		t.Fatal(err)
	}
	conn, raw := listen(t).pair(t)
	if _, err := raw.Write([]byte{0x16, 3, 1}); err != nil {
		t.Fatal(err)
	}
	if _, err := Accept(context.Background(), tls.Server(conn, server), &AcceptorConfig{Limits: quick, Negotiate: acceptAll}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Accept: %v", err)
	}
}
