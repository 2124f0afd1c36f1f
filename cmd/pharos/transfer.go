package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"sync"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"pharos/internal/archive"
	"pharos/internal/dicom"
)

// verdict is what became of a file.
type verdict string

const (
	added     verdict = "added"
	duplicate verdict = "duplicate" // the same bytes were there
	replaced  verdict = "replaced"
	held      verdict = "held"    // kept aside for review
	sent      verdict = "sent"    // the receiver does not tell more
	skipped   verdict = "skipped" // no DICOM instance, as a DICOMDIR is none
	known     verdict = "known"   // the journal says that it was done
	failed    verdict = "failed"
)

// sink takes files in. Each worker has its own.
type sink interface {
	// put takes one file. An error concerns this file only, unless it is a fatalError.
	put(ctx context.Context, path string) (verdict, error)
	close(ctx context.Context) error
}

// fatalError says that no other file will fare better.
type fatalError struct{ error }

func (e fatalError) Unwrap() error { return e.error }

// transfer carries the files below some paths into sinks.
type transfer struct {
	paths   []string
	workers int
	open    func(context.Context) (sink, error)
	journal *journal  // nil for none
	report  *reporter // told of every file

	mu    sync.Mutex
	count map[verdict]int64
}

// run returns a partlyError when some files failed.
func (t *transfer) run(ctx context.Context) error {
	t.count = make(map[verdict]int64)
	files := make(chan found, 4*t.workers)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		defer close(files)
		return t.walk(ctx, files)
	})
	for range t.workers {
		group.Go(func() error { return t.work(ctx, files) })
	}
	err := group.Wait()
	if t.journal != nil {
		err = errors.Join(err, t.journal.close(err == nil && t.count[failed] == 0))
	}
	t.report.finish(t.count)
	if err == nil && t.count[failed] > 0 {
		return partlyError{fmt.Errorf("%d files failed", t.count[failed])}
	}
	return err
}

// found is a file with what the journal knows it by.
type found struct {
	path string
	mark mark
}

// walk finds the regular files below the paths. What can't be read is a failure of its
// own and stops nothing.
func (t *transfer) walk(ctx context.Context, files chan<- found) error {
	for _, root := range t.paths {
		root, err := filepath.EvalSymlinks(root)
		if err != nil {
			return err
		}
		err = filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
			if err != nil {
				t.done(path, failed, err)
				return nil
			}
			if !entry.Type().IsRegular() {
				return nil
			}
			info, err := entry.Info()
			if err != nil {
				t.done(path, failed, err)
				return nil
			}
			select {
			case files <- found{path, markOf(path, info)}:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (t *transfer) work(ctx context.Context, files <-chan found) (err error) {
	s, err := t.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close(context.WithoutCancel(ctx))) }()
	for f := range files {
		if t.journal != nil && t.journal.has(f.mark) {
			t.done(f.path, known, nil)
			continue
		}
		v, err := t.put(ctx, s, f.path)
		if err != nil {
			var fatal fatalError
			if errors.As(err, &fatal) || ctx.Err() != nil {
				return fmt.Errorf("%s: %w", f.path, err)
			}
			v = failed
		}
		t.done(f.path, v, err)
		if t.journal != nil && v != failed {
			if err := t.journal.add(f.mark); err != nil {
				return err
			}
		}
	}
	return nil
}

// put calls the sink, and takes what is not DICOM for something that happened to lie
// there.
func (t *transfer) put(ctx context.Context, s sink, path string) (verdict, error) {
	if filepath.Base(path) == "DICOMDIR" {
		return skipped, nil
	}
	v, err := s.put(ctx, path)
	if errors.Is(err, dicom.ErrNotDICOM) {
		return skipped, nil
	}
	return v, err
}

func (t *transfer) done(path string, v verdict, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.count[v]++
	t.report.file(path, v, err)
}

// verdictOf reads a receipt.
func verdictOf(r archive.Receipt) verdict {
	switch {
	case r.Duplicate:
		return duplicate
	case r.Held:
		return held
	case r.Replaced:
		return replaced
	}
	return added
}

// addTransferFlags gives a command what import and send have in common.
func addTransferFlags(cmd *cobra.Command, workers *int) *bool {
	cmd.Flags().IntVar(workers, "workers", 4, "files carried at once")
	return addJSONFlag(cmd)
}

// reporterFor writes to where the command writes.
func reporterFor(cmd *cobra.Command, asJSON bool, verb string) *reporter {
	return newReporter(cmd.OutOrStdout(), cmd.ErrOrStderr(), asJSON, verb)
}
