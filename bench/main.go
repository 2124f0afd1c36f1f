// Command bench measures Pharos beside Orthanc on one machine and prints a table of
// both. README.md tells how to read it.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
)

// options are the flags.
type options struct {
	full    bool
	only    *regexp.Regexp
	studies []int
	json    string
	dir     string
	pharos  string
	orthanc string
	plugin  string
	alone   bool
	keep    bool
}

// scale is how much is done in each cell.
type scale struct {
	rounds  int // measurements of a peer in one cell, the peers taking turns
	ct      int // instances of 0.5 MB in one round
	small   int // instances of 20 kB in one round
	series  int // instances of the series that is retrieved
	whole   int // retrievals of the whole series in one round
	single  int // retrievals of one instance or frame in one round
	queries int // queries of one kind
	large   int // bytes of the large object, in MiB
}

var (
	quick = scale{rounds: 2, ct: 120, small: 300, series: 500, whole: 1, single: 80, queries: 20, large: 512}
	full  = scale{rounds: 3, ct: 600, small: 1500, series: 500, whole: 6, single: 500, queries: 200, large: 2048}
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if errors.Is(err, flag.ErrHelp) {
		os.Exit(2)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// run measures what the arguments ask for. What was measured is printed also when it
// ends early.
func run(ctx context.Context, args []string) (err error) {
	o, err := parseOptions(args)
	if err != nil {
		return err
	}
	b, err := newBench(o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.close(), b.report.write(o)) }()
	for _, section := range []func(context.Context) error{b.store, b.retrieve, b.query, b.memory} {
		if err := section(ctx); err != nil {
			if ctx.Err() != nil {
				return errors.New("interrupted")
			}
			return err
		}
	}
	return nil
}

func parseOptions(args []string) (*options, error) {
	o := &options{}
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.Bool("quick", true, "small counts, under three minutes; -full overrides it")
	f.BoolVar(&o.full, "full", false, "counts to rely on, queries at 100,000 studies, a 2 GB object; about an hour")
	only := f.String("only", "", "measure the cells whose name this regular expression matches")
	studies := f.String("studies", "", "numbers of studies to query, as 1000,10000,100000 (default: 1000, with -full all three)")
	f.StringVar(&o.json, "json", "", "write the figures to this file")
	f.StringVar(&o.dir, "dir", os.TempDir(), "directory on the disk to measure")
	f.StringVar(&o.pharos, "pharos", "bin/pharos", "the Pharos binary")
	f.StringVar(&o.orthanc, "orthanc", "/usr/sbin/Orthanc", "the Orthanc binary")
	f.StringVar(&o.plugin, "plugin", "", "Orthanc's DICOMweb plugin (default: where Debian puts it)")
	f.BoolVar(&o.alone, "alone", false, "measure Pharos only")
	f.BoolVar(&o.keep, "keep", false, "leave the data of the servers there, to be looked at")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	var err error
	if o.only, err = regexp.Compile("(?i)" + *only); err != nil {
		return nil, fmt.Errorf("-only: %w", err)
	}
	if *studies == "" {
		*studies = "1000"
		if o.full {
			*studies = "1000,10000,100000"
		}
	}
	for text := range strings.SplitSeq(*studies, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(text))
		if err != nil || n < 1 {
			return nil, fmt.Errorf("-studies: %q is no number of studies", text)
		}
		o.studies = append(o.studies, n)
	}
	return o, nil
}

// bench is one run.
type bench struct {
	opts    *options
	scale   scale
	dir     string // everything the run writes
	sink    *sink  // where C-MOVE sends to
	report  *report
	running []*peer
	fresh   int // numbers the directories of peers
}

func newBench(o *options) (*bench, error) {
	b := &bench{opts: o, scale: quick, report: &report{}}
	if o.full {
		b.scale = full
	}
	if _, err := os.Stat(o.pharos); err != nil {
		return nil, fmt.Errorf("no Pharos to measure: %w; run make build", err)
	}
	if !o.alone {
		if err := findOrthanc(o); err != nil {
			return nil, err
		}
	}
	var err error
	if b.dir, err = os.MkdirTemp(o.dir, "pharos-bench-"); err != nil {
		return nil, err
	}
	if b.sink, err = openSink(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(b.dir))
	}
	return b, nil
}

// close stops whatever still runs and removes what was written.
func (b *bench) close() error {
	var err error
	for _, p := range b.running {
		err = errors.Join(err, p.kill())
	}
	b.sink.close()
	return errors.Join(err, b.remove(b.dir))
}

// remove removes a directory, unless it is to be kept.
func (b *bench) remove(dir string) error {
	if b.opts.keep {
		progress("kept %s", dir)
		return nil
	}
	return os.RemoveAll(dir)
}

// wants reports whether a cell is to be measured.
func (b *bench) wants(cell string) bool { return b.opts.only.MatchString(cell) }

// wantsAny reports whether any of the cells is to be measured.
func (b *bench) wantsAny(cells ...string) bool {
	for _, c := range cells {
		if b.wants(c) {
			return true
		}
	}
	return false
}

// progress tells whoever waits what goes on.
func progress(format string, args ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", args...)
}

// write prints the tables and, if asked to, writes the figures as JSON.
func (r *report) write(o *options) error {
	if len(r.rows) == 0 {
		return nil
	}
	r.print(os.Stdout)
	if o.json == "" {
		return nil
	}
	text, err := json.MarshalIndent(r.rows, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Clean(o.json), append(text, '\n'), 0o600)
}
