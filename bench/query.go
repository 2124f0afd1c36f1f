package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"pharos/internal/archive"
	"pharos/internal/dicom"
	"pharos/internal/dicom/dict"
	"pharos/internal/dimse"
)

const (
	queryTime  = 5 * time.Second // for the queries of one kind to one peer in one round
	queryLeast = 3               // queries that are made even if that takes longer
	pageLength = 100
)

// question is a kind of query. The i-th query of a kind is about identity pick(i).
type question struct {
	name string
	// params are those of QIDO-RS. Asterisk and caret are not percent-encoded, since
	// Orthanc does not decode them.
	params func(id identity) string
	keys   map[dicom.Tag]func(id identity) string // of C-FIND; nil for a question that C-FIND can't put
	least  int                                    // results that there must be
}

func questions(studies int) []question {
	page := func(offset int) func(identity) string {
		return func(identity) string { return fmt.Sprintf("limit=%d&offset=%d", pageLength, offset) }
	}
	last := max(0, studies-pageLength-5)
	return []question{
		{"one patient", func(id identity) string { return "PatientID=" + id.patient() },
			map[dicom.Tag]func(identity) string{dict.PatientID: identity.patient}, 2},
		{"one day", func(id identity) string { return "limit=100&StudyDate=" + id.date() },
			map[dicom.Tag]func(identity) string{dict.StudyDate: identity.date}, 1},
		{"name prefix", func(id identity) string { return "limit=100&PatientName=" + id.family() + "*" },
			map[dicom.Tag]func(identity) string{dict.PatientName: func(id identity) string { return id.name()[:11] + "*" }}, 1},
		{"study UID", func(id identity) string { return "StudyInstanceUID=" + id.studyUID() },
			map[dicom.Tag]func(identity) string{dict.StudyInstanceUID: identity.studyUID}, 1},
		{"page of 100, first", page(0), nil, min(pageLength, studies)},
		{"page of 100, middle", page(studies / 2), nil, min(pageLength, studies/2)},
		{"page of 100, near the end", page(last), nil, min(pageLength, studies)},
	}
}

// query measures searches among growing numbers of studies of one instance each.
func (b *bench) query(ctx context.Context) error {
	for _, n := range b.opts.studies {
		if err := b.queryAmong(ctx, n); err != nil {
			return err
		}
	}
	return nil
}

// queryRow names a cell.
func queryRow(service, question string, studies int) string {
	return fmt.Sprintf("%s %s, %d studies", service, question, studies)
}

func (b *bench) queryAmong(ctx context.Context, studies int) error {
	var cells []string
	for _, q := range questions(studies) {
		cells = append(cells, queryRow("QIDO-RS", q.name, studies), queryRow("C-FIND", q.name, studies))
	}
	start := fmt.Sprintf("start with %d studies", studies)
	index := fmt.Sprintf("index per instance, %d studies", studies)
	load := fmt.Sprintf("C-STORE tiny, 4 clients, %d studies", studies)
	if !b.wantsAny(append(cells, start, index, load)...) {
		return nil
	}
	peers, err := b.peers(ctx)
	if err != nil {
		return err
	}
	if err := b.load(ctx, peers, studies, load); err != nil {
		return err
	}
	for _, q := range questions(studies) {
		if err := b.ask(ctx, peers, q, studies); err != nil {
			return err
		}
	}
	if b.wants(index) {
		if err := b.indexSizes(peers, index, studies, goal{atMost: 1000}); err != nil {
			return err
		}
	}
	if b.wants(start) {
		if err := b.starts(ctx, peers, start); err != nil {
			return err
		}
	}
	return b.retire(peers)
}

// load stores studies of one tiny instance each.
func (b *bench) load(ctx context.Context, peers []*peer, studies int, cell string) error {
	tiny, err := ctTemplate(16)
	if err != nil {
		return err
	}
	r := row{Cell: cell, Unit: "/s", Goal: goal{}}
	for _, p := range peers {
		progress("%s: storing %d studies", p.name, studies)
		s, err := p.observe(func() (sample, error) {
			return drive(ctx, 4, 0, studies, func(ctx context.Context) (client, error) {
				return p.storing(ctx, tiny, false, func(i int) identity { return identity{study: i} })
			})
		})
		if err != nil {
			return err
		}
		r.set(p, summarize([]sample{s}, perSecond))
		begin := time.Now()
		if err := p.rest(ctx); err != nil {
			return err
		}
		progress("%s: came to rest in %.0f s", p.name, time.Since(begin).Seconds())
	}
	b.report.add(r)
	return nil
}

// ask puts questions of one kind by QIDO-RS and C-FIND.
func (b *bench) ask(ctx context.Context, peers []*peer, q question, studies int) error {
	for _, web := range []bool{true, false} {
		cell := queryRow("C-FIND", q.name, studies)
		if web {
			cell = queryRow("QIDO-RS", q.name, studies)
		}
		if !b.wants(cell) || !web && q.keys == nil {
			continue
		}
		samples, err := alternate(b.scale.rounds, peers, unprepared, func(round int, p *peer) (sample, error) {
			c, err := p.asking(ctx, q, web, studies)
			if err != nil {
				return sample{}, err
			}
			s, err := repeat(ctx, c, round*b.scale.queries, b.scale.queries)
			if err != nil {
				err = fmt.Errorf("%s: %w", cell, err)
			}
			return s, errors.Join(err, c.close(ctx))
		})
		if err != nil {
			return err
		}
		g := goal{atMost: 2, p99: 10}
		if studies >= 100_000 {
			g.times = 50
		}
		b.report.add(row{
			Cell: cell, Unit: "ms", Lower: true, Goal: g,
			Orthanc: summarize(samples["orthanc"], median), Pharos: summarize(samples["pharos"], median),
		})
	}
	return nil
}

// repeat does operations until there are enough or they take too long. The first one
// only opens what has to be opened.
func repeat(ctx context.Context, c client, first, count int) (sample, error) {
	if _, err := c.do(ctx, first); err != nil {
		return sample{}, err
	}
	var s sample
	begin := time.Now()
	for i := 1; i <= count && (i <= queryLeast || time.Since(begin) < queryTime); i++ {
		from := time.Now()
		if _, err := c.do(ctx, first+i); err != nil {
			return s, err
		}
		s.latency = append(s.latency, time.Since(from))
	}
	s.elapsed = time.Since(begin)
	return s, nil
}

// asking opens a client that puts one question in each operation.
func (p *peer) asking(ctx context.Context, q question, web bool, studies int) (client, error) {
	pick := func(i int) identity { return identity{study: (i*7919 + 13) % studies} }
	if web {
		conn, err := dialWeb(ctx, p.web)
		return &qidoClient{conn, q, pick}, err
	}
	c, err := p.dial(ctx, dimse.OfferFind(dimse.StudyRoot))
	if err != nil {
		return nil, err
	}
	return &dicomClient{c, func(ctx context.Context, c *dimse.Client, i int) (int64, error) {
		return 0, find(ctx, c, q, pick(i))
	}}, nil
}

// qidoClient searches for studies.
type qidoClient struct {
	*webConn
	question question
	pick     func(int) identity
}

func (c *qidoClient) do(ctx context.Context, i int) (int64, error) {
	body, err := c.read(ctx, "/dicom-web/studies?"+c.question.params(c.pick(i)), acceptJSON)
	if err != nil {
		return 0, err
	}
	return int64(len(body)), enough(countResults(body), c.question.least)
}

func (c *qidoClient) close(context.Context) error { return c.webConn.close() }

// countResults counts the objects of an answer.
func countResults(body []byte) int {
	var results []json.RawMessage
	if json.Unmarshal(body, &results) != nil {
		return 0
	}
	return len(results)
}

func enough(results, least int) error {
	if results < least {
		return fmt.Errorf("%d results, expected %d", results, least)
	}
	return nil
}

// find searches for studies by C-FIND.
func find(ctx context.Context, c *dimse.Client, q question, id identity) error {
	d := dicom.NewDataset()
	d.SetText(dict.QueryRetrieveLevel, dict.CS, archive.StudyLevel.String())
	for _, tag := range []dicom.Tag{dict.StudyDate, dict.StudyTime, dict.AccessionNumber, dict.StudyDescription,
		dict.PatientName, dict.PatientID, dict.PatientBirthDate, dict.StudyInstanceUID, dict.StudyID} {
		value := ""
		if key, ok := q.keys[tag]; ok {
			value = key(id)
		}
		d.SetText(tag, dict.VROf(tag), value)
	}
	results := 0
	for _, err := range c.Find(ctx, dimse.StudyRoot, d) {
		if err != nil {
			return err
		}
		results++
	}
	return enough(results, q.least)
}

// starts measures how long it takes until both ports are open.
func (b *bench) starts(ctx context.Context, peers []*peer, cell string) error {
	r := row{Cell: cell, Unit: "ms", Lower: true, Goal: goal{atMost: 1000}}
	for _, p := range peers {
		var times []float64
		for range 3 {
			t, err := p.restart(ctx)
			if err != nil {
				return err
			}
			times = append(times, milliseconds(t))
		}
		r.set(p, &figures{Value: middle(times), N: len(times)})
	}
	b.report.add(r)
	return nil
}
