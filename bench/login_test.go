//go:build linux

package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// formProvider is a provider with a login form. code, state and token are what
// it answers with at its end; a state of "" is the one that it was sent.
func formProvider(t *testing.T, code, state, token string) *way {
	t.Helper()
	const at = "/realms/atlas/protocol/openid-connect"
	mux := http.NewServeMux()
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	mux.HandleFunc("GET "+at+"/auth", func(w http.ResponseWriter, r *http.Request) {
		http.SetCookie(w, &http.Cookie{Name: "state", Value: r.FormValue("state"), Path: "/", Secure: true})
		_, _ = fmt.Fprintf(w, `<form id="kc-form-login" method="post" action="%s/login?a=1&amp;b=2">`, server.URL)
	})
	mux.HandleFunc("POST /login", func(w http.ResponseWriter, r *http.Request) {
		sent := state
		if c, err := r.Cookie("state"); err == nil && sent == "" {
			sent = c.Value
		}
		if r.FormValue("b") == "2" && r.FormValue("username") == "ada" {
			http.Redirect(w, r, siteCallback("acme")+"?code="+code+"&state="+sent, http.StatusFound)
		}
	})
	mux.HandleFunc("POST "+at+"/token", func(w http.ResponseWriter, r *http.Request) {
		if r.FormValue("code") != code || r.FormValue("code_verifier") == "" {
			w.WriteHeader(http.StatusBadRequest)
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprint(w, token)
	})
	return newWay("directly", server.URL, "acme", server.Listener.Addr().String())
}

func TestALoginCountsOnlyIfItEndsWithTokens(t *testing.T) {
	const tokens = `{"access_token":"a","token_type":"Bearer","id_token":"i"}`
	for _, tt := range []struct {
		name, code, state, token string
		want                     string // part of the error; "" for none
	}{
		{"a login", "c", "", tokens, ""},
		{"no code", "", "", tokens, "without the code"},
		{"another state", "c", "mallory", tokens, "without the code or the state"},
		{"no ID token", "c", "", `{"access_token":"a","token_type":"Bearer"}`, "without an ID token"},
		{"no tokens", "c", "", `{"error":"invalid_grant"}`, "invalid_grant"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := formProvider(t, tt.code, tt.state, tt.token).login(t.Context())
			if (tt.want == "") != (err == nil) || !strings.Contains(errorText(err), tt.want) {
				t.Errorf("got %q, want %q", errorText(err), tt.want)
			}
		})
	}
}
