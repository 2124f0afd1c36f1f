package main

import (
	"encoding/json"
	"io"
	"os"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// addJSONFlag gives a command --json.
func addJSONFlag(cmd *cobra.Command) *bool {
	return cmd.Flags().Bool("json", false, "write JSON, for scripts")
}

// printJSON writes one value on one line, so that lists can be read line by line.
func printJSON(w io.Writer, v any) error { return json.NewEncoder(w).Encode(v) }

// newTable aligns columns that are separated by tabs. Flush writes it.
func newTable(w io.Writer) *tabwriter.Writer { return tabwriter.NewWriter(w, 0, 8, 2, ' ', 0) }

// onTerminal reports whether somebody is looking.
func onTerminal(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }
