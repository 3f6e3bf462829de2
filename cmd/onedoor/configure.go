package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"onedoor/config"
	"onedoor/gateway"
	"onedoor/provider"
	"onedoor/store"
	"onedoor/tenant"
	"onedoor/upstream"
)

// states is the database as the gateway wants it.
type states struct{ *store.DB }

// KeptState implements gateway.States.
func (s states) KeptState(ctx context.Context, handle string) (string, error) {
	value, err := s.DB.KeptState(ctx, handle)
	if errors.Is(err, store.ErrNotFound) {
		return "", gateway.ErrNotKept
	}
	return value, err
}

// configured is what one configuration makes. It is never changed: another
// configuration makes another, and the requests in flight finish on this one.
type configured struct {
	cfg       *config.Config
	directory *tenant.Directory
	provided  *provided
	gateway   *gateway.Gateway
	handlers  []http.Handler // by listener
	verified  http.Handler   // the public origin, for the verification of tenants
	uses      *uses          // one for being the current one, one for each request
}

// configure makes what cfg says. It opens no socket and asks nobody. What cfg
// leaves as it was in before is used again; before is nil at the start.
func (d *door) configure(ctx context.Context, cfg *config.Config, before *configured) (*configured, error) {
	c := &configured{cfg: cfg}
	var err error
	if c.directory, err = cfg.Directory(d.registry(cfg)); err != nil {
		return nil, found(err, "")
	}
	if c.provided, err = d.provide(ctx, cfg, before); err != nil {
		return nil, found(err, "")
	}
	c.uses = newUses(c.provided.uses.drop)
	c.gateway = gateway.New(gateway.Options{
		PublicOrigin: cfg.PublicURL, Directory: c.directory, Provider: c.provided.Provider, Ring: d.keys.Ring, States: states{d.db},
		Limits: limitsOf(cfg), LoginTTL: cfg.Seal.LoginTTL, CodeTTL: cfg.Seal.CodeTTL, Exposed: cfg.Provider.Expose,
		Ready: d.tenants.Loaded, Log: d.log, Now: d.now, Observe: d.observe, InFlight: &d.inFlight,
	})
	c.verified = d.verified(c)
	for _, l := range cfg.Listeners {
		c.handlers = append(c.handlers, c.gateway.Handler(cfg.Horizon(l)))
	}
	return c, nil
}

// active says whether a label is, at this moment, an active tenant's that may
// log in at the issuer.
func (d *door) active(ctx context.Context, label, issuer string) (bool, error) {
	return d.current.Load().directory.Active(ctx, label, issuer)
}

// provided is the provider that configurations name, and what runs of it.
type provided struct {
	*upstream.Provider
	spec   providerSpec
	inside *provider.Provider // nil before another's
	uses   *uses              // one for each configuration
	ended  chan struct{}      // closed after the last use
}

// providerSpec is all that a provider is made of: two configurations that agree
// in it have one.
type providerSpec struct {
	origin, url, issuers, kind, authorities string
	embedded                                bool
	timeout                                 time.Duration
}

func providerSpecOf(cfg *config.Config) (s providerSpec, err error) {
	if cfg.Provider.Embedded != nil { // it stays as it was begun
		return providerSpec{origin: cfg.PublicURL, embedded: true}, nil
	}
	s = providerSpec{
		origin: cfg.PublicURL, url: cfg.Provider.Upstream, issuers: strings.Join(cfg.Provider.Issuers, " "),
		kind: cfg.Provider.Kind, timeout: cfg.Limits.ProviderTimeout,
	}
	if cfg.Provider.CAFile != "" {
		var pem []byte
		pem, err = os.ReadFile(cfg.Provider.CAFile)
		s.authorities = string(pem)
	}
	return s, err
}

// provide makes the provider of a configuration, or uses that of the one before
// where nothing about it has changed.
func (d *door) provide(ctx context.Context, cfg *config.Config, before *configured) (*provided, error) {
	spec, err := providerSpecOf(cfg)
	if err != nil {
		return nil, err
	}
	if before != nil && before.provided.spec == spec && before.provided.uses.take() {
		return before.provided, nil
	}
	options := upstream.Options{
		PublicOrigin: cfg.PublicURL, Issuers: cfg.Provider.Issuers, Kind: upstream.Kind(cfg.Provider.Kind),
		CAFile: cfg.Provider.CAFile, Log: d.log, Now: d.now, Tenant: d.active,
		AnswerTimeout: cfg.Limits.ProviderTimeout, Waiting: cfg.Limits.ProviderRequests,
	}
	if before != nil {
		options.Before = before.provided.Provider
	}
	p := &provided{spec: spec, ended: make(chan struct{})}
	p.uses = newUses(func() { close(p.ended) })
	if cfg.Provider.Embedded != nil {
		if p.inside, err = embedded(ctx, cfg, d.db, d.log); err != nil {
			return nil, err
		}
		if options.Handler = p.inside.Handler(); d.around != nil {
			options.Handler = d.around(options.Handler)
		}
	} else if options.URL, err = url.Parse(cfg.Provider.Upstream); err != nil {
		return nil, err
	}
	if p.Provider, err = upstream.New(options); err != nil {
		return nil, errors.Join(err, p.close())
	}
	return p, nil
}

// run keeps the provider's metadata current, and runs the one inside, until ctx
// ends or its last use. The error is that of a provider that calls itself by
// another name, which waiting does not mend.
func (p *provided) run(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	go func() {
		defer stop()
		select {
		case <-p.ended:
		case <-ctx.Done():
		}
	}()
	var wrong *upstream.IssuerError
	if err := p.Run(ctx); errors.As(err, &wrong) {
		return found(err, "the provider must know its public name; Keycloak: --hostname="+p.spec.origin+" --proxy-headers=xforwarded")
	}
	return nil
}

// close ends what provide began.
func (p *provided) close() error {
	if p.inside == nil {
		return nil
	}
	return p.inside.Close()
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

// uses counts how many use a thing, and ends it after the last. It begins with
// one.
type uses struct {
	n   atomic.Int64
	end func()
}

func newUses(end func()) *uses {
	u := &uses{end: end}
	u.n.Store(1)
	return u
}

// take adds a use, unless the thing has ended.
func (u *uses) take() bool {
	for {
		n := u.n.Load()
		if n == 0 {
			return false
		}
		if u.n.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

func (u *uses) drop() {
	if u.n.Add(-1) == 0 {
		u.end()
	}
}
