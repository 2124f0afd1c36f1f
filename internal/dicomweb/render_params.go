package dicomweb

import (
	"image"
	"math"
	"net/url"
	"strconv"
	"strings"

	"pharos/internal/pixeldata"
)

// renderParams are the query parameters of a rendered resource.
type renderParams struct {
	view    pixeldata.View
	quality int // of a lossy encoding, 1 to 100
}

// maxSide is the longest side of a viewport in pixels.
const maxSide = 16384

// defaultQuality is that of JPEG when the client does not ask for another.
const defaultQuality = 90

// parseRenderParams reads window, viewport and quality. Parameters about annotation and
// ICC profiles may be given and change nothing, as PS3.18 §8.3.5.1.1 and .5 allow.
func parseRenderParams(q url.Values, limits Limits) (renderParams, error) {
	p := renderParams{quality: defaultQuality, view: pixeldata.View{MaxPixels: limits.Pixels}}
	for name, values := range q {
		if len(values) != 1 {
			return p, badRequest("a parameter is given more than once")
		}
		var err error
		switch name {
		case "window":
			p.view.Window, err = parseWindow(values[0])
		case "viewport":
			err = parseViewport(&p.view, values[0], limits)
		case "quality":
			p.quality, err = parseQualityPercent(values[0])
		case "accept", "annotation", "iccprofile", "charset":
		default:
			err = badRequest("rendered resources have the parameters accept, annotation, iccprofile, quality, viewport and window; another one was given")
		}
		if err != nil {
			return p, err
		}
	}
	return p, nil
}

// parseWindow reads "center,width,function" (PS3.18 §8.3.5.1.4). The function may be
// missing.
func parseWindow(text string) (*pixeldata.Window, error) {
	parts := strings.Split(text, ",")
	if len(parts) != 2 && len(parts) != 3 {
		return nil, badRequest("window must be center,width,function")
	}
	function := pixeldata.Linear
	if len(parts) == 3 {
		switch strings.ToLower(parts[2]) {
		case "linear", "":
		case "linear-exact":
			function = pixeldata.LinearExact
		case "sigmoid":
			function = pixeldata.Sigmoid
		default:
			return nil, badRequest("window function must be linear, linear-exact or sigmoid")
		}
	}
	return newWindow(parts[0], parts[1], function)
}

func newWindow(center, width string, function pixeldata.Function) (*pixeldata.Window, error) {
	c, okCenter := finite(center)
	w, okWidth := finite(width)
	// PS3.3 §C.11.2.1.2.1: a linear window is at least 1 wide, the others more than 0.
	if !okCenter || !okWidth || w <= 0 || function == pixeldata.Linear && w < 1 {
		return nil, badRequest("window center and width must be numbers, and width at least 1")
	}
	return &pixeldata.Window{Center: c, Width: w, Function: function}, nil
}

// finite reads a decimal number whose square is still one.
func finite(s string) (float64, bool) {
	f, err := strconv.ParseFloat(s, 64)
	return f, err == nil && !math.IsNaN(f) && math.Abs(f) < 1e15 && !strings.ContainsAny(s, "xX_")
}

// parseViewport reads "vw,vh[,sx,sy,sw,sh]" (PS3.18 §8.3.5.1.3). Empty parts of the
// source are its defaults; a negative width or height mirrors.
func parseViewport(v *pixeldata.View, text string, limits Limits) error {
	parts := strings.Split(text, ",")
	if len(parts) != 2 && len(parts) != 6 {
		return badRequest("viewport must be two or six numbers with commas between them")
	}
	var n [6]int
	for i, p := range parts {
		if p == "" && i >= 2 {
			continue
		}
		f, ok := finite(p)
		if !ok || math.Abs(f) > maxSide*4 || i < 2 && f != math.Trunc(f) {
			return badRequest("viewport must be numbers of pixels")
		}
		n[i] = int(math.Round(f))
	}
	if n[0] < 1 || n[1] < 1 || n[0] > maxSide || n[1] > maxSide || n[0]*n[1] > limits.Pixels {
		return badRequest("viewport width and height must be at least 1, and not more than " + strconv.Itoa(limits.Pixels) + " pixels in all")
	}
	if n[2] < 0 || n[3] < 0 {
		return badRequest("the source of the viewport must begin inside the image")
	}
	v.Width, v.Height = n[0], n[1]
	v.FlipX, v.FlipY = n[4] < 0, n[5] < 0
	v.Crop = image.Rect(n[2], n[3], n[2]+side(n[4]), n[3]+side(n[5]))
	if n[2] == 0 && n[3] == 0 && n[4] == 0 && n[5] == 0 {
		v.Crop = image.Rectangle{}
	}
	return nil
}

// side is the length of a side of the source; 0 means to the edge, wherever that is.
func side(n int) int {
	switch {
	case n == 0:
		return math.MaxInt32
	case n < 0:
		return -n
	}
	return n
}

func parseQualityPercent(text string) (int, error) {
	n, ok := digits(text)
	if !ok || n < 1 || n > 100 {
		return 0, badRequest("quality must be a whole number from 1 to 100")
	}
	return int(n), nil
}
