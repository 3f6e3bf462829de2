//go:build e2e && linux

package e2e

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"onedoor/e2e/lab"
)

// The split network: two wires that meet only in the machine where the provider
// and the door are. The addresses are those of documentation (RFC 5737).
const (
	publicDoor   = "192.0.2.1"    // what browsers reach; also where the app is published
	browserEnd   = "192.0.2.2"    //
	internalDoor = "198.51.100.1" // what servers reach
	appEnd       = "198.51.100.2" //

	sitePort     = 3000
	providerPort = 8080
)

// split is the first seed's place: the browser cannot reach the internal
// address, nor the app the public one.
type split struct {
	world              *world
	door, browser, app *lab.Net
}

// newSplit makes the networks. appHosts are the names that the app knows beside
// server, the internal one.
func newSplit(t *testing.T, w *world, appHosts map[string]string) *split {
	t.Helper()
	hosts := map[string]string{"server": internalDoor}
	for name, address := range appHosts {
		hosts[name] = address
	}
	s := &split{
		world: w, door: lab.NewNet(t, "door", nil), browser: lab.NewNet(t, "browser", nil), app: lab.NewNet(t, "app", hosts),
	}
	lab.Connect(t, s.door, publicDoor, s.browser, browserEnd)
	lab.Connect(t, s.door, internalDoor, s.app, appEnd)
	// The app's port is published where browsers are, as a container's would be.
	lab.Publish(t, s.door, fmt.Sprintf("%s:%d", publicDoor, sitePort), s.app, fmt.Sprintf("%s:%d", appEnd, sitePort))
	return s
}

// internal is the internal origin: the provider's in the seed, the door's later.
func (s *split) internal() string { return fmt.Sprintf("http://server:%d", s.world.port) }

// provider puts a provider, which listens on this machine, beside the door.
func (s *split) provider(t *testing.T, origin string) {
	t.Helper()
	lab.Publish(t, s.door, fmt.Sprintf("127.0.0.1:%d", providerPort), lab.Here, strings.TrimPrefix(origin, "http://"))
}

// direct opens the provider to both networks, without a door.
func (s *split) direct(t *testing.T) {
	t.Helper()
	for _, address := range []string{publicDoor, internalDoor} {
		lab.Publish(t, s.door, fmt.Sprintf("%s:%d", address, s.world.port), s.door, fmt.Sprintf("127.0.0.1:%d", providerPort))
	}
}

// startDoor puts the door where both networks meet, a listener for each.
func (s *split) startDoor(t *testing.T, issuer, clientID string) *lab.Door {
	t.Helper()
	return lab.StartDoor(t, lab.DoorOptions{
		Net: s.door, Address: fmt.Sprintf("%s:%d", publicDoor, s.world.port), Origin: s.world.public(),
		Config: fmt.Sprintf(`
public_url: %s
internal_urls: [%s]
listeners:
  - {address: "%s:%d", serves: [public]}
  - {address: "%s:%d", serves: [internal, public]}
provider:
  upstream: http://127.0.0.1:%d
  issuers: [%s]
apps:
  atlas:
    client_id: %s
    type: confidential
    site: http://{tenant}.localhost:%d
    callbacks: [/api/auth/callback/provider, /api/auth/callback]
tenants:
  list: [acme, globex]
database: %s/onedoor.db
admin: {listen: "127.0.0.1:9001"}
log: {level: debug}
`, s.world.public(), s.internal(), publicDoor, s.world.port, internalDoor, s.world.port,
			providerPort, issuer, clientID, sitePort, lab.TempDir(t, "db")),
	})
}

// origin is a tenant's address in the browser.
func (s *split) origin(tenant string) string {
	return fmt.Sprintf("http://%s.localhost:%d", tenant, sitePort)
}

func (s *split) startBrowser(t *testing.T) *lab.Browser {
	t.Helper()
	return lab.StartBrowser(t, s.browser, map[string]string{"*.localhost": publicDoor})
}

// startNextAuth starts the next-auth application in the private network. What it
// is told of its provider is one URL.
func (s *split) startNextAuth(t *testing.T, wellKnown, clientID string) *lab.Process {
	t.Helper()
	dir := lab.NodeApp(t, "next-auth4")
	cmd := s.app.Command("node", filepath.Join(dir, "node_modules/next/dist/bin/next"), "start", "-H", appEnd, "-p", fmt.Sprint(sitePort))
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "NEXT_TELEMETRY_DISABLED=1", "NODE_ENV=production",
		"AUTH_TRUST_HOST=1", "NEXTAUTH_SECRET=a secret of the site",
		"OIDC_WELL_KNOWN="+wellKnown, "OIDC_CLIENT_ID="+clientID, "OIDC_CLIENT_SECRET="+clientSecret)
	p := lab.Start(t, "next-auth", cmd)
	p.Await(t, "its start page answers", func() error { return s.get(s.origin("acme") + "/") })
	return p
}

// get opens a page of the app from the browser's network.
func (s *split) get(url string) error {
	client := lab.HTTPClient(lab.DialTo(s.browser, fmt.Sprintf("%s:%d", publicDoor, sitePort)))
	resp, err := client.Get(url)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", url, resp.Status)
	}
	return nil
}

const signIn = "form[action$='/signin/provider'] button"

// TestTheNetworksAreSplit keeps the other tests honest.
func TestTheNetworksAreSplit(t *testing.T) {
	s := newSplit(t, &world{}, nil)
	l := s.door.Listen(t, "0.0.0.0:9000")
	lab.Serve(t, l, http.NotFoundHandler())
	for _, tt := range []struct {
		name    string
		from    *lab.Net
		to      string
		reaches bool
	}{
		{"the browser reaches the public address", s.browser, publicDoor, true},
		{"the browser does not reach the internal address", s.browser, internalDoor, false},
		{"the app reaches the internal address", s.app, internalDoor, true},
		{"the app does not reach the public address", s.app, publicDoor, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			conn, err := tt.from.DialContext(t.Context(), "tcp", tt.to+":9000")
			if err == nil {
				_ = conn.Close()
			}
			if (err == nil) != tt.reaches {
				t.Errorf("dialling says %v", err)
			}
		})
	}
}

// TestNextAuthFailsDirectlyAndLogsInThroughTheDoor is the first seed: next-auth
// knows its provider by the discovery URL that it can reach, and no endpoint is
// typed by hand.
func TestNextAuthFailsDirectlyAndLogsInThroughTheDoor(t *testing.T) {
	w := shared(t)
	following := lab.StartKeycloak(t, lab.KeycloakOptions{
		Net: lab.Here, Address: fmt.Sprintf("127.0.0.1:%d", lab.FreePort(t)), Realms: []lab.Realm{w.realm()},
	})
	discovery := "/realms/" + realm + "/.well-known/openid-configuration"

	t.Run("directly, before a provider whose URLs follow the request", func(t *testing.T) {
		s := newSplit(t, w, nil)
		s.provider(t, following.Origin)
		s.direct(t)
		s.startNextAuth(t, s.internal()+discovery, directClient)
		browser := s.startBrowser(t)
		browser.Open(s.origin("acme") + "/api/auth/signin")
		browser.Press(signIn)
		want := "net::ERR_NAME_NOT_RESOLVED " + s.internal() + "/realms/"
		if got := browser.AwaitFailure(); !strings.HasPrefix(got, want) {
			t.Errorf("the browser fails with %q, want %q…", got, want)
		}
	})

	t.Run("directly, before a provider whose URLs are the public ones", func(t *testing.T) {
		s := newSplit(t, w, nil)
		s.provider(t, w.keycloak.Origin)
		s.direct(t)
		app := s.startNextAuth(t, s.internal()+discovery, directClient)
		browser := s.startBrowser(t)
		browser.Open(s.origin("acme") + "/api/auth/signin")
		browser.Click(signIn, lab.KeycloakPage.Username)
		browser.LogIn(lab.KeycloakPage, "form[action$='/signin/provider']")
		if at := browser.URL(); !strings.Contains(at, "error=OAuthCallback") {
			t.Errorf("the browser ends at %s, want next-auth's error=OAuthCallback", at)
		}
		if log := string(app.Output()); !strings.Contains(log, "getaddrinfo ENOTFOUND auth.localhost") {
			t.Errorf("next-auth does not say ENOTFOUND:\n%s", app.Tail(30))
		}
	})

	t.Run("directly, told the public URL", func(t *testing.T) {
		s := newSplit(t, w, nil)
		s.provider(t, w.keycloak.Origin)
		s.direct(t)
		app := s.startNextAuth(t, w.public()+discovery, directClient)
		browser := s.startBrowser(t)
		browser.Open(s.origin("acme") + "/api/auth/signin")
		browser.Press(signIn)
		lab.Await(t, "next-auth shows its error", func() error {
			if at := browser.URL(); !strings.Contains(at, "error=OAuthSignin") {
				return fmt.Errorf("the browser is at %s", at)
			}
			return nil
		})
		if log := string(app.Output()); !strings.Contains(log, "getaddrinfo ENOTFOUND auth.localhost") {
			t.Errorf("next-auth does not say ENOTFOUND:\n%s", app.Tail(30))
		}
	})

	for _, tt := range []struct{ name, provider string }{
		{"through the door, before a provider whose URLs follow the request", following.Origin},
		{"through the door, before a provider whose URLs are the public ones", w.keycloak.Origin},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newSplit(t, w, nil)
			s.provider(t, tt.provider)
			s.startDoor(t, "/realms/"+realm, transparentClient)
			t.Run("the provider knows the app's own redirect URI", func(t *testing.T) {
				s.startNextAuth(t, s.internal()+discovery, directClient)
				s.logIn(t, "acme", lab.KeycloakPage)
			})
			t.Run("the provider knows the door's redirect URI alone", func(t *testing.T) {
				s.startNextAuth(t, s.internal()+discovery, transparentClient)
				s.logIn(t, "acme", lab.KeycloakPage)
				s.logIn(t, "globex", lab.KeycloakPage)
			})
		})
	}
}

// logIn logs Ada in at a tenant's next-auth site with a fresh browser.
func (s *split) logIn(t *testing.T, tenant string, page lab.LoginPage) {
	t.Helper()
	browser := s.startBrowser(t)
	browser.Open(s.origin(tenant) + "/api/auth/signin")
	browser.Click(signIn, page.Username)
	if got := browser.Origin(); got != s.world.public() {
		t.Errorf("the login page is on %s, want %s", got, s.world.public())
	}
	browser.LogIn(page, "#person, .error")
	if got, want := browser.Text("body"), "Signed in as "+lab.FullName; !strings.Contains(got, want) {
		t.Fatalf("the site shows %q, want %q\n%s", got, want, browser.Page())
	}
	if got := browser.Origin(); got != s.origin(tenant) {
		t.Errorf("%s ends at %s, want %s", tenant, got, s.origin(tenant))
	}
}
