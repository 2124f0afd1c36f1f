package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"time"

	"github.com/spf13/cobra"

	"pharos/internal/dicomweb"
	"pharos/internal/dimse"
	"pharos/internal/identity"
	"pharos/internal/ul"
)

func serveCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the archive",
		Long: `Run the archive.

Settings come from flags, else from variables PHAROS_… of the environment, else from the
configuration file, else from defaults; "pharos config check" prints them. Without
settings, DICOM is at 127.0.0.1:11112 and DICOMweb at http://127.0.0.1:8080/dicom-web.

On SIGTERM or SIGINT it stops accepting and finishes what is under way, for at most
limits.grace; another signal, a second later or more, ends it at once.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			l, err := configOf(cmd)
			if err != nil {
				return err
			}
			return serve(cmd.Context(), l, newLogger(l.Log, os.Stderr))
		},
	}
	addConfigFlag(cmd)
	addSettingFlags(cmd.Flags())
	return cmd
}

// serve runs the archive until ctx is done.
func serve(ctx context.Context, l *loaded, log *slog.Logger) (err error) {
	c := &l.Config
	warn(l, log)
	relaxCollector()
	store, err := openStorage(ctx, c, log, logRecovery(log))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.close(context.WithoutCancel(ctx))) }()
	s, err := newServer(ctx, c, store, log)
	if err != nil {
		return err
	}
	if err := s.listen(ctx); err != nil {
		return errors.Join(err, s.closeListeners())
	}
	if c.Demo {
		if err := prepareDemo(ctx, c, store, s.accounts, log); err != nil {
			return errors.Join(err, s.closeListeners())
		}
	}
	return s.run(ctx)
}

// relaxCollector lets garbage grow to several times the live heap, unless the environment
// says otherwise. What is alive is a few megabytes, whatever the data, so that the default
// would collect hundreds of times a second under load and save next to nothing.
func relaxCollector() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(400)
	}
}

// warn tells of what is allowed but seldom meant.
func warn(l *loaded, log *slog.Logger) {
	for _, name := range l.unknownVariables {
		log.Warn("variable of the environment is no setting", slog.String("name", name))
	}
	if l.InsecureOpen {
		log.Warn("insecure_open: everybody on this machine is an administrator")
	}
	if l.AllowPlainHTTP && l.TLS.Cert == "" && !onLoopback(l.HTTP) {
		log.Warn("allow_plain_http: passwords and images go through the network in clear unless a proxy in front does TLS", slog.String("http", l.HTTP))
	}
	if (l.DICOM != off || l.DICOMTLS.Addr != off) && len(l.nodes()) == 0 && !l.Demo && !l.InsecureOpen {
		log.Warn("no node may call: every DICOM association will be rejected; each rejection tells what to add under nodes")
	}
}

func logRecovery(log *slog.Logger) func(seen, adopted int) {
	last := time.Now()
	return func(seen, adopted int) {
		if time.Since(last) < 5*time.Second {
			return
		}
		last = time.Now()
		log.Info("comparing images with the index", slog.Int("seen", seen), slog.Int("added", adopted))
	}
}

// server is the archive's public face.
type server struct {
	config   *Config
	log      *slog.Logger
	accounts identity.Store
	web      *web
	http     *http.Server
	admin    *http.Server
	dicom    *dimse.Server
	side     *dicomSide
	metrics  *metrics

	parts []part // in the order in which they are announced
}

// part is a listener with what serves it.
type part struct {
	name  string
	ln    net.Listener
	serve func(net.Listener) error
}

func newServer(ctx context.Context, c *Config, store *storage, log *slog.Logger) (*server, error) {
	s := &server{config: c, log: log, metrics: newMetrics()}
	s.metrics.watchIndex(store.index)
	accounts, err := dataDir(c.Data).accounts()
	if err != nil {
		return nil, err
	}
	s.accounts = accounts
	if err := createAdmin(ctx, c, accounts, os.Stderr, log); err != nil {
		return nil, err
	}
	auth, err := identity.NewAuthenticator(identity.Options{Store: accounts, Log: log, Proxies: c.TrustedProxies})
	if err != nil {
		return nil, err
	}
	if s.side, err = newDICOMSide(c, auth, s.metrics, log); err != nil {
		return nil, err
	}
	s.dicom = s.side.server(guarded(store, s.metrics, "dicom", log))
	spool, err := dataDir(c.Data).spool()
	if err != nil {
		return nil, err
	}
	handler := dicomweb.New(dicomweb.Config{
		Archive:   guarded(store, s.metrics, "web", log),
		Keys:      c.keys(),
		PublicURL: c.publicURL(),
		Origins:   c.CORS,
		TempDir:   spool,
		Log:       log,
		Limits:    dicomweb.Limits{MaxPage: c.Limits.Results, Idle: time.Duration(c.Limits.Stall)},
	})
	ready := func(ctx context.Context) error {
		_, err := store.index.Count(ctx)
		return err
	}
	if s.web, err = newWeb(c, handler, auth, ready); err != nil {
		return nil, err
	}
	s.http = newHTTPServer(c, observe(s.metrics, log, steady(time.Duration(c.Limits.Stall), s.web)), log)
	s.admin = newHTTPServer(c, adminRoutes(s.metrics, s.web, onLoopback(c.Admin)), log)
	return s, nil
}

// publicURL is how users reach the archive: as configured, or by the address of the
// listener when that is one that can be called.
func (c *Config) publicURL() string {
	host, port, err := net.SplitHostPort(c.HTTP)
	ip := net.ParseIP(host)
	if c.PublicURL != "" || err != nil || port == "0" || host == "" || ip != nil && ip.IsUnspecified() {
		return c.PublicURL
	}
	if c.TLS.Cert != "" {
		return "https://" + c.HTTP
	}
	return "http://" + c.HTTP
}

// listen opens every listener before any is served, so that a port in use is noticed
// before anything begins.
func (s *server) listen(ctx context.Context) error {
	c := s.config
	httpTLS, err := httpTLS(c, s.log)
	if err != nil {
		return err
	}
	dicom := func(ln net.Listener) error { return s.dicom.Serve(context.WithoutCancel(ctx), ln) }
	opens := []struct {
		name, addr string
		wrap       func(net.Listener) (net.Listener, error)
		serve      func(net.Listener) error
	}{
		{"http", c.HTTP, func(ln net.Listener) (net.Listener, error) {
			return withTLS(limitListener(ln, c.Limits.Connections), httpTLS), nil
		}, s.http.Serve},
		{"dicom", c.DICOM, plainListener, dicom},
		{"dicom_tls", c.DICOMTLS.Addr, func(ln net.Listener) (net.Listener, error) {
			config, err := s.side.peers.server(c.DICOMTLS.ClientAuth)
			return withTLS(ln, config), err
		}, dicom},
		{"admin", c.Admin, plainListener, s.admin.Serve},
	}
	for _, o := range opens {
		if o.addr == off {
			continue
		}
		ln, err := new(net.ListenConfig).Listen(ctx, "tcp", o.addr)
		if err != nil {
			return fmt.Errorf("%s: %w", o.name, err)
		}
		wrapped, err := o.wrap(ln)
		if err != nil {
			return errors.Join(fmt.Errorf("%s: %w", o.name, err), ln.Close())
		}
		s.parts = append(s.parts, part{o.name, wrapped, o.serve})
	}
	return nil
}

func plainListener(ln net.Listener) (net.Listener, error) { return ln, nil }

func withTLS(ln net.Listener, config *tls.Config) net.Listener {
	if config == nil {
		return ln
	}
	return tls.NewListener(ln, config)
}

func (s *server) closeListeners() error {
	var err error
	for _, p := range s.parts {
		err = errors.Join(err, p.ln.Close())
	}
	return err
}

// run serves until ctx is done or a listener fails, then shuts down.
func (s *server) run(ctx context.Context) error {
	failed := make(chan error, len(s.parts))
	for _, p := range s.parts {
		go func() {
			err := p.serve(p.ln)
			if errors.Is(err, http.ErrServerClosed) || errors.Is(err, ul.ErrServerClosed) {
				err = nil
			}
			if err != nil {
				err = fmt.Errorf("%s: %w", p.name, err)
			}
			failed <- err
		}()
	}
	s.announce()
	var err error
	waiting := len(s.parts)
	select {
	case <-ctx.Done():
		s.log.Info("stopping: what is under way is finished first", slog.Duration("at_most", time.Duration(s.config.Limits.Grace)))
	case err = <-failed:
		waiting--
	}
	err = errors.Join(err, s.shutdown(context.WithoutCancel(ctx)))
	for range waiting {
		err = errors.Join(err, <-failed)
	}
	s.log.Info("stopped")
	return err
}

func (s *server) announce() {
	attrs := []slog.Attr{slog.String("version", version), slog.String("aet", s.config.AET), slog.String("data", s.config.Data)}
	for _, p := range s.parts {
		attrs = append(attrs, slog.String(p.name, p.ln.Addr().String()))
	}
	s.log.LogAttrs(context.Background(), slog.LevelInfo, "ready", attrs...)
}

// shutdown lets everything end that is under way, and cuts off what has not ended in
// time.
func (s *server) shutdown(ctx context.Context) error {
	s.web.draining.Store(true)
	ctx, cancel := context.WithTimeout(ctx, time.Duration(s.config.Limits.Grace))
	defer cancel()
	steps := []func() error{
		func() error { return s.dicom.Shutdown(ctx) },
		func() error { return endHTTP(ctx, s.http) },
		func() error { return endHTTP(ctx, s.admin) },
	}
	results := make(chan error, len(steps))
	for _, step := range steps {
		go func() { results <- step() }()
	}
	var err error
	for range steps {
		err = errors.Join(err, <-results)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		s.log.Warn("time is up: what was still under way was cut off")
		return nil
	}
	return err
}

func endHTTP(ctx context.Context, s *http.Server) error {
	err := s.Shutdown(ctx)
	if err != nil {
		_ = s.Close() // the error that matters is that it was needed
	}
	return err
}
