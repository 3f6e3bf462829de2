package config

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/nlnwa/whatwg-url/url"

	"onedoor/tenant"
)

// checkOrigin says what is wrong with the text of an origin, or "".
//
// The text must be exactly what a browser makes of it (RFC 6454 §6.2): a value
// that would be written anew is read differently by somebody, and origins are
// compared as strings.
func checkOrigin(text string) (message, hint string) {
	scheme, rest, ok := strings.Cut(text, "://")
	if !ok || rest == "" {
		return fmt.Sprintf("%q is not an origin", text), "write scheme and host: https://auth.example.com"
	}
	if lower := strings.ToLower(scheme); lower != "http" && lower != "https" {
		return fmt.Sprintf("%q is neither http nor https", text), ""
	}
	for _, r := range text {
		if r <= ' ' || r == 0x7f {
			return fmt.Sprintf("%q holds a space or control character", text), ""
		}
	}
	u, err := url.Parse(text)
	if err != nil {
		return fmt.Sprintf("%q is not a URL", text), "write scheme and host: https://auth.example.com"
	}
	origin := u.Scheme() + "://" + u.Host()
	write := "write " + origin
	switch {
	case strings.Contains(rest, "@"):
		return "holds a user name or password", write
	case strings.Contains(rest, `\`):
		return fmt.Sprintf("%q holds a backslash", text), "use /"
	case strings.Contains(rest, "#"):
		return fmt.Sprintf("%q has a fragment; an origin has none", text), write
	case strings.Contains(rest, "?"):
		return fmt.Sprintf("%q has a query; an origin has none", text), write
	case strings.HasSuffix(rest, "/") && strings.Count(rest, "/") == 1:
		return fmt.Sprintf("%q ends with a slash; an origin does not", text), write
	case strings.Contains(rest, "/"):
		return fmt.Sprintf("%q has a path; an origin has none", text), write
	case !isASCII(text):
		return fmt.Sprintf("%q is not ASCII", text), write
	case strings.ContainsAny(rest, "{}*"):
		return fmt.Sprintf("%q holds a placeholder; the door has fixed origins", text), ""
	case origin != text && strings.EqualFold(origin, text):
		return fmt.Sprintf("%q is not in lower case", text), write
	case origin != text && strings.HasPrefix(text, origin+":"):
		return fmt.Sprintf("%q spells the default port", text), write
	case origin != text:
		return fmt.Sprintf("%q is read as %s by browsers", text, origin), write
	case strings.HasSuffix(u.Hostname(), "."):
		return fmt.Sprintf("%q ends with a dot, which makes another origin of it", text), "remove the dot"
	}
	return "", ""
}

func isASCII(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r > 0x7f }) < 0
}

// hostOf is the host of an origin that checkOrigin accepted, without its port
// and brackets.
func hostOf(origin string) string {
	u, err := url.Parse(origin)
	if err != nil {
		return ""
	}
	return strings.Trim(u.Hostname(), "[]")
}

// isLocal tells that a name or address never leaves this machine or a test
// network.
func isLocal(host string) bool { return tenant.Local(host) }

func quote(text string) string { return strconv.Quote(text) }

// checkPath says what is wrong with an absolute path that is compared as a
// string, or "".
func checkPath(path string) (message, hint string) {
	switch {
	case !strings.HasPrefix(path, "/"):
		return fmt.Sprintf("%q does not begin with /", path), fmt.Sprintf("write %q", "/"+path)
	case strings.Contains(path, "//"):
		return fmt.Sprintf("%q holds //", path), "browsers and proxies disagree about it: use single slashes"
	case strings.Contains(path, "#"):
		return fmt.Sprintf("%q has a fragment, which never reaches a server", path), "remove it (RFC 6749 §3.1.2)"
	case strings.Contains(path, `\`):
		return fmt.Sprintf("%q holds a backslash", path), "use /"
	case strings.ContainsFunc(path, func(r rune) bool { return r <= ' ' || r >= 0x7f }):
		return fmt.Sprintf("%q holds a character that a path can not", path), "percent-encode it (RFC 3986 §2.1)"
	}
	plain, _, _ := strings.Cut(path, "?")
	for segment := range strings.SplitSeq(plain, "/") {
		if decoded := strings.NewReplacer("%2e", ".", "%2E", ".").Replace(segment); decoded == "." || decoded == ".." {
			return fmt.Sprintf("%q holds a dot segment", path), "write the path that it leads to"
		}
	}
	return "", ""
}
