package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"pharos/internal/access"
	"pharos/internal/archive"
)

// importOptions are the flags of import.
type importOptions struct {
	journal string
	restart bool
	workers int
	asJSON  *bool
	server  *serverFlags
}

func importCommand() *cobra.Command {
	var o importOptions
	cmd := &cobra.Command{
		Use:   "import PATH...",
		Short: "Take in the DICOM files below directories",
		Long: `Take in the DICOM files below directories.

Files go straight into the data directory, which no server may be using meanwhile; with
--server they go to a DICOMweb server instead. What is not DICOM is skipped. An import
that was interrupted, or in which files failed, goes on where it was when it is started
again with the same paths.`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if o.server.url != "" {
				return importToServer(cmd, args, &o)
			}
			return importHere(cmd, args, &o)
		},
	}
	o.asJSON = addTransferFlags(cmd, &o.workers)
	o.server = addServerFlags(cmd)
	o.server.url = "" // a variable of the environment must not lead images elsewhere
	cmd.Flags().StringVar(&o.journal, "journal", "", "file that remembers what is done (default: in the data directory)")
	cmd.Flags().BoolVar(&o.restart, "restart", false, "forget what an earlier import has done")
	addConfigFlag(cmd)
	addSettingFlags(cmd.Flags(), "data", "database", "blobs", "log-format", "log-level")
	return cmd
}

// importHere imports into the data directory.
func importHere(cmd *cobra.Command, paths []string, o *importOptions) (err error) {
	l, err := configOf(cmd)
	if err != nil {
		return err
	}
	ctx := cmd.Context()
	log := newLogger(Log{Format: l.Log.Format, Level: "warn"}, os.Stderr) // the audit trail has one line for each instance
	store, err := openStorage(ctx, &l.Config, log, nil)
	if errors.Is(err, errInUse) {
		return fmt.Errorf("%w\nA server may be running on it: send the files to that instead, by\n    pharos import --server URL %s", err, strings.Join(paths, " "))
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.close(context.WithoutCancel(ctx))) }()
	if o.journal == "" {
		o.journal = journalFor(dataDir(l.Data), paths)
	}
	importer := access.Principal{Name: "command:import", May: access.Store}
	gate := archive.Guard(store, access.ByRight{}, access.LogAuditor{Log: log})
	return runImport(access.WithPrincipal(ctx, importer), cmd, paths, o, func(context.Context) (sink, error) {
		return localSink{gate}, nil
	})
}

// runImport carries the files.
func runImport(ctx context.Context, cmd *cobra.Command, paths []string, o *importOptions, open func(context.Context) (sink, error)) error {
	t := &transfer{paths: paths, workers: max(1, o.workers), open: open, report: reporterFor(cmd, *o.asJSON, "import")}
	if o.journal != "" {
		if o.restart {
			if err := os.RemoveAll(o.journal); err != nil {
				return fmt.Errorf("journal: %w", err)
			}
		}
		j, err := openJournal(o.journal)
		if err != nil {
			return err
		}
		t.journal = j
	}
	return t.run(ctx)
}

// journalFor names the journal of an import by its paths.
func journalFor(dir dataDir, paths []string) string {
	abs := make([]string, len(paths))
	for i, p := range paths {
		abs[i] = p
		if a, err := filepath.Abs(p); err == nil {
			abs[i] = a
		}
	}
	slices.Sort(abs)
	sum := sha256.Sum256([]byte(strings.Join(abs, "\x00")))
	return dir.file(filepath.Join("imports", hex.EncodeToString(sum[:8])))
}

// localSink stores into an archive of this process.
type localSink struct{ archive.Archive }

func (s localSink) put(ctx context.Context, path string) (verdict, error) {
	f, err := os.Open(path)
	if err != nil {
		return failed, err
	}
	defer func() { _ = f.Close() }() // it was only read
	in, err := archive.ReadIncoming(f)
	if err != nil {
		return failed, err
	}
	in.Source = "import"
	receipt, err := s.Store(ctx, in, "")
	if err != nil && !errors.Is(err, archive.ErrInvalid) && !errors.Is(err, archive.ErrConflict) {
		return failed, fatalError{err} // the disk is full, or worse
	}
	return verdictOf(receipt), err
}

func (s localSink) close(context.Context) error { return nil }
