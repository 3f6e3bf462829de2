//go:build e2e && linux

package e2e

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"onedoor/e2e/lab"
)

// TestStrictClientsLogInByThePublicNameFromInside is for clients that demand
// that the issuer is the URL they asked (OIDC Discovery §4.3), to the letter:
// no private document can help them, so the public name leads to the door inside
// the private network too.
func TestStrictClientsLogInByThePublicNameFromInside(t *testing.T) {
	w := shared(t)
	inside := func(t *testing.T) *split {
		s := newSplit(t, w, map[string]string{"auth.localhost": internalDoor})
		s.provider(t, w.keycloak.Origin)
		s.startDoor(t, "/realms/"+realm, transparentClient)
		return s
	}

	t.Run("go-oidc", func(t *testing.T) {
		s := inside(t)
		app := &site{clientID: transparentClient, issuer: w.issuer(), discovery: w.issuer()}
		app.dial = lab.DialTo(s.app, fmt.Sprintf("%s:%d", internalDoor, w.port)) // its /etc/hosts
		app.serve(t, s.app.Listen(t, fmt.Sprintf("%s:%d", appEnd, sitePort)))
		for _, tenant := range []string{"acme", "globex"} {
			s.logInAtSite(t, tenant)
		}
		for _, url := range app.asked() {
			if !strings.HasPrefix(url, w.public()+"/") {
				t.Errorf("the site asked %s, which is not on the public origin", url)
			}
		}
	})

	t.Run("openid-client 6", func(t *testing.T) {
		s := inside(t)
		s.startOpenIDClient(t, w.issuer())
		for _, tenant := range []string{"acme", "globex"} {
			s.logInAtSite(t, tenant)
		}
	})

	t.Run("openid-client 6 refuses the internal document", func(t *testing.T) {
		s := inside(t)
		app := s.startOpenIDClient(t, s.internal()+"/realms/"+realm)
		browser := s.startBrowser(t)
		browser.Open(s.origin("acme") + "/login")
		if text := browser.Text("#error"); !strings.Contains(text, "issuer") {
			t.Errorf("the site shows %q, want a complaint about the issuer\n%s", text, app.Tail(20))
		}
	})
}

// startOpenIDClient starts the openid-client application in the private network.
func (s *split) startOpenIDClient(t *testing.T, issuer string) *lab.Process {
	t.Helper()
	cmd := s.app.Command("node", "server.mjs")
	cmd.Dir = lab.NodeApp(t, "openid-client6")
	cmd.Env = append(os.Environ(), "HOST="+appEnd, fmt.Sprintf("PORT=%d", sitePort),
		"OIDC_ISSUER="+issuer, "OIDC_CLIENT_ID="+transparentClient, "OIDC_CLIENT_SECRET="+clientSecret)
	p := lab.Start(t, "openid-client", cmd)
	p.Await(t, "its start page answers", func() error { return s.get(s.origin("acme") + "/") })
	return p
}

// logInAtSite logs Ada in at a tenant's site that has /login.
func (s *split) logInAtSite(t *testing.T, tenant string) {
	t.Helper()
	browser := s.startBrowser(t)
	browser.Open(s.origin(tenant) + "/login")
	browser.LogIn(lab.KeycloakPage, "#person, #error")
	if got := browser.Text("#person, #error"); got != lab.FullName {
		t.Fatalf("%s: the site shows %q, want %q\n%s", tenant, got, lab.FullName, browser.Page())
	}
	if got := browser.Origin(); got != s.origin(tenant) {
		t.Errorf("%s ends at %s, want %s", tenant, got, s.origin(tenant))
	}
}
