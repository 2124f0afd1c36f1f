package pixeldata

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"testing"

	"pharos/internal/dicom/dict"
)

// gradient is a frame of 16 bits.
func gradient(side int) picture {
	words := make([]uint16, side*side)
	for i := range words {
		words[i] = uint16(i * 7 % 4096)
	}
	return mono(int64(side), int64(side), 16, 12, false, words16(words...)...)
}

func benchmark(b *testing.B, p picture, view View) {
	b.Helper()
	b.ReportAllocs()
	b.SetBytes(int64(len(p.pixels)))
	var img image.Image
	for b.Loop() {
		src := p.source()
		src.Frame = bytes.NewReader(p.pixels)
		var err error
		if img, err = Render(context.Background(), src, view); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(img.Bounds().Dx()), "width")
}

func BenchmarkGray(b *testing.B) {
	window := &Window{Center: 2048, Width: 4096}
	for _, side := range []int{512, 2048} {
		p := gradient(side)
		b.Run(fmt.Sprintf("%d", side), func(b *testing.B) { benchmark(b, p, View{Window: window}) })
		b.Run(fmt.Sprintf("%d without window", side), func(b *testing.B) { benchmark(b, p, View{}) })
		b.Run(fmt.Sprintf("%d to 200", side), func(b *testing.B) { benchmark(b, p, View{Window: window, Width: 200, Height: 200}) })
	}
	b.Run("2048 to 1500", func(b *testing.B) { benchmark(b, gradient(2048), View{Window: window, Width: 1500}) })
	b.Run("512 to 2048", func(b *testing.B) { benchmark(b, gradient(512), View{Window: window, Width: 2048}) })
}

func BenchmarkColour(b *testing.B) {
	const side = 1024
	data := bytes.Repeat([]byte{1, 100, 200}, side*side)
	rgb := coloured("RGB", 3, side, side, 8, 8, false, data...)
	b.Run("RGB", func(b *testing.B) { benchmark(b, rgb, View{}) })
	b.Run("RGB to 200", func(b *testing.B) { benchmark(b, rgb, View{Width: 200}) })
	b.Run("RGB to 700", func(b *testing.B) { benchmark(b, rgb, View{Width: 700}) })
	ybr := coloured("YBR_FULL", 3, side, side, 8, 8, false, data...)
	b.Run("YBR_FULL", func(b *testing.B) { benchmark(b, ybr, View{}) })
	planes := coloured("RGB", 3, side, side, 8, 8, false, data...)
	planes.header.SetInts(dict.PlanarConfiguration, dict.US, 1)
	b.Run("RGB in planes", func(b *testing.B) { benchmark(b, planes, View{}) })
}
