package main

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/pflag"
)

// setting is a value that the environment can set, and a flag if it has one.
type setting struct {
	key   string // its path in the file
	flag  string // "" for none
	usage string
	value func(*Config) any // a pointer to the field
}

// settings lists everything but the lists of nodes, volumes and search keys, which
// only the file can give.
var settings = []setting{
	{"aet", "aet", "AE title of the archive", func(c *Config) any { return &c.AET }},
	{"data", "data", "directory for everything that is kept", func(c *Config) any { return &c.Data }},
	{"http", "http", "address of DICOMweb, or off", func(c *Config) any { return &c.HTTP }},
	{"tls.cert", "tls-cert", "certificate of HTTPS, a PEM file", func(c *Config) any { return &c.TLS.Cert }},
	{"tls.key", "tls-key", "key of that certificate, a PEM file", func(c *Config) any { return &c.TLS.Key }},
	{"allow_plain_http", "allow-plain-http", "allow HTTP without TLS beyond this machine, as behind a proxy that does TLS", func(c *Config) any { return &c.AllowPlainHTTP }},
	{"trusted_proxies", "", "networks of proxies whose X-Forwarded-For is believed", func(c *Config) any { return &c.TrustedProxies }},
	{"public_url", "public-url", "URL under which users reach the archive, for links in answers", func(c *Config) any { return &c.PublicURL }},
	{"cors", "", "origins of web applications that may call", func(c *Config) any { return &c.CORS }},
	{"admin", "admin", "address of /metrics, or off", func(c *Config) any { return &c.Admin }},
	{"dicom", "dicom", "address of DICOM, or off", func(c *Config) any { return &c.DICOM }},
	{"called_aets", "", "AE titles answered to beside that of the archive, * for any", func(c *Config) any { return &c.CalledAETs }},
	{"dicom_tls.addr", "dicom-tls", "address of DICOM over TLS, or off", func(c *Config) any { return &c.DICOMTLS.Addr }},
	{"dicom_tls.cert", "", "certificate of DICOM over TLS, if not that of HTTPS", func(c *Config) any { return &c.DICOMTLS.Cert }},
	{"dicom_tls.key", "", "key of that certificate", func(c *Config) any { return &c.DICOMTLS.Key }},
	{"dicom_tls.client_ca", "", "authorities that sign the certificates of nodes", func(c *Config) any { return &c.DICOMTLS.ClientCA }},
	{"dicom_tls.client_auth", "", "whether calling nodes present a certificate", func(c *Config) any { return &c.DICOMTLS.ClientAuth }},
	{"private_sop_classes", "", "storage SOP classes accepted beyond those of the standard", func(c *Config) any { return &c.PrivateSOPClasses }},
	{"database.url", "database", "database of the index: sqlite:PATH or postgres://…", func(c *Config) any { return &c.Database.URL }},
	{"database.url_file", "", "file that holds that URL", func(c *Config) any { return &c.Database.URLFile }},
	{"blobs", "blobs", "where images are kept: file:PATH", func(c *Config) any { return &c.Blobs }},
	{"on_conflict", "", "what to do with other bytes under a known UID", func(c *Config) any { return &c.OnConflict }},
	{"limits.associations", "", "", func(c *Config) any { return &c.Limits.Associations }},
	{"limits.associations_per_peer", "", "", func(c *Config) any { return &c.Limits.AssociationsPerPeer }},
	{"limits.association_idle", "", "", func(c *Config) any { return &c.Limits.AssociationIdle }},
	{"limits.pdu", "", "", func(c *Config) any { return &c.Limits.PDU }},
	{"limits.connections", "", "", func(c *Config) any { return &c.Limits.Connections }},
	{"limits.header", "", "", func(c *Config) any { return &c.Limits.Header }},
	{"limits.header_time", "", "", func(c *Config) any { return &c.Limits.HeaderTime }},
	{"limits.stall", "", "", func(c *Config) any { return &c.Limits.Stall }},
	{"limits.idle", "", "", func(c *Config) any { return &c.Limits.Idle }},
	{"limits.results", "", "", func(c *Config) any { return &c.Limits.Results }},
	{"limits.grace", "", "", func(c *Config) any { return &c.Limits.Grace }},
	{"log.format", "log-format", "auto, text or json", func(c *Config) any { return &c.Log.Format }},
	{"log.level", "log-level", "debug, info, warn or error", func(c *Config) any { return &c.Log.Level }},
	{"admin_password_file", "", "file that holds the first administrator's password", func(c *Config) any { return &c.AdminPasswordFile }},
	{"insecure_open", "insecure-open", "make every caller an administrator; refused unless every address is on loopback", func(c *Config) any { return &c.InsecureOpen }},
	{"demo", "demo", "load synthetic studies and a demo account on first start", func(c *Config) any { return &c.Demo }},
}

// env is the name of the setting in the environment.
func (s setting) env() string {
	return "PHAROS_" + strings.ToUpper(strings.ReplaceAll(s.key, ".", "_"))
}

// set puts a text into the field.
func (s setting) set(c *Config, text string) error {
	switch p := s.value(c).(type) {
	case *string:
		*p = text
	case *[]string:
		*p = splitList(text)
	case *int:
		v, err := strconv.Atoi(text)
		if err != nil {
			return fmt.Errorf("%q is no whole number", text)
		}
		*p = v
	case *bool:
		v, err := strconv.ParseBool(text)
		if err != nil {
			return fmt.Errorf("%q is neither true nor false", text)
		}
		*p = v
	case interface{ Set(text string) error }:
		return p.Set(text)
	}
	return nil
}

func splitList(text string) []string {
	var list []string
	for part := range strings.SplitSeq(text, ",") {
		if part = strings.TrimSpace(part); part != "" {
			list = append(list, part)
		}
	}
	return list
}

// addSettingFlags gives a command the flags of the settings, or of those named.
func addSettingFlags(f *pflag.FlagSet, only ...string) {
	defaults := defaultConfig()
	for _, s := range settings {
		if s.flag == "" || len(only) > 0 && !slices.Contains(only, s.flag) {
			continue
		}
		switch p := s.value(&defaults).(type) {
		case *bool:
			f.Bool(s.flag, *p, s.usage)
		case *string:
			f.String(s.flag, *p, s.usage)
		}
	}
}

// applyEnvironment sets what the environment says. Variables that are no setting are
// returned rather than refused, since Kubernetes makes variables like
// PHAROS_PORT_8080_TCP for a service of that name.
func applyEnvironment(c *Config, environ []string) (unknown []string, err error) {
	byEnv := make(map[string]setting, len(settings))
	for _, s := range settings {
		byEnv[s.env()] = s
	}
	for _, entry := range environ {
		name, text, _ := strings.Cut(entry, "=")
		s, ok := byEnv[name]
		switch {
		case ok:
			if setErr := s.set(c, text); setErr != nil {
				err = errors.Join(err, fmt.Errorf("%s: %w", name, setErr))
			}
		case strings.HasPrefix(name, "PHAROS_") && !slices.Contains(otherVariables, name):
			unknown = append(unknown, name)
		}
	}
	slices.Sort(unknown)
	return unknown, err
}

// otherVariables are read elsewhere: the configuration file, what the client commands
// need, and the samples of the tests.
var otherVariables = []string{"PHAROS_CONFIG", "PHAROS_SERVER", "PHAROS_USER", "PHAROS_PASSWORD_FILE", "PHAROS_TOKEN", "PHAROS_TOKEN_FILE", "PHAROS_SAMPLES"}

// applyFlags sets what was given on the command line.
func applyFlags(c *Config, f *pflag.FlagSet) error {
	var err error
	for _, s := range settings {
		flag := f.Lookup(s.flag)
		if s.flag == "" || flag == nil || !flag.Changed {
			continue
		}
		if setErr := s.set(c, flag.Value.String()); setErr != nil {
			err = errors.Join(err, fmt.Errorf("--%s: %w", s.flag, setErr))
		}
	}
	return err
}
