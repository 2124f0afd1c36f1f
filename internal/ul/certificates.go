package ul

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"
)

// recheck is how often the files of a certificate are looked at, at most.
const recheck = time.Second

// CertificateFiles is a certificate with its key in PEM files. It is read again
// when the files change, so that certificates are renewed without a restart. It
// may be used by any number of goroutines.
type CertificateFiles struct {
	certFile, keyFile string
	cert              reloaded[*tls.Certificate]
}

// LoadCertificate reads the certificate chain and the key. Later changes that
// cannot be read are passed to failed (which may be nil), and the last good
// certificate stays in use: a renewal may be half-way through.
func LoadCertificate(certFile, keyFile string, failed func(error)) (*CertificateFiles, error) {
	c := &CertificateFiles{certFile: certFile, keyFile: keyFile}
	c.cert.files = []string{certFile, keyFile}
	c.cert.load = c.load
	c.cert.failed = failed
	return c, c.cert.first()
}

func (c *CertificateFiles) load() (*tls.Certificate, error) {
	cert, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return nil, fmt.Errorf("ul: certificate %s: %w", c.certFile, err)
	}
	return &cert, nil
}

// GetCertificate is for tls.Config.GetCertificate.
func (c *CertificateFiles) GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	return c.cert.get(), nil
}

// GetClientCertificate is for tls.Config.GetClientCertificate.
func (c *CertificateFiles) GetClientCertificate(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
	return c.cert.get(), nil
}

// AuthorityFile is a PEM file of certificates of trusted authorities, read again
// when it changes.
type AuthorityFile struct {
	file string
	pool reloaded[*x509.CertPool]
}

// LoadAuthorities reads the certificates of authorities. Later changes are
// handled as by LoadCertificate.
func LoadAuthorities(file string, failed func(error)) (*AuthorityFile, error) {
	a := &AuthorityFile{file: file}
	a.pool.files = []string{file}
	a.pool.load = a.load
	a.pool.failed = failed
	return a, a.pool.first()
}

var errNoCertificates = errors.New("no PEM certificates")

func (a *AuthorityFile) load() (*x509.CertPool, error) {
	pem, err := os.ReadFile(a.file)
	if err != nil {
		return nil, fmt.Errorf("ul: certificates of authorities: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("ul: certificates of authorities %s: %w", a.file, errNoCertificates)
	}
	return pool, nil
}

// Pool returns the current certificates.
func (a *AuthorityFile) Pool() *x509.CertPool { return a.pool.get() }

// reloaded is a value made from files, made again when one of them changes.
type reloaded[T any] struct {
	files  []string
	load   func() (T, error)
	failed func(error)

	mu      sync.Mutex
	value   T
	stamp   string // of the files when the value was made, or could not be made
	checked time.Time
}

// first makes the value for the first time.
func (r *reloaded[T]) first() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stamp, r.checked = r.look(), time.Now()
	v, err := r.load()
	r.value = v
	return err
}

// get returns the value, made again if the files have changed.
func (r *reloaded[T]) get() T {
	r.mu.Lock()
	defer r.mu.Unlock()
	if time.Since(r.checked) < recheck {
		return r.value
	}
	return r.refresh()
}

// refresh looks at the files. It is called with mu held.
func (r *reloaded[T]) refresh() T {
	r.checked = time.Now()
	stamp := r.look()
	if stamp == r.stamp {
		return r.value
	}
	r.stamp = stamp
	v, err := r.load()
	switch {
	case err == nil:
		r.value = v
	case r.failed != nil:
		r.failed(err)
	}
	return r.value
}

// look returns what changes when a file is changed or replaced.
func (r *reloaded[T]) look() string {
	var stamp []byte
	for _, f := range r.files {
		info, err := os.Stat(f)
		if err != nil {
			stamp = fmt.Appendf(stamp, "%v;", err)
			continue
		}
		stamp = fmt.Appendf(stamp, "%d %d;", info.ModTime().UnixNano(), info.Size())
	}
	return string(stamp)
}
