//go:build e2e && linux

package e2e

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"onedoor/e2e/lab"
)

// What the tests of transparent mode share: the clients as Keycloak and the door
// know them, and an app's own server, which knows neither.

// Further clients beside transparentClient. Each has the one redirect URI.
const (
	spaClient  = "atlas-spa"  // public, in the browser
	parClient  = "atlas-par"  // must push its authorization requests
	postClient = "atlas-post" // may send its secret in the body alone
)

func (w *world) transparentClients() []lab.Client {
	client := func(id, secret string, attributes map[string]string) lab.Client {
		all := map[string]string{"post.logout.redirect.uris": w.public() + "/onedoor/logout"}
		for name, value := range attributes {
			all[name] = value
		}
		return lab.Client{ClientID: id, Secret: secret, PublicClient: secret == "", RedirectURIs: []string{w.registered()}, Attributes: all}
	}
	return []lab.Client{
		client(transparentClient, clientSecret, nil),
		client(spaClient, "", nil),
		client(parClient, clientSecret, map[string]string{"require.pushed.authorization.requests": "true"}),
		client(postClient, clientSecret, map[string]string{"client.secret.authentication.allowed.method": "client_secret_post"}),
	}
}

// registered is the one redirect URI that Keycloak knows.
func (w *world) registered() string { return w.public() + "/onedoor/callback" }

// transparentApps are the clients as the door's file names them.
func transparentApps(port int) string {
	var b strings.Builder
	for _, app := range []struct{ name, client, more string }{
		{"web", transparentClient, ""},
		{"spa", spaClient, "type: public"},
		{"par", parClient, "require_pushed_authorization_requests: true"},
		{"post", postClient, ""},
	} {
		fmt.Fprintf(&b, "  %s:\n    client_id: %s\n    site: http://{tenant}.localhost:%d\n    callbacks: [/callback, /spa]\n    logouts: [/goodbye]\n    %s\n",
			app.name, app.client, port, app.more)
	}
	return b.String()
}

// app is the server of an application, at work for one tenant: an ordinary
// client of the provider with one redirect URI, its tenant's own.
type app struct {
	oauth2.Config
	t        *testing.T
	ctx      context.Context // with the way to the door
	client   *http.Client
	provider *oidc.Provider
	origin   string // of its tenant's site
}

// app is a client of the realm that all tenants share.
func (w *world) app(t *testing.T, clientID string, site *landing, tenant string) *app {
	t.Helper()
	return w.appOf(t, w.issuer(), clientID, site, tenant)
}

// appOf reads the metadata through the door, as an app does when it starts.
func (w *world) appOf(t *testing.T, issuer, clientID string, site *landing, tenant string) *app {
	t.Helper()
	a := &app{t: t, client: lab.HTTPClient(lab.DialTo(lab.Here, w.address())), origin: site.origin(tenant)}
	a.ctx = oidc.ClientContext(t.Context(), a.client)
	var err error
	if a.provider, err = oidc.NewProvider(a.ctx, issuer); err != nil {
		t.Fatal(err)
	}
	a.Config = oauth2.Config{
		ClientID: clientID, ClientSecret: clientSecret, Endpoint: a.provider.Endpoint(),
		RedirectURL: a.origin + "/callback", Scopes: []string{oidc.ScopeOpenID, "profile"},
	}
	a.Endpoint.AuthStyle = oauth2.AuthStyleInHeader
	return a
}

// endpoint is one that golang.org/x/oauth2 does not use.
func (a *app) endpoint(name string) string {
	a.t.Helper()
	var all map[string]any
	if err := a.provider.Claims(&all); err != nil {
		a.t.Fatal(err)
	}
	at, _ := all[name].(string)
	if at == "" {
		a.t.Fatalf("the metadata has no %s", name)
	}
	return at
}

// code takes the code from an authorization response at the tenant's own
// redirect URI, after the checks that a careful client makes.
func (a *app) code(at, state string) string {
	a.t.Helper()
	ps := a.response(at, state)
	if ps.Get("code") == "" || ps.Has("error") {
		a.t.Fatalf("the response has no code: %s", at)
	}
	return ps.Get("code")
}

// response checks all of an authorization response but what it says.
func (a *app) response(at, state string) url.Values {
	a.t.Helper()
	u, err := url.Parse(at)
	if err != nil {
		a.t.Fatal(err)
	}
	if got := u.Scheme + "://" + u.Host + u.Path; got != a.RedirectURL {
		a.t.Fatalf("the response comes to %s, want %s", at, a.RedirectURL)
	}
	a.check(u.Query(), state)
	return u.Query()
}

func (a *app) check(ps url.Values, state string) {
	a.t.Helper()
	if !slices.Equal(ps["state"], []string{state}) {
		a.t.Fatalf("the state is %q, want %q alone", ps["state"], state)
	}
	// RFC 9207 §2.4: compared as strings.
	if want := a.endpoint("issuer"); !slices.Equal(ps["iss"], []string{want}) {
		a.t.Fatalf("iss is %q, want %q alone", ps["iss"], want)
	}
}

// redeem makes the token request.
func (a *app) redeem(code string, options ...oauth2.AuthCodeOption) (*oauth2.Token, error) {
	return a.Exchange(a.ctx, code, options...)
}

// refresh makes the refresh token request (RFC 6749 §6).
func (a *app) refresh(token *oauth2.Token) (*oauth2.Token, error) {
	return a.TokenSource(a.ctx, &oauth2.Token{RefreshToken: token.RefreshToken}).Token()
}

// mustRedeem makes the token request and returns whom its ID token speaks of.
func (a *app) mustRedeem(code string, options ...oauth2.AuthCodeOption) (*oauth2.Token, string) {
	a.t.Helper()
	token, err := a.redeem(code, options...)
	if err != nil {
		a.t.Fatalf("token request: %v", err)
	}
	return token, a.person(token)
}

// person verifies the tokens and says whose they are.
func (a *app) person(token *oauth2.Token) string {
	a.t.Helper()
	raw, _ := token.Extra("id_token").(string)
	id, err := a.provider.Verifier(&oidc.Config{ClientID: a.ClientID}).Verify(a.ctx, raw)
	if err != nil {
		a.t.Fatalf("the ID token: %v", err)
	}
	if got, want := claims(a.t, token.AccessToken)["iss"], a.endpoint("issuer"); got != want {
		a.t.Errorf("the access token's issuer is %v, want %s", got, want)
	}
	var who struct {
		Name string `json:"preferred_username"`
	}
	if err := id.Claims(&who); err != nil {
		a.t.Fatal(err)
	}
	return who.Name
}

// claims reads a JWT without verifying it.
func claims(t *testing.T, jwt string) (all map[string]any) {
	t.Helper()
	parts := strings.Split(jwt, ".")
	if len(parts) != 3 {
		t.Fatalf("no JWT: %q", jwt)
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err == nil {
		err = json.Unmarshal(raw, &all)
	}
	if err != nil {
		t.Fatalf("no JWT: %q: %v", jwt, err)
	}
	return all
}

// mustRefuse fails the test unless a token request was refused so.
func mustRefuse(t *testing.T, err error, status int, code string) {
	t.Helper()
	var refused *oauth2.RetrieveError
	switch {
	case err == nil:
		t.Fatalf("the token request got tokens, want %d %s", status, code)
	case !errors.As(err, &refused):
		t.Fatalf("the token request: %v, want %d %s", err, status, code)
	case refused.Response.StatusCode != status || refused.ErrorCode != code:
		t.Fatalf("the token request got %d %s, want %d %s", refused.Response.StatusCode, refused.Body, status, code)
	}
}
