// Package upstream is the provider that we stand before: its metadata, cached
// and refreshed in the background, and requests to it. It knows nothing of
// tenants or callers.
//
// Reading starts at [Provider.Issuer] and [Provider.At].
package upstream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"onedoor/oidc"
)

// Options of a Provider.
type Options struct {
	URL          *url.URL     // where the provider listens; nil with Handler
	Handler      http.Handler // the provider inside, in place of URL
	PublicOrigin string       // every request carries it, so that a login has one view of the world
	Issuers      []string     // issuer paths under the public origin; {tenant} for one of each tenant

	// Tenant says whether a label is an active tenant's that may log in at the
	// issuer, a path of Issuers. It is asked for those with {tenant}; without it
	// there are none. An error means that nobody could look.
	Tenant func(ctx context.Context, label, issuer string) (bool, error)

	Kind   Kind   // which provider it is; "" to recognise it from its metadata
	CAFile string // private CA of the upstream; "" for the system's
	Log    *slog.Logger
	Now    func() time.Time

	// Refresh is how long metadata is used before it is fetched again. Default
	// 5m.
	Refresh time.Duration
	// Retry is the first pause after a fetch that failed; it doubles up
	// to 64 times. Default 200ms.
	Retry time.Duration
	// AnswerTimeout is how long the provider may take to begin an answer.
	// Default 60s.
	AnswerTimeout time.Duration

	// Waiting is how many requests may wait for an answer at one time. Default
	// 512. SetWaiting changes it.
	Waiting int

	// Before is the Provider that this one takes the place of. Of a provider at
	// the same URL, the documents that it has are used until they are fetched
	// again.
	Before *Provider
}

// Endpoint names an endpoint as the metadata does.
type Endpoint string

// The endpoints that the door takes part in. All others are proxied.
const (
	Authorization Endpoint = "authorization_endpoint"
	Token         Endpoint = "token_endpoint"
	PAR           Endpoint = "pushed_authorization_request_endpoint"
	EndSession    Endpoint = "end_session_endpoint"
	Registration  Endpoint = "registration_endpoint"
	JWKS          Endpoint = "jwks_uri"
	Userinfo      Endpoint = "userinfo_endpoint"
	Revocation    Endpoint = "revocation_endpoint"
)

var endpoints = []Endpoint{Authorization, Token, PAR, EndSession, Registration, JWKS, Userinfo, Revocation}

// Issuer is one issuer of the provider, as its document describes it.
type Issuer struct {
	Path     string // "/realms/atlas"
	Template string // as configured, where that is with a {tenant}
	Tenant   string // the label of the tenant whose issuer it is; "" for all
	ID       string // the issuer identifier, byte for byte as the provider wrote it
	Metadata *oidc.Metadata
	S256     bool // the document announces PKCE with S256 (RFC 7636 §4.2)
	// OAuth are the documents of RFC 8414, by the path at which the provider
	// has them. They are absent where it answers 404.
	OAuth map[string]*oidc.Metadata
}

// Configured is the issuer's path as the configuration has it.
func (i *Issuer) Configured() string {
	if i.Template != "" {
		return i.Template
	}
	return i.Path
}

// ErrNotReady is what there is before the first fetch: 503 with Retry-After.
var ErrNotReady = errors.New("the provider's metadata has not been fetched yet")

// IssuerError is a provider that calls itself by another name than the one
// configured. Waiting does not mend it: ID tokens are signed with that name.
type IssuerError struct {
	Want, Got string
	At        string // where its document was found
}

func (e *IssuerError) Error() string {
	return fmt.Sprintf("the provider at %s says that its issuer is %q, and the configuration makes it %q: set the provider's public hostname, or public_url and provider.issuers, so that both are the same", e.At, e.Got, e.Want)
}

// snapshot is what is known of the provider at one moment. It is never changed.
type snapshot struct {
	issuers map[string]*Issuer // by configured path
	failed  map[string]error   // why an issuer is not there
	at      map[string]place   // by request path without its last slash
	kind    Kind
	folded  map[string]Endpoint // by request path in lower case
	closed  []string            // private paths
}

type place struct {
	endpoint Endpoint
	issuers  []*Issuer
}

// Provider is the provider that we stand before.
type Provider struct {
	o         Options
	base      *url.URL
	transport *http.Transport
	inside    *pipe // the embedded provider's listener
	now       atomic.Pointer[snapshot]
	public    authority
	templates []template
	realms    realms
	waiting   atomic.Int64
	room      atomic.Int64
}

// New makes a Provider; it makes no request.
func New(o Options) (*Provider, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	o.Refresh = orDefault(o.Refresh, 5*time.Minute)
	o.Retry = orDefault(o.Retry, 200*time.Millisecond)
	o.AnswerTimeout = orDefault(o.AnswerTimeout, time.Minute)
	p := &Provider{o: o, base: o.URL, templates: templates(o.Issuers), realms: realms{known: map[string]*realm{}}}
	p.SetWaiting(o.Waiting)
	var err error
	if p.public, err = newAuthority(o.PublicOrigin); err != nil {
		return nil, err
	}
	if o.Handler != nil {
		p.base = &url.URL{Scheme: "http", Host: "embedded"}
		p.inside = newPipe()
	}
	if p.base == nil {
		return nil, errors.New("a provider needs a URL or a handler")
	}
	if p.transport, err = newTransport(o, p.inside); err != nil {
		return nil, err
	}
	s := newSnapshot(o.Kind)
	for _, path := range o.Issuers {
		if !strings.Contains(path, tenantPlaceholder) {
			s.failed[path] = ErrNotReady
		}
	}
	p.inherit(s)
	p.settle(s)
	p.o.Before = nil // and with it those before it
	return p, nil
}

func newSnapshot(kind Kind) *snapshot {
	return &snapshot{issuers: map[string]*Issuer{}, failed: map[string]error{}, at: map[string]place{}, kind: kind}
}

// inherit takes over what the Provider before this one knows.
func (p *Provider) inherit(s *snapshot) {
	b := p.o.Before
	if b == nil || p.inside != nil || b.inside != nil || *b.base != *p.base || b.o.PublicOrigin != p.o.PublicOrigin {
		return
	}
	old := b.now.Load()
	for _, path := range p.o.Issuers {
		if i := old.issuers[path]; i != nil {
			s.issuers[path] = i
			delete(s.failed, path)
		}
	}
	b.realms.mu.Lock()
	defer b.realms.mu.Unlock()
	for path, r := range b.realms.known {
		for _, t := range p.templates {
			if r.snapshot != nil && r.snapshot.issuers[path].Template == t.text {
				p.realms.known[path] = &realm{snapshot: r.snapshot, until: r.until}
			}
		}
	}
}

// settle makes s, whose issuers and failures are known, what is known now.
func (p *Provider) settle(s *snapshot) {
	for _, path := range p.o.Issuers {
		if i := s.issuers[path]; i != nil {
			p.place(s, i)
		}
	}
	s.closed = append(private(s.kind, p.o.Issuers), s.registrations()...)
	p.now.Store(s)
}

func orDefault(d, otherwise time.Duration) time.Duration {
	if d <= 0 {
		return otherwise
	}
	return d
}

// Ready is nil when every issuer's metadata is there, and else says why not.
func (p *Provider) Ready() error { return p.ready(p.now.Load()) }

func (p *Provider) ready(s *snapshot) error {
	var errs []error
	for _, path := range p.o.Issuers {
		if err := s.failed[path]; err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// Issuer returns an issuer by its path.
func (p *Provider) Issuer(path string) (*Issuer, error) {
	s := p.now.Load()
	if i := s.issuers[path]; i != nil {
		return i, nil
	}
	if err := s.failed[path]; err != nil {
		return nil, err
	}
	if t, label, ok := p.realmOf(path); ok && path == t.before+label+t.after {
		s, err := p.realm(t, label)
		if err != nil {
			return nil, err
		}
		return s.issuers[path], nil
	}
	return nil, fmt.Errorf("%w: %q", ErrNoIssuer, path)
}

// At says which endpoint lies at a request path, and of which issuers: several
// where they share it, as authentik's do. A slash at the end makes no
// difference: providers differ in whether they mind it.
//
// An error says why the path cannot be passed to the provider now: while an
// issuer's document is not known, nobody can tell its token endpoint from its
// pictures. Both are told from one look at what is known: of two, the first
// could let pass what the second does not recognise any more.
func (p *Provider) At(path string) (Endpoint, []*Issuer, error) {
	s := p.now.Load()
	if t, label, ok := p.realmOf(path); ok {
		var err error
		if s, err = p.realm(t, label); err != nil {
			return "", nil, err
		}
	} else if err := p.serves(s, path); err != nil {
		return "", nil, err
	}
	pl := s.at[strings.TrimSuffix(path, "/")]
	return pl.endpoint, pl.issuers, nil
}

// Resembles says which endpoint a path differs from in upper and lower case
// alone. Some providers take it for that endpoint.
func (p *Provider) Resembles(path string) Endpoint {
	s := p.now.Load()
	for _, path := range []string{path, strings.ToLower(path)} {
		if t, label, ok := p.realmOf(path); ok {
			if own, err := p.realm(t, label); err == nil {
				s = own
			}
			break
		}
	}
	return s.folded[strings.ToLower(strings.TrimSuffix(path, "/"))]
}

func (p *Provider) serves(s *snapshot, path string) error {
	if len(s.issuers) == 0 {
		return p.ready(s)
	}
	for prefix, err := range s.failed {
		if under(path, strings.TrimSuffix(prefix, "/")) {
			return err
		}
	}
	return nil
}

// Issuers are the configured issuer paths.
func (p *Provider) Issuers() []string { return p.o.Issuers }

// Run fetches the metadata of all issuers, and again, until ctx ends. It
// returns early, with an *IssuerError, when before all issuers were ready once
// the provider gives another issuer's document; for a provider that is merely
// down it waits.
func (p *Provider) Run(ctx context.Context) error {
	if p.inside != nil {
		stop := p.inside.serve(p.o.Handler, p.o.Log)
		defer stop()
	}
	defer p.transport.CloseIdleConnections()
	pause := p.o.Retry
	for started := false; ; {
		p.refresh(ctx)
		err := p.Ready()
		if wrong := (*IssuerError)(nil); !started && errors.As(err, &wrong) {
			return wrong
		}
		wait := p.o.Refresh
		if err == nil {
			started, pause = true, p.o.Retry
		} else {
			wait = min(pause, p.o.Refresh)
			pause = min(2*pause, 64*p.o.Retry)
			if ctx.Err() == nil {
				p.o.Log.LogAttrs(ctx, slog.LevelWarn, "provider not ready", slog.String("error", err.Error()), slog.Duration("retry_in", wait))
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
	}
}

// SetWaiting changes how many requests may wait for an answer at one time.
func (p *Provider) SetWaiting(n int) {
	if n <= 0 {
		n = 512
	}
	p.room.Store(int64(n))
}

// Wait says whether one more request may wait for an answer. Where it says yes,
// Done is to be called when the answer has begun.
func (p *Provider) Wait() bool {
	if p.waiting.Add(1) > p.room.Load() {
		p.waiting.Add(-1)
		return false
	}
	return true
}

// Done ends what Wait began.
func (p *Provider) Done() { p.waiting.Add(-1) }

// Fetch fetches the metadata of all issuers once, and says why one is not there.
func (p *Provider) Fetch(ctx context.Context) error {
	p.refresh(ctx)
	err := p.Ready()
	if err != nil {
		p.transport.CloseIdleConnections() // it may never be used
	}
	return err
}

// under says whether path is prefix or lies below it.
func under(path, prefix string) bool {
	rest, ok := strings.CutPrefix(path, prefix)
	return ok && (rest == "" || rest[0] == '/')
}

// ErrAnswer is an answer of the provider that cannot be what it should be.
var ErrAnswer = errors.New("the provider's answer has another shape than the protocol gives it")
