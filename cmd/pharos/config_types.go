package main

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// Duration is a time.Duration that is written like 30s or 1h30m.
type Duration time.Duration

// Set understands the text.
func (d *Duration) Set(text string) error {
	v, err := time.ParseDuration(text)
	if err != nil || v <= 0 {
		return fmt.Errorf("%q is no duration: write it like 30s, 5m or 1h30m", text)
	}
	*d = Duration(v)
	return nil
}

func (d Duration) String() string { return time.Duration(d).String() }

// UnmarshalYAML implements yaml.Unmarshaler.
func (d *Duration) UnmarshalYAML(n *yaml.Node) error { return setScalar(d, n) }

// MarshalYAML implements yaml.Marshaler.
func (d Duration) MarshalYAML() (any, error) { return d.String(), nil }

// Size is a number of bytes that is written like 64KiB.
type Size int64

var sizeUnits = []struct {
	name  string
	shift int
}{{"TiB", 40}, {"GiB", 30}, {"MiB", 20}, {"KiB", 10}, {"B", 0}, {"", 0}}

// Set understands the text.
func (s *Size) Set(text string) error {
	for _, u := range sizeUnits {
		digits, ok := strings.CutSuffix(text, u.name)
		if !ok {
			continue
		}
		v, err := strconv.ParseInt(strings.TrimSpace(digits), 10, 64)
		if err != nil || v <= 0 || v > 1<<(62-u.shift) {
			break
		}
		*s = Size(v << u.shift)
		return nil
	}
	return fmt.Errorf("%q is no size: write it like 4096, 64KiB or 2GiB", text)
}

func (s Size) String() string {
	for _, u := range sizeUnits {
		if u.shift > 0 && s >= 1<<u.shift && s%(1<<u.shift) == 0 {
			return strconv.FormatInt(int64(s>>u.shift), 10) + u.name
		}
	}
	return strconv.FormatInt(int64(s), 10)
}

// UnmarshalYAML implements yaml.Unmarshaler.
func (s *Size) UnmarshalYAML(n *yaml.Node) error { return setScalar(s, n) }

// MarshalYAML implements yaml.Marshaler.
func (s Size) MarshalYAML() (any, error) { return s.String(), nil }

// Networks is a list of networks; an address stands for the network of itself.
type Networks []netip.Prefix

// Set understands networks separated by commas.
func (n *Networks) Set(text string) error {
	var list Networks
	for part := range strings.SplitSeq(text, ",") {
		part = strings.TrimSpace(part)
		if addr, err := netip.ParseAddr(part); err == nil {
			addr = addr.Unmap()
			list = append(list, netip.PrefixFrom(addr, addr.BitLen()))
			continue
		}
		prefix, err := netip.ParsePrefix(part)
		if err != nil {
			return fmt.Errorf("%q is no network: write it like 10.1.0.0/16, 192.0.2.7 or 2001:db8::/48", part)
		}
		list = append(list, prefix.Masked())
	}
	*n = list
	return nil
}

func (n Networks) String() string {
	texts := make([]string, len(n))
	for i, p := range n {
		texts[i] = p.String()
	}
	return strings.Join(texts, ",")
}

// UnmarshalYAML implements yaml.Unmarshaler: a network or a list of them.
func (n *Networks) UnmarshalYAML(node *yaml.Node) error {
	if node.Kind != yaml.SequenceNode {
		return setScalar(n, node)
	}
	var list Networks
	for _, item := range node.Content {
		var one Networks
		if err := setScalar(&one, item); err != nil {
			return err
		}
		list = append(list, one...)
	}
	*n = list
	return nil
}

// MarshalYAML implements yaml.Marshaler.
func (n Networks) MarshalYAML() (any, error) { return strings.Split(n.String(), ","), nil }

// setScalar reports a value that is not understood as a yaml.TypeError, after which
// the decoder goes on: so all mistakes are reported at once.
func setScalar(v interface{ Set(text string) error }, n *yaml.Node) error {
	if n.Kind != yaml.ScalarNode {
		return &yaml.TypeError{Errors: []string{fmt.Sprintf("line %d: one value is expected here", n.Line)}}
	}
	if err := v.Set(n.Value); err != nil {
		return &yaml.TypeError{Errors: []string{fmt.Sprintf("line %d: %s", n.Line, err)}}
	}
	return nil
}
