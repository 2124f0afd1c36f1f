package dicomweb

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"strconv"
	"strings"

	"pharos/internal/dicom"
)

// Retrieve yields the instances that ref names, each as a PS3.10 file that is read from
// the network and good until the next step. They come as the server stores them, or in
// one of the given transfer syntaxes.
func (c *Client) Retrieve(ctx context.Context, ref dicom.Ref, syntaxes ...dicom.UID) iter.Seq2[io.Reader, error] {
	if len(syntaxes) == 0 {
		syntaxes = []dicom.UID{anySyntax}
	}
	accept := make([]string, len(syntaxes))
	for i, s := range syntaxes {
		accept[i] = typeRelated + `; type="` + typeDICOM + `"; transfer-syntax=` + string(s)
	}
	return c.parts(ctx, c.path(ref, ""), strings.Join(accept, ", "), fmt.Sprintf("retrieve %v", ref))
}

// RetrieveFrames yields frames of an instance, counted from 1, as they are stored.
func (c *Client) RetrieveFrames(ctx context.Context, ref dicom.Ref, frames ...int) iter.Seq2[io.Reader, error] {
	list := make([]string, len(frames))
	for i, n := range frames {
		list[i] = strconv.Itoa(n)
	}
	accept := typeRelated + `; type="` + typeOctetStream + `"; transfer-syntax=*, ` + typeRelated + `; type="image/*"; transfer-syntax=*`
	return c.parts(ctx, c.path(ref, "/frames/"+strings.Join(list, ",")), accept, fmt.Sprintf("retrieve frames of %v", ref))
}

// parts yields the values of a multipart answer, or the one of an answer without parts,
// as some servers send a single instance.
func (c *Client) parts(ctx context.Context, address, accept, what string) iter.Seq2[io.Reader, error] {
	return func(yield func(io.Reader, error) bool) {
		fail := func(err error) { yield(nil, fmt.Errorf("%s: %w", what, err)) }
		resp, err := c.get(ctx, address, accept)
		if err != nil {
			fail(err)
			return
		}
		defer resp.Body.Close() //nolint:errcheck // only read from
		m, ok := parseMediaRange(resp.Header.Get("Content-Type"))
		switch {
		case ok && m.kind == typeDICOM || m.kind == typeOctetStream:
			yield(resp.Body, nil)
			return
		case !ok || m.kind != typeRelated:
			fail(errNotMultipart)
			return
		}
		parts, err := newParts(resp.Body, m.boundary)
		if err != nil {
			fail(err)
			return
		}
		defer parts.close()
		for {
			p, err := parts.next()
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil {
				fail(err)
				return
			}
			if !yield(p, nil) {
				return
			}
		}
	}
}
