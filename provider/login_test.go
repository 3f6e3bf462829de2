package provider_test

import (
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"onedoor/provider"
)

func TestAPersonWhoIsLoggedInIsNotAskedAgain(t *testing.T) {
	w := newWorld(t, "")
	b := w.browser()
	b.code()
	if got := b.get(b.authURL("web")).response(t); got.Get("code") == "" {
		t.Fatalf("the second login: %v", got)
	}
	if got := b.get(b.authURL("web", "prompt", "none")).response(t); got.Get("code") == "" {
		t.Errorf("prompt=none: %v", got)
	}
	if got := b.get(b.authURL("web", "max_age", "60")).response(t); got.Get("code") == "" {
		t.Errorf("max_age=60: %v", got)
	}
	for name, value := range map[string]string{"prompt": "login", "max_age": "0"} {
		b.login(b.get(b.authURL("web", name, value)), "mika", password).response(t)
	}
	w.pass(2 * time.Minute)
	b.login(b.get(b.authURL("web", "max_age", "60")), "mika", password)
	w.pass(13 * time.Hour)
	b.login(b.get(b.authURL("web")), "mika", password) // the session has an end
}

func TestWithoutALoginPromptNoneIsAnError(t *testing.T) {
	w := newWorld(t, "")
	got := w.browser().get(w.authURL("web", "prompt", "none")).response(t)
	if got.Get("error") != "login_required" || got.Get("state") != "s t/ä" || got.Get("iss") != w.issuer {
		t.Errorf("%v", got)
	}
}

func TestTheLoginPageIsSafeAndSpeaksThePersonsLanguage(t *testing.T) {
	w := newWorld(t, "")
	b := w.browser()
	page := b.get(w.authURL("web", "ui_locales", "fr ja", "login_hint", `mika"><script>`))
	for header, want := range map[string]string{"X-Frame-Options": "DENY", "Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "Content-Language": "ja"} {
		if got := page.Header.Get(header); got != want {
			t.Errorf("%s: %q, want %q", header, got, want)
		}
	}
	if csp := page.Header.Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") || !strings.Contains(csp, "frame-ancestors 'none'") || strings.Contains(csp, "unsafe") {
		t.Errorf("policy %q", csp)
	}
	if strings.Contains(page.body, "<script") || !strings.Contains(page.body, ">Atlas</p>") || !strings.Contains(page.body, "サインイン") {
		t.Errorf("%s", page.body)
	}
	if page.Request.URL.RawQuery != "" {
		t.Errorf("the page's URL %s holds the request", page.Request.URL)
	}
}

func TestAWrongPasswordAndAnUnknownNameLookAlike(t *testing.T) {
	w := newWorld(t, "")
	b := w.browser()
	suspended := provider.Suspended
	if _, _, err := provider.AddUser(t.Context(), w.db, provider.User{Username: "eve", Status: suspended}, password); err != nil {
		t.Fatal(err)
	}
	page := b.get(w.authURL("web"))
	var bodies []string
	for _, tt := range [][2]string{{"mika", "wrong password"}, {"nobody", password}, {"eve", password}, {"mika", ""}, {"not a name", password}} {
		a := b.login(page, tt[0], tt[1])
		if a.StatusCode != http.StatusBadRequest || !strings.Contains(a.body, "do not fit together") {
			t.Fatalf("%v: %s %s", tt, a.Status, a.body)
		}
		bodies = append(bodies, strings.Replace(a.body, `value="`+tt[0]+`"`, "", 1))
		page = a
	}
	for _, body := range bodies {
		if body != bodies[0] {
			t.Errorf("%s\nwant\n%s", body, bodies[0])
		}
	}
	b.login(page, "mika", password).response(t)
}

func TestGuessingIsThrottledForTheAccount(t *testing.T) {
	w := newWorld(t, "")
	b := w.browser()
	page := b.get(w.authURL("web"))
	for i := 0; ; i++ {
		a := b.login(page, "mika", "wrong password")
		if a.StatusCode == http.StatusTooManyRequests {
			if a.Header.Get("Retry-After") == "" || i != 10 {
				t.Errorf("after %d tries: %v", i, a.Header)
			}
			break
		}
		if i > 20 {
			t.Fatal("never throttled")
		}
	}
	if a := b.login(page, "mika", password); a.StatusCode != http.StatusTooManyRequests {
		t.Errorf("the right password: %s", a.Status)
	}
	w.pass(time.Minute)
	b.login(page, "mika", password).response(t)
}

func TestALoginIsFinishedOnce(t *testing.T) {
	w := newWorld(t, "")
	b := w.browser()
	page := b.get(w.authURL("web"))
	var mu sync.Mutex
	codes, others := 0, 0
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			a := b.login(page, "mika", password)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case a.Header.Get("Location") != "" && a.response(t).Get("code") != "":
				codes++
			case a.StatusCode == http.StatusBadRequest && strings.Contains(a.body, "no longer valid"),
				a.StatusCode == http.StatusOK && strings.Contains(a.body, `type="password"`): // another login
				others++
			}
		})
	}
	wg.Wait()
	if codes != 1 || others != 3 {
		t.Errorf("%d codes and %d refusals", codes, others)
	}
	if a := b.login(page, "mika", password); a.StatusCode != http.StatusBadRequest || !strings.Contains(a.body, "no longer valid") {
		t.Errorf("posted again: %s %s", a.Status, a.body)
	}
}

// TestAFormWhoseAnswerWasLostIsPostedAgain is what a reload does, or a balancer,
// when the replica was killed that had taken the password.
func TestAFormWhoseAnswerWasLostIsPostedAgain(t *testing.T) {
	w := newWorld(t, "")
	b := w.browser()
	verifier := oauth2.GenerateVerifier()
	challenge := oauth2.S256ChallengeFromVerifier(verifier)
	page := b.get(w.authURL("web", "code_challenge", challenge, "code_challenge_method", "S256", "max_age", "3600", "ui_locales", "ja", "login_hint", "mika"))
	r, err := http.NewRequest(http.MethodPost, page.Request.URL.String(), strings.NewReader(url.Values{"username": {"mika"}, "password": {password}}.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for _, c := range b.Jar.Cookies(page.Request.URL) {
		r.AddCookie(c)
	}
	lost, err := http.DefaultTransport.RoundTrip(r) // past the jar: the browser learns nothing of it
	if err != nil {
		t.Fatal(err)
	}
	_ = lost.Body.Close()
	if lost.StatusCode != http.StatusSeeOther {
		t.Fatalf("the first time: %s", lost.Status)
	}

	stranger := w.browser()
	if a := stranger.login(page, "mika", password); a.StatusCode != http.StatusBadRequest || !strings.Contains(a.body, "no longer valid") {
		t.Errorf("another browser: %s", a.Status)
	}
	second := b.login(page, "mika", password)
	if second.StatusCode != http.StatusOK || !strings.Contains(second.body, "サインイン") || !strings.Contains(second.body, `value="mika"`) || second.Request.URL.Path == page.Request.URL.Path {
		t.Fatalf("posted again: %s at %s", second.Status, second.Request.URL)
	}
	got := b.login(second, "mika", password).response(t)
	if got.Get("state") != "s t/ä" || got.Get("code") == "" {
		t.Fatalf("the response: %v", got)
	}
	if status, body := w.redeem(got.Get("code"), "code_verifier", verifier); status != http.StatusOK {
		t.Errorf("the tokens, by the app's own PKCE: %d %v", status, body)
	}
	if a := b.get(page.Request.URL.String()); a.StatusCode != http.StatusBadRequest || !strings.Contains(a.body, "no longer valid") {
		t.Errorf("the first page, once there is a session: %s", a.Status)
	}
}

func TestALoginStaysInItsBrowser(t *testing.T) {
	w := newWorld(t, "")
	page := w.browser().get(w.authURL("web"))
	other := w.browser()
	for range 2 { // without a cookie, then with one of its own
		if a := other.login(page, "mika", password); a.StatusCode != http.StatusBadRequest || !strings.Contains(a.body, "another browser") {
			t.Fatalf("%s %s", a.Status, a.body)
		}
		other.get(w.authURL("web"))
	}
}

func TestAFormOfAnotherSiteIsRefused(t *testing.T) {
	w := newWorld(t, "")
	b := w.browser()
	page := b.get(w.authURL("web"))
	r, err := http.NewRequest("POST", page.Request.URL.String(), strings.NewReader("username=mika&password=x"))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	if a := b.do(r); a.StatusCode != http.StatusForbidden {
		t.Errorf("%s", a.Status)
	}
}

func TestLoggingInGivesANewSession(t *testing.T) {
	w := newWorld(t, "")
	b := w.browser()
	b.code()
	session := func() string {
		u, err := url.Parse(w.issuer)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range b.Jar.Cookies(u) {
			if c.Name == "onedoor-session" {
				return c.Value
			}
		}
		return ""
	}
	first := session()
	b.code("prompt", "login")
	second := session()
	if first == "" || second == "" || first == second {
		t.Fatalf("%q and %q", first, second)
	}
	old := w.browser()
	r, err := http.NewRequest("GET", w.authURL("web", "prompt", "none"), nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Cookie", "onedoor-session="+first)
	if got := old.do(r).response(t); got.Get("error") != "login_required" {
		t.Errorf("the old session: %v", got)
	}
}

func TestCancellingTellsTheClient(t *testing.T) {
	w := newWorld(t, "")
	b := w.browser()
	page := b.get(w.authURL("web"))
	got := b.post(page.Request.URL.String(), url.Values{"cancel": {"1"}}).response(t)
	if got.Get("error") != "access_denied" || got.Get("state") == "" {
		t.Errorf("%v", got)
	}
}

func TestASuspendedUserIsLoggedOut(t *testing.T) {
	w := newWorld(t, "")
	b := w.browser()
	_, tokens := w.redeem(b.code())
	if status, _ := w.userinfo(tokens["access_token"]); status != http.StatusOK {
		t.Fatal(status)
	}
	suspended := provider.Suspended
	if _, err := provider.SetUser(t.Context(), w.db, "MIKA", provider.UserChange{Status: &suspended}); err != nil {
		t.Fatal(err)
	}
	if status, _ := w.userinfo(tokens["access_token"]); status != http.StatusUnauthorized {
		t.Errorf("userinfo: %d", status)
	}
	if got := b.get(w.authURL("web", "prompt", "none")).response(t); got.Get("error") != "login_required" {
		t.Errorf("%v", got)
	}
}

func TestLogoutEndsTheSessionAndLeadsBack(t *testing.T) {
	w := newWorld(t, "")
	target := app + "/bye?b=2&a=1"
	loggedIn := func(b *browser) bool {
		return b.get(w.authURL("web", "prompt", "none")).response(t).Get("code") != ""
	}
	out := func(more ...string) string {
		v := url.Values{"post_logout_redirect_uri": {target}, "state": {"x y"}}
		for i := 0; i < len(more); i += 2 {
			v.Set(more[i], more[i+1])
		}
		return w.issuer + "/logout?" + v.Encode()
	}
	b := w.browser()
	_, tokens := w.redeem(b.code())
	hint, _ := tokens["id_token"].(string)

	t.Run("with a hint at once", func(t *testing.T) {
		a := b.get(out("id_token_hint", hint))
		if got := a.Header.Get("Location"); got != target+"&state=x+y" || a.StatusCode != http.StatusSeeOther {
			t.Errorf("%s %s", a.Status, got)
		}
		if loggedIn(b) {
			t.Error("still logged in")
		}
	})
	t.Run("by a form of the client's site", func(t *testing.T) {
		b := w.browser()
		b.code()
		a := b.post(w.issuer+"/logout", url.Values{"id_token_hint": {hint}, "client_id": {"web"}})
		if !strings.Contains(a.body, "Sign out?") { // the hint is of an earlier session
			t.Errorf("%s %s", a.Status, a.body)
		}
	})
	t.Run("without a hint the person is asked", func(t *testing.T) {
		b := w.browser()
		b.code()
		a := b.get(out("client_id", "web"))
		if !strings.Contains(a.body, "Sign out?") || !loggedIn(b) {
			t.Fatalf("%s %s", a.Status, a.body)
		}
		form := url.Values{}
		for _, m := range hidden.FindAllStringSubmatch(a.body, -1) {
			form.Set(m[1], strings.ReplaceAll(m[2], "&amp;", "&"))
		}
		if got := b.post(w.issuer+"/logout", form).Header.Get("Location"); got != target+"&state=x+y" {
			t.Errorf("%s", got)
		}
		if loggedIn(b) {
			t.Error("still logged in")
		}
	})
	t.Run("nobody is logged in", func(t *testing.T) {
		if got := w.browser().get(out("client_id", "web")).Header.Get("Location"); got != target+"&state=x+y" {
			t.Errorf("%s", got)
		}
		if a := w.browser().get(w.issuer + "/logout"); a.StatusCode != http.StatusOK || !strings.Contains(a.body, "You are signed out") {
			t.Errorf("%s", a.Status)
		}
	})
	for name, url := range map[string]string{
		"an address that is not registered": out("client_id", "web", "post_logout_redirect_uri", "https://evil.example/"),
		"an address and no client":          out(),
		"an unknown client":                 out("client_id", "nobody"),
		"a hint of another client":          out("client_id", "spa", "id_token_hint", hint),
		"a hint that is not ours":           out("id_token_hint", "e30.e30.e30"),
	} {
		t.Run(name, func(t *testing.T) {
			if a := w.browser().get(url); a.StatusCode != http.StatusBadRequest || a.Header.Get("Location") != "" || !strings.Contains(a.body, "could not be signed out") {
				t.Errorf("%s %s", a.Status, a.body)
			}
		})
	}
}

// TestLoginsThatAreBegunAreBounded: each is a row, and nobody needs a password
// to begin one (THREATS T-29).
func TestLoginsThatAreBegunAreBounded(t *testing.T) {
	w := newWorld(t, "")
	var a answer
	n := 0
	for ; n < 600; n++ {
		if a = w.browser().get(w.authURL("web")); strings.Contains(a.Header.Get("Location"), "error=temporarily_unavailable") {
			break
		}
	}
	if n != 500 {
		t.Errorf("%d logins were begun at once, then %d %v", n, a.StatusCode, a.Header)
	}
	w.pass(time.Second)
	if a := w.browser().get(w.authURL("web")); a.StatusCode != http.StatusOK {
		t.Errorf("a second later: %d %v", a.StatusCode, a.Header)
	}
	if a := w.browser().get(w.authURL("web", "state", strings.Repeat("s", 4001))); !strings.Contains(a.Header.Get("Location"), "error=invalid_request") {
		t.Errorf("a long state: %d %v", a.StatusCode, a.Header)
	}
}
