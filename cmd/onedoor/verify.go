package main

import (
	"context"
	"crypto/rand"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"

	"onedoor/config"
	"onedoor/doctor"
	"onedoor/gateway"
	"onedoor/horizon"
	"onedoor/store"
	"onedoor/tenant"
	"onedoor/verify"
)

// verifyTenants tries every tenant's login in the background.
//
// The door's own part is asked in this process: where it runs, its public name
// may lead nowhere, and what nobody has asked for shall not stand in the metrics
// and among people's logins. The sites are visited over the network.
func (d *door) verifyTenants(cfg *config.Config) error {
	if cfg.Verify.Every == 0 {
		return nil
	}
	authorities, err := verifyCA(cfg, "")
	if err != nil {
		return err
	}
	scout := func(inside http.RoundTripper) *doctor.Scout {
		return doctor.NewScout(doctor.ScoutOptions{
			Allowed: []string{cfg.PublicURL}, Inside: map[string]http.RoundTripper{cfg.PublicURL: inside}, CA: authorities,
			AsBrowser: true, Localhost: true, Connect: config.Connections(cfg.Verify.Connect), Agent: verify.Agent, Now: d.now,
		})
	}
	runner := verify.NewRunner(verify.RunOptions{
		Verifier: verify.New(verify.Options{
			Directory: func() *tenant.Directory { return d.current.Load().directory },
			Scout:     scout(inProcess{handler: http.HandlerFunc(d.unobserved)}),
			Provider:  scout(besideDoor{d}),
			Local:     tenant.Local(hostOf(cfg.PublicURL)), Rule: d.rules.take, Timeout: cfg.Verify.Timeout, Now: d.now,
		}),
		Store: d.db, Labels: labels{d.db, func() []string { return d.current.Load().cfg.Tenants.List }}, Log: d.log, Replica: rand.Text(),
		Every: cfg.Verify.Every, Rate: cfg.Verify.Rate, Concurrency: cfg.Verify.Concurrency,
	})
	d.meter.Register(runner.Collectors()...)
	d.background(func(ctx context.Context) error {
		d.tenants.Await(ctx)
		runner.Run(ctx)
		return nil
	})
	return nil
}

// verifyCA are the authorities besides the system's.
func verifyCA(cfg *config.Config, more string) (all []byte, err error) {
	for _, name := range []string{cfg.Verify.CAFile, more} {
		if name == "" {
			continue
		}
		pem, err := os.ReadFile(name)
		if err != nil {
			return nil, couldNotLook(err, "")
		}
		all = append(append(all, pem...), '\n')
	}
	return all, nil
}

// verified is the door as a browser meets it at the public origin, but that
// nobody is told of the requests.
func (d *door) verified(c *configured) http.Handler {
	if c.cfg.Verify.Every == 0 {
		return nil
	}
	g := gateway.New(gateway.Options{
		PublicOrigin: c.cfg.PublicURL, Directory: c.directory, Provider: c.provided.Provider, Ring: d.keys.Ring, States: d.db,
		LoginTTL: c.cfg.Seal.LoginTTL, CodeTTL: c.cfg.Seal.CodeTTL, Exposed: c.cfg.Provider.Expose,
		Ready: d.tenants.Loaded, Now: d.now, Observe: d.rules.note,
	})
	inner := g.Handler(&horizon.Listener{TLS: strings.HasPrefix(c.cfg.PublicURL, "https:"), Public: []string{c.cfg.PublicURL}})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.RemoteAddr = "127.0.0.1:0"
		inner.ServeHTTP(w, r)
	})
}

// unobserved answers as verified of the configuration of this moment.
func (d *door) unobserved(w http.ResponseWriter, r *http.Request) {
	c := d.hold()
	defer c.uses.drop()
	if c.verified == nil {
		http.Error(w, "not verified", http.StatusServiceUnavailable)
		return
	}
	c.verified.ServeHTTP(w, r)
}

// besideDoor sends requests to the provider of this moment, past the door.
type besideDoor struct{ *door }

// RoundTrip implements http.RoundTripper.
func (b besideDoor) RoundTrip(r *http.Request) (*http.Response, error) {
	c := b.hold()
	defer c.uses.drop()
	return c.provided.RoundTrip(r)
}

// refusedRules are the rules by which the latest requests were refused, by
// reference.
type refusedRules struct {
	mu    sync.Mutex
	rules map[string]string
}

const maxRefusedRules = 1000

func (r *refusedRules) note(e *gateway.Event) {
	if e.Rule == "" {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.rules == nil || len(r.rules) >= maxRefusedRules {
		r.rules = map[string]string{}
	}
	r.rules[strings.Clone(e.Request)] = e.Rule
}

func (r *refusedRules) take(reference string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	rule := r.rules[reference]
	delete(r.rules, reference)
	return rule
}

// labels are those of the database and of the file, in their order.
type labels struct {
	*store.DB
	list func() []string
}

// After implements verify.Labels.
func (l labels) After(ctx context.Context, label string, n int) ([]string, error) {
	rows, err := l.Tenants(ctx, store.TenantQuery{After: label, Limit: n})
	if err != nil {
		return nil, err
	}
	var all []string
	for _, t := range rows {
		all = append(all, t.Label)
	}
	for _, listed := range l.list() {
		if listed > label {
			all = append(all, listed)
		}
	}
	slices.Sort(all)
	all = slices.Compact(all)
	return all[:min(len(all), n)], nil
}

// Count implements verify.Labels. A label in both counts twice: the time for it
// is not missed.
func (l labels) Count(ctx context.Context) (int64, error) {
	n, err := l.TenantCount(ctx)
	return n + int64(len(l.list())), err
}
