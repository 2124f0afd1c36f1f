package main

import (
	"fmt"
	"io"
	"math"
	"os"
	"strconv"
	"strings"
)

// goal is what section 7 of the design demands of a cell. What is zero is not demanded.
type goal struct {
	times  float64 // better than Orthanc so many times
	share  float64 // at least this share of the ceiling
	atMost float64 // the value
	p99    float64 // at most, in milliseconds
}

// row is a cell of the measurement, measured on both.
type row struct {
	Cell      string   `json:"cell"`
	Unit      string   `json:"unit"`
	Lower     bool     `json:"lower_is_better"`
	Orthanc   *figures `json:"orthanc,omitempty"`
	Pharos    *figures `json:"pharos,omitempty"`
	Ceiling   *figures `json:"ceiling,omitempty"`
	CeilingIs string   `json:"ceiling_is,omitempty"`
	Goal      goal     `json:"-"`
}

// set puts the figures of a peer.
func (r *row) set(p *peer, f *figures) {
	if p.name == "orthanc" {
		r.Orthanc = f
		return
	}
	r.Pharos = f
}

// ratio is how many times Pharos is better; 0 when one was not measured.
func (r *row) ratio() float64 {
	if r.Orthanc == nil || r.Pharos == nil {
		return 0
	}
	return r.against(r.Orthanc)
}

// against is how many times Pharos is better than some figures.
func (r *row) against(f *figures) float64 {
	if r.Lower {
		return f.Value / r.Pharos.Value
	}
	return r.Pharos.Value / f.Value
}

// demand is one part of a goal: how it reads, and whether it is met.
type demand struct {
	text string
	met  bool
}

// demands are the parts of the goal that can be judged by what was measured.
func (r *row) demands() []demand {
	var ds []demand
	if r.Goal.times > 0 && r.Orthanc != nil {
		ds = append(ds, demand{fmt.Sprintf("≥ %s x Orthanc", short(r.Goal.times)), r.ratio() >= r.Goal.times})
	}
	if r.Goal.share > 0 && r.Ceiling != nil {
		ds = append(ds, demand{fmt.Sprintf("≥ %s of %s (%s)", short(r.Goal.share), r.CeilingIs, short(r.Ceiling.Value)),
			r.against(r.Ceiling) >= r.Goal.share})
	}
	if r.Goal.atMost > 0 {
		ds = append(ds, demand{strings.TrimSpace("≤ " + short(r.Goal.atMost) + " " + r.Unit), r.Pharos.Value <= r.Goal.atMost})
	}
	if r.Goal.p99 > 0 {
		ds = append(ds, demand{fmt.Sprintf("p99 ≤ %s ms", short(r.Goal.p99)), r.Pharos.P99 <= r.Goal.p99})
	}
	return ds
}

// judge gives the goal in words and whether it is met.
func (r *row) judge() (target, verdict string) {
	var texts, missed []string
	for _, d := range r.demands() {
		texts = append(texts, d.text)
		if !d.met {
			missed = append(missed, d.text)
		}
	}
	switch {
	case len(texts) == 0:
		return "", ""
	case len(missed) == 0:
		return strings.Join(texts, ", "), "met"
	case len(missed) == len(texts):
		return strings.Join(texts, ", "), "**not met**"
	}
	return strings.Join(texts, ", "), "**not met:** " + strings.Join(missed, ", ")
}

// report gathers rows.
type report struct{ rows []row }

// add adds a row and tells of it.
func (r *report) add(w row) {
	r.rows = append(r.rows, w)
	_, verdict := w.judge()
	progress("%-45s orthanc %-14s pharos %-14s %s", w.Cell, w.text(w.Orthanc), w.text(w.Pharos), verdict)
}

// text is a value with its unit.
func (r *row) text(f *figures) string {
	if f == nil {
		return "-"
	}
	return strings.TrimSpace(short(f.Value) + " " + r.Unit)
}

// short rounds to three digits that count.
func short(v float64) string {
	if v == 0 || math.IsInf(v, 0) || math.IsNaN(v) {
		return strconv.FormatFloat(v, 'g', -1, 64)
	}
	digits := 2 - int(math.Floor(math.Log10(math.Abs(v))))
	return strconv.FormatFloat(v, 'f', max(0, min(3, digits)), 64)
}

// print writes the table of targets, and one of what else was measured.
func (r *report) print(w io.Writer) {
	host, _ := os.Hostname() // empty if unknown
	fmt.Fprintf(w, "## Pharos and Orthanc on one machine (%s)\n\n", host)
	fmt.Fprintln(w, "| cell | Orthanc | Pharos | ratio | target | |\n|---|---:|---:|---:|---|---|")
	for _, x := range r.rows {
		ratio := "-"
		if x.ratio() > 0 {
			ratio = short(x.ratio())
		}
		target, verdict := x.judge()
		fmt.Fprintf(w, "| %s | %s | %s | %s | %s | %s |\n", x.Cell, x.text(x.Orthanc), x.text(x.Pharos), ratio, target, verdict)
	}
	fmt.Fprintln(w, "\n### Latency, and what the servers used\n\nOrthanc / Pharos; CPU for each operation; memory at most; bytes written for each byte of payload.")
	fmt.Fprintln(w, "\n| cell | p50 ms | p99 ms | CPU ms | memory MB | written | ceiling |\n|---|---:|---:|---:|---:|---:|---:|")
	for _, x := range r.rows {
		if x.Pharos == nil || x.Pharos.P50 == 0 {
			continue
		}
		fmt.Fprintf(w, "| %s | %s | %s | %s | %s | %s | %s |\n", x.Cell,
			x.both(func(f *figures) float64 { return f.P50 }), x.both(func(f *figures) float64 { return f.P99 }),
			x.both(func(f *figures) float64 { return f.CPU }), x.both(func(f *figures) float64 { return f.Peak }),
			x.both(func(f *figures) float64 { return f.Written }), x.text(x.Ceiling))
	}
}

// both is a figure of Orthanc and of Pharos.
func (r *row) both(of func(*figures) float64) string {
	orthanc := "-"
	if r.Orthanc != nil {
		orthanc = short(of(r.Orthanc))
	}
	return orthanc + " / " + short(of(r.Pharos))
}
