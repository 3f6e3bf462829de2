package doctor

import (
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"unicode"
)

// How two addresses that should be one differ, in the words of what people get
// wrong.
const (
	same          = "same"
	differInvis   = "invisible characters"
	differSlash   = "slash"
	differCase    = "case"
	differScheme  = "scheme"
	differPort    = "port"
	differHost    = "host"
	differPath    = "path"
	differQuery   = "query"
	differEncoded = "encoding"
	differLetter  = "a letter"
)

// difference names the first thing in which got differs from want.
func difference(got, want string) string {
	if got == want {
		return same
	}
	if clean(got) == clean(want) {
		return differInvis
	}
	if strings.TrimSuffix(got, "/") == strings.TrimSuffix(want, "/") {
		return differSlash
	}
	if strings.EqualFold(got, want) {
		return differCase
	}
	g, err := url.Parse(got)
	if err != nil {
		return differEncoded
	}
	w, err := url.Parse(want)
	if err != nil {
		return differEncoded
	}
	switch {
	case !strings.EqualFold(g.Hostname(), w.Hostname()):
		if typo(g.Hostname(), w.Hostname()) {
			return differLetter
		}
		return differHost
	case g.Scheme != w.Scheme:
		return differScheme
	case portOf(g) != portOf(w) || g.Port() != w.Port():
		return differPort
	case g.Path == w.Path && g.EscapedPath() != w.EscapedPath():
		return differEncoded
	case strings.TrimSuffix(g.Path, "/") == strings.TrimSuffix(w.Path, "/") && g.Path != w.Path:
		return differSlash
	case strings.EqualFold(g.Path, w.Path) && g.Path != w.Path:
		return differCase
	case g.Path != w.Path:
		if typo(g.Path, w.Path) {
			return differLetter
		}
		return differPath
	}
	return differQuery
}

// clean takes out what nobody sees.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || unicode.IsControl(r) || unicode.Is(unicode.Cf, r) {
			return -1
		}
		return r
	}, s)
}

// typo says whether one text becomes the other by one letter more, less,
// changed, or by two neighbours changing places.
func typo(a, b string) bool {
	if len(a) > len(b) {
		a, b = b, a
	}
	i := 0
	for i < len(a) && a[i] == b[i] {
		i++
	}
	switch len(b) - len(a) {
	case 0:
		return i < len(a) && (a[i+1:] == b[i+1:] || i+1 < len(a) && a[i] == b[i+1] && a[i+1] == b[i] && a[i+2:] == b[i+2:])
	case 1:
		return a[i:] == b[i+1:]
	}
	return false
}

// visible shows characters that nobody sees.
func visible(s string) string {
	if clean(s) == s {
		return s
	}
	return strconv.QuoteToASCII(s)
}

// near is another address that a provider may know in place of the one asked.
type near struct{ uri, difference string }

// maxNear bounds how many other addresses are tried.
const maxNear = 48

// nearMisses are the mistakes that people make with a redirect URI, the likely
// ones first.
func nearMisses(uri string) []near {
	var all []near
	seen := map[string]bool{uri: true}
	add := func(other, difference string) {
		if !seen[other] && len(all) < maxNear {
			seen[other] = true
			all = append(all, near{other, difference})
		}
	}
	if clean(uri) != uri {
		add(clean(uri), differInvis)
	}
	u, err := url.Parse(uri)
	if err != nil || u.Host == "" {
		return all
	}
	edit := func(difference string, f func(*url.URL)) {
		c := *u
		f(&c)
		add(c.String(), difference)
	}
	if u.RawQuery != "" {
		edit(differQuery, func(c *url.URL) { c.RawQuery = "" })
	}
	edit(differSlash, func(c *url.URL) {
		if strings.HasSuffix(c.Path, "/") {
			c.Path = strings.TrimSuffix(c.Path, "/")
		} else {
			c.Path += "/"
		}
	})
	edit(differScheme, func(c *url.URL) {
		c.Scheme = map[string]string{"http": "https", "https": "http"}[c.Scheme]
		if p := c.Port(); p == "80" || p == "443" {
			c.Host = c.Hostname()
		}
	})
	if u.Port() != "" {
		edit(differPort, func(c *url.URL) { c.Host = bracketed(c.Hostname()) })
	}
	for _, port := range []string{"3000", "8080", "8443"} {
		edit(differPort, func(c *url.URL) { c.Host = bracketed(c.Hostname()) + ":" + port })
	}
	if lower := strings.ToLower(u.Host); lower != u.Host {
		edit(differCase, func(c *url.URL) { c.Host = lower })
	}
	edit(differCase, func(c *url.URL) { c.Path = strings.ToLower(c.Path) })
	for i := range u.Path { // /Callback for /callback
		if u.Path[i] == '/' && i+1 < len(u.Path) {
			edit(differCase, func(c *url.URL) { c.Path = c.Path[:i+1] + strings.ToUpper(c.Path[i+1:i+2]) + c.Path[i+2:] })
		}
	}
	add(u.Scheme+"://"+u.Host, differPath)
	add(u.Scheme+"://"+u.Host+"/", differPath)
	switch u.Hostname() {
	case "localhost":
		edit(differHost, func(c *url.URL) { c.Host = strings.Replace(c.Host, "localhost", "127.0.0.1", 1) })
	case "127.0.0.1":
		edit(differHost, func(c *url.URL) { c.Host = strings.Replace(c.Host, "127.0.0.1", "localhost", 1) })
	}
	if rest, ok := strings.CutPrefix(u.Host, "www."); ok {
		edit(differHost, func(c *url.URL) { c.Host = rest })
	}
	label, rest, _ := strings.Cut(u.Host, ".")
	if before, after, ok := strings.Cut(u.Path, "/tenants/"); ok { // a relay's
		var tail string
		label, tail, _ = strings.Cut(after, "/")
		for _, l := range misspelt(label) {
			edit(differLetter, func(c *url.URL) { c.Path = before + "/tenants/" + l + "/" + tail })
		}
	} else if _, err := netip.ParseAddr(u.Hostname()); err != nil && rest != "" {
		for _, l := range misspelt(label) {
			edit(differLetter, func(c *url.URL) { c.Host = l + "." + rest })
		}
	}
	return all
}

// misspelt are a label with one letter left out, two swapped or one doubled.
func misspelt(label string) (all []string) {
	for i := range label {
		all = append(all, label[:i]+label[i+1:])
	}
	for i := 0; i+1 < len(label); i++ {
		all = append(all, label[:i]+label[i+1:i+2]+label[i:i+1]+label[i+2:])
	}
	for i := range label {
		all = append(all, label[:i+1]+label[i:])
	}
	return all
}

func bracketed(host string) string {
	if strings.Contains(host, ":") {
		return "[" + host + "]"
	}
	return host
}

// private says whether a host is a name or an address that only its own network
// knows: a single label, a private or loopback address, a usual suffix.
func private(host string) bool {
	if a, err := netip.ParseAddr(host); err == nil {
		return a.IsPrivate() || a.IsLoopback() || a.IsLinkLocalUnicast() || a.IsUnspecified()
	}
	if host == "localhost" || !strings.Contains(host, ".") {
		return true
	}
	for _, suffix := range []string{".internal", ".local", ".svc", ".cluster.local", ".lan", ".docker"} {
		if strings.HasSuffix(host, suffix) {
			return true
		}
	}
	return false
}

// local says whether browsers take http of a host for as good as https (W3C
// Secure Contexts §3.1).
func local(host string) bool {
	if a, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		return a.IsLoopback()
	}
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}

func isLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		host = address
	}
	a, err := netip.ParseAddr(host)
	return err == nil && (a.IsLoopback() || a.IsUnspecified())
}
