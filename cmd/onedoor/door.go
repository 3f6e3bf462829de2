package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"onedoor/config"
	"onedoor/domains"
	"onedoor/gateway"
	"onedoor/registry"
	"onedoor/store"
)

// drainTime is how long requests in flight may take when the door is asked to
// stop. Orchestrators kill after 30 s or so.
const drainTime = 30 * time.Second

// elbowRoom is how much the collector believes to be in use besides what is.
// It runs whenever the heap has doubled; the door's own is some 2 MB, and under
// load that was forty times a second, a tenth of all CPU. The room is never
// touched, so no page of it is ever in memory; what is not collected in the
// meantime is, up to as much again.
const elbowRoom = 8 << 20

// door is what stays while the process lives: sockets, database and keys. What
// one configuration makes of them is in configured, and is swapped in one step.
//
// Whatever else stays (a registry, a meter, a listener for operators) is made in
// newDoor, in a file of its own, and what it does in the background is given to
// background.
type door struct {
	doorOptions
	log  *slog.Logger
	db   *store.DB
	keys *keyring
	lookout
	checker *domains.Checker
	rules   refusedRules

	tenants *registry.Registry

	current     atomic.Pointer[configured]
	connections *gateway.Connections
	servers     []*server
	tasks       []func(context.Context) error

	group     *errgroup.Group // of all that runs
	answering context.Context // ends when the last request in flight has its answer

	level    *slog.LevelVar // of the log; nil where it never changes
	swapping sync.Mutex
	draining bool
	last     atomic.Pointer[reloaded]
	told     []func(error)
}

// doorOptions are what serve leaves as it is.
type doorOptions struct {
	around func(http.Handler) http.Handler // put around the provider inside; nil for nothing
	now    func() time.Time                // time.Now
}

type server struct {
	*http.Server
	socket      net.Listener
	listener    int          // its number in the configuration; -1 for that of operators
	certificate *certificate // nil without TLS
}

// newDoor puts the parts together. It opens no socket and asks nobody.
func newDoor(ctx context.Context, cfg *config.Config, db *store.DB, log *slog.Logger, o doorOptions) (*door, error) {
	if o.now == nil {
		o.now = time.Now
	}
	d := &door{doorOptions: o, log: log, db: db, connections: gateway.NewConnections(connectionsWithin(cfg.Limits, openFiles(), log), limitsOf(cfg))}
	var err error
	times := func() keyTimes { return keyTimesOf(d.current.Load().cfg) }
	if d.keys, err = openKeyring(ctx, db, log, times, o.now); err != nil {
		return nil, explainKeys(err)
	}
	d.background(d.keys.run)
	if err := warnOfPlainKeys(ctx, db, log); err != nil {
		return nil, found(err, "")
	}
	d.openRegistry(cfg)
	d.background(d.watch)
	if err := d.look(cfg); err != nil {
		return nil, found(err, "")
	}
	d.onReload(d.meter.Reloaded)
	d.checkDomains(cfg)
	d.background(func(ctx context.Context) error {
		db.PruneUntil(ctx, log)
		return nil
	})
	d.keepAudit(cfg.Audit.Keep)
	c, err := d.configure(ctx, cfg, nil)
	if err != nil {
		return nil, err
	}
	d.current.Store(c)
	return d, nil
}

// background is for what runs beside the requests. The context that it gets
// ends when the last request in flight has its answer; an error ends the door.
func (d *door) background(task func(context.Context) error) { d.tasks = append(d.tasks, task) }

// close ends what newDoor began and run did not end.
func (d *door) close() error { return d.current.Load().provided.close() }

// hold is the configuration of this moment. It is used until drop is called,
// even where another has taken its place in the meantime.
func (d *door) hold() *configured {
	for {
		if c := d.current.Load(); c.uses.take() {
			return c
		}
	}
}

// handler is the door as the listener of that number shows it. A request is
// finished by the configuration that it began with.
func (d *door) handler(listener int) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := d.hold()
		defer c.uses.drop()
		c.handlers[listener].ServeHTTP(w, r)
	})
}

// add makes a listener of the configuration part of the door.
func (d *door) add(listener int, socket net.Listener) error {
	l := d.current.Load().cfg.Listeners[listener]
	s := &server{Server: gateway.NewServer(d.handler(listener), d.log, limitsOf(d.current.Load().cfg)), listener: listener}
	s.socket = d.connections.Bound(s.Server, socket)
	if err := s.secure(l.TLS, d.log); err != nil {
		return err
	}
	if s.certificate != nil {
		d.measureCertificate(l.Address, s.TLSConfig)
	}
	d.servers = append(d.servers, s)
	d.log.Info("listening", slog.String("address", socket.Addr().String()), slog.Any("serves", l.Serves), slog.Bool("tls", s.certificate != nil))
	return nil
}

// secure gives a server the certificate that its listener names, if it does.
func (s *server) secure(t *config.TLS, log *slog.Logger) (err error) {
	if t == nil {
		return nil
	}
	if t.ACME != nil {
		return found(errors.New("listeners: tls.acme is not served yet"), "give cert_file and key_file")
	}
	if s.certificate, err = newCertificate(t.CertFile, t.KeyFile, log); err != nil {
		return found(err, "")
	}
	s.TLSConfig = s.certificate.config()
	return nil
}

// run serves until ctx ends, and then finishes what it has.
func (d *door) run(ctx context.Context) error {
	room := make([]byte, elbowRoom)
	defer runtime.KeepAlive(room)
	// Provider and tasks are needed until the last request in flight has its
	// answer.
	answering, answered := context.WithCancel(context.WithoutCancel(ctx))
	defer answered()
	group, failed := errgroup.WithContext(ctx)
	d.group, d.answering = group, answering
	first := d.current.Load().provided
	group.Go(func() error { return first.run(answering) })
	for _, task := range d.tasks {
		group.Go(func() error { return task(answering) })
	}
	d.awaitTenants(failed)
	group.Go(func() error {
		d.tenants.Await(failed)
		debug.FreeOSMemory() // what the start left: with so much room the collector would not come for it
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
		d.drain()
		d.shutdown()
		answered()
		return nil
	})
	return group.Wait()
}

func (s *server) serve() error {
	if s.certificate != nil {
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
