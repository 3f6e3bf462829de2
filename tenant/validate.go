package tenant

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/net/idna"
	"golang.org/x/net/publicsuffix"
)

// Problem is one mistake in a tenant.
type Problem struct {
	Path    string // "label", "sites.shop", "parameters.prompt"; "" for the whole
	Message string // what is wrong
	Hint    string // what to do, and why or by which RFC
}

func (p Problem) Error() string {
	s := p.Message
	if p.Path != "" {
		s = p.Path + ": " + s
	}
	if p.Hint != "" {
		s += " (" + p.Hint + ")"
	}
	return s
}

// maxID bounds a tenant's id, in octets: it travels in every sealed value.
const maxID = 64

// Validate says everything that is wrong with a tenant that is to be admitted
// to this directory. Whether its label, id or sites are another tenant's
// already, the store says. An id of "" is one that is still to be given.
func (d *Directory) Validate(t Tenant) []Problem {
	var all []Problem
	say := func(path, message, hint string) {
		if message != "" {
			all = append(all, Problem{path, message, hint})
		}
	}
	message, hint := d.checkLabel(t.Label)
	say("label", message, hint)
	if len(t.ID) > maxID || strings.ContainsFunc(t.ID, func(r rune) bool { return r <= ' ' || r > '~' }) {
		say("id", fmt.Sprintf("%q is no tenant's id", cut(t.ID)), fmt.Sprintf("ASCII without spaces, at most %d characters", maxID))
	}
	if t.Status != Active && t.Status != Suspended {
		say("status", fmt.Sprintf("%q is no status", cut(string(t.Status))), "active or suspended")
	}
	if t.Issuer != "" && !slices.ContainsFunc(d.Issuers, func(i string) bool {
		return i == t.Issuer || strings.Replace(i, placeholder, t.Label, 1) == t.Issuer
	}) {
		say("issuer", fmt.Sprintf("%q is not one of provider.issuers", cut(t.Issuer)), "one of "+strings.Join(d.Issuers, ", ")+"; or none, for any")
	}
	for _, name := range slices.Sorted(maps.Keys(t.Sites)) {
		message, hint := d.CheckSite(name, t.Sites[name])
		say("sites."+name, message, hint)
	}
	for _, p := range CheckParameters(t.Parameters) {
		say(strings.TrimSuffix("parameters."+p.Path, "."), p.Message, p.Hint)
	}
	for _, name := range slices.Sorted(maps.Keys(t.Parameters)) {
		if strings.Contains(t.Parameters[name], placeholder) {
			say("parameters."+name, "{tenant} is replaced in an app's parameters only", "write the label out")
		}
	}
	return all
}

// checkLabel looks at the label, and at the hosts that the apps make of it.
func (d *Directory) checkLabel(label string) (message, hint string) {
	if !ValidLabel(label) {
		return fmt.Sprintf("%q is not a tenant's label", cut(label)), "lower-case letters, digits and hyphens, 1 to 63, no hyphen at either end (RFC 1123 §2.1)"
	}
	if slices.Contains(d.Reserved, label) {
		return fmt.Sprintf("%q is reserved", label), "choose another, or take it out of tenants.reserved"
	}
	for _, app := range d.Apps {
		if app.Site.IsZero() {
			continue
		}
		host := hostname(app.Site.Expand(label))
		if message, hint := checkHost(host); message != "" {
			return fmt.Sprintf("makes %q the host of its site for %s, which %s", host, app.Name, message), hint
		}
	}
	return "", ""
}

// CheckSite says what is wrong with an origin as a tenant's own site for an app:
// https unless the app may do without, nobody else's, and in the one spelling
// that browsers use. That the domain is the tenant's, it does not say: that is
// proven in the DNS.
func (d *Directory) CheckSite(name, origin string) (message, hint string) {
	i := slices.IndexFunc(d.Apps, func(a *App) bool { return a.Name == name })
	if i < 0 {
		return fmt.Sprintf("there is no app %q", cut(name)), "one of " + strings.Join(d.names(), ", ")
	}
	app := d.Apps[i]
	if len(app.Callbacks) == 0 {
		return "the app has no callbacks, so no login could end there", "add callbacks to the app"
	}
	if message, hint := checkOrigin(origin, app.Environment); message != "" {
		return message, hint
	}
	host := hostname(origin)
	if message, hint := checkHost(host); message != "" {
		return fmt.Sprintf("%q %s", host, message), hint
	}
	if message, hint := checkOwner(host); message != "" {
		return message, hint
	}
	return d.checkTaken(origin, host)
}

func (d *Directory) names() []string {
	all := make([]string, len(d.Apps))
	for i, a := range d.Apps {
		all[i] = a.Name
	}
	return all
}

// checkOrigin wants scheme, host and port as browsers write them (RFC 6454 §6.2).
func checkOrigin(origin string, env Environment) (message, hint string) {
	scheme, authority, ok := strings.Cut(origin, "://")
	if !ok || (scheme != "https" && scheme != "http") {
		return fmt.Sprintf("%q is not an origin", cut(origin)), "scheme and host, as https://portal.acme.example (RFC 6454 §6.2)"
	}
	if strings.ContainsAny(authority, "/?#") {
		return fmt.Sprintf("%q is more than an origin", cut(origin)), "leave out what follows the host: the paths are the app's callbacks (RFC 6454 §6.2)"
	}
	if strings.Contains(origin, "{") {
		return "a site of one tenant has no placeholder", "write the host out"
	}
	if ascii, err := idna.Lookup.ToASCII(authority); err == nil && strings.IndexFunc(origin, func(r rune) bool { return r > '~' }) >= 0 {
		return fmt.Sprintf("%q is not what browsers send", cut(origin)), "write the A-label: " + scheme + "://" + ascii + " (RFC 5891 §4.4)"
	}
	env.Native = false // a site is on the web, whatever its app is
	if _, err := ParseTemplate(origin, env); err != nil {
		return err.Error(), "write it as browsers do, https://portal.acme.example"
	}
	return "", ""
}

// checkHost wants a name that the DNS can hold and that means one thing
// (RFC 1035 §2.3.4, RFC 5891 §4.2.3).
func checkHost(host string) (message, hint string) {
	if len(host) > 253 {
		return "is longer than 253 octets", "choose a shorter one (RFC 1035 §2.3.4)"
	}
	if _, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		return "", ""
	}
	for label := range strings.SplitSeq(host, ".") {
		switch {
		case label == "":
			return "has an empty label", "no dot at the end and no two in a row"
		case !ValidLabel(label):
			return fmt.Sprintf("has the label %q", label), "letters, digits and hyphens, 1 to 63, no hyphen at either end (RFC 1123 §2.1)"
		case len(label) > 3 && label[2:4] == "--":
			// In such a place a hyphen pair announces an encoding, and only
			// "xn--" is one (RFC 5891 §4.2.3.1).
			plain, err := idna.Lookup.ToUnicode(label)
			if back, err2 := idna.Lookup.ToASCII(plain); err != nil || err2 != nil || plain == label || back != label {
				return fmt.Sprintf("has the label %q, which encodes no name", label), "two hyphens in the third and fourth place are for A-labels (RFC 5891 §4.2.3.1)"
			}
		}
	}
	return "", ""
}

// checkOwner wants a host that somebody can own and prove to own.
func checkOwner(host string) (message, hint string) {
	if Local(host) {
		return "", "" // checkOrigin has said where that may be
	}
	if _, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		return fmt.Sprintf("%q is an address, not a domain", host), "whose it is cannot be proven in the DNS: use a name"
	}
	suffix, _ := publicsuffix.PublicSuffix(host)
	switch {
	case !strings.Contains(host, "."):
		return fmt.Sprintf("%q is a name for somebody's own network", host), "use a full domain name"
	case suffix == host:
		return fmt.Sprintf("anybody can register a name below %q", host), "a site is at a domain of its owner's, not at a public suffix"
	}
	return "", ""
}

// checkTaken refuses what is the door's, or another tenant's by its label. Cookies
// know neither scheme nor port (RFC 6265 §8.5), so hosts are compared.
func (d *Directory) checkTaken(origin, host string) (message, hint string) {
	for _, door := range d.Door {
		if own := hostname(door); own == host && !Local(host) {
			return fmt.Sprintf("%q is the door's own host", host), "a site beside it would share its cookies: use another name"
		}
	}
	for _, app := range d.Apps {
		for _, uri := range app.RedirectURIs {
			if !Local(host) && hostname(uri) == host {
				return fmt.Sprintf("%q is the host of a redirect URI of %s", host, app.Name), "that one belongs to no tenant: use another name"
			}
		}
		if !app.Site.HasTenant() {
			continue
		}
		template := Template{before: hostname(app.Site.before), after: hostname("//t" + app.Site.after)[1:], hasTenant: true}
		if label, ok := template.label(host); ok {
			return fmt.Sprintf("%q is the site of tenant %q for %s", origin, label, app.Name), "whoever has that label would lose its logins to this one: a tenant has the site of its label without saying so"
		}
		// A parent of the sites could set cookies for all of them (RFC 6265 §5.3).
		if strings.HasSuffix(template.after, "."+host) && !Local(host) {
			return fmt.Sprintf("%q is above every tenant's site for %s", host, app.Name), "it could set cookies for all of them: use a name beside them"
		}
	}
	return "", ""
}

// hostname is the host of a URL, or of the part of one in front of {tenant}.
func hostname(origin string) string {
	_, host, _ := strings.Cut(origin, "//")
	if strings.HasPrefix(host, "[") {
		host, _, _ = strings.Cut(host, "]")
		return host + "]"
	}
	if i := strings.IndexAny(host, ":/?"); i >= 0 {
		host = host[:i]
	}
	return host
}

func cut(s string) string {
	if len(s) > 100 {
		return s[:100] + "…"
	}
	return s
}
