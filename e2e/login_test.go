//go:build e2e && linux

package e2e

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"golang.org/x/oauth2"

	"onedoor/e2e/lab"
)

// TestAConfidentialClientWithoutPKCELogsInRefreshesAndLogsOutForTwoTenants is
// the whole life of a session, for two tenants with one redirect URI and one
// post-logout redirect URI at Keycloak.
func TestAConfidentialClientWithoutPKCELogsInRefreshesAndLogsOutForTwoTenants(t *testing.T) {
	w := shared(t)
	site := newLanding(t, w.issuer())
	tap := newWire(t, w, false)
	w.serve(t, tap.through(w, w.config(t, transparentApps(site.port))))
	browser := lab.StartBrowser(t, lab.Here, everywhere)
	const state = "{a}" // Keycloak's logout answers 500 to it, were it not sealed
	for _, tenant := range []string{"acme", "globex"} {
		t.Run(tenant, func(t *testing.T) {
			app := w.app(t, transparentClient, site, tenant)
			browser.Open(app.AuthCodeURL(state))
			if got := browser.Origin(); got != w.public() {
				t.Errorf("the login page is on %s, want %s", got, w.public())
			}
			browser.LogIn(lab.KeycloakPage, "#landed")
			token, who := app.mustRedeem(app.code(browser.URL(), state))
			if who != lab.Username {
				t.Errorf("%s logged in, want %s", who, lab.Username)
			}

			asked, redeemed := tap.last(t, "/auth"), tap.last(t, "/token")
			for _, ps := range []url.Values{asked, redeemed} {
				if !slices.Equal(ps["redirect_uri"], []string{w.registered()}) {
					t.Errorf("Keycloak was told of %q, want the registered redirect URI alone", ps["redirect_uri"])
				}
			}
			if got := oauth2.S256ChallengeFromVerifier(redeemed.Get("code_verifier")); asked.Get("code_challenge_method") != "S256" || asked.Get("code_challenge") != got {
				t.Errorf("the door's PKCE: %q %q asked, %q redeemed", asked.Get("code_challenge_method"), asked.Get("code_challenge"), got)
			}

			token, err := app.refresh(token)
			if err != nil {
				t.Fatalf("refresh: %v", err)
			}
			if who := app.person(token); who != lab.Username {
				t.Errorf("the refreshed tokens are %s's", who)
			}

			idToken, _ := token.Extra("id_token").(string)
			browser.Open(app.endpoint("end_session_endpoint") + "?" + url.Values{
				"id_token_hint": {idToken}, "post_logout_redirect_uri": {app.origin + "/goodbye"}, "state": {state},
			}.Encode())
			browser.Text("#landed")
			if got, want := browser.URL(), app.origin+"/goodbye?state=%7Ba%7D"; got != want {
				t.Errorf("the logout ends at %s, want %s", got, want)
			}
			if got := tap.last(t, "/logout"); got.Get("post_logout_redirect_uri") != w.public()+"/onedoor/logout" {
				t.Errorf("Keycloak was told of %q at the logout", got["post_logout_redirect_uri"])
			}
			_, err = app.refresh(token)
			mustRefuse(t, err, http.StatusBadRequest, "invalid_grant")
		})
	}
}

func TestABrowserAppRedeemsItsOwnCodeFromItsTenantsOriginAlone(t *testing.T) {
	w := shared(t)
	site := newLanding(t, w.issuer())
	w.serve(t, w.config(t, transparentApps(site.port)))
	browser := lab.StartBrowser(t, lab.Here, everywhere)
	token := w.app(t, spaClient, site, "acme").Endpoint.TokenURL
	// read says whether a script on the page that is open may read the answer.
	read := func() string {
		var said string
		ask := `fetch("` + token + `", {method: "POST", body: new URLSearchParams({grant_type: "authorization_code", client_id: "` + spaClient + `", code: "x"})}).then(r => "read " + r.status, e => "kept back")`
		browser.Do(chromedp.Evaluate(ask, &said, func(p *runtime.EvaluateParams) *runtime.EvaluateParams { return p.WithAwaitPromise(true) }))
		return said
	}
	for _, tenant := range []string{"acme", "globex"} {
		t.Run(tenant, func(t *testing.T) {
			browser.Open(site.origin(tenant) + "/spa")
			if tenant == "acme" { // globex is logged in by the session
				browser.LogIn(lab.KeycloakPage, "#person, #error")
			}
			if got := browser.Text("#person, #error"); got != lab.FullName {
				t.Errorf("the page shows %q, want %q\n%s", got, lab.FullName, browser.Page())
			}
			if got := browser.Origin(); got != site.origin(tenant) {
				t.Errorf("the login ends at %s", got)
			}
			if got := read(); got != "read 400" {
				t.Errorf("an answer is %s on the tenant's site, want read 400", got)
			}
		})
	}
	t.Run("a script of nobody's site reads nothing", func(t *testing.T) {
		browser.Open(site.origin("mallory") + "/")
		if got := read(); got != "kept back" {
			t.Errorf("the answer is %s", got)
		}
	})
}

func TestAPublicClientWithoutPKCEIsRefusedAtItsTenantsSite(t *testing.T) {
	w := shared(t)
	site := newLanding(t, w.issuer())
	door := w.serve(t, w.config(t, transparentApps(site.port)))
	app := w.app(t, spaClient, site, "acme")
	at := newPerson(t, lab.Username).must(app.AuthCodeURL("s1"), app.origin)
	if got := app.response(at, "s1"); got.Get("error") != "invalid_request" || got.Has("code") {
		t.Fatalf("the response is %v, want invalid_request", got)
	}
	mustSay(t, door, "pkce.missing")
}

func TestAClientThatMustPushItsRequestsLogsInForTwoTenants(t *testing.T) {
	w := shared(t)
	site := newLanding(t, w.issuer())
	tap := newWire(t, w, false)
	door := w.serve(t, tap.through(w, w.config(t, transparentApps(site.port))))
	authorize := func(app *app, handle string) string {
		return app.Endpoint.AuthURL + "?" + url.Values{"client_id": {app.ClientID}, "request_uri": {handle}}.Encode()
	}
	for _, tenant := range []string{"acme", "globex"} {
		t.Run(tenant, func(t *testing.T) {
			app, ada := w.app(t, parClient, site, tenant), newPerson(t, lab.Username)
			verifier := oauth2.GenerateVerifier()
			handle := app.push("s2", verifier)
			if got := tap.last(t, "/par/request"); !slices.Equal(got["redirect_uri"], []string{w.registered()}) {
				t.Errorf("Keycloak was told of %q", got["redirect_uri"])
			}
			at := ada.must(authorize(app, handle), app.origin)
			if _, who := app.mustRedeem(app.code(at, "s2"), oauth2.VerifierOption(verifier)); who != lab.Username {
				t.Errorf("%s logged in", who)
			}
		})
	}
	app := w.app(t, parClient, site, "acme")
	t.Run("a request that was not pushed ends at the tenant's site", func(t *testing.T) {
		at := newPerson(t, lab.Username).must(app.AuthCodeURL("s3"), app.origin)
		if got := app.response(at, "s3"); got.Get("error") != "invalid_request" {
			t.Fatalf("the response is %v", got)
		}
		mustSay(t, door, "par.required")
	})
	t.Run("Keycloak refuses such a request by itself", func(t *testing.T) {
		direct := app.Config
		direct.RedirectURL = w.registered()
		at := newPerson(t, lab.Username).must(strings.Replace(direct.AuthCodeURL("s5"), w.public(), w.keycloak.Origin, 1), w.registered())
		if !strings.Contains(at, "error=invalid_request") {
			t.Errorf("the response is %s", at)
		}
	})
	t.Run("another client's request is refused", func(t *testing.T) {
		other := w.app(t, transparentClient, site, "acme")
		v := newPerson(t, lab.Username).walk(authorize(other, app.push("s4", oauth2.GenerateVerifier())), app.origin)
		if v.status != http.StatusBadRequest {
			t.Fatalf("the walk ends at %s with %d", v.at, v.status)
		}
		mustSay(t, door, "request_uri")
	})
}

// push pushes an authorization request (RFC 9126 §2.1) and returns its handle.
func (a *app) push(state, verifier string) string {
	a.t.Helper()
	u, err := url.Parse(a.AuthCodeURL(state, oauth2.S256ChallengeOption(verifier)))
	if err != nil {
		a.t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(a.ctx, http.MethodPost, a.endpoint("pushed_authorization_request_endpoint"), strings.NewReader(u.RawQuery))
	if err != nil {
		a.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth(url.QueryEscape(a.ClientID), url.QueryEscape(a.ClientSecret))
	resp, err := a.client.Do(r)
	if err != nil {
		a.t.Fatal(err)
	}
	defer resp.Body.Close()
	var answer struct {
		RequestURI string `json:"request_uri"`
		ExpiresIn  int    `json:"expires_in"`
		Error      string `json:"error_description"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || resp.StatusCode != http.StatusCreated || answer.RequestURI == "" || answer.ExpiresIn <= 0 {
		a.t.Fatalf("the pushed request got %s %+v %v", resp.Status, answer, err)
	}
	return answer.RequestURI
}

func TestAResponseByFormPostReachesTheTenantsSiteByPOST(t *testing.T) {
	w := shared(t)
	site := newLanding(t, w.issuer())
	w.serve(t, w.config(t, transparentApps(site.port)))
	browser := lab.StartBrowser(t, lab.Here, everywhere)
	const state = `<"{a}&'>`
	for _, tenant := range []string{"acme", "globex"} {
		t.Run(tenant, func(t *testing.T) {
			app := w.app(t, transparentClient, site, tenant)
			browser.Open(app.AuthCodeURL(state, oauth2.SetAuthURLParam("response_mode", "form_post")))
			if tenant == "acme" { // globex is logged in by the session
				browser.LogIn(lab.KeycloakPage, "#landed")
			}
			browser.Text("#landed")
			if got := browser.URL(); got != app.RedirectURL {
				t.Errorf("the browser shows %s, want %s and nothing behind it", got, app.RedirectURL)
			}
			came := site.last(t)
			if came.method != http.MethodPost || came.origin+came.path != app.RedirectURL {
				t.Fatalf("%s %s%s came, want POST %s", came.method, came.origin, came.path, app.RedirectURL)
			}
			app.check(came.params, state)
			if _, who := app.mustRedeem(came.params.Get("code")); who != lab.Username {
				t.Errorf("%s logged in", who)
			}
		})
	}
}

// TestStatesComeBackAsTheyWere: Keycloak drops a state of more than 4,000
// characters without a word, and sends one back that was never there.
func TestStatesComeBackAsTheyWere(t *testing.T) {
	w := shared(t)
	site := newLanding(t, w.issuer())
	tap := newWire(t, w, false)
	w.serve(t, tap.through(w, w.config(t, transparentApps(site.port))))
	app, ada := w.app(t, transparentClient, site, "acme"), newPerson(t, lab.Username)
	for _, tt := range []struct{ name, state string }{
		{"every printable character", ` !"#$%&'()*+,-./09:;<=>?@AZ[\]^_` + "`az{|}~ é 日本 한국"},
		{"5,000 characters", strings.Repeat("state", 1000)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			app.mustRedeem(app.code(ada.must(app.AuthCodeURL(tt.state), app.origin), tt.state))
			if got := len(tap.last(t, "/auth").Get("state")); got > 1700 {
				t.Errorf("Keycloak was sent a state of %d characters", got)
			}
		})
	}
	t.Run("none", func(t *testing.T) {
		at, err := url.Parse(ada.must(app.AuthCodeURL(""), app.origin))
		if err != nil || at.Query().Has("state") {
			t.Fatalf("the response is %s: %v", at, err)
		}
		app.mustRedeem(at.Query().Get("code"))
	})
}

func TestASilentLoginSucceedsWithASessionAndSaysLoginRequiredWithout(t *testing.T) {
	w := shared(t)
	site := newLanding(t, w.issuer())
	w.serve(t, w.config(t, transparentApps(site.port)))
	acme, globex := w.app(t, transparentClient, site, "acme"), w.app(t, transparentClient, site, "globex")
	silently := oauth2.SetAuthURLParam("prompt", "none")
	ada := newPerson(t, lab.Username)

	at := ada.must(acme.AuthCodeURL("before", silently), acme.origin)
	if got := acme.response(at, "before"); got.Get("error") != "login_required" || got.Has("code") {
		t.Errorf("without a session the response is %v, want login_required", got)
	}
	acme.mustRedeem(acme.code(ada.must(acme.AuthCodeURL("login"), acme.origin), "login"))
	at = ada.must(globex.AuthCodeURL("after", silently), globex.origin)
	if _, who := globex.mustRedeem(globex.code(at, "after")); who != lab.Username {
		t.Errorf("with a session %s is logged in", who)
	}
}
