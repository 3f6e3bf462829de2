package doctor

import (
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// configuration is what to paste, filled in with what was seen: for the door
// that is there, or for one and for the ways without. A report without a failed
// check needs none.
func (c *examination) configuration(r *Report) []Snippet {
	snippets := []Snippet{}
	if r.OK {
		return snippets
	}
	first := r.Findings[0].Cause
	if c.Door != nil {
		return c.doorCorrections(r)
	}
	if !needsNames(first) {
		return snippets
	}
	snippets = append(snippets, c.doorSnippet())
	switch c.Kind {
	case "keycloak":
		snippets = append(snippets, c.keycloakSnippet())
	case "authentik":
	default:
		if first != ReachLoopback && first != ReachUnknownName {
			snippets = append(snippets, c.keycloakSnippet())
		}
	}
	if _, err := netip.ParseAddr(hostname(c.Issuer)); err != nil && hostname(c.Issuer) != "localhost" {
		snippets = append(snippets, c.composeSnippet())
	}
	if len(c.views(c.issuers()[0])) > 0 {
		snippets = append(snippets, c.nextAuthSnippet())
	}
	return snippets
}

// needsNames says whether a cause is about who is reached under which name.
func needsNames(cause Cause) bool {
	family, _, _ := strings.Cut(string(cause), ".")
	return slices.Contains([]string{"reach", "issuer", "split", "proxy"}, family) ||
		slices.Contains([]Cause{ProviderFollowsHost, ProviderHostname, ProviderForwarded, DocHostRouted, TokenIssuer}, cause)
}

// internalOrigin is where the app's network reaches the provider, or would.
func (c *examination) internalOrigin(otherwise string) string {
	for _, at := range c.Discovery {
		if o := originOf(at); o != originOf(c.Issuer) {
			return o
		}
	}
	return otherwise
}

// doorSnippet is a whole configuration of a door for this provider.
func (c *examination) doorSnippet() Snippet {
	public := originOf(c.Issuer)
	path := strings.TrimPrefix(c.Issuer, public)
	if path == "" {
		path = "/"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "public_url: %s\n", public)
	if strings.HasPrefix(public, "http:") && !local(hostname(public)) && !strings.HasSuffix(hostname(public), ".test") {
		b.WriteString("insecure: true\n")
	}
	b.WriteString("internal_urls: [http://onedoor:9000]   # what the app is told in place of the provider\n")
	b.WriteString("listen: :9000\n")
	fmt.Fprintf(&b, "provider: {upstream: %s, issuers: [%s]}\n", c.internalOrigin("http://keycloak:8080"), path)
	b.WriteString(c.appLines())
	return Snippet{Title: "with a door: onedoor.yaml", Language: "yaml", Text: b.String()}
}

// appLines are the apps that were named, as the door would know them.
func (c *examination) appLines() string {
	type app struct{ id, site, path, label string }
	var apps []app
	for _, cl := range c.Clients {
		for _, uri := range cl.RedirectURIs {
			u, err := url.Parse(uri)
			if err != nil || u.Host == "" {
				continue
			}
			label, rest, more := strings.Cut(u.Host, ".")
			if _, err := netip.ParseAddr(u.Hostname()); err == nil || !more || !strings.Contains(u.Hostname(), ".") {
				continue // no tenant in it
			}
			apps = append(apps, app{cl.ID, u.Scheme + "://{tenant}." + rest, u.EscapedPath(), label})
		}
	}
	if len(apps) == 0 {
		return ""
	}
	first := apps[0]
	var labels, paths []string
	for _, a := range apps {
		if a.site == first.site && !slices.Contains(labels, a.label) {
			labels = append(labels, a.label)
		}
		if a.site == first.site && a.id == first.id && !slices.Contains(paths, a.path) {
			paths = append(paths, a.path)
		}
	}
	return fmt.Sprintf("apps:\n  app:\n    client_id: %q\n    site: %s\n    callbacks: [%s]\ntenants: {list: [%s]}\n",
		first.id, first.site, strings.Join(paths, ", "), strings.Join(labels, ", "))
}

// keycloakSnippet makes Keycloak tell servers the address that they used, and
// everybody one issuer.
func (c *examination) keycloakSnippet() Snippet {
	lines := []string{
		"kc.sh start --hostname=" + originOf(c.Issuer),
		"            --hostname-backchannel-dynamic=true",
		"            --proxy-headers=xforwarded --http-enabled=true",
	}
	return Snippet{Title: "without one, Keycloak: one issuer, and endpoints by the caller", Language: "sh", Text: strings.Join(lines, " \\\n") + "\n"}
}

// composeSnippet makes the public name lead to the proxy inside, too.
func (c *examination) composeSnippet() Snippet {
	name := hostname(c.Issuer)
	return Snippet{Title: "without one, compose: the public name in the app's network", Language: "yaml", Text: fmt.Sprintf(`services:
  proxy:                       # what answers for %[1]s, at the same port
    networks:
      default:
        aliases: [%[1]s]
  # or, where the proxy is on the host:
  app:
    extra_hosts: ["%[1]s:host-gateway"]
`, name)}
}

// nextAuthSnippet is the endpoint list that people write when discovery cannot
// be right for both sides.
func (c *examination) nextAuthSnippet() Snippet {
	public := originOf(c.Issuer)
	internal := c.internalOrigin("http://keycloak:8080")
	at := func(name, origin string) string {
		path := "/…/" + name
		for _, v := range c.views(c.issuers()[0]) {
			if e := v.doc.Endpoints[name]; e != "" {
				path = strings.TrimPrefix(e, originOf(e))
				break
			}
		}
		return origin + path
	}
	return Snippet{Title: "without one, next-auth 4: every endpoint by hand", Language: "js", Text: fmt.Sprintf(`wellKnown: null,
issuer: %q,
authorization: %q,
token: %q,
userinfo: %q,
jwks_endpoint: %q,
`, c.Issuer, at("authorization_endpoint", public), at("token_endpoint", internal), at("userinfo_endpoint", internal), at("jwks_uri", internal))}
}

// doorCorrections are the lines of a door's configuration that what was seen
// asks for, and what goes with them at the provider.
func (c *examination) doorCorrections(r *Report) []Snippet {
	snippets := []Snippet{}
	add := func(title, language, text string) {
		if !slices.ContainsFunc(snippets, func(s Snippet) bool { return s.Text == text }) {
			snippets = append(snippets, Snippet{title, language, text})
		}
	}
	for _, f := range r.Findings {
		switch f.Cause {
		case DoorInternalURL:
			origins := slices.Clone(c.Door.Internal)
			if !slices.Contains(origins, f.Subject) {
				origins = append(origins, f.Subject)
			}
			add("in "+c.Door.File, "yaml", "internal_urls: ["+strings.Join(origins, ", ")+"]\n")
		case DoorPast:
			add("what the app is told", "text", c.toldInstead()+"\n")
		case DoorUpstream:
			add("in "+c.Door.File, "yaml", "provider:\n  upstream: http://keycloak:8080   # what this machine reaches\n")
		case DocPrefix, DocNotFound, IssuerSlash, IssuerCase, IssuerPath:
			if other := c.providerPath(); other != "" {
				add("in "+c.Door.File, "yaml", "provider:\n  issuers: ["+other+"]\n")
			}
		case ProviderHostname, ProviderForwarded, ProviderFollowsHost, SplitFrontChannel:
			if c.Kind != "authentik" {
				add("Keycloak behind the door", "sh", "kc.sh start --hostname="+c.Door.Public[0]+" --proxy-headers=xforwarded --http-enabled=true\n")
			}
		case ReachUnknownName, ReachLoopback, ReachHairpin:
			add("compose: the public name inside, for clients that insist on it", "yaml", "services:\n  onedoor:\n    networks:\n      default:\n        aliases: ["+hostname(c.Door.Public[0])+"]\n")
		}
	}
	return snippets
}

// providerPath is the issuer path that the provider has in place of the one
// that is configured.
func (c *examination) providerPath() string {
	for _, p := range c.places() {
		if p.seen.Base.Role != roleUpstream {
			continue
		}
		if d := p.seen.document(); d != nil && d.Issuer != p.seen.Base.Issuer && originOf(d.Issuer) == originOf(p.seen.Base.Issuer) {
			return pathOf(d.Issuer)
		}
		if other := c.other(p); other != "" {
			return pathOf(other)
		}
	}
	return ""
}
