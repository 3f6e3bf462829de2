package gateway

import (
	"math"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"onedoor/oidc"
	"onedoor/seal"
	"onedoor/tenant"
)

func TestTheLegsOfALoginAreJoinedWhicheverReplicaTakesThem(t *testing.T) {
	for _, tt := range []struct {
		name, client, mode string
		pushed             bool
		legs               []Leg
	}{
		{"a login", "shop", "", false, []Leg{LegAuthorize, LegCallback, LegToken}},
		{"with form_post", "shop", "form_post", false, []Leg{LegAuthorize, LegCallback, LegToken}},
		{"with a pushed request", "parc", "", true, []Leg{LegPushed, LegAuthorize, LegCallback, LegToken}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWitness(t)
			legs := w.login(tt.client, tt.mode, tt.pushed)
			for i, e := range legs {
				if e.Leg != tt.legs[i] || e.Login.IsZero() || e.Login != legs[0].Login || len(e.Login.String()) != 32 {
					t.Errorf("leg %d is %q of login %s, want %q of %s", i, e.Leg, e.Login, tt.legs[i], legs[0].Login)
				}
				if e.Begins != (i == 0) || e.App != tt.client || e.Tenant != "acme" || e.TenantID != "1" || e.Rule != "" || e.Outcome() != OK {
					t.Errorf("leg %s: %+v", e.Leg, e)
				}
				if asks := e.Leg != LegCallback; asks != (e.ProviderStatus != 0) || asks == e.Asked.IsZero() {
					t.Errorf("leg %s says that the provider answered %d", e.Leg, e.ProviderStatus)
				}
			}
			if again := w.login(tt.client, tt.mode, tt.pushed); again[0].Login == legs[0].Login {
				t.Error("two logins have one id")
			}
			w.keepsSecrets()
		})
	}
}

func TestALoginIDTellsNothingOfTheTransaction(t *testing.T) {
	ring, err := seal.NewRing(time.Now, seal.NewKey(1))
	if err != nil {
		t.Fatal(err)
	}
	tr := newTransaction(ring)
	for i := range tr.id {
		tr.id[i] = 0xa0 + byte(i)
	}
	// docs/spec/sealed-values.md; by sha256sum.
	if got := loginOf(&tr).String(); got != "58a0a01a7544a26974c0558f8af4e4a6" {
		t.Errorf("the login id is %s", got)
	}
	id := loginOf(&tr)
	for n := 4; n <= len(tr.id); n++ {
		if strings.Contains(string(id[:]), string(tr.id[:n])) {
			t.Fatalf("%x is in the login id %s", tr.id[:n], id)
		}
	}
}

// Each leg's refusal is told with its rule, and joined to the login where the
// seal could be opened.
func TestARefusalAtEachLegIsToldWithItsRule(t *testing.T) {
	form := "application/x-www-form-urlencoded"
	basic := func(client string) [][2]string {
		return [][2]string{{"Authorization", "Basic " + client + ":" + client + "-secret"}}
	}
	for _, tt := range []struct {
		name   string
		leg    Leg
		rule   string
		joined bool // to the login that was begun
		seal   SealFailure
		do     func(w *witness)
	}{
		{"an unknown redirect URI", LegAuthorize, "redirect_uri.unknown", false, "", func(w *witness) {
			w.send("GET", "/authorize", "client_id=shop&response_type=code&redirect_uri=https://acme.example.com/other?code=hunter22", "", "", nil)
		}},
		{"a suspended tenant", LegAuthorize, "tenant.suspended", false, "", func(w *witness) {
			w.send("GET", "/authorize", "client_id=shop&response_type=code&redirect_uri=https://wayne.example.com/api/auth/callback", "", "", nil)
		}},
		{"an error that the app is told", LegAuthorize, "response_type", false, "", func(w *witness) {
			w.send("GET", "/authorize", oidc.Params{{Name: "client_id", Value: "shop"}, {Name: "response_type", Value: "token"}, {Name: "redirect_uri", Value: acmeURI}}.Encode(), "", "", nil)
		}},
		{"a pushed redirect URI that is unknown", LegPushed, "redirect_uri.unknown", false, "", func(w *witness) {
			w.send("POST", "/par", "", form, "client_id=parc&response_type=code&redirect_uri=https://evil.example/", basic("parc"))
		}},
		{"a request_uri of somebody else", LegAuthorize, "request_uri", false, SealInvalid, func(w *witness) {
			w.send("GET", "/authorize", "client_id=parc&request_uri=urn:ietf:params:oauth:request_uri:hunter22", "", "", nil)
		}},
		{"a state that does not open", LegCallback, "state.seal", false, SealInvalid, func(w *witness) {
			w.send("GET", callbackPath, "code=hunter22&state=hunter22", "", "", nil)
		}},
		{"a state that has expired", LegCallback, "state.expired", true, SealExpired, func(w *witness) {
			w.now = w.now.Add(2 * time.Hour)
			w.finish(w.state)
		}},
		{"another browser", LegCallback, "state.browser", true, "", func(w *witness) {
			w.cookies = map[string]string{}
			w.finish(w.state)
		}},
		{"a response without iss", LegCallback, "response.iss.missing", true, "", func(w *witness) {
			w.send("GET", callbackPath, oidc.Params{{Name: "code", Value: "hunter22"}, {Name: "state", Value: w.state}}.Encode(), "", "", nil)
		}},
		{"a tenant suspended on the way", LegCallback, "tenant.suspended", true, "", func(w *witness) {
			w.tenants[0].Status = "suspended"
			w.build()
			w.finish(w.state)
		}},
		{"a code that is not ours", LegToken, "code.seal", false, SealInvalid, func(w *witness) {
			w.send("POST", "/token", "", form, "grant_type=authorization_code&code=hunter22&redirect_uri="+acmeURI, basic("shop"))
		}},
		{"another redirect URI", LegToken, "code.redirect_uri", true, "", func(w *witness) {
			w.send("POST", "/token", "", form, "grant_type=authorization_code&redirect_uri=https://globex.example.com/api/auth/callback&code="+w.code(), basic("shop"))
		}},
		{"a redirect URI with a secret behind it", LegToken, "code.redirect_uri", true, "", func(w *witness) {
			w.send("POST", "/token", "", form, "grant_type=authorization_code&redirect_uri="+acmeURI+"?token=hunter22&code="+w.code(), basic("shop"))
		}},
		{"a code that has expired", LegToken, "code.seal", true, SealExpired, func(w *witness) {
			code := w.code()
			w.now = w.now.Add(time.Hour)
			w.send("POST", "/token", "", form, "grant_type=authorization_code&code="+code+"&redirect_uri="+acmeURI, basic("shop"))
		}},
		{"no client", LegToken, "client.missing", false, "", func(w *witness) {
			w.send("POST", "/token", "", form, "grant_type=authorization_code", nil)
		}},
		{"a logout to nowhere", LegLogout, "post_logout_redirect_uri.unknown", false, "", func(w *witness) {
			w.send("GET", "/logout", "client_id=shop&post_logout_redirect_uri=https://acme.example.com/nowhere", "", "", nil)
		}},
		{"a host that is not ours", "", "host.unknown", false, "", func(w *witness) {
			w.send("GET", "/authorize", "", "", "", [][2]string{{"Host", "evil.example"}})
		}},
		{"an address of ours that is none", "", "path.unknown", false, "", func(w *witness) {
			w.send("GET", "/onedoor/elsewhere", "", "", "", nil)
		}},
		{"a target without end", "", "target.length", false, "", func(w *witness) {
			w.send("GET", "/"+strings.Repeat("a", 16<<10), "", "", "", nil)
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWitness(t)
			w.secret = []string{"hunter22", "shop-secret", "parc-secret"}
			_, w.state = w.begin("an app's state")
			begun := w.next()
			w.secret = append(w.secret, w.state, "an app's state")
			tt.do(w)
			e := w.next()
			if e.Leg != tt.leg || e.Rule != tt.rule || e.Seal != tt.seal || e.Outcome() != Refused {
				t.Errorf("told of leg %q, rule %q, seal %q, outcome %s: %+v", e.Leg, e.Rule, e.Seal, e.Outcome(), e)
			}
			if joined := e.Login == begun.Login; joined != tt.joined || (!joined && !e.Login.IsZero()) {
				t.Errorf("login %q after %q, want it joined: %v", e.Login, begun.Login, tt.joined)
			}
			if e.Request == "" || e.Method == "" || e.Status == 0 || e.Route == "" {
				t.Errorf("something is missing: %+v", e)
			}
			w.keepsSecrets()
		})
	}
}

func TestWhatTheProviderAnsweredIsToldByItsCodeAlone(t *testing.T) {
	form := "application/x-www-form-urlencoded"
	for _, tt := range []struct {
		name, code string
		outcome    Outcome
		do         func(w *witness)
	}{
		{"a person who said no", "access_denied", ProviderRefused, func(w *witness) {
			w.send("GET", callbackPath, oidc.Params{{Name: "error", Value: "access_denied"}, {Name: "error_description", Value: "hunter22"}, {Name: "state", Value: w.state}, {Name: "iss", Value: vectorIssuer}}.Encode(), "", "", nil)
		}},
		{"a code of the provider's own", oidc.OtherCode, ProviderRefused, func(w *witness) {
			w.send("GET", callbackPath, oidc.Params{{Name: "error", Value: "hunter22"}, {Name: "state", Value: w.state}, {Name: "iss", Value: vectorIssuer}}.Encode(), "", "", nil)
		}},
		{"a wrong secret", "invalid_client", ProviderRefused, func(w *witness) {
			w.send("POST", "/token", "", form, "grant_type=authorization_code&redirect_uri="+acmeURI+"&code="+w.code(), [][2]string{{"Authorization", "Basic shop:hunter22"}})
		}},
		{"a code that was used", "invalid_grant", ProviderRefused, func(w *witness) {
			code := w.code()
			delete(w.codes, "K")
			w.send("POST", "/token", "", form, "grant_type=authorization_code&redirect_uri="+acmeURI+"&code="+code, [][2]string{{"Authorization", "Basic shop:shop-secret"}})
		}},
		{"a client that may not push", "invalid_client", ProviderRefused, func(w *witness) {
			w.send("POST", "/par", "", form, "client_id=parc&response_type=code&redirect_uri="+acmeURI, [][2]string{{"Authorization", "Basic parc:hunter22"}})
		}},
		{"a provider that hangs up", "", Unavailable, func(w *witness) {
			code := w.code()
			w.down = true
			w.send("POST", "/token", "", form, "grant_type=authorization_code&redirect_uri="+acmeURI+"&code="+code, [][2]string{{"Authorization", "Basic shop:shop-secret"}})
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWitness(t)
			w.secret = []string{"hunter22", "shop-secret"}
			_, w.state = w.begin("an app's state")
			begun := w.next()
			tt.do(w)
			e := w.next()
			if e.ProviderError != tt.code || e.Outcome() != tt.outcome {
				t.Errorf("told of %q and %s, want %q and %s: %+v", e.ProviderError, e.Outcome(), tt.code, tt.outcome, e)
			}
			if e.Leg != LegPushed && e.Login != begun.Login {
				t.Errorf("the answer is not joined to its login: %+v", e)
			}
			w.keepsSecrets()
		})
	}
}

// The body of the provider's error answer reaches the app as it was, however
// much of it was looked at.
func TestAnErrorAnswerThatWasLookedAtIsPassedOnWhole(t *testing.T) {
	for _, body := range []string{`{"error":"invalid_grant","x":1}`, `{"error":"` + strings.Repeat("x", 3*maxError) + `"}`, "[", ""} {
		resp := &http.Response{Header: http.Header{"Content-Type": {"application/json;charset=UTF-8"}}, Body: http.NoBody}
		resp.Body = readCloser{strings.NewReader(body)}
		code := peekError(resp)
		got := read(t, resp).body
		if got != body || (code != "" && code != "invalid_grant") {
			t.Errorf("%.40q was passed on as %.40q, with the code %q", body, got, code)
		}
	}
}

type readCloser struct{ *strings.Reader }

func (readCloser) Close() error { return nil }

func TestTheRelayIsToldOfWithItsTenant(t *testing.T) {
	w := newWitness(t)
	w.send("GET", "/apps/shop/tenants/acme/callback", "code=hunter22&state=hunter22", "", "", nil)
	if e := w.next(); e.Leg != LegRelay || e.App != "shop" || e.Tenant != "acme" || e.Outcome() != OK || !e.Login.IsZero() {
		t.Errorf("%+v", e)
	}
	w.send("GET", "/apps/shop/tenants/acme/callback", "error=access_denied&state=hunter22", "", "", nil)
	if e := w.next(); e.ProviderError != "access_denied" || e.Outcome() != ProviderRefused {
		t.Errorf("%+v", e)
	}
	w.send("GET", "/apps/shop/tenants/wayne/callback", "code=hunter22&state=hunter22", "", "", nil)
	if e := w.next(); e.Leg != LegRelay || e.Tenant != "wayne" || e.Rule != "tenant.suspended" {
		t.Errorf("%+v", e)
	}
	w.send("GET", "/apps/shop/tenants/acme/returnto/home", "", "", "", nil)
	if e := w.next(); e.Leg != "" || e.Route != "relay" {
		t.Errorf("a return after the login is told of as one: %+v", e)
	}
	w.secret = []string{"hunter22"}
	w.keepsSecrets()
}

// An app in relay mode sends its requests as they are; its redirect URI, which
// is the relay's, names the tenant.
func TestALoginInRelayModeIsToldOfWithItsTenant(t *testing.T) {
	w := newWitness(t)
	w.apps[0].Mode = "relay"
	w.build()
	uri := url.QueryEscape(vectorIssuer + "/apps/shop/tenants/acme/callback")
	w.send("GET", "/authorize", "client_id=shop&response_type=code&redirect_uri="+uri, "", "", nil)
	if e := w.next(); e.Leg != LegAuthorize || e.App != "shop" || e.Tenant != "acme" {
		t.Errorf("%+v", e)
	}
	w.send("POST", "/token", "", "application/x-www-form-urlencoded", "grant_type=authorization_code&code=K&redirect_uri="+uri, [][2]string{{"Authorization", "Basic shop:shop-secret"}})
	if e := w.next(); e.Leg != LegToken || e.App != "shop" || e.Tenant != "acme" || e.ProviderError != "invalid_grant" {
		t.Errorf("%+v", e)
	}
}

func TestWhatIsNoPartOfALoginHasNoLeg(t *testing.T) {
	w := newWitness(t)
	for _, do := range []func(){
		func() { w.send("GET", "/authorize", "client_id=stranger", "", "", nil) },
		func() {
			w.send("POST", "/token", "", "application/x-www-form-urlencoded", "grant_type=refresh_token&refresh_token=r&client_id=shop&client_secret=shop-secret", nil)
		},
		func() { w.send("GET", "/logout", "client_id=shop", "", "", nil) },
		func() { w.send("GET", "/onedoor/health/live", "", "", "", nil) },
		func() { w.send("GET", "/elsewhere", "", "", "", nil) },
	} {
		do()
		if e := w.next(); e.Leg != "" || !e.Login.IsZero() {
			t.Errorf("%+v", e)
		}
	}
}

// Who looks on must not make a login dearer.
func TestObservingAllocatesNothing(t *testing.T) {
	events := 0
	cost := func(observe func(*Event)) float64 {
		w := newWitness(t)
		w.observe = observe
		w.build()
		_, state := w.begin("s")
		h := w.door.server.Handler
		query := oidc.Params{{Name: "code", Value: "K"}, {Name: "state", Value: state}, {Name: "iss", Value: vectorIssuer}}.Encode()
		var cookies []string
		for name, value := range w.cookies {
			cookies = append(cookies, name+"="+value)
		}
		slices.Sort(cookies)
		r := &http.Request{
			Method: http.MethodGet, Host: "auth.example.com", RequestURI: callbackPath + "?" + query,
			URL: &url.URL{Path: callbackPath, RawQuery: query}, Header: http.Header{"Cookie": {strings.Join(cookies, "; ")}},
		}
		out := nobody{header: http.Header{}}
		// The least of many: whatever else runs allocates too, and under the race
		// detector pools lose what they hold.
		least := math.Inf(1)
		for range 300 {
			least = min(least, testing.AllocsPerRun(1, func() {
				clear(out.header)
				out.status = 0
				h.ServeHTTP(&out, r)
			}))
		}
		if out.status != http.StatusSeeOther {
			t.Fatalf("the callback answered %d", out.status)
		}
		return least
	}
	without, with := cost(nil), cost(func(*Event) { events++ })
	if with > without || events == 0 {
		t.Errorf("a callback that is looked on at allocates %v times, and %v times without (%d events)", with, without, events)
	}
}

func TestARefusalTellsInWhatTheValueDiffers(t *testing.T) {
	w := newWitness(t)
	w.send("GET", "/authorize", "client_id=shop&response_type=code&redirect_uri="+acmeURI+"/", "", "", nil)
	if e := w.next(); !slices.Equal(e.Differs, []tenant.Difference{tenant.InSlash}) {
		t.Errorf("%+v", e)
	}
	_, w.state = w.begin("s")
	w.next()
	code := w.code()
	w.send("POST", "/token", "", "application/x-www-form-urlencoded", "grant_type=authorization_code&redirect_uri="+acmeURI+"/&code="+code, [][2]string{{"Authorization", "Basic shop:shop-secret"}})
	if e := w.next(); e.Rule != "code.redirect_uri" || !slices.Equal(e.Differs, []tenant.Difference{tenant.InSlash}) {
		t.Errorf("%+v", e)
	}
	_, w.state = w.begin("s")
	w.next()
	w.send("GET", callbackPath, oidc.Params{{Name: "code", Value: "K"}, {Name: "state", Value: w.state}, {Name: "iss", Value: vectorIssuer + "/"}}.Encode(), "", "", nil)
	if e := w.next(); e.Rule != "response.iss" || e.Want != vectorIssuer || !slices.Equal(e.Differs, []tenant.Difference{tenant.InSlash}) {
		t.Errorf("%+v", e)
	}
}
