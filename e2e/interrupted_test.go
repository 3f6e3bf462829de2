//go:build e2e && linux

package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"onedoor/e2e/lab"
)

func TestTwoTabsOfOneBrowserLogInAtOnce(t *testing.T) {
	w := shared(t)
	site := newLanding(t, w.issuer())
	w.serve(t, w.config(t, transparentApps(site.port)))
	acme, globex := w.app(t, transparentClient, site, "acme"), w.app(t, transparentClient, site, "globex")
	one := lab.StartBrowser(t, lab.Here, everywhere)
	two := one.Tab()
	one.Open(acme.AuthCodeURL("one"))
	one.Text(lab.KeycloakPage.Button)
	two.Open(globex.AuthCodeURL("two"))
	two.Text(lab.KeycloakPage.Button)

	one.LogIn(lab.KeycloakPage, "#landed")
	two.Text("#landed") // Keycloak's page sees that somebody has logged in, and goes on
	for _, tab := range []struct {
		browser *lab.Browser
		app     *app
		state   string
	}{{one, acme, "one"}, {two, globex, "two"}} {
		if _, who := tab.app.mustRedeem(tab.app.code(tab.browser.URL(), tab.state)); who != lab.Username {
			t.Errorf("tab %s: %s logged in", tab.state, who)
		}
	}
}

func TestAResponseInAnotherBrowserIsRefusedByAPageThatLeadsBack(t *testing.T) {
	w := shared(t)
	site := newLanding(t, w.issuer())
	door := w.serve(t, w.config(t, transparentApps(site.port)))
	app := w.app(t, transparentClient, site, "acme")
	mallory := newPerson(t, lab.Thief)
	response := mallory.must(app.AuthCodeURL("mallory's"), w.registered())

	victim := lab.StartBrowser(t, lab.Here, everywhere)
	victim.Open(response)
	if got, want := victim.Text("h1, #landed"), "another browser"; !strings.Contains(got, want) {
		t.Fatalf("the page says %q, want %q in it\n%s", got, want, victim.Page())
	}
	mustSay(t, door, "state.browser")
	victim.Click("a.button", "#landed")
	if got, want := victim.URL(), app.origin+"/"; got != want {
		t.Errorf("the page leads to %s, want %s", got, want)
	}
	if came := site.last(t); came.params.Has("code") {
		t.Errorf("the site got a code: %v", came)
	}

	at := mallory.must(response, app.origin) // the response itself is good
	app.mustRedeem(app.code(at, "mallory's"))
}

// TestALoginOutlivesTheDoorAndATenantThatIsGoneDoesNot stops the door between
// the authorization request and the response, and starts another one with the
// same database, in which acme is no tenant any more.
func TestALoginOutlivesTheDoorAndATenantThatIsGoneDoesNot(t *testing.T) {
	w := shared(t)
	site := newLanding(t, w.issuer())
	config := w.config(t, transparentApps(site.port))
	first := w.serve(t, config)
	acme, globex := w.app(t, transparentClient, site, "acme"), w.app(t, transparentClient, site, "globex")
	ada, grace := newPerson(t, lab.Username), newPerson(t, lab.Username)

	code := acme.code(ada.must(acme.AuthCodeURL("early"), acme.origin), "early")
	token, _ := acme.mustRedeem(acme.code(ada.must(acme.AuthCodeURL("earliest"), acme.origin), "earliest"))
	gone := ada.must(acme.AuthCodeURL("gone"), w.registered())
	kept := grace.must(globex.AuthCodeURL("kept"), w.registered())
	idToken, _ := token.Extra("id_token").(string)

	first.Stop()
	second := w.serve(t, strings.Replace(config, "list: [acme, globex]", "list: [globex]", 1))

	t.Run("the login that was under way is completed", func(t *testing.T) {
		at := grace.must(kept, globex.origin)
		if _, who := globex.mustRedeem(globex.code(at, "kept")); who != lab.Username {
			t.Errorf("%s logged in", who)
		}
	})
	t.Run("the tenant's response is refused", func(t *testing.T) {
		if v := ada.walk(gone, site.origin("acme")); v.status != http.StatusForbidden {
			t.Fatalf("the walk ends at %s with %d, want 403\n%s", v.at, v.status, v.page)
		}
		mustSay(t, second, "tenant.unknown")
	})
	t.Run("the tenant's code is refused", func(t *testing.T) {
		_, err := acme.redeem(code)
		mustRefuse(t, err, http.StatusBadRequest, "invalid_grant")
	})
	t.Run("the tenant's authorization request is refused", func(t *testing.T) {
		if v := ada.walk(acme.AuthCodeURL("late"), site.origin("acme")); v.status != http.StatusBadRequest {
			t.Errorf("the walk ends at %s with %d, want 400", v.at, v.status)
		}
	})
	t.Run("the tenant's logout is refused", func(t *testing.T) {
		at := fmt.Sprintf("%s?id_token_hint=%s&post_logout_redirect_uri=%s/goodbye", globex.endpoint("end_session_endpoint"), idToken, acme.origin)
		if v := ada.walk(at, site.origin("acme")); v.status != http.StatusBadRequest {
			t.Errorf("the walk ends at %s with %d, want 400", v.at, v.status)
		}
	})
}
