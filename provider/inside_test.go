package provider

import (
	"context"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/luikyv/go-oidc/pkg/goidc"

	"onedoor/store"
)

func TestEveryTextIsInEveryLanguage(t *testing.T) {
	if missing := texts.Missing(); missing != nil {
		t.Errorf("missing: %q", missing)
	}
}

func TestAThrottleIsBoundedAndForgetsNobodyEarly(t *testing.T) {
	th := newThrottle(time.Minute, 2)
	now := time.Unix(1e9, 0)
	for range 2 {
		if _, wait := th.take("mika", now); wait != 0 {
			t.Fatal("throttled at once")
		}
	}
	for i := range throttleKeys * 3 / 2 {
		th.take(strconv.Itoa(i), now)
	}
	if _, wait := th.take("mika", now); wait != time.Minute {
		t.Errorf("wait %v, want a minute", wait)
	}
	for i := range throttleKeys * 5 {
		th.take("x"+strconv.Itoa(i), now)
	}
	if n := len(th.now) + len(th.old); n > 2*throttleKeys {
		t.Errorf("%d keys are kept", n)
	}
	giveBack, _ := th.take("anna", now)
	giveBack()
	for range 2 {
		if _, wait := th.take("anna", now); wait != 0 {
			t.Error("an attempt that was given back still counts")
		}
	}
}

func TestAddressesAreCountedByNetwork(t *testing.T) {
	for remote, want := range map[string]string{
		"192.0.2.1:5": "192.0.2.1", "[2001:db8::1:2:3:4]:5": "2001:db8::/64", "[::ffff:192.0.2.1]:5": "192.0.2.1", "pipe": "pipe", "": "",
	} {
		if got := network(remoteAddress(&http.Request{RemoteAddr: remote})); got != want {
			t.Errorf("%q: %q, want %q", remote, got, want)
		}
	}
}

func TestOnHTTPSCookiesBelongToTheHostAlone(t *testing.T) {
	db, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "x.db"), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	p, err := New(t.Context(), Options{Issuer: "https://auth.example.com/op", Store: db})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}()
	if _, _, err := AddClient(t.Context(), db, Client{ID: "web", RedirectURIs: []string{"https://app.example.com/cb"}}, "", false); err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	p.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/op/authorize?client_id=web&response_type=code&redirect_uri=https://app.example.com/cb&scope=openid", nil))
	cookie := w.Header().Get("Set-Cookie")
	if !strings.HasPrefix(cookie, "__Host-onedoor-browser=") || !strings.Contains(cookie, "; Path=/;") {
		t.Errorf("%q", cookie)
	}
	for _, want := range []string{"; Secure", "; HttpOnly", "; SameSite=Lax"} {
		if !strings.Contains(cookie, want) {
			t.Errorf("%q lacks %q", cookie, want)
		}
	}
	if got := w.Header().Get("Location"); !strings.HasPrefix(got, "https://auth.example.com/op/authorize/") {
		t.Errorf("Location %q", got)
	}
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Cookie", "__Host-onedoor-session=a; __Host-onedoor-session=b")
	if got := p.cookie(r, cookieSession); got != "" {
		t.Errorf("of two cookies %q was taken", got)
	}
}

// overDatabase is a provider that has a database and nothing else.
func overDatabase(t *testing.T) *Provider {
	t.Helper()
	db, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "x.db"), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return &Provider{store: db, now: time.Now}
}

// TestACodeIsNotBurntBecauseTheDatabaseWasAwayForAMoment is the engine's second
// save of a token request: it revokes what it could not save at first.
func TestACodeIsNotBurntBecauseTheDatabaseWasAwayForAMoment(t *testing.T) {
	rows := rows{overDatabase(t)}
	x := &exchange{}
	ctx := context.WithValue(t.Context(), exchangeKey{}, x)
	grant := func() *goidc.Grant { return &goidc.Grant{ID: "g", AuthCode: "the code"} }
	if err := rows.SaveGrant(ctx, grant()); err != nil {
		t.Fatal(err)
	}
	broken, cancel := context.WithDeadline(ctx, time.Unix(0, 0))
	defer cancel()
	g, err := rows.GrantByAuthCode(ctx, "the code")
	if err != nil {
		t.Fatal(err)
	}
	if err := rows.SaveGrant(broken, g); !isAway(err) || !x.away {
		t.Fatalf("a grant that was not saved: %v, away %v", err, x.away)
	}
	g.RevokedAt = 1
	if err := rows.SaveGrant(ctx, g); !isAway(err) {
		t.Errorf("the engine's revocation: %v, want that the database is away", err)
	}
	if _, err := rows.GrantByAuthCode(ctx, "the code"); err != nil {
		t.Errorf("the code is burnt: %v", err)
	}
}

// TestALoginIsNotEndedByADatabaseThatComesBack is the engine's way out of an
// error: it ends the login, and that write may succeed.
func TestALoginIsNotEndedByADatabaseThatComesBack(t *testing.T) {
	rows := rows{overDatabase(t)}
	x := &exchange{}
	ctx := context.WithValue(t.Context(), exchangeKey{}, x)
	login := &goidc.AuthnSession{ID: "l", Status: goidc.StatusPending, PolicyID: "password", ExpiresAt: int(time.Now().Unix()) + 60}
	if err := rows.SaveSession(ctx, login); err != nil {
		t.Fatal(err)
	}
	x.note(store.ErrUnavailable)
	login.Status = goidc.StatusFailure
	if err := rows.SaveSession(ctx, login); !isAway(err) {
		t.Errorf("the engine's end of it: %v, want that the database is away", err)
	}
	if _, err := rows.Session(ctx, "l"); err != nil {
		t.Errorf("the login has ended: %v", err)
	}
}

// TestASpentLoginThatCannotBeLookedAtWaits: whether to begin it again is in the
// database.
func TestASpentLoginThatCannotBeLookedAtWaits(t *testing.T) {
	p := overDatabase(t)
	gone, cancel := context.WithDeadline(t.Context(), time.Unix(0, 0))
	defer cancel()
	r := httptest.NewRequestWithContext(gone, http.MethodPost, "/authorize/l", nil)
	r.AddCookie(&http.Cookie{Name: cookieBrowser, Value: "b"})
	w := httptest.NewRecorder()
	as := &goidc.AuthnSession{ID: "l", ClientID: "web", Store: map[string]any{storeBrowser: digest("b")}}
	if !p.beginAgain(w, r, as) || w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" {
		t.Errorf("%d %v, want 503", w.Code, w.Header())
	}
}
