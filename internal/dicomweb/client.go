package dicomweb

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"pharos/internal/access"
	"pharos/internal/archive"
	"pharos/internal/dicom"
)

// Client speaks to a DICOMweb server. It is safe for concurrent use.
type Client struct {
	// Base is the address of the service, as in "https://pacs.example.org/dicom-web".
	Base string
	// HTTP sends the requests. Its transport adds credentials; nil is
	// http.DefaultClient.
	HTTP *http.Client
	// Retries is how often a request is tried again that failed without effect.
	Retries int
	// Pause is the time before the first retry, doubled with each; default 500 ms. A
	// server's Retry-After goes before it.
	Pause time.Duration
}

// maxPause bounds how long a Retry-After is believed.
const maxPause = time.Minute

// StatusError is an answer that says no. It is archive.ErrNotFound, access.ErrDenied or
// archive.ErrFull to errors.Is where it means that.
type StatusError struct {
	Status int
	Detail string // what the server said, at most 4 kB
}

// Error implements error.
func (e *StatusError) Error() string {
	text := "server answered " + strconv.Itoa(e.Status) + " " + http.StatusText(e.Status)
	if e.Detail != "" {
		text += ": " + e.Detail
	}
	return text
}

// Is implements the interface of errors.Is.
func (e *StatusError) Is(target error) bool {
	switch e.Status {
	case http.StatusNotFound, http.StatusGone:
		return target == archive.ErrNotFound
	case http.StatusUnauthorized, http.StatusForbidden:
		return target == access.ErrDenied
	case http.StatusServiceUnavailable, http.StatusInsufficientStorage:
		return target == archive.ErrFull
	}
	return false
}

// statusError reads what an answer says. It closes the body.
func statusError(resp *http.Response) error {
	defer resp.Body.Close() //nolint:errcheck // only read from
	text, err := io.ReadAll(io.LimitReader(resp.Body, 4<<10))
	if err != nil {
		text = nil // the status is what counts
	}
	var p problem
	if json.Unmarshal(text, &p) == nil && p.Detail != "" {
		text = []byte(p.Detail)
	}
	return &StatusError{resp.StatusCode, strings.ToValidUTF8(strings.TrimSpace(string(text)), "?")}
}

// path is the address of what a reference names, below the service.
func (c *Client) path(ref dicom.Ref, more string) string {
	b := strings.TrimSuffix(c.Base, "/")
	for _, p := range [...]struct {
		name string
		uid  dicom.UID
	}{{"studies", ref.Study}, {"series", ref.Series}, {"instances", ref.Instance}} {
		if p.uid != "" {
			b += "/" + p.name + "/" + url.PathEscape(string(p.uid))
		}
	}
	return b + more
}

// get asks for something, again and again if that helps. The answer is 200 or 206, or
// 204 with an empty body.
func (c *Client) get(ctx context.Context, address, accept string) (*http.Response, error) {
	resp, err := c.retrying(ctx, mayRepeat, func() (*http.Request, error) {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
		if err == nil {
			r.Header.Set("Accept", accept)
		}
		return r, err
	})
	if err != nil {
		return nil, err
	}
	switch resp.StatusCode {
	case http.StatusOK, http.StatusPartialContent, http.StatusNoContent:
		return resp, nil
	}
	return nil, statusError(resp)
}

// retrying sends a request that build makes anew for each try, as long as again says that
// it may and helps.
func (c *Client) retrying(ctx context.Context, again func(*http.Response, error) bool, build func() (*http.Request, error)) (*http.Response, error) {
	pause := c.Pause
	setDefault(&pause, 500*time.Millisecond)
	client := c.HTTP
	if client == nil {
		client = http.DefaultClient
	}
	for left := c.Retries; ; left-- {
		r, err := build()
		if err != nil {
			return nil, err
		}
		resp, err := client.Do(r)
		if left <= 0 || ctx.Err() != nil || !again(resp, err) {
			return resp, err
		}
		wait := pause
		if resp != nil {
			wait = retryAfter(resp, pause)
			_ = resp.Body.Close() // nothing of it is wanted
		}
		pause *= 2
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// mayRepeat tells when a request without effect is worth another try.
func mayRepeat(resp *http.Response, err error) bool {
	if err != nil {
		return true
	}
	switch resp.StatusCode {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// mayRepeatEffect tells when a request with an effect may be tried again: when the
// server says that it did nothing and when to come back.
func mayRepeatEffect(resp *http.Response, err error) bool {
	return err == nil && resp.StatusCode == http.StatusServiceUnavailable && resp.Header.Get("Retry-After") != ""
}

// retryAfter reads Retry-After in seconds or as a date (RFC 9110 §10.2.3).
func retryAfter(resp *http.Response, otherwise time.Duration) time.Duration {
	field := resp.Header.Get("Retry-After")
	wait := otherwise
	if seconds, ok := digits(field); ok {
		wait = time.Duration(min(seconds, int64(maxPause/time.Second))) * time.Second
	} else if at, err := http.ParseTime(field); err == nil {
		wait = time.Until(at)
	}
	return max(0, min(wait, maxPause))
}

// Delete removes what ref names, if the server has that verb. archive.ErrNotFound.
func (c *Client) Delete(ctx context.Context, ref dicom.Ref) error {
	resp, err := c.retrying(ctx, mayRepeatEffect, func() (*http.Request, error) {
		return http.NewRequestWithContext(ctx, http.MethodDelete, c.path(ref, ""), nil)
	})
	if err != nil {
		return fmt.Errorf("delete %v: %w", ref, err)
	}
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("delete %v: %w", ref, statusError(resp))
	}
	return resp.Body.Close()
}

// errNotMultipart says that an answer has another form than the one asked for.
var errNotMultipart = errors.New("server answered with another media type")
