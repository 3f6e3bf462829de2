package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"runtime"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"onedoor/config"
	"onedoor/gateway"
	"onedoor/provider"
	"onedoor/seal"
	"onedoor/store"
	"onedoor/upstream"
)

type serveCommand struct {
	configFlag
}

// drainTime is how long requests in flight may take when the door is asked to
// stop. Orchestrators kill after 30 s or so.
const drainTime = 30 * time.Second

// elbowRoom is how much the collector believes to be in use besides what is.
// It runs whenever the heap has doubled; the door's own is some 2 MB, and under
// load that was forty times a second, a tenth of all CPU. The room is never
// touched, so no page of it is ever in memory; what is not collected in the
// meantime is, up to as much again.
const elbowRoom = 8 << 20

// Run runs the door until the first SIGINT or SIGTERM.
func (c *serveCommand) Run(t *terminal) error {
	cfg, err := config.Load(c.Config, os.LookupEnv)
	if err != nil {
		return err
	}
	log, flush := newLog(t.err, cfg.Log)
	defer flush()
	for _, w := range cfg.Warnings() {
		log.Warn(w)
	}
	sockets, err := listen(t.ctx, cfg.Listeners)
	if err != nil {
		return err
	}
	defer func() {
		for _, s := range sockets {
			s.Close() // those that a server took are closed already
		}
	}()
	db, err := store.Open(t.ctx, string(cfg.Database))
	if err != nil {
		return found(err, "the database holds the keys that logins are sealed with: give `database` a path that can be written")
	}
	defer db.Close()
	d, err := newDoor(t.ctx, cfg, db, log, nil)
	if err != nil {
		return err
	}
	defer d.close()
	for i, l := range cfg.Listeners {
		if err := d.add(cfg, l, sockets[i]); err != nil {
			return err
		}
	}
	return d.run(t.ctx)
}

// door is everything that serve runs.
type door struct {
	gateway  *gateway.Gateway
	provider *upstream.Provider
	inside   *provider.Provider // nil before another's
	db       *store.DB
	servers  []*server
	log      *slog.Logger
}

type server struct {
	*http.Server
	socket net.Listener
	tls    bool
}

// newDoor puts the parts together. It opens no socket and asks nobody. around,
// where there is one, is put around the provider inside.
func newDoor(ctx context.Context, cfg *config.Config, db *store.DB, log *slog.Logger, around func(http.Handler) http.Handler) (*door, error) {
	keys, err := db.SealKeys(ctx)
	if err != nil {
		return nil, found(err, "")
	}
	ring, err := seal.NewRing(time.Now, keys...)
	if err != nil {
		return nil, found(err, "")
	}
	directory, err := cfg.Directory(cfg.Registry())
	if err != nil {
		return nil, found(err, "")
	}
	options := upstream.Options{
		PublicOrigin: cfg.PublicURL, Issuers: cfg.Provider.Issuers, Kind: upstream.Kind(cfg.Provider.Kind),
		CAFile: cfg.Provider.CAFile, Log: log, Now: time.Now, Tenant: directory.Active,
	}
	d := &door{log: log, db: db}
	if cfg.Provider.Embedded != nil {
		if d.inside, err = embedded(ctx, cfg, db, log); err != nil {
			return nil, found(err, "")
		}
		if options.Handler = d.inside.Handler(); around != nil {
			options.Handler = around(options.Handler)
		}
	} else if options.URL, err = url.Parse(cfg.Provider.Upstream); err != nil {
		return nil, found(err, "")
	}
	if d.provider, err = upstream.New(options); err != nil {
		return nil, errors.Join(found(err, ""), d.close())
	}
	d.gateway = gateway.New(gateway.Options{
		PublicOrigin: cfg.PublicURL, Directory: directory, Provider: d.provider, Ring: ring, States: db,
		LoginTTL: cfg.Seal.LoginTTL, CodeTTL: cfg.Seal.CodeTTL, Exposed: cfg.Provider.Expose,
		Log: log, Now: time.Now,
	})
	return d, nil
}

// embedded is the provider inside. Only the door speaks to it, so the address
// that the door names is the caller's.
func embedded(ctx context.Context, cfg *config.Config, db *store.DB, log *slog.Logger) (*provider.Provider, error) {
	if n := len(cfg.Provider.Issuers); n != 1 {
		return nil, fmt.Errorf("the embedded provider has one issuer, and provider.issuers names %d", n)
	}
	return provider.New(ctx, provider.Options{
		Issuer: cfg.IssuerURL(cfg.Provider.Issuers[0]), Store: db, Log: log, Now: time.Now,
		Address: func(r *http.Request) string { return r.Header.Get("X-Forwarded-For") },
	})
}

// close ends what newDoor began.
func (d *door) close() error {
	if d.inside == nil {
		return nil
	}
	return d.inside.Close()
}

// add makes a listener of the configuration part of the door.
func (d *door) add(cfg *config.Config, l config.Listener, socket net.Listener) error {
	s := &server{Server: gateway.NewServer(d.gateway.Handler(cfg.Horizon(l)), d.log), socket: socket}
	if l.TLS != nil {
		if l.TLS.ACME != nil {
			return found(errors.New("listeners: tls.acme is not served yet"), "give cert_file and key_file")
		}
		var err error
		if s.TLSConfig, err = certificates(l.TLS.CertFile, l.TLS.KeyFile, d.log); err != nil {
			return found(err, "")
		}
		s.tls = true
	}
	d.servers = append(d.servers, s)
	d.log.Info("listening", slog.String("address", socket.Addr().String()), slog.Any("serves", l.Serves), slog.Bool("tls", s.tls))
	return nil
}

// run serves until ctx ends, and then finishes what it has.
func (d *door) run(ctx context.Context) error {
	room := make([]byte, elbowRoom)
	defer runtime.KeepAlive(room)
	// The provider is needed until the last request in flight has its answer.
	providing, stopProvider := context.WithCancel(context.WithoutCancel(ctx))
	defer stopProvider()
	group, failed := errgroup.WithContext(ctx)
	group.Go(func() error {
		var wrong *upstream.IssuerError
		if err := d.provider.Run(providing); errors.As(err, &wrong) {
			return found(err, "the provider must know its public name; Keycloak: --hostname="+d.gateway.PublicOrigin+" --proxy-headers=xforwarded")
		}
		return nil
	})
	group.Go(func() error {
		d.db.PruneUntil(failed, d.log)
		return nil
	})
	for _, s := range d.servers {
		group.Go(func() error {
			err := s.serve()
			if !errors.Is(err, http.ErrServerClosed) {
				return found(fmt.Errorf("%s: %w", s.socket.Addr(), err), "")
			}
			return nil
		})
	}
	group.Go(func() error {
		<-failed.Done()
		d.log.Info("stopping")
		d.gateway.Drain()
		d.shutdown()
		stopProvider()
		return nil
	})
	return group.Wait()
}

func (s *server) serve() error {
	if s.tls {
		return s.ServeTLS(s.socket, "", "")
	}
	return s.Serve(s.socket)
}

// shutdown closes the sockets and waits for the requests in flight.
func (d *door) shutdown() {
	ctx, cancel := context.WithTimeout(context.Background(), drainTime)
	defer cancel()
	var group errgroup.Group
	for _, s := range d.servers {
		group.Go(func() error {
			if err := s.Shutdown(ctx); err != nil {
				d.log.Warn("requests were cut off", slog.String("address", s.socket.Addr().String()), slog.String("error", err.Error()))
				return s.Close()
			}
			return nil
		})
	}
	_ = group.Wait() // each was logged
}

// listen opens all sockets, or none.
func listen(ctx context.Context, listeners []config.Listener) (sockets []net.Listener, err error) {
	for _, l := range listeners {
		s, err := (&net.ListenConfig{}).Listen(ctx, "tcp", l.Address)
		if err != nil {
			for _, open := range slices.Backward(sockets) {
				open.Close()
			}
			return nil, explainListen(l.Address, err)
		}
		sockets = append(sockets, s)
	}
	return sockets, nil
}

func explainListen(address string, err error) error {
	hint := "give `listen` another address"
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		hint = "another program listens there, perhaps another onedoor: stop it, or give `listen` another port"
	case errors.Is(err, syscall.EACCES):
		hint = "ports below 1024 need a privilege: give `listen` a higher port, or the program CAP_NET_BIND_SERVICE"
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		hint = "this machine has no such address: write :PORT for all that it has"
	}
	var reason syscall.Errno
	if errors.As(err, &reason) {
		err = reason
	}
	return found(fmt.Errorf("cannot listen on %s: %w", address, err), hint)
}

// newLog makes the log. Lines are written together, ten times a second: one
// system call for each request is a third of the relay's cost.
func newLog(w io.Writer, o config.Log) (log *slog.Logger, flush func()) {
	var level slog.Level
	_ = level.UnmarshalText([]byte(o.Level)) // config knows the four
	b := &batch{to: w}
	var h slog.Handler = slog.NewJSONHandler(b, &slog.HandlerOptions{Level: level})
	if o.Format == "text" {
		h = slog.NewTextHandler(b, &slog.HandlerOptions{Level: level})
	}
	return slog.New(h), b.flush
}
