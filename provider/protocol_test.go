package provider_test

import (
	"encoding/base64"
	"html"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/oauth2"
)

func TestACodeIsRedeemedOnce(t *testing.T) {
	w := newWorld(t, "")
	code := w.browser().code()
	var won, lost atomic.Int64
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			switch status, body := w.redeem(code); {
			case status == http.StatusOK:
				won.Add(1)
			case status == http.StatusBadRequest && body["error"] == "invalid_grant":
				lost.Add(1)
			default:
				t.Errorf("%d %v", status, body)
			}
		})
	}
	wg.Wait()
	if won.Load() != 1 || lost.Load() != 15 {
		t.Errorf("%d of 16 redeemed the code, %d were refused", won.Load(), lost.Load())
	}
}

func TestACodeUsedTwiceTakesItsTokensAlong(t *testing.T) {
	w := newWorld(t, "")
	code := w.browser().code()
	_, tokens := w.redeem(code)
	if status, body := w.redeem(code); status != http.StatusBadRequest || body["error"] != "invalid_grant" {
		t.Errorf("%d %v", status, body)
	}
	if status, _ := w.userinfo(tokens["access_token"]); status != http.StatusUnauthorized {
		t.Errorf("userinfo: %d", status)
	}
}

func TestAFailedAuthenticationDoesNotBurnTheCode(t *testing.T) {
	w := newWorld(t, "")
	code := w.browser().code()
	form := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {app + "/cb"}}
	status, header, body := w.back("/token", form, "web", "not the secret, though long")
	if status != http.StatusUnauthorized || body["error"] != "invalid_client" || !strings.HasPrefix(header.Get("WWW-Authenticate"), "Basic ") {
		t.Errorf("%d %v %v", status, header, body)
	}
	if status, body := w.redeem(code); status != http.StatusOK {
		t.Errorf("%d %v", status, body)
	}
}

func TestACodeIsBoundToItsClientRedirectURIAndVerifier(t *testing.T) {
	w := newWorld(t, "")
	verifier := oauth2.GenerateVerifier()
	pkce := []string{"code_challenge", oauth2.S256ChallengeFromVerifier(verifier), "code_challenge_method", "S256"}
	for name, more := range map[string][]string{
		"another redirect URI":              {"redirect_uri", app + "/cb?b=2;x&a=%2f", "code_verifier", verifier},
		"no redirect URI":                   {"redirect_uri", "", "code_verifier", verifier},
		"another verifier":                  {"code_verifier", oauth2.GenerateVerifier()},
		"no verifier":                       nil,
		"a code that was never issued":      {"code", "x", "code_verifier", verifier},
		"the right ones, to see it succeed": {"code_verifier", verifier},
	} {
		status, body := w.redeem(w.browser().code(pkce...), more...)
		if want := strings.HasPrefix(name, "the right"); want != (status == http.StatusOK) || (!want && body["error"] != "invalid_grant") {
			t.Errorf("%s: %d %v", name, status, body)
		}
	}
	if status, body := w.redeem(w.browser().code(), "code_verifier", verifier); status != http.StatusBadRequest || body["error"] != "invalid_grant" {
		t.Errorf("a verifier without a challenge: %d %v", status, body) // RFC 9700 §2.1.1
	}
}

func TestARefreshTokenRotates(t *testing.T) {
	w := newWorld(t, "")
	if _, tokens := w.redeem(w.browser().code()); tokens["refresh_token"] != nil {
		t.Error("a refresh token that nobody asked for")
	}
	_, tokens := w.redeem(w.browser().code("scope", "openid offline_access"))
	first, _ := tokens["refresh_token"].(string)
	status, second := w.refresh(first)
	if status != http.StatusOK || second["refresh_token"] == first || second["id_token"] == nil {
		t.Fatalf("%d %v", status, second)
	}
	for name, want := range map[string]bool{toString(tokens["id_token"]): true, toString(second["id_token"]): false} {
		_, payload, _ := strings.Cut(name, ".")
		payload, _, _ = strings.Cut(payload, ".")
		claims, err := base64.RawURLEncoding.DecodeString(payload)
		if err != nil || strings.Contains(string(claims), `"nonce"`) != want {
			t.Errorf("%s %v: nonce %v wanted", claims, err, want) // OIDC Core §12.2
		}
	}
	next, _ := second["refresh_token"].(string)
	status, third := w.refresh(next)
	if status != http.StatusOK {
		t.Fatalf("%d %v", status, third)
	}
	if status, body := w.refresh(first); status != http.StatusBadRequest || body["error"] != "invalid_grant" {
		t.Errorf("a spent token: %d %v", status, body)
	}
	last, _ := third["refresh_token"].(string)
	if status, _ := w.refresh(last); status != http.StatusBadRequest {
		t.Errorf("after a token came back the family is revoked, yet: %d", status)
	}
	if status, _ := w.userinfo(third["access_token"]); status != http.StatusUnauthorized {
		t.Errorf("userinfo: %d", status)
	}
}

func TestOfManyWhoUseOneRefreshTokenOneGetsThrough(t *testing.T) {
	w := newWorld(t, "")
	_, tokens := w.redeem(w.browser().code("scope", "openid offline_access"))
	token, _ := tokens["refresh_token"].(string)
	var won atomic.Int64
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			switch status, body := w.refresh(token); {
			case status == http.StatusOK:
				won.Add(1)
			case body["error"] != "invalid_grant":
				t.Errorf("%d %v", status, body)
			}
		})
	}
	wg.Wait()
	if won.Load() != 1 {
		t.Errorf("%d of 16 got through", won.Load())
	}
}

func TestATokenIsRevoked(t *testing.T) {
	w := newWorld(t, "")
	_, tokens := w.redeem(w.browser().code("scope", "openid offline_access"))
	token, _ := tokens["refresh_token"].(string)
	if status, _, body := w.back("/revoke", url.Values{"token": {token}}, "web", w.secret); status != http.StatusOK {
		t.Fatalf("%d %v", status, body)
	}
	if status, _ := w.refresh(token); status != http.StatusBadRequest {
		t.Errorf("%d", status)
	}
}

func TestClientsAuthenticateInEveryCommonWay(t *testing.T) {
	w := newWorld(t, "")
	const odd = "p+q/r s%t:u and more, so that it is long"
	if err := w.db.RemoveClient(t.Context(), "web"); err != nil {
		t.Fatal(err)
	}
	addWithSecret(w, "web", odd)
	w.secret = odd
	form := func() url.Values {
		return url.Values{"grant_type": {"authorization_code"}, "code": {w.browser().code()}, "redirect_uri": {app + "/cb"}}
	}
	post := form()
	post.Set("client_id", "web")
	post.Set("client_secret", odd)
	if status, _, body := w.back("/token", post); status != http.StatusOK {
		t.Errorf("client_secret_post: %d %v", status, body)
	}
	if status, _, body := w.back("/token", form(), "web", odd); status != http.StatusOK {
		t.Errorf("form-urlencoded Basic: %d %v", status, body)
	}
	both := form()
	both.Set("client_secret", odd)
	if status, _, body := w.back("/token", both, "web", odd); status != http.StatusBadRequest || body["error"] != "invalid_request" {
		t.Errorf("two ways at once: %d %v", status, body)
	}
	other := form()
	other.Set("client_id", "spa")
	if status, _, body := w.back("/token", other, "web", odd); status != http.StatusBadRequest || body["error"] != "invalid_request" {
		t.Errorf("two clients at once: %d %v", status, body)
	}
	for _, bad := range []string{"Basic !!", "Basic bm9jb2xvbg==", "Bearer x"} {
		if status, _, body := w.back("/token", form(), bad); status != http.StatusUnauthorized || body["error"] != "invalid_client" {
			t.Errorf("%s: %d %v", bad, status, body)
		}
	}
}

func TestPublicClientsNeedPKCE(t *testing.T) {
	w := newWorld(t, "")
	if got := w.browser().get(w.authURL("spa")).response(t); got.Get("error") != "invalid_request" {
		t.Errorf("%v", got)
	}
	if got := w.browser().get(w.authURL("spa", "code_challenge", strings.Repeat("x", 43), "code_challenge_method", "plain")).response(t); got.Get("error") != "invalid_request" {
		t.Errorf("plain: %v", got)
	}
}

func TestANativeAppListensOnAnyPort(t *testing.T) {
	w := newWorld(t, "")
	verifier := oauth2.GenerateVerifier()
	b := w.browser()
	uri := "http://127.0.0.1:51234/cb"
	a := b.login(b.get(w.authURL("cli", "redirect_uri", uri, "code_challenge", oauth2.S256ChallengeFromVerifier(verifier), "code_challenge_method", "S256")), "mika", password)
	if !strings.HasPrefix(a.Header.Get("Location"), uri+"?") {
		t.Fatalf("%s", a.Header.Get("Location"))
	}
	form := url.Values{"grant_type": {"authorization_code"}, "code": {a.response(t).Get("code")}, "redirect_uri": {uri}, "client_id": {"cli"}, "code_verifier": {verifier}}
	if status, _, body := w.back("/token", form); status != http.StatusOK {
		t.Errorf("%d %v", status, body)
	}
	for _, uri := range []string{"http://localhost:51234/cb", "http://127.0.0.1:51234/cb2", "http://127.0.0.1.evil.example:1/cb", "http://127.0.0.1:51234@evil.example/cb", "https://127.0.0.1:1/cb"} {
		if a := b.get(w.authURL("cli", "redirect_uri", uri)); a.StatusCode != http.StatusBadRequest || a.Header.Get("Location") != "" {
			t.Errorf("%s: %s", uri, a.Status)
		}
	}
}

func TestAnUnknownClientOrRedirectURIGetsAPageAndNoRedirect(t *testing.T) {
	w := newWorld(t, "")
	for name, tt := range map[string]struct{ url, want string }{
		"an unknown client":            {w.authURL("nobody"), "application is not known"},
		"no client":                    {w.authURL("web", "client_id", ""), "application is not known"},
		"another redirect URI":         {w.authURL("web", "redirect_uri", app+"/cb/"), "way back is not allowed"},
		"its scheme in upper case":     {w.authURL("web", "redirect_uri", "HTTPS://app.example.com/cb"), "way back is not allowed"},
		"no redirect URI":              {w.authURL("web", "redirect_uri", ""), "way back is not allowed"},
		"a parameter twice":            {w.authURL("web") + "&state=2", "not understood"},
		"broken encoding":              {w.authURL("web") + "&x=%zz", "not understood"},
		"a login that does not exist":  {w.issuer + "/authorize/ABC", "no longer valid"},
		"a pushed request that is not": {w.issuer + "/authorize?client_id=web&request_uri=urn:ietf:params:oauth:request_uri:x", "not understood"},
	} {
		t.Run(name, func(t *testing.T) {
			a := w.browser().get(tt.url)
			if a.StatusCode != http.StatusBadRequest || a.Header.Get("Location") != "" || !strings.Contains(a.body, tt.want) {
				t.Errorf("%s %s, want %q", a.Status, a.body, tt.want)
			}
		})
	}
}

func TestWhatIsNotSupportedIsRefusedAtTheClient(t *testing.T) {
	w := newWorld(t, "")
	for name, tt := range map[string]struct {
		param, value, want string
	}{
		"a request object":           {"request", "e30.e30.", "request_not_supported"},
		"a foreign request_uri":      {"request_uri", "https://app.example.com/request", "request_uri_not_supported"},
		"the implicit flow":          {"response_type", "id_token token", "unsupported_response_type"},
		"no response_type":           {"response_type", "", "invalid_request"},
		"the fragment":               {"response_mode", "fragment", "invalid_request"},
		"JARM":                       {"response_mode", "query.jwt", "invalid_request"},
		"prompt none with another":   {"prompt", "none login", "invalid_request"},
		"max_age that is no number":  {"max_age", "soon", "invalid_request"},
		"max_age of before the past": {"max_age", "-1", "invalid_request"},
	} {
		t.Run(name, func(t *testing.T) {
			got := w.browser().get(w.authURL("web", tt.param, tt.value)).response(t)
			if got.Get("error") != tt.want || got.Get("state") != "s t/ä" || got.Get("iss") != w.issuer {
				t.Errorf("%v, want %s", got, tt.want)
			}
		})
	}
}

func TestTheRedirectURIsOwnQueryStays(t *testing.T) {
	w := newWorld(t, "")
	b := w.browser()
	uri := app + "/cb?b=2;x&a=%2f"
	a := b.login(b.get(w.authURL("web", "redirect_uri", uri)), "mika", password)
	if got := a.Header.Get("Location"); !strings.HasPrefix(got, uri+"&code=") {
		t.Errorf("%s", got)
	}
	a = b.get(w.authURL("web", "redirect_uri", uri, "response_type", "token"))
	if got := a.Header.Get("Location"); !strings.HasPrefix(got, uri+"&") || !strings.Contains(got, "error=unsupported_response_type") {
		t.Errorf("%s", got)
	}
}

func TestFormPostCarriesTheResponseInAForm(t *testing.T) {
	w := newWorld(t, "")
	b := w.browser()
	check := func(a answer) {
		t.Helper()
		fields := url.Values{}
		for _, m := range hidden.FindAllStringSubmatch(a.body, -1) {
			fields.Set(m[1], html.UnescapeString(m[2]))
		}
		if fields.Get("code") == "" || fields.Get("state") != "s t/ä" || fields.Get("iss") != w.issuer || !strings.Contains(a.body, `action="`+app+`/cb"`) {
			t.Errorf("%s %s", a.Status, a.body)
		}
		if csp := a.Header.Get("Content-Security-Policy"); !strings.Contains(csp, "script-src 'sha256-") {
			t.Errorf("policy %q", csp)
		}
	}
	check(b.login(b.get(w.authURL("web", "response_mode", "form_post")), "mika", password))
	check(b.get(w.authURL("web", "response_mode", "form_post")))
	a := b.get(w.authURL("web", "response_mode", "form_post", "response_type", "token"))
	if !strings.Contains(a.body, `name="error" value="unsupported_response_type"`) {
		t.Errorf("%s", a.body)
	}
}

func TestUnknownScopesAndVoluntaryParametersAreIgnored(t *testing.T) {
	w := newWorld(t, "")
	b := w.browser()
	got := b.login(b.get(w.authURL("web", "scope", "openid phone x:y email", "acr_values", "gold", "display", "hologram",
		"claims", `{"id_token":{"auth_time":{"essential":true,"value":1}}}`, "unknown", "1")), "mika", password).response(t)
	_, tokens := w.redeem(got.Get("code"))
	if tokens["scope"] != "openid email" {
		t.Errorf("%v %v", got, tokens)
	}
}

func TestAnAuthorizationRequestMayBePosted(t *testing.T) {
	w := newWorld(t, "")
	b := w.browser()
	b.login(b.post(w.issuer+"/authorize", w.params("web")), "mika", password).response(t)
}

func TestPushedRequests(t *testing.T) {
	w := newWorld(t, "")
	push := func(more ...string) (int, map[string]any) {
		form := w.params("web", more...)
		status, _, body := w.back("/par", form, "web", w.secret)
		return status, body
	}
	authorize := func(uri any, more string) string {
		s, _ := uri.(string)
		return w.issuer + "/authorize?client_id=web&request_uri=" + url.QueryEscape(s) + more
	}
	status, pushed := push("scope", "openid phone", "response_mode", "form_post")
	if status != http.StatusCreated {
		t.Fatalf("%d %v", status, pushed)
	}
	b := w.browser()
	a := b.login(b.get(authorize(pushed["request_uri"], "&prompt=none&scope=email&response_mode=query")), "mika", password)
	if !strings.Contains(a.body, `name="code"`) || !strings.Contains(a.body, `action="`+app+`/cb"`) {
		t.Errorf("%s %s", a.Status, a.body)
	}
	if a := b.get(authorize(pushed["request_uri"], "")); a.StatusCode != http.StatusBadRequest {
		t.Errorf("used again: %s", a.Status)
	}
	_, pushed = push("redirect_uri", app+"/cb?b=2;x&a=%2f")
	if got := b.get(authorize(pushed["request_uri"], "")).Header.Get("Location"); !strings.HasPrefix(got, app+"/cb?b=2;x&a=%2f&code=") {
		t.Errorf("%s", got)
	}
	_, pushed = push()
	if a := b.get(strings.Replace(authorize(pushed["request_uri"], ""), "client_id=web", "client_id=spa", 1)); a.Header.Get("Location") != "" {
		t.Errorf("another client's: %s", a.Header.Get("Location"))
	}
	for name, more := range map[string][]string{
		"a request object":     {"request", "e30.e30."},
		"a foreign URI":        {"redirect_uri", "https://evil.example/"},
		"a scheme in capitals": {"redirect_uri", "HTTPS://app.example.com/cb"},
		"no redirect URI":      {"redirect_uri", ""},
		"an unknown mode":      {"response_mode", "fragment"},
	} {
		if status, body := push(more...); status != http.StatusBadRequest {
			t.Errorf("%s: %d %v", name, status, body)
		}
	}
	if status, _, body := w.back("/par", w.params("web"), "web", "another secret, and a long one"); status != http.StatusUnauthorized {
		t.Errorf("%d %v", status, body)
	}
}

func TestAClientMayDemandPushedRequests(t *testing.T) {
	w := newWorld(t, "")
	addPushing(w, "par-only")
	if got := w.browser().get(w.authURL("par-only")).response(t); got.Get("error") != "invalid_request" {
		t.Errorf("%v", got)
	}
}

func TestUserinfoTakesTheTokenFromHeaderOrForm(t *testing.T) {
	w := newWorld(t, "")
	_, tokens := w.redeem(w.browser().code())
	token, _ := tokens["access_token"].(string)
	if status, _, body := w.back("/userinfo", url.Values{"access_token": {token}}); status != http.StatusOK || body["sub"] == "" {
		t.Errorf("%d %v", status, body)
	}
	for name, tt := range map[string]struct {
		form      url.Values
		auth      []string
		status    int
		challenge string
	}{
		"no token":               {nil, nil, 401, `Bearer realm="onedoor"`},
		"another token":          {nil, []string{"Bearer x"}, 401, `Bearer realm="onedoor", error="invalid_token"`},
		"an ID token":            {nil, []string{"Bearer " + toString(tokens["id_token"])}, 401, `Bearer realm="onedoor", error="invalid_token"`},
		"tokens in both places":  {url.Values{"access_token": {token}}, []string{"Bearer " + token}, 400, `Bearer realm="onedoor", error="invalid_request"`},
		"a token and some other": {url.Values{"access_token": {token}, "x": {"1"}}, nil, 200, ""},
	} {
		status, header, body := w.back("/userinfo", tt.form, tt.auth...)
		if status != tt.status || header.Get("WWW-Authenticate") != tt.challenge {
			t.Errorf("%s: %d %q %v", name, status, header.Get("WWW-Authenticate"), body)
		}
	}
	_, tokens = w.redeem(w.browser().code("scope", "email"))
	if status, body := w.userinfo(tokens["access_token"]); status != http.StatusForbidden {
		t.Errorf("without openid: %d %v", status, body)
	}
}

func TestAHugeRequestIsRefused(t *testing.T) {
	w := newWorld(t, "")
	form := url.Values{"grant_type": {strings.Repeat("x", 100<<10)}}
	if status, _, body := w.back("/token", form); status != http.StatusBadRequest || body["error"] != "invalid_request" {
		t.Errorf("%d %v", status, body)
	}
	if a := w.browser().post(w.issuer+"/authorize", form); a.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("%s", a.Status)
	}
}
