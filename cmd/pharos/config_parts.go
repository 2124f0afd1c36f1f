package main

import (
	"fmt"
	"io"
	"net/url"
	"os"
	"strconv"
	"strings"

	"pharos/internal/access"
	"pharos/internal/archive"
	"pharos/internal/dicom"
	"pharos/internal/dicom/dict"
	"pharos/internal/identity"
	"pharos/internal/index"
)

// readSecret reads a file that holds a secret and drops the line end that editors add.
func readSecret(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }() // it was only read
	content, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
	if err != nil {
		return "", err
	}
	if len(content) > maxSecret {
		return "", fmt.Errorf("%s has more than %d bytes", path, maxSecret)
	}
	return strings.TrimRight(string(content), "\r\n"), nil
}

// redactURL replaces the password in a URL. What can't be understood as a URL is not
// shown at all.
func redactURL(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return "(hidden)"
	}
	q := u.Query()
	for name := range q {
		if strings.Contains(strings.ToLower(name), "password") || strings.Contains(strings.ToLower(name), "secret") {
			q.Set(name, "xxxxx")
		}
	}
	if u.RawQuery != "" {
		u.RawQuery = q.Encode()
	}
	return u.Redacted()
}

// policy is what becomes of other bytes under a known SOP Instance UID.
func (c *Config) policy() index.Policy {
	switch c.OnConflict {
	case "replace":
		return index.Replace
	case "keep":
		return index.Keep
	}
	return index.Refuse
}

// keys are the attributes kept for queries.
func (c *Config) keys() *archive.Keys {
	var added []archive.Key
	for _, s := range c.SearchKeys {
		if key, err := s.key(); err == nil { // it was checked before
			added = append(added, key)
		}
	}
	return archive.NewKeys(added...)
}

var levels = map[string]archive.Level{
	"patient": archive.PatientLevel, "study": archive.StudyLevel,
	"series": archive.SeriesLevel, "instance": archive.InstanceLevel,
}

// key understands the tag by its number or keyword.
func (s SearchKey) key() (archive.Key, error) {
	level, ok := levels[s.Level]
	if !ok {
		return archive.Key{}, fmt.Errorf("level: %q is not known: choose from patient, study, series, instance", s.Level)
	}
	tag, ok := parseTag(s.Tag)
	if !ok {
		return archive.Key{}, fmt.Errorf("tag: %q is not known: write it like 00101010, (0010,1010) or PatientAge", s.Tag)
	}
	vr := dict.VROf(tag)
	if len(s.VR) == 2 {
		vr = dict.MakeVR(s.VR[0], s.VR[1])
	}
	if s.VR != "" && len(s.VR) != 2 || !vr.Known() {
		return archive.Key{}, fmt.Errorf("vr: %q is none: give the two letters of the VR, as LO", s.VR)
	}
	return archive.Key{Tag: tag, VR: vr, Level: level}, nil
}

func parseTag(text string) (dicom.Tag, bool) {
	digits := strings.NewReplacer("(", "", ")", "", ",", "").Replace(text)
	if n, err := strconv.ParseUint(digits, 16, 32); err == nil && len(digits) == 8 {
		return dicom.Tag(n), true
	}
	e, ok := dict.ByKeyword(text)
	return e.Tag, ok
}

// nodes are the DICOM applications that may call, as identity knows them.
func (c *Config) nodes() []identity.Node {
	var nodes []identity.Node
	for _, n := range c.Nodes {
		if len(n.May) == 0 {
			continue
		}
		nodes = append(nodes, identity.Node{
			Name: n.Name, AET: n.AET, TLSName: n.TLSName, From: n.Address, Host: n.Host, As: n.ActsAs, May: n.rights(),
		})
	}
	return nodes
}

// rights are those of PS3.4's service classes, told in the archive's own.
func (n Node) rights() access.Action {
	var may access.Action
	for _, right := range n.May {
		switch right {
		case "store":
			may |= access.Store
		case "find":
			may |= access.Find
		case "move", "get":
			may |= access.Find | access.Retrieve
		}
	}
	return may
}
