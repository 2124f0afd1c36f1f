package dicomweb

import (
	"bytes"
	"context"
	"errors"
	"image"
	"image/gif"
	"image/jpeg"
	"image/png"
	"io"
	"net/http"
	"strconv"

	"pharos/internal/archive"
	"pharos/internal/dicom"
	"pharos/internal/pixeldata"
)

// pictureTypes are the media types of rendered images, the default first (PS3.18
// §8.7.4).
var pictureTypes = [...]string{"image/jpeg", "image/png", "image/gif"}

// thumbnailSide bounds a thumbnail in pixels when the client names no viewport.
const thumbnailSide = 200

// renderer draws a frame: pixeldata.Render.
type renderer func(context.Context, pixeldata.Source, pixeldata.View) (image.Image, error)

// picture is one image to draw.
type picture struct {
	inst  archive.Instance
	frame int
}

// rendered answers with pictures (PS3.18 §10.4.1.1.3): of the frames in the path, of
// every frame of an instance, or of a series or study its representative frame, unless
// the client wants all of them as parts.
func (s *server) rendered(w *reply, r *http.Request) error { return s.sendRendered(w, r, false) }

// thumbnail answers with one small picture (PS3.18 §10.4.1.1.4).
func (s *server) thumbnail(w *reply, r *http.Request) error { return s.sendRendered(w, r, true) }

func (s *server) sendRendered(w *reply, r *http.Request, thumbnail bool) error {
	ref, err := refOf(r)
	if err != nil {
		return err
	}
	query, err := parseQuery(r)
	if err != nil {
		return err
	}
	params, err := parseRenderParams(query, s.limits)
	if err != nil {
		return err
	}
	if thumbnail && params.view.Width == 0 {
		params.view.Width, params.view.Height = thumbnailSide, thumbnailSide
	}
	ranges, err := accepted(r)
	if err != nil {
		return err
	}
	choice, err := choosePicture(ranges)
	if err != nil {
		return err
	}
	pictures, err := s.pictures(r, ref, choice.parts && !thumbnail)
	if err != nil {
		return err
	}
	w.Header().Add("Vary", "Accept")
	if w.unchanged(r, etagOf(choice.contentType+r.URL.RequestURI(), pictures[0].inst)) {
		return nil
	}
	if choice.parts {
		return s.sendPictures(w, r, pictures, choice, params)
	}
	return s.sendPicture(w, r, pictures[0], choice.contentType, params)
}

func choosePicture(ranges []mediaRange) (valueChoice, error) {
	for _, m := range ranges {
		for _, kind := range pictureTypes {
			switch {
			case m.takes(kind):
				return valueChoice{contentType: kind, partType: kind}, nil
			case m.kind == typeRelated && m.takesParts(kind):
				return valueChoice{parts: true, contentType: kind, partType: kind}, nil
			}
		}
	}
	return valueChoice{}, notAcceptable("pictures can be had as image/jpeg, image/png or image/gif")
}

// pictures lists what to draw: the frames in the path, every frame when all are wanted,
// otherwise one that stands for what was asked for.
func (s *server) pictures(r *http.Request, ref dicom.Ref, all bool) ([]picture, error) {
	if r.PathValue("frames") != "" {
		return s.picturesInPath(r, ref, all)
	}
	l, err := s.list(r.Context(), ref)
	if err != nil {
		return nil, err
	}
	defer l.close()
	var found []picture
	for inst, err := range l.all() {
		if err != nil {
			return nil, err
		}
		for n := 1; n <= inst.Frames() && (all || n == 1) && len(found) <= s.limits.Frames; n++ {
			found = append(found, picture{inst, n})
		}
		if len(found) > s.limits.Frames {
			break
		}
	}
	switch {
	case all && len(found) > s.limits.Frames:
		return nil, badRequest("there are more than " + strconv.Itoa(s.limits.Frames) + " frames; ask for a series or an instance")
	case len(found) == 0:
		return nil, notAcceptable("there are no images to render")
	case all:
		return found, nil
	}
	middle := found[len(found)/2]
	if len(found) == 1 {
		middle.frame = (middle.inst.Frames() + 1) / 2
	}
	return []picture{middle}, nil
}

func (s *server) picturesInPath(r *http.Request, ref dicom.Ref, all bool) ([]picture, error) {
	numbers, err := s.frameNumbers(r)
	if err != nil {
		return nil, err
	}
	inst, err := s.one(r.Context(), ref)
	if err != nil {
		return nil, err
	}
	if err := checkFrames(inst, numbers); err != nil {
		return nil, err
	}
	if len(numbers) > 1 && !all {
		return nil, notAcceptable("several frames can be had as multipart/related")
	}
	pictures := make([]picture, len(numbers))
	for i, n := range numbers {
		pictures[i] = picture{inst, n}
	}
	return pictures, nil
}

func (s *server) sendPicture(w *reply, r *http.Request, p picture, contentType string, params renderParams) error {
	var encoded bytes.Buffer
	if err := s.draw(r.Context(), &encoded, p, contentType, params); err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.Itoa(encoded.Len()))
	if w.head {
		return nil
	}
	_, err := w.Write(encoded.Bytes())
	return err
}

// sendPictures answers with one part per picture. The first is drawn before the answer
// begins, so that what can't be rendered is told.
func (s *server) sendPictures(w *reply, r *http.Request, pictures []picture, c valueChoice, params renderParams) error {
	b := newBody(w)
	defer b.close()
	m := newRelated(b)
	w.Header().Set("Content-Type", m.contentType(c.partType))
	var encoded bytes.Buffer
	for _, p := range pictures {
		encoded.Reset()
		if err := s.draw(r.Context(), &encoded, p, c.contentType, params); err != nil {
			return err
		}
		location := s.address(p.inst.Ref()) + "/frames/" + strconv.Itoa(p.frame) + "/rendered"
		if err := m.part(c.contentType, location, int64(encoded.Len())); err != nil {
			return err
		}
		if _, err := b.Write(encoded.Bytes()); err != nil {
			return err
		}
	}
	return m.end()
}

// draw renders one frame and encodes it.
func (s *server) draw(ctx context.Context, out *bytes.Buffer, p picture, contentType string, params renderParams) error {
	header, err := p.inst.Header(ctx)
	if err != nil {
		return ours(err)
	}
	value, err := p.inst.Frame(ctx, p.frame)
	if err != nil {
		return ours(err)
	}
	defer value.Close() //nolint:errcheck // only read from
	view := params.view
	view.Frame = p.frame
	source := pixeldata.Source{
		Header: header, Syntax: p.inst.TransferSyntax(), Frame: value, Length: value.Length,
		Values: func(path string) ([]byte, error) { return loadValue(ctx, p.inst, path) },
	}
	img, err := s.render(ctx, source, view)
	if err != nil {
		return renderFault(ctx, err)
	}
	return encodePicture(out, img, contentType, params.quality)
}

// loadValue loads a look-up table that lies outside of the header.
func loadValue(ctx context.Context, inst archive.Instance, path string) ([]byte, error) {
	value, err := inst.Bulk(ctx, path)
	if err != nil {
		return nil, err
	}
	defer value.Close() //nolint:errcheck // only read from
	if value.Length > pixeldata.MaxValue {
		return nil, pixeldata.ErrTooLarge
	}
	return io.ReadAll(value)
}

// renderFault tells faults of the image and of the view from those of the archive.
func renderFault(ctx context.Context, err error) error {
	switch {
	case ctx.Err() != nil:
		return errClientGone
	case errors.Is(err, pixeldata.ErrView):
		return badRequest(err.Error())
	case errors.Is(err, pixeldata.ErrUnsupported), errors.Is(err, pixeldata.ErrMalformed), errors.Is(err, pixeldata.ErrTooLarge):
		return notAcceptable("the frame can't be rendered: " + err.Error())
	}
	return ours(err)
}

func encodePicture(out io.Writer, img image.Image, contentType string, quality int) error {
	switch contentType {
	case "image/png":
		return (&png.Encoder{CompressionLevel: png.BestSpeed}).Encode(out, img)
	case "image/gif":
		return gif.Encode(out, img, nil)
	}
	return jpeg.Encode(out, img, &jpeg.Options{Quality: quality})
}
