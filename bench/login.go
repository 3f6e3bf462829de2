//go:build linux

package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"golang.org/x/oauth2"

	e2e "onedoor/e2e/lab"
)

// way is how a login reaches Keycloak. The addresses are the same on both ways,
// and so is what Keycloak does; what differs is whom the connections lead to,
// and with that the redirect URI that Keycloak sees: the app's or the door's.
type way struct {
	oauth2.Config
	address  string       // of the door, or of Keycloak
	app      *http.Client // keeps its connections, as an app's server does
	door     string       // what the report calls the CPU time of the door,
	keycloak string       // that of Keycloak,
	latency  string       // and the time until the tokens are there
}

const (
	loginRealm   = "atlas"
	loginClient  = "atlas-web" // as in onedoor.yaml
	clientSecret = "the app's own secret"
)

func newWay(name, origin, tenant, address string) *way {
	endpoint := origin + "/realms/" + loginRealm + "/protocol/openid-connect"
	return &way{
		Config: oauth2.Config{
			ClientID: loginClient, ClientSecret: clientSecret, Scopes: []string{"openid", "profile"},
			RedirectURL: siteCallback(tenant),
			Endpoint:    oauth2.Endpoint{AuthURL: endpoint + "/auth", TokenURL: endpoint + "/token", AuthStyle: oauth2.AuthStyleInHeader},
		},
		address:  address,
		app:      &http.Client{Timeout: 20 * time.Second, Transport: transport(address)},
		door:     "login: CPU of the door, " + name,
		keycloak: "login: CPU of Keycloak, " + name,
		latency:  "login: time until the tokens are there, " + name,
	}
}

func siteCallback(tenant string) string {
	return "https://" + tenant + ".example.com/api/auth/callback"
}

// transport leads every name to one address.
func transport(address string) *http.Transport {
	return &http.Transport{DialContext: e2e.DialTo(e2e.Here, address)}
}

// logins measures what one login costs on both ways, in one run: the same
// Keycloak, its memory and its compiled code, in turns of a second or two.
func (l *lab) logins(ctx context.Context, p plan, r *report) error {
	port, err := freePorts(1)
	if err != nil {
		return err
	}
	// The door first: its origin is what Keycloak is told to be.
	door, _, err := (&lab{dir: l.dir, door: l.door, upstream: &subject{port: port}}).startDoor(ctx, "", few, true)
	if err != nil {
		return err
	}
	defer door.close()
	var life e2e.Suite
	defer life.Close()
	tenant := door.tenants[0]
	keycloak := e2e.StartKeycloak(&life, e2e.KeycloakOptions{
		Net: e2e.Here, Address: fmt.Sprintf("127.0.0.1:%d", port), Hostname: door.origin,
		// Both of Java's compilers, and room: it is to be as quick as in production.
		Java: "-Xmx1g",
		Realms: []e2e.Realm{e2e.NewRealm(loginRealm, e2e.Client{
			ClientID: loginClient, Secret: clientSecret,
			RedirectURIs: []string{door.origin + "/onedoor/callback", siteCallback(tenant)},
		})},
	})
	if err := door.ready(ctx); err != nil {
		return err
	}
	kc := &process{name: "Keycloak"}
	if kc.members, err = family(keycloak.PID()); err != nil {
		return err
	}
	r.Versions = append(versions(ctx, []string{l.door, "version"}, []string{"java", "--version"}), "Keycloak: "+e2e.KeycloakVersion)
	direct := newWay("directly", door.origin, tenant, fmt.Sprintf("127.0.0.1:%d", port))
	through := newWay("through the door", door.origin, tenant, door.address())
	costs, err := interleaveLogins(ctx, p, door.process, kc, direct, through)
	if err != nil {
		return fmt.Errorf("%w\nthe door: %s\nKeycloak: %s", err, door.tail(), keycloak.Log())
	}
	percent := costs.over(through.door, through.keycloak)
	for i := range percent {
		percent[i] *= 100
	}
	r.budget("login: CPU of the door", "ms", 1.2, costs[through.door]...)
	r.budget("login: CPU of the door over that of Keycloak", "%", 1.5, percent...)
	for _, name := range []string{direct.door, direct.keycloak, through.keycloak, direct.latency, through.latency} {
		r.fact(name, "ms", costs[name]...)
	}
	r.fact("login: CPU of Keycloak, through the door over directly", "×", costs.over(through.keycloak, direct.keycloak)...)
	r.fact("login: time, through the door over directly", "×", costs.over(through.latency, direct.latency)...)
	return nil
}

// interleaveLogins gives both ways their turn in every round, A B B A, and
// measures the CPU time of one login and the median of how long they took, in
// milliseconds.
func interleaveLogins(ctx context.Context, p plan, door, keycloak *process, direct, through *way) (series, error) {
	for range p.loginsBefore {
		for _, w := range []*way{direct, through} {
			if err := w.login(ctx); err != nil {
				return nil, err
			}
		}
	}
	costs := series{}
	for r := range p.loginRounds {
		ways := []*way{direct, through}
		if r%2 == 1 {
			slices.Reverse(ways)
		}
		for _, w := range ways {
			spent, err := cpuOf(door, keycloak)
			if err != nil {
				return nil, err
			}
			took := make([]time.Duration, p.logins)
			for i := range took {
				began := time.Now()
				if err := w.login(ctx); err != nil {
					return nil, err
				}
				took[i] = time.Since(began)
			}
			after, err := cpuOf(door, keycloak)
			if err != nil {
				return nil, err
			}
			each := func(i int) float64 { return milliseconds(after[i]-spent[i]) / float64(p.logins) }
			costs[w.door] = append(costs[w.door], each(0))
			costs[w.keycloak] = append(costs[w.keycloak], each(1))
			slices.Sort(took)
			costs[w.latency] = append(costs[w.latency], milliseconds(quantile(took, 0.5)))
		}
	}
	return costs, nil
}

func cpuOf(door, keycloak *process) (spent [2]time.Duration, err error) {
	if spent[0], err = door.cpu(); err == nil {
		spent[1], err = keycloak.cpu()
	}
	return spent, err
}

// login is one person's: a browser without cookies or connections asks for
// authorization, sends the password and follows the response as far as the app;
// the app redeems the code. Anything but tokens at its end is an error.
func (w *way) login(ctx context.Context) error {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return err
	}
	browser := &http.Client{
		Timeout: 20 * time.Second, Transport: transport(w.address), Jar: e2e.SecureJar{CookieJar: jar},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	defer browser.CloseIdleConnections()
	state, verifier := rand.Text(), oauth2.GenerateVerifier()
	response, err := w.walk(ctx, browser, w.AuthCodeURL(state, oauth2.S256ChallengeOption(verifier)))
	if err != nil {
		return err
	}
	if !slices.Equal(response["state"], []string{state}) || response.Get("code") == "" {
		return fmt.Errorf("an authorization response without the code or the state: %v", response)
	}
	token, err := w.Exchange(context.WithValue(ctx, oauth2.HTTPClient, w.app), response.Get("code"), oauth2.VerifierOption(verifier))
	if err != nil {
		return err
	}
	if id, _ := token.Extra("id_token").(string); id == "" {
		return errors.New("a token response without an ID token")
	}
	return nil
}

var loginForm = regexp.MustCompile(`<form id="kc-form-login"[^>]* action="([^"]+)"`)

// walk opens an address and goes where it leads, through Keycloak's login form
// too, until it is sent to the app, and gives what the app is told.
func (w *way) walk(ctx context.Context, browser *http.Client, at string) (url.Values, error) {
	const most = 10       // requests
	var fields url.Values // of the form to send; nil: a link to follow
	for range most {
		next, page, err := open(ctx, browser, at, fields)
		if err != nil {
			return nil, err
		}
		form := loginForm.FindStringSubmatch(page)
		switch {
		case strings.HasPrefix(next, w.RedirectURL+"?"):
			u, err := url.Parse(next)
			if err != nil {
				return nil, err
			}
			return u.Query(), nil
		case next != "":
			at, fields = next, nil
		case form != nil && fields == nil:
			at, fields = html.UnescapeString(form[1]), url.Values{"username": {e2e.Username}, "password": {e2e.Password}}
		default:
			return nil, fmt.Errorf("the login ends at %s: %s", at, page)
		}
	}
	return nil, fmt.Errorf("the login leads in a circle, to %s", at)
}

// open makes one request. next is where its answer leads.
func open(ctx context.Context, browser *http.Client, at string, fields url.Values) (next, page string, err error) {
	method := http.MethodGet
	if fields != nil {
		method = http.MethodPost
	}
	r, err := http.NewRequestWithContext(ctx, method, at, strings.NewReader(fields.Encode()))
	if err != nil {
		return "", "", err
	}
	r.Header.Set("Accept", "text/html")
	if fields != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	resp, err := browser.Do(r)
	if err != nil {
		return "", "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if to, none := resp.Location(); none == nil {
		next = to.String()
	}
	return next, string(body), err
}
