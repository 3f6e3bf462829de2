package admin_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"onedoor/admin"
)

// keysOf lists the keys.
func (b *bed) keysOf() []admin.Key {
	b.t.Helper()
	var out struct{ Keys []admin.Key }
	g := b.ask("GET", "/v1/keys", "")
	if err := json.Unmarshal(g.body, &out); err != nil || g.StatusCode != http.StatusOK {
		b.t.Fatalf("%s %s", g.Status, g.body)
	}
	return out.Keys
}

func states(keys []admin.Key) string {
	var b strings.Builder
	for _, k := range keys {
		b.WriteString(string(rune('0'+k.ID)) + " " + k.State + " ")
	}
	return strings.TrimSpace(b.String())
}

func TestKeysAreListedRotatedAndRevoked(t *testing.T) {
	b := makeBed(t, func(o *admin.Options) {
		o.KeyTimes = func() admin.KeyTimes { return admin.KeyTimes{Notice: 10 * time.Second, Kept: time.Hour} }
	})
	at := func(want string) {
		t.Helper()
		if got := states(b.keysOf()); got != want {
			t.Errorf("keys %q, want %q", got, want)
		}
	}
	at("1 seals")
	b.pass(time.Hour)
	g := b.ask("POST", "/v1/keys", "")
	var made admin.Key
	if err := json.Unmarshal(g.body, &made); err != nil || g.StatusCode != http.StatusCreated || made.ID != 2 || made.State != "waits" || made.RetiresAt != nil {
		t.Errorf("%s %s", g.Status, g.body)
	}
	at("2 waits 1 seals")
	b.pass(10 * time.Second)
	at("2 seals 1 opens")
	keys := b.keysOf()
	if got := keys[1].RetiresAt.Sub(keys[0].CreatedAt); got != time.Hour || keys[0].RetiresAt != nil || keys[0].SealsFrom.Sub(keys[0].CreatedAt) != 10*time.Second {
		t.Errorf("%+v", keys)
	}
	for _, tt := range []struct {
		path, body string
		status     int
	}{
		{"/v1/keys/2", `{"revoked":2,"made":3}`, 200},
		{"/v1/keys/2", "no_such_key", 404},
		{"/v1/keys/1", `{"revoked":1}`, 200},
		{"/v1/keys/256", "path.id", 422},
		{"/v1/keys/x", "path.id", 422},
		{"/v1/keys/3", `{"revoked":3,"made":4}`, 200},
	} {
		if g := b.ask("DELETE", tt.path, ""); g.StatusCode != tt.status || !strings.Contains(string(g.body), tt.body) {
			t.Errorf("%s: %s %s", tt.path, g.Status, g.body)
		}
	}
	at("4 seals")
}

func TestNoAnswerHasASealingKeyInIt(t *testing.T) {
	b := makeBed(t)
	b.ask("POST", "/v1/keys", "")
	stored, err := b.db.SealKeys(t.Context())
	if err != nil || len(stored) != 2 {
		t.Fatal(stored, err)
	}
	for _, g := range []got{b.ask("GET", "/v1/keys", ""), b.ask("POST", "/v1/keys", ""), b.ask("DELETE", "/v1/keys/1", ""), b.ask("GET", "/v1/audit", "")} {
		for _, k := range stored {
			if strings.Contains(string(g.body), base64.StdEncoding.EncodeToString(k.Secret)) {
				t.Errorf("%s", g.body)
			}
		}
	}
}

func TestKeysNeedTheirScopes(t *testing.T) {
	b := makeBed(t)
	add := func(name, scope string) string {
		t.Helper()
		g := b.ask("POST", "/v1/tokens", `{"name":"`+name+`","scopes":["`+scope+`"]}`)
		var made admin.NewToken
		if err := json.Unmarshal(g.body, &made); err != nil || g.StatusCode != http.StatusCreated {
			t.Fatalf("%s %s", g.Status, g.body)
		}
		return "Bearer " + made.Secret
	}
	reads, writes, other := add("reads", "keys:read"), add("writes", "keys:write"), add("other", "tenants:write")
	for _, tt := range []struct {
		method, path, token string
		status              int
	}{
		{"GET", "/v1/keys", reads, 200},
		{"GET", "/v1/keys", writes, 403},
		{"GET", "/v1/keys", other, 403},
		{"POST", "/v1/keys", reads, 403},
		{"POST", "/v1/keys", other, 403},
		{"POST", "/v1/keys", writes, 201},
		{"DELETE", "/v1/keys/1", reads, 403},
		{"DELETE", "/v1/keys/1", other, 403},
		{"DELETE", "/v1/keys/1", writes, 200},
	} {
		if g := b.ask(tt.method, tt.path, "", "Authorization", tt.token); g.StatusCode != tt.status {
			t.Errorf("%s %s: %s %s", tt.method, tt.path, g.Status, g.body)
		}
	}
}
