package gateway

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"onedoor/oidc"
)

// witness keeps what Observe was told.
type witness struct {
	*bed
	mu     sync.Mutex
	events []Event
	read   int
	secret []string // what must stand in no event
	state  string   // of the login that was begun, as the provider got it
}

// code is the code of the login that was begun.
func (w *witness) code() string {
	w.Helper()
	query, _ := url.ParseQuery(w.last().query)
	w.codes["K"] = query.Get("code_challenge")
	loc, err := w.finish(w.state).Location()
	if err != nil {
		w.Fatal(err)
	}
	w.next()
	w.secret = append(w.secret, loc.Query().Get("code"))
	return loc.Query().Get("code")
}

func newWitness(t *testing.T) *witness {
	t.Helper()
	w := &witness{bed: newAuthorizeBed(t, nil)}
	w.observe = func(e *Event) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.events = append(w.events, *e)
	}
	w.build()
	return w
}

// next waits for the next event: an answer may be read before it is told of.
func (w *witness) next() (e Event) {
	w.Helper()
	until(w, "the next event", func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		if len(w.events) <= w.read {
			return false
		}
		e = w.events[w.read]
		w.read++
		return true
	})
	if !slices.Contains(Routes, e.Route) {
		w.Errorf("the route %q is none of Routes", e.Route)
	}
	return e
}

// keepsSecrets fails where an event holds a secret.
func (w *witness) keepsSecrets() {
	w.Helper()
	for _, c := range w.cookies {
		w.secret = append(w.secret, c)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range w.events {
		text, err := json.Marshal(e)
		if err != nil {
			w.Fatal(err)
		}
		all := fmt.Sprintf("%+v %s", e, text)
		for _, s := range w.secret {
			if len(s) < 4 {
				w.Fatalf("%q is too short to be looked for", s)
			}
			if strings.Contains(all, s) || strings.Contains(all, url.QueryEscape(s)) {
				w.Errorf("the event of %s holds %q: %s", e.Leg, s, all)
			}
		}
	}
}

// login goes through a login, each leg on a replica of its own, and returns the
// events of its legs.
func (w *witness) login(client, mode string, pushed bool) (legs []Event) {
	w.Helper()
	const appState, code = "the-app's-own-state", "the-provider's-code"
	w.secret = append(w.secret, appState, code, "access_token", client+"-secret")
	ask := oidc.Params{{Name: "response_type", Value: "code"}, {Name: "client_id", Value: client}, {Name: "redirect_uri", Value: acmeURI}, {Name: "state", Value: appState}}
	if mode != "" {
		ask = append(ask, oidc.Param{Name: "response_mode", Value: mode})
	}
	basic := [][2]string{{"Authorization", "Basic " + client + ":" + client + "-secret"}}
	var atProvider url.Values
	if pushed {
		resp := w.send("POST", "/par", "", "application/x-www-form-urlencoded", ask.Encode(), basic)
		var answer struct {
			RequestURI string `json:"request_uri"`
		}
		if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
			w.Fatal(resp.Status, err)
		}
		legs = append(legs, w.next())
		atProvider, _ = url.ParseQuery(w.last().body)
		w.secret = append(w.secret, answer.RequestURI)
		ask = oidc.Params{{Name: "client_id", Value: client}, {Name: "request_uri", Value: answer.RequestURI}}
		w.build()
	}
	w.send("GET", "/authorize", ask.Encode(), "", "", nil)
	legs = append(legs, w.next())
	if !pushed {
		atProvider, _ = url.ParseQuery(w.last().query)
	}
	w.build()
	w.codes[code] = atProvider.Get("code_challenge")
	w.secret = append(w.secret, atProvider.Get("state"), atProvider.Get("code_challenge"))
	back := oidc.Params{{Name: "code", Value: code}, {Name: "state", Value: atProvider.Get("state")}, {Name: "iss", Value: vectorIssuer}}.Encode()
	for _, c := range w.cookies {
		w.secret = append(w.secret, c) // it goes at the callback
	}
	var sealed string
	if mode == "form_post" {
		resp := w.send("POST", callbackPath, "", "application/x-www-form-urlencoded", back, nil)
		page := read(w.T, resp).body
		_, rest, _ := strings.Cut(page, `name="code" value="`)
		sealed, _, _ = strings.Cut(rest, `"`)
	} else if loc, err := w.send("GET", callbackPath, back, "", "", nil).Location(); err == nil {
		sealed = loc.Query().Get("code")
	}
	if sealed == "" {
		w.Fatal("the callback brought no code")
	}
	legs = append(legs, w.next())
	w.build()
	w.secret = append(w.secret, sealed)
	redeem := oidc.Params{{Name: "grant_type", Value: "authorization_code"}, {Name: "code", Value: sealed}, {Name: "redirect_uri", Value: acmeURI}}
	resp := w.send("POST", "/token", "", "application/x-www-form-urlencoded", redeem.Encode(), basic)
	if resp.StatusCode != http.StatusOK {
		w.Fatal("the code was not redeemed: ", resp.Status)
	}
	got, _ := url.ParseQuery(w.last().body)
	w.secret = append(w.secret, got.Get("code_verifier"))
	return append(legs, w.next())
}
