// Go-oidc is a site for all tenants on coreos/go-oidc and x/oauth2. It makes
// its redirect URI from the Host; it is told the issuer, and nothing of tenants
// or the door.
package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"html/template"
	"log"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

var (
	issuer       = os.Getenv("OIDC_ISSUER")
	clientID     = os.Getenv("OIDC_CLIENT_ID")
	clientSecret = os.Getenv("OIDC_CLIENT_SECRET")
	address      = net.JoinHostPort(cmp.Or(os.Getenv("HOST"), "127.0.0.1"), cmp.Or(os.Getenv("PORT"), "3000"))
)

func main() {
	http.HandleFunc("GET /{$}", home)
	http.HandleFunc("GET /login", login)
	http.HandleFunc("GET /api/auth/callback", callback)
	server := &http.Server{Addr: address, ReadHeaderTimeout: 10 * time.Second}
	log.Fatal(server.ListenAndServe())
}

// people are who is logged in, by session cookie.
var people sync.Map

func home(w http.ResponseWriter, r *http.Request) {
	var name any
	if session, err := r.Cookie("session"); err == nil {
		name, _ = people.Load(session.Value)
	}
	show(w, http.StatusOK, `<h1 id="host">{{.Host}}</h1>
{{if .Name}}<p id="person">{{.Name}}</p>{{else}}<a href="/login">Sign in</a>{{end}}`, map[string]any{"Host": r.Host, "Name": name})
}

func login(w http.ResponseWriter, r *http.Request) {
	p, err := provider(r.Context())
	if err != nil {
		fail(w, err)
		return
	}
	state, nonce, verifier := rand.Text(), rand.Text(), oauth2.GenerateVerifier()
	setCookie(w, "login", state+"."+nonce+"."+verifier)
	http.Redirect(w, r, config(r, p).AuthCodeURL(state, oidc.Nonce(nonce), oauth2.S256ChallengeOption(verifier)), http.StatusFound)
}

func callback(w http.ResponseWriter, r *http.Request) {
	name, err := person(r)
	if err != nil {
		fail(w, err)
		return
	}
	session := rand.Text()
	people.Store(session, name)
	setCookie(w, "session", session)
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

// person finishes the login that this browser began.
func person(r *http.Request) (string, error) {
	cookie, err := r.Cookie("login")
	if err != nil {
		return "", fmt.Errorf("this browser began no login: %w", err)
	}
	began := strings.Split(cookie.Value, ".")
	if len(began) != 3 || r.FormValue("state") != began[0] {
		return "", errors.New("state is another login's")
	}
	if code := r.FormValue("error"); code != "" {
		return "", fmt.Errorf("the provider says %s: %s", code, r.FormValue("error_description"))
	}
	p, err := provider(r.Context())
	if err != nil {
		return "", err
	}
	token, err := config(r, p).Exchange(r.Context(), r.FormValue("code"), oauth2.VerifierOption(began[2]))
	if err != nil {
		return "", err
	}
	raw, _ := token.Extra("id_token").(string)
	idToken, err := p.Verifier(&oidc.Config{ClientID: clientID}).Verify(r.Context(), raw)
	if err != nil {
		return "", err
	}
	if idToken.Nonce != began[1] {
		return "", errors.New("the ID token is another login's")
	}
	info, err := p.UserInfo(r.Context(), oauth2.StaticTokenSource(token))
	if err != nil {
		return "", err
	}
	var claims struct {
		Name string `json:"name"`
	}
	err = info.Claims(&claims)
	return claims.Name, err
}

// provider reads the discovery document, whose issuer must be the URL asked.
func provider(ctx context.Context) (*oidc.Provider, error) { return oidc.NewProvider(ctx, issuer) }

func config(r *http.Request, p *oidc.Provider) *oauth2.Config {
	return &oauth2.Config{
		ClientID: clientID, ClientSecret: clientSecret, Endpoint: p.Endpoint(),
		RedirectURL: "http://" + r.Host + "/api/auth/callback",
		Scopes:      []string{oidc.ScopeOpenID, "profile"},
	}
}

func setCookie(w http.ResponseWriter, name, value string) {
	http.SetCookie(w, &http.Cookie{Name: name, Value: value, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode})
}

func fail(w http.ResponseWriter, err error) {
	log.Print(err)
	show(w, http.StatusBadGateway, `<p id="error">{{.}}</p>`, err.Error())
}

func show(w http.ResponseWriter, status int, page string, data any) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_ = template.Must(template.New("page").Parse("<!doctype html>"+page)).Execute(w, data)
}
