package config

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"onedoor/tenant"
)

// ownPaths are the door's; an issuer can not live below them.
var ownPaths = []string{"/onedoor", "/tenants", "/apps"}

func (d *decoder) provider(c *Config) {
	p := &c.Provider
	if !d.given("provider") || d.said["provider"] {
		return
	}
	embedded := d.given("provider.embedded")
	switch {
	case embedded && d.given("provider.upstream"):
		d.wrong("provider.embedded", "upstream is given as well", "keep one: upstream for a provider of yours, embedded for the one inside")
	case !embedded && !d.given("provider.upstream"):
		d.wrong("provider", "needs upstream or embedded", "upstream: http://keycloak:8080 for a provider of yours, embedded: {} for the one inside")
	case embedded:
		for _, key := range []string{"kind", "ca_file", "expose"} {
			if d.given("provider." + key) {
				d.wrong("provider."+key, "is for an upstream; the provider is embedded", "remove it")
			}
		}
	default:
		d.upstream(c)
	}
	if len(p.Issuers) == 0 && !d.said["provider.issuers"] {
		if !embedded {
			d.wrong("provider.issuers", "is missing", "paths under public_url: [/realms/NAME] for Keycloak, [/application/o/SLUG/] for authentik, [/] for the origin itself")
		}
		p.Issuers = []string{"/"}
	}
	for i, issuer := range p.Issuers {
		d.issuer(index("provider.issuers", i), issuer, p.Issuers[:i])
	}
	for i, path := range p.Expose {
		if message, hint := checkPath(path); message != "" {
			d.wrong(index("provider.expose", i), message, hint)
		}
	}
}

func (d *decoder) upstream(c *Config) {
	p := &c.Provider
	message, hint := checkOrigin(p.Upstream)
	if strings.Contains(message, "path") {
		hint += ": the path belongs to the issuer, /auth/realms/NAME"
	}
	if message != "" {
		d.wrong("provider.upstream", message, hint)
	} else if slices.Contains(c.Doors(), p.Upstream) {
		d.wrong("provider.upstream", p.Upstream+" is the door itself: requests would go round in circles", "name the address at which the door reaches the provider")
	}
	if p.CAFile == "" {
		return
	}
	p.CAFile = d.resolve(p.CAFile)
	if strings.HasPrefix(p.Upstream, "http://") {
		d.wrong("provider.ca_file", "the upstream is http, which has no certificate", "remove it, or use https")
		return
	}
	d.certificates("provider.ca_file", p.CAFile)
}

func (d *decoder) issuer(path, issuer string, before []string) {
	if d.said[path] {
		return
	}
	if message, hint := checkPath(issuer); message != "" {
		d.wrong(path, message, hint)
		return
	}
	rest := strings.Replace(issuer+"/", "/{tenant}/", "/", 1)
	switch {
	case strings.Contains(issuer, "?"):
		d.wrong(path, fmt.Sprintf("%q has a query; an issuer has none", issuer), "remove it (OIDC Discovery §3)")
	case strings.ContainsAny(rest, "{}*"):
		d.wrong(path, fmt.Sprintf("%q holds a placeholder that is not known", issuer), "{tenant} may stand once, as a whole segment: /realms/{tenant}")
	case strings.Contains(issuer, "/.well-known"):
		d.wrong(path, fmt.Sprintf("%q is the address of metadata, not the issuer", issuer), "leave out /.well-known and what follows")
	case slices.Contains(before, issuer):
		d.wrong(path, fmt.Sprintf("%q is given twice", issuer), "keep one of the two")
	default:
		for _, own := range ownPaths {
			if issuer == own || strings.HasPrefix(issuer, own+"/") {
				d.wrong(path, fmt.Sprintf("%s is a path of the door itself", own), "an issuer lives elsewhere")
			}
		}
	}
}

func (d *decoder) apps(c *Config) {
	first := map[[2]string]string{}
	for _, name := range slices.Sorted(maps.Keys(c.Apps)) {
		path := join("apps", name)
		if c.Apps[name] == nil {
			c.Apps[name] = &App{} // an alias, which is refused already
			continue
		}
		a := c.Apps[name]
		a.Name = name
		if !tenant.ValidLabel(name) {
			d.wrong(path, fmt.Sprintf("%q can not be an app's name, which stands in paths", name), "lower-case letters, digits and hyphens, 1 to 63")
		}
		d.app(path, c, a)
		if a.ClientID == "" {
			continue
		}
		// The issuer's endpoints know an app by its client_id alone.
		key := [2]string{a.Issuer, a.ClientID}
		if before, again := first[key]; again {
			d.wrong(path+".client_id", fmt.Sprintf("%q is the client_id of apps.%s already", a.ClientID, before), "requests would not tell which app they are from: use one client for each app")
		}
		first[key] = name
	}
}

func (d *decoder) app(path string, c *Config, a *App) {
	if strings.ContainsFunc(a.ClientID, func(r rune) bool { return r < 0x20 || r > 0x7e }) {
		d.wrong(path+".client_id", "holds a character that a client_id can not", "printable ASCII (RFC 6749 appendix A.1)")
	} else if a.ClientID == "" && d.given(path+".client_id") {
		d.wrong(path+".client_id", "is empty", "")
	}
	d.appIssuer(path, c, a)
	d.registered(path, c, a)
	d.site(path, c, a)
	d.redirectURIs(path, c, a)
	for _, p := range tenant.CheckParameters(a.Authorize) {
		at := path + ".authorize"
		if p.Path != "" {
			at = join(at, p.Path)
		}
		d.wrong(at, p.Message, p.Hint)
	}
	for name, value := range a.Authorize {
		if strings.ContainsAny(strings.ReplaceAll(value, "{tenant}", ""), "{}") {
			d.wrong(join(path+".authorize", name), fmt.Sprintf("%q holds a placeholder that is not known", value), "{tenant} is the only one")
		}
	}
}

func (d *decoder) appIssuer(path string, c *Config, a *App) {
	switch issuers := c.Provider.Issuers; {
	case a.Issuer != "" && !slices.Contains(issuers, a.Issuer):
		d.wrong(path+".issuer", fmt.Sprintf("%q is not one of provider.issuers", a.Issuer), "one of "+strings.Join(issuers, ", "))
	case a.Issuer == "" && len(issuers) > 1:
		d.wrong(path+".issuer", "is missing, and there are several issuers", "one of "+strings.Join(issuers, ", "))
	case a.Issuer == "" && len(issuers) == 1:
		a.Issuer = issuers[0]
	}
}

// registered checks or makes the one redirect URI that the provider knows. The
// door listens for responses below one path alone.
func (d *decoder) registered(path string, c *Config, a *App) {
	at := path + ".registered_redirect_uri"
	if !d.given(at) {
		a.RegisteredRedirectURI = c.callback() + c.issuerSuffix(a)
		return
	}
	short, long := c.callback(), c.callback()
	if a.Issuer != "/" {
		long += a.Issuer
	}
	if a.RegisteredRedirectURI == long || a.RegisteredRedirectURI == short && len(c.Provider.Issuers) < 2 {
		return
	}
	hint := "leave it out for " + short + c.issuerSuffix(a)
	if len(c.Provider.Issuers) < 2 && long != short {
		hint += ", or write " + long + " where further issuers will follow"
	}
	d.wrong(at, fmt.Sprintf("the door would not see a response at %q", a.RegisteredRedirectURI), hint)
}

func (d *decoder) site(path string, c *Config, a *App) {
	site, callbacks := d.given(path+".site"), d.given(path+".callbacks")
	switch {
	case !site && !callbacks && len(a.RedirectURIs) == 0 && !d.given(path+".redirect_uris"):
		d.wrong(path+".site", "is missing", "the origin of a tenant's site, as https://{tenant}.example.com, with callbacks; or redirect_uris for an app without tenants")
		return
	case !site && a.Mode == "relay":
		d.wrong(path+".site", "is missing, and the relay leads to a tenant's site", "the origin of a tenant's site, as https://{tenant}.example.com")
	case !site && callbacks:
		d.wrong(path+".callbacks", "there is no site that these are paths of", "add site, as https://{tenant}.example.com")
	case site && len(a.Callbacks) == 0:
		d.wrong(path+".callbacks", "is missing: no path of the site may receive a login", "for example callbacks: [/api/auth/callback]")
	}
	if site && !d.said[path+".site"] {
		switch {
		case strings.Count(a.Site, "/") > 2 || strings.ContainsAny(a.Site, "?#"):
			d.wrong(path+".site", fmt.Sprintf("%q is more than an origin", a.Site), "leave out what follows the host: paths belong in callbacks and logouts")
		case !strings.Contains(a.Site, "{tenant}"):
			d.wrong(path+".site", fmt.Sprintf("%q has no {tenant}: every tenant would have the same site", a.Site), "write {tenant} where the tenant's label stands, or use redirect_uris for an app without tenants")
		default:
			if message, hint := checkTemplate(a.Site, c, a); message != "" {
				d.wrong(path+".site", message, hint)
			}
		}
	}
	d.paths(path+".callbacks", a.Callbacks, c, a)
	d.paths(path+".logouts", a.Logouts, c, a)
}

// responseParameters would stand beside those of the authorization response; a
// client that reads the first of two is fed by whoever wrote the redirect URI
// (CVE-2026-9689).
var responseParameters = []string{"code", "state", "iss", "error", "response", "id_token", "access_token", "session_state"}

// paths checks paths on a tenant's site; "" is the bare origin.
func (d *decoder) paths(path string, paths []string, c *Config, a *App) {
	for i, p := range paths {
		at := index(path, i)
		if d.said[at] {
			continue
		}
		if slices.Contains(paths[:i], p) {
			d.wrong(at, fmt.Sprintf("%q is given twice", p), "keep one of the two")
			continue
		}
		if p == "" {
			continue
		}
		if message, hint := checkPath(p); message != "" {
			d.wrong(at, message, hint)
			continue
		}
		if strings.ContainsAny(p, "*{}") {
			d.wrong(at, fmt.Sprintf("%q holds a placeholder: paths are compared as they are", p), "name every path")
			continue
		}
		_, query, _ := strings.Cut(p, "?")
		if name := responseParameter(query); name != "" {
			d.wrong(at, fmt.Sprintf("its query holds %s, a parameter of the response itself", name), "remove it: the app might believe it instead of the provider's")
			continue
		}
		if a.Site != "" && !d.said[parent(path)+".site"] {
			if message, hint := checkTemplate(a.Site+p, c, a); message != "" {
				d.wrong(at, message, hint)
			}
		}
	}
}

// responseParameter finds the first of responseParameters in a query.
func responseParameter(query string) string {
	for pair := range strings.FieldsFuncSeq(query, func(r rune) bool { return r == '&' || r == ';' }) {
		name, _, _ := strings.Cut(pair, "=")
		if decoded, err := url.QueryUnescape(name); err == nil {
			name = decoded
		}
		if slices.Contains(responseParameters, name) {
			return name
		}
	}
	return ""
}

func (d *decoder) redirectURIs(path string, c *Config, a *App) {
	for i, uri := range a.RedirectURIs {
		at := index(path+".redirect_uris", i)
		if d.said[at] {
			continue
		}
		if slices.Contains(a.RedirectURIs[:i], uri) {
			d.wrong(at, fmt.Sprintf("%q is given twice", uri), "keep one of the two")
		} else if strings.Contains(uri, "{tenant}") {
			d.wrong(at, fmt.Sprintf("%q has a {tenant}; these are exact", uri), "put the origin into site and the path into callbacks")
		} else if message, hint := checkTemplate(uri, c, a); message != "" {
			d.wrong(at, message, hint)
		}
	}
}

func (d *decoder) tenants(c *Config) {
	t := &c.Tenants
	for i, label := range t.Reserved {
		d.label(index("tenants.reserved", i), label)
	}
	own := c.ownLabels()
	for _, label := range own {
		if !slices.Contains(t.Reserved, label) {
			t.Reserved = append(t.Reserved, label)
		}
	}
	seen := make(map[string]bool, len(t.List))
	for i, label := range t.List {
		at := index("tenants.list", i)
		d.label(at, label)
		switch {
		case seen[label]:
			d.wrong(at, fmt.Sprintf("%q is given twice", label), "keep one of the two")
		case slices.Contains(own, label):
			d.wrong(at, fmt.Sprintf("%q would have the door's own origin as its site", label), "choose another label for the tenant")
		case slices.Contains(t.Reserved, label):
			d.wrong(at, fmt.Sprintf("%q is reserved", label), "remove it here or from reserved")
		}
		seen[label] = true
	}
}

func (d *decoder) label(path, label string) {
	if !tenant.ValidLabel(label) {
		d.wrong(path, fmt.Sprintf("%q is not a tenant's label", label), "lower-case letters, digits and hyphens, 1 to 63, no hyphen at either end (RFC 1123 §2.1)")
	}
}

// ownLabels are the labels at which an app's site is one of the door's origins.
func (c *Config) ownLabels() []string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(c.Apps)) {
		before, after, ok := strings.Cut(c.Apps[name].Site, "{tenant}")
		if !ok {
			continue
		}
		for _, door := range c.Doors() {
			label, ok := strings.CutPrefix(door, before)
			if !ok {
				continue
			}
			if label, ok = strings.CutSuffix(label, after); ok && tenant.ValidLabel(label) && !slices.Contains(out, label) {
				out = append(out, label)
			}
		}
	}
	return out
}
