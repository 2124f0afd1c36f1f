package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"pharos/internal/dimse"
)

// targetFlags name the other side of a client command: a DICOM node or a DICOMweb
// server.
type targetFlags struct {
	node   string
	tls    bool
	server *serverFlags
}

const targetHelp = `The other side is a DICOM node, by the name that it has in the configuration or as
AET@HOST:PORT, or a DICOMweb server by its URL.`

func addNodeFlags(cmd *cobra.Command) *targetFlags {
	t := &targetFlags{}
	cmd.Flags().StringVar(&t.node, "node", "", "DICOM node: its name in the configuration, or AET@HOST:PORT")
	cmd.Flags().BoolVar(&t.tls, "tls", false, "speak TLS with a node that is given as AET@HOST:PORT")
	addConfigFlag(cmd)
	addSettingFlags(cmd.Flags(), "aet")
	return t
}

func addTargetFlags(cmd *cobra.Command) *targetFlags {
	t := addNodeFlags(cmd)
	t.server = addServerFlags(cmd)
	return t
}

// choose reports which of the two was named. A node on the command line goes before a
// server in the environment.
func (t *targetFlags) choose(cmd *cobra.Command) (web bool, err error) {
	web = t.server != nil && t.server.url != ""
	if t.node != "" && !cmd.Flags().Changed("server") {
		web = false
	}
	switch {
	case web && t.node != "":
		return false, usageError{errors.New("--node and --server are given together: keep one of them")}
	case !web && t.node == "" && t.server == nil:
		return false, usageError{errors.New("--node is missing")}
	case !web && t.node == "":
		return false, usageError{errors.New("--node or --server is missing")}
	}
	return web, nil
}

// dialer opens associations with the node.
type dialer struct {
	node   dimse.Node
	config dimse.ClientConfig
}

func (d *dialer) dial(ctx context.Context, offers ...dimse.Offer) (*dimse.Client, error) {
	return dimse.Dial(ctx, d.node, d.config, offers...)
}

// dialer finds the node.
func (t *targetFlags) dialer(cmd *cobra.Command) (*dialer, error) {
	l, err := configOf(cmd)
	if err != nil {
		return nil, err
	}
	n, err := l.findNode(t.node, t.tls)
	if err != nil {
		return nil, usageError{err}
	}
	peers, err := loadPeerTLS(&l.Config, newLogger(l.Log, os.Stderr))
	if err != nil {
		return nil, err
	}
	return &dialer{
		node:   peers.node(n),
		config: dimse.ClientConfig{AETitle: l.AET, Limits: associationLimits(&l.Config)},
	}, nil
}

// findNode understands the name of a node, or AET@HOST:PORT.
func (c *Config) findNode(text string, tls bool) (Node, error) {
	for _, n := range c.Nodes {
		if n.Name != text {
			continue
		}
		if n.Host == "" || n.Port == 0 {
			return Node{}, fmt.Errorf("node %s has no host and port in the configuration", text)
		}
		return n, nil
	}
	aet, address, ok := strings.Cut(text, "@")
	host, portText, err := net.SplitHostPort(address)
	port, errPort := strconv.ParseUint(portText, 10, 16)
	if !ok || aet == "" || err != nil || errPort != nil {
		return Node{}, fmt.Errorf("--node: %q is no node of the configuration, nor is it like AET@HOST:PORT", text)
	}
	return Node{AET: aet, Host: host, Port: int(port), TLS: tls}, nil
}
