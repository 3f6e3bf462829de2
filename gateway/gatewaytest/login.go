package gatewaytest

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// Login is one person's way through a login of an app.
type Login struct {
	b       *Bed
	app     string
	uri     string
	tenant  string
	state   string // as the provider got it
	code    string // as the provider issued it
	cookies []string

	// Code is what the app was given to redeem.
	Code string
	// Secrets are all that nobody but its owner may ever see of this login.
	Secrets []string
}

// AppState is the state that the apps send.
const AppState = "the-apps-own-state"

// Begin sends the authorization request of an app for a tenant, and for Pusher
// the pushed one before it.
func (b *Bed) Begin(door int, app, tenant string) *Login {
	b.t.Helper()
	l := &Login{b: b, app: app, tenant: tenant, uri: "https://" + tenant + ".example.com/callback"}
	if app == Relay {
		l.uri = Origin + "/tenants/" + tenant + "/callback"
	}
	ask := url.Values{"response_type": {"code"}, "client_id": {app}, "redirect_uri": {l.uri}, "state": {AppState}, "nonce": {"the-apps-own-nonce"}}
	l.keep(AppState, "the-apps-own-nonce", Secret, l.basic(Secret)[1])
	if app == Pusher {
		resp := b.Post(door, "/par", ask, l.basic(Secret)...)
		var handle struct {
			RequestURI string `json:"request_uri"`
		}
		if err := json.Unmarshal([]byte(resp.Body), &handle); err != nil {
			b.t.Fatalf("a pushed request got %d: %s", resp.Status, resp.Body)
		}
		l.keep(handle.RequestURI)
		ask = url.Values{"client_id": {app}, "request_uri": {handle.RequestURI}}
		door = (door + 1) % len(b.doors) // the browser comes to another one
	}
	resp := b.Get(door, "/authorize?"+ask.Encode())
	for _, c := range resp.Header["Set-Cookie"] {
		pair, _, _ := strings.Cut(c, ";")
		_, value, _ := strings.Cut(pair, "=")
		l.cookies = append(l.cookies, pair)
		l.keep(value)
	}
	to := resp.Location()
	if resp.Status != http.StatusSeeOther {
		b.t.Fatalf("an authorization request got %d: %s", resp.Status, resp.Body)
	}
	l.state = to.Get("state")
	b.mu.Lock()
	defer b.mu.Unlock()
	l.code = fmt.Sprintf("the-providers-code-%d", len(b.codes))
	b.codes[l.code] = to.Get("code_challenge")
	l.keep(l.state, l.code, to.Get("code_challenge"))
	return l
}

func (l *Login) keep(secrets ...string) {
	for _, s := range secrets {
		if s != "" {
			l.Secrets = append(l.Secrets, s)
		}
	}
}

func (l *Login) basic(secret string) []string {
	return []string{"Authorization", "Basic " + base64.StdEncoding.EncodeToString([]byte(l.app+":"+secret))}
}

// Return brings the provider's answer back: its code, or with errorCode that.
func (l *Login) Return(door int, errorCode string) Answer {
	l.b.t.Helper()
	answer := url.Values{"state": {l.state}, "iss": {Origin}}
	if errorCode != "" {
		answer.Set("error", errorCode)
		answer.Set("error_description", "a text of the provider's")
	} else {
		answer.Set("code", l.code)
	}
	path := "/onedoor/callback?"
	if l.app == Relay {
		path = "/tenants/" + l.tenant + "/callback?"
	}
	resp := l.b.Get(door, path+answer.Encode(), "Cookie", strings.Join(l.cookies, "; "))
	l.Code = resp.Location().Get("code")
	l.keep(l.Code)
	return resp
}

// Redeem sends the token request of the app, with a client secret of its own or
// another.
func (l *Login) Redeem(door int, secret string) Answer {
	l.b.t.Helper()
	l.keep(secret, AccessToken, IDToken)
	return l.b.Post(door, "/token", url.Values{"grant_type": {"authorization_code"}, "code": {l.Code}, "redirect_uri": {l.uri}}, l.basic(secret)...)
}

// Whole goes through a login, and fails the test where it does not succeed. Its
// legs go to one door after the other.
func (b *Bed) Whole(app, tenant string) *Login {
	b.t.Helper()
	n := len(b.doors)
	l := b.Begin(0, app, tenant)
	if l.Return(1%n, ""); l.Code == "" {
		b.t.Fatal("the callback brought no code")
	}
	if resp := l.Redeem(2%n, Secret); resp.Status != http.StatusOK {
		b.t.Fatalf("the code was not redeemed: %d %s", resp.Status, resp.Body)
	}
	return l
}
