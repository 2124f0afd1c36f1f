package main

import (
	"path/filepath"
	"time"
)

// Config is everything that can be set. The names of the fields in YAML are the names
// in messages, and in capitals behind PHAROS_ those of the environment.
type Config struct {
	AET  string `yaml:"aet"`
	Data string `yaml:"data"`

	HTTP           string   `yaml:"http"`
	TLS            TLS      `yaml:"tls"`
	AllowPlainHTTP bool     `yaml:"allow_plain_http"`
	TrustedProxies Networks `yaml:"trusted_proxies,omitempty"`
	PublicURL      string   `yaml:"public_url,omitempty"`
	CORS           []string `yaml:"cors,omitempty"`
	Admin          string   `yaml:"admin"`

	DICOM             string   `yaml:"dicom"`
	CalledAETs        []string `yaml:"called_aets,omitempty"` // answered to beside aet; "*" is any
	DICOMTLS          DICOMTLS `yaml:"dicom_tls"`
	Nodes             []Node   `yaml:"nodes,omitempty"`
	PrivateSOPClasses []string `yaml:"private_sop_classes,omitempty"`

	Database   Database    `yaml:"database"`
	Blobs      string      `yaml:"blobs,omitempty"`
	Volumes    []Volume    `yaml:"volumes,omitempty"`
	OnConflict string      `yaml:"on_conflict"`
	SearchKeys []SearchKey `yaml:"search_keys,omitempty"`

	Limits Limits `yaml:"limits"`
	Log    Log    `yaml:"log"`

	AdminPasswordFile string `yaml:"admin_password_file,omitempty"`
	InsecureOpen      bool   `yaml:"insecure_open"`
	Demo              bool   `yaml:"demo"`
}

// TLS names a certificate and its key, both PEM files. They are read again when they
// change.
type TLS struct {
	Cert string `yaml:"cert,omitempty"`
	Key  string `yaml:"key,omitempty"`
}

// DICOMTLS is the listener for DICOM over TLS. Without a certificate of its own it
// takes that of HTTPS. ClientCA also verifies the nodes that Pharos calls by TLS.
type DICOMTLS struct {
	Addr       string `yaml:"addr"`
	Cert       string `yaml:"cert,omitempty"`
	Key        string `yaml:"key,omitempty"`
	ClientCA   string `yaml:"client_ca,omitempty"`
	ClientAuth string `yaml:"client_auth,omitempty"` // none, optional, required
}

// Database is where the index lies. URLFile names a file that holds the URL, since a
// URL may hold a password.
type Database struct {
	URL     string `yaml:"url,omitempty"`
	URLFile string `yaml:"url_file,omitempty"`
}

// Volume is a place for images. One of them receives; the others are read.
type Volume struct {
	Name     string `yaml:"name"`
	URL      string `yaml:"url"`
	Receives bool   `yaml:"receives,omitempty"`
}

// Node is a DICOM application: one that may call, one that may be called, or both.
type Node struct {
	Name    string   `yaml:"name"`
	AET     string   `yaml:"aet"`
	Host    string   `yaml:"host,omitempty"`
	Port    int      `yaml:"port,omitempty"`
	TLS     bool     `yaml:"tls,omitempty"`
	Address Networks `yaml:"address,omitempty"`
	TLSName string   `yaml:"tls_name,omitempty"`
	May     []string `yaml:"may,flow"`
	ActsAs  string   `yaml:"acts_as,omitempty"`
}

// SearchKey is an attribute that is kept for queries beyond those of the standard.
type SearchKey struct {
	Tag   string `yaml:"tag"`   // eight hex digits, (gggg,eeee) or the keyword
	Level string `yaml:"level"` // patient, study, series, instance
	VR    string `yaml:"vr,omitempty"`
}

// Limits bound what callers can cost.
type Limits struct {
	Associations        int      `yaml:"associations"`
	AssociationsPerPeer int      `yaml:"associations_per_peer"`
	AssociationIdle     Duration `yaml:"association_idle"`
	PDU                 Size     `yaml:"pdu"`
	Connections         int      `yaml:"connections"`
	Header              Size     `yaml:"header"`
	HeaderTime          Duration `yaml:"header_time"`
	Stall               Duration `yaml:"stall"` // how long a body may make no progress
	Idle                Duration `yaml:"idle"`
	Results             int      `yaml:"results"`
	Grace               Duration `yaml:"grace"`
}

// Log says how to log.
type Log struct {
	Format string `yaml:"format"` // auto, text, json
	Level  string `yaml:"level"`  // debug, info, warn, error
}

// off in place of an address means that nothing listens.
const off = "off"

func defaultConfig() Config {
	return Config{
		AET:      "PHAROS",
		Data:     "pharos-data",
		HTTP:     "127.0.0.1:8080",
		Admin:    off,
		DICOM:    "127.0.0.1:11112",
		DICOMTLS: DICOMTLS{Addr: off},

		OnConflict: "refuse",
		Limits: Limits{
			Associations:        200,
			AssociationsPerPeer: 100,
			AssociationIdle:     Duration(time.Minute),
			PDU:                 128 << 10,
			Connections:         2000,
			Header:              32 << 10,
			HeaderTime:          Duration(10 * time.Second),
			Stall:               Duration(30 * time.Second),
			Idle:                Duration(2 * time.Minute),
			Results:             1000,
			Grace:               Duration(30 * time.Second),
		},
		Log: Log{Format: "auto", Level: "info"},
	}
}

// complete fills in what follows from other settings.
func (c *Config) complete() {
	if c.Database == (Database{}) {
		c.Database.URL = "sqlite:" + filepath.Join(c.Data, "index.db")
	}
	if c.Blobs == "" && len(c.Volumes) == 0 {
		c.Blobs = "file:" + filepath.Join(c.Data, "blobs")
	}
	if c.DICOMTLS.Cert == "" && c.DICOMTLS.Key == "" {
		c.DICOMTLS.Cert, c.DICOMTLS.Key = c.TLS.Cert, c.TLS.Key
	}
	if c.DICOMTLS.ClientAuth == "" {
		c.DICOMTLS.ClientAuth = "none"
		if c.DICOMTLS.ClientCA != "" {
			c.DICOMTLS.ClientAuth = "required"
		}
	}
}

// calledAETs are the titles answered to beside the own one. Who only tries the archive
// out, with tools that call something else by default, is not turned away for that.
func (c *Config) calledAETs() []string {
	if c.Demo || c.InsecureOpen {
		return []string{"*"}
	}
	return c.CalledAETs
}

// volumes returns the volumes, be they given as such or by the short form.
func (c *Config) volumes() []Volume {
	if len(c.Volumes) > 0 {
		return c.Volumes
	}
	return []Volume{{Name: "main", URL: c.Blobs, Receives: true}}
}

// receives is the name of the volume that new instances go to.
func (c *Config) receives() string {
	for _, v := range c.volumes() {
		if v.Receives {
			return v.Name
		}
	}
	return ""
}
