package main

import (
	"context"
	"fmt"

	"pharos/internal/dicom/dicomtest"
)

const memoryLimit = 150 // MB

// memory measures how much memory Pharos has resident at most while a large object
// goes through it. Orthanc is left out: it holds such an object several times.
func (b *bench) memory(ctx context.Context) error {
	large, err := largeTemplate(b.scale.large)
	if err != nil {
		return err
	}
	stored, stowed := identity{study: 1}, identity{study: 2}
	ways := []struct {
		name string
		open func(context.Context, *peer) (client, error)
		put  bool
	}{
		{"C-STORE", func(ctx context.Context, p *peer) (client, error) {
			return p.storing(ctx, large, false, func(int) identity { return stored })
		}, true},
		{"STOW-RS", func(ctx context.Context, p *peer) (client, error) {
			return p.storing(ctx, large, true, func(int) identity { return stowed })
		}, true},
		{"WADO-RS", getting(func(int) string { return seriesPath(stored) + "/instances/" + stored.instanceUID() }, acceptFile), false},
		{"C-GET", func(ctx context.Context, p *peer) (client, error) {
			return p.getting(ctx, stored, 1, dicomtest.USMultiframeImageStorage)
		}, false},
	}
	cell := func(way string) string {
		return fmt.Sprintf("peak memory, %s of %d MB", way, large.size()>>20)
	}
	if !b.wantsAny(cell("C-STORE"), cell("STOW-RS"), cell("WADO-RS"), cell("C-GET")) {
		return nil
	}
	p, err := b.startPharos(ctx)
	if err != nil {
		return err
	}
	for _, way := range ways {
		if way.name != "C-STORE" && !b.wants(cell(way.name)) {
			continue // C-STORE is needed for what follows
		}
		settle()
		s, err := p.observe(func() (sample, error) {
			return drive(ctx, 1, 0, 1, func(ctx context.Context) (client, error) { return way.open(ctx, p) })
		})
		if err != nil {
			return err
		}
		progress("%s: %.0f MB/s", way.name, megabytesPerSecond(s))
		b.report.add(row{
			Cell: cell(way.name), Unit: "MB", Lower: true, Goal: goal{atMost: memoryLimit},
			Pharos: summarize([]sample{s}, func(s sample) float64 { return float64(s.peak) / 1e6 }),
		})
	}
	return b.retire([]*peer{p})
}
