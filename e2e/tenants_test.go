//go:build e2e && linux

package e2e

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"onedoor/e2e/lab"
)

// internal is the origin at which servers find the door, and no browser does.
func (w *world) internal() string { return fmt.Sprintf("http://onedoor:%d", w.port) }

// address is where the door listens, under both names.
func (w *world) address() string { return fmt.Sprintf("127.0.0.1:%d", w.port) }

// door starts the door before Keycloak for one app.
func (w *world) door(t *testing.T, app string) *lab.Door {
	t.Helper()
	return lab.StartDoor(t, lab.DoorOptions{Net: lab.Here, Address: w.address(), Origin: w.public(), Config: w.config(t, app)})
}

func (w *world) config(t *testing.T, app string) string {
	t.Helper()
	return fmt.Sprintf(`
public_url: %s
internal_urls: [%s]
listen: %s
provider:
  upstream: %s
  issuers: [/realms/%s]
apps:
%s
tenants:
  list: [acme, globex]
database: %s/onedoor.db
admin: {listen: "127.0.0.1:%d"}
log: {level: debug}
`, w.public(), w.internal(), w.address(), w.keycloak.Origin, realm, app, lab.TempDir(t, "db"), lab.FreePort(t))
}

func transparentApp(port int) string {
	return fmt.Sprintf(`  atlas:
    client_id: %s
    type: confidential
    site: http://{tenant}.localhost:%d
    callbacks: [/api/auth/callback]`, transparentClient, port)
}

func relayApp(port int) string {
	return fmt.Sprintf(`  atlas:
    client_id: %s
    mode: relay
    site: http://{tenant}.localhost:%d
    callbacks: [/api/auth/callback]`, relayClient, port)
}

// TestTenantsFailDirectlyAndLogInThroughTheDoor is the second seed: the provider
// knows one redirect URI, and every tenant sends its own.
func TestTenantsFailDirectlyAndLogInThroughTheDoor(t *testing.T) {
	w := shared(t)
	app := (&site{clientID: transparentClient, issuer: w.issuer(), discovery: w.internal() + "/realms/" + realm}).at(w)
	app.serve(t, nil)

	t.Run("directly, Keycloak knows no tenant's redirect URI", func(t *testing.T) {
		lab.Publish(t, lab.Here, w.address(), lab.Here, strings.TrimPrefix(w.keycloak.Origin, "http://"))
		direct := (&site{clientID: transparentClient, issuer: w.issuer(), discovery: w.issuer()}).at(w).serve(t, nil)
		browser := lab.StartBrowser(t, lab.Here, everywhere)
		browser.Open(direct.origin("acme") + "/login")
		if text := browser.Text("body"); !strings.Contains(text, "Invalid parameter: redirect_uri") {
			t.Errorf("Keycloak shows:\n%s", text)
		}
	})

	w.door(t, transparentApp(app.port))
	for _, tenant := range []string{"acme", "globex"} {
		t.Run(tenant+" logs in and ends on its own site", func(t *testing.T) { app.mustLogIn(t, tenant) })
	}
	for _, url := range app.asked() {
		if !strings.HasPrefix(url, w.internal()+"/") {
			t.Errorf("the site asked %s, which is not on the internal origin", url)
		}
	}
}

// TestTheRelayBringsEachTenantHome is the seed's own arrangement: the app sends
// the relay's address, and the provider knows it.
func TestTheRelayBringsEachTenantHome(t *testing.T) {
	w := shared(t)
	app := (&site{clientID: relayClient, issuer: w.issuer(), discovery: w.internal() + "/realms/" + realm}).at(w)
	app.redirectURI = func(r *http.Request) string { return w.public() + "/tenants/" + tenantOf(r) + "/callback" }
	app.serve(t, nil)
	w.door(t, relayApp(app.port))
	for _, tenant := range []string{"acme", "globex"} {
		t.Run(tenant, func(t *testing.T) {
			route := app.mustLogIn(t, tenant)
			relay := w.public() + "/tenants/" + tenant + "/callback?"
			if !slices.ContainsFunc(route, func(url string) bool { return strings.HasPrefix(url, relay) }) {
				t.Errorf("the login did not pass the relay; route:\n%s", strings.Join(route, "\n"))
			}
		})
	}
	t.Run("a path to return to", func(t *testing.T) {
		browser := lab.StartBrowser(t, lab.Here, everywhere)
		browser.Open(w.public() + "/tenants/acme/returnto/?from=relay")
		if got, want := browser.URL(), app.origin("acme")+"/?from=relay"; got != want {
			t.Errorf("the browser is at %s, want %s", got, want)
		}
	})
}

// everywhere leads all names under localhost to this machine.
var everywhere = map[string]string{"*.localhost": "127.0.0.1"}

// at puts the site where every name that it may call leads to the public port
// of this machine, under the internal name too.
func (s *site) at(w *world) *site {
	s.dial = lab.DialTo(lab.Here, w.address())
	return s
}

// mustLogIn logs Ada in at a tenant's site with a fresh browser and returns the
// way that the login took.
func (s *site) mustLogIn(t *testing.T, tenant string) []string {
	t.Helper()
	return s.mustLogInWith(t, lab.StartBrowser(t, lab.Here, everywhere), tenant)
}

func (s *site) mustLogInWith(t *testing.T, browser *lab.Browser, tenant string) []string {
	t.Helper()
	browser.Open(s.origin(tenant) + "/login")
	browser.LogIn(s.page, "#person, #error")
	if got := browser.Origin(); got != s.origin(tenant) {
		t.Fatalf("the browser ends at %s, want %s\n%s", got, s.origin(tenant), browser.Page())
	}
	if got := browser.Text("#person, #error"); got != lab.FullName {
		t.Fatalf("the site shows %q, want %q\n%s", got, lab.FullName, browser.Page())
	}
	return browser.Route()
}
