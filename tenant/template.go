package tenant

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/nlnwa/whatwg-url/url"
	"golang.org/x/net/publicsuffix"
)

// placeholder stands for one host label or a part of one.
const placeholder = "{tenant}"

// maxURI bounds a redirect URI, in octets.
const maxURI = 2048

// Template is a URL in whose host {tenant} may stand once.
type Template struct {
	before, after string
	hasTenant     bool
}

// String is the template as it was written.
func (t Template) String() string {
	if t.hasTenant {
		return t.before + placeholder + t.after
	}
	return t.before
}

// HasTenant says whether there is a {tenant} in it.
func (t Template) HasTenant() bool { return t.hasTenant }

// IsZero says whether there is no template.
func (t Template) IsZero() bool { return t.before == "" }

// Expand is the member of the set that belongs to the label.
func (t Template) Expand(label string) string { return t.on(label, "") }

// on is a path on that member.
func (t Template) on(label, path string) string {
	if !t.hasTenant {
		return t.before + path
	}
	return t.before + label + t.after + path
}

// label finds the label whose member s would be. The caller expands again and
// compares: that comparison decides, not this search.
func (t Template) label(s string) (string, bool) {
	if !t.hasTenant || len(s) <= len(t.before)+len(t.after) ||
		!strings.HasPrefix(s, t.before) || !strings.HasSuffix(s, t.after) {
		return "", false
	}
	l := s[len(t.before) : len(s)-len(t.after)]
	return l, ValidLabel(l)
}

// Environment is what a template is judged by.
type Environment struct {
	Production bool     // the public origin is https
	Insecure   bool     // http is allowed everywhere; the operator said so in writing
	Native     bool     // an app of type native: loopback and private-use schemes
	Door       []string // the door's own origins, never a target
}

// responseParams are what a redirect URI's own query may not hold: the client
// would read the pre-loaded value (THREATS T-06; CVE-2026-9689, CVE-2026-18209).
var responseParams = []string{"code", "state", "iss", "error", "response", "id_token", "access_token", "session_state"}

// ParseTemplate parses a redirect URI, or a site's origin, with at most one
// {tenant}, and refuses one that would generate addresses of strangers or that
// two parsers would read differently.
func ParseTemplate(text string, env Environment) (Template, error) {
	if i := strings.IndexFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }); i >= 0 || text == "" {
		return Template{}, errors.New("an absolute URL is ASCII without spaces")
	}
	switch {
	case len(text) > maxURI:
		return Template{}, fmt.Errorf("longer than %d characters", maxURI)
	case strings.Contains(text, "*"):
		return Template{}, errors.New("a * is no pattern here: write {tenant} where the tenant's label stands, and each path out")
	case strings.Contains(text, "#"):
		return Template{}, errors.New("a fragment cannot be part of a redirect URI (RFC 6749 §3.1.2)")
	case strings.Contains(text, `\`):
		return Template{}, errors.New(`browsers read \ as /, others do not`)
	case strings.Count(text, placeholder) > 1:
		return Template{}, errors.New("{tenant} may stand once")
	}
	before, after, hasTenant := strings.Cut(text, placeholder)
	t := Template{before: before, after: after, hasTenant: hasTenant}
	if strings.ContainsAny(before+after, "{}") {
		return Template{}, errors.New("the only placeholder is {tenant}")
	}
	// A label that nobody needs to understand stands in for the tenant's.
	sample := t.Expand("t")
	if env.Native && !strings.HasPrefix(sample, "https:") && !strings.HasPrefix(sample, "http:") {
		return t, privateUse(sample, hasTenant)
	}
	if err := checkURL(t, sample, env); err != nil {
		return Template{}, err
	}
	return t, nil
}

// privateUse accepts com.example.app:/cb, a scheme in reverse domain name form
// (RFC 8252 §7.1).
func privateUse(uri string, hasTenant bool) error {
	scheme, path, ok := strings.Cut(uri, ":")
	switch {
	case !ok || hasTenant:
		return errors.New("not an absolute URL")
	case !strings.Contains(scheme, ".") || strings.Trim(scheme, "abcdefghijklmnopqrstuvwxyz0123456789.-") != "":
		return errors.New("a private-use scheme is a reversed domain name, such as com.example.app (RFC 8252 §7.1)")
	case !strings.HasPrefix(path, "/") || strings.HasPrefix(path, "//"):
		return errors.New("after a private-use scheme comes one slash: com.example.app:/cb (RFC 8252 §7.1)")
	}
	return nil
}

func checkURL(t Template, sample string, env Environment) error {
	u, err := url.Parse(sample)
	if err != nil {
		return errors.New("not an absolute URL: it starts with https:// and a host")
	}
	scheme, rest, ok := strings.Cut(sample, "://")
	if !ok || (scheme != "https" && scheme != "http") {
		return errors.New("not an absolute URL: it starts with https:// and a host")
	}
	authority := rest
	if i := strings.IndexAny(rest, "/?"); i >= 0 {
		authority = rest[:i]
	}
	if strings.Contains(authority, "@") {
		return errors.New("no user name or password belongs in it")
	}
	if t.hasTenant {
		if len(t.before) > len(scheme)+3+len(authority) || strings.ContainsAny(t.before[len(scheme)+3:], ":/?") {
			return errors.New("{tenant} may stand in the host only")
		}
	}
	if serialised(u, sample) != sample {
		read := serialised(u, sample)
		if t.hasTenant {
			read = strings.Replace(read, "//t", "//"+placeholder, 1)
		}
		return fmt.Errorf("browsers read it as %q: write it that way", read)
	}
	host := u.Hostname()
	if port := u.Port(); port != "" {
		if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
			return errors.New("the port is not one")
		}
	}
	for _, d := range env.Door {
		if u.Scheme()+"://"+u.Host() == d {
			return errors.New("that is the door itself: a login sent there would go round in circles")
		}
	}
	if err := checkScheme(scheme, host, env); err != nil {
		return err
	}
	if t.hasTenant {
		if err := checkReach(t); err != nil {
			return err
		}
	}
	return checkQuery(u)
}

// serialised is the URL Standard's serialisation, less the slash that it gives
// to a bare origin.
func serialised(u *url.Url, sample string) string {
	s := u.Href(false)
	if strings.Count(sample, "/") == 2 && !strings.Contains(sample, "?") {
		s = strings.TrimSuffix(s, "/")
	}
	return s
}

func checkScheme(scheme, host string, env Environment) error {
	switch {
	case scheme == "https" || env.Insecure:
		return nil
	case env.Native && Loopback(host):
		return nil // RFC 8252 §7.3
	case env.Production:
		return errors.New("use https: over http anybody on the way reads the login (RFC 9700 §2.6)")
	case !Local(host):
		return errors.New("http is for localhost, *.localhost, *.test and loopback addresses: use https, or say insecure: true")
	}
	return nil
}

// checkReach refuses a template whose set reaches beyond one owner: all names
// below the placeholder must lie in one registrable domain.
func checkReach(t Template) error {
	before := t.before[strings.Index(t.before, "://")+3:]
	rest := t.after
	if i := strings.IndexAny(rest, ":/?"); i >= 0 {
		rest = rest[:i]
	}
	part, domain, ok := strings.Cut(rest, ".")
	if !ok || domain == "" {
		return errors.New("{tenant} must be followed by a dot and a domain of yours: without the dot, strangers can register such names")
	}
	if (part != "" && part[0] != '-') || strings.Contains(part, "_") {
		return errors.New("what follows {tenant} in its label must be set off with a hyphen: {tenant}-app")
	}
	if i := strings.LastIndexByte(before, '.'); i >= 0 {
		before = before[i+1:]
	}
	if before != "" && before[len(before)-1] != '-' {
		return errors.New("what precedes {tenant} in its label must be set off with a hyphen: app-{tenant}")
	}
	if domain == "localhost" || domain == "test" || strings.HasSuffix(domain, ".localhost") || strings.HasSuffix(domain, ".test") {
		return nil // RFC 6761: nobody can register these
	}
	if suffix, _ := publicsuffix.PublicSuffix(domain); suffix == domain {
		return fmt.Errorf("anybody can register a name below %q: {tenant} must stand below a domain of yours", domain)
	}
	return nil
}

func checkQuery(u *url.Url) error {
	for _, name := range responseParams {
		if u.SearchParams().Has(name) {
			return fmt.Errorf("its query may not hold %q, a parameter of the response", name)
		}
	}
	return nil
}

// Local says whether a host name or address can only be this machine or a test
// network (RFC 6761): there http does no harm.
func Local(host string) bool {
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || strings.HasSuffix(host, ".test") || Loopback(host)
}

// Loopback says whether a host is an address of this machine, or localhost.
func Loopback(host string) bool {
	a, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return host == "localhost" || (err == nil && a.IsLoopback() && !a.Is4In6())
}
