package gateway

import (
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"onedoor/upstream"
)

var errTooLong = errors.New("target.length: the request target is longer than limits.url_length")

// readTarget takes the request target apart as it stood on the wire.
//
// What RFC 3986 §2 does not let stand in a path is refused: servers behind us
// differ in how they read it. A query only loses what would change the request
// line or a header.
func (r *request) readTarget(maxLength int) error {
	t := r.RequestURI
	if len(t) > maxLength {
		return errTooLong
	}
	if r.Method == http.MethodConnect || t == "*" {
		return rule{"target.form", t, "a path"}
	}
	if !strings.HasPrefix(t, "/") { // absolute-form, RFC 9112 §3.2.2
		_, rest, ok := strings.Cut(t, "://")
		i := strings.IndexAny(rest, "/?")
		switch {
		case !ok:
			return rule{"target.form", "", "a path"}
		case i < 0:
			t = "/"
		case rest[i] == '?':
			t = "/" + rest[i:]
		default:
			t = rest[i:]
		}
	}
	r.target, r.path = t, t
	if i := strings.IndexByte(t, '?'); i >= 0 {
		r.path, r.query = t[:i], t[i:]
	}
	for i := 0; i < len(r.path); i++ {
		if c := r.path[i]; c <= ' ' || c > '~' || c == '#' || c == '\\' {
			return rule{"target.octets", r.path, "the characters of RFC 3986 in the path"}
		}
	}
	for i := 0; i < len(r.query); i++ {
		if c := r.query[i]; c <= ' ' || c > '~' || c == '#' {
			return rule{"target.octets", r.path, "printable ASCII without # in the query"} // never its value
		}
	}
	if strings.HasPrefix(r.path, "//") {
		return rule{"target.slashes", r.path, "one slash at the start"}
	}
	return nil
}

// plainPath is a path as the most obliging server would read it: decoded until
// nothing is left to decode, path parameters dropped, doubled slashes merged.
// The raw path is what is sent on; this one is what the closed paths and the
// door's own are compared with, so that none of them has a second spelling
// (THREATS T-55).
//
// Dot segments, encoded or not, are refused: every client resolves them before
// it asks (RFC 3986 §5.2.4), and servers differ in when they do.
func plainPath(path string) (string, error) {
	if !strings.ContainsAny(path, "%;") && !strings.Contains(path, "//") && !strings.Contains(path, "/.") {
		return path, nil
	}
	if _, err := url.PathUnescape(path); err != nil {
		return "", rule{"path.encoding", path, "two hex digits after each percent sign"}
	}
	p := path
	for range 4 {
		next := decode(p)
		if next == p {
			break
		}
		p = next
	}
	p = strings.ReplaceAll(p, `\`, "/")
	var b strings.Builder
	for segment := range strings.SplitSeq(p, "/") {
		// An encoded ? or # ends the path for servers that decode first.
		if i := strings.IndexAny(segment, ";?#"); i >= 0 {
			segment = segment[:i]
		}
		switch segment {
		case "":
			continue
		case ".", "..":
			return "", rule{"path.dots", path, "a path without . and .. segments"}
		}
		for i := 0; i < len(segment); i++ {
			if segment[i] < ' ' || segment[i] == 0x7F {
				return "", rule{"path.control", path, "a path without control characters"}
			}
		}
		b.WriteByte('/')
		b.WriteString(segment)
	}
	if strings.HasSuffix(p, "/") || b.Len() == 0 {
		b.WriteByte('/')
	}
	return b.String(), nil
}

// decode decodes what can be decoded and leaves the rest, as lenient servers do.
func decode(s string) string {
	if !strings.Contains(s, "%") {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if c, err := strconv.ParseUint(s[i+1:i+3], 16, 8); err == nil {
				b.WriteByte(byte(c))
				i += 2
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// disguised says whether a path is another spelling of one that the door takes
// part in: the provider might read it as that one, and the door would not have
// seen it.
func disguised(path, plain string, here, there upstream.Endpoint) error {
	if (there != "" && there != here) || strings.HasPrefix(plain, "/tenants/") || strings.HasPrefix(plain, "/onedoor/") || isAppRelay(plain) {
		return rule{"path.spelling", path, plain}
	}
	return nil
}

// closed returns the private path of the provider that a path lies below, and
// "" where it may pass. Case makes no difference on either side: a realm's name
// may have capitals, and some providers do not mind it.
func (g *Gateway) closed(path, plain string) string {
	for _, private := range g.Provider.PrivateAt(plain) {
		lower := strings.ToLower(private)
		if below(strings.ToLower(path), lower) || below(strings.ToLower(plain), lower) {
			if g.exposed(plain) && (path == plain || g.exposed(path)) {
				return ""
			}
			return private
		}
	}
	return ""
}

// exposed says whether the operator opened a path.
func (g *Gateway) exposed(path string) bool {
	for _, e := range g.Exposed {
		if below(path, strings.TrimSuffix(e, "/")) {
			return true
		}
	}
	return false
}

// below says whether path is prefix or lies below it.
func below(path, prefix string) bool {
	rest, ok := strings.CutPrefix(path, prefix)
	return ok && (rest == "" || rest[0] == '/')
}
