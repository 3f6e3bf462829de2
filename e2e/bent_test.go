//go:build e2e && linux

package e2e

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// bent is a provider that asks nobody for a password and makes the mistakes that
// a test tells it to, so that real clients print what they print about them.
type bent struct {
	issuer string
	keys   *bentKeys

	mu     sync.Mutex
	now    mistake
	nonces map[string]string // by code
}

// bentKeys are a key that is in the key set, and one that is not.
type bentKeys struct{ published, other *rsa.PrivateKey }

// mistake is what is wrong with the next login. The zero value: nothing.
type mistake struct {
	discovery http.HandlerFunc  // answers in the place of the metadata
	metadata  map[string]any    // replaces members of the metadata; nil takes one out
	response  map[string]string // replaces parameters of the authorization response; "" takes one out
	token     http.HandlerFunc  // answers in the place of the tokens
	claims    map[string]any    // replaces claims of the ID token
	signer    *jose.SigningKey  // signs in the place of the provider's key
}

func newBentKeys(t *testing.T) *bentKeys {
	t.Helper()
	k := &bentKeys{}
	for _, key := range []**rsa.PrivateKey{&k.published, &k.other} {
		var err error
		if *key, err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
			t.Fatal(err)
		}
	}
	return k
}

// errs makes a mistake from now on.
func (p *bent) errs(m mistake) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.now = m
}

func (p *bent) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	m := p.now
	p.mu.Unlock()
	_, path, _ := strings.Cut(r.URL.Path, "/realms/atlas")
	path = strings.TrimPrefix(path, "/protocol/openid-connect") // Keycloak's own libraries know where it has what
	switch path {
	case "/.well-known/openid-configuration":
		if m.discovery != nil {
			m.discovery(w, r)
			return
		}
		reply(w, bend(map[string]any{
			"issuer": p.issuer, "authorization_endpoint": p.issuer + "/authorize", "token_endpoint": p.issuer + "/token",
			"jwks_uri": p.issuer + "/keys", "userinfo_endpoint": p.issuer + "/userinfo",
			"response_types_supported": []string{"code"}, "subject_types_supported": []string{"public"},
			"id_token_signing_alg_values_supported": []string{"RS256"}, "code_challenge_methods_supported": []string{"S256"},
			"authorization_response_iss_parameter_supported": true,
		}, m.metadata))
	case "/authorize":
		p.authorize(w, r, m)
	case "/token":
		if m.token != nil {
			m.token(w, r)
			return
		}
		p.tokens(w, r, m)
	case "/keys", "/certs":
		reply(w, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: p.keys.published.Public(), KeyID: "one", Algorithm: "RS256", Use: "sig"}}})
	case "/userinfo":
		reply(w, map[string]any{"sub": "1", "name": "Ada Lovelace", "email": "ada@example.com", "groups": []string{}})
	default:
		http.NotFound(w, r)
	}
}

// authorize sends the browser back at once.
func (p *bent) authorize(w http.ResponseWriter, r *http.Request, m mistake) {
	query := r.URL.Query()
	code := rand.Text()
	p.mu.Lock()
	p.nonces[code] = query.Get("nonce")
	p.mu.Unlock()
	response := url.Values{"code": {code}, "iss": {p.issuer}}
	if state := query.Get("state"); state != "" {
		response.Set("state", state)
	}
	for name, value := range m.response {
		if response.Set(name, value); value == "" {
			response.Del(name)
		}
	}
	http.Redirect(w, r, query.Get("redirect_uri")+"?"+response.Encode(), http.StatusFound)
}

func (p *bent) tokens(w http.ResponseWriter, r *http.Request, m mistake) {
	clientID, _, basic := r.BasicAuth()
	if !basic {
		clientID = r.PostFormValue("client_id")
	}
	p.mu.Lock()
	nonce := p.nonces[r.PostFormValue("code")]
	p.mu.Unlock()
	claims := map[string]any{
		"iss": p.issuer, "aud": clientID, "sub": "1", "name": "Ada Lovelace", "email": "ada@example.com",
		"iat": time.Now().Unix(), "exp": time.Now().Add(time.Minute).Unix(), "typ": "ID",
	}
	if nonce != "" {
		claims["nonce"] = nonce
	}
	token, err := p.sign(bend(claims, m.claims), m.signer)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	reply(w, map[string]any{"access_token": rand.Text(), "token_type": "Bearer", "expires_in": 60, "id_token": token})
}

func (p *bent) sign(claims map[string]any, with *jose.SigningKey) (string, error) {
	if with == nil {
		with = &jose.SigningKey{Algorithm: jose.RS256, Key: jose.JSONWebKey{Key: p.keys.published, KeyID: "one"}}
	}
	signer, err := jose.NewSigner(*with, nil)
	if err != nil {
		return "", err
	}
	text, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	signed, err := signer.Sign(text)
	if err != nil {
		return "", err
	}
	return signed.CompactSerialize()
}

// signedBy is a mistake: another key, under a name of its own or a known one.
func (p *bent) signedBy(kid string) mistake {
	return mistake{signer: &jose.SigningKey{Algorithm: jose.RS256, Key: jose.JSONWebKey{Key: p.keys.other, KeyID: kid}}}
}

// bend replaces members.
func bend(whole, with map[string]any) map[string]any {
	maps.Copy(whole, with)
	maps.DeleteFunc(whole, func(_ string, value any) bool { return value == nil })
	return whole
}

func reply(w http.ResponseWriter, value any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(value)
}

// refuses answers as a provider does that refuses.
func refuses(status int, code, description string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(map[string]string{"error": code, "error_description": description})
	}
}

// The answers of servers that are no provider.
func aPage(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/html")
	_, _ = fmt.Fprint(w, "<!doctype html><title>Sign in</title>")
}

func hangUp(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

func hang(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

func moved(w http.ResponseWriter, r *http.Request) {
	http.Redirect(w, r, "https://auth.example.com/realms/atlas"+wellKnown, http.StatusMovedPermanently)
}

func broken(w http.ResponseWriter, _ *http.Request) {
	http.Error(w, "oops", http.StatusInternalServerError)
}

const wellKnown = "/.well-known/openid-configuration"
