package main

import (
	"context"
	"errors"
	"iter"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"pharos/internal/access"
	"pharos/internal/archive"
	"pharos/internal/dicom"
	"pharos/internal/index"
)

// metrics are the figures for Prometheus. Their labels take few values, none of them
// chosen by callers.
type metrics struct {
	registry *prometheus.Registry

	stored       *prometheus.CounterVec   // via, outcome
	storedBytes  *prometheus.CounterVec   // via
	storeTime    *prometheus.HistogramVec // via
	queries      *prometheus.CounterVec   // via, outcome
	queryTime    *prometheus.HistogramVec // via
	retrieved    *prometheus.CounterVec   // via
	deleted      *prometheus.CounterVec   // via
	associations *prometheus.CounterVec   // outcome
	requests     *prometheus.CounterVec   // route, method, code
	requestTime  *prometheus.HistogramVec // route
	answering    prometheus.Gauge
	sentBytes    *prometheus.CounterVec // route
}

var timeBuckets = []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300}

func newMetrics() *metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "pharos", Name: name, Help: help}, labels)
	}
	seconds := func(name, help string, labels ...string) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: "pharos", Name: name, Help: help, Buckets: timeBuckets}, labels)
	}
	m := &metrics{
		registry:     prometheus.NewRegistry(),
		stored:       counter("instances_stored_total", "Instances that arrived, by what became of them.", "via", "outcome"),
		storedBytes:  counter("stored_bytes_total", "Bytes of instances that were added or replaced others.", "via"),
		storeTime:    seconds("store_seconds", "Time to store an instance, its transfer included.", "via"),
		queries:      counter("queries_total", "Queries, by how they ended.", "via", "outcome"),
		queryTime:    seconds("query_seconds", "Time of a query, the sending of its results included.", "via"),
		retrieved:    counter("instances_retrieved_total", "Instances named in answers to retrieval, opened or not.", "via"),
		deleted:      counter("instances_deleted_total", "Instances deleted by users.", "via"),
		associations: counter("associations_total", "DICOM associations that were requested.", "outcome"),
		requests:     counter("http_requests_total", "HTTP requests.", "route", "method", "code"),
		requestTime:  seconds("http_request_seconds", "Time of an HTTP request, bodies included.", "route"),
		answering:    prometheus.NewGauge(prometheus.GaugeOpts{Namespace: "pharos", Name: "http_requests_in_flight", Help: "HTTP requests being answered."}),
		sentBytes:    counter("http_sent_bytes_total", "Bytes of HTTP answers' bodies.", "route"),
	}
	m.registry.MustRegister(m.stored, m.storedBytes, m.storeTime, m.queries, m.queryTime, m.retrieved, m.deleted,
		m.associations, m.requests, m.requestTime, m.answering, m.sentBytes,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// watchIndex adds the totals of an index.
func (m *metrics) watchIndex(i index.Index) {
	describe := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc("pharos_index_"+name, help, nil, nil)
	}
	m.registry.MustRegister(&indexCollector{
		index:     i,
		studies:   describe("studies", "Studies in the index."),
		series:    describe("series", "Series in the index."),
		instances: describe("instances", "Instances in the index."),
		bytes:     describe("bytes", "Bytes of the instances in the index."),
	})
}

// indexCollector asks the index when Prometheus asks.
type indexCollector struct {
	index                             index.Index
	studies, series, instances, bytes *prometheus.Desc
}

// Describe implements prometheus.Collector.
func (c *indexCollector) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{c.studies, c.series, c.instances, c.bytes} {
		to <- d
	}
}

// Collect implements prometheus.Collector.
func (c *indexCollector) Collect(to chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	t, err := c.index.Count(ctx)
	if err != nil {
		to <- prometheus.NewInvalidMetric(c.instances, err)
		return
	}
	for _, g := range []struct {
		desc  *prometheus.Desc
		value int64
	}{{c.studies, t.Studies}, {c.series, t.Series}, {c.instances, t.Instances}, {c.bytes, t.Bytes}} {
		to <- prometheus.MustNewConstMetric(g.desc, prometheus.GaugeValue, float64(g.value))
	}
}

// metered counts what goes through an archive. via tells by which door: dicom or web.
type metered struct {
	archive.Archive
	m   *metrics
	via string
}

func (m *metrics) meter(a archive.Archive, via string) archive.Archive {
	return &metered{Archive: a, m: m, via: via}
}

// Store implements archive.Archive.
func (a *metered) Store(ctx context.Context, in *archive.Incoming, to access.AlbumID) (archive.Receipt, error) {
	start := time.Now()
	receipt, err := a.Archive.Store(ctx, in, to)
	outcome := storeOutcome(receipt, err)
	a.m.stored.WithLabelValues(a.via, outcome).Inc()
	a.m.storeTime.WithLabelValues(a.via).Observe(time.Since(start).Seconds())
	if outcome == "added" || outcome == "replaced" || outcome == "held" {
		a.m.storedBytes.WithLabelValues(a.via).Add(float64(receipt.Size))
	}
	return receipt, err
}

func storeOutcome(r archive.Receipt, err error) string {
	switch {
	case err != nil:
		return outcomeOf(err)
	case r.Duplicate:
		return "duplicate"
	case r.Held:
		return "held"
	case r.Replaced:
		return "replaced"
	}
	return "added"
}

// outcomeOf gives the kind of an error a short name.
func outcomeOf(err error) string {
	for _, k := range []struct {
		err  error
		name string
	}{
		{archive.ErrInvalid, "invalid"}, {archive.ErrConflict, "conflict"}, {archive.ErrFull, "full"},
		{archive.ErrQuery, "invalid"}, {archive.ErrNotFound, "absent"},
		{access.ErrDenied, "denied"}, {access.ErrHidden, "denied"}, {context.Canceled, "cancelled"},
	} {
		if errors.Is(err, k.err) {
			return k.name
		}
	}
	return "failed"
}

// Query implements archive.Archive.
func (a *metered) Query(ctx context.Context, q archive.Query, in access.Scope) iter.Seq2[*dicom.Dataset, error] {
	return func(yield func(*dicom.Dataset, error) bool) {
		start, outcome := time.Now(), "done"
		defer func() {
			a.m.queries.WithLabelValues(a.via, outcome).Inc()
			a.m.queryTime.WithLabelValues(a.via).Observe(time.Since(start).Seconds())
		}()
		for d, err := range a.Archive.Query(ctx, q, in) {
			if err != nil {
				outcome = outcomeOf(err)
			}
			if !yield(d, err) {
				return
			}
		}
	}
}

// Retrieve implements archive.Archive.
func (a *metered) Retrieve(ctx context.Context, ref dicom.Ref, in access.Scope) iter.Seq2[archive.Instance, error] {
	return func(yield func(archive.Instance, error) bool) {
		count := 0
		defer func() { a.m.retrieved.WithLabelValues(a.via).Add(float64(count)) }()
		for i, err := range a.Archive.Retrieve(ctx, ref, in) {
			if err == nil {
				count++
			}
			if !yield(i, err) {
				return
			}
		}
	}
}

// Delete implements archive.Archive.
func (a *metered) Delete(ctx context.Context, ref dicom.Ref, in access.Scope) (int, error) {
	n, err := a.Archive.Delete(ctx, ref, in)
	a.m.deleted.WithLabelValues(a.via).Add(float64(n))
	return n, err
}
