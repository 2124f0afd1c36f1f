package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"os"
	"strconv"

	"github.com/spf13/cobra"

	"pharos/internal/access"
	"pharos/internal/archive"
	"pharos/internal/dicom"
	"pharos/internal/dicom/dict"
	"pharos/internal/dicomweb"
	"pharos/internal/ul"
)

// serverFlags name a DICOMweb server and how to sign in there.
type serverFlags struct {
	url          string
	user         string
	passwordFile string
	tokenFile    string
	ca           string
}

func addServerFlags(cmd *cobra.Command) *serverFlags {
	s := &serverFlags{}
	f := cmd.Flags()
	f.StringVar(&s.url, "server", os.Getenv("PHAROS_SERVER"), "DICOMweb server, as https://pacs.example.org/dicom-web; or PHAROS_SERVER")
	f.StringVar(&s.user, "user", os.Getenv("PHAROS_USER"), "user name there; or PHAROS_USER")
	f.StringVar(&s.passwordFile, "password-file", os.Getenv("PHAROS_PASSWORD_FILE"), "file that holds the password (default: ask); or PHAROS_PASSWORD_FILE")
	f.StringVar(&s.tokenFile, "token-file", os.Getenv("PHAROS_TOKEN_FILE"), "file that holds a bearer token; or PHAROS_TOKEN_FILE, or the token itself in PHAROS_TOKEN")
	f.StringVar(&s.ca, "ca", "", "authorities that sign the server's certificate, a PEM file (default: the system's)")
	return s
}

// retries is how often a request is repeated that had no effect.
const retries = 4

// client returns what speaks to the server.
func (s *serverFlags) client(cmd *cobra.Command) (*dicomweb.Client, error) {
	base, err := url.Parse(s.url)
	if err != nil || base.Scheme != "http" && base.Scheme != "https" || base.Host == "" {
		return nil, usageError{fmt.Errorf("--server: %q is no URL of a DICOMweb server: write it like https://pacs.example.org/dicom-web", s.url)}
	}
	authorization, err := s.authorization(cmd)
	if err != nil {
		return nil, err
	}
	transport := http.DefaultTransport.(*http.Transport).Clone() //nolint:forcetypeassert // it is one
	transport.MaxIdleConnsPerHost = 64
	if s.ca != "" {
		authorities, err := ul.LoadAuthorities(s.ca, nil)
		if err != nil {
			return nil, usageError{fmt.Errorf("--ca: %w", err)}
		}
		transport.TLSClientConfig = &tls.Config{RootCAs: authorities.Pool(), MinVersion: tls.VersionTLS12}
	}
	return &dicomweb.Client{
		Base:    s.url,
		HTTP:    &http.Client{Transport: &signingTransport{next: transport, host: base.Host, authorization: authorization}},
		Retries: retries,
	}, nil
}

// authorization is the credential: a token if there is one, else name and password,
// else nothing.
func (s *serverFlags) authorization(cmd *cobra.Command) (string, error) {
	token := os.Getenv("PHAROS_TOKEN")
	if s.tokenFile != "" {
		var err error
		if token, err = readSecret(s.tokenFile); err != nil {
			return "", usageError{fmt.Errorf("--token-file: %w", err)}
		}
	}
	if token != "" {
		return "Bearer " + token, nil
	}
	if s.user == "" {
		return "", nil
	}
	password, err := s.password(cmd)
	if err != nil {
		return "", err
	}
	r := http.Request{Header: make(http.Header)}
	r.SetBasicAuth(s.user, password)
	return r.Header.Get("Authorization"), nil
}

func (s *serverFlags) password(cmd *cobra.Command) (string, error) {
	if s.passwordFile == "" {
		return askPassword(cmd.InOrStdin(), "Password for "+s.user)
	}
	password, err := readSecret(s.passwordFile)
	if err != nil {
		return "", usageError{fmt.Errorf("--password-file: %w", err)}
	}
	return password, nil
}

// signingTransport adds the credential to requests to the server, and not to those that
// a redirection leads elsewhere.
type signingTransport struct {
	next          http.RoundTripper
	host          string
	authorization string
}

// RoundTrip implements http.RoundTripper.
func (t *signingTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	if t.authorization != "" && r.URL.Host == t.host {
		r = r.Clone(r.Context())
		r.Header.Set("Authorization", t.authorization)
	}
	return t.next.RoundTrip(r)
}

// sinks sends files by STOW-RS.
func (s *serverFlags) sinks(cmd *cobra.Command) (func(context.Context) (sink, error), error) {
	c, err := s.client(cmd)
	if err != nil {
		return nil, err
	}
	return func(context.Context) (sink, error) { return webSink{c}, nil }, nil
}

// importToServer sends the files away. It needs no data directory, so there is a journal
// only where one is named.
func importToServer(cmd *cobra.Command, paths []string, o *importOptions) error {
	open, err := o.server.sinks(cmd)
	if err != nil {
		return err
	}
	return runImport(cmd.Context(), cmd, paths, o, open)
}

// webSink sends one file in each request, so that each is acknowledged by itself.
type webSink struct{ *dicomweb.Client }

func (s webSink) put(ctx context.Context, path string) (verdict, error) {
	if err := looksLikeInstance(path); err != nil {
		return failed, err
	}
	answers, err := s.Store(ctx, "", func(yield func(io.ReadCloser, error) bool) {
		f, err := os.Open(path)
		if err != nil {
			yield(nil, err)
			return
		}
		yield(f, nil)
	})
	var status *dicomweb.StatusError
	switch {
	case errors.Is(err, access.ErrDenied), errors.Is(err, archive.ErrFull):
		return failed, fatalError{err}
	case errors.As(err, &status), err == nil:
		return verdictOfAnswers(answers, err)
	}
	return failed, fatalError{err} // there is no connection
}

// looksLikeInstance spares the server what is not DICOM at all.
func looksLikeInstance(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // it was only read
	_, err = archive.ReadIncoming(f)
	return err
}

func verdictOfAnswers(answers []dicomweb.Sent, err error) (verdict, error) {
	for _, a := range answers {
		if a.Failure != 0 {
			return failed, fmt.Errorf("the server did not store it: failure reason %04X", a.Failure)
		}
	}
	if err == nil && len(answers) == 0 {
		err = errors.New("the server did not say whether it stored it")
	}
	if err != nil {
		return failed, err
	}
	return sent, nil
}

func (s webSink) close(context.Context) error { return nil }

// page is how many results are asked for at once.
const page = 500

// find asks by QIDO-RS, page by page.
func (s *serverFlags) find(cmd *cobra.Command, q *question) (iter.Seq2[*dicom.Dataset, error], error) {
	c, err := s.client(cmd)
	if err != nil {
		return nil, err
	}
	search, ok := map[archive.Level]func(context.Context, url.Values) iter.Seq2[*dicom.Dataset, error]{
		archive.StudyLevel: c.SearchStudies,
		archive.SeriesLevel: func(ctx context.Context, v url.Values) iter.Seq2[*dicom.Dataset, error] {
			return c.SearchSeries(ctx, "", v)
		},
		archive.InstanceLevel: func(ctx context.Context, v url.Values) iter.Seq2[*dicom.Dataset, error] {
			return c.SearchInstances(ctx, dicom.Ref{}, v)
		},
	}[q.level]
	if !ok {
		return nil, usageError{errors.New("--level: DICOMweb has no queries for patients: choose study, series or instance")}
	}
	return pages(func(offset int) iter.Seq2[*dicom.Dataset, error] {
		values := q.values()
		values.Set("limit", strconv.Itoa(page))
		values.Set("offset", strconv.Itoa(offset))
		return search(cmd.Context(), values)
	}), nil
}

// pages joins pages until one comes that is empty: a server may give fewer results than
// it was asked for.
func pages(get func(offset int) iter.Seq2[*dicom.Dataset, error]) iter.Seq2[*dicom.Dataset, error] {
	return func(yield func(*dicom.Dataset, error) bool) {
		for offset := 0; ; {
			n := 0
			for d, err := range get(offset) {
				if !yield(d, err) || err != nil {
					return
				}
				n++
			}
			if n == 0 {
				return
			}
			offset += n
		}
	}
}

// values is the question as QIDO-RS asks it (PS3.18 §8.3.4).
func (q *question) values() url.Values {
	v := url.Values{}
	for _, k := range q.keys {
		name := k.tag.Hex()
		if e, ok := dict.Lookup(k.tag); ok {
			name = cmp.Or(e.Keyword, name)
		}
		if k.text == "" {
			v.Add("includefield", name)
			continue
		}
		v.Set(name, k.text)
	}
	return v
}

// get retrieves by WADO-RS.
func (s *serverFlags) get(cmd *cobra.Command, refs []dicom.Ref, receive func(context.Context, dicom.UID, dicom.UID, io.Reader) error) error {
	c, err := s.client(cmd)
	if err != nil {
		return err
	}
	for _, ref := range refs {
		for r, err := range c.Retrieve(cmd.Context(), ref) {
			if err != nil {
				return err
			}
			// What can't be kept is noted by the receiver, and the next one may fare
			// better; a connection that broke tells so at the next step.
			_ = receive(cmd.Context(), "", ref.Instance, r)
		}
	}
	return nil
}
