package dicomtest

import "math"

// chest is an axial slice through a chest in Hounsfield units; z tells where, in
// millimetres.
func chest(rows, cols int, z float64, seed uint64) *canvas {
	breath := 1 + 0.12*math.Sin(z/40)
	c := newCanvas(rows, cols, -1000)
	c.ellipse(0, 0.78, 0.85, 0.06, -150) // table
	c.ring(0, 0.02, 0.86*breath, 0.66, 0.03, -90, 45)
	c.ellipse(-0.42, -0.02, 0.30*breath, 0.44, -840)
	c.ellipse(0.44, -0.02, 0.27*breath, 0.42, -850)
	c.ellipse(0.10, -0.06, 0.24, 0.26*breath, 110) // heart
	c.ellipse(0.13, -0.03, 0.10, 0.13*breath, 190)
	c.ellipse(0.16, 0.32, 0.08, 0.08, 180) // aorta
	c.ring(0, 0.46, 0.12, 0.11, 0.03, 650, 220)
	c.ellipse(0, 0.62, 0.04, 0.08, 500)
	for i := range 9 {
		a := math.Pi*(0.12+0.76*float64(i)/8) + z/300
		c.ellipse(-0.78*breath*math.Cos(a), -0.58*math.Sin(a)+0.04, 0.05, 0.03, 720)
		c.ellipse(-0.78*breath*math.Cos(a), 0.58*math.Sin(a)+0.04, 0.05, 0.03, 720)
	}
	c.ellipse(-0.40+0.05*math.Sin(z/15), -0.10, 0.035, 0.035, 30) // a nodule
	c.noise(seed, 24)
	return c
}

// brain is an axial slice through a head, in arbitrary units up to about 1,000.
func brain(rows, cols int, z float64, seed uint64) *canvas {
	s := math.Sqrt(math.Max(0.15, 1-z*z/10000))
	c := newCanvas(rows, cols, 12)
	c.ring(0, 0, 0.72*s, 0.88*s, 0.035, 880, 60)
	c.ellipse(0, 0, 0.64*s, 0.80*s, 420)
	c.ellipse(0, 0.02, 0.58*s, 0.73*s, 560)
	c.ellipse(-0.30*s, -0.05, 0.22*s, 0.42*s, 640)
	c.ellipse(0.30*s, -0.05, 0.22*s, 0.42*s, 640)
	c.ellipse(-0.13*s, -0.05, 0.07*s, 0.26*s, 120)
	c.ellipse(0.13*s, -0.05, 0.07*s, 0.26*s, 120)
	c.ellipse(0, 0.40*s, 0.14*s, 0.08*s, 480)
	c.ellipse(0.38*s, 0.30*s, 0.06*s, 0.06*s, 930)
	c.noise(seed, 20)
	return c
}

// thorax is a projection of a chest, in arbitrary units up to 4,095.
func thorax(rows, cols int, seed uint64) *canvas {
	c := newCanvas(rows, cols, 250)
	c.ellipse(0, 0.35, 0.95, 1.25, 2300)
	c.ellipse(-0.42, -0.05, 0.36, 0.62, 1050)
	c.ellipse(0.44, -0.05, 0.34, 0.60, 1000)
	c.ellipse(0.16, 0.28, 0.30, 0.30, 2600)
	c.ellipse(0, 0, 0.07, 1.2, 2900)
	for i := range 8 {
		y := -0.55 + 0.15*float64(i)
		c.ellipse(-0.45, y, 0.34, 0.015, 1750)
		c.ellipse(0.46, y+0.02, 0.32, 0.015, 1700)
	}
	c.gradient(-120, 120)
	c.noise(seed, 40)
	return c
}

// fan is a frame of an echocardiogram: a sector with a chamber that beats, in 8 bits.
func fan(rows, cols, frame, frames int) *canvas {
	c := newCanvas(rows, cols, 0)
	for row := range rows {
		y := (float64(row) + 0.5) / float64(rows)
		half := int(math.Min(y*0.75, 0.48) * float64(cols))
		line := c.px[row*cols : (row+1)*cols]
		for col := max(0, cols/2-half); col < min(cols, cols/2+half); col++ {
			line[col] = int16(110 - 70*y)
		}
	}
	beat := 1 + 0.25*math.Sin(2*math.Pi*float64(frame)/float64(max(1, frames)))
	c.ring(-0.12, 0.25, 0.24*beat, 0.38*beat, 0.06, 190, 18)
	c.ring(0.22, 0.30, 0.14*beat, 0.26*beat, 0.05, 170, 14)
	c.noise(uint64(frame)+77, 12)
	return c
}
