package doctor

import (
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// Redaction is how much of a report is shown. Codes, tokens, cookies' values and queries are
// in none: they are not kept in the first place.
type Redaction string

// The redactions.
const (
	// RedactAddresses masks IP addresses that nobody named. It is the default.
	RedactAddresses Redaction = "addresses"
	// RedactNames masks hosts, clients and tenants too: for a public report.
	RedactNames Redaction = "names"
	// RedactNothing shows all that was kept.
	RedactNothing Redaction = "nothing"
)

// Redact masks a report in place.
func (r *Report) Redact(how Redaction, s *Subject) {
	if how == RedactNothing {
		return
	}
	mask := maskAddresses(s)
	if how == RedactNames {
		names := pseudonyms(r, s)
		addresses := mask
		mask = func(text string) string {
			return addresses(names.Replace(authority.ReplaceAllString(text, `issued by "…"`)))
		}
	}
	each := func(texts ...*string) {
		for _, t := range texts {
			*t = mask(*t)
		}
	}
	checks := func(c *Check) { each(&c.ID, &c.Title, &c.Said, &c.Because) }
	each(&r.Subject)
	for i := range r.Vantages {
		each(&r.Vantages[i].Blind)
	}
	for i := range r.Findings {
		f := &r.Findings[i]
		each(&f.Subject)
		checks(&f.Check)
		for j := range f.Fix {
			each(&f.Fix[j])
		}
		for j := range f.Same {
			checks(&f.Same[j])
		}
	}
	for i := range r.Checks {
		checks(&r.Checks[i])
	}
	for i := range r.Table {
		for j := range r.Table[i] {
			each(&r.Table[i][j])
		}
	}
	for i := range r.Configuration {
		each(&r.Configuration[i].Text)
	}
}

var (
	ipv4 = regexp.MustCompile(`\b\d{1,3}(?:\.\d{1,3}){3}\b`)
	ipv6 = regexp.MustCompile(`\[?[0-9a-fA-F]{0,4}(?::[0-9a-fA-F]{0,4}){2,7}\]?`)
)

// maskAddresses keeps what tells a cause, whether an address is loopback,
// private or public, and the addresses that the operator typed.
func maskAddresses(s *Subject) func(string) string {
	var known []string
	for _, o := range s.allowedOrigins(Here) {
		known = append(known, hostname(o))
	}
	four := func(text string) string {
		a, err := netip.ParseAddr(text)
		if err != nil || a.IsLoopback() || a.IsUnspecified() || slices.Contains(known, text) {
			return text
		}
		first, _, _ := strings.Cut(text, ".")
		return first + ".x.x.x"
	}
	six := func(text string) string {
		plain := strings.Trim(text, "[]")
		a, err := netip.ParseAddr(plain)
		if err != nil || a.IsLoopback() || a.IsUnspecified() || slices.Contains(known, plain) {
			return text
		}
		first, _, _ := strings.Cut(plain, ":")
		return strings.Replace(text, plain, first+"::x", 1)
	}
	return func(text string) string {
		return ipv6.ReplaceAllStringFunc(ipv4.ReplaceAllStringFunc(text, four), six)
	}
}

var (
	urlHost = regexp.MustCompile(`https?://([^\s/:?#"',;)\]]+)`)
	// bareHost is a name without a scheme, as certificates and name services have
	// them.
	bareHost = regexp.MustCompile(`(?i)(?:\*\.)?((?:[a-z0-9_-]+\.)+[a-z][a-z0-9-]+)`)
	// authority is who issued a certificate: a company's own has its name.
	authority = regexp.MustCompile(`issued by "[^"]*"`)
)

// pseudonyms gives every host, client and tenant that is in the report another
// name, the same one each time. What a name is like stays: below localhost, a
// single label, or a public one.
func pseudonyms(r *Report, s *Subject) *strings.Replacer {
	names := map[string]string{}
	count := 0
	host := func(name string) {
		name = strings.Trim(name, "[]")
		if _, err := netip.ParseAddr(name); err == nil || name == "" || name == "localhost" || names[name] != "" || strings.HasPrefix(name, control) {
			return
		}
		count++
		switch {
		case strings.HasSuffix(name, ".localhost"):
			names[name] = fmt.Sprintf("host-%d.localhost", count)
		case !strings.Contains(name, "."):
			names[name] = fmt.Sprintf("internal-%d", count)
		default:
			names[name] = fmt.Sprintf("host-%d.example", count)
		}
	}
	for _, o := range s.allowedOrigins(Here) {
		host(hostname(o))
	}
	for _, c := range r.Checks {
		for _, m := range urlHost.FindAllStringSubmatch(c.Title+" "+c.Said, -1) {
			host(m[1])
		}
		for _, m := range bareHost.FindAllStringSubmatch(c.Said, -1) {
			host(m[1])
		}
	}
	for _, t := range r.Findings {
		host(hostOnly(t.Subject))
	}
	for i, c := range s.Clients {
		for _, uri := range c.RedirectURIs { // a site's parent stands in what is to be pasted
			_, parent, _ := strings.Cut(hostname(uri), ".")
			host(hostname(uri))
			if strings.Contains(parent, ".") {
				host(parent)
			}
		}
		if names[c.ID] == "" && c.ID != "" {
			names[c.ID] = fmt.Sprintf("client-%d", i+1)
		}
	}
	for i, label := range s.Names {
		if names[label] == "" && label != "" {
			names[label] = fmt.Sprintf("tenant-%d", i+1)
		}
	}
	order := make([]string, 0, len(names))
	for name := range names {
		order = append(order, name)
	}
	slices.SortFunc(order, func(a, b string) int { return len(b) - len(a) }) // a name before its own end
	var pairs []string
	for _, name := range order {
		pairs = append(pairs, name, names[name])
	}
	return strings.NewReplacer(pairs...)
}

// hostOnly is the host of a finding's subject, "" where that is something else.
func hostOnly(subject string) string {
	if o := originOf(subject); o != "" {
		return hostname(o)
	}
	if u, err := url.Parse("//" + subject); err == nil && u.Port() != "" {
		return u.Hostname()
	}
	return ""
}
