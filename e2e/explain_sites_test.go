//go:build e2e && linux

package e2e

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"onedoor/e2e/lab"
)

// provocation is a mistake and what explain must make of what is printed.
type provocation struct {
	id      string
	mistake mistake
}

func metadata(name string, value any) mistake { return mistake{metadata: map[string]any{name: value}} }

func claim(name string, value any) mistake { return mistake{claims: map[string]any{name: value}} }

func response(name, value string) mistake { return mistake{response: map[string]string{name: value}} }

func siteOf(name string) client {
	return clients[slices.IndexFunc(clients, func(c client) bool { return c.name == name })]
}

func provokeSites(t *testing.T, provoked *provocations) {
	w := newWorkshop(t, provoked)
	w.overTLS(t, &bent{
		issuer: fmt.Sprintf("https://known.test:%d/realms/atlas", tlsPort), keys: w.keys, nonces: map[string]string{},
		now: metadata("token_endpoint", "http://server/token"),
	})
	// Each site has a provider of its own, so that they may err at once: mostly
	// they wait.
	var all sync.WaitGroup
	defer all.Wait()
	for i, site := range []struct {
		name string
		run  func(*testing.T, *shop)
	}{
		{"next-auth4", provokeNextAuth},
		{"authjs5", provokeAuthjs},
		{"nextjs-auth0-4", provokeNextjsAuth0},
		{"openid-client6", provokeOpenIDClient},
		{"go-oidc", provokeGoOIDC},
		{"oauth2-proxy", provokeOAuth2Proxy},
	} {
		all.Go(func() {
			t.Run(site.name, func(t *testing.T) {
				provider := w.provider(t, 9001+i)
				s := w.open(t, siteOf(site.name), 3001+i, provider.issuer)
				s.provider = provider
				site.run(t, s)
			})
		})
	}
	// Issuers that cannot be asked, or have an http endpoint behind https.
	for i, other := range []struct{ id, issuer string }{
		{"loopback", itself + "/realms/atlas"},
		{"timeout", "http://lost.example.com/realms/atlas"},
		{"timeout", "http://gone.example.com/realms/atlas"},
		{"https-only", fmt.Sprintf("https://known.test:%d/realms/atlas", tlsPort)},
	} {
		all.Go(func() {
			t.Run("openid-client6 "+other.id, func(t *testing.T) {
				s := w.open(t, siteOf("openid-client6"), 3101+i, other.issuer)
				s.prints(t, other.id, mistake{}, func(v *visitor) {
					if at := v.begin(); at != "" {
						_, state, _ := strings.Cut(at, "state=")
						state, _, _ = strings.Cut(state, "&")
						v.follow(s.origin + s.callback + "?code=abc&state=" + state + "&iss=" + url.QueryEscape(other.issuer))
					}
				})
			})
		})
	}
}

// endpoints are token endpoints that cannot be reached, and why.
func (s *shop) endpoints() []provocation {
	var all []provocation
	for _, e := range []struct{ id, at string }{
		{"loopback", itself},
		{"refused", noDaemon},
		{"no-such-host", nobody},
		{"unknown-ca", "https://self-signed.test:9443"},
		{"unknown-ca", "https://private.test:9443"},
		{"unknown-ca", "https://chain.test:9443"},
		{"other-name", "https://other-name.test:9443"},
		{"expired", "https://expired.test:9443"},
		{"https-to-http", "https" + strings.TrimPrefix(s.provider.issuer, "http")},
	} {
		all = append(all, provocation{e.id, metadata("token_endpoint", e.at+"/token")})
	}
	return all
}

// refusedTokens are what is wrong with a token request's answer, for clients
// that print it.
func refusedTokens() []provocation {
	return []provocation{
		{"redirect-uri-token", mistake{token: refuses(400, "invalid_grant", "Incorrect redirect_uri")}},
		{"client-secret", mistake{token: refuses(401, "invalid_client", "")}},
		{"invalid-grant", mistake{token: refuses(400, "invalid_grant", "")}},
	}
}

func provokeNextAuth(t *testing.T, s *shop) {
	for _, p := range slices.Concat([]provocation{
		{"not-found", mistake{discovery: http.NotFound}},
		{"redirected", mistake{discovery: moved}},
		{"provider-broken", mistake{discovery: broken}},
		{"not-json", mistake{discovery: aPage}},
		{"response-issuer", metadata("issuer", s.provider.issuer+"/")},
		{"response-issuer", response("iss", "https://auth.example.com/realms/atlas")},
		{"response-issuer", response("iss", "")},
		{"state-differs", response("state", "another")},
		{"state-differs", response("state", "")},
		{"access-denied", mistake{response: map[string]string{"code": "", "error": "access_denied"}}},
		{"needs-login", mistake{response: map[string]string{"code": "", "error": "login_required"}}},
		{"scope", mistake{response: map[string]string{"code": "", "error": "invalid_scope"}}},
		{"token-issuer", claim("iss", "https://auth.example.com/realms/atlas")},
		{"audience", claim("aud", "another-app")},
		{"audience", claim("aud", []string{"one", "two"})},
		{"time", claim("exp", 1700000000)},
		{"time", claim("nbf", 4000000000)},
		{"nonce", claim("nonce", "another")},
		{"keys-other", s.provider.signedBy("two")},
		{"keys-other", s.provider.signedBy("one")},
		{"algorithm", mistake{signer: &jose.SigningKey{Algorithm: jose.HS256, Key: []byte(strings.Repeat("k", 32))}}},
		{"closed", mistake{token: hangUp}},
		{"slow", mistake{token: hang}},
		{"timeout", metadata("token_endpoint", "http://far.example.com/token")},
	}, s.endpoints(), refusedTokens()) {
		s.prints(t, p.id, p.mistake, logIn)
	}
	s.prints(t, "lost-login", mistake{}, arrive("&state=xyz"))
	s.prints(t, "session-secret", mistake{}, func(v *visitor) {
		v.ask(http.MethodGet, s.origin+"/api/auth/session", nil, "Cookie", "next-auth.session-token="+sealedElsewhere(t, jose.A256GCM, 32))
	})
	s.shows(t, "next-auth", mistake{discovery: http.NotFound}, logIn)
	s.shows(t, "next-auth", claim("aud", "another-app"), logIn)
	s.shows(t, "headers-too-big", mistake{}, func(v *visitor) { v.ask(http.MethodGet, s.origin+"/", nil, "Cookie", "a="+strings.Repeat("x", 20000)) })
}

// sealedElsewhere is a session cookie that was sealed with another secret.
func sealedElsewhere(t *testing.T, by jose.ContentEncryption, size int) string {
	t.Helper()
	key := make([]byte, size)
	_, _ = rand.Read(key)
	encrypter, err := jose.NewEncrypter(by, jose.Recipient{Algorithm: jose.DIRECT, Key: key, KeyID: "another"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := encrypter.Encrypt([]byte(`{}`))
	if err != nil {
		t.Fatal(err)
	}
	text, err := sealed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func provokeAuthjs(t *testing.T, s *shop) {
	for _, p := range []provocation{
		{"discovery-status", mistake{discovery: http.NotFound}},
		{"not-json", mistake{discovery: aPage}},
		{"issuer", metadata("issuer", s.provider.issuer+"/")},
		{"response-issuer", response("iss", "https://auth.example.com/realms/atlas")},
		{"response-issuer", response("iss", "")},
		{"state-differs", response("state", "another")},
		{"state-differs", response("state", "")},
		{"authjs", mistake{response: map[string]string{"code": "", "error": "server_error"}}},
		{"token-issuer", claim("iss", "https://auth.example.com/realms/atlas")},
		{"audience", claim("aud", "another-app")},
		{"time", claim("exp", 1700000000)},
		{"time", claim("nbf", 4000000000)},
		{"nonce", claim("nonce", "another")},
		{"algorithm", mistake{signer: &jose.SigningKey{Algorithm: jose.HS256, Key: []byte(strings.Repeat("k", 32))}}},
		{"refused-nameless", metadata("token_endpoint", itself+"/token")},
	} {
		s.prints(t, p.id, p.mistake, logIn)
	}
	s.prints(t, "lost-login", mistake{}, arrive("&state=xyz"))
	s.prints(t, "session-secret", mistake{}, func(v *visitor) {
		v.ask(http.MethodGet, s.origin+"/auth/session", nil, "Cookie", "authjs.session-token="+sealedElsewhere(t, jose.A256CBC_HS512, 64))
	})
	s.shows(t, "authjs", mistake{discovery: http.NotFound}, logIn)
	untrusting(t, s)
}

// untrusting is Auth.js as it is without trustHost.
func untrusting(t *testing.T, s *shop) {
	const app = `
const { ExpressAuth } = await import("@auth/express"); const { default: express } = await import("express");
express().set("trust proxy", true).use("/auth/*", ExpressAuth({ providers: [], secret: "a secret" })).listen(3200, "127.0.0.1");`
	cmd := s.app.Command("node", "--input-type=module", "-e", app)
	cmd.Dir, cmd.Env = lab.NodeApp(t, "authjs5"), append(os.Environ(), "NODE_ENV=production")
	other := &shop{client: s.client, workshop: s.workshop, process: lab.Start(t, "untrusting", cmd), origin: "http://acme.localhost:3200"}
	other.process.Await(t, "it listens", func() error {
		conn, err := s.app.DialContext(t.Context(), "tcp", "127.0.0.1:3200")
		if err == nil {
			err = conn.Close()
		}
		return err
	})
	other.prints(t, "untrusted-host", mistake{}, func(v *visitor) { v.ask(http.MethodGet, other.origin+"/auth/session", nil) })
}

func provokeNextjsAuth0(t *testing.T, s *shop) {
	for _, p := range []provocation{
		{"not-found", mistake{discovery: http.NotFound}},
		{"redirected", mistake{discovery: moved}},
		{"provider-broken", mistake{discovery: broken}},
		{"not-json", mistake{discovery: aPage}},
		{"issuer", metadata("issuer", "https://auth.example.com/realms/atlas")},
		{"closed", mistake{discovery: hangUp}},
	} {
		s.prints(t, p.id, p.mistake, logIn)
	}
	s.shows(t, "nextjs-auth0", mistake{discovery: http.NotFound}, logIn)
	s.shows(t, "nextjs-auth0", claim("iss", "https://auth.example.com/realms/atlas"), logIn)
	s.shows(t, "nextjs-auth0", mistake{response: map[string]string{"code": "", "error": "boom"}}, logIn)
	s.shows(t, "lost-login", mistake{}, arrive("&state=xyz"))
	s.shows(t, "state-differs", mistake{}, arrive(""))
}

func provokeOpenIDClient(t *testing.T, s *shop) {
	for _, p := range slices.Concat([]provocation{
		{"not-found", mistake{discovery: http.NotFound}},
		{"redirected", mistake{discovery: moved}},
		{"not-json", mistake{discovery: aPage}},
		{"issuer", metadata("issuer", "https://auth.example.com/realms/atlas")},
		{"response-issuer", response("iss", "https://auth.example.com/realms/atlas")},
		{"response-issuer", response("iss", "")},
		{"state-differs", response("state", "another")},
		{"access-denied", mistake{response: map[string]string{"code": "", "error": "access_denied"}}},
		{"token-issuer", claim("iss", "https://auth.example.com/realms/atlas")},
		{"audience", claim("aud", "another-app")},
		{"time", claim("exp", 1700000000)},
	}, refusedTokens()) {
		s.prints(t, p.id, p.mistake, logIn)
	}
}

func provokeGoOIDC(t *testing.T, s *shop) {
	for _, p := range slices.Concat([]provocation{
		{"not-found", mistake{discovery: http.NotFound}},
		{"provider-broken", mistake{discovery: broken}},
		{"not-json", mistake{discovery: aPage}},
		{"issuer", metadata("issuer", s.provider.issuer+"/")},
		{"token-issuer", claim("iss", "https://auth.example.com/realms/atlas")},
		{"audience", claim("aud", "another-app")},
		{"time", claim("exp", 1700000000)},
		{"time", claim("nbf", 4000000000)},
		{"keys-other", s.provider.signedBy("two")},
		{"algorithm", mistake{signer: &jose.SigningKey{Algorithm: jose.HS256, Key: []byte(strings.Repeat("k", 32))}}},
		{"keys-unreachable", metadata("jwks_uri", s.provider.issuer+"/none")},
		{"closed", mistake{token: hangUp}},
		{"not-json", mistake{token: aPage}},
		{"not-found", mistake{token: http.NotFound}},
		{"http-to-https", metadata("token_endpoint", "http://known.test:9443/token")},
		{"timeout", metadata("token_endpoint", "http://far.example.com/token")},
		{"timeout", metadata("token_endpoint", "http://gone.example.com/token")},
	}, s.endpoints(), refusedTokens()) {
		s.prints(t, p.id, p.mistake, logIn)
	}
	s.prints(t, "lost-login", mistake{}, arrive("&state=xyz"))
}

func provokeOAuth2Proxy(t *testing.T, s *shop) {
	for _, p := range slices.Concat([]provocation{
		{"access-denied", mistake{response: map[string]string{"code": "", "error": "access_denied"}}},
		{"state-differs", response("state", "another")},
		{"token-issuer", claim("iss", "https://auth.example.com/realms/atlas")},
		{"audience", claim("aud", "another-app")},
		{"time", claim("exp", 1700000000)},
		{"keys-other", s.provider.signedBy("two")},
		{"oauth2-proxy", mistake{response: map[string]string{"code": "", "error": "boom"}}},
	}, refusedTokens()) {
		s.prints(t, p.id, p.mistake, logIn)
	}
	s.prints(t, "lost-login", mistake{}, func(v *visitor) { v.ask(http.MethodGet, s.origin+"/oauth2/callback?code=abc&state=abc:/", nil) })
	s.provider.errs(mistake{discovery: http.NotFound})
	for id, flags := range map[string][]string{
		"not-found": {"--oidc-issuer-url=" + s.provider.issuer},
		"loopback":  {"--oidc-issuer-url=" + itself},
	} {
		s.provoked.knows(t, id, s.fails(t, flags...))
	}
	s.provider.errs(metadata("issuer", s.provider.issuer+"/"))
	s.provoked.knows(t, "issuer", s.fails(t, "--oidc-issuer-url="+s.provider.issuer))
	s.provider.errs(mistake{})
	other := s.open(t, client{name: "oauth2-proxy", command: func(t *testing.T, n *lab.Net) *exec.Cmd {
		cmd := s.command(t, n)
		cmd.Args = append(cmd.Args, "--cookie-domain=example.org")
		return cmd
	}, env: s.env, login: "/"}, 3201, s.provider.issuer)
	other.prints(t, "redirect-loop", mistake{}, func(v *visitor) { v.begin() })
}

// fails runs the site's program, which ends by itself, and returns what it
// prints.
func (s *shop) fails(t *testing.T, flags ...string) string {
	t.Helper()
	cmd := s.command(t, s.app)
	cmd.Args = append(cmd.Args, flags...)
	cmd.Env = append(os.Environ(), s.env(&computer{issuer: s.provider.issuer, secret: clientSecret})...)
	out, err := cmd.CombinedOutput()
	if err == nil {
		t.Errorf("%s %s ends well:\n%s", s.name, strings.Join(flags, " "), out)
	}
	return string(out)
}
