// Package gatewaytest is a provider, doors before it and people who log in, for
// tests of the rooms that look on: each login's requests go over real sockets,
// to whichever of the doors the test chooses.
package gatewaytest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"onedoor/gateway"
	"onedoor/horizon"
	"onedoor/seal"
	"onedoor/tenant"
	"onedoor/upstream"
)

// Origin is the doors' public origin.
const Origin = "https://auth.example.com"

// The apps of a Bed: one that pushes nothing, one that must push, and one in
// relay mode. All have the secret Secret.
const (
	Shop   = "shop"
	Pusher = "pusher"
	Relay  = "relay"
	Secret = "the-clients-own-secret"
)

// Options of a Bed.
type Options struct {
	Doors    int                            // how many; one where it is 0
	Observe  func(door int) gateway.Options // Observe and InFlight of a door
	Registry tenant.Registry                // default: acme and globex active, wayne suspended
	Now      func() time.Time               // default: time.Now
	Log      *slog.Logger
}

// Bed is one provider and the doors before it.
type Bed struct {
	t     testing.TB
	doors []*httptest.Server
	apps  []*tenant.App
	// inside counts the requests that a door has not done with: a caller can have
	// its answer before the door has told whoever observes it.
	inside atomic.Int64

	mu      sync.Mutex
	codes   map[string]string // code -> its challenge
	handles map[string]string // request_uri -> the state pushed with it
	seen    []string          // PKCE verifiers
	down    bool
	slow    chan struct{}
}

// New makes a Bed that lasts as long as the test.
func New(t testing.TB, o Options) *Bed {
	t.Helper()
	b := &Bed{t: t, codes: map[string]string{}, handles: map[string]string{}}
	up := httptest.NewServer(http.HandlerFunc(b.provider))
	t.Cleanup(up.Close)
	base, err := url.Parse(up.URL)
	b.check(err)
	site, err := tenant.ParseTemplate("https://{tenant}.example.com", tenant.Environment{Production: true})
	b.check(err)
	for _, name := range []string{Shop, Pusher, Relay} {
		b.apps = append(b.apps, &tenant.App{
			Name: name, ClientID: name, Mode: tenant.Transparent, Type: tenant.Confidential, Site: site,
			Callbacks: []string{"/callback"}, Logouts: []string{"/"}, BrowserBinding: true, RequirePAR: name == Pusher,
			RegisteredRedirectURI: Origin + "/onedoor/callback", RegisteredLogoutURI: Origin + "/onedoor/logout",
		})
	}
	b.apps[2].Mode = tenant.Relay
	if o.Registry == nil {
		o.Registry = tenant.List{
			{ID: "id-of-acme", Label: "acme", Status: tenant.Active},
			{ID: "id-of-globex", Label: "globex", Status: tenant.Active},
			{ID: "id-of-wayne", Label: "wayne", Status: tenant.Suspended},
		}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	key := seal.Key{ID: 1, Secret: bytes.Repeat([]byte{7}, seal.KeySize)}
	for i := range max(o.Doors, 1) {
		ring, err := seal.NewRing(o.Now, key)
		b.check(err)
		provider, err := upstream.New(upstream.Options{URL: base, PublicOrigin: Origin, Issuers: []string{"/"}, Retry: 5 * time.Millisecond})
		b.check(err)
		b.run(provider)
		var seen gateway.Options
		if o.Observe != nil {
			seen = o.Observe(i)
		}
		g := gateway.New(gateway.Options{
			PublicOrigin: Origin, Provider: provider, Ring: ring, LoginTTL: time.Hour, CodeTTL: time.Minute, Log: o.Log, Now: o.Now,
			Directory: &tenant.Directory{Apps: b.apps, Registry: o.Registry, Reserved: []string{"auth"}, Door: []string{Origin}},
			Observe:   seen.Observe, InFlight: seen.InFlight,
		})
		handler := g.Handler(&horizon.Listener{Public: []string{Origin}})
		door := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			b.inside.Add(1)
			defer b.inside.Add(-1)
			handler.ServeHTTP(w, r)
		}))
		t.Cleanup(door.Close)
		b.doors = append(b.doors, door)
	}
	return b
}

func (b *Bed) check(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

// run keeps the provider's metadata there.
func (b *Bed) run(p *upstream.Provider) {
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = p.Run(ctx)
	}()
	b.t.Cleanup(func() {
		stop()
		<-ended
	})
	Until(b.t, "the provider's metadata", func() bool { return p.Ready() == nil })
}

// Idle says whether no door has a request left to end.
func (b *Bed) Idle() bool { return b.inside.Load() == 0 }

// Until waits for a condition.
func Until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick, late := time.NewTicker(2*time.Millisecond), time.After(30*time.Second)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// Verifiers are the PKCE verifiers that the provider got.
func (b *Bed) Verifiers() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.seen)
}

// HangUp makes the provider close each connection without an answer, or stop
// doing so.
func (b *Bed) HangUp(down bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.down = down
}

// Hold makes the provider wait with its answers until release is called.
func (b *Bed) Hold() (release func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	gate := make(chan struct{})
	b.slow = gate
	return func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.slow = nil
		close(gate)
	}
}

func (b *Bed) provider(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/.well-known/openid-configuration" {
		fmt.Fprintf(w, `{"issuer":%q,"authorization_endpoint":%q,"token_endpoint":%q,"pushed_authorization_request_endpoint":%q,"end_session_endpoint":%q,`+
			`"authorization_response_iss_parameter_supported":true,"code_challenge_methods_supported":["S256"]}`,
			Origin, Origin+"/authorize", Origin+"/token", Origin+"/par", Origin+"/logout")
		return
	}
	b.mu.Lock()
	gate := b.slow
	b.mu.Unlock()
	if gate != nil {
		<-gate
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.down {
		panic(http.ErrAbortHandler)
	}
	_ = r.ParseForm() // what it cannot read is missed below
	switch r.URL.Path {
	case "/authorize":
		asked := r.Form
		if pushed, ok := b.handles[r.Form.Get("request_uri")]; ok {
			asked, _ = url.ParseQuery(pushed)
		}
		// What a browser would find in the address bar after it has logged in.
		w.Header().Set("Location", Origin+"/login?"+url.Values{"state": asked["state"], "code_challenge": asked["code_challenge"]}.Encode())
		w.WriteHeader(http.StatusSeeOther)
	case "/par":
		if _, secret, _ := r.BasicAuth(); secret != Secret {
			refuse(w, http.StatusUnauthorized, "invalid_client")
			return
		}
		handle := fmt.Sprintf("urn:example:%d", len(b.handles))
		b.handles[handle] = r.PostForm.Encode()
		w.WriteHeader(http.StatusCreated)
		fmt.Fprintf(w, `{"request_uri":%q,"expires_in":60}`, handle)
	case "/token":
		if _, secret, _ := r.BasicAuth(); secret != Secret {
			refuse(w, http.StatusUnauthorized, "invalid_client")
			return
		}
		b.seen = append(b.seen, r.Form["code_verifier"]...)
		challenge, known := b.codes[r.Form.Get("code")]
		if r.Form.Get("grant_type") == "authorization_code" && (!known || (challenge != "" && seal.Challenge(r.Form.Get("code_verifier")) != challenge)) {
			refuse(w, http.StatusBadRequest, "invalid_grant")
			return
		}
		delete(b.codes, r.Form.Get("code"))
		fmt.Fprintf(w, `{"access_token":%q,"token_type":"Bearer","id_token":%q}`, AccessToken, IDToken)
	default:
		fmt.Fprint(w, "a page")
	}
}

// The tokens that the provider issues.
const (
	AccessToken = "the-access-token-of-somebody"
	IDToken     = "the.id.token-of-somebody"
)

func refuse(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"error": code, "error_description": "a text of the provider's"})
}

// Answer is a door's, read to its end.
type Answer struct {
	Status int
	Header http.Header
	Body   string
}

// Location is the query of the address that the answer leads to.
func (a Answer) Location() url.Values {
	u, err := url.Parse(a.Header.Get("Location"))
	if err != nil {
		return nil
	}
	return u.Query()
}

// Get asks a door by GET. header is names and values in turn; Host is one.
func (b *Bed) Get(door int, target string, header ...string) Answer {
	b.t.Helper()
	return b.Method(door, http.MethodGet, target, "", header...)
}

// Post asks a door by POST, with a form.
func (b *Bed) Post(door int, target string, form url.Values, header ...string) Answer {
	b.t.Helper()
	return b.Method(door, http.MethodPost, target, form.Encode(), append(header, "Content-Type", "application/x-www-form-urlencoded")...)
}

// Method asks a door by any method.
func (b *Bed) Method(door int, method, target, body string, header ...string) Answer {
	b.t.Helper()
	r, err := http.NewRequestWithContext(context.Background(), method, b.doors[door].URL+target, strings.NewReader(body))
	b.check(err)
	r.Host = strings.TrimPrefix(Origin, "https://")
	for pair := range slices.Chunk(header, 2) {
		if pair[0] == "Host" {
			r.Host = pair[1]
			continue
		}
		r.Header.Add(pair[0], pair[1])
	}
	resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(r)
	b.check(err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	b.check(err)
	return Answer{resp.StatusCode, resp.Header, string(text)}
}
