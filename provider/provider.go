// Package provider is the OpenID Provider that lives inside onedoor; to the
// gateway it is one more http.Handler. It has users with passwords, clients,
// the authorization code flow, refresh tokens and logout.
//
// The protocol is spoken by an engine, github.com/luikyv/go-oidc, which nothing
// outside this package sees. What is ours is the login, who the users and
// clients are, and the mends of what the engine does otherwise than real clients
// need (mend.go). It knows nothing of horizons: its issuer is constant, and the
// door in front of it tells each caller its own addresses.
//
// Reading starts at New; a login goes authorize.go, login.go, token.go.
package provider

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"onedoor/page"
	"onedoor/store"
)

// Options say what a provider is.
type Options struct {
	// Issuer is the issuer identifier, a URL without query, fragment or final
	// slash. Every endpoint lies under it, and it never changes.
	Issuer string
	// Store keeps everything. It stays the caller's to close, after Close.
	Store *store.DB
	// Log receives what the operator should know. Default: slog.Default().
	Log *slog.Logger
	// Now is the clock of sessions and throttles; the engine has its own.
	// Default: time.Now.
	Now func() time.Time
	// Address returns the IP address that a request comes from, by which failed
	// logins are counted; IPv6 ones are counted by /64. Default: the request's RemoteAddr, which behind a proxy
	// is the proxy's. It is the door's business which header may be believed.
	Address func(*http.Request) string
}

// Lifetimes.
const (
	loginLifetime   = time.Hour           // from the authorization request to the password
	sessionLifetime = 12 * time.Hour      // of a browser that is logged in
	codeLifetime    = 60 * time.Second    // RFC 6749 §4.1.2 allows 10 minutes
	tokenLifetime   = 10 * time.Minute    // of ID and access tokens
	refreshLifetime = 30 * 24 * time.Hour // since the last use
	pushedLifetime  = 90 * time.Second    // of a pushed request (RFC 9126 §2.2)
)

// Provider is an OpenID Provider. Close it when its handler is not used any
// more.
type Provider struct {
	issuer  string
	path    string // the issuer's path, "" for none
	secure  bool   // the issuer is https
	store   *store.DB
	log     *slog.Logger
	now     func() time.Time
	address func(*http.Request) string

	keys      *keyRing
	engine    http.Handler
	discovery []byte
	hashing   *semaphore.Weighted
	accounts  *throttle
	addresses *throttle
	begun     *throttle // logins, by address
	origin    *http.CrossOriginProtection

	stop func()
	done sync.WaitGroup
}

// New makes a provider. It creates the signing keys that are missing: the first
// at once, the slow RSA one while the handler serves already.
func New(ctx context.Context, o Options) (*Provider, error) {
	issuer, err := checkIssuer(o.Issuer)
	if err != nil {
		return nil, err
	}
	if o.Store == nil {
		return nil, errors.New("provider: no store is given")
	}
	p := &Provider{
		issuer: o.Issuer, path: issuer.Path, secure: issuer.Scheme == "https",
		store: o.Store, log: o.Log, now: o.Now, address: o.Address,
		hashing:   semaphore.NewWeighted(hashesAtOnce),
		accounts:  newThrottle(accountEvery, accountBurst),
		addresses: newThrottle(addressEvery, addressBurst),
		begun:     newThrottle(beginEvery, beginBurst),
		origin:    http.NewCrossOriginProtection(),
	}
	if p.log == nil {
		p.log = slog.Default()
	}
	if p.now == nil {
		p.now = time.Now
	}
	if p.address == nil {
		p.address = remoteAddress
	}
	address := p.address
	p.address = func(r *http.Request) string { return network(address(r)) }
	if p.keys, err = newKeyRing(ctx, p.store, p.now); err != nil {
		return nil, err
	}
	if p.engine, err = p.newEngine(); err != nil {
		return nil, fmt.Errorf("provider engine: %v", err)
	}
	if p.discovery, err = p.readDiscovery(ctx); err != nil {
		return nil, err
	}
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	p.stop = stop
	p.done.Go(func() { p.keys.makeRSA(background, p.log) })
	return p, nil
}

// Close stops what the provider does in the background.
func (p *Provider) Close() error {
	p.stop()
	p.done.Wait()
	return nil
}

func checkIssuer(issuer string) (*url.URL, error) {
	u, err := url.Parse(issuer)
	switch {
	case err != nil, u.Scheme != "https" && u.Scheme != "http", u.Host == "":
		return nil, fmt.Errorf("issuer %q is not an http or https URL", issuer)
	case strings.ContainsAny(issuer, "?#"), u.User != nil, strings.HasSuffix(issuer, "/"):
		return nil, fmt.Errorf("issuer %q: leave out user name, query, fragment and final slash (OIDC Discovery §3)", issuer)
	}
	return u, nil
}

// Handler serves every endpoint, all under the issuer's path.
func (p *Provider) Handler() http.Handler {
	routes := map[string]http.Handler{
		"/.well-known/openid-configuration":       only("GET", http.HandlerFunc(p.serveDiscovery)),
		"/.well-known/oauth-authorization-server": only("GET", http.HandlerFunc(p.serveDiscovery)),
		pathKeys:      only("GET", p.engine),
		pathAuthorize: only("GET, POST", http.HandlerFunc(p.authorize)),
		pathPAR:       only("POST", p.backChannel(p.mendRequest)),
		pathToken:     only("POST", p.backChannel(nil)),
		pathRevoke:    only("POST", p.backChannel(nil)),
		pathUserinfo:  only("GET, POST", http.HandlerFunc(p.userinfo)),
		pathLogout:    only("GET, POST", http.HandlerFunc(p.logout)),
	}
	login := only("GET, POST", http.HandlerFunc(p.login))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		local, ok := strings.CutPrefix(r.URL.Path, p.path)
		h := routes[local]
		if id, under := strings.CutPrefix(local, pathAuthorize+"/"); under && id != "" && !strings.Contains(id, "/") {
			h = login
		}
		if !ok || h == nil {
			page.Refuse(w, r, http.StatusNotFound, page.Refusal{Key: page.NotFound})
			return
		}
		r2 := r.Clone(r.Context())
		r2.URL.Path, r2.URL.RawPath = local, ""
		h.ServeHTTP(w, r2)
	})
}

// only refuses methods other than those of allow; HEAD goes with GET.
func only(allow string, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		method := r.Method
		if method == http.MethodHead {
			method = http.MethodGet
		}
		if !strings.Contains(", "+allow+",", ", "+method+",") {
			w.Header().Set("Allow", allow)
			page.Refuse(w, r, http.StatusMethodNotAllowed, page.Refusal{Key: page.MethodNotAllowed})
			return
		}
		h.ServeHTTP(w, r)
	})
}

func remoteAddress(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// network is what one caller owns: an IPv4 address, or an IPv6 /64.
func network(host string) string {
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return host
	}
	if addr = addr.Unmap(); addr.Is4() {
		return addr.String()
	}
	prefix, err := addr.WithZone("").Prefix(64)
	if err != nil {
		return host
	}
	return prefix.String()
}
