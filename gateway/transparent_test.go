package gateway

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"onedoor/oidc"
	"onedoor/seal"
	"onedoor/tenant"
)

func location(t testing.TB, resp *http.Response) *url.URL {
	t.Helper()
	loc, err := resp.Location()
	if err != nil {
		t.Fatalf("%s: no Location", resp.Status)
	}
	return loc
}

func TestAResponseIsAcceptedInTheBrowserThatBeganOnly(t *testing.T) {
	b := newAuthorizeBed(t, nil)
	_, sealed := b.begin("st")
	ours := maps.Clone(b.cookies)
	for name, cookies := range map[string]map[string]string{
		"another browser":        {},
		"a browser with a login": {"__Host-od-AAAAAAAA": "x.y"},
	} {
		b.cookies = cookies
		a := read(t, b.finish(sealed))
		if a.status != http.StatusBadRequest || a.header.Get("Location") != "" {
			t.Errorf("%s: %d %v", name, a.status, a.header)
		}
	}
	forged := map[string]string{}
	for name := range ours {
		forged[name] = "tro8w0." + strings.Repeat("A", 43)
	}
	b.cookies = forged
	if a := read(t, b.finish(sealed)); a.status != http.StatusBadRequest {
		t.Errorf("a forged cookie: %d", a.status)
	}
	b.cookies = ours
	if loc := location(t, b.finish(sealed)); loc.Query().Get("state") != "st" {
		t.Errorf("its own browser: %v", loc)
	}
}

func TestBindingIsOffForAppsThatNeedSilentFrames(t *testing.T) {
	b := newAuthorizeBed(t, nil)
	b.apps[0].BrowserBinding = false
	resp, sealed := b.begin("st")
	if len(resp.Cookies()) != 0 {
		t.Errorf("cookies %v", resp.Cookies())
	}
	b.cookies = nil
	location(t, b.finish(sealed))
}

func TestSeveralTabsLogInAtOnceAndTheirNumberIsBounded(t *testing.T) {
	b := newAuthorizeBed(t, nil)
	var sealed []string
	for i := range maxBindings + 4 {
		_, s := b.begin(fmt.Sprint("tab ", i))
		sealed = append(sealed, s)
		b.now = b.now.Add(time.Second)
	}
	if len(b.cookies) != maxBindings {
		t.Errorf("%d cookies, want %d", len(b.cookies), maxBindings)
	}
	for i, s := range sealed {
		resp := b.finish(s)
		if alive := i >= 4; (resp.StatusCode == http.StatusSeeOther) != alive {
			t.Errorf("tab %d: %s", i, resp.Status)
		}
	}
	if len(b.cookies) != 0 {
		t.Errorf("cookies left: %v", b.cookies)
	}
}

func TestABindingCookieIsOfTheDoorAlone(t *testing.T) {
	b := newAuthorizeBed(t, nil)
	resp, _ := b.begin("st")
	c := resp.Cookies()[0]
	if !strings.HasPrefix(c.Name, "__Host-") || !c.Secure || !c.HttpOnly || c.Path != "/" || c.Domain != "" || c.SameSite != http.SameSiteLaxMode || c.MaxAge != 3600 {
		t.Errorf("%s", c.Raw)
	}
}

func TestAnExpiredLoginLeadsBackToTheTenantsSite(t *testing.T) {
	b := newAuthorizeBed(t, nil)
	_, sealed := b.begin("st")
	b.now = b.now.Add(time.Hour + time.Second)
	req := oidc.Params{{Name: "code", Value: "K"}, {Name: "state", Value: sealed}, {Name: "iss", Value: testOrigin}}.Encode()
	a := read(t, b.send("GET", "/onedoor/callback", req, "", "", [][2]string{{"Accept", "text/html"}, {"Accept-Language", "ko"}}))
	if a.status != http.StatusBadRequest || !strings.Contains(a.body, `href="https://acme.example.com"`) || !strings.Contains(a.body, `lang="ko"`) {
		t.Errorf("%d %s", a.status, a.body)
	}
}

// The attack of THREATS §3.4: a thief has the raw code of a victim's login and
// has the door seal it for a login of his own.
func TestTheDoorIsNoSealingOracle(t *testing.T) {
	b := newAuthorizeBed(t, nil)
	_, victim := b.begin("victim")
	q, _ := url.ParseQuery(b.last().query)
	b.codes["RAW"] = q.Get("code_challenge") // the provider issues the victim's code
	_, thief := b.begin("thief")
	callback := oidc.Params{{Name: "code", Value: "RAW"}, {Name: "state", Value: thief}, {Name: "iss", Value: testOrigin}}.Encode()
	stolen := location(t, b.send("GET", "/onedoor/callback", callback, "", "", nil)).Query().Get("code")
	if a := read(t, b.redeem(stolen)); a.status != http.StatusBadRequest || !strings.Contains(a.body, oidc.InvalidGrant) {
		t.Errorf("the thief gets %d %s", a.status, a.body)
	}
	callback = oidc.Params{{Name: "code", Value: "RAW"}, {Name: "state", Value: victim}, {Name: "iss", Value: testOrigin}}.Encode()
	honest := location(t, b.send("GET", "/onedoor/callback", callback, "", "", nil)).Query().Get("code")
	if a := read(t, b.redeem(honest)); a.status != http.StatusOK {
		t.Errorf("the victim gets %d %s", a.status, a.body)
	}
}

// redeem sends a token request of shop for acme.
func (b *bed) redeem(code string) *http.Response {
	b.Helper()
	body := oidc.Params{{Name: "grant_type", Value: "authorization_code"}, {Name: "code", Value: code}, {Name: "redirect_uri", Value: acmeURI}}.Encode()
	return b.send("POST", "/token", "", "application/x-www-form-urlencoded", body, [][2]string{{"Authorization", "Basic shop:shop-secret"}})
}

// Go's client tries Basic first and after any error the same code in the body.
func TestAWrongSecretDoesNotBurnTheCode(t *testing.T) {
	b := newAuthorizeBed(t, nil)
	_, sealed := b.begin("st")
	q, _ := url.ParseQuery(b.last().query)
	b.codes["K"] = q.Get("code_challenge")
	code := location(t, b.finish(sealed)).Query().Get("code")
	body := oidc.Params{{Name: "grant_type", Value: "authorization_code"}, {Name: "code", Value: code}, {Name: "redirect_uri", Value: acmeURI}}
	a := read(t, b.send("POST", "/token", "", "application/x-www-form-urlencoded", body.Encode(), [][2]string{{"Authorization", "Basic shop:wrong"}}))
	if a.status != http.StatusUnauthorized {
		t.Fatalf("%d %s", a.status, a.body)
	}
	body = append(body, oidc.Param{Name: "client_id", Value: "shop"}, oidc.Param{Name: "client_secret", Value: "shop-secret"})
	if a := read(t, b.send("POST", "/token", "", "application/x-www-form-urlencoded", body.Encode(), nil)); a.status != http.StatusOK {
		t.Errorf("%d %s", a.status, a.body)
	}
}

func TestBasicCredentialsAreFormURLEncoded(t *testing.T) {
	r, err := http.NewRequest(http.MethodPost, "/", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.SetBasicAuth(url.QueryEscape("p+q/r s%t"), url.QueryEscape("p:q"))
	if id, bad := clientOf(r, nil); bad != nil || id != "p+q/r s%t" {
		t.Errorf("%q, %v", id, bad)
	}
}

func TestALogoutEndsOnTheSiteWithItsStateExactly(t *testing.T) {
	b := newAuthorizeBed(t, nil)
	for _, state := range []string{"{a}", "x y", "", strings.Repeat("s", 3000)} {
		ps := oidc.Params{{Name: "client_id", Value: "shop"}, {Name: "post_logout_redirect_uri", Value: "https://acme.example.com/"}}
		if state != "" {
			ps = append(ps, oidc.Param{Name: "state", Value: state})
		}
		b.send("GET", "/logout", ps.Encode(), "", "", nil)
		sent, _ := url.ParseQuery(b.last().query)
		if sent.Get("post_logout_redirect_uri") != testOrigin+"/onedoor/logout" || len(sent.Get("state")) > maxSealed {
			t.Fatalf("the provider got %v", sent)
		}
		back := "state=" + url.QueryEscape(sent.Get("state"))
		loc := location(t, b.send("GET", "/onedoor/logout", back, "", "", nil))
		if loc.Host != "acme.example.com" || loc.Query().Get("state") != state || loc.Query().Has("state") != (state != "") {
			t.Errorf("state %.20q: %.80s", state, loc)
		}
		b.tenants[0].Status = tenant.Suspended
		if a := read(t, b.send("GET", "/onedoor/logout", back, "", "", nil)); a.status != http.StatusForbidden || a.header.Get("Location") != "" {
			t.Errorf("suspended in between: %d %v", a.status, a.header)
		}
		b.tenants[0].Status = tenant.Active
	}
}

func TestASealedStateOfALoginEndsNoLogout(t *testing.T) {
	b := newAuthorizeBed(t, nil)
	_, sealed := b.begin("st")
	for _, state := range []string{sealed, "", "x"} {
		if a := read(t, b.send("GET", "/onedoor/logout", "state="+state, "", "", nil)); a.status != http.StatusBadRequest || a.header.Get("Location") != "" {
			t.Errorf("%.10q: %d %v", state, a.status, a.header)
		}
	}
}

func TestParametersOfATenantAreAddedUnlessTheAppSentThem(t *testing.T) {
	b := newAuthorizeBed(t, nil)
	b.apps[0].Authorize = map[string]string{"kc_idp_hint": "{tenant}", "ui_locales": "ja", "organization": "org-{tenant}"}
	b.tenants[0].Parameters = map[string]string{"organization": "special"}
	ps := oidc.Params{{Name: "response_type", Value: "code"}, {Name: "client_id", Value: "shop"}, {Name: "redirect_uri", Value: acmeURI}, {Name: "ui_locales", Value: "ko"}}
	b.send("GET", "/authorize", ps.Encode(), "", "", nil)
	got, _ := url.ParseQuery(b.last().query)
	for name, want := range map[string]string{"kc_idp_hint": "acme", "ui_locales": "ko", "organization": "special"} {
		if got.Get(name) != want || len(got[name]) != 1 {
			t.Errorf("%s = %q, want %q", name, got[name], want)
		}
	}
}

func TestAProviderWithoutPKCENeedsTheOperatorsLeave(t *testing.T) {
	b := newAuthorizeBed(t, nil)
	b.metadata = `"code_challenge_methods_supported":["plain"]`
	b.build()
	resp, sealed := b.begin("st")
	if sealed != "" || location(t, resp).Query().Get("error") != oidc.ServerError {
		t.Errorf("%s", resp.Status)
	}
	b.apps[0].AcceptUnboundCodes = true
	if _, sealed := b.begin("st"); sealed == "" {
		t.Error("refused although the operator accepts it")
	}
	if q, _ := url.ParseQuery(b.last().query); q.Has("code_challenge") {
		t.Error("a challenge that the provider does not know was sent")
	}
}

func TestAPushedRequestIsOfItsClientAndGoesThroughWhole(t *testing.T) {
	b := newAuthorizeBed(t, nil)
	made := map[string]string{}
	b.before(&authorizeCase{Setup: []string{"PAR by parc gives handle 1"}}, made)
	handle := made["par:1"]
	if !strings.HasPrefix(handle, requestURN) || strings.Contains(handle, "urn:example") {
		t.Fatalf("request_uri is %q", handle)
	}
	pushed, _ := url.ParseQuery(b.last().body)
	b.codes["K"] = pushed.Get("code_challenge")
	b.seen = nil
	b.send("GET", "/authorize", "client_id=parc&request_uri="+url.QueryEscape(handle), "", "", nil)
	if got := b.last().query; got != "client_id=parc&request_uri=urn%3Aexample%3A1" {
		t.Errorf("the provider got %s", got)
	}
	loc := location(t, b.finish(pushed.Get("state")))
	if loc.Host != "acme.example.com" || loc.Query().Get("state") != "st-p" {
		t.Errorf("it ended at %s", loc)
	}
	b.tenants[0].Status = tenant.Suspended
	if a := read(t, b.send("GET", "/authorize", "client_id=parc&request_uri="+url.QueryEscape(handle), "", "", nil)); a.status != http.StatusForbidden {
		t.Errorf("suspended in between: %d", a.status)
	}
}

func TestAPushedRequestOfAnotherClientIsRefused(t *testing.T) {
	b := newAuthorizeBed(t, nil)
	made := map[string]string{}
	b.before(&authorizeCase{Setup: []string{"PAR by parc gives handle 1"}}, made)
	b.seen = nil
	for _, q := range []string{
		"client_id=shop&request_uri=" + url.QueryEscape(made["par:1"]),
		"client_id=shop&request_uri=urn%3Aexample%3A1",
		"client_id=parc&request_uri=urn%3Aexample%3A1", // the provider's own handle, which a client never sees
	} {
		if a := read(t, b.send("GET", "/authorize", q, "", "", nil)); a.status != http.StatusBadRequest || len(b.seen) != 0 {
			t.Errorf("%s: %d, the provider saw %v", q, a.status, b.seen)
		}
	}
}

func TestTokensInTheFrontChannelGoNowhere(t *testing.T) {
	b := newAuthorizeBed(t, nil)
	_, sealed := b.begin("st")
	for _, extra := range []string{"id_token", "access_token", "token_type", "response"} {
		q := oidc.Params{{Name: "code", Value: "K"}, {Name: "state", Value: sealed}, {Name: "iss", Value: testOrigin}, {Name: extra, Value: "x"}}.Encode()
		if a := read(t, b.send("GET", "/onedoor/callback", q, "", "", nil)); a.status != http.StatusBadRequest || a.header.Get("Location") != "" {
			t.Errorf("code and %s: %d %v", extra, a.status, a.header)
		}
	}
}

func TestAResponseWithoutItsIssuerIsRefusedWhereItIsAnnounced(t *testing.T) {
	b := newAuthorizeBed(t, nil)
	_, sealed := b.begin("st")
	q := oidc.Params{{Name: "code", Value: "K"}, {Name: "state", Value: sealed}}.Encode()
	if a := read(t, b.send("GET", "/onedoor/callback", q, "", "", nil)); a.status != http.StatusBadRequest || a.header.Get("Location") != "" {
		t.Errorf("%d %v", a.status, a.header)
	}
}

func TestSessionStateOfTheDoorsOriginDoesNotReachTheApp(t *testing.T) {
	b := newAuthorizeBed(t, nil)
	_, sealed := b.begin("st")
	q := oidc.Params{{Name: "session_state", Value: "x"}, {Name: "code", Value: "K"}, {Name: "more", Value: "y"}, {Name: "state", Value: sealed}, {Name: "iss", Value: testOrigin}}.Encode()
	got := location(t, b.send("GET", "/onedoor/callback", q, "", "", nil)).Query()
	if got.Has("session_state") || got.Get("more") != "y" {
		t.Errorf("%v", got)
	}
}

func TestAClientAuthenticatesInOneWay(t *testing.T) {
	b := newAuthorizeBed(t, nil)
	assertion := "&client_assertion=" + jwt(`{"sub":"shop"}`)
	for name, body := range map[string]string{
		"Basic and a secret in the body": "client_id=shop&client_secret=shop-secret",
		"Basic and an assertion":         "client_id=shop" + assertion,
	} {
		b.seen = nil
		a := read(t, b.send("POST", "/token", "", "application/x-www-form-urlencoded", "grant_type=refresh_token&refresh_token=r&"+body, [][2]string{{"Authorization", "Basic shop:shop-secret"}}))
		if a.status != http.StatusBadRequest || !strings.Contains(a.body, oidc.InvalidRequest) || len(b.seen) != 0 {
			t.Errorf("%s: %d %s, the provider saw %v", name, a.status, a.body, b.seen)
		}
	}
}

func TestRequestsOfOtherClientsPassAsTheyCame(t *testing.T) {
	b := newAuthorizeBed(t, nil)
	b.apps[1].Mode = tenant.Relay
	const odd = "client_id=spa&redirect_uri=https%3a%2F%2Fx&state=%7B%7d&x=1&&y;z"
	b.send("GET", "/authorize", odd, "", "", nil)
	if got := b.last().query; got != odd {
		t.Errorf("query became %s", got)
	}
	b.send("POST", "/token", "", "application/x-www-form-urlencoded", "client_id=spa&code=RAW&grant_type=authorization_code&x=%7e", nil)
	if got := b.last().body; got != "client_id=spa&code=RAW&grant_type=authorization_code&x=%7e" {
		t.Errorf("body became %s", got)
	}
}

// TestSecretsStayOutOfTheLog goes through a login and its failures and looks
// for everything secret in what was logged.
func TestSecretsStayOutOfTheLog(t *testing.T) {
	b := newAuthorizeBed(t, nil)
	_, sealed := b.begin("CANARY-state")
	q, _ := url.ParseQuery(b.last().query)
	b.codes["CANARY-code"] = q.Get("code_challenge")
	query := oidc.Params{{Name: "code", Value: "CANARY-code"}, {Name: "state", Value: sealed}, {Name: "iss", Value: testOrigin}}.Encode()
	code := location(t, b.send("GET", "/onedoor/callback", query, "", "", nil)).Query().Get("code")
	b.redeem(code)
	verifier, _ := url.ParseQuery(b.last().body)
	b.redeem(code + "x")
	b.send("GET", "/onedoor/callback", query+"x", "", "", [][2]string{{"Referer", "https://x/?CANARY-referer"}})
	b.send("GET", "/onedoor/callback", "state=CANARY-state2&code=CANARY-code2&id_token=CANARY-id", "", "", nil)
	b.send("POST", "/token", "", "application/x-www-form-urlencoded", "code=CANARY-code3&client_secret=CANARY-secret&client_assertion=CANARY-assertion", nil)
	b.send("GET", "/logout", "client_id=shop&post_logout_redirect_uri=https%3A%2F%2Facme.example.com%2F&state=CANARY-logout&id_token_hint="+jwt(`{"aud":"CANARY-aud"}`), "", "", nil)
	b.send("GET", "/tenants/acme/callback", "code=CANARY-relay&state=x", "", "", nil)
	log := b.door.log.String()
	for _, secret := range []string{"CANARY", sealed, code, verifier.Get("code_verifier"), q.Get("code_challenge"), "shop-secret", jwt(`{"aud":"CANARY-aud"}`)} {
		if secret == "" || strings.Contains(log, secret) {
			t.Errorf("the log holds %q", secret)
		}
	}
	if !strings.Contains(log, "code.seal") {
		t.Error("the log does not say which rule refused")
	}
}

func TestTheChallengeAndTheVerifierBelongTogether(t *testing.T) {
	b := newAuthorizeBed(t, nil)
	_, sealed := b.begin("st")
	q, _ := url.ParseQuery(b.last().query)
	if q.Get("code_challenge_method") != "S256" {
		t.Fatalf("%v", q)
	}
	code := location(t, b.finish(sealed)).Query().Get("code")
	b.redeem(code)
	form, _ := url.ParseQuery(b.last().body)
	if seal.Challenge(form.Get("code_verifier")) != q.Get("code_challenge") {
		t.Error("the verifier does not fit the challenge")
	}
}

// The provider would refuse most of these too; but what it does is its affair,
// and what the door promises must not hang on it.
func TestTheDoorItselfRefusesWhatDoesNotBelongTogether(t *testing.T) {
	b := newAuthorizeBed(t, nil)
	b.apps[0].Callbacks = append(b.apps[0].Callbacks, "/second/callback")
	const verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
	login := func(pkce bool) string {
		ps := oidc.Params{{Name: "response_type", Value: "code"}, {Name: "client_id", Value: "shop"}, {Name: "redirect_uri", Value: acmeURI}, {Name: "state", Value: "st"}}
		if pkce {
			ps = append(ps, oidc.Param{Name: "code_challenge", Value: seal.Challenge(verifier)}, oidc.Param{Name: "code_challenge_method", Value: "S256"})
		}
		b.send("GET", "/authorize", ps.Encode(), "", "", nil)
		q, _ := url.ParseQuery(b.last().query)
		return location(t, b.finish(q.Get("state"))).Query().Get("code")
	}
	plain, bound := login(false), login(true)
	for name, ps := range map[string]oidc.Params{
		"a raw code of the provider":                   {{Name: "code", Value: "K"}, {Name: "redirect_uri", Value: acmeURI}},
		"a raw code with the registered redirect URI":  {{Name: "code", Value: "K"}, {Name: "redirect_uri", Value: vectorR0}},
		"a missing verifier":                           {{Name: "code", Value: bound}, {Name: "redirect_uri", Value: acmeURI}},
		"a verifier without a challenge":               {{Name: "code", Value: plain}, {Name: "redirect_uri", Value: acmeURI}, {Name: "code_verifier", Value: verifier}},
		"another tenant's redirect URI":                {{Name: "code", Value: plain}, {Name: "redirect_uri", Value: "https://globex.example.com/api/auth/callback"}},
		"another redirect URI of the same tenant":      {{Name: "code", Value: plain}, {Name: "redirect_uri", Value: "https://acme.example.com/second/callback"}},
		"no redirect URI":                              {{Name: "code", Value: plain}},
		"the registered redirect URI":                  {{Name: "code", Value: plain}, {Name: "redirect_uri", Value: vectorR0}},
		"another client, which also knows its secrets": {{Name: "client_id", Value: "parc"}, {Name: "client_secret", Value: "parc-secret"}, {Name: "code", Value: plain}, {Name: "redirect_uri", Value: acmeURI}},
	} {
		t.Run(name, func(t *testing.T) {
			b.seen = nil
			ps = append(oidc.Params{{Name: "grant_type", Value: "authorization_code"}}, ps...)
			if ps.Get("client_id") == "" {
				ps = append(ps, oidc.Param{Name: "client_id", Value: "shop"}, oidc.Param{Name: "client_secret", Value: "shop-secret"})
			}
			a := read(t, b.send("POST", "/token", "", "application/x-www-form-urlencoded", ps.Encode(), nil))
			if a.status != http.StatusBadRequest || !strings.Contains(a.body, oidc.InvalidGrant) || len(b.seen) != 0 {
				t.Errorf("%d %s; the provider saw %v", a.status, a.body, b.seen)
			}
		})
	}
}
