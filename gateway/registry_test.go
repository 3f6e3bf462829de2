package gateway

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"onedoor/oidc"
	"onedoor/tenant"
)

// fault is what is wrong with a bed's registry at this moment.
type fault struct {
	err   atomic.Pointer[error]
	moved atomic.Pointer[string] // the issuer that every tenant belongs to now
}

func (f *fault) set(err error) { f.err.Store(&err) }

// registry is the bed's tenants, as far as nothing is wrong.
func (b *bed) registry() tenant.Registry { return failing{b.tenants, &b.fault} }

type failing struct {
	tenant.List
	fault *fault
}

func (f failing) ByLabel(ctx context.Context, label string) (tenant.Tenant, error) {
	t, err := f.List.ByLabel(ctx, label)
	if issuer := f.fault.moved.Load(); issuer != nil {
		t.Issuer = *issuer
	}
	if wrong := f.fault.err.Load(); wrong != nil && *wrong != nil {
		err = *wrong
	}
	return t, err
}

func (f failing) BySite(ctx context.Context, app, origin string) (tenant.Tenant, error) {
	if wrong := f.fault.err.Load(); wrong != nil && *wrong != nil {
		return tenant.Tenant{}, *wrong
	}
	return f.List.BySite(ctx, app, origin)
}

// login is what the legs of one login send. Each is a request that works as
// long as the tenant may log in, and can be sent again when it did not.
type login struct {
	*bed
	sealed, code, pushed string
	logout               url.Values // as the provider got it
}

func beginLogin(t *testing.T) *login {
	l := &login{bed: newAuthorizeBed(t, nil)}
	l.apps[0].BrowserBinding = false
	_, l.sealed = l.begin("st")
	q, err := url.ParseQuery(l.last().query)
	if err != nil {
		t.Fatal(err)
	}
	l.codes["K"] = q.Get("code_challenge")
	l.code = location(t, l.finish(l.sealed)).Query().Get("code")
	_, rest, _ := strings.Cut(read(t, l.push()).body, `"request_uri":"`)
	l.pushed, _, _ = strings.Cut(rest, `"`)
	l.legs()["logout"]()
	if l.logout, err = url.ParseQuery(l.last().query); err != nil {
		t.Fatal(err)
	}
	return l
}

func (l *login) push() *http.Response {
	body := oidc.Params{{Name: "response_type", Value: "code"}, {Name: "redirect_uri", Value: acmeURI}, {Name: "state", Value: "st"}}.Encode()
	return l.send("POST", "/par", "", "application/x-www-form-urlencoded", body, [][2]string{{"Authorization", "Basic shop:shop-secret"}})
}

// legs are all requests at which a tenant is looked up, by name; those of the
// back channel begin with "/".
func (l *login) legs() map[string]func() *http.Response {
	get := func(path string, ps oidc.Params) func() *http.Response {
		return func() *http.Response { return l.send("GET", path, ps.Encode(), "", "", nil) }
	}
	out := oidc.Params{{Name: "client_id", Value: "shop"}, {Name: "post_logout_redirect_uri", Value: "https://acme.example.com/"}}
	return map[string]func() *http.Response{
		"authorize":        func() *http.Response { resp, _ := l.begin("again"); return resp },
		"authorize pushed": get("/authorize", oidc.Params{{Name: "client_id", Value: "shop"}, {Name: "request_uri", Value: l.pushed}}),
		"callback":         func() *http.Response { return l.finish(l.sealed) },
		"logout":           get("/logout", out),
		"logout sent back": func() *http.Response { return l.send("GET", "/logout", l.logout.Encode(), "", "", nil) },
		"logged out": func() *http.Response {
			return l.send("GET", "/onedoor/logout", url.Values{"state": l.logout["state"]}.Encode(), "", "", nil)
		},
		"/par":   l.push,
		"/token": func() *http.Response { return l.redeem(l.code) },
	}
}

func TestARegistryThatCannotLookIsNoFaultOfTheCallers(t *testing.T) {
	l := beginLogin(t)
	for name, leg := range l.legs() {
		l.fault.set(errors.New("registry: stale"))
		a := read(t, leg())
		if a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "" || a.header.Get("Location") != "" {
			t.Errorf("%s: %d %v", name, a.status, a.header)
		}
		if json := strings.Contains(a.body, `"error":"temporarily_unavailable"`); json != (name[0] == '/') {
			t.Errorf("%s: %s", name, a.body)
		}
		if !strings.Contains(l.door.log.String(), `"rule":"tenant.registry"`) || !strings.Contains(l.door.log.String(), `"cause":"registry: stale"`) {
			t.Errorf("%s: the log does not say why: %s", name, l.door.log.String())
		}
		l.fault.set(nil)
		if a := read(t, leg()); a.status >= 400 {
			t.Errorf("%s, when the registry is back: %d %s", name, a.status, a.body)
		}
	}
}

func TestARelayWaitsForTheRegistry(t *testing.T) {
	b := newAuthorizeBed(t, nil)
	b.fault.set(errors.New("registry: loading"))
	a := read(t, b.send("GET", "/apps/shop/tenants/acme/callback", "code=K&state=s", "", "", nil))
	if a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "" || a.header.Get("Location") != "" {
		t.Errorf("%d %v", a.status, a.header)
	}
}

func TestATenantsRealmWaitsForTheRegistry(t *testing.T) {
	b := openRealms(t)
	b.fault.set(errors.New("registry: loading"))
	for _, path := range []string{"/auth?client_id=shop", "/.well-known/openid-configuration", "/account"} {
		if a := b.get(realmHost, "/realms/acme"+path); a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "" {
			t.Errorf("%s: %d %v", path, a.status, a.header)
		}
	}
	b.fault.set(nil)
	if a, sent := b.authorize("acme", "https://acme.example.com"); sent == nil {
		t.Errorf("when the registry is back: %d", a.status)
	}
}

// A tenant may be given to another issuer in the middle of a login.
func TestATenantOfAnotherIssuerIsRefusedAtEveryLeg(t *testing.T) {
	l := beginLogin(t)
	for _, app := range l.apps {
		app.Issuer = "/"
	}
	for name, leg := range l.legs() {
		for issuer, ok := range map[string]bool{"": true, "/": true, "/realms/other": false} {
			l.fault.moved.Store(&issuer)
			if a := read(t, leg()); (a.status < 400) != ok || (!ok && a.header.Get("Location") != "") {
				t.Errorf("%s, the tenant is of issuer %q: %d %v", name, issuer, a.status, a.header)
			}
		}
	}
	if !strings.Contains(l.door.log.String(), `"rule":"tenant.issuer"`) {
		t.Error("no rule in the log")
	}
}

func TestATenantsRealmIsTheOneOfItsIssuer(t *testing.T) {
	b := openRealms(t)
	for issuer, ok := range map[string]bool{"": true, "/realms/{tenant}": true, "/realms/acme": true, "/realms/globex": false, "/": false} {
		b.fault.moved.Store(&issuer)
		if a, sent := b.authorize("acme", "https://acme.example.com"); (sent != nil) != ok {
			t.Errorf("issuer %q: %d", issuer, a.status)
		}
		if a := b.get(realmHost, "/realms/acme/account"); (a.status == http.StatusNotFound) == ok {
			t.Errorf("issuer %q: the realm answers %d", issuer, a.status)
		}
	}
}

// The tenant's parameters go before the app's, and what the app itself sent
// before both.
func TestATenantsParametersReachTheProvider(t *testing.T) {
	b := newAuthorizeBed(t, nil)
	b.apps[0].Authorize = map[string]string{"kc_idp_hint": "{tenant}", "ui_locales": "en", "prompt": "consent"}
	b.tenants[0].Parameters = map[string]string{"ui_locales": "ko", "prompt": "login", "organization": "7", "redirect_uri": "https://evil.test"}
	ps := oidc.Params{{Name: "response_type", Value: "code"}, {Name: "client_id", Value: "shop"}, {Name: "redirect_uri", Value: acmeURI}, {Name: "prompt", Value: "none"}}
	b.send("GET", "/authorize", ps.Encode(), "", "", nil)
	got, err := url.ParseQuery(b.last().query)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"kc_idp_hint": "acme", "ui_locales": "ko", "prompt": "none", "organization": "7", "redirect_uri": vectorR0} {
		if v := got[name]; len(v) != 1 || v[0] != want {
			t.Errorf("%s: the provider got %q, want %q", name, v, want)
		}
	}
}

func TestADoorIsReadyWhenAllThatItNeedsIsThere(t *testing.T) {
	var wrong atomic.Pointer[error]
	d := openDoor(t, setup{upstream: fakeProvider("/realms/atlas"), gateway: func(o *Options) {
		o.Ready = func() error {
			if e := wrong.Load(); e != nil {
				return *e
			}
			return nil
		}
	}})
	loading := errors.New("loading")
	wrong.Store(&loading)
	if a := d.get("anything", "/onedoor/health/ready"); a.status != http.StatusServiceUnavailable {
		t.Errorf("while it is loading: %d", a.status)
	}
	if a := d.get("anything", "/onedoor/health/live"); a.status != http.StatusOK {
		t.Errorf("it lives: %d", a.status)
	}
	wrong.Store(nil)
	if a := d.get("anything", "/onedoor/health/ready"); a.status != http.StatusOK {
		t.Errorf("when all is there: %d", a.status)
	}
}

func TestADoorThatWaitsLivesAndAsksEverybodyToComeAgain(t *testing.T) {
	log := &logBuffer{}
	h := Waiting(slog.New(slog.NewJSONHandler(log, nil)), Limits{})
	for target, want := range map[string]struct {
		status int
		body   string
	}{
		"/onedoor/health/live":              {http.StatusOK, "live"},
		"/onedoor/health/ready":             {http.StatusServiceUnavailable, "not ready"},
		"/authorize?client_id=CANARY":       {http.StatusServiceUnavailable, "does not answer"},
		"/onedoor/callback?state=CANARY":    {http.StatusServiceUnavailable, "does not answer"},
		"//evil.example/":                   {http.StatusBadRequest, ""},
		"/.well-known/openid-configuration": {http.StatusServiceUnavailable, "does not answer"},
	} {
		w := httptest.NewRecorder()
		r := httptest.NewRequest("GET", "http://anything"+target, nil)
		r.RequestURI = target
		h.ServeHTTP(w, r)
		if w.Code != want.status || !strings.Contains(w.Body.String(), want.body) || (w.Header().Get("Retry-After") != "") != (want.status == http.StatusServiceUnavailable) {
			t.Errorf("%s: %d %v %s", target, w.Code, w.Header(), w.Body)
		}
	}
	if text := log.String(); !strings.Contains(text, `"rule":"door.starting"`) || strings.Contains(text, "CANARY") {
		t.Error(text)
	}
}
