// Command authentik is a stand-in, not authentik: authentik's server is published
// to no package registry. It has authentik's URL layout and the three habits
// that trouble a front door: every URL follows the request's Host, all providers
// share one authorization endpoint, and the login is a JavaScript flow that ends
// without a Location header. It knows one person and forgets everything.
package main

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"flag"
	"log"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
)

type provider struct {
	slug, clientID, clientSecret string
	username, password, name     string
	redirectURIs                 []string // strict mode

	key    jose.JSONWebKey
	mu     sync.Mutex
	codes  map[string]grant // by authorization code
	tokens map[string]bool  // access tokens
}

// grant is what an authorization code stands for.
type grant struct{ redirectURI, nonce, challenge string }

const flowPath = "/if/flow/default-authentication-flow/"

func main() {
	p := &provider{codes: map[string]grant{}, tokens: map[string]bool{}}
	listen := flag.String("listen", "127.0.0.1:9000", "address to listen on")
	redirectURIs := flag.String("redirect-uris", "", "the client's redirect URIs, separated by spaces")
	flag.StringVar(&p.slug, "slug", "atlas", "the provider's slug")
	flag.StringVar(&p.clientID, "client-id", "", "the client")
	flag.StringVar(&p.clientSecret, "client-secret", "", "its secret")
	flag.StringVar(&p.username, "username", "", "the person")
	flag.StringVar(&p.password, "password", "", "the person's password")
	flag.StringVar(&p.name, "name", "", "the person's name")
	flag.Parse()
	p.redirectURIs = strings.Fields(*redirectURIs)

	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		log.Fatal(err)
	}
	p.key = jose.JSONWebKey{Key: private, KeyID: rand.Text(), Algorithm: string(jose.RS256), Use: "sig"}

	mux := http.NewServeMux()
	mux.HandleFunc("GET /application/o/"+p.slug+"/.well-known/openid-configuration", p.discovery)
	mux.HandleFunc("GET /application/o/"+p.slug+"/jwks/", p.jwks)
	mux.HandleFunc("GET /application/o/authorize/", p.authorize)
	mux.HandleFunc("POST /application/o/token/", p.token)
	mux.HandleFunc("/application/o/userinfo/", p.userinfo)
	for _, other := range []string{"introspect", "revoke", "device"} { // there, and for nobody
		mux.HandleFunc("POST /application/o/"+other+"/", func(w http.ResponseWriter, _ *http.Request) {
			writeJSON(w, http.StatusUnauthorized, map[string]string{"error": "invalid_client"})
		})
	}
	mux.HandleFunc("GET "+flowPath, p.flow)
	mux.HandleFunc("POST /api/v3/flows/executor/default-authentication-flow/", p.executor)
	mux.HandleFunc("GET /-/health/ready/", func(http.ResponseWriter, *http.Request) {})
	server := &http.Server{Addr: *listen, Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	log.Fatal(server.ListenAndServe())
}

// base is the origin that the request names: a trusted proxy's word, or Host.
func base(r *http.Request) string {
	scheme, host := "http", r.Host
	if h := r.Header.Get("X-Forwarded-Host"); h != "" {
		host = h
	}
	if s := r.Header.Get("X-Forwarded-Proto"); s != "" {
		scheme = s
	}
	return scheme + "://" + host
}

func (p *provider) issuer(r *http.Request) string { return base(r) + "/application/o/" + p.slug + "/" }

func (p *provider) discovery(w http.ResponseWriter, r *http.Request) {
	o := base(r) + "/application/o/"
	writeJSON(w, http.StatusOK, map[string]any{
		"issuer":                                p.issuer(r),
		"authorization_endpoint":                o + "authorize/",
		"token_endpoint":                        o + "token/",
		"userinfo_endpoint":                     o + "userinfo/",
		"introspection_endpoint":                o + "introspect/",
		"revocation_endpoint":                   o + "revoke/",
		"device_authorization_endpoint":         o + "device/",
		"end_session_endpoint":                  o + p.slug + "/end-session/",
		"jwks_uri":                              o + p.slug + "/jwks/",
		"response_types_supported":              []string{"code", "id_token", "id_token token", "code token", "code id_token", "code id_token token"},
		"response_modes_supported":              []string{"query", "fragment", "form_post"},
		"grant_types_supported":                 []string{"authorization_code", "refresh_token", "implicit"},
		"code_challenge_methods_supported":      []string{"plain", "S256"},
		"subject_types_supported":               []string{"public"},
		"scopes_supported":                      []string{"openid", "profile", "email"},
		"id_token_signing_alg_values_supported": []string{"RS256"},
		"token_endpoint_auth_methods_supported": []string{"client_secret_post", "client_secret_basic"},
		"request_parameter_supported":           false,
		"claims_parameter_supported":            false,
	})
}

func (p *provider) jwks(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{p.key.Public()}})
}

// authorize looks at the client and its redirect URI and hands over to the flow,
// with the request's own query.
func (p *provider) authorize(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	if query.Get("client_id") != p.clientID || !slices.Contains(p.redirectURIs, query.Get("redirect_uri")) {
		http.Error(w, "Redirect URI Error", http.StatusBadRequest)
		return
	}
	if query.Get("prompt") == "none" {
		to := answer(query, url.Values{"error": {"login_required"}})
		http.Redirect(w, r, to, http.StatusFound)
		return
	}
	http.Redirect(w, r, flowPath+"?"+r.URL.RawQuery, http.StatusFound)
}

// answer is the redirect URI of a request with an authorization response.
func answer(request, response url.Values) string {
	if state := request.Get("state"); state != "" {
		response.Set("state", state)
	}
	return request.Get("redirect_uri") + "?" + response.Encode()
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(body); err != nil {
		log.Print(err)
	}
}
