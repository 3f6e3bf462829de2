package explain

import (
	"fmt"
	"strings"
)

// Difference is one way in which two URLs that should be the same are not.
type Difference struct {
	Kind Kind `json:"kind"`
	// Text says it of both, in words that may be printed.
	Text string `json:"text"`
}

// Kind is which part of two URLs differs.
type Kind string

// The parts of a URL, in the order in which Differ looks at them.
const (
	Hidden      Kind = "hidden"       // characters that nobody sees
	Scheme      Kind = "scheme"       // http and https
	Host        Kind = "host"         //
	HostCase    Kind = "host_case"    // upper and lower case, which no resolver minds
	Port        Kind = "port"         //
	DefaultPort Kind = "default_port" // :443 or :80 is spelt out in one of them
	Slash       Kind = "slash"        // at the end
	PathCase    Kind = "path_case"    //
	WellKnown   Kind = "well_known"   // one is the discovery document's own address
	Path        Kind = "path"         //
	Query       Kind = "query"        //
	Fragment    Kind = "fragment"     //
)

// Differ tells how two URLs differ, which are compared octet for octet where it
// matters (RFC 3986 §6.2.1). None: they are the same.
func Differ(a, b string) []Difference {
	var all []Difference
	add := func(kind Kind, format string, args ...any) {
		for i, arg := range args {
			if s, ok := arg.(string); ok {
				args[i] = visible(shorten(redact(s)))
			}
		}
		all = append(all, Difference{kind, fmt.Sprintf(format, args...)})
	}
	if x, y := strip(a), strip(b); x != a || y != b {
		for _, s := range []string{a, b} {
			if strip(s) != s {
				add(Hidden, "%s has characters that nobody sees: "+strings.ReplaceAll(hidden(s), "%", "%%"), s)
			}
		}
		a, b = x, y
	}
	if a == b {
		return all
	}
	x, y := parse(a), parse(b)
	if x.scheme != y.scheme {
		add(Scheme, "%s and %s", orNone(x.scheme), orNone(y.scheme))
	}
	hostX, portX := splitAddress(x.host)
	hostY, portY := splitAddress(y.host)
	switch {
	case !strings.EqualFold(hostX, hostY):
		add(Host, "the hosts %s and %s", orNone(hostX), orNone(hostY))
	case hostX != hostY:
		add(HostCase, "upper and lower case in the hosts %s and %s", hostX, hostY)
	}
	switch effX, effY := effective(portX, x.scheme), effective(portY, y.scheme); {
	case portX == portY:
	case effX == effY || x.scheme != y.scheme && (portX == "" || portY == "") && isDefault(portX+portY):
		add(DefaultPort, "the default port :%s is written in one of them", portX+portY)
	default:
		add(Port, "port %s and port %s", orNone(effX), orNone(effY))
	}
	all = append(all, differPaths(x.path, y.path)...)
	if x.query != y.query {
		add(Query, "the query: %s and %s", orNone(x.query), orNone(y.query))
	}
	if x.fragment != y.fragment {
		add(Fragment, "a fragment (#) in one of them")
	}
	return all
}

const wellKnown = "/.well-known/openid-configuration"

func differPaths(x, y string) []Difference {
	one := func(kind Kind, text string) []Difference { return []Difference{{kind, text}} }
	trimX, trimY := strings.TrimSuffix(x, "/"), strings.TrimSuffix(y, "/")
	show := func(path string) string { return orNone(visible(shorten(words(path)))) }
	switch {
	case x == y:
		return nil
	case trimX == trimY:
		return one(Slash, "the slash at the end")
	case strings.TrimSuffix(trimX, wellKnown) == strings.TrimSuffix(trimY, wellKnown),
		strings.TrimSuffix(strings.TrimSuffix(trimX, wellKnown), "/") == strings.TrimSuffix(strings.TrimSuffix(trimY, wellKnown), "/"):
		return one(WellKnown, "one is the address of the discovery document itself")
	case strings.EqualFold(trimX, trimY):
		return one(PathCase, fmt.Sprintf("upper and lower case in the paths %s and %s", show(x), show(y)))
	}
	return one(Path, fmt.Sprintf("the paths %s and %s", show(x), show(y)))
}

// url is a URL taken apart without judging it: what is explained is often none.
type url struct{ scheme, host, path, query, fragment string }

func parse(s string) (u url) {
	s, u.fragment, _ = strings.Cut(s, "#")
	s, u.query, _ = strings.Cut(s, "?")
	scheme, rest, ok := strings.Cut(s, "://")
	if !ok {
		u.path = s
		return u
	}
	u.scheme = strings.ToLower(scheme)
	u.host, u.path = cutAny(rest, "/")
	u.host = u.host[strings.LastIndexByte(u.host, '@')+1:]
	return u
}

func strip(s string) string {
	s = escaped.ReplaceAllString(s, "")
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if r != ' ' && invisible(r) {
			return -1
		}
		return r
	}, s))
}

func effective(port, scheme string) string {
	if port != "" {
		return port
	}
	return map[string]string{"http": "80", "https": "443"}[scheme]
}

func isDefault(port string) bool { return port == "80" || port == "443" }

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}
