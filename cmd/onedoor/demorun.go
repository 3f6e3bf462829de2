package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"onedoor/config"
	"onedoor/demo"
	"onedoor/gateway"
	"onedoor/provider"
	"onedoor/store"
)

// demoApps are one app with two tenants, whose sites send their own redirect
// URIs, and one whose tenant's site uses the relay.
var demoApps = []demo.App{
	{Name: "Atlas", ClientID: "atlas-web", Tenants: []demo.Tenant{{Label: "acme", Name: "Acme"}, {Label: "globex", Name: "Globex"}}},
	{Name: "Borealis", ClientID: "borealis-web", Tenants: []demo.Tenant{{Label: "initech", Name: "Initech"}}, Relay: true},
}

const (
	demoUser     = "ada"
	demoInternal = "onedoor:9000" // no browser finds it; the sites' network does
	readyWithin  = 20 * time.Second
)

type demoOptions struct {
	port int
	dir  string
	keep bool
	log  io.Writer
	step func(string) // told what is done next
}

// runningDemo is the demo while it runs.
type runningDemo struct {
	shown   shownDemo
	network *demo.Network
	ended   chan error // the door's end, wanted or not

	cleanUp []func() error // the last first
}

// startDemo puts everything together. What it returns is to be stopped, unless
// there is an error. ctx is that of the start alone.
func startDemo(ctx context.Context, o demoOptions) (d *runningDemo, err error) {
	d = &runningDemo{ended: make(chan error, 1)}
	defer func() {
		if err != nil {
			_ = d.stop() // the first error is the cause
			d = nil
		}
	}()
	log := slog.New(slog.NewTextHandler(o.log, &slog.HandlerOptions{Level: slog.LevelWarn}))

	o.step("opening the ports")
	sockets, err := d.listen(ctx, o.port)
	if err != nil {
		return d, err
	}
	public, internal := sockets[1:], sockets[0]

	o.step("reading the configuration")
	cfg, err := demoConfig(o, public[0].Addr().(*net.TCPAddr).Port)
	if err != nil {
		return d, err
	}
	o.step("opening the database")
	db, err := store.Open(ctx, string(cfg.Database), store.Options{})
	if err != nil {
		return d, err
	}
	d.later(db.Close)
	o.step("making the clients and a user")
	apps, err := demoClients(ctx, db, cfg)
	if err != nil {
		return d, err
	}
	password, err := demoPerson(ctx, db)
	if err != nil {
		return d, err
	}

	o.step("starting the provider and the door")
	recorder := demo.NewRecorder()
	house, err := newDoor(ctx, cfg, db, log, doorOptions{around: recorder.Provider})
	if err != nil {
		return d, err
	}
	d.later(house.close)
	d.network = demo.NewNetwork(demoInternal, internal.Addr().String())
	sites, err := demo.New(demo.Options{
		Public: cfg.PublicURL, Internal: cfg.InternalURLs[0], Network: d.network, Recorder: recorder,
		Door: house.handler(0), Apps: apps, Username: demoUser, Log: log, Now: time.Now,
	})
	if err != nil {
		return d, err
	}
	d.later(func() error { sites.Close(); return nil })
	for _, l := range public {
		house.servers = append(house.servers, &server{Server: gateway.NewServer(sites, log, gateway.Limits{}), socket: l})
	}
	if err := house.add(1, internal); err != nil {
		return d, err
	}
	d.run(ctx, house)

	o.step("waiting for the door to be ready")
	if err := d.waitReady(ctx, house); err != nil {
		return d, err
	}
	d.shown = showDemo(cfg, sites, apps, password, o)
	return d, nil
}

// listen opens the socket of the internal origin and those of the public one.
func (d *runningDemo) listen(ctx context.Context, port int) ([]net.Listener, error) {
	public, err := listenLoopback(ctx, port)
	if err != nil {
		return nil, err
	}
	d.later(func() error { closeAll(public); return nil })
	internal, err := (&net.ListenConfig{}).Listen(ctx, "tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	d.later(func() error { closeAll([]net.Listener{internal}); return nil })
	return append([]net.Listener{internal}, public...), nil
}

// run runs the door until the demo is stopped.
func (d *runningDemo) run(ctx context.Context, house *door) {
	running, cancel := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan struct{})
	go func() {
		defer close(done)
		d.ended <- house.run(running)
	}()
	d.later(func() error {
		cancel()
		<-done
		return nil
	})
}

// waitReady waits until the door has the provider's metadata.
func (d *runningDemo) waitReady(ctx context.Context, house *door) error {
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		err := house.current.Load().provided.Ready()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the door is not ready after %s: %w", readyWithin, err)
		case err := <-d.ended:
			return err
		case <-tick.C:
		}
	}
}

func (d *runningDemo) later(f func() error) { d.cleanUp = append(d.cleanUp, f) }

// stop ends everything, in the reverse order of its beginning.
func (d *runningDemo) stop() error {
	var errs []error
	for _, f := range slices.Backward(d.cleanUp) {
		errs = append(errs, f())
	}
	d.cleanUp = nil
	return errors.Join(errs...)
}

// demoConfig is the configuration, as a person would write it. With keep it is
// written to the directory, too, unless there is one: that is its owner's.
func demoConfig(o demoOptions, port int) (*config.Config, error) {
	text := fmt.Sprintf(demoYAML, port)
	name := filepath.Join(o.dir, "onedoor.yaml")
	if o.keep {
		f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		switch {
		case errors.Is(err, os.ErrExist):
		case err != nil:
			return nil, err
		default:
			_, err = f.WriteString(text)
			if err := errors.Join(err, f.Close()); err != nil {
				return nil, err
			}
		}
	}
	return config.Parse(name, []byte(text), nil)
}

// demoClients makes the provider know the apps: the first by the door's one
// redirect URI, the second by the relay's.
func demoClients(ctx context.Context, db *store.DB, cfg *config.Config) ([]demo.App, error) {
	apps := make([]demo.App, len(demoApps))
	for i, app := range demoApps {
		registered := cfg.Apps[strings.ToLower(app.Name)]
		c := provider.Client{
			ID: app.ClientID, Name: app.Name, RedirectURIs: []string{registered.RegisteredRedirectURI},
			PostLogoutURIs: []string{cfg.RegisteredLogoutURI(registered)},
			IDTokenAlg:     "ES256", // its key is there at once
		}
		if app.Relay {
			c.RedirectURIs, c.PostLogoutURIs = nil, nil
			for _, t := range app.Tenants {
				relay := demo.RelayBase(cfg.PublicURL, t.Label)
				c.RedirectURIs = append(c.RedirectURIs, relay+"/callback")
				c.PostLogoutURIs = append(c.PostLogoutURIs, relay+"/returnto"+demo.LogoutPath)
			}
		}
		_, secret, err := provider.AddClient(ctx, db, c, "", false)
		if errors.Is(err, store.ErrExists) { // --keep, once more
			_, secret, err = provider.SetClient(ctx, db, c.ID, provider.ClientChange{
				RedirectURIs: c.RedirectURIs, PostLogoutURIs: c.PostLogoutURIs, NewSecret: true,
			}, false)
		}
		if err != nil {
			return nil, err
		}
		app.Secret = secret
		apps[i] = app
	}
	return apps, nil
}

// demoPerson makes somebody who can log in; the password is shown once.
func demoPerson(ctx context.Context, db *store.DB) (password string, err error) {
	text := strings.ToLower(rand.Text())
	password = strings.Join([]string{text[:5], text[5:10], text[10:15]}, "-") // 75 random bits
	_, _, err = provider.AddUser(ctx, db, provider.User{
		Username: demoUser, Name: "Ada Lovelace", Email: "ada@example.com", EmailVerified: true,
	}, password)
	if errors.Is(err, store.ErrExists) {
		_, err = provider.SetPassword(ctx, db, demoUser, password)
	}
	return password, err
}

func showDemo(cfg *config.Config, sites *demo.Demo, apps []demo.App, password string, o demoOptions) shownDemo {
	shown := shownDemo{
		Overview: sites.Overview(), Public: cfg.PublicURL, Internal: cfg.InternalURLs[0],
		User: shownLogin{demoUser, password},
	}
	for _, app := range apps {
		mode := "transparent"
		if app.Relay {
			mode = "relay"
		}
		for _, t := range app.Tenants {
			shown.Sites = append(shown.Sites, shownSite{t.Label, sites.Site(t.Label), app.Name, app.ClientID, mode})
		}
	}
	if o.keep {
		shown.Config = filepath.Join(o.dir, "onedoor.yaml")
	}
	return shown
}

// demoYAML is also what --keep leaves behind.
const demoYAML = `# The configuration of "onedoor demo", to go on with: onedoor serve -c onedoor.yaml
# docs/config.md tells what each key means. The clients' secrets were the demo's
# own; "onedoor client set --new-secret atlas-web" shows a new one, and "onedoor
# user passwd ada" gives ada a new password.

public_url: http://auth.localhost:%[1]d         # the origin that browsers use
internal_urls: [http://onedoor:9000]          # the origin that servers use
listeners:
  - {address: "127.0.0.1:%[1]d", serves: [public]}
  - {address: "127.0.0.1:9000", serves: [internal]}
provider: {embedded: {}}                      # or a provider of yours: {upstream: …, issuers: […]}
apps:
  atlas:                                      # its sites send their own redirect URIs
    client_id: atlas-web
    site: http://{tenant}.localhost:%[1]d
    callbacks: [/callback]
    logouts: [/]
  borealis:                                   # its sites use the relay
    client_id: borealis-web
    mode: relay
    site: http://{tenant}.localhost:%[1]d
    callbacks: [/callback]
tenants: {list: [acme, globex, initech]}
database: onedoor.db
log: {format: text}
`
