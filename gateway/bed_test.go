package gateway

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"onedoor/oidc"
	"onedoor/seal"
	"onedoor/tenant"
)

// bed is one door before one recording provider.
type bed struct {
	*testing.T
	v       *authorizeVectors
	now     time.Time
	apps    []*tenant.App
	tenants tenant.List
	fault   fault // of the registry
	keys    []seal.Key
	ring    *seal.Ring
	door    *door
	cookies map[string]string
	states  memory
	limits  Limits
	observe func(*Event)

	metadata string // of the provider, on PKCE
	down     bool   // the provider hangs up

	mu      sync.Mutex
	seen    []recorded
	codes   map[string]string // provider's code -> its S256 challenge
	pushes  int
	handles map[string]string // request_uri -> client
}

type recorded struct {
	path, query, body string
	header            http.Header
}

func newAuthorizeBed(t *testing.T, v *authorizeVectors) *bed {
	t.Helper()
	b := &bed{
		T: t, v: v, now: time.Unix(1_800_000_000, 0), cookies: map[string]string{},
		codes: map[string]string{}, handles: map[string]string{},
		keys:     []seal.Key{{ID: 1, Secret: bytes.Repeat([]byte{1}, seal.KeySize)}},
		metadata: `"code_challenge_methods_supported":["S256"]`,
	}
	site, err := tenant.ParseTemplate("https://{tenant}.example.com", tenant.Environment{Production: true})
	if err != nil {
		t.Fatal(err)
	}
	app := func(id string, typ tenant.Type) *tenant.App {
		return &tenant.App{
			Name: id, ClientID: id, Mode: tenant.Transparent, Type: typ, Site: site,
			Callbacks: []string{"/api/auth/callback"}, Logouts: []string{"/"}, BrowserBinding: true,
			RegisteredRedirectURI: vectorR0, RegisteredLogoutURI: vectorIssuer + "/onedoor/logout",
		}
	}
	shop, spa, jwtc, parc := app("shop", tenant.Confidential), app("spa", tenant.Public), app("jwtc", tenant.Confidential), app("parc", tenant.Confidential)
	parc.RequirePAR = true
	mobile := app("mobile", tenant.Native)
	mobile.Site, mobile.Callbacks, mobile.RedirectURIs = tenant.Template{}, nil, []string{"http://127.0.0.1/callback"}
	b.apps = []*tenant.App{shop, spa, jwtc, parc, mobile}
	b.tenants = tenant.List{
		{ID: "1", Label: "acme", Status: tenant.Active},
		{ID: "2", Label: "globex", Status: tenant.Active},
		{ID: "3", Label: "wayne", Status: tenant.Suspended},
	}
	b.build()
	return b
}

// build makes the door anew from the bed's apps, tenants and keys, as a replica
// does that starts in the middle of a login.
func (b *bed) build() {
	b.Helper()
	now := func() time.Time { return b.now }
	var err error
	if b.ring, err = seal.NewRing(now, b.keys...); err != nil {
		b.Fatal(err)
	}
	b.door = openDoor(b.T, setup{
		upstream: http.HandlerFunc(b.provider), issuers: []string{"/"},
		directory: &tenant.Directory{Apps: b.apps, Registry: b.registry(), Reserved: []string{"auth", "www"}, Door: []string{vectorIssuer}},
		gateway: func(o *Options) {
			o.Ring, o.LoginTTL, o.CodeTTL, o.Now = b.ring, time.Hour, 2*time.Minute, now
			o.States, o.Observe, o.Limits = &b.states, b.observe, b.limits
		},
	})
}

var vectorSecrets = map[string]string{"shop": "shop-secret", "parc": "parc-secret", "spa": "", "mobile": "", "jwtc": ""}

// provider is the recording provider behind the door.
func (b *bed) provider(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	if r.URL.Path == "/.well-known/openid-configuration" {
		fmt.Fprintf(w, `{"issuer":%q,"authorization_endpoint":%q,"token_endpoint":%q,"pushed_authorization_request_endpoint":%q,"end_session_endpoint":%q,
			"authorization_response_iss_parameter_supported":true,%s}`,
			vectorIssuer, vectorIssuer+"/authorize", vectorIssuer+"/token", vectorIssuer+"/par", vectorIssuer+"/logout", b.metadata)
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.seen = append(b.seen, recorded{r.URL.Path, r.URL.RawQuery, string(body), r.Header.Clone()})
	if b.down {
		panic(http.ErrAbortHandler)
	}
	query, _ := url.ParseQuery(r.URL.RawQuery)
	form, _ := url.ParseQuery(string(body))
	page := func(status int) {
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(status)
	}
	switch r.URL.Path {
	case "/authorize":
		for name, values := range form {
			query[name] = append(query[name], values...)
		}
		_, known := vectorSecrets[query.Get("client_id")]
		pushed := query.Get("request_uri") != "" && b.handles[query.Get("request_uri")] == query.Get("client_id")
		if !known || (!pushed && query.Get("redirect_uri") != vectorR0) {
			page(http.StatusBadRequest)
		}
	case "/par":
		id, secret, _ := r.BasicAuth()
		if want, known := vectorSecrets[id]; !known || want != secret {
			tokenError(w, http.StatusUnauthorized, oidc.InvalidClient)
			return
		}
		b.pushes++
		handle := fmt.Sprintf("urn:example:%d", b.pushes)
		b.handles[handle] = id
		w.WriteHeader(http.StatusCreated)
		fmt.Fprintf(w, `{"request_uri":%q,"expires_in":60}`, handle)
	case "/token":
		b.answerToken(w, r, form)
	}
}

func (b *bed) answerToken(w http.ResponseWriter, r *http.Request, form url.Values) {
	id, secret, basic := r.BasicAuth()
	if !basic {
		id, secret = form.Get("client_id"), form.Get("client_secret")
	}
	if want, known := vectorSecrets[id]; !known || want != secret {
		tokenError(w, http.StatusUnauthorized, oidc.InvalidClient)
		return
	}
	if form.Get("grant_type") == "authorization_code" {
		challenge, known := b.codes[form.Get("code")]
		if !known || form.Get("redirect_uri") != vectorR0 || seal.Challenge(form.Get("code_verifier")) != challenge {
			tokenError(w, http.StatusBadRequest, oidc.InvalidGrant)
			return
		}
	}
	fmt.Fprint(w, `{"access_token":"at","token_type":"Bearer"}`)
}

func tokenError(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	fmt.Fprintf(w, `{"error":%q}`, code)
}

// send sends one request to the door, as a browser with the bed's cookies.
func (b *bed) send(method, path, query, contentType, body string, headers [][2]string) *http.Response {
	b.Helper()
	req, err := http.NewRequest(method, "http://"+b.door.addr, strings.NewReader(body))
	if err != nil {
		b.Fatal(err)
	}
	req.URL.Path = path
	req.URL.RawQuery = query
	req.Host = "auth.example.com"
	if body != "" {
		req.Header.Set("Content-Type", contentType)
	}
	for _, h := range headers {
		switch {
		case h[0] == "Host":
			req.Host = h[1]
		case strings.HasPrefix(h[1], "Basic "):
			req.Header.Set(h[0], "Basic "+base64.StdEncoding.EncodeToString([]byte(h[1][6:])))
		default:
			req.Header.Set(h[0], h[1])
		}
	}
	for name, value := range b.cookies {
		req.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = resp.Body.Close() })
	for _, c := range resp.Cookies() {
		if c.MaxAge < 0 {
			delete(b.cookies, c.Name)
		} else {
			b.cookies[c.Name] = c.Value
		}
	}
	return resp
}

// toProvider begins a flow and returns the sealed state that reached the
// provider; the provider has then issued the flow's code.
func (b *bed) toProvider(name string) string {
	b.Helper()
	f := b.v.Fixture.Flows[name]
	ps := oidc.Params{{Name: "response_type", Value: "code"}, {Name: "client_id", Value: f.Client}, {Name: "redirect_uri", Value: f.RedirectURI}, {Name: "scope", Value: "openid"}}
	if f.State != nil {
		ps = append(ps, oidc.Param{Name: "state", Value: *f.State})
	}
	if f.ResponseMode != "" {
		ps = append(ps, oidc.Param{Name: "response_mode", Value: f.ResponseMode})
	}
	if f.PKCE != nil {
		ps = append(ps, oidc.Param{Name: "code_challenge", Value: seal.Challenge(f.CodeVerifier)}, oidc.Param{Name: "code_challenge_method", Value: *f.PKCE})
	}
	resp := b.send("GET", "/authorize", ps.Encode(), "", "", nil)
	if resp.StatusCode != http.StatusOK {
		b.Fatalf("flow %s did not reach the provider: %s", name, resp.Status)
	}
	query, _ := url.ParseQuery(b.last().query)
	b.codes[f.UpstreamCode] = query.Get("code_challenge")
	return query.Get("state")
}

func (b *bed) last() recorded {
	b.Helper()
	if len(b.seen) == 0 {
		b.Fatal("nothing reached the provider")
	}
	return b.seen[len(b.seen)-1]
}

// redeemed goes through a flow to its end and returns the code that the client
// got. raw replaces the provider's code, as a thief would.
func (b *bed) redeemed(name, raw string) string {
	b.Helper()
	f := b.v.Fixture.Flows[name]
	if raw == "" {
		raw = f.UpstreamCode
	}
	query := oidc.Params{{Name: "code", Value: raw}, {Name: "state", Value: b.toProvider(name)}, {Name: "iss", Value: vectorIssuer}}.Encode()
	resp := b.send("GET", "/onedoor/callback", query, "", "", nil)
	loc, err := resp.Location()
	if err != nil {
		b.Fatalf("callback of %s: %s", name, resp.Status)
	}
	return loc.Query().Get("code")
}

// reseal seals what a sealed value holds for another context, with the door's
// own key.
func (b *bed) reseal(p seal.Purpose, text, context string) string {
	b.Helper()
	raw, err := b.door.gateway.Ring.Open(p, vectorIssuer, text, time.Hour)
	if err != nil {
		b.Fatal(err)
	}
	return b.door.gateway.Ring.Seal(p, context, raw)
}
