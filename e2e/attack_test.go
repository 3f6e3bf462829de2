//go:build e2e && linux

package e2e

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"golang.org/x/oauth2"

	"onedoor/e2e/lab"
)

func TestACodeIsGoodOnceAndForItsOwnTenantAlone(t *testing.T) {
	w := shared(t)
	site := newLanding(t, w.issuer())
	w.serve(t, w.config(t, transparentApps(site.port)))
	acme, globex := w.app(t, transparentClient, site, "acme"), w.app(t, transparentClient, site, "globex")
	ada := newPerson(t, lab.Username)
	code := func() string { return acme.code(ada.must(acme.AuthCodeURL("s"), acme.origin), "s") }

	t.Run("a code is good once", func(t *testing.T) {
		once := code()
		acme.mustRedeem(once)
		_, err := acme.redeem(once)
		mustRefuse(t, err, http.StatusBadRequest, "invalid_grant")
	})
	t.Run("a code that is slipped into another tenant's login is refused", func(t *testing.T) {
		stolen := code()
		_, err := globex.redeem(stolen)
		mustRefuse(t, err, http.StatusBadRequest, "invalid_grant")
		if _, who := acme.mustRedeem(stolen); who != lab.Username {
			t.Errorf("%s logged in", who)
		}
	})
	t.Run("a code of another client is refused", func(t *testing.T) {
		other, stolen := w.app(t, postClient, site, "acme"), code()
		other.Endpoint.AuthStyle = oauth2.AuthStyleInParams
		_, err := other.redeem(stolen)
		mustRefuse(t, err, http.StatusBadRequest, "invalid_grant")
		acme.mustRedeem(stolen)
	})
}

func TestAWrongClientSecretDoesNotBurnTheCode(t *testing.T) {
	w := shared(t)
	site := newLanding(t, w.issuer())
	tap := newWire(t, w, false)
	w.serve(t, tap.through(w, w.config(t, transparentApps(site.port))))

	t.Run("wrong first, then right", func(t *testing.T) {
		app := w.app(t, transparentClient, site, "acme")
		code := app.code(newPerson(t, lab.Username).must(app.AuthCodeURL("s"), app.origin), "s")
		app.ClientSecret = "wrong"
		_, err := app.redeem(code)
		mustRefuse(t, err, http.StatusUnauthorized, "unauthorized_client") // Keycloak's word, passed as it is
		app.ClientSecret = clientSecret
		app.mustRedeem(code)
	})
	t.Run("golang.org/x/oauth2 finds out that Keycloak wants the secret in the body", func(t *testing.T) {
		app := w.app(t, postClient, site, "globex")
		app.Endpoint.AuthStyle = oauth2.AuthStyleAutoDetect
		app.mustRedeem(app.code(newPerson(t, lab.Username).must(app.AuthCodeURL("s"), app.origin), "s"))
		if n := tap.times("/token"); n != 4 {
			t.Errorf("Keycloak got %d token requests, want 2 in each of the two tests", n)
		}
	})
}

// TestAThiefsRawCodeIsWorthNothingAtAnotherTenant is the sealing oracle
// (docs/threat-model.md): whoever holds a code as Keycloak made it can have the
// door seal it, as the code of a login of his own at another tenant. The door's
// own PKCE is what stops it, and so it is taken away here first.
func TestAThiefsRawCodeIsWorthNothingAtAnotherTenant(t *testing.T) {
	w := shared(t)
	for _, tt := range []struct {
		name     string
		hidePKCE bool
		app      string // more of the app's configuration
		stolen   bool
	}{
		{"with the door's PKCE", false, "", false},
		{"with the door's PKCE, whatever the operator permits", false, "accept_unbound_codes: true", false},
		{"without it, which the operator must have permitted", true, "accept_unbound_codes: true", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			site := newLanding(t, w.issuer())
			tap := newWire(t, w, tt.hidePKCE)
			w.serve(t, tap.through(w, w.config(t, oracleApp(site.port, tt.app))))
			acme, globex := w.app(t, transparentClient, site, "acme"), w.app(t, transparentClient, site, "globex")
			raw := stealRawCode(t, w, globex)

			// The thief begins a login of his own at acme, goes as far as his own
			// response, and brings it to the door with the victim's code in it.
			mallory := newPerson(t, lab.Thief)
			own, err := url.Parse(mallory.must(acme.AuthCodeURL("mallory's"), w.registered()))
			if err != nil {
				t.Fatal(err)
			}
			query := own.Query()
			query.Set("code", raw)
			own.RawQuery = query.Encode()
			sealed := acme.code(mallory.must(own.String(), acme.origin), "mallory's")

			token, err := acme.redeem(sealed)
			if tt.stolen {
				if err != nil {
					t.Fatalf("the attack does not work, so nothing here shows what stops it: %v", err)
				}
				if who := acme.person(token); who != lab.Username {
					t.Errorf("the thief is %s at acme", who)
				}
			} else {
				mustRefuse(t, err, http.StatusBadRequest, "invalid_grant")
				// It is the provider that refuses: all that the door could see was right.
				if got := tap.last(t, "/token").Get("code"); got != raw || !strings.Contains(err.Error(), "PKCE") {
					t.Errorf("refused for another reason: %v, with code %q", err, got)
				}
			}

			at := newPerson(t, lab.Username).must(acme.AuthCodeURL("honest"), acme.origin)
			if _, who := acme.mustRedeem(acme.code(at, "honest")); who != lab.Username {
				t.Errorf("an honest login: %s", who)
			}
		})
	}
	t.Run("a provider without PKCE needs the operator's permission", func(t *testing.T) {
		site := newLanding(t, w.issuer())
		tap := newWire(t, w, true)
		w.serve(t, tap.through(w, w.config(t, oracleApp(site.port, ""))))
		app := w.app(t, transparentClient, site, "acme")
		at := newPerson(t, lab.Username).must(app.AuthCodeURL("s"), app.origin)
		if got := app.response(at, "s"); got.Get("error") != "server_error" {
			t.Errorf("the response is %v, want server_error", got)
		}
	})
}

// oracleApp is the app, with more said of it.
func oracleApp(port int, more string) string {
	return strings.Replace(transparentApps(port), "client_id: "+transparentClient+"\n", "client_id: "+transparentClient+"\n    "+more+"\n", 1)
}

// stealRawCode has a victim log in and takes the response before the victim's
// browser brings it to the door: what a log, a history or a proxy would show.
func stealRawCode(t *testing.T, w *world, app *app) string {
	t.Helper()
	response := newPerson(t, lab.Username).must(app.AuthCodeURL("the victim's"), w.registered())
	u, err := url.Parse(response)
	if err != nil || u.Query().Get("code") == "" {
		t.Fatalf("no code in %s: %v", response, err)
	}
	return u.Query().Get("code")
}
