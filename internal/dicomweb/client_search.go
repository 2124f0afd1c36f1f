package dicomweb

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"

	"pharos/internal/dicom"
)

// SearchStudies yields the studies that match. The parameters are those of QIDO-RS:
// attributes by keyword or hex, includefield, limit, offset, fuzzymatching.
func (c *Client) SearchStudies(ctx context.Context, params url.Values) iter.Seq2[*dicom.Dataset, error] {
	return c.search(ctx, c.path(dicom.Ref{}, "/studies"), params)
}

// SearchSeries yields the series that match, within a study unless that is empty.
func (c *Client) SearchSeries(ctx context.Context, study dicom.UID, params url.Values) iter.Seq2[*dicom.Dataset, error] {
	return c.search(ctx, c.path(dicom.Ref{Study: study}, "/series"), params)
}

// SearchInstances yields the instances that match, within what ref names: a series, a
// study or everything.
func (c *Client) SearchInstances(ctx context.Context, ref dicom.Ref, params url.Values) iter.Seq2[*dicom.Dataset, error] {
	ref.Instance = ""
	return c.search(ctx, c.path(ref, "/instances"), params)
}

func (c *Client) search(ctx context.Context, address string, params url.Values) iter.Seq2[*dicom.Dataset, error] {
	return func(yield func(*dicom.Dataset, error) bool) {
		if len(params) > 0 {
			address += "?" + params.Encode()
		}
		for h, err := range c.headers(ctx, address) {
			if err != nil {
				yield(nil, fmt.Errorf("search: %w", err))
				return
			}
			if !yield(h.Dataset, nil) {
				return
			}
		}
	}
}

// Header is the metadata of an instance.
type Header struct {
	*dicom.Dataset
	// Bulk maps the paths of elements that were left out to their addresses, as the
	// server gave them.
	Bulk map[string]string
}

// RetrieveMetadata yields the header of each instance that ref names.
func (c *Client) RetrieveMetadata(ctx context.Context, ref dicom.Ref) iter.Seq2[Header, error] {
	return func(yield func(Header, error) bool) {
		for h, err := range c.headers(ctx, c.path(ref, "/metadata")) {
			if err != nil {
				err = fmt.Errorf("retrieve metadata of %v: %w", ref, err)
			}
			if !yield(h, err) || err != nil {
				return
			}
		}
	}
}

// headers reads an array of data sets as it comes.
func (c *Client) headers(ctx context.Context, address string) iter.Seq2[Header, error] {
	return func(yield func(Header, error) bool) {
		resp, err := c.get(ctx, address, typeDICOMJSON)
		if err != nil {
			yield(Header{}, err)
			return
		}
		defer resp.Body.Close() //nolint:errcheck // only read from
		if resp.StatusCode == http.StatusNoContent {
			return
		}
		in := dicom.NewJSONReader(resp.Body, dicom.Limits{Value: maxInline})
		for {
			ds, bulk, err := in.Next()
			if errors.Is(err, io.EOF) {
				return
			}
			if !yield(Header{ds, bulk}, err) || err != nil {
				return
			}
		}
	}
}
