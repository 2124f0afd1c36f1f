package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"pharos/internal/archive"
	"pharos/internal/dicom"
	"pharos/internal/dicom/dicomtest"
	"pharos/internal/dicom/dict"
	"pharos/internal/dimse"
)

const (
	acceptFile  = `multipart/related; type="application/dicom"; transfer-syntax=*`
	acceptFrame = `multipart/related; type="application/octet-stream"; transfer-syntax=*`
	acceptJSON  = "application/dicom+json"
	cineFrames  = 60 // of 0.92 MB, 55 MB together
)

// The instances that are retrieved: a CT series, and a clip.
var (
	wanted     = identity{study: 1}
	wantedClip = identity{study: 2, instance: 0}
)

// retrieveCell is one way to retrieve.
type retrieveCell struct {
	name    string
	clients int
	count   int
	open    func(context.Context, *peer) (client, error)
	limit   func(context.Context, *fileServer) (client, error) // nil for none
	value   valueOf
	unit    string
	goal    goal
}

// retrieve measures how fast instances, frames and metadata are given back.
func (b *bench) retrieve(ctx context.Context) error {
	var cells []retrieveCell
	for _, c := range b.retrieveCells() {
		if b.wants(c.name) {
			cells = append(cells, c)
		}
	}
	if len(cells) == 0 && !b.wantsAny(metadataCold, metadataWarm, seriesIndex) {
		return nil
	}
	ct, err := ctTemplate(512)
	if err != nil {
		return err
	}
	files, err := openFileServer(filepath.Join(b.dir, "ceiling"), ct, b.scale.series)
	if err != nil {
		return err
	}
	peers, err := b.peers(ctx)
	if err == nil {
		err = b.fillForRetrieval(ctx, peers, ct)
	}
	for _, c := range cells {
		if err == nil {
			err = b.retrieveRates(ctx, peers, files, c)
		}
	}
	if err == nil {
		err = b.metadata(ctx, peers)
	}
	return errors.Join(err, b.retire(peers), files.close())
}

func (b *bench) retrieveCells() []retrieveCell {
	series := seriesPath(wanted)
	one := func(i int) string {
		return seriesPath(wanted) + "/instances/" + identity{study: 1, instance: i % b.scale.series}.instanceUID()
	}
	clipFrame := func(i int) string {
		return seriesPath(wantedClip) + "/instances/" + wantedClip.instanceUID() + fmt.Sprintf("/frames/%d", 1+i*7%cineFrames)
	}
	all := func(int) string { return "/all" }
	fast := goal{atMost: 0.5, p99: 5}
	var cells []retrieveCell
	for _, n := range []int{1, 4} {
		cells = append(cells,
			retrieveCell{fmt.Sprintf("WADO-RS series of %d CT, %s", b.scale.series, plural(n, "client")), n, n * b.scale.whole,
				getting(func(int) string { return series }, acceptFile), fetching(all), megabytesPerSecond, "MB/s", goal{times: 2, share: 0.5}})
	}
	return append(cells,
		retrieveCell{"WADO-RS CT instance", 1, b.scale.single, getting(one, acceptFile),
			fetching(func(i int) string { return fmt.Sprintf("/one/%d", i%b.scale.series) }), median, "ms", goal{}},
		retrieveCell{"WADO-RS CT frame", 1, b.scale.single,
			getting(func(i int) string { return one(i) + "/frames/1" }, acceptFrame), nil, median, "ms", fast},
		retrieveCell{"WADO-RS frame of a 55 MB multi-frame", 1, b.scale.single / 4,
			getting(clipFrame, acceptFrame), nil, median, "ms", fast},
		retrieveCell{fmt.Sprintf("C-GET study of %d CT", b.scale.series), 1, b.scale.whole, b.cget, nil, megabytesPerSecond, "MB/s", goal{}},
		retrieveCell{fmt.Sprintf("C-MOVE study of %d CT", b.scale.series), 1, b.scale.whole, b.cmove, nil, megabytesPerSecond, "MB/s", goal{}},
	)
}

func seriesPath(id identity) string {
	return "/dicom-web/studies/" + id.studyUID() + "/series/" + id.seriesUID()
}

// fillForRetrieval stores what is retrieved.
func (b *bench) fillForRetrieval(ctx context.Context, peers []*peer, ct *template) error {
	clip, err := cineTemplate(cineFrames)
	if err != nil {
		return err
	}
	for _, p := range peers {
		progress("%s: storing %d CT and a clip", p.name, b.scale.series)
		_, err := drive(ctx, 4, 0, b.scale.series, func(ctx context.Context) (client, error) {
			return p.storing(ctx, ct, false, func(i int) identity { return identity{study: 1, instance: i} })
		})
		if err != nil {
			return err
		}
		_, err = drive(ctx, 1, 0, 1, func(ctx context.Context) (client, error) {
			return p.storing(ctx, clip, false, func(int) identity { return wantedClip })
		})
		if err == nil {
			err = p.rest(ctx) // the series is complete, and what follows it is done
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) retrieveRates(ctx context.Context, peers []*peer, files *fileServer, c retrieveCell) error {
	var limit []sample
	some := func(p *peer, clients, count int) (sample, error) {
		return drive(ctx, clients, 0, count, func(ctx context.Context) (client, error) { return c.open(ctx, p) })
	}
	prepare := func(p *peer) error {
		if p.name == "pharos" && c.limit != nil {
			s, err := drive(ctx, c.clients, 0, c.count, func(ctx context.Context) (client, error) { return c.limit(ctx, files) })
			if err != nil {
				return err
			}
			limit = append(limit, s)
		}
		_, err := some(p, 1, 1) // warm-up
		return err
	}
	samples, err := alternate(b.scale.rounds, peers, prepare, func(_ int, p *peer) (sample, error) {
		return some(p, c.clients, c.count)
	})
	if err != nil {
		return err
	}
	b.report.add(row{
		Cell: c.name, Unit: c.unit, Lower: c.unit == "ms", Goal: c.goal,
		Orthanc: summarize(samples["orthanc"], c.value), Pharos: summarize(samples["pharos"], c.value),
		Ceiling: summarize(limit, c.value), CeilingIs: "io.Copy of files",
	})
	return nil
}

// getClient gets a resource in each operation.
type getClient struct {
	*webConn
	path   func(int) string
	accept string
}

func (c *getClient) do(ctx context.Context, i int) (int64, error) {
	return c.get(ctx, c.path(i), c.accept)
}
func (c *getClient) close(context.Context) error { return c.webConn.close() }

func getting(path func(int) string, accept string) func(context.Context, *peer) (client, error) {
	return func(ctx context.Context, p *peer) (client, error) {
		conn, err := dialWeb(ctx, p.web)
		return &getClient{conn, path, accept}, err
	}
}

func fetching(path func(int) string) func(context.Context, *fileServer) (client, error) {
	return func(ctx context.Context, f *fileServer) (client, error) {
		conn, err := dialWeb(ctx, f.port)
		return &getClient{conn, path, "*/*"}, err
	}
}

// dicomClient does one operation over an association.
type dicomClient struct {
	*dimse.Client
	operation func(ctx context.Context, c *dimse.Client, i int) (int64, error)
}

func (c *dicomClient) do(ctx context.Context, i int) (int64, error) {
	return c.operation(ctx, c.Client, i)
}
func (c *dicomClient) close(ctx context.Context) error {
	return errors.Join(c.Release(ctx), c.Close())
}

// studyIdentifier asks for a whole study.
func studyIdentifier(id identity) *dicom.Dataset {
	d := dicom.NewDataset()
	d.SetText(dict.QueryRetrieveLevel, dict.CS, archive.StudyLevel.String())
	d.SetText(dict.StudyInstanceUID, dict.UI, id.studyUID())
	return d
}

// cget opens an association that gets the CT study in each operation.
func (b *bench) cget(ctx context.Context, p *peer) (client, error) {
	return p.getting(ctx, wanted, b.scale.series, dicomtest.CTImageStorage)
}

// getting opens an association that gets a study of so many instances of a class.
func (p *peer) getting(ctx context.Context, study identity, instances int, class dicom.UID) (client, error) {
	c, err := p.dial(ctx, dimse.OfferGet(dimse.StudyRoot, []dicom.UID{class}, dicom.ExplicitVRLittleEndian)...)
	if err != nil {
		return nil, err
	}
	return &dicomClient{c, func(ctx context.Context, c *dimse.Client, _ int) (int64, error) {
		var total int64
		buf := make([]byte, 256<<10)
		got, err := c.Get(ctx, dimse.StudyRoot, studyIdentifier(study), func(_ context.Context, _, _ dicom.UID, r io.Reader) error {
			n, err := io.CopyBuffer(onlyWriter{io.Discard}, r, buf)
			total += n
			return err
		}, nil)
		if err == nil && int(got.Completed) != instances {
			err = fmt.Errorf("C-GET: %d instances of %d", got.Completed, instances)
		}
		return total, err
	}}, nil
}

// onlyWriter hides that io.Discard reads by itself, with a small buffer.
type onlyWriter struct{ io.Writer }

// cmove opens an association that has the CT study moved to us in each operation.
func (b *bench) cmove(ctx context.Context, p *peer) (client, error) {
	ct, err := ctTemplate(512)
	if err != nil {
		return nil, err
	}
	c, err := p.dial(ctx, dimse.OfferMove(dimse.StudyRoot))
	if err != nil {
		return nil, err
	}
	return &dicomClient{c, func(ctx context.Context, c *dimse.Client, _ int) (int64, error) {
		got, err := c.Move(ctx, dimse.StudyRoot, studyIdentifier(wanted), sinkAET, nil)
		if err == nil && int(got.Completed) != b.scale.series {
			err = fmt.Errorf("C-MOVE: %d instances of %d", got.Completed, b.scale.series)
		}
		return int64(got.Completed) * ct.size(), err
	}}, nil
}

// Cells about the CT series as a whole.
const (
	metadataCold = "metadata of the series, first after a start"
	metadataWarm = "metadata of the series, again"
	seriesIndex  = "index per instance, one series"
)

// metadata measures the metadata of the series, cold and warm, and what the index has
// grown to.
func (b *bench) metadata(ctx context.Context, peers []*peer) error {
	if b.wants(seriesIndex) {
		if err := b.indexSizes(peers, seriesIndex, b.scale.series+1, goal{atMost: 1000}); err != nil {
			return err
		}
	}
	if !b.wantsAny(metadataCold, metadataWarm) {
		return nil
	}
	var cold, warm = map[string][]sample{}, map[string][]sample{}
	for range b.scale.rounds {
		for _, p := range peers {
			if _, err := p.restart(ctx); err != nil {
				return err
			}
			open := func(ctx context.Context) (client, error) {
				return getting(func(int) string { return seriesPath(wanted) + "/metadata" }, acceptJSON)(ctx, p)
			}
			first, err := p.observe(func() (sample, error) { return drive(ctx, 1, 0, 1, open) })
			if err != nil {
				return err
			}
			later, err := p.observe(func() (sample, error) { return drive(ctx, 1, 0, 5, open) })
			if err != nil {
				return err
			}
			cold[p.name], warm[p.name] = append(cold[p.name], first), append(warm[p.name], later)
		}
	}
	b.report.add(row{
		Cell: metadataCold, Unit: "ms", Lower: true, Goal: goal{atMost: 10, times: 10},
		Orthanc: summarize(cold["orthanc"], median), Pharos: summarize(cold["pharos"], median),
	})
	b.report.add(row{
		Cell: metadataWarm, Unit: "ms", Lower: true, Goal: goal{times: 1},
		Orthanc: summarize(warm["orthanc"], median), Pharos: summarize(warm["pharos"], median),
	})
	return nil
}

// indexSizes stops the peers and adds a row that says what their index takes for each
// instance, in bytes.
func (b *bench) indexSizes(peers []*peer, cell string, instances int, g goal) error {
	r := row{Cell: cell, Unit: "bytes", Lower: true, Goal: g}
	for _, p := range peers {
		if err := p.stop(); err != nil {
			return err
		}
		size, err := p.indexSize()
		if err != nil {
			return err
		}
		r.set(p, &figures{Value: float64(size) / float64(instances), N: instances})
	}
	b.report.add(r)
	return nil
}
