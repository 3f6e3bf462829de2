package provider

import (
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

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
