//go:build e2e && linux

package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"golang.org/x/oauth2"

	"onedoor/e2e/lab"
)

// provokeKeycloak reads Keycloak's pages, its answers and the events in its log,
// and what a door says in its place.
func provokeKeycloak(t *testing.T, provoked *provocations) {
	w := shared(t)
	k := &keycloakCounter{t: t, world: w, provoked: provoked}
	t.Run("Keycloak", func(t *testing.T) {
		k.t = t
		lab.Publish(t, lab.Here, w.address(), lab.Here, strings.TrimPrefix(w.keycloak.Origin, "http://"))
		k.logins()
		k.tokens()
		k.renamed()
	})
	t.Run("a door", func(t *testing.T) {
		door := w.serve(t, w.config(t, transparentApp(sitePort)))
		v := &visitor{t: t, client: door.Client()}
		v.ask(http.MethodPost, w.issuer()+"/protocol/openid-connect/token", url.Values{
			"grant_type": {"authorization_code"}, "code": {"none"}, "client_id": {transparentClient}, "client_secret": {clientSecret},
			"redirect_uri": {fmt.Sprintf("http://acme.localhost:%d/api/auth/callback", sitePort)},
		})
		provoked.knows(t, "code-gone", v.seen.String())
		provoked.awaitKnown(t, "onedoor/code.seal", func() string { return string(door.Output()) })
		v = &visitor{t: t, client: door.Client()}
		v.ask(http.MethodGet, strings.Replace(w.public(), "auth.localhost", "another.example.com", 1)+"/", nil)
		provoked.knows(t, "misdirected", v.seen.String())
		v = &visitor{t: t, client: door.Client()}
		v.ask(http.MethodGet, w.issuer()+"/protocol/openid-connect/auth?response_type=code&client_id="+transparentClient+
			"&redirect_uri="+url.QueryEscape(fmt.Sprintf("http://acme.localhost:%d/api/auth/callback/", sitePort)), nil)
		provoked.knows(t, "onedoor/the-way-back-is-not-allowed", v.seen.String())
	})
}

// keycloakCounter asks Keycloak for what it refuses.
type keycloakCounter struct {
	t        *testing.T
	world    *world
	provoked *provocations
}

func (k *keycloakCounter) endpoint(name string) string {
	return k.world.issuer() + "/protocol/openid-connect/" + name
}

var directURI = fmt.Sprintf("http://acme.localhost:%d/api/auth/callback/provider", sitePort)

// authorization is the address of a login, bent.
func (k *keycloakCounter) authorization(with ...string) string {
	query := url.Values{"response_type": {"code"}, "client_id": {directClient}, "redirect_uri": {directURI}, "scope": {"openid"}, "state": {"s"}}
	for i := 0; i < len(with); i += 2 {
		query.Set(with[i], with[i+1])
	}
	return k.endpoint("auth") + "?" + query.Encode()
}

func (k *keycloakCounter) visitor() *visitor {
	return &visitor{t: k.t, client: lab.HTTPClient(dialLocalhost)}
}

// page expects something of a page, and of the event that Keycloak logs for it.
func (k *keycloakCounter) page(id, event, at string) {
	k.t.Helper()
	v := k.visitor()
	v.ask(http.MethodGet, at, nil)
	k.provoked.knows(k.t, id, v.seen.String())
	if event != "" {
		k.logs(id, event)
	}
}

// logs expects it of the last line of the log that has the event.
func (k *keycloakCounter) logs(id, event string) {
	k.t.Helper()
	k.provoked.awaitKnown(k.t, id, func() string {
		last := ""
		for line := range strings.Lines(k.world.keycloak.Log()) {
			if strings.Contains(line, `error="`+event+`"`) {
				last = line
			}
		}
		return last
	})
}

func (k *keycloakCounter) logins() {
	k.page("redirect-uri", "invalid_redirect_uri", k.authorization("redirect_uri", "http://acme.example.com/api/auth/callback"))
	k.page("client-unknown", "client_not_found", k.authorization("client_id", "another-app"))
	k.page("scope", "", k.authorization("scope", "openid no-such-scope"))
	k.page("needs-login", "", k.authorization("prompt", "none"))
	k.page("not-found", "", strings.Replace(k.world.issuer(), "/"+realm, "/Atlas", 1)+wellKnown)
	k.page("logout-uri", "", k.endpoint("logout")+"?client_id="+directClient+"&post_logout_redirect_uri=http://acme.example.com/bye")
	k.page("https-required", "ssl_required", strings.Replace(k.authorization(), "/"+realm+"/", "/"+strictRealm+"/", 1))

	// The login form comes back without the cookies that came with it.
	page, _ := k.visitor().ask(http.MethodGet, k.authorization(), nil)
	form := loginForm.FindStringSubmatch(page)
	if form == nil {
		k.t.Fatalf("no login form:\n%s", page)
	}
	v := k.visitor()
	v.ask(http.MethodPost, strings.ReplaceAll(form[1], "&amp;", "&"), url.Values{"username": {lab.Username}, "password": {lab.Password}})
	k.provoked.knows(k.t, "provider-cookie", v.seen.String())
	k.logs("provider-cookie", "cookie_not_found")
}

func (k *keycloakCounter) tokens() {
	verifier := oauth2.GenerateVerifier()
	for _, a := range []struct {
		id, event string
		with      []string
	}{
		{"redirect-uri-token", "", []string{"redirect_uri", "http://acme.example.com/api/auth/callback"}},
		{"client-secret", "invalid_client_credentials", []string{"client_secret", "another"}},
		{"code-gone", "invalid_code", []string{"code", "none"}},
		{"pkce", "", []string{"code_verifier", oauth2.GenerateVerifier()}},
		{"pkce", "", []string{"code_verifier", ""}},
	} {
		at := newPerson(k.t, lab.Username).must(k.authorization("code_challenge_method", "S256", "code_challenge", oauth2.S256ChallengeFromVerifier(verifier)), directURI)
		came, err := url.Parse(at)
		if err != nil {
			k.t.Fatal(err)
		}
		form := url.Values{
			"grant_type": {"authorization_code"}, "client_id": {directClient}, "client_secret": {clientSecret},
			"redirect_uri": {directURI}, "code": {came.Query().Get("code")}, "code_verifier": {verifier},
		}
		if form.Set(a.with[0], a.with[1]); a.with[1] == "" {
			form.Del(a.with[0])
		}
		v := k.visitor()
		v.ask(http.MethodPost, k.endpoint("token"), form)
		k.provoked.knows(k.t, a.id, v.seen.String())
		if a.event != "" {
			k.logs(a.id, a.event)
		}
	}
	v := k.visitor()
	v.ask(http.MethodGet, k.endpoint("userinfo"), nil, "Authorization", "Bearer eyJhbGciOiJSUzI1NiJ9.e30.c2ln")
	k.provoked.knows(k.t, "session-issuer", v.seen.String())
}

// A realm whose name changes under the feet of its one client, a machine that may
// change it.
const (
	renamed = "renamed"
	machine = "machine"
)

func renamedRealm() lab.Realm {
	r := lab.NewRealm(renamed, lab.Client{
		ClientID: machine, Secret: clientSecret, ServiceAccounts: true,
		Attributes: map[string]string{"client_credentials.use_refresh_token": "true"},
	})
	r.Users = []lab.User{{
		Username: "service-account-" + machine, Enabled: true, ServiceAccountOf: machine,
		ClientRoles: map[string][]string{"realm-management": {"manage-realm", "view-realm"}},
	}}
	return r
}

// renamed takes a token under one name of the provider and refreshes it under
// another.
func (k *keycloakCounter) renamed() {
	origin := k.world.public()
	v := k.visitor()
	tokens := func(with url.Values) string {
		with.Set("client_id", machine)
		with.Set("client_secret", clientSecret)
		answer, _ := v.ask(http.MethodPost, origin+"/realms/"+renamed+"/protocol/openid-connect/token", with)
		return answer
	}
	var first struct {
		Access  string `json:"access_token"`
		Refresh string `json:"refresh_token"`
	}
	answer := tokens(url.Values{"grant_type": {"client_credentials"}})
	if err := json.Unmarshal([]byte(answer), &first); err != nil || first.Refresh == "" {
		k.t.Fatalf("no refresh token (%v): %s", err, answer)
	}
	body := fmt.Sprintf(`{"realm": %q, "enabled": true, "attributes": {"frontendUrl": "https://auth.example.com"}}`, renamed)
	r, err := http.NewRequestWithContext(k.t.Context(), http.MethodPut, origin+"/admin/realms/"+renamed, strings.NewReader(body))
	if err != nil {
		k.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+first.Access)
	r.Header.Set("Content-Type", "application/json")
	resp, err := v.client.Do(r)
	if err != nil {
		k.t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusNoContent {
		k.t.Fatalf("the realm is not renamed: %s", resp.Status)
	}
	// Keycloak answers before all of it knows the new name.
	k.provoked.awaitKnown(k.t, "session-issuer", func() string {
		return tokens(url.Values{"grant_type": {"refresh_token"}, "refresh_token": {first.Refresh}})
	})
}
