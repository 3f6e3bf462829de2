//go:build e2e && linux

package e2e

import (
	"context"
	"crypto/rand"
	"fmt"
	"html"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"onedoor/e2e/lab"
)

// site is one application that serves all tenants by its Host, written with
// go-oidc as its documentation says. Nothing in it knows of the door.
type site struct {
	port     int
	clientID string
	// issuer is the identity that tokens must carry; discovery is the issuer's URL
	// as this server can reach it (the same, unless the network is split).
	issuer, discovery string
	// redirectURI is what the site sends; by default its own, from the Host.
	redirectURI func(r *http.Request) string
	// page is the provider's login page; by default Keycloak's.
	page lab.LoginPage
	// dial is the site's network: an /etc/hosts of its own.
	dial func(ctx context.Context, network, address string) (net.Conn, error)

	mu       sync.Mutex
	logins   map[string]login  // by state
	people   map[string]string // by session cookie
	requests []string          // what the server itself asked of others
}

type login struct{ nonce, verifier string }

// serve serves the site on the loopback interface, or on the listener given.
func (s *site) serve(t *testing.T, on net.Listener) *site {
	t.Helper()
	if on == nil {
		on = lab.Here.Listen(t, "127.0.0.1:0")
	}
	s.port = on.Addr().(*net.TCPAddr).Port
	s.logins, s.people = map[string]login{}, map[string]string{}
	if s.page == (lab.LoginPage{}) {
		s.page = lab.KeycloakPage
	}
	if s.redirectURI == nil {
		s.redirectURI = func(r *http.Request) string { return "http://" + r.Host + "/api/auth/callback" }
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.home)
	mux.HandleFunc("GET /login", s.login)
	mux.HandleFunc("GET /api/auth/callback", s.callback)
	lab.Serve(t, on, mux)
	return s
}

// origin is a tenant's address in the browser.
func (s *site) origin(tenant string) string {
	return fmt.Sprintf("http://%s.localhost:%d", tenant, s.port)
}

// asked are the origins and paths that the server itself called.
func (s *site) asked() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.requests...)
}

func (s *site) RoundTrip(r *http.Request) (*http.Response, error) {
	s.mu.Lock()
	s.requests = append(s.requests, r.URL.Scheme+"://"+r.URL.Host+r.URL.Path)
	s.mu.Unlock()
	return (&http.Transport{DialContext: s.dial, DisableKeepAlives: true}).RoundTrip(r)
}

// provider reads the discovery document.
func (s *site) provider(ctx context.Context) (context.Context, *oidc.Provider, error) {
	ctx = oidc.ClientContext(ctx, &http.Client{Transport: s})
	discover := ctx
	if s.discovery != s.issuer {
		discover = oidc.InsecureIssuerURLContext(ctx, s.issuer)
	}
	p, err := oidc.NewProvider(discover, s.discovery)
	return ctx, p, err
}

func (s *site) oauth(r *http.Request, p *oidc.Provider) *oauth2.Config {
	return &oauth2.Config{
		ClientID: s.clientID, ClientSecret: clientSecret, Endpoint: p.Endpoint(),
		RedirectURL: s.redirectURI(r), Scopes: []string{oidc.ScopeOpenID, "profile"},
	}
}

func (s *site) home(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	page := `<p id="nobody">nobody</p>`
	if cookie, err := r.Cookie("session"); err == nil && s.people[cookie.Value] != "" {
		page = fmt.Sprintf(`<p id="person">%s</p>`, html.EscapeString(s.people[cookie.Value]))
	}
	_, _ = fmt.Fprintf(w, `<!doctype html><h1 id="host">%s</h1>%s`, html.EscapeString(r.Host), page)
}

func (s *site) login(w http.ResponseWriter, r *http.Request) {
	_, p, err := s.provider(r.Context())
	if err != nil {
		fail(w, err)
		return
	}
	state, l := rand.Text(), login{nonce: rand.Text(), verifier: oauth2.GenerateVerifier()}
	s.mu.Lock()
	s.logins[state] = l
	s.mu.Unlock()
	http.SetCookie(w, &http.Cookie{Name: "state", Value: state, HttpOnly: true, SameSite: http.SameSiteLaxMode})
	http.Redirect(w, r, s.oauth(r, p).AuthCodeURL(state, oidc.Nonce(l.nonce), oauth2.S256ChallengeOption(l.verifier)), http.StatusFound)
}

func (s *site) callback(w http.ResponseWriter, r *http.Request) {
	name, err := s.person(r)
	if err != nil {
		fail(w, err)
		return
	}
	session := rand.Text()
	s.mu.Lock()
	s.people[session] = name
	s.mu.Unlock()
	http.SetCookie(w, &http.Cookie{Name: "session", Value: session, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode})
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

// person finishes a login with every check that a careful client makes.
func (s *site) person(r *http.Request) (string, error) {
	query := r.URL.Query()
	cookie, err := r.Cookie("state")
	if err != nil || cookie.Value != query.Get("state") || len(query["state"]) != 1 {
		return "", fmt.Errorf("state is not the one that this browser was given")
	}
	s.mu.Lock()
	l := s.logins[cookie.Value]
	delete(s.logins, cookie.Value)
	s.mu.Unlock()
	if query.Get("error") != "" {
		return "", fmt.Errorf("the provider said %s: %s", query.Get("error"), query.Get("error_description"))
	}
	ctx, p, err := s.provider(r.Context())
	if err != nil {
		return "", err
	}
	var announced struct {
		Iss bool `json:"authorization_response_iss_parameter_supported"`
	}
	if err := p.Claims(&announced); err != nil {
		return "", err
	}
	// RFC 9207 §2.4: compared as strings, and there if it was announced.
	if iss := query["iss"]; (announced.Iss || len(iss) > 0) && (len(iss) != 1 || iss[0] != s.issuer) {
		return "", fmt.Errorf("iss is %q, want %q", iss, s.issuer)
	}
	token, err := s.oauth(r, p).Exchange(ctx, query.Get("code"), oauth2.VerifierOption(l.verifier))
	if err != nil {
		return "", err
	}
	raw, _ := token.Extra("id_token").(string)
	idToken, err := p.Verifier(&oidc.Config{ClientID: s.clientID}).Verify(ctx, raw)
	if err != nil {
		return "", err
	}
	if idToken.Nonce != l.nonce {
		return "", fmt.Errorf("the nonce is another login's")
	}
	if idToken.Issuer != s.issuer {
		return "", fmt.Errorf("the token's issuer is %q, want %q", idToken.Issuer, s.issuer)
	}
	info, err := p.UserInfo(ctx, oauth2.StaticTokenSource(token))
	if err != nil {
		return "", err
	}
	var claims struct {
		Name string `json:"name"`
	}
	if err := info.Claims(&claims); err != nil {
		return "", err
	}
	return claims.Name, nil
}

func fail(w http.ResponseWriter, err error) {
	w.WriteHeader(http.StatusBadGateway)
	_, _ = fmt.Fprintf(w, `<!doctype html><p id="error">%s</p>`, html.EscapeString(err.Error()))
}

// tenantOf is the tenant that a Host names.
func tenantOf(r *http.Request) string { return strings.SplitN(r.Host, ".", 2)[0] }
