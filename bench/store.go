package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"pharos/internal/dimse"
)

const (
	seriesLength = 100 // instances that one client sends to a series before it begins the next
	warmUp       = 5   // instances that each client sends before the clock starts
)

// storeCell is one way to store one kind of instance.
type storeCell struct {
	name    string
	kind    *template
	count   int
	clients int
	web     bool // STOW-RS, not C-STORE
	goal    goal
}

// store measures how fast instances are stored, durably.
func (b *bench) store(ctx context.Context) error {
	cells, err := b.storeCells()
	if err != nil {
		return err
	}
	if err := b.storeRates(ctx, cells); err != nil {
		return err
	}
	return b.storeWritten(ctx)
}

// storeCells are those that are wanted.
func (b *bench) storeCells() ([]storeCell, error) {
	ct, err := ctTemplate(512)
	if err != nil {
		return nil, err
	}
	small, err := ctTemplate(96)
	if err != nil {
		return nil, err
	}
	var cells []storeCell
	for _, web := range []bool{false, true} {
		for _, clients := range []int{1, 4} {
			cells = append(cells,
				storeCell{kind: ct, count: b.scale.ct, clients: clients, web: web},
				storeCell{kind: small, count: b.scale.small, clients: clients, web: web})
		}
	}
	var wanted []storeCell
	for _, c := range cells {
		kind, service, times := "CT (0.5 MB)", "C-STORE", 3.0
		if c.kind == small {
			kind = "small (20 kB)"
			times = 4
		}
		c.goal = goal{times: times}
		if c.web {
			service = "STOW-RS"
			c.goal = goal{times: 3}
		} else if c.kind == ct {
			c.goal.share = 0.5
		}
		c.name = fmt.Sprintf("%s %s, %s", service, kind, plural(c.clients, "client"))
		if b.wants(c.name) {
			wanted = append(wanted, c)
		}
	}
	return wanted, nil
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// storeRates measures instances per second, and those of a bare log beside them.
func (b *bench) storeRates(ctx context.Context, cells []storeCell) error {
	if len(cells) == 0 {
		return nil
	}
	peers, err := b.peers(ctx)
	if err != nil {
		return err
	}
	numbers := &numbers{}
	for _, c := range cells {
		var limit []sample
		prepare := func(p *peer) error {
			if p.name == "pharos" && !c.web {
				s, err := b.appendLog(ctx, c)
				if err != nil {
					return err
				}
				limit = append(limit, s)
			}
			_, err := b.storeSome(ctx, p, c, numbers, warmUp*c.clients)
			return err
		}
		samples, err := alternate(b.scale.rounds, peers, prepare, func(_ int, p *peer) (sample, error) {
			return b.storeSome(ctx, p, c, numbers, c.count)
		})
		if err != nil {
			return err
		}
		b.report.add(row{
			Cell: c.name, Unit: "/s", Goal: c.goal,
			Orthanc: summarize(samples["orthanc"], perSecond), Pharos: summarize(samples["pharos"], perSecond),
			Ceiling: summarize(limit, perSecond), CeilingIs: "append log",
		})
	}
	return b.retire(peers)
}

// storeSome stores new instances.
func (b *bench) storeSome(ctx context.Context, p *peer, c storeCell, numbers *numbers, count int) (sample, error) {
	return drive(ctx, c.clients, 0, count, func(ctx context.Context) (client, error) {
		return p.storing(ctx, c.kind, c.web, numbers.sequence())
	})
}

// numbers gives out studies that nobody had before.
type numbers struct{ studies atomic.Int64 }

// sequence names instances one after the other, series by series, each series of a new
// study.
func (n *numbers) sequence() func(int) identity {
	var id identity
	left := 0
	return func(int) identity {
		if left == 0 {
			id, left = identity{study: int(n.studies.Add(1))}, seriesLength
		}
		left--
		id.instance++
		return id
	}
}

// storing opens a client that stores an instance in each operation, named by next.
func (p *peer) storing(ctx context.Context, kind *template, web bool, next func(int) identity) (client, error) {
	if web {
		conn, err := dialWeb(ctx, p.web)
		return &stowClient{webConn: conn, instance: kind.instance(), next: next}, err
	}
	c, err := p.dial(ctx, dimse.OfferStore([]dimse.Kind{kind.kind()})[0].Offers...)
	if err != nil {
		return nil, err
	}
	return &storeClient{Client: c, instance: kind.instance(), next: next}, nil
}

// storeClient is an association that stores.
type storeClient struct {
	*dimse.Client
	instance *instance
	next     func(int) identity
}

func (c *storeClient) do(ctx context.Context, i int) (int64, error) {
	c.instance.become(c.next(i))
	_, err := c.Store(ctx, c.instance.object())
	return c.instance.size(), err
}

func (c *storeClient) close(ctx context.Context) error {
	return errors.Join(c.Release(ctx), c.Close())
}

// stowClient is a connection that stores, one instance in each request.
type stowClient struct {
	*webConn
	instance *instance
	next     func(int) identity
}

const (
	stowType = `multipart/related; type="application/dicom"; boundary=pharos-bench`
	stowHead = "--pharos-bench\r\nContent-Type: application/dicom\r\n\r\n"
	stowTail = "\r\n--pharos-bench--\r\n"
)

func (c *stowClient) do(ctx context.Context, i int) (int64, error) {
	c.instance.become(c.next(i))
	body := append(net.Buffers{[]byte(stowHead)}, c.instance.buffers()...)
	return c.instance.size(), c.post(ctx, "/dicom-web/studies", stowType, append(body, []byte(stowTail)))
}

func (c *stowClient) close(context.Context) error { return c.webConn.close() }

// storeWritten measures what goes to the disk for each byte received, of servers that
// store, come to rest and end: what is written later counts too.
func (b *bench) storeWritten(ctx context.Context) error {
	for _, c := range []struct {
		name  string
		size  int
		count int
		most  float64
	}{
		{"written per byte received, CT", 512, 2 * b.scale.ct, 1.05},
		{"written per byte received, small", 96, 4 * b.scale.small, 1.5},
	} {
		if !b.wants(c.name) {
			continue
		}
		kind, err := ctTemplate(c.size)
		if err != nil {
			return err
		}
		peers, err := b.peers(ctx)
		if err != nil {
			return err
		}
		r := row{Cell: c.name, Unit: "", Lower: true, Goal: goal{atMost: c.most}}
		for _, p := range peers {
			s, err := b.storeSome(ctx, p, storeCell{kind: kind, clients: 4}, &numbers{}, c.count)
			if err == nil {
				err = p.rest(ctx)
			}
			if err == nil {
				err = p.stop()
			}
			if err != nil {
				return err
			}
			r.set(p, &figures{Value: float64(blocksWritten(p.usage)) / float64(s.bytes), N: c.count})
		}
		b.report.add(r)
		if err := b.retire(peers); err != nil {
			return err
		}
	}
	return nil
}

const (
	restLook = time.Second
	restTime = 5 * time.Second // without writing, after which a peer is at rest
	restMost = 10 * time.Minute
)

// rest waits until the peer has written nothing for a while.
func (p *peer) rest(ctx context.Context) error {
	last, since := int64(-1), time.Now()
	for begin := time.Now(); time.Since(since) < restTime && time.Since(begin) < restMost; {
		c, err := consumptionOf(p.cmd.Process.Pid)
		if err != nil {
			return err
		}
		if c.written != last {
			last, since = c.written, time.Now()
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(restLook):
		}
	}
	return nil
}
