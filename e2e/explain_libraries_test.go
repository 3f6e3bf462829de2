//go:build e2e && linux

package e2e

import (
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"onedoor/e2e/lab"
)

// libraryLogin is one with a library of another language: how a program of clients/
// does it, at which provider, and what explain must make of what it prints.
type libraryLogin struct{ id, how, at string }

// provokeLibraries lets programs log in that do nothing but call a library as an
// app does, at providers each of which makes one mistake.
func provokeLibraries(t *testing.T, provoked *provocations) {
	w := newWorkshop(t, provoked)
	w.mistaken(t)
	t.Run("Zitadel's library", func(t *testing.T) { w.zitadel(t) })
	var all sync.WaitGroup
	defer all.Wait()
	for _, language := range []struct {
		name    string
		command func(*testing.T, *workshop) *exec.Cmd
		logins  []libraryLogin
	}{
		{"Java", java, javaLogins},
		{"Python", pythonPrograms, pythonLogins},
		{"Node.js", nodePrograms, nodeLogins},
		{"Ruby", rubyPrograms, rubyLogins},
	} {
		all.Go(func() {
			t.Run(language.name, func(t *testing.T) { w.logIn(t, language.command(t, w), language.logins) })
		})
	}
}

// zitadel asks the library that Zitadel is built on for what it refuses.
func (w *workshop) zitadel(t *testing.T) {
	const origin = "http://localhost:3900"
	cmd := w.app.Command(filepath.Join(lab.Library(t, "go"), "server"))
	cmd.Env = append(os.Environ(), "PORT=3900", "REDIRECT_URI=http://acme.localhost:3000/callback")
	p := lab.Start(t, "zitadel-oidc", cmd)
	p.Await(t, "it listens", func() error {
		conn, err := w.app.DialContext(t.Context(), "tcp", "127.0.0.1:3900")
		if err == nil {
			err = conn.Close()
		}
		return err
	})
	for _, a := range []struct {
		id, method, path string
		form             url.Values
		headers          []string
	}{
		{"redirect-uri", http.MethodGet, "/auth?client_id=web&response_type=code&scope=openid&redirect_uri=http://acme.localhost:3000/other", nil, nil},
		{"client-unknown", http.MethodGet, "/auth?client_id=another-app&response_type=code&scope=openid&redirect_uri=http://acme.localhost:3000/callback", nil, nil},
		{"logout-uri", http.MethodGet, "/end_session?client_id=web&post_logout_redirect_uri=http://acme.localhost:3000/bye", nil, nil},
		{"client-secret", http.MethodPost, "/oauth/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {"none"}}, []string{"Authorization", "Basic d2ViOmFub3RoZXI="}},
	} {
		v := &visitor{t: t, client: lab.HTTPClient(w.dial)}
		v.ask(a.method, origin+a.path, a.form, a.headers...)
		w.provoked.knows(t, a.id, v.seen.String())
	}
}

// logIn runs a program once for all logins: it ends what it says of each with a
// form feed.
func (w *workshop) logIn(t *testing.T, cmd *exec.Cmd, logins []libraryLogin) {
	t.Helper()
	for _, l := range logins {
		if !strings.Contains(l.at, "://") {
			l.at = mistakenOrigin + "/" + l.at + "/realms/atlas"
		}
		cmd.Args = append(cmd.Args, l.how+"="+l.at)
	}
	cmd.Env = append(os.Environ(), "SSL_CERT_FILE="+w.pki.file, "REQUESTS_CA_BUNDLE="+w.pki.file)
	limit := time.AfterFunc(4*time.Minute, func() { _ = cmd.Process.Kill() }) // a library may wait for ever
	out, err := cmd.CombinedOutput()
	limit.Stop()
	said := strings.Split(string(out), "\f")
	if err != nil || len(said) != len(logins)+1 {
		t.Fatalf("%d of %d logins: %v\n%s", len(said)-1, len(logins), err, out)
	}
	for i, l := range logins {
		w.provoked.knows(t, l.id, said[i])
	}
}

const mistakenOrigin = "http://server:9100"

// mistaken serves a provider for each mistake, below a path of its name.
func (w *workshop) mistaken(t *testing.T) {
	t.Helper()
	const other = "https://auth.example.com/realms/atlas"
	mux := http.NewServeMux()
	add := func(name string, m mistake) {
		mux.Handle("/"+name+"/", &bent{issuer: mistakenOrigin + "/" + name + "/realms/atlas", keys: w.keys, nonces: map[string]string{}, now: m})
	}
	keys := &bent{keys: w.keys}
	for name, m := range map[string]mistake{
		"none":          {},
		"missing":       {discovery: http.NotFound},
		"broken":        {discovery: broken},
		"page":          {discovery: aPage},
		"moved":         {discovery: moved},
		"issuer":        metadata("issuer", other),
		"keys-missing":  metadata("jwks_uri", mistakenOrigin+"/nothing"),
		"state":         response("state", "another"),
		"stateless":     response("state", ""),
		"denied":        {response: map[string]string{"code": "", "error": "access_denied"}},
		"silent":        {response: map[string]string{"code": "", "error": "login_required"}},
		"client":        {token: refuses(http.StatusUnauthorized, "invalid_client", "")},
		"grant":         {token: refuses(http.StatusBadRequest, "invalid_grant", "")},
		"redirect":      {token: refuses(http.StatusBadRequest, "invalid_grant", "Incorrect redirect_uri")},
		"token-page":    {token: aPage},
		"token-missing": {token: http.NotFound},
		"token-issuer":  claim("iss", other),
		"audience":      claim("aud", "another-app"),
		"hang":          {discovery: hang},
		"expired":       {claims: map[string]any{"iat": 1700000000, "exp": 1700000060}},
		"early":         claim("nbf", 4000000000),
		"issued-later":  claim("iat", 4000000000),
		"nonce":         claim("nonce", "another"),
		"key":           keys.signedBy("two"),
		"signature":     keys.signedBy("one"),
		"algorithm":     {signer: &jose.SigningKey{Algorithm: jose.HS256, Key: []byte(strings.Repeat("k", 32))}},
		"refused":       metadata("token_endpoint", itself+"/token"),
		"unknown":       metadata("token_endpoint", nobody+"/token"),
	} {
		add(name, m)
	}
	lab.Serve(t, w.outside.Listen(t, internalDoor+":9100"), mux)
	w.overTLS(t, mux)
}

// java is Spring Security and Nimbus, without an application server.
func java(t *testing.T, w *workshop) *exec.Cmd {
	jars := filepath.Join(lab.Library(t, "java"), "jars", "*")
	return w.app.Command("java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", jars, filepath.Join("clients", "java", "Login.java"))
}

// pythonPrograms are Authlib, PyJWT, oauthlib and mozilla-django-oidc.
func pythonPrograms(t *testing.T, w *workshop) *exec.Cmd {
	return w.app.Command(filepath.Join(lab.Library(t, "python"), "bin", "python"), filepath.Join("clients", "python", "login.py"))
}

var pythonLogins = []libraryLogin{
	{"not-found", "authlib", "missing"},
	{"provider-broken", "authlib", "broken"},
	{"not-json", "authlib", "page"},
	{"token-issuer", "authlib", "issuer"},
	{"endpoint-status", "authlib", "keys-missing"},
	{"lost-login", "authlib", "state"},
	{"lost-login", "forgetful-authlib", "none"},
	{"access-denied", "authlib", "denied"},
	{"client-secret", "authlib", "client"},
	{"redirect-uri-token", "authlib", "redirect"},
	{"not-json", "authlib", "token-page"},
	{"token-issuer", "authlib", "token-issuer"},
	{"audience", "authlib", "audience"},
	{"time", "authlib", "expired"},
	{"time", "authlib", "early"},
	{"time", "authlib", "issued-later"},
	{"nonce", "authlib", "nonce"},
	{"keys-other", "authlib", "key"},
	{"keys-other", "authlib", "signature"},
	{"algorithm", "authlib", "algorithm"},
	{"refused-nameless", "authlib", "refused"},
	{"keys-unreachable", "pyjwt", "keys-missing"},
	{"token-issuer", "pyjwt", "token-issuer"},
	{"audience", "pyjwt", "audience"},
	{"time", "pyjwt", "expired"},
	{"time", "pyjwt", "early"},
	{"time", "pyjwt", "issued-later"},
	{"keys-other", "pyjwt", "key"},
	{"keys-other", "pyjwt", "signature"},
	{"keys-other", "pyjwt", "algorithm"},
	{"https-only", "oauthlib", "none"},
	{"lost-login", "insecure", "state"},
	{"client-secret", "insecure", "client"},
	{"not-json", "insecure", "token-page"},
	{"lost-login", "forgetful-mozilla", "none"},
	{"client-secret", "mozilla", "client"},
	{"redirect-uri-token", "mozilla", "redirect"},
	{"nonce", "mozilla", "nonce"},
	{"keys-other", "mozilla", "key"},
	{"keys-other", "mozilla", "signature"},
	{"algorithm", "mozilla", "algorithm"},
	{"time", "mozilla", "expired"},
	{"endpoint-status", "mozilla", "keys-missing"},
	{"refused-nameless", "mozilla", "refused"},
	{"untrusted-host", "django", "none"},
	{"redirect-uri", "provider", "none"},
	{"refused-nameless", "requests", itself},
	{"no-such-host", "requests", nobody},
	{"timeout", "hasty-requests", "http://lost.example.com"},
	{"timeout", "requests", "http://gone.example.com"},
	{"timeout", "requests", "http://far.example.com"},
	{"slow", "hasty-requests", mistakenOrigin + "/hang/realms/atlas" + wellKnown},
	{"unknown-ca", "requests", "https://private.test:9443"},
	{"refused-nameless", "httpx", itself},
	{"no-such-host", "httpx", nobody},
	{"timeout", "hasty-httpx", "http://lost.example.com"},
	{"slow", "hasty-httpx", mistakenOrigin + "/hang/realms/atlas" + wellKnown},
	{"not-found", "httpx", mistakenOrigin + "/missing/realms/atlas" + wellKnown},
	{"endpoint-status", "mozilla", "token-missing"},
	{"unknown-ca", "httpx", "https://private.test:9443"},
}

// nodePrograms are libraries for Node.js and for browsers that examples/ has not.
func nodePrograms(t *testing.T, w *workshop) *exec.Cmd {
	return w.app.Command("node", filepath.Join(lab.Library(t, "node"), "login.mjs"))
}

var nodeLogins = []libraryLogin{
	{"token-issuer", "jsonwebtoken", "token-issuer"},
	{"audience", "jsonwebtoken", "audience"},
	{"time", "jsonwebtoken", "expired"},
	{"time", "jsonwebtoken", "early"},
	{"keys-other", "jsonwebtoken", "signature"},
	{"algorithm", "jsonwebtoken", "algorithm"},
	{"token-issuer", "jose", "token-issuer"},
	{"audience", "jose", "audience"},
	{"time", "jose", "expired"},
	{"time", "jose", "early"},
	{"keys-other", "jose", "key"},
	{"keys-other", "jose", "signature"},
	{"keys-unreachable", "jose", "keys-missing"},
	{"token-issuer", "keycloak-connect", "token-issuer"},
	{"audience", "keycloak-connect", "audience"},
	{"time", "keycloak-connect", "expired"},
	{"keys-other", "keycloak-connect", "key"},
	{"keys-other", "keycloak-connect", "signature"},
	{"keycloak-connect", "keycloak-connect-code", "grant"},
	{"time", "keycloak-connect-code", "none"},
	{"lost-login", "forgetful-oidc-client-ts", "none"},
	{"lost-login", "oidc-client-ts", "state"},
	{"state-differs", "oidc-client-ts", "stateless"},
	{"nonce", "oidc-client-ts", "nonce"},
	{"access-denied", "oidc-client-ts", "denied"},
	{"client-secret", "oidc-client-ts", "client"},
	{"not-json", "oidc-client-ts", "missing"},
	{"not-json", "oidc-client-ts", "page"},
	{"not-json", "oidc-client-ts", "token-page"},
	{"lost-login", "forgetful-passport", "none"},
	{"lost-login", "forgetful-better-auth", "none"},
	{"lost-login", "better-auth", "state"},
	{"state-differs", "better-auth", "stateless"},
	{"client-secret", "better-auth", "client"},
	{"better-auth", "better-auth", "token-issuer"},
	{"discovery-failed", "better-auth", "missing"},
	{"response-issuer", "better-auth", "issuer"},
	{"access-denied", "better-auth", "denied"},
	{"redirect-uri", "provider", "none"},
	{"redirect-uri-token", "provider-token", "://redirect"},
	{"client-secret", "provider-token", "://secret"},
	{"code-gone", "provider-token", "://code"},
}

// rubyPrograms are omniauth and openid_connect, as Debian has them; GitLab uses both.
func rubyPrograms(_ *testing.T, w *workshop) *exec.Cmd {
	return w.app.Command("ruby", filepath.Join("clients", "ruby", "login.rb"))
}

var rubyLogins = []libraryLogin{
	{"issuer", "omniauth", "issuer"},
	{"not-found", "omniauth", "missing"},
	{"provider-broken", "omniauth", "broken"},
	{"not-json", "omniauth", "page"},
	{"lost-login", "forgetful-omniauth", "none"},
	{"lost-login", "omniauth", "state"},
	{"access-denied", "omniauth", "denied"},
	{"client-secret", "omniauth", "client"},
	{"redirect-uri-token", "omniauth", "redirect"},
	{"not-json", "omniauth", "token-page"},
	{"token-issuer", "omniauth", "token-issuer"},
	{"audience", "omniauth", "audience"},
	{"time", "omniauth", "expired"},
	{"nonce", "omniauth", "nonce"},
	{"keys-other", "omniauth", "key"},
	{"keys-other", "omniauth", "signature"},
	{"keys-other", "omniauth", "algorithm"},
	{"endpoint-status", "omniauth", "keys-missing"},
	{"refused-nameless", "omniauth", "refused"},
	{"slow", "hasty-omniauth", "hang"},
	{"https-to-http", "untold-omniauth", "none"},
	{"refused-nameless", "omniauth", itself + "/realms/atlas"},
	{"no-such-host", "omniauth", nobody + "/realms/atlas"},
	{"unknown-ca", "omniauth", "https://private.test:9443/none/realms/atlas"},
	{"loopback", "net-http", itself},
	{"no-such-host", "net-http", nobody},
	{"timeout", "hasty-omniauth", "http://lost.example.com/realms/atlas"},
	{"timeout", "hasty-net-http", "http://lost.example.com"},
	{"slow", "hasty-net-http", mistakenOrigin + "/hang/realms/atlas" + wellKnown},
	{"unknown-ca", "net-http", "https://private.test:9443"},
}

var javaLogins = []libraryLogin{
	{"not-found", "spring", "missing"},
	{"provider-broken", "spring", "broken"},
	{"not-json", "spring", "page"},
	{"issuer", "spring", "issuer"},
	{"keys-unreachable", "spring", "keys-missing"},
	{"lost-login", "spring", "state"},
	{"state-differs", "spring", "stateless"},
	{"lost-login", "forgetful", "none"},
	{"access-denied", "spring", "denied"},
	{"client-secret", "spring", "client"},
	{"invalid-grant", "spring", "grant"},
	{"redirect-uri-token", "spring", "redirect"},
	{"not-json", "spring", "token-page"},
	{"token-issuer", "spring", "token-issuer"},
	{"audience", "spring", "audience"},
	{"time", "spring", "expired"},
	{"time", "spring", "early"},
	{"nonce", "spring", "nonce"},
	{"keys-other", "spring", "key"},
	{"keys-other", "spring", "signature"},
	{"keys-other", "spring", "algorithm"},
	{"refused-nameless", "spring", "refused"},
	{"no-such-host", "spring", "unknown"},
	{"discovery-failed", "api", "missing"},
	{"issuer", "api", "issuer"},
	{"token-issuer", "api", "token-issuer"},
	{"keys-other", "api", "key"},
	{"keys-unreachable", "api", "keys-missing"},
	{"time", "api", "expired"},
	{"not-found", "nimbus", "missing"},
	{"not-json", "nimbus", "page"},
	{"issuer", "nimbus", "issuer"},
	{"keys-unreachable", "nimbus", "keys-missing"},
	{"token-issuer", "nimbus", "token-issuer"},
	{"audience", "nimbus", "audience"},
	{"time", "nimbus", "expired"},
	{"time", "nimbus", "issued-later"},
	{"nonce", "nimbus", "nonce"},
	{"slow", "hasty-nimbus", "hang"},
	{"refused-nameless", "spring", itself + "/realms/atlas"},
	{"no-such-host", "spring", nobody + "/realms/atlas"},
	{"timeout", "hasty-nimbus", "http://lost.example.com/realms/atlas"},
	{"unknown-ca", "spring", "https://private.test:9443/none/realms/atlas"},
	{"other-name", "spring", "https://other-name.test:9443/none/realms/atlas"},
	{"expired", "spring", "https://expired.test:9443/none/realms/atlas"},
	{"https-to-http", "spring", "https://server:9100/none/realms/atlas"},
}
