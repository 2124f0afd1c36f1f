package main

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
)

func TestSettingsAreNamedOnceAndReachTheirField(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range settings {
		for _, name := range []string{s.env(), "--" + s.flag} {
			if name != "--" && seen[name] {
				t.Errorf("%s is there twice", name)
			}
			seen[name] = true
		}
		c := defaultConfig()
		text := map[string]string{"*bool": "true", "*int": "12", "*string": "x", "*[]string": "x,y"}[typeName(s.value(&c))]
		if text == "" {
			continue
		}
		if err := s.set(&c, text); err != nil {
			t.Errorf("%s: %v", s.key, err)
		}
	}
}

func typeName(v any) string {
	switch v.(type) {
	case *bool:
		return "*bool"
	case *int:
		return "*int"
	case *string:
		return "*string"
	case *[]string:
		return "*[]string"
	}
	return ""
}

func TestFlagGoesBeforeEnvironmentBeforeFileBeforeDefault(t *testing.T) {
	for name, c := range map[string]struct {
		file string
		env  []string
		args []string
		want string
	}{
		"default":                    {"", nil, nil, "PHAROS"},
		"file":                       {"aet: FILE", nil, nil, "FILE"},
		"environment":                {"aet: FILE", []string{"PHAROS_AET=ENV"}, nil, "ENV"},
		"flag":                       {"aet: FILE", []string{"PHAROS_AET=ENV"}, []string{"--aet", "FLAG"}, "FLAG"},
		"flag that says the default": {"aet: FILE", nil, []string{"--aet", "PHAROS"}, "PHAROS"},
	} {
		t.Run(name, func(t *testing.T) {
			config := defaultConfig()
			if err := parseConfig(&config, "f", []byte(c.file)); err != nil {
				t.Fatal(err)
			}
			if _, err := applyEnvironment(&config, c.env); err != nil {
				t.Fatal(err)
			}
			flags := pflag.NewFlagSet("", pflag.ContinueOnError)
			addSettingFlags(flags)
			if err := flags.Parse(c.args); err != nil {
				t.Fatal(err)
			}
			if err := applyFlags(&config, flags); err != nil || config.AET != c.want {
				t.Errorf("aet is %q, %v; want %q", config.AET, err, c.want)
			}
		})
	}
}

func TestVariablesThatAreNoSettingsAreToldButNotRefused(t *testing.T) {
	c := defaultConfig()
	unknown, err := applyEnvironment(&c, []string{"PHAROS_PORT_8080_TCP=tcp://10.0.0.1", "PHAROS_TOKEN=x", "HOME=/", "PHAROS_DATA=d"})
	if err != nil || !slices.Equal(unknown, []string{"PHAROS_PORT_8080_TCP"}) || c.Data != "d" {
		t.Errorf("%v, %v, %q", unknown, err, c.Data)
	}
}

func TestSizesAndDurationsAreReadAsTheyAreWritten(t *testing.T) {
	for _, text := range []string{"1", "4096", "64KiB", "3MiB", "2GiB", "1TiB", "1025"} {
		var s Size
		if err := s.Set(text); err != nil || (s.String() != text && text != "4096") {
			t.Errorf("%s: %v, %v", text, s, err)
		}
	}
	for _, text := range []string{"", "0", "-1", "1.5GiB", "1KB", "9223372036854775807KiB", "99999999999TiB"} {
		if err := new(Size).Set(text); err == nil {
			t.Errorf("%q is a size", text)
		}
	}
	var d Duration
	if err := d.Set("90s"); err != nil || time.Duration(d) != 90*time.Second {
		t.Errorf("%v, %v", d, err)
	}
	for _, text := range []string{"", "5", "0s", "-1s", "1 hour"} {
		if err := new(Duration).Set(text); err == nil {
			t.Errorf("%q is a duration", text)
		}
	}
}

func TestNetworksAreMaskedAndAddressesStandForThemselves(t *testing.T) {
	var n Networks
	if err := n.Set("10.1.2.3/16, 192.0.2.7,::ffff:192.0.2.8,2001:db8::1/48"); err != nil {
		t.Fatal(err)
	}
	if got := n.String(); got != "10.1.0.0/16,192.0.2.7/32,192.0.2.8/32,2001:db8::/48" {
		t.Error(got)
	}
}

func TestFileMistakesAreReportedWithTheirLines(t *testing.T) {
	for name, c := range map[string]struct{ file, want string }{
		"unknown key":      {"aet: A\nhtttp: x\n", `f:2: there is no key "htttp"`},
		"nested":           {"limits:\n  pduu: 1\n", `f:2: there is no key "limits.pduu"`},
		"wrong type":       {"nodes: 5\n", "f:1:"},
		"wrong scalar":     {"\ninsecure_open: perhaps\n", "f:2:"},
		"list for one":     {"limits: {pdu: [1]}\n", "f:1: one value is expected here"},
		"twice":            {"aet: A\naet: B\n", "already defined at line 1"},
		"broken":           {"aet: [\n", "f"},
		"two documents":    {"aet: A\n---\naet: B\n", "more than one"},
		"sealing":          {"volumes:\n  - {name: a, url: 'file:x', receives: true, sealed_with: [k]}\n", `no key "volumes[0].sealed_with"`},
		"not a mapping":    {"- a\n", "f:1:"},
		"a bad network":    {"trusted_proxies: [10.0.0.0/8, nowhere]\n", `f:1: "nowhere" is no network`},
		"alias bomb":       {"a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a]\naet: *b\n", "f:"},
		"unknown in alias": {"nodes:\n  - &n {name: a, aett: X}\n", "aett"},
	} {
		t.Run(name, func(t *testing.T) {
			config := defaultConfig()
			err := parseConfig(&config, "f", []byte(c.file))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error is %v, want %s", err, c.want)
			}
		})
	}
}

func TestEmptyFileIsTheDefaults(t *testing.T) {
	for _, text := range []string{"", "# nothing\n"} {
		config := defaultConfig()
		if err := parseConfig(&config, "f", []byte(text)); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestConfigurationOfTheDesignIsUnderstood(t *testing.T) {
	config := defaultConfig()
	err := parseConfig(&config, "f", []byte(`
aet: PHAROS
http: 127.0.0.1:8443
dicom_tls: 127.0.0.1:2762
database: sqlite:/x/index.db
volumes:
  - {name: hot, url: "file:/x/hot", receives: true}
  - {name: old, url: "file:/x/old"}
nodes:
  - {name: ct1, aet: CT1, host: 10.0.0.5, port: 104, may: [store]}
  - {name: viewer, aet: OSIRIX, host: 10.0.0.9, port: 4006, tls: true, may: [find, move, get], acts_as: radiology}
`))
	if err != nil {
		t.Fatal(err)
	}
	if config.DICOMTLS.Addr != "127.0.0.1:2762" || config.Database.URL != "sqlite:/x/index.db" || len(config.volumes()) != 2 {
		t.Errorf("%+v", config)
	}
	nodes := config.nodes()
	if len(nodes) != 2 || nodes[0].Principal().Name != "node:ct1" || nodes[1].Principal().Name != "node:radiology" {
		t.Errorf("%+v", nodes)
	}
}

func TestListenersBeyondThisMachineAreRefusedUnlessTheySignInOverTLS(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Config)
		want   string // part of the error, "" for none
	}{
		"defaults":            {func(*Config) {}, ""},
		"plain HTTP":          {func(c *Config) { c.HTTP = ":8080" }, "in clear"},
		"allowed":             {func(c *Config) { c.HTTP, c.AllowPlainHTTP = ":8080", true }, ""},
		"plain DICOM":         {func(c *Config) { c.DICOM = "0.0.0.0:104" }, ""},
		"open":                {func(c *Config) { c.InsecureOpen = true }, ""},
		"open on localhost":   {func(c *Config) { c.InsecureOpen, c.HTTP, c.DICOM = true, "localhost:1", "[::1]:2" }, ""},
		"open DICOM":          {func(c *Config) { c.InsecureOpen, c.DICOM = true, "0.0.0.0:104" }, "administrator"},
		"open admin":          {func(c *Config) { c.InsecureOpen, c.Admin = true, ":9100" }, "administrator"},
		"open on a host name": {func(c *Config) { c.InsecureOpen, c.HTTP, c.AllowPlainHTTP = true, "pacs:80", true }, "administrator"},
		"TLS without files":   {func(c *Config) { c.DICOMTLS.Addr = "127.0.0.1:2762" }, "needs a certificate"},
		"half a pair":         {func(c *Config) { c.TLS.Cert = "x" }, "half a pair"},
		"nothing":             {func(c *Config) { c.HTTP, c.DICOM = off, off }, "nothing to listen on"},
		"one port twice":      {func(c *Config) { c.HTTP = c.DICOM }, "is the address of"},
	} {
		t.Run(name, func(t *testing.T) {
			config := defaultConfig()
			c.change(&config)
			config.complete()
			err := config.check()
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("error is %v, want %q", err, c.want)
			}
		})
	}
}

func TestPasswordsInURLsAreNotShown(t *testing.T) {
	for in, want := range map[string]string{
		"postgres://u:hunter2@h/db":               "postgres://u:xxxxx@h/db",
		"postgres://u@h/db?password=hunter2":      "postgres://u@h/db?password=xxxxx",
		"file:/var/lib/pharos":                    "file:/var/lib/pharos",
		"postgres://u:hun%ter2@h/db":              "(hidden)",
		"postgres://h/db?sslpassword=hunter2&x=1": "postgres://h/db?sslpassword=xxxxx&x=1",
	} {
		if got := redactURL(in); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}

func FuzzParseConfig(f *testing.F) {
	f.Add("aet: A\nlimits: {pdu: 64KiB}\nnodes:\n  - {name: a, aet: B, address: [10.0.0.0/8], may: [find]}\n")
	f.Add("database: sqlite:x\ndicom_tls: off\nsearch_keys: [{tag: PatientAge, level: study}]\n")
	f.Add("a: &a {b: *a}\n")
	f.Fuzz(func(t *testing.T, text string) {
		config := defaultConfig()
		if parseConfig(&config, "f", []byte(text)) != nil {
			return
		}
		// What was understood is understood again after it is printed.
		var b strings.Builder
		if err := printConfig(&b, config); err != nil {
			t.Fatal(err)
		}
		again := defaultConfig()
		if err := parseConfig(&again, "f", []byte(b.String())); err != nil {
			t.Fatalf("%v in\n%s", err, b.String())
		}
		var c strings.Builder
		if err := printConfig(&c, again); err != nil || b.String() != c.String() {
			t.Errorf("%v:\n%s\nbecomes\n%s", err, b.String(), c.String())
		}
	})
}
