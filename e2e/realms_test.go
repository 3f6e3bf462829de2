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

// tenantRealms are a realm for each tenant, each with the app as a client of the
// same name that has one redirect URI of its own.
func (w *world) tenantRealms() (all []lab.Realm) {
	for _, tenant := range []string{"acme", "globex"} {
		all = append(all, lab.NewRealm(tenant, lab.Client{
			ClientID: transparentClient, Secret: clientSecret, RedirectURIs: []string{w.registeredAt(tenant)},
			Attributes: map[string]string{"post.logout.redirect.uris": w.public() + "/onedoor/logout/realms/" + tenant},
		}))
	}
	return all
}

func (w *world) registeredAt(tenant string) string { return w.registered() + "/realms/" + tenant }

func (w *world) issuerOf(tenant string) string { return w.public() + "/realms/" + tenant }

// realmsConfig is the door before a realm for each tenant.
func (w *world) realmsConfig(t *testing.T, port int) string {
	t.Helper()
	config := w.config(t, transparentApps(port))
	return strings.Replace(config, "issuers: [/realms/"+realm+"]", `issuers: ["/realms/{tenant}"]`, 1)
}

func TestEachTenantsPeopleLogInAtItsOwnRealm(t *testing.T) {
	w := shared(t)
	site := newLanding(t, w.issuer())
	w.serve(t, w.realmsConfig(t, site.port))
	browser := lab.StartBrowser(t, lab.Here, everywhere)
	for _, tenant := range []string{"acme", "globex"} {
		t.Run(tenant, func(t *testing.T) {
			app := w.appOf(t, w.issuerOf(tenant), transparentClient, site, tenant)
			browser.Open(app.AuthCodeURL("silent", oauth2.SetAuthURLParam("prompt", "none")))
			browser.Text("#landed")
			if got := app.response(browser.URL(), "silent"); got.Get("error") != "login_required" {
				t.Errorf("without a session at this realm the response is %v", got)
			}
			browser.Open(app.AuthCodeURL("s"))
			browser.LogIn(lab.KeycloakPage, "#landed")
			token, who := app.mustRedeem(app.code(browser.URL(), "s"))
			if who != lab.Username {
				t.Errorf("%s logged in", who)
			}
			idToken, _ := token.Extra("id_token").(string)
			browser.Open(app.endpoint("end_session_endpoint") + "?" + url.Values{
				"id_token_hint": {idToken}, "post_logout_redirect_uri": {app.origin + "/goodbye"}, "state": {"bye"},
			}.Encode())
			browser.Text("#landed")
			if got, want := browser.URL(), app.origin+"/goodbye?state=bye"; got != want {
				t.Errorf("the logout ends at %s, want %s", got, want)
			}
		})
	}
}

func TestOneTenantsRealmIsNoUseAtAnothers(t *testing.T) {
	w := shared(t)
	site := newLanding(t, w.issuer())
	door := w.serve(t, w.realmsConfig(t, site.port))
	acme := w.appOf(t, w.issuerOf("acme"), transparentClient, site, "acme")
	globex := w.appOf(t, w.issuerOf("globex"), transparentClient, site, "globex")
	ada := newPerson(t, lab.Username)

	t.Run("a response of one realm is refused where another's come", func(t *testing.T) {
		response := ada.must(acme.AuthCodeURL("s"), w.registeredAt("acme"))
		astray := strings.Replace(response, w.registeredAt("acme"), w.registeredAt("globex"), 1)
		if v := ada.walk(astray, "http://globex."); v.status != http.StatusBadRequest {
			t.Fatalf("the walk ends at %s with %d", v.at, v.status)
		}
		mustSay(t, door, "state.seal")
		if _, who := acme.mustRedeem(acme.code(ada.must(response, acme.origin), "s")); who != lab.Username {
			t.Errorf("%s logged in", who)
		}
	})
	t.Run("a code of one realm is refused at another's token endpoint", func(t *testing.T) {
		code := acme.code(ada.must(acme.AuthCodeURL("s"), acme.origin), "s")
		_, err := globex.redeem(code)
		mustRefuse(t, err, http.StatusBadRequest, "invalid_grant")
		mustSay(t, door, "code.seal")
	})
	t.Run("a site of one tenant is refused at another's realm", func(t *testing.T) {
		mixed := acme.Config
		mixed.RedirectURL = globex.RedirectURL
		if v := ada.walk(mixed.AuthCodeURL("s"), globex.origin); v.status != http.StatusBadRequest {
			t.Fatalf("the walk ends at %s with %d", v.at, v.status)
		}
		mustSay(t, door, "issuer.tenant")
	})
	t.Run("a realm that is no tenant's is not served", func(t *testing.T) {
		at := strings.Replace(acme.AuthCodeURL("s"), "/realms/acme/", "/realms/"+realm+"/", 1)
		if v := ada.walk(at, acme.origin); v.status != http.StatusNotFound {
			t.Errorf("the walk ends at %s with %d", v.at, v.status)
		}
	})
}
