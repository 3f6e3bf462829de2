package doctor

import (
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
