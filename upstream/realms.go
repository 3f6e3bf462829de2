package upstream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"
)

// tenantPlaceholder stands for a tenant's label in an issuer path: a provider
// of its own for each tenant, as Keycloak's realms are.
const tenantPlaceholder = "{tenant}"

// maxRealms bounds how many tenants' metadata is held, some 20 KB each. Of a
// full house one is forgotten at random: it is fetched again when it is asked.
const maxRealms = 2000

// ErrNoTenant is a path below a tenant's issuer of which there is no active
// tenant.
var ErrNoTenant = errors.New("no active tenant has an issuer there")

// ErrNoIssuer is a path at which no issuer is configured.
var ErrNoIssuer = errors.New("no issuer is configured there")

// realms are the issuers of tenants, fetched when they are asked for the first
// time: nobody waits at start for a million of them. Only labels of active
// tenants are fetched, so a stranger cannot make us ask for what he likes.
type realms struct {
	mu    sync.Mutex
	known map[string]*realm // by issuer path
}

// realm is one of them.
type realm struct {
	snapshot *snapshot // of this issuer alone; nil before its first document
	err      error     // why there is none
	until    time.Time // it is asked for again after this
	asking   chan struct{}
}

// template is a configured issuer path with {tenant} as one segment.
type template struct{ text, before, after string }

func templates(issuers []string) (all []template) {
	for _, path := range issuers {
		if before, after, ok := strings.Cut(path, tenantPlaceholder); ok {
			all = append(all, template{path, before, after})
		}
	}
	return all
}

// realmOf finds the template that a path lies below, and the label in it. A
// configured issuer without {tenant} goes before, and so does what the provider
// keeps to itself: a customer whose label is "master" gets nobody into
// Keycloak's own realm.
func (p *Provider) realmOf(path string) (t template, label string, ok bool) {
	if len(p.templates) == 0 {
		return template{}, "", false
	}
	for _, closed := range p.Private() {
		if under(path, closed) || under(strings.TrimPrefix(path, oauth), closed) {
			return template{}, "", false
		}
	}
	for _, t := range p.templates {
		rest, ok := strings.CutPrefix(path, t.before)
		if !ok {
			continue
		}
		label, _, _ := strings.Cut(rest, "/")
		if label == "" || !under(path, strings.TrimSuffix(t.before+label+t.after, "/")) {
			continue
		}
		for _, fixed := range p.o.Issuers {
			if !strings.Contains(fixed, tenantPlaceholder) && fixed != "/" && under(path, strings.TrimSuffix(fixed, "/")) {
				return template{}, "", false
			}
		}
		return t, label, true
	}
	return template{}, "", false
}

// realm returns what is known of a tenant's issuer, and asks for it where
// nothing is, or where what is there has grown old. Many callers at once ask
// once; those that have something do not wait.
func (p *Provider) realm(t template, label string) (*snapshot, error) {
	if p.o.Tenant == nil {
		return nil, fmt.Errorf("%w: %q", ErrNoTenant, label)
	}
	switch active, err := p.o.Tenant(context.Background(), label, t.text); {
	case err != nil:
		return nil, err
	case !active:
		return nil, fmt.Errorf("%w: %q", ErrNoTenant, label)
	}
	path := t.before + label + t.after
	p.realms.mu.Lock()
	r := p.realms.known[path]
	if r == nil {
		if len(p.realms.known) >= maxRealms {
			for other, old := range p.realms.known {
				if old.asking == nil {
					delete(p.realms.known, other)
					break
				}
			}
		}
		r = &realm{}
		p.realms.known[path] = r
	}
	if r.asking == nil && p.o.Now().After(r.until) {
		r.asking = make(chan struct{})
		go p.ask(r, t, label)
	}
	s, err, asking := r.snapshot, r.err, r.asking
	p.realms.mu.Unlock()
	if s != nil || asking == nil {
		return s, err
	}
	<-asking // bounded by fetchTimeout
	p.realms.mu.Lock()
	defer p.realms.mu.Unlock()
	return r.snapshot, r.err
}

func (p *Provider) ask(r *realm, t template, label string) {
	ctx, cancel := context.WithTimeout(context.Background(), fetchTimeout)
	defer cancel()
	path := t.before + label + t.after
	i, err := p.issuer(ctx, path, nil)
	if err == nil {
		err = p.ownEndpoints(i)
	}
	p.realms.mu.Lock()
	defer p.realms.mu.Unlock()
	wrong := (*IssuerError)(nil)
	switch {
	case err == nil:
		i.Template, i.Tenant = t.text, label
		s := &snapshot{issuers: map[string]*Issuer{path: i}, at: map[string]place{}, kind: p.o.Kind}
		p.place(s, i)
		s.closed = s.registrations()
		r.snapshot, r.err, r.until = s, nil, p.o.Now().Add(p.o.Refresh)
	case r.snapshot != nil && !errors.As(err, &wrong):
		r.until = p.o.Now().Add(p.o.Retry)
	default:
		r.snapshot, r.err, r.until = nil, err, p.o.Now().Add(p.o.Retry)
	}
	if err != nil {
		p.o.Log.LogAttrs(ctx, slog.LevelWarn, "tenant's provider not ready", slog.String("issuer", path), slog.String("error", err.Error()))
	}
	close(r.asking)
	r.asking = nil
}

// ownEndpoints refuses a tenant's issuer whose endpoints lie elsewhere than
// below it: nobody could tell from their paths that they are a tenant's, and
// their requests would pass unchecked. authentik's are such.
func (p *Provider) ownEndpoints(i *Issuer) error {
	for _, name := range []Endpoint{Authorization, Token, PAR, EndSession, Registration} {
		path, ok := pathUnder(p.o.PublicOrigin, i.Metadata.String(string(name)))
		if ok && !under(path, strings.TrimSuffix(i.Path, "/")) {
			return fmt.Errorf("metadata of issuer %q: its %s is %q, which is not below it: an issuer for each tenant needs endpoints for each", i.ID, name, path)
		}
	}
	return nil
}

// DocumentOf says of which issuer a metadata document at this path would be:
// the issuer's path, for [Provider.Issuer].
func (p *Provider) DocumentOf(path string) (issuer string, ok bool) {
	for _, i := range p.o.Issuers {
		if !strings.Contains(i, tenantPlaceholder) && isDocument(path, i) {
			return i, true
		}
	}
	for _, base := range []string{path, strings.TrimPrefix(path, oauth)} {
		if t, label, ok := p.realmOf(base); ok && isDocument(path, t.before+label+t.after) {
			return t.before + label + t.after, true
		}
	}
	return "", false
}

func isDocument(path, issuer string) bool {
	if path == ConfigurationPath(issuer) {
		return true
	}
	for _, at := range OAuthPaths(issuer) {
		if path == at {
			return true
		}
	}
	return false
}
