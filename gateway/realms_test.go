package gateway

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"onedoor/horizon"
	"onedoor/oidc"
	"onedoor/seal"
	"onedoor/tenant"
	"onedoor/upstream"
)

// realmsBed is a door before a provider with a realm for each tenant.
type realmsBed struct {
	*door
	mu      sync.Mutex
	asked   map[string]int // documents, by path
	last    *http.Request
	body    string
	tenants tenant.List
	fault   fault // of the registry
}

func openRealms(t *testing.T) *realmsBed { return openRealmsWith(t, func(*upstream.Options) {}) }

func openRealmsWith(t *testing.T, options func(*upstream.Options)) *realmsBed {
	t.Helper()
	b := &realmsBed{asked: map[string]int{}, tenants: tenant.List{
		{ID: "1", Label: "acme", Status: tenant.Active},
		{ID: "2", Label: "globex", Status: tenant.Active},
		{ID: "3", Label: "wayne", Status: tenant.Suspended},
		{ID: "4", Label: "broken", Status: tenant.Active},
		{ID: "5", Label: "master", Status: tenant.Active},
	}}
	site, err := tenant.ParseTemplate("https://{tenant}.example.com", tenant.Environment{Production: true})
	if err != nil {
		t.Fatal(err)
	}
	directory := &tenant.Directory{Registry: failing{b.tenants, &b.fault}, Door: []string{testOrigin}, Apps: []*tenant.App{{
		Name: "shop", ClientID: "shop", Mode: tenant.Transparent, Type: tenant.Confidential, Site: site,
		Callbacks: []string{"/cb"}, Logouts: []string{"/"}, Issuer: "/realms/{tenant}",
		RegisteredRedirectURI: testOrigin + "/onedoor/callback/realms/{tenant}",
		RegisteredLogoutURI:   testOrigin + "/onedoor/logout/realms/{tenant}",
	}}}
	ring, err := seal.NewRing(time.Now, seal.NewKey(1))
	if err != nil {
		t.Fatal(err)
	}
	b.door = openDoor(t, setup{
		upstream: http.HandlerFunc(b.provider), issuers: []string{"/realms/{tenant}"}, directory: directory,
		options: func(o *upstream.Options) { o.Tenant, o.Kind = directory.Active, upstream.Keycloak; options(o) },
		gateway: func(o *Options) { o.Ring, o.LoginTTL, o.CodeTTL = ring, time.Hour, time.Minute },
	})
	return b
}

func (b *realmsBed) provider(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	b.mu.Lock()
	defer b.mu.Unlock()
	if realm, ok := strings.CutSuffix(r.URL.Path, "/.well-known/openid-configuration"); ok {
		b.asked[r.URL.Path]++
		iss := testOrigin + realm
		name := iss
		if realm == "/realms/broken" {
			name = testOrigin + "/realms/acme"
		}
		fmt.Fprintf(w, `{"issuer":%q,"authorization_endpoint":%q,"token_endpoint":%q,"end_session_endpoint":%q,"registration_endpoint":%q,"code_challenge_methods_supported":["S256"]}`,
			name, iss+"/auth", iss+"/token", iss+"/logout", iss+"/register")
		return
	}
	if strings.Contains(r.URL.Path, ".well-known") {
		http.NotFound(w, r)
		return
	}
	b.last, b.body = r, string(body)
}

const realmHost = "auth.example.com"

func (b *realmsBed) authorize(realm, site string) (answer, url.Values) {
	b.t.Helper()
	b.last = nil
	ps := oidc.Params{{Name: "response_type", Value: "code"}, {Name: "client_id", Value: "shop"}, {Name: "redirect_uri", Value: site + "/cb"}, {Name: "state", Value: "st"}}
	a := b.get(realmHost, "/realms/"+realm+"/auth?"+ps.Encode())
	if b.last == nil {
		return a, nil
	}
	return a, b.last.URL.Query()
}

func TestEachTenantLogsInAtItsOwnRealm(t *testing.T) {
	b := openRealms(t)
	for _, label := range []string{"acme", "globex"} {
		site := "https://" + label + ".example.com"
		a, sent := b.authorize(label, site)
		if want := testOrigin + "/onedoor/callback/realms/" + label; sent.Get("redirect_uri") != want {
			t.Fatalf("%s: %d, the provider got %v, want redirect_uri %s", label, a.status, sent, want)
		}
		query := "?" + oidc.Params{{Name: "code", Value: "K"}, {Name: "state", Value: sent.Get("state")}}.Encode()
		back := b.get(realmHost, "/onedoor/callback/realms/"+label+query)
		loc, err := url.Parse(back.header.Get("Location"))
		if err != nil || loc.Host != label+".example.com" || loc.Query().Get("state") != "st" {
			t.Fatalf("%s: %d %v", label, back.status, back.header)
		}
		other := map[string]string{"acme": "globex", "globex": "acme"}[label]
		for _, at := range []string{"/realms/" + other, "", "/realms/{tenant}", "/realms/wayne"} {
			if a := b.get(realmHost, "/onedoor/callback"+at+query); a.status < 400 || a.status > 499 || a.header.Get("Location") != "" {
				t.Errorf("%s's response at %q: %d %v", label, at, a.status, a.header)
			}
		}
		body := oidc.Params{
			{Name: "grant_type", Value: "authorization_code"},
			{Name: "code", Value: loc.Query().Get("code")},
			{Name: "redirect_uri", Value: site + "/cb"},
			{Name: "client_id", Value: "shop"},
			{Name: "client_secret", Value: "s"},
		}.Encode()
		for realm, status := range map[string]int{label: 200, other: 400} {
			b.last = nil
			a := b.post("/realms/"+realm+"/token", body)
			if a.status != status || (b.last != nil) != (status == 200) {
				t.Errorf("%s's code at %s: %d %s", label, realm, a.status, a.body)
			}
		}
		if form, _ := url.ParseQuery(b.body); form.Get("redirect_uri") != testOrigin+"/onedoor/callback/realms/"+label {
			t.Errorf("%s: the token request was %s", label, b.body)
		}
	}
}

func (b *realmsBed) post(path, body string) answer {
	b.t.Helper()
	return b.raw("", "POST", fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\n\r\n%s", path, realmHost, len(body), body))
}

func TestASiteOfOneTenantAtTheRealmOfAnotherIsRefused(t *testing.T) {
	b := openRealms(t)
	if a, sent := b.authorize("acme", "https://globex.example.com"); sent != nil || a.status != http.StatusBadRequest || a.header.Get("Location") != "" {
		t.Errorf("login: %d %v", a.status, a.header)
	}
	q := "?client_id=shop&post_logout_redirect_uri=" + url.QueryEscape("https://globex.example.com/")
	if a := b.get(realmHost, "/realms/acme/logout"+q); a.status != http.StatusBadRequest || a.header.Get("Location") != "" {
		t.Errorf("logout: %d %v", a.status, a.header)
	}
}

func TestRealmsOfNobodyAreNotThere(t *testing.T) {
	b := openRealms(t)
	for _, label := range []string{"wayne", "nosuch", "ACME", "acme%2e", "a_b"} {
		for _, path := range []string{"/auth?client_id=shop", "/.well-known/openid-configuration", "/account"} {
			a := b.get(realmHost, "/realms/"+label+path)
			if a.status != http.StatusNotFound || b.last != nil {
				t.Errorf("/realms/%s%s: %d, provider asked: %v", label, path, a.status, b.last != nil)
			}
		}
	}
	if a := b.get(realmHost, "/realms/master/auth?client_id=shop"); a.status != http.StatusForbidden {
		t.Errorf("a tenant called master opens the provider's own realm: %d", a.status)
	}
	if a, _ := b.authorize("broken", "https://broken.example.com"); a.status != http.StatusServiceUnavailable {
		t.Errorf("a realm that calls itself otherwise: %d", a.status)
	}
}

func TestARealmIsAskedForOnceByManyAtOnce(t *testing.T) {
	b := openRealms(t)
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if a := b.get(realmHost, "/realms/acme/.well-known/openid-configuration"); a.status != http.StatusOK || !strings.Contains(a.body, `"issuer":"https://auth.example.com/realms/acme"`) {
				t.Errorf("%d %s", a.status, a.body)
			}
		})
	}
	all.Wait()
	b.mu.Lock()
	defer b.mu.Unlock()
	if n := b.asked["/realms/acme/.well-known/openid-configuration"]; n != 1 {
		t.Errorf("the provider was asked %d times", n)
	}
}

// TestATenantThatGoesInTheMiddleOpensNothing: a request is judged once. One
// that was let in by the first look and not recognised by the next would reach
// the provider unchecked.
func TestATenantThatGoesInTheMiddleOpensNothing(t *testing.T) {
	var asks, goes atomic.Int64
	b := openRealmsWith(t, func(o *upstream.Options) {
		active := o.Tenant
		o.Tenant = func(ctx context.Context, label, issuer string) (bool, error) {
			ok, err := active(ctx, label, issuer)
			return ok && asks.Add(1) <= goes.Load(), err
		}
	})
	goes.Store(1 << 40)
	b.get(realmHost, "/realms/acme/.well-known/openid-configuration")
	for n := range int64(8) {
		asks.Store(0)
		goes.Store(n)
		a, sent := b.authorize("acme", "https://acme.example.com")
		if sent != nil && sent.Get("redirect_uri") != testOrigin+"/onedoor/callback/realms/acme" {
			t.Errorf("gone after %d looks: %d, the provider got %v", n, a.status, sent)
		}
	}
}

// TestRenderedDocumentsAreBounded: tenants come and go, and anybody may ask
// for the document of each.
func TestRenderedDocumentsAreBounded(t *testing.T) {
	b := openRealms(t)
	m, err := oidc.ParseMetadata([]byte(`{"issuer":"x"}`))
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 * maxDocuments {
		b.gateway.render(m, fmt.Sprintf("/realms/t%d/.well-known/openid-configuration", i), horizon.Caller{Origin: testOrigin, Horizon: horizon.Public})
	}
	n := 0
	b.gateway.documents.Range(func(any, any) bool { n++; return true })
	if n > maxDocuments {
		t.Errorf("%d documents are kept, want at most %d", n, maxDocuments)
	}
}
