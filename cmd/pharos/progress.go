package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"
)

// plainInterval is how often progress is told where no bar can be drawn.
const plainInterval = 10 * time.Second

// progress shows that long work goes on: a bar on a terminal, a line now and then
// elsewhere. It belongs to one goroutine at a time.
type progress struct {
	bar   *progressbar.ProgressBar
	to    io.Writer
	verb  string
	n     int64
	told  time.Time
	start time.Time
}

// newProgress shows progress of work whose amount is not known in advance.
func newProgress(to io.Writer, verb string) *progress {
	p := &progress{to: to, verb: verb, told: time.Now(), start: time.Now()}
	if f, ok := to.(*os.File); ok && onTerminal(f) {
		p.bar = progressbar.NewOptions64(-1,
			progressbar.OptionSetWriter(f), progressbar.OptionSetDescription(verb), progressbar.OptionShowCount(),
			progressbar.OptionShowIts(), progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish())
	}
	return p
}

// set tells how much was done so far.
func (p *progress) set(n int64) {
	p.n = n
	if p.bar != nil {
		_ = p.bar.Set64(n) // a bar that can't be drawn is no reason to stop
		return
	}
	if time.Since(p.told) >= plainInterval {
		p.told = time.Now()
		fmt.Fprintf(p.to, "%s: %d, %.0f per second\n", p.verb, n, float64(n)/time.Since(p.start).Seconds())
	}
}

// line writes a line without tearing the bar.
func (p *progress) line(text string) {
	if p.bar != nil {
		_ = p.bar.Clear()
	}
	fmt.Fprintln(p.to, text)
}

func (p *progress) finish() {
	if p.bar != nil {
		_ = p.bar.Finish()
	}
}

// reporter tells what became of files: failures as they happen, the rest as sums, or
// all of it as JSON.
type reporter struct {
	out    io.Writer
	asJSON bool
	verb   string
	bar    *progress
	n      int64
	start  time.Time
}

func newReporter(out, progress io.Writer, asJSON bool, verb string) *reporter {
	return &reporter{out: out, asJSON: asJSON, verb: verb, bar: newProgress(progress, verb), start: time.Now()}
}

type fileJSON struct {
	File   string  `json:"file"`
	Result verdict `json:"result"`
	Error  string  `json:"error,omitempty"`
}

func (r *reporter) file(path string, v verdict, err error) {
	r.n++
	r.bar.set(r.n)
	switch {
	case r.asJSON:
		line := fileJSON{File: path, Result: v}
		if err != nil {
			line.Error = err.Error()
		}
		_ = printJSON(r.out, line) // a reader who is gone needs no answer
	case v == failed:
		r.bar.line(fmt.Sprintf("%s: %v", path, err))
	}
}

type sumJSON struct {
	Done    map[verdict]int64 `json:"done"`
	Seconds float64           `json:"seconds"`
}

func (r *reporter) finish(count map[verdict]int64) {
	r.bar.finish()
	if r.asJSON {
		_ = printJSON(r.out, sumJSON{count, time.Since(r.start).Seconds()}) // as above
		return
	}
	var parts []string
	for _, v := range []verdict{added, sent, replaced, held, duplicate, known, skipped, failed} {
		if n := count[v]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, v))
		}
	}
	if len(parts) == 0 {
		parts = []string{"no files"}
	}
	fmt.Fprintf(r.out, "%s: %s\n", r.verb, strings.Join(parts, ", "))
}
