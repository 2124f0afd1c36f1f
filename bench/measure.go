package main

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// sample is one round of one peer in one cell.
type sample struct {
	elapsed time.Duration
	latency []time.Duration // of each operation
	bytes   int64           // received or sent as payload
	cpu     time.Duration
	peak    int64
	written int64
}

// figures are the rounds of one peer in one cell taken together.
type figures struct {
	Value   float64 `json:"value"`                   // in the unit of the row: the median of the rounds
	P50     float64 `json:"p50_ms,omitempty"`        // of all operations
	P99     float64 `json:"p99_ms,omitempty"`        // of all operations
	CPU     float64 `json:"cpu_ms,omitempty"`        // of the server, for each operation
	Peak    float64 `json:"peak_rss_mb,omitempty"`   // of the server
	Written float64 `json:"written_ratio,omitempty"` // bytes to disk for each byte of payload
	Rounds  int     `json:"rounds,omitempty"`        // that the value is of
	N       int     `json:"operations,omitempty"`    // in all rounds
}

// valueOf tells what is looked at in a sample.
type valueOf func(sample) float64

// perSecond is operations per second.
func perSecond(s sample) float64 { return float64(len(s.latency)) / s.elapsed.Seconds() }

// megabytesPerSecond is payload per second.
func megabytesPerSecond(s sample) float64 { return float64(s.bytes) / 1e6 / s.elapsed.Seconds() }

// median is the median time of an operation in milliseconds.
func median(s sample) float64 { return milliseconds(percentile(s.latency, 50)) }

// summarize takes rounds together; nil when there are none.
func summarize(samples []sample, value valueOf) *figures {
	if len(samples) == 0 {
		return nil
	}
	f := &figures{Rounds: len(samples)}
	var values []float64
	var latency []time.Duration
	var total sample
	for _, s := range samples {
		values = append(values, value(s))
		latency = append(latency, s.latency...)
		total.bytes += s.bytes
		total.cpu += s.cpu
		total.written += s.written
		total.peak = max(total.peak, s.peak)
	}
	f.N = len(latency)
	f.Value = middle(values)
	f.P50 = milliseconds(percentile(latency, 50))
	f.P99 = milliseconds(percentile(latency, 99))
	f.CPU = milliseconds(total.cpu) / float64(max(1, f.N))
	f.Peak = float64(total.peak) / 1e6
	if total.bytes > 0 {
		f.Written = float64(total.written) / float64(total.bytes)
	}
	return f
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// percentile is the p-th percentile by nearest rank.
func percentile(values []time.Duration, p int) time.Duration {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	return sorted[max(0, (len(sorted)*p+99)/100-1)]
}

// middle is the median.
func middle(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// client does operations over one connection and says how many bytes of payload each
// carried.
type client interface {
	do(ctx context.Context, i int) (int64, error)
	close(ctx context.Context) error
}

// drive lets clients do operations numbered from first, count in all, as fast as they
// can, and times each. Connections are open before the clock starts.
func drive(ctx context.Context, clients, first, count int, open func(context.Context) (client, error)) (s sample, err error) {
	all := make([]client, clients)
	defer func() {
		for _, c := range all {
			if c != nil {
				err = errors.Join(err, c.close(ctx))
			}
		}
	}()
	for i := range all {
		if all[i], err = open(ctx); err != nil {
			return s, err
		}
	}
	s.latency = make([]time.Duration, count)
	var next, bytes atomic.Int64
	failures := make([]error, clients)
	var wg sync.WaitGroup
	begin := time.Now()
	for w, c := range all {
		wg.Go(func() {
			for i := int(next.Add(1) - 1); i < count && ctx.Err() == nil; i = int(next.Add(1) - 1) {
				from := time.Now()
				n, err := c.do(ctx, first+i)
				if err != nil {
					failures[w] = err
					next.Store(int64(count)) // the others need not go on
					return
				}
				s.latency[i] = time.Since(from)
				bytes.Add(n)
			}
		})
	}
	wg.Wait()
	s.elapsed = time.Since(begin)
	s.bytes = bytes.Load()
	return s, errors.Join(append(failures, ctx.Err())...)
}

// alternate measures every peer in every round, after prepare, whose cost is not counted;
// who begins changes from round to round.
func alternate(rounds int, peers []*peer, prepare func(*peer) error, measure func(round int, p *peer) (sample, error)) (map[string][]sample, error) {
	samples := make(map[string][]sample)
	order := slices.Clone(peers)
	for round := range rounds {
		for _, p := range order {
			if err := prepare(p); err != nil {
				return samples, err
			}
			settle()
			s, err := p.observe(func() (sample, error) { return measure(round, p) })
			if err != nil {
				return samples, err
			}
			samples[p.name] = append(samples[p.name], s)
		}
		slices.Reverse(order)
	}
	return samples, nil
}

// unprepared is for cells that need no preparation.
func unprepared(*peer) error { return nil }
