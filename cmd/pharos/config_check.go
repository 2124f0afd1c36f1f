package main

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"

	"pharos/internal/dicom"
	"pharos/internal/identity"
)

// checker gathers what is wrong, so that somebody who sets up an archive hears of all
// mistakes at once.
type checker struct{ errs []error }

// wrong notes a mistake: the key, its value, and what to do.
func (k *checker) wrong(key string, value any, advice string) {
	k.errs = append(k.errs, fmt.Errorf("%s: %q %s", key, fmt.Sprint(value), advice))
}

func (k *checker) oneOf(key, value string, allowed ...string) {
	if !slices.Contains(allowed, value) {
		k.wrong(key, value, "is not known: choose from "+strings.Join(allowed, ", "))
	}
}

// check validates the configuration as a whole, before anything starts.
func (c *Config) check() error {
	var k checker
	c.checkListeners(&k)
	c.checkExposure(&k)
	c.checkWeb(&k)
	c.checkDICOM(&k)
	c.checkNodes(&k)
	c.checkStorage(&k)
	c.checkLimits(&k)
	k.oneOf("log.format", c.Log.Format, "auto", "text", "json")
	k.oneOf("log.level", c.Log.Level, "debug", "info", "warn", "error")
	return errors.Join(k.errs...)
}

// listener is an address with what is known of it.
type listener struct {
	key, addr string
	tls       bool
	signsIn   bool // callers prove who they are
}

// listeners returns those that are not off.
func (c *Config) listeners() []listener {
	var on []listener
	for _, l := range []listener{
		{"http", c.HTTP, c.TLS.Cert != "", true},
		{"dicom", c.DICOM, false, true},
		{"dicom_tls.addr", c.DICOMTLS.Addr, true, true},
		{"admin", c.Admin, false, false},
	} {
		if l.addr != off {
			on = append(on, l)
		}
	}
	return on
}

func (c *Config) checkListeners(k *checker) {
	seen := map[string]string{}
	for _, l := range c.listeners() {
		_, port, err := net.SplitHostPort(l.addr)
		number, errPort := strconv.ParseUint(port, 10, 16)
		if err != nil || errPort != nil {
			k.wrong(l.key, l.addr, "is no address: write it like 127.0.0.1:8080, :8080 for every interface, or off")
			continue
		}
		if other, ok := seen[l.addr]; ok && number != 0 {
			k.wrong(l.key, l.addr, "is the address of "+other+" too: choose another port")
		}
		seen[l.addr] = l.key
	}
	if len(c.listeners()) == 0 {
		k.wrong("http", c.HTTP, "leaves nothing to listen on: give http or dicom an address")
	}
}

// checkExposure refuses what would show images or passwords to a network by accident.
func (c *Config) checkExposure(k *checker) {
	for _, l := range c.listeners() {
		if onLoopback(l.addr) {
			continue
		}
		switch {
		case c.InsecureOpen:
			k.wrong("insecure_open", "true", fmt.Sprintf("would make everybody who reaches %s %s an administrator: put it on loopback (127.0.0.1) or leave insecure_open out", l.key, l.addr))
		case l.key == "http" && !l.tls && !c.AllowPlainHTTP:
			k.wrong(l.key, l.addr, "would send passwords and images through the network in clear: set tls.cert and tls.key, listen on 127.0.0.1, or set allow_plain_http: true when a proxy in front does TLS")
		}
	}
}

// onLoopback reports whether an address can be reached from this machine only.
func onLoopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// loopbackOnly reports whether no listener can be reached from another machine.
func (c *Config) loopbackOnly() bool {
	for _, l := range c.listeners() {
		if !onLoopback(l.addr) {
			return false
		}
	}
	return true
}

func (c *Config) checkWeb(k *checker) {
	checkPair(k, "tls", c.TLS.Cert, c.TLS.Key)
	if c.PublicURL != "" {
		u, err := url.Parse(c.PublicURL)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
			k.wrong("public_url", c.PublicURL, "is no base URL: write it like https://pacs.example.org")
		}
	}
	for _, origin := range c.CORS {
		u, err := url.Parse(origin)
		if origin != "*" && (err != nil || u.Scheme == "" || u.Host == "" || u.Scheme+"://"+u.Host != origin) {
			k.wrong("cors", origin, "is no origin: write it like https://viewer.example.org, without a path")
		}
	}
	if c.AdminPasswordFile != "" {
		checkReadable(k, "admin_password_file", c.AdminPasswordFile)
	}
}

func checkPair(k *checker, key, cert, secret string) {
	if (cert == "") != (secret == "") {
		k.wrong(key, cert+secret, "is half a pair: give both the certificate and its key")
		return
	}
	if cert != "" {
		checkReadable(k, key+".cert", cert)
		checkReadable(k, key+".key", secret)
	}
}

func checkReadable(k *checker, key, path string) {
	f, err := os.Open(path)
	if err != nil {
		k.wrong(key, path, "can't be read: "+err.Error())
		return
	}
	_ = f.Close() // nothing was written
}

func (c *Config) checkDICOM(k *checker) {
	checkAET(k, "aet", c.AET)
	for _, aet := range c.CalledAETs {
		if aet != "*" { // any
			checkAET(k, "called_aets", aet)
		}
	}
	k.oneOf("dicom_tls.client_auth", c.DICOMTLS.ClientAuth, "none", "optional", "required")
	if c.DICOMTLS.Addr != off {
		checkPair(k, "dicom_tls", c.DICOMTLS.Cert, c.DICOMTLS.Key)
		if c.DICOMTLS.Cert == "" {
			k.wrong("dicom_tls.addr", c.DICOMTLS.Addr, "needs a certificate: set dicom_tls.cert and dicom_tls.key, or tls.cert and tls.key")
		}
	}
	if c.DICOMTLS.ClientCA != "" {
		checkReadable(k, "dicom_tls.client_ca", c.DICOMTLS.ClientCA)
	} else if c.DICOMTLS.ClientAuth != "none" {
		k.wrong("dicom_tls.client_auth", c.DICOMTLS.ClientAuth, "needs dicom_tls.client_ca, the authorities that sign the certificates")
	}
	for _, uid := range c.PrivateSOPClasses {
		if !dicom.UID(uid).Valid() {
			k.wrong("private_sop_classes", uid, "is no UID")
		}
	}
}

// checkAET checks an AE title: 1 to 16 characters of the default repertoire without
// backslash and control characters, and no space at either end (PS3.5 §6.2).
func checkAET(k *checker, key, aet string) {
	bad := strings.ContainsFunc(aet, func(r rune) bool { return r < 0x20 || r > 0x7E || r == '\\' })
	if aet == "" || aet == "*" || len(aet) > 16 || bad || strings.TrimSpace(aet) != aet {
		k.wrong(key, aet, "is no AE title: it has 1 to 16 ASCII characters, no backslash, no space at either end")
	}
}

func (c *Config) checkNodes(k *checker) {
	seen := map[string]bool{}
	for i, n := range c.Nodes {
		key := fmt.Sprintf("nodes[%d]", i)
		if n.Name == "" || seen[n.Name] {
			k.wrong(key+".name", n.Name, "must be given, and only once")
		} else if !identity.ValidName(n.Name) {
			k.wrong(key+".name", n.Name, "has characters other than letters, digits and . _ - @")
		}
		seen[n.Name] = true
		if n.Name != "" {
			key = "nodes." + n.Name
		}
		n.check(k, key, c.DICOMTLS)
	}
}

func (n Node) check(k *checker, key string, tls DICOMTLS) {
	checkAET(k, key+".aet", n.AET)
	for _, right := range n.May {
		k.oneOf(key+".may", right, "store", "find", "move", "get")
	}
	if n.Port < 0 || n.Port > 65535 {
		k.wrong(key+".port", n.Port, "is no port")
	}
	if n.Port != 0 && n.Host == "" {
		k.wrong(key+".port", n.Port, "needs a host")
	}
	if n.ActsAs != "" && !identity.ValidName(n.ActsAs) {
		k.wrong(key+".acts_as", n.ActsAs, "has characters other than letters, digits and . _ - @")
	}
	if len(n.May) > 0 && n.Host == "" && len(n.Address) == 0 && n.TLSName == "" {
		k.wrong(key+".may", strings.Join(n.May, ","), "needs a way to recognise the node, since an AE title proves nothing: give host, address or tls_name")
	}
	if n.TLSName != "" && (tls.Addr == off || tls.ClientAuth == "none") {
		k.wrong(key+".tls_name", n.TLSName, "can't be seen: set dicom_tls.addr and dicom_tls.client_ca")
	}
}

func (c *Config) checkStorage(k *checker) {
	if c.Data == "" {
		k.wrong("data", c.Data, "must be a directory")
	}
	if c.Database.URL != "" && c.Database.URLFile != "" {
		k.wrong("database", c.Database.URLFile, "is given twice: as url and as url_file")
	} else if _, err := c.databaseURL(); err != nil {
		k.errs = append(k.errs, err)
	}
	k.oneOf("on_conflict", c.OnConflict, "refuse", "replace", "keep")
	c.checkVolumes(k)
	for i, s := range c.SearchKeys {
		if _, err := s.key(); err != nil {
			k.errs = append(k.errs, fmt.Errorf("search_keys[%d]: %w", i, err))
		}
	}
}

// databaseURL returns the URL of the index. No error holds the URL, for it may hold a
// password.
func (c *Config) databaseURL() (string, error) {
	text := c.Database.URL
	if c.Database.URLFile != "" {
		content, err := readSecret(c.Database.URLFile)
		if err != nil {
			return "", fmt.Errorf("database.url_file: %w", err)
		}
		text = content
	}
	switch scheme, rest, _ := strings.Cut(text, ":"); {
	case scheme == "sqlite" && rest != "", scheme == "postgres" && rest != "", scheme == "postgresql" && rest != "":
		return text, nil
	}
	return "", errors.New("database: it is no URL of a database that is known: write it like sqlite:/var/lib/pharos/index.db or postgres://user@host/pharos")
}

// maxSecret bounds a file that holds a secret, in bytes.
const maxSecret = 64 << 10

func (c *Config) checkVolumes(k *checker) {
	if c.Blobs != "" && len(c.Volumes) > 0 {
		k.wrong("blobs", c.Blobs, "is given together with volumes: keep one of them")
	}
	seen, receiving := map[string]bool{}, 0
	for i, v := range c.volumes() {
		key := fmt.Sprintf("volumes[%d]", i)
		if len(c.Volumes) == 0 {
			key = "blobs"
		}
		if !identity.ValidName(v.Name) || seen[v.Name] {
			k.wrong(key+".name", v.Name, "must be given, only once, of letters, digits and . _ - @")
		}
		seen[v.Name] = true
		if path, ok := strings.CutPrefix(v.URL, "file:"); !ok || path == "" {
			k.wrong(key, redactURL(v.URL), "is no place for images that is known: write it like file:/var/lib/pharos/blobs")
		}
		if v.Receives {
			receiving++
		}
	}
	if receiving != 1 {
		k.wrong("volumes", receiving, "volumes receive: mark exactly one with receives: true")
	}
}

func (c *Config) checkLimits(k *checker) {
	for _, l := range []struct {
		key   string
		value int64
		least int64
	}{
		{"limits.associations", int64(c.Limits.Associations), 1},
		{"limits.associations_per_peer", int64(c.Limits.AssociationsPerPeer), 1},
		{"limits.connections", int64(c.Limits.Connections), 1},
		{"limits.results", int64(c.Limits.Results), 1},
		{"limits.pdu", int64(c.Limits.PDU), 4096},
		{"limits.header", int64(c.Limits.Header), 4096},
	} {
		if l.value < l.least {
			k.wrong(l.key, l.value, fmt.Sprintf("is too small: the least is %d", l.least))
		}
	}
	if c.Limits.PDU > 16<<20 {
		k.wrong("limits.pdu", c.Limits.PDU, "is too large: the greatest is 16MiB")
	}
}
