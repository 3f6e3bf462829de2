// Package upstream is the provider that we stand before: its metadata, cached
// and refreshed in the background, and requests to it. It knows nothing of
// tenants or callers.
//
// Reading starts at [Provider.Issuer] and [Provider.At].
package upstream

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"onedoor/oidc"
)

// Options of a Provider.
type Options struct {
	URL          *url.URL     // where the provider listens; nil with Handler
	Handler      http.Handler // the provider inside, in place of URL
	PublicOrigin string       // every request carries it, so that a login has one view of the world
	Issuers      []string     // issuer paths under the public origin
	CAFile       string       // private CA of the upstream; "" for the system's
	Log          *slog.Logger
	Now          func() time.Time
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
)

// Issuer is one issuer of the provider, as its document describes it.
type Issuer struct {
	Path     string // as configured: "/realms/atlas"
	ID       string // the issuer identifier, byte for byte as the provider wrote it
	Metadata *oidc.Metadata
}

// ErrNotReady is what there is before the first fetch: 503 with Retry-After.
var ErrNotReady = errors.New("the provider's metadata has not been fetched yet")

// Provider is the provider that we stand before.
type Provider struct{}

// New makes a Provider; it makes no request.
func New(o Options) (*Provider, error) { return &Provider{}, nil }

// Run fetches the metadata of all issuers, and again, until ctx ends.
func (p *Provider) Run(ctx context.Context) {}

// Ready is nil when every issuer's metadata is there, and else says why not.
func (p *Provider) Ready() error { return ErrNotReady }

// Issuer returns an issuer by its path.
func (p *Provider) Issuer(path string) (*Issuer, error) { return nil, ErrNotReady }

// At says which endpoint lies at a request path, and of which issuers: several
// where they share it, as authentik's do.
func (p *Provider) At(path string) (Endpoint, []*Issuer) { return "", nil }

// RoundTrip sends a request to the provider. The URL's scheme and host are the
// upstream's; Host and the forwarding headers are set to the public origin.
func (p *Provider) RoundTrip(r *http.Request) (*http.Response, error) { return nil, ErrNotReady }
