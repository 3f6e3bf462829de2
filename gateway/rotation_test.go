package gateway

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"onedoor/oidc"
	"onedoor/seal"
)

func sealingKey(id byte) seal.Key {
	return seal.Key{ID: id, Secret: bytes.Repeat([]byte{id}, seal.KeySize)}
}

// rotate is what a replica does when it learns of a new key: it opens at once
// and seals ten seconds later.
func (b *bed) rotate() {
	b.Helper()
	next := sealingKey(b.keys[0].ID + 1)
	next.From = b.now.Add(10 * time.Second)
	b.setKeys(append([]seal.Key{next}, b.keys...)...)
	b.now = b.now.Add(10 * time.Second)
}

func (b *bed) setKeys(keys ...seal.Key) {
	b.Helper()
	b.keys = keys
	if err := b.ring.Set(keys...); err != nil {
		b.Fatal(err)
	}
}

// leg is a place in a login at which the keys change.
var legs = []string{"nowhere", "before the callback", "before the token request", "before both"}

func rotated(leg, here string) bool { return leg == "before the "+here || leg == "before both" }

func TestARotationInMidLoginLosesNoLogin(t *testing.T) {
	for _, leg := range legs {
		for name, state := range map[string]string{"a state": "st", "a state that is kept": strings.Repeat("s", 4000)} {
			t.Run(leg+", "+name, func(t *testing.T) {
				b := newAuthorizeBed(t, nil)
				_, sealed := b.begin(state)
				query, _ := url.ParseQuery(b.last().query)
				b.codes["K"] = query.Get("code_challenge")
				if rotated(leg, "callback") {
					b.rotate()
				}
				b.logInWith(sealed, state, leg)
			})
		}
	}
}

func TestARotationInMidLoginLosesNoPushedRequest(t *testing.T) {
	for _, leg := range append(legs, "before the authorization request") {
		t.Run(leg, func(t *testing.T) {
			b := newAuthorizeBed(t, nil)
			form := url.Values{"response_type": {"code"}, "redirect_uri": {acmeURI}, "state": {"st"}}.Encode()
			resp := b.send("POST", "/par", "", "application/x-www-form-urlencoded", form, [][2]string{{"Authorization", "Basic shop:shop-secret"}})
			var answer struct {
				RequestURI string `json:"request_uri"`
			}
			if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || resp.StatusCode != http.StatusCreated {
				t.Fatalf("%s %v", resp.Status, err)
			}
			pushed, _ := url.ParseQuery(b.last().body)
			b.codes["K"] = pushed.Get("code_challenge")
			if leg == "before the authorization request" {
				b.rotate()
			}
			ask := url.Values{"client_id": {"shop"}, "request_uri": {answer.RequestURI}}.Encode()
			if resp := b.send("GET", "/authorize", ask, "", "", nil); resp.StatusCode != http.StatusOK {
				t.Fatalf("the pushed request was not taken: %s", resp.Status)
			}
			if rotated(leg, "callback") {
				b.rotate()
			}
			b.logInWith(pushed.Get("state"), "st", leg)
		})
	}
}

// logInWith goes from the provider's answer to the tokens.
func (b *bed) logInWith(sealed, state, leg string) {
	b.Helper()
	resp := b.finish(sealed)
	loc, err := resp.Location()
	if err != nil || loc.Query().Get("state") != state {
		text, _ := io.ReadAll(resp.Body)
		b.Fatalf("the callback: %s %v\n%s", resp.Status, err, text)
	}
	if len(b.cookies) != 0 {
		b.Errorf("the binding stayed: %v", b.cookies)
	}
	if rotated(leg, "token request") {
		b.rotate()
	}
	if resp := b.exchange(loc.Query().Get("code")); resp.StatusCode != http.StatusOK {
		b.Errorf("the token request: %s", resp.Status)
	}
}

func (b *bed) exchange(code string) *http.Response {
	form := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {acmeURI}}.Encode()
	return b.send("POST", "/token", "", "application/x-www-form-urlencoded", form, [][2]string{{"Authorization", "Basic shop:shop-secret"}})
}

func TestARotationInMidLogoutLosesNoLogout(t *testing.T) {
	for name, state := range map[string]string{"a state": "st", "a state that is kept": strings.Repeat("s", 4000)} {
		t.Run(name, func(t *testing.T) {
			b := newAuthorizeBed(t, nil)
			ask := oidc.Params{{Name: "client_id", Value: "shop"}, {Name: "post_logout_redirect_uri", Value: "https://acme.example.com/"}, {Name: "state", Value: state}}
			b.send("GET", "/logout", ask.Encode(), "", "", nil)
			sent, _ := url.ParseQuery(b.last().query)
			b.rotate()
			loc, err := b.send("GET", "/onedoor/logout", oidc.Params{{Name: "state", Value: sent.Get("state")}}.Encode(), "", "", nil).Location()
			if err != nil || loc.Query().Get("state") != state || loc.Host != "acme.example.com" {
				t.Errorf("%v %v", loc, err)
			}
		})
	}
}

// TestTheOldKeyIsNeededUntilTheLastCodeIsRedeemed: a code is sealed with the new
// key, and its verifier is still the old one's.
func TestTheOldKeyIsNeededUntilTheLastCodeIsRedeemed(t *testing.T) {
	b := newAuthorizeBed(t, nil)
	_, sealed := b.begin("st")
	query, _ := url.ParseQuery(b.last().query)
	b.codes["K"] = query.Get("code_challenge")
	b.rotate()
	b.now = b.now.Add(time.Hour - 20*time.Second) // the last moment of the login
	loc, err := b.finish(sealed).Location()
	if err != nil {
		t.Fatal(err)
	}
	b.now = b.now.Add(2 * time.Minute) // the last moment of the code
	if resp := b.exchange(loc.Query().Get("code")); resp.StatusCode != http.StatusOK {
		t.Errorf("with the old key: %s", resp.Status)
	}
	b.setKeys(b.keys[0])
	resp := b.exchange(loc.Query().Get("code"))
	text, _ := io.ReadAll(resp.Body)
	if resp.StatusCode != http.StatusBadRequest || !strings.Contains(string(text), oidc.InvalidGrant) || !strings.Contains(b.door.log.String(), `"rule":"pkce.key"`) {
		t.Errorf("without it: %s %s", resp.Status, text)
	}
}

func TestARevokedKeyEndsItsLoginsWithAPage(t *testing.T) {
	b := newAuthorizeBed(t, nil)
	_, sealed := b.begin("st")
	b.rotate()
	_, later := b.begin("later")
	b.setKeys(b.keys[0])
	resp := b.finish(sealed)
	text, _ := io.ReadAll(resp.Body)
	if resp.StatusCode != http.StatusBadRequest || resp.Header.Get("Location") != "" || !strings.Contains(string(text), "sign in again") || !strings.Contains(b.door.log.String(), `"rule":"state.seal"`) {
		t.Errorf("%s %s", resp.Status, text)
	}
	if resp := b.finish(later); resp.StatusCode != http.StatusSeeOther {
		t.Errorf("a login under the other key: %s", resp.Status)
	}
}

// TestAReplicaThatLearnsLateOpensWhatAnotherSealed: the ring asks for a key that
// it does not know, and the login goes on.
func TestAReplicaThatLearnsLateOpensWhatAnotherSealed(t *testing.T) {
	b := newAuthorizeBed(t, nil)
	b.rotate()
	_, sealed := b.begin("st")
	if err := b.ring.Set(sealingKey(1)); err != nil {
		t.Fatal(err)
	}
	asked := 0
	b.ring.OnUnknown(func(id byte) error {
		asked++
		if id == 2 {
			b.setKeys(b.keys...)
		}
		return nil
	})
	if resp := b.finish(sealed); resp.StatusCode != http.StatusSeeOther || asked != 1 {
		t.Errorf("%s, asked %d times", resp.Status, asked)
	}
}

// TestAReplicaThatCannotLookForAKeySendsNobodyAway: another replica finishes the
// login, or this one in a moment.
func TestAReplicaThatCannotLookForAKeySendsNobodyAway(t *testing.T) {
	b := newAuthorizeBed(t, nil)
	b.rotate()
	_, sealed := b.begin("st")
	query, _ := url.ParseQuery(b.last().query)
	b.codes["K"] = query.Get("code_challenge")
	all, cookies := b.keys, b.cookies
	forget := func() {
		b.setKeys(all[1:]...)
		b.ring.OnUnknown(func(byte) error { return errors.New("the database is away") })
	}
	later := func(what string, resp *http.Response) {
		t.Helper()
		if resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" || resp.Header.Get("Location") != "" {
			t.Errorf("%s: %s %v, want 503", what, resp.Status, resp.Header)
		}
	}
	forget()
	later("the response", b.finish(sealed))
	b.setKeys(all...)
	b.cookies = cookies
	loc, err := b.finish(sealed).Location()
	if err != nil {
		t.Fatal(err)
	}
	forget()
	later("the token request", b.exchange(loc.Query().Get("code")))
	b.setKeys(all...)
	if resp := b.exchange(loc.Query().Get("code")); resp.StatusCode != http.StatusOK {
		t.Errorf("the token request, once more: %s", resp.Status)
	}
}

func TestAPushedRequestUnderAKeyThatCannotBeLookedForWaits(t *testing.T) {
	b := newAuthorizeBed(t, nil)
	b.rotate()
	form := url.Values{"response_type": {"code"}, "redirect_uri": {acmeURI}, "state": {"st"}}.Encode()
	resp := b.send("POST", "/par", "", "application/x-www-form-urlencoded", form, [][2]string{{"Authorization", "Basic shop:shop-secret"}})
	var answer struct {
		RequestURI string `json:"request_uri"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || resp.StatusCode != http.StatusCreated {
		t.Fatalf("%s %v", resp.Status, err)
	}
	b.setKeys(b.keys[1:]...)
	b.ring.OnUnknown(func(byte) error { return errors.New("the database is away") })
	ask := url.Values{"client_id": {"shop"}, "request_uri": {answer.RequestURI}}.Encode()
	if resp := b.send("GET", "/authorize", ask, "", "", nil); resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Location") != "" {
		t.Errorf("%s %v, want 503", resp.Status, resp.Header)
	}
}

// A key may have been revoked that nobody could confirm for long: nothing is
// opened or sealed with it, whether there is a tenant to look up or not.
func TestKeysThatMayBeRevokedAreNotUsed(t *testing.T) {
	l := beginLogin(t)
	legs := l.legs()
	legs["authorize at an exact redirect URI"] = func() *http.Response {
		q := url.Values{"response_type": {"code"}, "client_id": {"mobile"}, "redirect_uri": {"http://127.0.0.1:4000/callback"}, "code_challenge": {seal.Challenge("v")}, "code_challenge_method": {"S256"}}
		return l.send("GET", "/authorize", q.Encode(), "", "", nil)
	}
	believed := true
	l.ring.OnUse(func() bool { return believed })
	for name, leg := range legs {
		l.seen = nil
		logged := len(l.door.log.String())
		believed = false
		a := read(t, leg())
		believed = true
		if a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "" || a.header.Get("Location") != "" || len(l.seen) != 0 {
			t.Errorf("%s: %d %v, and %d requests reached the provider", name, a.status, a.header, len(l.seen))
		}
		if json := strings.Contains(a.body, `"error":"temporarily_unavailable"`); json != (name[0] == '/') {
			t.Errorf("%s: %s", name, a.body)
		}
		if log := l.door.log.String()[logged:]; !strings.Contains(log, `"rule":"seal.keys"`) || !strings.Contains(log, `"cause":"nobody has confirmed the sealing keys`) {
			t.Errorf("%s: the log does not say why: %s", name, log)
		}
		if a := read(t, leg()); a.status >= 400 {
			t.Errorf("%s, when they are confirmed again: %d %s", name, a.status, a.body)
		}
	}
}
