//go:build e2e && linux

package e2e

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"onedoor/e2e/lab"
)

const authentikIssuer = "/application/o/atlas/"

var authentikPage = lab.LoginPage{Username: "[name=uidField]", Password: "[name=password]", Button: "form button"}

// startAuthentik starts the stand-in with one client that has these redirect URIs.
func startAuthentik(t *testing.T, clientID string, redirectURIs ...string) (origin string) {
	t.Helper()
	program := filepath.Join(lab.TempDir(t, "authentik"), "authentik")
	build := exec.Command("go", "build", "-o", program, "./e2e/authentik")
	build.Dir = lab.Root()
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	address := fmt.Sprintf("127.0.0.1:%d", lab.FreePort(t))
	p := lab.Start(t, "authentik", exec.Command(program, "-listen", address,
		"-client-id", clientID, "-client-secret", clientSecret, "-redirect-uris", strings.Join(redirectURIs, " "),
		"-username", lab.Username, "-password", lab.Password, "-name", lab.FullName))
	p.Await(t, "it answers", func() error {
		conn, err := lab.Here.DialContext(t.Context(), "tcp", address)
		if err == nil {
			_ = conn.Close()
		}
		return err
	})
	return "http://" + address
}

// TestNextAuthFailsDirectlyAndLogsInThroughTheDoorBeforeAuthentiksLayout is the
// first seed as it was met: authentik's URLs follow the request's Host, one
// authorization endpoint serves all providers, and the login is a script that
// leaves no Location header to rewrite.
func TestNextAuthFailsDirectlyAndLogsInThroughTheDoorBeforeAuthentiksLayout(t *testing.T) {
	w := &world{port: lab.FreePort(t)}
	discovery := authentikIssuer + ".well-known/openid-configuration"

	t.Run("directly, in one network for all", func(t *testing.T) {
		app := (&site{clientID: directClient, issuer: w.public() + authentikIssuer, discovery: w.public() + authentikIssuer, page: authentikPage}).at(w)
		app.serve(t, nil)
		origin := startAuthentik(t, directClient, app.origin("acme")+"/api/auth/callback")
		lab.Publish(t, lab.Here, w.address(), lab.Here, strings.TrimPrefix(origin, "http://"))
		app.mustLogIn(t, "acme")
	})

	t.Run("directly, in a split network", func(t *testing.T) {
		s := newSplit(t, w, nil)
		s.provider(t, startAuthentik(t, directClient, s.origin("acme")+"/api/auth/callback/provider"))
		s.direct(t)
		s.startNextAuth(t, s.internal()+discovery, directClient)
		browser := s.startBrowser(t)
		browser.Open(s.origin("acme") + "/api/auth/signin")
		browser.Press(signIn)
		want := "net::ERR_NAME_NOT_RESOLVED " + s.internal() + "/application/o/authorize/?"
		if got := browser.AwaitFailure(); !strings.HasPrefix(got, want) {
			t.Errorf("the browser fails with %q, want %q…", got, want)
		}
	})

	t.Run("through the door, the provider knows the app's own redirect URI", func(t *testing.T) {
		s := newSplit(t, w, nil)
		s.provider(t, startAuthentik(t, directClient, s.origin("acme")+"/api/auth/callback/provider"))
		s.startDoor(t, authentikIssuer, transparentClient)
		s.startNextAuth(t, s.internal()+discovery, directClient)
		s.logIn(t, "acme", authentikPage)
	})

	t.Run("through the door, the provider knows the door's redirect URI alone", func(t *testing.T) {
		s := newSplit(t, w, nil)
		s.provider(t, startAuthentik(t, transparentClient, w.public()+"/onedoor/callback"))
		s.startDoor(t, authentikIssuer, transparentClient)
		s.startNextAuth(t, s.internal()+discovery, transparentClient)
		s.logIn(t, "acme", authentikPage)
		s.logIn(t, "globex", authentikPage)
	})
}
