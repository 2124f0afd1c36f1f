package dicomweb

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	_ "image/gif"
	_ "image/jpeg"
	_ "image/png"
	"io"
	"net/url"
	"strings"
	"testing"

	"pharos/internal/dicom"
	"pharos/internal/dicom/dicomtest"
	"pharos/internal/pixeldata"
)

// painter renders pictures that show what it was asked for.
type painter struct {
	asked pixeldata.View
	err   error
}

func (p *painter) render(_ context.Context, src pixeldata.Source, view pixeldata.View) (image.Image, error) {
	p.asked = view
	n, err := io.Copy(io.Discard, src.Frame)
	if err != nil || n != src.Length {
		return nil, fmt.Errorf("%d bytes of %d: %w", n, src.Length, err)
	}
	if p.err != nil {
		return nil, p.err
	}
	img := image.NewGray(image.Rect(0, 0, max(view.Width, 8), max(view.Height, 8)))
	img.SetGray(1, 1, color.Gray{200})
	return img, nil
}

func TestPictures(t *testing.T) {
	p := &painter{}
	s := newSite(t)
	s.server.render = p.render
	s.put(ct(t, 1), ct(t, 2), ct(t, 3))
	us := dicomtest.US(dicomtest.WithUIDs("7.7", "7.7.1", "7.7.1.1"), dicomtest.WithSize(40, 40), dicomtest.WithFrames(5))
	s.put(dicomtest.Bytes(t, us, dicom.ExplicitVRLittleEndian))
	const usPath = "/studies/7.7/series/7.7.1/instances/7.7.1.1"
	for _, c := range []struct {
		path, accept, format string
		frame, width         int
	}{
		{instancePath + "/rendered", "", "jpeg", 1, 8},
		{instancePath + "/rendered?viewport=20,10", "image/png", "png", 1, 20},
		{instancePath + "/rendered", "image/gif", "gif", 1, 8},
		{instancePath + "/frames/1/rendered?quality=50&window=40,400,linear&annotation=patient&iccprofile=no", "image/*", "jpeg", 1, 8},
		{instancePath + "/thumbnail", "*/*", "jpeg", 1, 200},
		{instancePath + "/thumbnail?viewport=64,64", "image/jpeg", "jpeg", 1, 64},
		{usPath + "/rendered", "", "jpeg", 3, 8},
		{usPath + "/frames/5/rendered", "", "jpeg", 5, 8},
		{"/studies/7.7/series/7.7.1/thumbnail", "", "jpeg", 3, 200},
		{"/studies/1.2.3/rendered", "image/png", "png", 1, 8},
	} {
		var fields []string
		if c.accept != "" {
			fields = []string{"Accept: " + c.accept}
		}
		got := s.get(c.path, fields...).wants(t, 200)
		img, format, err := image.Decode(bytes.NewReader(got.body))
		if err != nil || format != c.format || img.Bounds().Dx() != c.width || p.asked.Frame != c.frame {
			t.Errorf("%s: %s, frame %d, %v", c.path, format, p.asked.Frame, err)
		}
	}
	if parts := s.get(usPath+"/rendered", `Accept: multipart/related; type="image/png"`).wants(t, 200).parts(t); len(parts) != 5 || parts[0].contentType != "image/png" {
		t.Errorf("%d parts", len(parts))
	}
	const object = "/wado?requestType=WADO&studyUID=1.2.3&seriesUID=1.2.3.1&objectUID=1.2.3.1.1"
	got := s.send("GET", object+"&rows=30&columns=40&windowCenter=10&windowWidth=20&region=0,0,0.5,1", nil).wants(t, 200)
	if got.Header.Get("Content-Type") != "image/jpeg" || p.asked.Width != 40 || p.asked.Height != 30 || p.asked.Window.Width != 20 || p.asked.Region[2] != 0.5 {
		t.Errorf("%+v", p.asked)
	}
	for _, query := range []string{"&frameNumber=0", "&rows=0", "&rows=999999", "&windowCenter=1", "&windowWidth=1", "&imageQuality=101", "&region=1,1,0,0", "&nonsense=1"} {
		s.send("GET", object+query, nil).wants(t, 400)
	}
	s.get(usPath+"/frames/1,2/rendered").wants(t, 406)
	s.get(usPath+"/frames/6/rendered").wants(t, 404)
	for _, c := range []struct {
		err    error
		status int
		shows  string
	}{
		{fmt.Errorf("%w: the palette is too short", pixeldata.ErrMalformed), 406, "palette"},
		{pixeldata.ErrUnsupported, 406, "can't be drawn"},
		{pixeldata.ErrView, 400, "view"},
		{errors.New("disk on fire"), 500, "log"},
	} {
		p.err = c.err
		if got := s.get(instancePath+"/rendered").wants(t, c.status); !strings.Contains(string(got.body), c.shows) {
			t.Errorf("%v: %s", c.err, got.body)
		}
	}
}

func TestRenderParameters(t *testing.T) {
	for query, want := range map[string]string{
		"":                         "0x0 (0,0)-(0,0) false false <nil>",
		"viewport=100,50":          "100x50 (0,0)-(0,0) false false <nil>",
		"viewport=100,50,1,2,3,4":  "100x50 (1,2)-(4,6) false false <nil>",
		"viewport=100,50,,,-30,40": "100x50 (0,0)-(30,40) true false <nil>",
		"viewport=100,50,5,5,,":    "100x50 (5,5)-(2147483652,2147483652) false false <nil>",
		"window=40,400":            "0x0 (0,0)-(0,0) false false &{40 400 LINEAR}",
		"window=-1.5,1e3,sigmoid":  "0x0 (0,0)-(0,0) false false &{-1.5 1000 SIGMOID}",
		"window=0,.5,linear-exact": "0x0 (0,0)-(0,0) false false &{0 0.5 LINEAR_EXACT}",
		"viewport=0,0":             "error", "viewport=1": "error", "viewport=1,2,3": "error", "viewport=1.5,2": "error",
		"viewport=1,1,-1,0,0,0": "error", "viewport=16385,1": "error", "viewport=5000,5000": "error", "viewport=0x10,1": "error",
		"window=1": "error", "window=1,0": "error", "window=1,2,cubic": "error", "window=1e300,1": "error", "window=,": "error", "window=1,0.5": "error",
		"quality=0": "error", "quality=101": "error", "quality=+5": "error", "quality=1&quality=2": "error", "size=1": "error",
	} {
		values, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		p, err := parseRenderParams(values, Limits{}.withDefaults())
		v := p.view
		text := fmt.Sprintf("%dx%d %v %v %v %v", v.Width, v.Height, v.Crop, v.FlipX, v.FlipY, v.Window)
		if err != nil {
			text = "error"
		}
		if text != want {
			t.Errorf("%s: %s, want %s", query, text, want)
		}
	}
}

func TestRenderedSliceShowsSomething(t *testing.T) {
	s := newSite(t)
	s.put(ct(t, 1, dicomtest.WithSize(128, 128)))
	got := s.get(instancePath+"/rendered?window=40,400,linear", "Accept: image/png").wants(t, 200)
	img, _, err := image.Decode(bytes.NewReader(got.body))
	if err != nil || img.Bounds().Dx() != 128 {
		t.Fatal(err)
	}
	shades := make(map[color.Color]bool)
	for y := range 128 {
		for x := range 128 {
			shades[img.At(x, y)] = true
		}
	}
	if len(shades) < 10 {
		t.Errorf("the picture has %d shades", len(shades))
	}
}
