package doctor

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
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

// Who must push its requests is not refused because they were not.
func TestAnAppThatPushesItsRequestsIsNotCalledBroken(t *testing.T) {
	for name, tt := range map[string]struct {
		public bool
		want   Status
	}{"a public one": {true, OK}, "one with a secret": {false, Skipped}} {
		f := newFake(t)
		var pushed atomic.Int64
		f.endpoints = map[string]string{"pushed_authorization_request_endpoint": f.URL + "/par"}
		f.pushes = func(w http.ResponseWriter, r *http.Request) {
			if uri := r.FormValue("redirect_uri"); uri == "" {
				http.Error(w, "{}", http.StatusBadRequest) // as it is visited
			} else if pushed.Add(1); uri != appURI {
				http.Error(w, `{"error":"invalid_request","error_description":"Invalid parameter: redirect_uri"}`, http.StatusBadRequest)
			} else {
				w.WriteHeader(http.StatusCreated)
				fmt.Fprintf(w, `{"request_uri":%q}`, r.FormValue("state"))
			}
		}
		f.answers = func(w http.ResponseWriter, r *http.Request) {
			state := r.FormValue("request_uri")
			if state == "" {
				http.Redirect(w, r, appURI+"?error=invalid_request&error_description=push+it&state="+r.FormValue("state"), http.StatusFound)
				return
			}
			http.Redirect(w, r, appURI+"?error=login_required&state="+state, http.StatusFound)
		}
		r := examine(t, Subject{Issuer: f.URL, Clients: []Client{{ID: "app", RedirectURIs: []string{appURI}, Through: true, Public: tt.public, Pushes: true}}})
		if c := r.check("redirect/0/0"); !r.OK || len(r.Findings) > 0 || c.Status != tt.want || (pushed.Load() > 0) != tt.public {
			t.Errorf("%s: %+v, %+v", name, r.Findings, c)
		}
	}
}
