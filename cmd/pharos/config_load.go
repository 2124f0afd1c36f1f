package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"
)

// loaded is a configuration with what was noticed while it was put together.
type loaded struct {
	Config
	unknownVariables []string
}

// loadConfig puts the configuration together: defaults, then the file, then the
// environment, then flags. Every mistake is reported, each on its own line.
func loadConfig(flags *pflag.FlagSet, environ []string) (*loaded, error) {
	l := &loaded{Config: defaultConfig()}
	var errs []error
	if path := configPath(flags, environ); path != "" {
		errs = append(errs, readConfigFile(&l.Config, path))
	}
	unknown, err := applyEnvironment(&l.Config, environ)
	l.unknownVariables = unknown
	errs = append(errs, err, applyFlags(&l.Config, flags))
	if err := errors.Join(errs...); err != nil {
		return nil, usageError{err}
	}
	l.complete()
	if err := l.check(); err != nil {
		return nil, usageError{err}
	}
	return l, nil
}

func configPath(flags *pflag.FlagSet, environ []string) string {
	if f := flags.Lookup("config"); f != nil && f.Changed {
		return f.Value.String()
	}
	for _, entry := range environ {
		if path, ok := strings.CutPrefix(entry, "PHAROS_CONFIG="); ok {
			return path
		}
	}
	return ""
}

// maxConfig bounds the file, in bytes, and with it what YAML aliases can be made of.
const maxConfig = 1 << 20

func readConfigFile(c *Config, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("--config: %w", err)
	}
	defer func() { _ = f.Close() }() // it was only read
	text, err := io.ReadAll(io.LimitReader(f, maxConfig+1))
	if err != nil {
		return fmt.Errorf("--config: %w", err)
	}
	if len(text) > maxConfig {
		return fmt.Errorf("--config: %s has more than %d bytes", path, maxConfig)
	}
	return parseConfig(c, path, text)
}

func parseConfig(c *Config, path string, text []byte) error {
	var doc yaml.Node
	d := yaml.NewDecoder(bytes.NewReader(text))
	if err := d.Decode(&doc); errors.Is(err, io.EOF) {
		return nil // an empty file
	} else if err != nil {
		return located(path, err)
	}
	if d.Decode(new(yaml.Node)) != io.EOF { //nolint:errorlint // the decoder returns it bare
		return fmt.Errorf("%s: there is more than one YAML document", path)
	}
	root := doc.Content[0]
	expandShortForms(root)
	known := unknownKeys(path, "", root, reflect.TypeFor[Config]())
	return errors.Join(known, located(path, root.Decode(c)))
}

// expandShortForms turns "database: URL" into "database: {url: URL}" and the like.
func expandShortForms(root *yaml.Node) {
	if root.Kind != yaml.MappingNode {
		return
	}
	for i := 0; i+1 < len(root.Content); i += 2 {
		key := map[string]string{"database": "url", "dicom_tls": "addr"}[root.Content[i].Value]
		value := root.Content[i+1]
		if key == "" || value.Kind != yaml.ScalarNode || value.Tag == "!!null" {
			continue
		}
		root.Content[i+1] = &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Line: value.Line, Content: []*yaml.Node{
			{Kind: yaml.ScalarNode, Tag: "!!str", Value: key, Line: value.Line}, value,
		}}
	}
}

// unknownKeys reports the keys of a mapping that are no fields of the type, with
// their lines. The decoder's own check names Go types, which help nobody.
func unknownKeys(path, prefix string, n *yaml.Node, t reflect.Type) error {
	var err error
	switch {
	case n.Kind == yaml.AliasNode:
		return unknownKeys(path, prefix, n.Alias, t)
	case n.Kind == yaml.SequenceNode && t.Kind() == reflect.Slice:
		for i, item := range n.Content {
			err = errors.Join(err, unknownKeys(path, fmt.Sprintf("%s[%d]", prefix, i), item, t.Elem()))
		}
	case n.Kind == yaml.MappingNode && t.Kind() == reflect.Struct:
		fields := yamlFields(t)
		for i := 0; i+1 < len(n.Content); i += 2 {
			key := n.Content[i]
			name := strings.TrimPrefix(prefix+"."+key.Value, ".")
			if field, ok := fields[key.Value]; ok {
				err = errors.Join(err, unknownKeys(path, name, n.Content[i+1], field))
				continue
			}
			err = errors.Join(err, fmt.Errorf("%s:%d: there is no key %q; here can be %s",
				path, key.Line, name, strings.Join(sortedKeys(fields), ", ")))
		}
	}
	return err
}

func yamlFields(t reflect.Type) map[string]reflect.Type {
	fields := make(map[string]reflect.Type, t.NumField())
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("yaml"), ",")
		fields[name] = t.Field(i).Type
	}
	return fields
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

var lineInError = regexp.MustCompile(`^(?:yaml: )?line (\d+): `)

// located puts file and line in front of the decoder's errors.
func located(path string, err error) error {
	var many *yaml.TypeError
	if !errors.As(err, &many) {
		if err == nil {
			return nil
		}
		many = &yaml.TypeError{Errors: []string{err.Error()}}
	}
	var errs []error
	for _, text := range many.Errors {
		if m := lineInError.FindStringSubmatch(text); m != nil {
			errs = append(errs, fmt.Errorf("%s:%s: %s", path, m[1], text[len(m[0]):]))
			continue
		}
		errs = append(errs, fmt.Errorf("%s: %s", path, text))
	}
	return errors.Join(errs...)
}
