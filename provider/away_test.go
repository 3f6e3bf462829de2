package provider_test

import (
	"context"
	"database/sql"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"onedoor/provider"
	"onedoor/store"
)

// away makes a world whose database can be made to take no writes, and whose
// requests are given up after a moment.
func away(t *testing.T) (w *world, lock, unlock func()) {
	t.Helper()
	w = newWorld(t, "")
	file := filepath.Join(t.TempDir(), "onedoor.db")
	db, err := store.Open(t.Context(), file, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var handler http.Handler
	var hurry atomic.Bool
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if hurry.Load() {
			ctx, cancel := context.WithTimeout(r.Context(), 300*time.Millisecond)
			defer cancel()
			r = r.WithContext(ctx)
		}
		handler.ServeHTTP(rw, r)
	}))
	w.db, w.issuer = db, server.URL
	p, err := provider.New(t.Context(), provider.Options{Issuer: w.issuer, Store: db, Now: w.clock, Log: slog.New(slog.NewTextHandler(w.log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	handler = p.Handler()
	other, err := sql.Open("sqlite", file)
	if err != nil {
		t.Fatal(err)
	}
	other.SetMaxOpenConns(1)
	t.Cleanup(func() {
		server.Close()
		_, _, _ = p.Close(), other.Close(), db.Close()
	})
	must := func(statement string) {
		if _, err := other.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := provider.AddUser(t.Context(), db, provider.User{Username: "mika"}, password); err != nil {
		t.Fatal(err)
	}
	w.secret = w.addClient(provider.Client{ID: "web", RedirectURIs: []string{app + "/cb"}})
	lock = func() { must("PRAGMA busy_timeout = 5000"); must("BEGIN IMMEDIATE"); hurry.Store(true) }
	unlock = func() { hurry.Store(false); must("ROLLBACK") }
	return w, lock, unlock
}

func TestALoginWaitsForADatabaseThatIsAway(t *testing.T) {
	w, lock, unlock := away(t)
	b := w.browser()
	page := b.get(b.authURL("web"))
	try := func() answer { return b.login(page, "mika", password) }

	lock()
	for range 11 { // more often than somebody may guess
		if a := try(); a.StatusCode != http.StatusServiceUnavailable || a.Header.Get("Retry-After") == "" {
			t.Fatalf("the password: %s %v %s, want 503", a.Status, a.Header, a.body)
		}
	}
	if a := b.get(b.authURL("web")); a.StatusCode != http.StatusServiceUnavailable || a.Header.Get("Retry-After") == "" {
		t.Errorf("an authorization request: %s %s, want 503", a.Status, a.body)
	}
	unlock()
	code := try().response(t).Get("code")
	if code == "" {
		t.Fatal("the login ended while the database was away")
	}

	lock()
	form := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {app + "/cb"}}
	status, header, body := w.back("/token", form, "web", w.secret)
	if status != http.StatusServiceUnavailable || header.Get("Retry-After") == "" || body["error"] != "temporarily_unavailable" {
		t.Errorf("the token request: %d %v %v, want 503", status, header, body)
	}
	unlock()
	if status, body := w.redeem(code); status != http.StatusOK {
		t.Errorf("the token request, once more: %d %v", status, body)
	}
}
