package provider_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	goidc "github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"onedoor/provider"
	"onedoor/store"
)

const password = "correct horse battery"

// app is the client's site. Nothing listens there: the browser of the tests
// stops at its door.
const app = "https://app.example.com"

// world is a provider with a user, clients, and a clock that stands still.
type world struct {
	t      *testing.T
	issuer string
	db     *store.DB
	log    *lockedBuffer
	secret string // of the client "web"
	mu     sync.Mutex
	now    time.Time
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// emptyDatabase is a file, or a new database of the PostgreSQL server that
// ONEDOOR_TEST_POSTGRES names: make database runs these tests there too.
func emptyDatabase(t *testing.T) string {
	t.Helper()
	server := os.Getenv("ONEDOOR_TEST_POSTGRES")
	if server == "" {
		return filepath.Join(t.TempDir(), "onedoor.db")
	}
	u, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	admin, err := sql.Open("pgx", server)
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	u.Path = "/provider_" + strings.ToLower(rand.Text())
	if _, err := admin.Exec("CREATE DATABASE " + u.Path[1:] + " TEMPLATE template0"); err != nil {
		t.Fatal(err)
	}
	return u.String()
}

func newWorld(t *testing.T, path string) *world {
	t.Helper()
	db, err := store.Open(t.Context(), emptyDatabase(t), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, db: db, log: &lockedBuffer{}, now: time.Now()}
	var handler http.Handler
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { handler.ServeHTTP(rw, r) }))
	w.issuer = server.URL + path
	p, err := provider.New(t.Context(), provider.Options{
		Issuer: w.issuer, Store: db, Now: w.clock,
		Log: slog.New(slog.NewTextHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	if err != nil {
		t.Fatal(err)
	}
	handler = p.Handler()
	t.Cleanup(func() {
		server.Close()
		if err := p.Close(); err != nil {
			t.Error(err)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	if _, _, err := provider.AddUser(t.Context(), db, provider.User{Username: "mika", Name: "Mika", Email: "mika@example.com"}, password); err != nil {
		t.Fatal(err)
	}
	w.secret = w.addClient(provider.Client{ID: "web", Name: "Atlas", RedirectURIs: []string{app + "/cb", app + "/cb?b=2;x&a=%2f"}, PostLogoutURIs: []string{app + "/bye?b=2&a=1"}})
	w.addClient(provider.Client{ID: "spa", Type: provider.Public, RedirectURIs: []string{app + "/cb"}, IDTokenAlg: "ES256"})
	w.addClient(provider.Client{ID: "cli", Type: provider.Native, RedirectURIs: []string{"http://127.0.0.1/cb"}})
	return w
}

func (w *world) addClient(c provider.Client) string {
	w.t.Helper()
	_, secret, err := provider.AddClient(w.t.Context(), w.db, c, "", false)
	if err != nil {
		w.t.Fatal(err)
	}
	return secret
}

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *world) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

// browser follows redirects within the provider, and stops before the app.
type browser struct {
	*world
	*http.Client
}

func (w *world) browser() *browser {
	w.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		w.t.Fatal(err)
	}
	return &browser{w, &http.Client{Jar: jar, CheckRedirect: func(r *http.Request, _ []*http.Request) error {
		if !strings.HasPrefix(r.URL.String(), w.issuer) {
			return http.ErrUseLastResponse
		}
		return nil
	}}}
}

// page is an answer that has been read.
type answer struct {
	*http.Response
	body string
}

func (b *browser) do(r *http.Request) answer {
	b.t.Helper()
	if r.Header.Get("Accept") == "" {
		r.Header.Set("Accept", "text/html")
	}
	resp, err := b.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return answer{resp, string(body)}
}

func (b *browser) get(url string) answer {
	b.t.Helper()
	r, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	return b.do(r)
}

func (b *browser) post(url string, form url.Values) answer {
	b.t.Helper()
	r, err := http.NewRequest(http.MethodPost, url, strings.NewReader(form.Encode()))
	if err != nil {
		b.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return b.do(r)
}

// login posts the form of a login page.
func (b *browser) login(page answer, name, pass string) answer {
	b.t.Helper()
	if !strings.Contains(page.body, `type="password"`) {
		b.t.Fatalf("%s is no login page: %s %s", page.Request.URL, page.Status, page.body)
	}
	return b.post(page.Request.URL.String(), url.Values{"username": {name}, "password": {pass}})
}

// response is the authorization response that a redirect carries.
func (a answer) response(t *testing.T) url.Values {
	t.Helper()
	u, err := a.Location()
	if err != nil {
		t.Fatalf("%s, want a redirect: %s", a.Status, a.body)
	}
	if a.StatusCode != http.StatusSeeOther || a.Header.Get("Cache-Control") != "no-store" || a.Header.Get("Referrer-Policy") != "no-referrer" {
		t.Errorf("%s %v", a.Status, a.Header)
	}
	return u.Query()
}

func (w *world) params(clientID string, more ...string) url.Values {
	v := url.Values{
		"client_id": {clientID}, "response_type": {"code"}, "redirect_uri": {app + "/cb"},
		"scope": {"openid profile email"}, "state": {"s t/ä"}, "nonce": {"n1"},
	}
	for i := 0; i < len(more); i += 2 {
		if v.Set(more[i], more[i+1]); more[i+1] == "" {
			v.Del(more[i])
		}
	}
	return v
}

func (w *world) authURL(clientID string, more ...string) string {
	return w.issuer + "/authorize?" + w.params(clientID, more...).Encode()
}

// code logs mika in and returns the code.
func (b *browser) code(more ...string) string {
	b.t.Helper()
	got := b.login(b.get(b.authURL("web", more...)), "mika", password).response(b.t)
	if got.Get("code") == "" {
		b.t.Fatalf("no code: %v", got)
	}
	return got.Get("code")
}

// back calls a back-channel endpoint.
func (w *world) back(path string, form url.Values, auth ...string) (int, http.Header, map[string]any) {
	w.t.Helper()
	r, err := http.NewRequest(http.MethodPost, w.issuer+path, strings.NewReader(form.Encode()))
	if err != nil {
		w.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if len(auth) == 1 {
		r.Header.Set("Authorization", auth[0])
	} else if len(auth) == 2 {
		r.SetBasicAuth(url.QueryEscape(auth[0]), url.QueryEscape(auth[1]))
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body := map[string]any{}
	if err := json.NewDecoder(resp.Body).Decode(&body); err != nil && resp.ContentLength > 0 {
		w.t.Fatalf("%s: %v", resp.Status, err)
	}
	return resp.StatusCode, resp.Header, body
}

func (w *world) redeem(code string, more ...string) (int, map[string]any) {
	w.t.Helper()
	form := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {app + "/cb"}}
	for i := 0; i < len(more); i += 2 {
		form.Set(more[i], more[i+1])
	}
	status, _, body := w.back("/token", form, "web", w.secret)
	return status, body
}

func (w *world) refresh(token string) (int, map[string]any) {
	w.t.Helper()
	status, _, body := w.back("/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}}, "web", w.secret)
	return status, body
}

func (w *world) userinfo(token any) (int, map[string]any) {
	w.t.Helper()
	s, _ := token.(string)
	status, _, body := w.back("/userinfo", nil, "Bearer "+s)
	return status, body
}

func TestARealClientLogsIn(t *testing.T) {
	for _, path := range []string{"", "/op/atlas"} {
		for _, client := range []struct {
			id, alg string
			style   oauth2.AuthStyle
		}{
			{"web", "RS256", oauth2.AuthStyleAutoDetect}, {"web", "RS256", oauth2.AuthStyleInParams}, {"spa", "ES256", oauth2.AuthStyleInParams},
		} {
			t.Run(path+" "+client.id, func(t *testing.T) {
				w := newWorld(t, path)
				ctx := goidc.ClientContext(t.Context(), http.DefaultClient)
				rp, err := goidc.NewProvider(ctx, w.issuer)
				if err != nil {
					t.Fatal(err)
				}
				conf := oauth2.Config{ClientID: client.id, RedirectURL: app + "/cb", Endpoint: rp.Endpoint(), Scopes: []string{"openid", "profile", "email"}}
				conf.Endpoint.AuthStyle = client.style
				if client.id == "web" {
					conf.ClientSecret = w.secret
				}
				verifier := oauth2.GenerateVerifier()
				b := w.browser()
				page := b.get(conf.AuthCodeURL("state-1", oauth2.S256ChallengeOption(verifier), goidc.Nonce("nonce-1")))
				got := b.login(page, " Mika ", password).response(t)
				if got.Get("state") != "state-1" || got.Get("iss") != w.issuer {
					t.Fatalf("%v", got)
				}
				token, err := conf.Exchange(ctx, got.Get("code"), oauth2.VerifierOption(verifier))
				if err != nil {
					t.Fatal(err)
				}
				raw, _ := token.Extra("id_token").(string)
				id, err := rp.VerifierContext(ctx, &goidc.Config{ClientID: client.id, SupportedSigningAlgs: []string{client.alg}}).Verify(ctx, raw)
				if err != nil {
					t.Fatal(err)
				}
				var claims struct {
					Name     string   `json:"name"`
					Email    string   `json:"email"`
					SID      string   `json:"sid"`
					AuthTime int64    `json:"auth_time"`
					AMR      []string `json:"amr"`
				}
				if err := id.Claims(&claims); err != nil {
					t.Fatal(err)
				}
				if id.Nonce != "nonce-1" || claims.Name != "Mika" || claims.Email != "mika@example.com" || claims.SID == "" || claims.AuthTime != w.clock().Unix() || len(claims.AMR) != 1 {
					t.Errorf("%+v %+v", id, claims)
				}
				info, err := rp.UserInfo(ctx, conf.TokenSource(ctx, token))
				if err != nil {
					t.Fatal(err)
				}
				if info.Subject != id.Subject || info.Email != "mika@example.com" || info.EmailVerified {
					t.Errorf("%+v", info)
				}
				if log := w.log.String(); strings.Contains(log, password) || strings.Contains(log, got.Get("code")) || strings.Contains(log, w.secret) {
					t.Errorf("the log holds a secret: %s", log)
				}
			})
		}
	}
}

func TestDiscoverySaysWhatIsTrue(t *testing.T) {
	w := newWorld(t, "")
	a := w.browser().get(w.issuer + "/.well-known/openid-configuration")
	var doc map[string]any
	if err := json.Unmarshal([]byte(a.body), &doc); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"issuer":                                         w.issuer,
		"authorization_endpoint":                         w.issuer + "/authorize",
		"token_endpoint":                                 w.issuer + "/token",
		"userinfo_endpoint":                              w.issuer + "/userinfo",
		"jwks_uri":                                       w.issuer + "/jwks",
		"end_session_endpoint":                           w.issuer + "/logout",
		"revocation_endpoint":                            w.issuer + "/revoke",
		"pushed_authorization_request_endpoint":          w.issuer + "/par",
		"registration_endpoint":                          "<nil>",
		"response_types_supported":                       "[code]",
		"response_modes_supported":                       "[query form_post]",
		"grant_types_supported":                          "[authorization_code refresh_token]",
		"code_challenge_methods_supported":               "[S256]",
		"id_token_signing_alg_values_supported":          "[ES256 RS256]",
		"token_endpoint_auth_methods_supported":          "[client_secret_basic client_secret_post none]",
		"request_parameter_supported":                    "false",
		"request_uri_parameter_supported":                "false",
		"authorization_response_iss_parameter_supported": "true",
		"scopes_supported":                               "[openid profile email offline_access]",
	} {
		if got := strings.TrimSpace(toString(doc[name])); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	b := w.browser()
	for _, path := range []string{"/register", "/register/web", "/authorize/a/b", "/nothing", "//token"} {
		if a := b.post(w.issuer+path, url.Values{}); a.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %s, want 404", path, a.Status)
		}
	}
	if a := b.get(w.issuer + "/token"); a.StatusCode != http.StatusMethodNotAllowed || a.Header.Get("Allow") != "POST" {
		t.Errorf("GET /token: %s", a.Status)
	}
}

func toString(v any) string {
	if v == nil {
		return "<nil>"
	}
	text, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return strings.NewReplacer(`"`, "", ",", " ").Replace(string(text))
}

func TestTheKeysOutliveTheProcess(t *testing.T) {
	w := newWorld(t, "")
	b := w.browser()
	b.code() // the RSA key is there now
	first := b.get(w.issuer + "/jwks").body
	if strings.Count(first, `"kid"`) != 2 || strings.Contains(first, `"d"`) {
		t.Fatalf("%s", first)
	}
	p, err := provider.New(t.Context(), provider.Options{Issuer: w.issuer, Store: w.db})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = p.Close() }()
	rec := httptest.NewRecorder()
	p.Handler().ServeHTTP(rec, httptest.NewRequest("GET", "/jwks", nil))
	if rec.Body.String() != first {
		t.Errorf("%s, want %s", rec.Body, first)
	}
}

func TestABadIssuerIsRefused(t *testing.T) {
	db, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "x.db"), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	for _, issuer := range []string{"", "auth.example.com", "ftp://x", "https://x/", "https://x?y=1", "https://x#y", "https://u@x"} {
		if p, err := provider.New(context.Background(), provider.Options{Issuer: issuer, Store: db}); err == nil {
			_ = p.Close()
			t.Errorf("%q was taken", issuer)
		}
	}
}

var hidden = regexp.MustCompile(`name="([^"]+)" value="([^"]*)"`)
