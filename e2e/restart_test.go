//go:build e2e && linux

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"onedoor/e2e/lab"
)

// TestTheDoorOutlivesTheProvidersRestart stops Keycloak under one door, starts
// another door meanwhile, and starts Keycloak again.
func TestTheDoorOutlivesTheProvidersRestart(t *testing.T) {
	w := shared(t)
	app := (&site{clientID: transparentClient, issuer: w.issuer(), discovery: w.internal() + "/realms/" + realm}).at(w)
	app.serve(t, nil)
	elder := w.door(t, transparentApp(app.port))
	app.mustLogIn(t, "acme")

	w.keycloak.Stop()
	t.Cleanup(func() { // the other tests need it
		if t.Failed() {
			w.keycloak.Stop()
			w.keycloak.Start()
			w.keycloak.Await(t)
		}
	})

	t.Run("the door serves the metadata that it has read", func(t *testing.T) {
		issuer := w.issuerAt(t, elder)
		if issuer != w.issuer() {
			t.Errorf("the document's issuer is %q, want %q", issuer, w.issuer())
		}
	})
	t.Run("a request for the provider gets an answer of the door's own", func(t *testing.T) {
		resp := w.get(t, elder, "/realms/"+realm+"/account")
		if resp.StatusCode != http.StatusBadGateway && resp.StatusCode != http.StatusServiceUnavailable {
			t.Errorf("the door answers %s, want 502 or 503", resp.Status)
		}
	})

	// The younger stands on another port, so that both live at once; its browser
	// and its site find it there under the same public origin.
	port := lab.FreePort(t)
	address := fmt.Sprintf("127.0.0.1:%d", port)
	late := (&site{clientID: transparentClient, issuer: w.issuer(), discovery: w.internal() + "/realms/" + realm})
	late.dial = lab.DialTo(lab.Here, address)
	late.serve(t, nil)
	younger := lab.StartDoorUnready(t, lab.DoorOptions{
		Net: lab.Here, Address: address, Origin: w.public(),
		Config: strings.Replace(w.config(t, transparentApp(late.port)), "listen: "+w.address(), "listen: "+address, 1),
	})

	t.Run("a door that has not seen its provider yet is not ready and says when to ask again", func(t *testing.T) {
		if resp := w.get(t, younger, "/onedoor/health/ready"); resp.StatusCode != http.StatusServiceUnavailable {
			t.Errorf("ready answers %s, want 503", resp.Status)
		}
		for _, path := range []string{"/realms/" + realm + "/.well-known/openid-configuration", "/realms/" + realm + "/protocol/openid-connect/auth?client_id=x"} {
			resp := w.get(t, younger, path)
			if resp.StatusCode != http.StatusServiceUnavailable {
				t.Errorf("%s: %s, want 503", path, resp.Status)
			}
			if seconds, err := strconv.Atoi(resp.Header.Get("Retry-After")); err != nil || seconds < 1 {
				t.Errorf("%s: Retry-After is %q, want seconds", path, resp.Header.Get("Retry-After"))
			}
		}
	})

	w.keycloak.Start()
	w.keycloak.Await(t)

	t.Run("the elder door works as before", func(t *testing.T) { app.mustLogIn(t, "globex") })
	t.Run("the younger door becomes ready by itself", func(t *testing.T) {
		younger.AwaitStatus(t, "/onedoor/health/ready", http.StatusOK)
		browser := lab.StartBrowser(t, lab.Here, map[string]string{
			fmt.Sprintf("auth.localhost:%d", w.port): address, "*.localhost": "127.0.0.1",
		})
		late.mustLogInWith(t, browser, "globex")
	})
}

// get asks a door for a path of its public origin.
func (w *world) get(t *testing.T, door *lab.Door, path string) *http.Response {
	t.Helper()
	r, err := http.NewRequestWithContext(context.Background(), http.MethodGet, w.public()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := door.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = resp.Body.Close() })
	return resp
}

// issuerAt is the issuer in a door's discovery document.
func (w *world) issuerAt(t *testing.T, door *lab.Door) string {
	t.Helper()
	resp := w.get(t, door, "/realms/"+realm+"/.well-known/openid-configuration")
	var document struct {
		Issuer string `json:"issuer"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&document); err != nil {
		t.Fatalf("%s: %v", resp.Status, err)
	}
	return document.Issuer
}
