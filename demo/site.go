package demo

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// site is what one tenant's people see of an app.
type site struct {
	*client
	tenant Tenant
	name   string // how the way calls it
	host   string
	// callback and back are what the site tells the provider, and after what
	// it sends the browser on, when a login is through. With the relay both are
	// on the door's origin.
	callback, back, loggedOut string
}

// The cookies. Both are sent to their own host only, and no script reads them.
const (
	browserCookie = "onedoor-demo-browser" // any browser that begins a login
	sessionCookie = "onedoor-demo-session" // one that is logged in
)

func newSite(c *client, t Tenant) *site {
	s := &site{client: c, tenant: t, name: t.Label + ".localhost"}
	s.host = s.name + c.demo.port
	origin := "http://" + s.host
	s.callback, s.back, s.loggedOut = origin+CallbackPath, welcomePath, origin+LogoutPath
	if c.app.Relay {
		relay := RelayBase(c.demo.Public, t.Label)
		s.callback, s.back, s.loggedOut = relay+"/callback", relay+"/returnto"+welcomePath, relay+"/returnto"+LogoutPath
	}
	return s
}

// RelayBase is where a tenant's relay begins.
func RelayBase(public, label string) string { return public + "/tenants/" + label }

func (s *site) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.home)
	mux.HandleFunc("GET "+loginPath, s.login)
	mux.HandleFunc("GET "+CallbackPath, s.finish)
	mux.HandleFunc("GET "+welcomePath, s.welcome)
	mux.HandleFunc("POST "+leavePath, s.logout)
	mux.HandleFunc("/", s.notFound)
	return http.NewCrossOriginProtection().Handler(mux)
}

// login begins: state, nonce and PKCE are new each time.
func (s *site) login(w http.ResponseWriter, r *http.Request) {
	p, err := s.discover(r.Context())
	if err != nil {
		s.fail(w, r, http.StatusBadGateway, "The site cannot reach the door", err)
		return
	}
	state, nonce, verifier := random(), random(), oauth2.GenerateVerifier()
	way, browser := s.demo.Recorder.Begin(r, "login"), s.browser(w, r)
	way.owner = browser
	s.pending.put(state, pending{tenant: s.tenant.Label, browser: browser, nonce: nonce, verifier: verifier, way: way})
	to := s.oauth(p, s.callback).AuthCodeURL(state, oidc.Nonce(nonce), oauth2.S256ChallengeOption(verifier))
	w.Header().Set("Cache-Control", "no-store")
	http.Redirect(w, r, to, http.StatusSeeOther)
}

// finish takes the authorization response.
func (s *site) finish(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	begun, ok := s.pending.take(query.Get("state"))
	if !ok || begun.tenant != s.tenant.Label || !s.sameBrowser(r, begun.browser) {
		s.fail(w, r, http.StatusBadRequest, "This login was not begun here", errors.New("state is unknown, used already, or of another browser"))
		return
	}
	if code := query.Get("error"); code != "" {
		s.fail(w, r, http.StatusForbidden, "You were not logged in", fmt.Errorf("the provider says %q", short(code)))
		return
	}
	p, err := s.discover(r.Context())
	if err != nil {
		s.fail(w, r, http.StatusBadGateway, "The site cannot reach the door", err)
		return
	}
	if iss := query.Get("iss"); iss != "" && iss != s.demo.Public { // RFC 9207 §2.4
		s.fail(w, r, http.StatusBadRequest, "The answer is not the provider’s", errors.New("iss is another"))
		return
	}
	ctx := begun.way.Context(oidc.ClientContext(r.Context(), s.http))
	token, err := s.oauth(p, s.callback).Exchange(ctx, query.Get("code"), oauth2.VerifierOption(begun.verifier))
	if err != nil {
		s.fail(w, r, http.StatusBadGateway, "The code was not taken", err)
		return
	}
	raw, _ := token.Extra("id_token").(string)
	id, err := p.Verifier(&oidc.Config{ClientID: s.app.ClientID, Now: s.demo.Now}).Verify(ctx, raw)
	if err == nil && subtle.ConstantTimeCompare([]byte(id.Nonce), []byte(begun.nonce)) != 1 {
		err = errors.New("nonce is another")
	}
	if err != nil {
		s.fail(w, r, http.StatusBadGateway, "The ID token is not good", err)
		return
	}
	if err := s.open(w, r, id, raw, begun.way); err != nil {
		s.fail(w, r, http.StatusBadGateway, "The ID token is not good", err)
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	http.Redirect(w, r, s.back+"?login="+begun.way.ID, http.StatusSeeOther)
}

// open makes a session under a new name, whoever was here before.
func (s *site) open(w http.ResponseWriter, r *http.Request, id *oidc.IDToken, raw string, way *Way) error {
	var claims struct {
		Name  string `json:"name"`
		Email string `json:"email"`
	}
	if err := id.Claims(&claims); err != nil {
		return err
	}
	now := session{tenant: s.tenant.Label, subject: id.Subject, name: claims.Name, email: claims.Email, idToken: raw, way: way.ID}
	if before, ok := s.session(r); !ok || before.subject != now.subject {
		s.close(r) // the same person's other tab goes on with its own
	}
	key := random()
	s.sessions.put(key, now)
	setCookie(w, sessionCookie, key, int(sessionFor.Seconds()))
	return nil
}

// logout ends the session here and then, by the browser, at the provider (OIDC
// RP-Initiated Logout §2).
func (s *site) logout(w http.ResponseWriter, r *http.Request) {
	was, ok := s.session(r)
	s.close(r)
	setCookie(w, sessionCookie, "", -1)
	w.Header().Set("Cache-Control", "no-store")
	p, err := s.discover(r.Context())
	var e endpoints
	if err == nil {
		e, err = endpointsOf(p)
	}
	if !ok || err != nil || e.EndSession == "" {
		http.Redirect(w, r, "/", http.StatusSeeOther)
		return
	}
	state := random()
	s.pending.put(state, pending{
		tenant: s.tenant.Label, browser: s.browser(w, r), way: s.demo.Recorder.Begin(r, "logout"),
	})
	query := url.Values{
		"client_id": {s.app.ClientID}, "id_token_hint": {was.idToken},
		"post_logout_redirect_uri": {s.loggedOut}, "state": {state},
	}
	http.Redirect(w, r, e.EndSession+"?"+query.Encode(), http.StatusSeeOther)
}

// session finds who is logged in. All tenants' sessions are in one store, so a
// session of another tenant is none here.
func (s *site) session(r *http.Request) (session, bool) {
	c, err := r.Cookie(sessionCookie)
	if err != nil {
		return session{}, false
	}
	found, ok := s.sessions.get(c.Value)
	return found, ok && found.tenant == s.tenant.Label
}

func (s *site) close(r *http.Request) {
	if c, err := r.Cookie(sessionCookie); err == nil {
		s.sessions.take(c.Value)
	}
}

// browser names this browser, from now on.
func (s *site) browser(w http.ResponseWriter, r *http.Request) string {
	if c, err := r.Cookie(browserCookie); err == nil && c.Value != "" {
		return c.Value
	}
	value := random()
	setCookie(w, browserCookie, value, int(sessionFor.Seconds()))
	return value
}

func (s *site) sameBrowser(r *http.Request, want string) bool {
	c, err := r.Cookie(browserCookie)
	return err == nil && subtle.ConstantTimeCompare([]byte(c.Value), []byte(want)) == 1
}

// setCookie sets a cookie without Secure: not every browser takes one of that
// kind from http://*.localhost, and these never leave the machine.
func setCookie(w http.ResponseWriter, name, value string, age int) {
	http.SetCookie(w, &http.Cookie{Name: name, Value: value, Path: "/", MaxAge: age, HttpOnly: true, SameSite: http.SameSiteLaxMode})
}
