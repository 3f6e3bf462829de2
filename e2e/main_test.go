//go:build e2e && linux

// Package e2e shows the promises with real things: Keycloak, Chromium, next-auth,
// nginx. Each test starts what it needs on the loopback interface or in private
// networks of its own and stops it. Run them with make e2e.
package e2e

import (
	"fmt"
	"os"
	"sync"
	"testing"

	"onedoor/e2e/lab"
)

// suite is the life of the whole test binary: Keycloak takes 15 s to start.
var suite lab.Suite

func TestMain(m *testing.M) {
	code := m.Run()
	suite.Close()
	os.Exit(code)
}

// The clients that Keycloak knows. Each has exactly the redirect URIs that the
// door's documentation says to register.
const (
	realm        = "atlas"
	strictRealm  = "strict" // demands https of everybody
	clientSecret = "the app's own secret"

	transparentClient = "atlas-web"    // one redirect URI, the door's
	relayClient       = "atlas-relay"  // the relay's, one for each tenant
	directClient      = "atlas-direct" // the app's own, as before there was a door
)

// world is what all tests share: one public origin, and the Keycloak behind it.
type world struct {
	port     int // of the public origin
	keycloak *lab.Keycloak
}

var (
	theWorld  world
	makeWorld sync.Once
)

func shared(t *testing.T) *world {
	t.Helper()
	makeWorld.Do(func() {
		theWorld.port = lab.FreePort(&suite)
		theWorld.keycloak = lab.StartKeycloak(&suite, lab.KeycloakOptions{
			Net: lab.Here, Address: fmt.Sprintf("127.0.0.1:%d", lab.FreePort(&suite)),
			Hostname: theWorld.public(), Realms: append([]lab.Realm{theWorld.realm(), theWorld.emptyRealm(), httpsRealm(), renamedRealm()}, theWorld.tenantRealms()...),
		})
	})
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("keycloak said:\n%s", theWorld.keycloak.Log())
		}
	})
	return &theWorld
}

// public is the public origin. Browsers take http for as good as https where
// the host is under localhost; Keycloak's cookies demand one or the other.
func (w *world) public() string { return fmt.Sprintf("http://auth.localhost:%d", w.port) }

func (w *world) issuer() string { return w.public() + "/realms/" + realm }

func httpsRealm() lab.Realm {
	strict := lab.NewRealm(strictRealm, lab.Client{ClientID: directClient, Secret: clientSecret})
	strict.SSLRequired = "all"
	return strict
}

func (w *world) realm() lab.Realm {
	return lab.NewRealm(realm, append(w.transparentClients(),
		lab.Client{ClientID: relayClient, Secret: clientSecret, RedirectURIs: []string{
			w.public() + "/tenants/acme/callback", w.public() + "/tenants/globex/callback",
		}},
		lab.Client{ClientID: directClient, Secret: clientSecret, RedirectURIs: []string{
			fmt.Sprintf("http://acme.localhost:%d/api/auth/callback/provider", sitePort),
		}},
	)...)
}
