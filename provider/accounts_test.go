package provider_test

import (
	"errors"
	"strings"
	"testing"

	"onedoor/provider"
	"onedoor/store"
)

func addWithSecret(w *world, id, secret string) {
	w.t.Helper()
	_, _, err := provider.AddClient(w.t.Context(), w.db, provider.Client{ID: id, RedirectURIs: []string{app + "/cb"}}, secret, false)
	if err != nil {
		w.t.Fatal(err)
	}
}

func addPushing(w *world, id string) {
	w.t.Helper()
	w.addClient(provider.Client{ID: id, RedirectURIs: []string{app + "/cb"}, RequirePushedRequests: true})
}

func TestUsersAreManaged(t *testing.T) {
	w := newWorld(t, "")
	ctx := t.Context()
	u, pass, err := provider.AddUser(ctx, w.db, provider.User{Username: "Anna@Example.com"}, "")
	if err != nil || u.Username != "anna@example.com" || len(pass) < 20 {
		t.Fatalf("%+v %q %v", u, pass, err)
	}
	b := w.browser()
	b.login(b.get(w.authURL("web")), "ANNA@example.com", pass).response(t)
	email, verified := "anna@example.com", true
	if u, err = provider.SetUser(ctx, w.db, "anna@example.com", provider.UserChange{Email: &email, EmailVerified: &verified}); err != nil || !u.EmailVerified {
		t.Fatalf("%+v %v", u, err)
	}
	email = "anna2@example.com"
	if u, err = provider.SetUser(ctx, w.db, "anna@example.com", provider.UserChange{Email: &email}); err != nil || u.EmailVerified {
		t.Errorf("another address is still verified: %+v %v", u, err)
	}
	if _, err := provider.SetPassword(ctx, w.db, "anna@example.com", "another password"); err != nil {
		t.Fatal(err)
	}
	b.login(b.get(w.authURL("web")), "anna@example.com", "another password").response(t) // asked again: the old session ended
	if err := provider.RemoveUser(ctx, w.db, "anna@example.com"); err != nil {
		t.Fatal(err)
	}
	users, err := provider.Users(ctx, w.db)
	if err != nil || len(users) != 1 || users[0].Username != "mika" {
		t.Errorf("%+v %v", users, err)
	}
	if got := b.get(w.authURL("web", "prompt", "none")).response(t); got.Get("error") != "login_required" {
		t.Errorf("%v", got)
	}
}

func TestABadUserIsRefusedWithAReason(t *testing.T) {
	w := newWorld(t, "")
	for want, add := range map[string]func() error{
		"exists already": func() error {
			_, _, err := provider.AddUser(t.Context(), w.db, provider.User{Username: "MIKA"}, "")
			return err
		},
		"one word": func() error {
			_, _, err := provider.AddUser(t.Context(), w.db, provider.User{Username: "a b"}, "")
			return err
		},
		"at least 8 characters": func() error {
			_, _, err := provider.AddUser(t.Context(), w.db, provider.User{Username: "x"}, "short")
			return err
		},
		"at most 1024 octets": func() error {
			_, err := provider.SetPassword(t.Context(), w.db, "mika", strings.Repeat("x", 1025))
			return err
		},
		"is not an e-mail address": func() error {
			_, _, err := provider.AddUser(t.Context(), w.db, provider.User{Username: "x", Email: "x"}, "")
			return err
		},
		"say active or suspended": func() error {
			s := "gone"
			_, err := provider.SetUser(t.Context(), w.db, "mika", provider.UserChange{Status: &s})
			return err
		},
		`user "nobody": not found`:  func() error { return provider.RemoveUser(t.Context(), w.db, "nobody") },
		`user "no body": not found`: func() error { return provider.RemoveUser(t.Context(), w.db, "no body") },
	} {
		if err := add(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

func TestClientsAreManaged(t *testing.T) {
	w := newWorld(t, "")
	ctx := t.Context()
	c, first, err := provider.AddClient(ctx, w.db, provider.Client{RedirectURIs: []string{"http://auth.localhost:9000/onedoor/callback"}}, "", false)
	if err != nil || c.ID == "" || len(first) < 40 || c.Type != provider.Confidential || c.IDTokenAlg != "RS256" {
		t.Fatalf("%+v %v", c, err)
	}
	name := "New name"
	if c, second, err := provider.SetClient(ctx, w.db, c.ID, provider.ClientChange{Name: &name, NewSecret: true}, false); err != nil || c.Name != name || second == "" || second == first {
		t.Errorf("%+v %v", c, err)
	}
	if err := provider.RemoveClient(ctx, w.db, c.ID); err != nil {
		t.Fatal(err)
	}
	if err := provider.RemoveClient(ctx, w.db, c.ID); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("%v", err)
	}
	clients, err := provider.Clients(ctx, w.db)
	if err != nil || len(clients) != 3 {
		t.Errorf("%d %v", len(clients), err)
	}
	row, err := w.db.Client(ctx, "web")
	if err != nil || strings.Contains(row.SecretHash, w.secret) {
		t.Errorf("the secret is kept in clear: %v", err)
	}
}

func TestABadClientIsRefusedWithAReason(t *testing.T) {
	w := newWorld(t, "")
	good := []string{app + "/cb"}
	for want, c := range map[string]provider.Client{
		"exists already":                 {ID: "web", RedirectURIs: good},
		"no redirect URI":                {},
		"use https":                      {RedirectURIs: []string{"http://app.example.com/cb"}},
		"exact URIs only":                {RedirectURIs: []string{"https://{tenant}.example.com/cb"}},
		"a * is no pattern":              {RedirectURIs: []string{"https://app.example.com/*"}},
		"a fragment":                     {RedirectURIs: []string{app + "/#x"}},
		"a parameter of the response":    {RedirectURIs: []string{app + "/cb?code=1"}},
		"say RS256 or ES256":             {RedirectURIs: good, IDTokenAlg: "none"},
		"confidential, public or native": {RedirectURIs: good, Type: "secret"},
		"ASCII without spaces":           {ID: "a b", RedirectURIs: good},
	} {
		if _, _, err := provider.AddClient(t.Context(), w.db, c, "", false); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	for want, c := range map[string]provider.Client{"keeps no secret": {Type: provider.Public, RedirectURIs: good}, "at least 24": {RedirectURIs: good}} {
		if _, _, err := provider.AddClient(t.Context(), w.db, c, "short", false); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}
