package explain

import (
	"cmp"
	"maps"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strings"
)

// values are what a message has in its gaps, by the gaps' names, as they stood
// there. Only what show gives may leave the package.
type values map[string]string

// derive adds the parts of an address and of a URL.
func (v values) derive() {
	if address := strings.TrimRight(v["address"], "."); address != "" {
		v["address"] = address
		v["host"], v["port"] = splitAddress(address)
	}
	if u := v["url"]; u != "" && v["name"] == "" {
		name, port := splitAddress(parse(u).host)
		v["name"] = name
		if v["host"] == "" {
			v["host"], v["port"] = name, cmp.Or(v["port"], port)
		}
	}
	if u := v["want"]; v["url"] == "" && strings.Contains(u, "://") {
		v["document"] = strings.TrimSuffix(strings.TrimSuffix(u, "/"), wellKnown) + wellKnown
	}
	v["document"] = cmp.Or(v["url"], v["document"])
	v["target"] = cmp.Or(v["address"], v["host"], v["name"])
	if v["address"] == "" && v["port"] != "" {
		v["target"] = net.JoinHostPort(v["host"], v["port"])
	}
}

// derived are values that stand in others; Answer.Values leaves them out.
var derived = []string{"document", "target"}

// splitAddress parts host and port, also where IPv6 stands without brackets, as
// Node writes it: ::1:8080.
func splitAddress(address string) (host, port string) {
	if h, p, err := net.SplitHostPort(address); err == nil {
		return h, p
	}
	if i := strings.LastIndexByte(address, ':'); i > 0 {
		if _, err := netip.ParseAddr(address[:i]); err == nil {
			return address[:i], address[i+1:]
		}
	}
	return strings.Trim(address, "[]"), ""
}

// place is where a host is, as far as its name tells.
type place int

const (
	unknown  place = iota
	loopback       // the machine, or container, that asks
	private        // an address of a private network
	public         // an address of the internet
	inside         // a name that only a private network has
	outside        // a name that may be known everywhere
)

func placeOf(host string) place {
	host = strings.ToLower(strings.Trim(host, "[]"))
	if host == "" {
		return unknown
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		switch ip = ip.Unmap(); {
		case ip.IsLoopback(), ip.IsUnspecified():
			return loopback
		case ip.IsPrivate(), ip.IsLinkLocalUnicast(), netip.MustParsePrefix("100.64.0.0/10").Contains(ip): // RFC 6598
			return private
		}
		return public
	}
	switch {
	case host == "localhost", strings.HasSuffix(host, ".localhost"): // RFC 6761 §6.3
		return loopback
	case !strings.Contains(host, "."):
		return inside
	}
	for _, suffix := range []string{".local", ".internal", ".svc", ".lan", ".home.arpa", ".intranet", ".docker", ".consul"} {
		if strings.HasSuffix(host, suffix) {
			return inside
		}
	}
	return outside
}

func (v values) place() place { return placeOf(v["host"]) }

// slot is a value's place in the words of an entry: {name} or {name|words}.
var slot = regexp.MustCompile(`\{([a-z_]+)(?:\|([^{}]*))?\}`)

// fill puts the values into words.
func (v values) fill(words string) string {
	return slot.ReplaceAllStringFunc(words, func(s string) string {
		m := slot.FindStringSubmatch(s)
		if v[m[1]] != "" {
			return v.show(m[1])
		}
		if !strings.Contains(s, "|") {
			return s // no slot: a {tenant} of the documentation
		}
		return m[2]
	})
}

// harmless is a value that a shell takes for one word and nothing else: the
// commands of an answer are copied, and a stranger may have chosen what a log
// says.
var harmless = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._:/%+=@-]*$`)

// fillCommand puts the values into a command; one that a shell could mind gives
// way to its placeholder.
func (v values) fillCommand(words string) string {
	safe := values{}
	for name := range v {
		if shown := v.show(name); harmless.MatchString(shown) {
			safe[name] = shown
		}
	}
	return slot.ReplaceAllStringFunc(words, func(s string) string {
		m := slot.FindStringSubmatch(s)
		if safe[m[1]] != "" || v[m[1]] == "" || strings.Contains(s, "|") {
			return safe.fill(s)
		}
		return strings.ToUpper(m[1])
	})
}

// message is the recognised text with its values.
func (v values) message(text string) string {
	return gap.ReplaceAllStringFunc(text, func(name string) string {
		if name == "…" {
			return name
		}
		return v.show(strings.Trim(name, "{}"))
	})
}

// show is a value as it may be printed: without what may be a secret, with its
// invisible characters made visible.
func (v values) show(name string) string {
	if name == "client" {
		return visible(shorten(v[name])) // an identifier, and no secret (RFC 6749 §2.2)
	}
	return visible(shorten(redact(v[name])))
}

func (v values) shown() map[string]string {
	if len(v) == 0 {
		return nil
	}
	out := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(v)) {
		if v[name] != "" && !slices.Contains(derived, name) {
			out[name] = v.show(name)
		}
	}
	return out
}

// maxValue is how many characters of a value are shown.
const maxValue = 200

func shorten(s string) string {
	if r := []rune(s); len(r) > maxValue {
		return string(r[:maxValue]) + "…"
	}
	return s
}
