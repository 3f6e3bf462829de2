package doctor

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// Look looks at everything in the plan from where this program runs. It asks
// only what the plan allows, and sends nothing that is a secret.
func Look(ctx context.Context, p Plan, now func() time.Time) Sight {
	if now == nil {
		now = time.Now
	}
	g := newGate(newAllowed(p.Allowed), p.AsBrowser, []byte(p.CA), now)
	s := Sight{Version: planVersion, Plan: p.Digest(), Vantage: p.Vantage, Container: inContainer(), Bases: make([]Seen, len(p.Bases))}
	if pool, err := x509.SystemCertPool(); err != nil || pool.Equal(x509.NewCertPool()) {
		s.NoRoots = p.CA == ""
	}
	var wait sync.WaitGroup
	slots := make(chan struct{}, 8)
	for i, b := range p.Bases {
		wait.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			s.Bases[i] = g.base(ctx, b)
		})
	}
	wait.Wait()
	s.Now = now().Unix()
	return s
}

// base looks at one.
func (g *gate) base(ctx context.Context, b Base) Seen {
	s := Seen{Base: b}
	own, other := "", b.As
	if b.Role == roleUpstream {
		own, other = b.As, ""
	}
	at := documentURL(b.URL)
	var wait sync.WaitGroup
	wait.Go(func() {
		s.Discovery = g.visit(ctx, request{url: at, as: own, what: "discovery"})
		if time.Duration(s.Discovery.Millis)*time.Millisecond > slow && s.Discovery.Failure == "" {
			// A provider that has just begun is slow once.
			if again := g.visit(ctx, request{url: at, as: own, what: "discovery"}); again.Failure == "" {
				s.Discovery = again
			}
		}
	})
	if own != other && b.As != "" {
		wait.Go(func() {
			v := g.visit(ctx, request{url: at, as: other, what: "discovery"})
			s.Face = &v
		})
	}
	if b.Health != "" {
		wait.Go(func() {
			v := g.visit(ctx, request{url: b.Health, what: "health"})
			s.Health = &v
		})
	}
	wait.Wait()
	if d := s.document(); d != nil {
		if b.Endpoints {
			s.Endpoints = g.endpoints(ctx, d, own)
		} else if b.Role == roleUpstream {
			s.Endpoints = g.upstreamKeys(ctx, d, b)
		}
		return s
	}
	if a := s.Discovery.Answer; a != nil && (a.Status == 404 || a.Status == 400 || a.Status == 405 || a.NotJSON) {
		s.Variants = g.variants(ctx, b.URL, own)
	}
	return s
}

// posted are the endpoints that take a form. They get an empty one: some
// providers answer a GET as if there were nothing.
var posted = []string{
	"token_endpoint", "introspection_endpoint", "revocation_endpoint",
	"pushed_authorization_request_endpoint", "device_authorization_endpoint",
}

// endpoints visits what servers call, without credentials. Most answer 400 or
// 401: that there is an answer is what is asked.
func (g *gate) endpoints(ctx context.Context, d *Document, as string) []Visit {
	visits := make([]Visit, len(backChannel))
	var wait sync.WaitGroup
	for i, name := range backChannel {
		if at := d.Endpoints[name]; at != "" {
			q := request{url: at, as: as, what: name}
			if slices.Contains(posted, name) {
				q.method, q.form = "POST", url.Values{}
			}
			wait.Go(func() { visits[i] = g.visit(ctx, q) })
		}
	}
	wait.Wait()
	kept := visits[:0]
	for _, v := range visits {
		if v.URL != "" {
			kept = append(kept, v)
		}
	}
	return kept
}

// upstreamKeys visits the keys where the door would: at the upstream, under the
// path that the document names.
func (g *gate) upstreamKeys(ctx context.Context, d *Document, b Base) []Visit {
	path, ok := strings.CutPrefix(d.Endpoints["jwks_uri"], b.As)
	if !ok {
		return nil
	}
	return []Visit{g.visit(ctx, request{url: originOf(b.URL) + path, as: b.As, what: "jwks_uri"})}
}

// variants tries other spellings of a base, one after another until one has a
// document.
func (g *gate) variants(ctx context.Context, base, as string) []Visit {
	var visits []Visit
	for _, other := range spellings(base) {
		if ctx.Err() != nil {
			break
		}
		v := g.visit(ctx, request{url: documentURL(other), as: as, what: "discovery"})
		if v.Failure != "" {
			break
		}
		visits = append(visits, v)
		if v.Answer.Status == 200 && v.Answer.Document != nil {
			break
		}
	}
	return visits
}

// spellings are what people meant when there is nothing at a base.
func spellings(base string) []string {
	base, _, full := strings.Cut(base, "/.well-known/")
	u, err := url.Parse(base)
	if err != nil {
		return nil
	}
	origin, path := u.Scheme+"://"+u.Host, strings.TrimSuffix(u.Path, "/")
	var out []string
	add := func(path string) {
		if path != strings.TrimSuffix(u.Path, "/") || full && path == "" {
			out = append(out, origin+path)
		}
	}
	switch {
	case strings.HasPrefix(path, "/auth/realms/"):
		add(strings.TrimPrefix(path, "/auth"))
	case strings.HasPrefix(path, "/realms/"):
		add("/auth" + path)
	case path != "":
		add("/realms" + path) // the realm's name alone
		add("/application/o" + path)
	}
	if strings.Contains(path, "//") {
		add(strings.ReplaceAll(path, "//", "/"))
	}
	if lower := strings.ToLower(path); lower != path {
		add(lower)
	}
	for _, tail := range []string{"/v2.0", "/protocol/openid-connect", "/oidc", "/oauth2"} {
		if rest, ok := strings.CutSuffix(path, tail); ok {
			add(rest)
		}
	}
	add("")
	return out
}

// Key is a public key, by its name and kind alone.
type Key struct {
	ID         string `json:"kid,omitempty"`
	Algorithm  string `json:"alg,omitempty"`
	Use        string `json:"use,omitempty"`
	Thumbprint string `json:"thumbprint"` // the beginning of RFC 7638's
}

// readKeys reads a key set; nil for what is none. Keys of kinds that are not
// known here are left out, as clients leave them out (RFC 7517 §5).
func readKeys(body []byte) []Key {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if json.Unmarshal(body, &set) != nil || set.Keys == nil {
		return nil
	}
	keys := []Key{}
	for _, raw := range set.Keys[:min(len(set.Keys), 50)] {
		var k jose.JSONWebKey
		if json.Unmarshal(raw, &k) != nil {
			continue
		}
		keys = append(keys, Key{ID: bounded(k.KeyID, 100), Algorithm: bounded(k.Algorithm, 20), Use: bounded(k.Use, 10), Thumbprint: thumbprint(k)})
	}
	return keys
}

// inContainer recognises the usual runtimes.
func inContainer() bool {
	for _, mark := range []string{"/.dockerenv", "/run/.containerenv", "/var/run/secrets/kubernetes.io"} {
		if _, err := os.Stat(mark); err == nil {
			return true
		}
	}
	return false
}
