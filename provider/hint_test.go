package provider_test

import (
	"crypto/x509"
	"net/http"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"onedoor/provider"
)

// hint signs an ID token of the provider's that expired a year ago.
func (w *world) hint(claims map[string]any) string {
	w.t.Helper()
	keys, err := w.db.SigningKeys(w.t.Context())
	if err != nil || len(keys) == 0 {
		w.t.Fatal(keys, err)
	}
	key, err := x509.ParsePKCS8PrivateKey(keys[0].PrivateKey)
	if err != nil {
		w.t.Fatal(err)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.SignatureAlgorithm(keys[0].Alg), Key: jose.JSONWebKey{Key: key, KeyID: keys[0].ID}}, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	all := map[string]any{"iss": w.issuer, "aud": []string{"web"}, "exp": time.Now().AddDate(-1, 0, 0).Unix()}
	for name, value := range claims {
		all[name] = value
	}
	token, err := jwt.Signed(signer).Claims(all).Serialize()
	if err != nil {
		w.t.Fatal(err)
	}
	return token
}

func (w *world) subject(username string) string {
	w.t.Helper()
	u, err := w.db.UserByName(w.t.Context(), username)
	if err != nil {
		w.t.Fatal(err)
	}
	return u.ID
}

func TestAnExpiredHintStillSaysWhoIsMeant(t *testing.T) {
	w := newWorld(t, "")
	b := w.browser()
	b.code()
	mika := w.hint(map[string]any{"sub": w.subject("mika")})
	if got := b.get(w.authURL("web", "prompt", "none", "id_token_hint", mika)).response(t); got.Get("code") == "" {
		t.Errorf("%v", got)
	}
	status, _, pushed := w.back("/par", w.params("web", "prompt", "none", "id_token_hint", mika), "web", w.secret)
	if status != http.StatusCreated {
		t.Fatalf("%d %v", status, pushed)
	}
	uri := w.issuer + "/authorize?client_id=web&request_uri=" + toString(pushed["request_uri"])
	if got := b.get(uri).response(t); got.Get("code") == "" {
		t.Errorf("pushed: %v", got)
	}
	if a := b.get(w.issuer + "/logout?id_token_hint=" + mika); a.StatusCode != http.StatusOK {
		t.Errorf("logout: %s", a.Status)
	}
	if got := b.get(w.authURL("web", "prompt", "none")).response(t); got.Get("error") != "login_required" {
		t.Errorf("after logout: %v", got)
	}
}

func TestAHintOfAnotherPersonAsksForALogin(t *testing.T) {
	w := newWorld(t, "")
	if _, _, err := provider.AddUser(t.Context(), w.db, provider.User{Username: "anna"}, password); err != nil {
		t.Fatal(err)
	}
	b := w.browser()
	b.code()
	for name, hint := range map[string]string{
		"another person's": w.hint(map[string]any{"sub": w.subject("anna")}),
		"another issuer's": w.hint(map[string]any{"sub": w.subject("mika"), "iss": "https://other.example"}),
		"an access token":  w.hint(map[string]any{"sub": w.subject("mika"), "grant_id": "x"}),
		"no token at all":  "x",
		"unsigned":         "eyJhbGciOiJub25lIn0.e30.",
	} {
		if got := b.get(w.authURL("web", "prompt", "none", "id_token_hint", hint)).response(t); got.Get("error") != "login_required" {
			t.Errorf("%s: %v", name, got)
		}
	}
	b.login(b.get(w.authURL("web", "id_token_hint", w.hint(map[string]any{"sub": w.subject("anna")}))), "anna", password).response(t)
}
