package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Warnings are what the file permits and a careful operator should be reminded
// of: `check` shows them, and the door writes them into its log when it starts.
func (c *Config) Warnings() []string {
	var out []string
	warn := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	for _, origin := range append([]string{c.PublicURL}, c.PublicAliases...) {
		if exposed(origin) {
			warn("%s is http: everybody on the way reads passwords, codes and tokens", origin)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Apps)) {
		a := c.Apps[name]
		for _, site := range append([]string{a.Site}, a.RedirectURIs...) {
			if exposed(site) {
				warn("apps.%s: %s is http: everybody on the way reads the codes", name, site)
			}
		}
		if a.AcceptUnboundCodes {
			warn("apps.%s: accept_unbound_codes: where the provider has no PKCE, a stolen code can be slipped into another tenant's login", name)
		}
		if !a.BrowserBinding {
			warn("apps.%s: browser_binding is off: a login may end in another browser than it began in; the app's own state check is what is left", name)
		}
	}
	if c.Admin.Open && c.Admin.Insecure && c.Admin.TLS == nil {
		warn("admin.listen: %s is http: everybody on the way reads the tokens", c.Admin.Listen)
	}
	if c.Tracing.Headers != "" && exposed(c.Tracing.Endpoint) {
		warn("tracing.endpoint: %s is http: everybody on the way reads tracing.headers", c.Tracing.Endpoint)
	}
	if slices.Contains(c.Provider.Expose, "/") {
		warn("provider.expose: / opens all that the provider keeps to itself: its administration, and registration of clients that the door does not know")
	}
	if c.Tenants.Admit == "any" && slices.ContainsFunc(c.Provider.Issuers, func(i string) bool { return strings.Contains(i, "{tenant}") }) {
		warn("tenants.admit is any: every issuer that fits provider.issuers is a tenant's, and anybody can make the door ask the provider for documents of names that he makes up")
	}
	if c.Tenants.Admit == "any" && len(c.Apps) > 0 && !isLocal(hostOf(c.PublicURL)) {
		warn("tenants.admit is any: a login can be sent to every name that fits a site, also one that nobody looks after any more")
	}
	return out
}

// exposed tells that a URL is http and leads off this machine. A {tenant} stands
// for a label, so the end of the host decides.
func exposed(text string) bool {
	if !strings.HasPrefix(text, "http://") {
		return false
	}
	origin := strings.ReplaceAll(text, "{tenant}", "t")
	if i := strings.IndexAny(origin[len("http://"):], "/?"); i >= 0 {
		origin = origin[:len("http://")+i]
	}
	return !isLocal(hostOf(origin))
}
