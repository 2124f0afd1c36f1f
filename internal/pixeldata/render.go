package pixeldata

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"io"

	"pharos/internal/dicom"
)

// The reasons for which a frame can't be drawn.
var (
	// ErrUnsupported says that the pixels are legal, but of a kind that this package
	// does not draw: of a codec that it does not have, or of a rare colour space.
	ErrUnsupported = errors.New("this kind of pixel data can't be drawn")
	// ErrMalformed says that the header contradicts itself or the pixels.
	ErrMalformed = errors.New("the header of the image makes no sense")
	// ErrTooLarge says that a picture or a look-up table exceeds its bound.
	ErrTooLarge = errors.New("the picture is too large")
	// ErrView says that there is nothing of the frame in the view.
	ErrView = errors.New("the view shows nothing of the frame")
)

// DefaultMaxPixels bounds a picture when the View does not.
const DefaultMaxPixels = 4096 * 4096

// Source is one stored frame and what is needed to understand it.
type Source struct {
	Header *dicom.Dataset
	Syntax dicom.UID
	// Frame gives the frame from its first pixel, in the byte order of the file. It is
	// read once and not further than needed.
	Frame  io.Reader
	Length int64 // of the frame in bytes
	// Values loads a value that the header reports as a range: a look-up table. path is
	// as in dicom.BulkURI; the bytes are those of the file. It is not called for
	// values longer than MaxValue. Nil means that such values can't be had.
	Values func(path string) ([]byte, error)
}

// View is what is to be seen of a frame. The zero View is the whole frame in its own
// size, with the window of its header.
type View struct {
	Frame  int     // its number, from 1: functional groups differ from frame to frame
	Window *Window // nil: that of the header, or one from the pixels

	// Width and Height bound the picture in pixels: it is scaled to fit, up or down, and
	// keeps its aspect ratio. 0 does not bound; both 0 keep the frame's own size.
	Width, Height int
	// Crop is the part of the frame to show, in pixels of the frame; empty for all.
	Crop image.Rectangle
	// Region is Crop in fractions of the frame: left, top, right, bottom; zero for all.
	Region [4]float64
	// FlipX and FlipY mirror the picture: left to right, top to bottom.
	FlipX, FlipY bool
	// MaxPixels refuses larger pictures; 0 means DefaultMaxPixels.
	MaxPixels int
}

// Render draws a frame for a screen: it decodes the pixels, applies the transformations
// of PS3.4 §N.2 that the header and the view ask for, cuts, scales to square pixels and
// mirrors. The picture is an *image.Gray or an opaque *image.RGBA.
//
// Memory is bounded by the size of the picture, not of the frame. Only a frame that has
// no window, so that the extremes of its pixels must be known first, or that is
// compressed is held as a whole, and that only up to View.MaxPixels. ErrUnsupported, ErrMalformed, ErrTooLarge,
// ErrView, and errors of ctx and of the source, as they are.
func Render(ctx context.Context, src Source, view View) (image.Image, error) {
	if view.MaxPixels <= 0 {
		view.MaxPixels = DefaultMaxPixels
	}
	f, err := newFormat(src.Header, src.Syntax)
	if err != nil {
		return nil, err
	}
	if f.decompress == nil && src.Length < f.frameBytes() {
		return nil, fmt.Errorf("%w: the frame has %d bytes and needs %d", ErrMalformed, src.Length, f.frameBytes())
	}
	g, err := newGeometry(&src, f, view)
	if err != nil {
		return nil, err
	}
	r := &renderer{src: &src, format: f, geometry: g, view: view, frame: &interruptible{ctx, src.Frame}}
	if f.decompress != nil {
		if err := r.expand(); err != nil {
			return nil, err
		}
	}
	paint, err := r.painter()
	if err != nil {
		return nil, err
	}
	if err := r.draw(paint); err != nil {
		return nil, err
	}
	return r.finish(), nil
}

// renderer holds what the steps of one Render share.
type renderer struct {
	src      *Source
	format   *format
	geometry *geometry
	view     View
	frame    io.Reader // src.Frame, or held
	held     []byte    // the whole frame, where it must be read twice
	picture  raster
}

// painter is what makes 8-bit samples of stored ones.
type painter func(dst []uint8, l line)

func (r *renderer) painter() (painter, error) {
	switch f := r.format; {
	case f.palette():
		p, err := r.src.palette(f)
		if err != nil {
			return nil, err
		}
		return p.paint, nil
	case f.samples == 3:
		return colourPainter(f), nil
	}
	return r.grayPainter()
}

// hold reads the whole frame into memory, so that it can be read twice. False when it
// is too large for that.
func (r *renderer) hold() (bool, error) {
	f := r.format
	if int64(f.rows)*int64(f.columns) > int64(r.view.MaxPixels) {
		return false, nil
	}
	r.held = make([]byte, f.frameBytes())
	if _, err := io.ReadFull(r.frame, r.held); err != nil {
		return false, ended(err)
	}
	r.rewind()
	return true, nil
}

// rewind makes the frame, which is held, be read from its beginning.
func (r *renderer) rewind() { r.frame = bytes.NewReader(r.held) }

// draw reads the part of the frame that is seen, plane by plane and row by row, into
// the reduced picture.
func (r *renderer) draw(paint painter) error {
	f, g := r.format, r.geometry
	in := newRowReader(f, r.frame)
	r.picture = newRaster(g.reduced, f.colour())
	planes, channels := 1, r.picture.channels
	if f.planar {
		planes, channels = 3, 1
	}
	painted := make([]uint8, g.crop.Dx()*channels)
	perPixel := f.perPixel()
	for plane := range planes {
		if err := in.skip(g.crop.Min.Y); err != nil {
			return err
		}
		reduce := newReducer(&r.picture, plane, channels, g)
		for range g.crop.Dy() {
			l, err := in.next()
			if err != nil {
				return err
			}
			paint(painted, l.cut(g.crop.Min.X*perPixel, g.crop.Max.X*perPixel))
			reduce.add(painted)
		}
		if plane+1 < planes {
			if err := in.skip(f.rows - g.crop.Max.Y); err != nil {
				return err
			}
		}
	}
	return nil
}

// finish makes the picture of the reduced one.
func (r *renderer) finish() image.Image {
	p := r.picture
	if convert := r.format.toRGB(); convert != nil {
		convert(p.pix)
	}
	p = p.resample(r.geometry)
	p.flip(r.view.FlipX, r.view.FlipY)
	return p.image()
}

// interruptible ends when its context does.
type interruptible struct {
	ctx context.Context
	r   io.Reader
}

// Read implements io.Reader.
func (i *interruptible) Read(p []byte) (int, error) {
	if err := i.ctx.Err(); err != nil {
		return 0, err
	}
	return i.r.Read(p)
}
