package demo

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// client is an app's server: one for all its tenants.
type client struct {
	demo *Demo
	app  *App
	name string // how the way calls it
	base *http.Transport
	http *http.Client
	once *Way // what it asked outside of any login

	pending  *bounded[pending]
	sessions *bounded[session]

	mu       sync.Mutex
	provider *oidc.Provider
}

// pending is a login, or a logout, whose answer has not come.
type pending struct {
	tenant   string
	browser  string // of the cookie: the answer counts in that browser only
	nonce    string
	verifier string
	way      *Way
}

// session is a person at a tenant's site.
type session struct {
	tenant  string
	subject string
	name    string
	email   string
	idToken string // the hint of a logout
	way     string // the last one
}

const (
	pendingFor  = 15 * time.Minute
	sessionFor  = 8 * time.Hour
	maxPending  = 512
	maxSessions = 512
)

func newClient(d *Demo, app *App) *client {
	c := &client{
		demo: d, app: app, name: app.Name + "’s server", base: d.Network.transport(), once: d.Recorder.Once(),
		pending:  newBounded[pending](maxPending, pendingFor, d.Now),
		sessions: newBounded[session](maxSessions, sessionFor, d.Now),
	}
	c.http = &http.Client{
		Transport: d.Recorder.Transport(c.name, c.base, c.once),
		Timeout:   20 * time.Second,
		// A provider's metadata and token endpoint redirect nowhere.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return c
}

// discover reads the provider's metadata at the internal origin, once: the
// issuer in it is the public one (OIDC Discovery §4.3), so the library is told
// which to expect. That is all that this network asks of an app.
func (c *client) discover(ctx context.Context) (*oidc.Provider, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.provider != nil {
		return c.provider, nil
	}
	ctx = oidc.ClientContext(ctx, c.http)
	p, err := oidc.NewProvider(oidc.InsecureIssuerURLContext(ctx, c.demo.Public), c.demo.Internal)
	if err != nil {
		return nil, err
	}
	c.provider = p
	return p, nil
}

// endpoints are what the metadata told the app.
type endpoints struct {
	Issuer     string `json:"issuer"`
	Authorize  string `json:"authorization_endpoint"`
	EndSession string `json:"end_session_endpoint"`
	Token      string `json:"token_endpoint"`
	Keys       string `json:"jwks_uri"`
}

func endpointsOf(p *oidc.Provider) (endpoints, error) {
	var e endpoints
	err := p.Claims(&e)
	return e, err
}

// oauth is the client as x/oauth2 wants it.
func (c *client) oauth(p *oidc.Provider, redirectURI string) *oauth2.Config {
	endpoint := p.Endpoint()
	endpoint.AuthStyle = oauth2.AuthStyleInHeader
	return &oauth2.Config{
		ClientID: c.app.ClientID, ClientSecret: c.app.Secret, Endpoint: endpoint,
		RedirectURL: redirectURI, Scopes: []string{oidc.ScopeOpenID, "profile", "email"},
	}
}
