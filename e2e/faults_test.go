//go:build e2e && linux

package e2e

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"onedoor/e2e/lab"
)

// What the tests of faults share: a provider that the test can slow down, and a
// real door before it.

// idp is a provider that logs everybody in at once, gives tokens for a code and
// its PKCE verifier, and counts what reaches it. Requests below /slow wait until
// slow is closed, and go on as others do.
type idp struct {
	issuer string
	slow   chan struct{}

	mu    sync.Mutex
	codes map[string]string // to their challenges
	came  map[string]int    // requests, by path
}

func (p *idp) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	p.came[r.URL.Path]++
	p.mu.Unlock()
	switch {
	case strings.HasSuffix(r.URL.Path, "/.well-known/openid-configuration"):
		_ = json.NewEncoder(w).Encode(map[string]any{ // the caller has gone
			"issuer": p.issuer, "authorization_endpoint": p.issuer + "/auth", "token_endpoint": p.issuer + "/token",
			"end_session_endpoint": p.issuer + "/logout", "jwks_uri": p.issuer + "/keys", "code_challenge_methods_supported": []string{"S256"},
		})
	case strings.HasSuffix(r.URL.Path, "/auth"):
		p.authorize(w, r)
	case strings.HasSuffix(r.URL.Path, "/token"):
		p.token(w, r)
	case strings.Contains(r.URL.Path, "/slow"):
		select {
		case <-p.slow:
		case <-r.Context().Done():
		}
	default:
		http.NotFound(w, r)
	}
}

func (p *idp) authorize(w http.ResponseWriter, r *http.Request) {
	code := rand.Text()
	p.mu.Lock()
	p.codes[code] = r.FormValue("code_challenge")
	p.mu.Unlock()
	http.Redirect(w, r, r.FormValue("redirect_uri")+"?"+url.Values{"code": {code}, "state": {r.FormValue("state")}}.Encode(), http.StatusSeeOther)
}

func (p *idp) token(w http.ResponseWriter, r *http.Request) {
	code := r.FormValue("code")
	p.mu.Lock()
	challenge, ok := p.codes[code]
	delete(p.codes, code) // good once
	p.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	if !ok || oauth2.S256ChallengeFromVerifier(r.FormValue("code_verifier")) != challenge {
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, `{"error":"invalid_grant"}`)
		return
	}
	_, _ = io.WriteString(w, `{"access_token":"at","token_type":"Bearer"}`)
}

// count is how many requests of that path reached the provider.
func (p *idp) count(suffix string) (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for path, times := range p.came {
		if strings.HasSuffix(path, suffix) {
			n += times
		}
	}
	return n
}

// bed is a door before such a provider.
type bed struct {
	t       *testing.T
	idp     *idp
	door    *lab.Door
	address string
	public  string
	site    string // of acme
	logins  int    // that were finished
}

// newBed starts both. more is what the configuration has besides; start starts
// the door.
func newBed(t *testing.T, more string, start func(lab.Scope, lab.DoorOptions) *lab.Door) *bed {
	t.Helper()
	port := lab.FreePort(t)
	b := &bed{t: t, address: fmt.Sprintf("127.0.0.1:%d", port), public: fmt.Sprintf("http://auth.localhost:%d", port), site: "http://acme.localhost:3000"}
	b.idp = &idp{issuer: b.public + "/r", slow: make(chan struct{}), codes: map[string]string{}, came: map[string]int{}}
	l := lab.Here.Listen(t, "127.0.0.1:0")
	lab.Serve(t, l, b.idp)
	b.door = start(t, lab.DoorOptions{Net: lab.Here, Address: b.address, Origin: b.public, Config: fmt.Sprintf(`
public_url: %s
listen: %s
provider: {upstream: "http://%s", issuers: [/r]}
apps: {atlas: {client_id: atlas, site: "http://{tenant}.localhost:3000", callbacks: [/callback]}}
tenants: {list: [acme]}
admin: {listen: "127.0.0.1:%d"}
%s
`, b.public, b.address, l.Addr(), lab.FreePort(t), more)})
	return b
}

// request makes a request of the door on a connection of its own.
func (b *bed) request(method, path string, fields url.Values) (*http.Response, string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, b.public+path, strings.NewReader(fields.Encode()))
	if err != nil {
		return nil, "", err
	}
	if fields != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	return b.do(b.door.Client(), r)
}

func (b *bed) do(client *http.Client, r *http.Request) (*http.Response, string, error) {
	resp, err := client.Do(r)
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp, string(body), err
}

// logIn is a whole login; wrong is what kept it from tokens, "" for nothing.
func (b *bed) logIn() (wrong string) {
	p := newPerson(b.t, "")
	p.client.Transport = b.door.Client().Transport
	at, state := b.public+"/r/auth", rand.Text()
	next := at + "?" + url.Values{"response_type": {"code"}, "client_id": {"atlas"}, "redirect_uri": {b.site + "/callback"}, "state": {state}}.Encode()
	for range 4 {
		r, err := http.NewRequestWithContext(b.t.Context(), http.MethodGet, next, nil)
		if err != nil {
			return err.Error()
		}
		resp, body, err := b.do(p.client, r)
		if err != nil {
			return err.Error()
		}
		to, err := resp.Location()
		if err != nil {
			return fmt.Sprintf("%s: %s %s", r.URL.Path, resp.Status, body)
		}
		if next = to.String(); strings.HasPrefix(next, b.site+"/callback?") {
			return b.redeem(to.Query(), state)
		}
	}
	return "a circle"
}

func (b *bed) redeem(response url.Values, state string) (wrong string) {
	if response.Get("state") != state {
		return fmt.Sprintf("the response is %v", response)
	}
	resp, body, err := b.request(http.MethodPost, "/r/token", url.Values{
		"grant_type": {"authorization_code"}, "client_id": {"atlas"}, "client_secret": {"s"}, "code": {response.Get("code")}, "redirect_uri": {b.site + "/callback"},
	})
	if err != nil {
		return err.Error()
	}
	if resp.StatusCode != http.StatusOK || !strings.Contains(body, `"at"`) {
		return fmt.Sprintf("token: %s %s", resp.Status, body)
	}
	return ""
}

// mustLogIn logs in n times, and no login may take longer than most.
func (b *bed) mustLogIn(n int, most time.Duration) {
	b.t.Helper()
	for range n {
		began := time.Now()
		if wrong := b.logIn(); wrong != "" {
			b.t.Fatalf("a login is lost: %s", wrong)
		}
		b.logins++
		if took := time.Since(began); took > most {
			b.t.Errorf("a login took %v, want at most %v", took, most)
		}
	}
}
