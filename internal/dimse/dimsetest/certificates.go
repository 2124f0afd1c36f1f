package dimsetest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// PKI is an authority with one certificate for the server and one for the client, as
// PEM files.
type PKI struct {
	Authority             string
	ServerCert, ServerKey string
	ClientCert, ClientKey string
}

// NewPKI makes certificates for 127.0.0.1 and localhost; the client's common name is
// name.
func NewPKI(t testing.TB, name string) *PKI {
	t.Helper()
	dir := t.TempDir()
	ca := certify(t, "Test authority", nil)
	server, client := certify(t, "localhost", ca), certify(t, name, ca)
	p := &PKI{Authority: filepath.Join(dir, "ca.pem")}
	writePEM(t, p.Authority, "CERTIFICATE", ca.der)
	p.ServerCert, p.ServerKey = server.write(t, dir, "server")
	p.ClientCert, p.ClientKey = client.write(t, dir, "client")
	return p
}

// SCUArgs are the arguments that make a DCMTK client use TLS and show its certificate.
func (p *PKI) SCUArgs() []string {
	return []string{"+tls", p.ClientKey, p.ClientCert, "-pw", "+cf", p.Authority}
}

// SCPArgs are those of a DCMTK server.
func (p *PKI) SCPArgs() []string {
	return []string{"+tls", p.ServerKey, p.ServerCert, "-pw", "+cf", p.Authority}
}

type certificate struct {
	cert *x509.Certificate
	der  []byte
	key  *ecdsa.PrivateKey
}

// certify makes a certificate signed by an authority, or one of an authority.
func certify(t testing.TB, name string, by *certificate) *certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		t.Fatal(err)
	}
	c := &certificate{key: key, cert: &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		DNSNames:    []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		BasicConstraintsValid: true,
	}}
	if by == nil {
		by = c
		c.cert.IsCA, c.cert.KeyUsage = true, x509.KeyUsageCertSign
		c.cert.ExtKeyUsage, c.cert.DNSNames, c.cert.IPAddresses = nil, nil, nil
	}
	c.der, err = x509.CreateCertificate(rand.Reader, c.cert, by.cert, &key.PublicKey, by.key)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (c *certificate) write(t testing.TB, dir, name string) (cert, key string) {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(c.key)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(dir, name+".pem"), filepath.Join(dir, name+".key")
	writePEM(t, cert, "CERTIFICATE", c.der)
	writePEM(t, key, "PRIVATE KEY", der)
	return cert, key
}

func writePEM(t testing.TB, path, kind string, der []byte) {
	t.Helper()
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}
