package doctor

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// A tenant's redirect URI that is refused through a door is never to be
// registered at the provider: the door sends its own in its place.
func TestThroughADoorNoTenantsRedirectURIIsToBeRegistered(t *testing.T) {
	const site, own = "https://acme.example.com/cb", "https://auth.example.com/onedoor/callback"
	for upstream, want := range map[string]string{
		"":                     "onedoor client set --redirect-uri " + own + " atlas-web",
		"http://keycloak:8080": "onedoor trace find --failed",
	} {
		c := &examination{Subject: Subject{Door: &Door{Upstream: upstream}}}
		cl := Client{ID: "atlas-web", Through: true, Registered: own}
		fixes := strings.Join(c.unregistered(cl, Question{RedirectURI: site}, Trial{}, "at the provider").fix, "; ")
		if !strings.Contains(fixes, want) || strings.Contains(fixes, "register exactly "+site) {
			t.Errorf("with the upstream %q: %s", upstream, fixes)
		}
	}
}

// What the door refuses, as a suspended tenant, is no business of the provider's.
func TestTheDoorsOwnPageIsToldFromTheProviders(t *testing.T) {
	f := newFake(t)
	f.answers = func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Request-Id", "xo5fqous4uswa")
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprint(w, "This site is not known. Reference: xo5fqous4uswa")
	}
	s := Subject{Door: &Door{File: "onedoor.yaml", Public: []string{f.URL}, Issuers: []string{f.URL}}}
	s.Clients = []Client{{ID: "app", Through: true, Registered: f.URL + "/onedoor/callback", RedirectURIs: []string{appURI}}}
	found := wantFirst(t, examine(t, s), DoorRefused)
	if !strings.Contains(strings.Join(found.Fix, " "), "onedoor trace show xo5fqous4uswa") || !strings.Contains(found.Check.Said, appURI) {
		t.Errorf("it says %+v", found)
	}
	if n := f.asked.Load(); n > 20 {
		t.Errorf("%d requests: what the door refuses is not tried in other spellings", n)
	}
}
