package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"pharos/internal/index"
)

func reindexCommand() *cobra.Command {
	var asJSON *bool
	cmd := &cobra.Command{
		Use:   "reindex",
		Short: "Rebuild the index from the images alone",
		Long: `Rebuild the index from the images alone.

Use it when the index is lost or damaged, and after search_keys were added. No server may
be using the data directory. The old index is set aside and removed at the end; when the
work is interrupted, every start of the server goes on with it. A PostgreSQL database
must be empty: create a new one, and name it as the database.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return reindex(cmd, *asJSON) },
	}
	asJSON = addJSONFlag(cmd)
	addStorageFlags(cmd)
	return cmd
}

func reindex(cmd *cobra.Command, asJSON bool) (err error) {
	l, err := configOf(cmd)
	if err != nil {
		return err
	}
	ctx, log := cmd.Context(), newLogger(l.Log, os.Stderr)
	if err := settleDeletions(ctx, &l.Config, log); err != nil {
		return err
	}
	forget, err := emptyIndex(ctx, &l.Config)
	if err != nil {
		return err
	}
	bar := newProgress(cmd.ErrOrStderr(), "reindex")
	s, err := openStorage(ctx, &l.Config, log, func(seen, _ int) { bar.set(int64(seen)) })
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close(context.WithoutCancel(ctx))) }()
	bar.finish()
	totals, err := s.index.Count(ctx)
	if err != nil {
		return err
	}
	if err := forget(); err != nil {
		return err
	}
	return printTotals(cmd, totals, asJSON)
}

// settleDeletions deletes the images that the old index knows to be deleted, but whose
// bytes are still there: only that index tells them from others, and without it they
// would come back. An index that can't be read has nothing to tell; that is no reason not
// to rebuild it.
func settleDeletions(ctx context.Context, c *Config, log *slog.Logger) (err error) {
	s, err := openParts(ctx, c)
	if errors.Is(err, errInUse) {
		return err
	}
	if err == nil {
		defer func() { err = errors.Join(err, s.close(context.WithoutCancel(ctx))) }()
		err = s.deleteGarbage(ctx)
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		log.WarnContext(ctx, "the old index can't be read: what was deleted a short time ago may come back", slog.Any("error", err))
	}
	return nil
}

// deleteGarbage deletes what the index needs no longer. Nobody reads meanwhile.
func (s *storage) deleteGarbage(ctx context.Context) error {
	for l, err := range s.index.Garbage(ctx) {
		if err != nil {
			return err
		}
		store, ok := s.volumes[l.Volume]
		if !ok {
			continue // it is not configured, so it will not be rebuilt from
		}
		if err := store.Delete(ctx, l.Key); err != nil {
			return err
		}
	}
	return nil
}

func printTotals(cmd *cobra.Command, t index.Totals, asJSON bool) error {
	if asJSON {
		return printJSON(cmd.OutOrStdout(), struct {
			Studies   int64 `json:"studies"`
			Series    int64 `json:"series"`
			Instances int64 `json:"instances"`
			Bytes     int64 `json:"bytes"`
		}{t.Studies, t.Series, t.Instances, t.Bytes})
	}
	_, err := fmt.Fprintf(cmd.OutOrStdout(), "%d studies, %d series, %d instances, %d bytes\n", t.Studies, t.Series, t.Instances, t.Bytes)
	return err
}

// emptyIndex sets the old index aside. forget removes it.
func emptyIndex(ctx context.Context, c *Config) (forget func() error, err error) {
	unlock, err := dataDir(c.Data).lock() // opening the storage takes it again
	if err != nil {
		return nil, err
	}
	defer unlock()
	text, err := c.databaseURL()
	if err != nil {
		return nil, err
	}
	path, ok := strings.CutPrefix(text, "sqlite:")
	if !ok {
		return func() error { return nil }, demandEmpty(ctx, c)
	}
	aside := path + ".before-reindex"
	if _, err := os.Stat(aside); err == nil {
		// An earlier run was interrupted: what it had built is thrown away.
		return func() error { return removeDatabase(aside) }, removeDatabase(path)
	}
	for _, suffix := range databaseFiles {
		if err := os.Rename(path+suffix, aside+suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("reindex: %w", err)
		}
	}
	return func() error { return removeDatabase(aside) }, nil
}

// databaseFiles are those of an SQLite database in WAL mode. The database itself comes
// last when it is set aside, so that its absence tells that all of it was.
var databaseFiles = []string{"-wal", "-shm", ""}

func removeDatabase(path string) error {
	for _, suffix := range databaseFiles {
		if err := os.Remove(path + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("reindex: %w", err)
		}
	}
	return nil
}

func demandEmpty(ctx context.Context, c *Config) error {
	i, err := openIndex(ctx, c)
	if err != nil {
		return err
	}
	totals, err := i.Count(ctx)
	if err = errors.Join(err, i.Close()); err != nil {
		return err
	}
	if totals.Instances > 0 {
		return fmt.Errorf("reindex: the database has %d instances: create an empty one, and name it as the database", totals.Instances)
	}
	return nil
}
