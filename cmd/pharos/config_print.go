package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"
)

func configCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "config", Short: "Look at the configuration", Args: cobra.NoArgs}
	check := &cobra.Command{
		Use:   "check",
		Short: "Check the configuration and print what is in effect, without secrets",
		Long: `Check the configuration and print what is in effect, without secrets.

Nothing is started or written. Every mistake is reported on a line of its own.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			l, err := configOf(cmd)
			if err != nil {
				return err
			}
			return printConfig(cmd.OutOrStdout(), l.Config)
		},
	}
	addSettingFlags(check.Flags())
	addConfigFlag(check)
	cmd.AddCommand(check)
	return cmd
}

// printConfig writes the configuration as a file that means the same, but for secrets.
func printConfig(w io.Writer, c Config) error {
	if c.Database.URL != "" {
		c.Database.URL = redactURL(c.Database.URL)
	}
	c.Blobs = redactURL(c.Blobs)
	volumes := make([]Volume, len(c.Volumes))
	for i, v := range c.Volumes {
		v.URL = redactURL(v.URL)
		volumes[i] = v
	}
	c.Volumes = volumes
	e := yaml.NewEncoder(w)
	e.SetIndent(2)
	if err := e.Encode(c); err != nil {
		return fmt.Errorf("print configuration: %w", err)
	}
	return e.Close()
}
