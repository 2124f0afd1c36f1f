package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"pharos/internal/archive/local"
)

func fsckCommand() *cobra.Command {
	var quick bool
	var asJSON *bool
	cmd := &cobra.Command{
		Use:   "fsck",
		Short: "Compare the index with the images, both ways, and verify checksums",
		Long: `Compare the index with the images, both ways, and verify checksums.

Nothing is changed, except that images which a crash kept out of the index are added to
it first, as at every start. No server may be using the data directory. Exit code 3 says
that faults were found.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withStorage(cmd, nil, func(ctx context.Context, s *storage, _ *slog.Logger) error {
				return fsck(ctx, cmd.OutOrStdout(), s, !quick, *asJSON)
			})
		},
	}
	cmd.Flags().BoolVar(&quick, "quick", false, "do not read the images to verify their checksums")
	asJSON = addJSONFlag(cmd)
	addStorageFlags(cmd)
	return cmd
}

// addStorageFlags gives a command what it needs to open the storage.
func addStorageFlags(cmd *cobra.Command) {
	addConfigFlag(cmd)
	addSettingFlags(cmd.Flags(), "data", "database", "blobs", "log-format", "log-level")
}

// withStorage opens the storage for a command that works without a server.
func withStorage(cmd *cobra.Command, progress func(seen, adopted int), work func(context.Context, *storage, *slog.Logger) error) (err error) {
	l, err := configOf(cmd)
	if err != nil {
		return err
	}
	log := newLogger(l.Log, os.Stderr)
	s, err := openStorage(cmd.Context(), &l.Config, log, progress)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close(context.WithoutCancel(cmd.Context()))) }()
	return work(cmd.Context(), s, log)
}

type findingJSON struct {
	Fault    local.Fault `json:"fault"`
	Instance string      `json:"instance,omitempty"`
	Volume   string      `json:"volume"`
	Key      string      `json:"key"`
	Error    string      `json:"error,omitempty"`
}

func fsck(ctx context.Context, w io.Writer, s *storage, digests, asJSON bool) error {
	report := func(f local.Finding) {
		line := findingJSON{Fault: f.Fault, Volume: f.Location.Volume, Key: string(f.Location.Key)}
		if f.Ref.Instance != "" {
			line.Instance = f.Ref.String()
		}
		if f.Err != nil {
			line.Error = f.Err.Error()
		}
		if asJSON {
			_ = printJSON(w, line) // a reader who is gone needs no answer
			return
		}
		fmt.Fprintf(w, "%s: %s in %s, %s: %s\n", line.Fault, line.Instance, line.Volume, line.Key, line.Error)
	}
	sum, err := s.Check(ctx, digests, report)
	if err != nil {
		return err
	}
	if asJSON {
		err = printJSON(w, struct {
			Instances int64 `json:"instances"`
			Blobs     int64 `json:"blobs"`
			Bytes     int64 `json:"bytes"`
			Faults    int64 `json:"faults"`
		}{sum.Instances, sum.Blobs, sum.Bytes, sum.Faults})
	} else {
		_, err = fmt.Fprintf(w, "%d instances, %d blobs, %d bytes verified, %d faults\n", sum.Instances, sum.Blobs, sum.Bytes, sum.Faults)
	}
	if err == nil && sum.Faults > 0 {
		return partlyError{fmt.Errorf("%d faults were found", sum.Faults)}
	}
	return err
}
