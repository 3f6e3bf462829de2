package upstream

import (
	"maps"
	"net/url"
	"slices"
	"strings"
)

// Kind is which provider it is.
type Kind string

// The kinds that are recognised.
const (
	Keycloak  Kind = "keycloak"
	Authentik Kind = "authentik"
	Generic   Kind = "generic"
)

// recognise tells the kind from the path of an authorization endpoint.
func recognise(authorization string) Kind {
	switch {
	case strings.HasSuffix(authorization, "/protocol/openid-connect/auth"):
		return Keycloak
	case strings.HasSuffix(authorization, "/application/o/authorize/"):
		return Authentik
	}
	return Generic
}

// Private are the provider's paths that are not for browsers and apps, each
// with all that lies below it: administration, metrics, health. They are known
// once the kind is.
func (p *Provider) Private() []string { return p.now.Load().closed }

// PrivateAt are the private paths that matter to a request path: below the
// issuer of a tenant, where its clients could be registered too.
func (p *Provider) PrivateAt(path string) []string {
	all := p.Private()
	if t, label, ok := p.realmOf(path); ok {
		s, err := p.realm(t, label)
		if err != nil { // it went this moment: nothing of it is open
			return append(slices.Clone(all), t.before+label)
		}
		return append(slices.Clone(all), s.closed...)
	}
	return all
}

// private lists them for a kind, at the root and below whatever path the
// provider's own root has (Keycloak's --http-relative-path). One that holds a
// configured issuer is meant to be open.
func private(kind Kind, issuers []string) []string {
	var paths []string
	mark := ""
	switch kind {
	case Keycloak:
		paths, mark = []string{"/admin", "/metrics", "/health", "/realms/master"}, "/realms/"
	case Authentik:
		paths, mark = []string{"/-"}, "/application/o/"
	case "":
		// Not known yet: what any of them keeps to itself stays closed.
		paths, mark = []string{"/admin", "/metrics", "/health", "/realms/master", "/-"}, "/realms/"
	}
	roots := []string{""}
	for _, issuer := range issuers {
		if root, _, ok := strings.Cut(issuer, mark); ok && !slices.Contains(roots, root) {
			roots = append(roots, root)
		}
	}
	var all []string
	for _, root := range roots {
		for _, path := range paths {
			if !slices.ContainsFunc(issuers, func(i string) bool { return under(i, root+path) }) {
				all = append(all, root+path)
			}
		}
	}
	return all
}

// registrations are where clients can be registered, and all below: a client
// that registers itself is unknown to the door (THREATS T-76). Keycloak has
// further formats beside the one that its document names.
func (s *snapshot) registrations() []string {
	var paths []string
	for path, pl := range s.at {
		if pl.endpoint != Registration {
			continue
		}
		holds := func(other string) bool { return other != path && under(other, path) }
		if path == "" || slices.ContainsFunc(slices.Collect(maps.Keys(s.at)), holds) {
			continue // it has its own place in the gateway, and nothing more
		}
		paths = append(paths, path)
	}
	if s.kind == Keycloak {
		for path := range s.issuers {
			paths = append(paths, path+"/clients-registrations")
		}
	}
	slices.Sort(paths)
	return slices.Compact(paths)
}

// pathUnder is the path of a URL that lies under an origin, as it is written.
func pathUnder(origin, text string) (string, bool) {
	rest, ok := strings.CutPrefix(text, origin)
	if !ok || (rest != "" && rest[0] != '/' && rest[0] != '?') {
		return "", false
	}
	path, _, _ := strings.Cut(rest, "?")
	return path, true
}

// authority is an origin as the forwarding headers say it.
type authority struct{ scheme, host, port string }

func newAuthority(origin string) (authority, error) {
	u, err := url.Parse(origin)
	if err != nil {
		return authority{}, err
	}
	a := authority{scheme: u.Scheme, host: u.Host, port: u.Port()}
	if a.port == "" {
		a.port = "80"
		if a.scheme == "https" {
			a.port = "443"
		}
	}
	return a, nil
}
