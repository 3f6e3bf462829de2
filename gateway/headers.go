package gateway

import (
	"log/slog"
	"net/http"
	"slices"
	"strings"
)

// claims are header fields in which a proxy, and never a caller, says who the
// caller is, where it is, or which address it meant. The provider may believe
// them, since we are its proxy; so no caller's copy gets there (THREATS T-50,
// T-56, rule 16).
var claims = map[string]bool{
	"Forwarded": true, "Proxy": true, "Via": true, "X-Request-Id": true,
	// Where the caller is.
	"X-Real-Ip": true, "X-Client-Ip": true, "X-Cluster-Client-Ip": true, "True-Client-Ip": true,
	"Client-Ip": true, "Cf-Connecting-Ip": true, "Cf-Connecting-Ipv6": true, "Fastly-Client-Ip": true,
	"Fly-Client-Ip": true, "Proxy-Client-Ip": true, "X-Proxyuser-Ip": true, "X-Remote-Ip": true, "X-Remote-Addr": true, "X-Originating-Ip": true,
	// Which address it used.
	"X-Host": true, "X-Http-Host-Override": true, "X-Scheme": true, "X-Url-Scheme": true,
	"X-Forwarded": true, "Front-End-Https": true, "Base-Url": true, "X-Rewrite-Url": true,
	"X-Http-Method": true, "X-Http-Method-Override": true, "X-Method-Override": true,
	"X-Script-Name": true, "Destination": true, "Disguised-Host": true, "X-Waws-Unencoded-Url": true,
	// Where files lie (Rack::Sendfile believes a proxy, CVE-2025-61780).
	"X-Sendfile-Type": true, "X-Accel-Mapping": true, "X-Accel-Redirect": true,
	// Who it is.
	"X-User": true, "X-Username": true, "X-Email": true, "X-Groups": true,
	// Client certificates (RFC 9440 and what came before it).
	"Client-Cert": true, "Client-Cert-Chain": true,
}

var claimPrefixes = []string{
	"X-Forwarded-", "X-Original-", "X-Authentik-", "X-Auth-Request-", "X-Auth-User", "X-Webauth-",
	"Remote-", "X-Remote-", "Ssl-", "X-Ssl-", "X-Client-Cert", "X-Client-Verify", "X-Client-Dn", "X-Goog-Authenticated-", "X-Ms-Client-Principal",
	"X-Tls-Client-", "X-Arr-", "X-Amzn-Oidc-", "X-Amzn-Mtls-", "X-Goog-Iap-", "X-Azure-", "X-Appengine-", "Wl-Proxy-",
	"Cf-Access-", "X-Pomerium-", "Tailscale-User-", "X-Envoy-", "X-Onedoor-",
}

// strip removes them. Names with an underscore go too: servers that turn
// headers into variables (WSGI, CGI) read X_Forwarded_Host as
// X-Forwarded-Host. nginx drops them for that reason.
func strip(h http.Header) {
	for name := range h {
		if claims[name] || strings.Contains(name, "_") ||
			slices.ContainsFunc(claimPrefixes, func(p string) bool { return strings.HasPrefix(name, p) }) {
			delete(h, name)
		}
	}
}

// traces are header fields in which a caller says to which trace a request
// belongs and that it must be kept. In the public horizon that is anybody, who
// could write into others' traces and have all of his own kept (W3C Trace
// Context §6; THREATS T-91). Servers in the internal one may join theirs with
// the provider's.
var traces = []string{"Traceparent", "Tracestate", "Baggage", "B3", "X-B3-Traceid", "X-B3-Spanid", "X-B3-Parentspanid", "X-B3-Sampled", "X-B3-Flags", "Uber-Trace-Id", "X-Cloud-Trace-Context", "X-Amzn-Trace-Id"}

// withoutDomain removes the Domain attribute of a Set-Cookie value, and leaves
// the rest octet for octet. With it the provider's session would go to every
// tenant below that domain (RFC 6265 §8.6; THREATS T-59).
func withoutDomain(cookie string) string {
	parts := strings.Split(cookie, ";")
	kept := slices.DeleteFunc(parts[1:], func(attribute string) bool {
		name, _, _ := strings.Cut(attribute, "=")
		return strings.EqualFold(strings.TrimSpace(name), "Domain")
	})
	if len(kept) == len(parts)-1 {
		return cookie
	}
	return strings.Join(parts[:1+len(kept)], ";")
}

// sessionCookies are those in which providers keep a login. A tenant's site can
// set cookies of these names for its parent domain, and then the browser sends
// two (cookie tossing, RFC 6265bis §8.6).
var sessionCookies = []string{
	"AUTH_SESSION_ID", "KC_AUTH_SESSION_HASH", "KC_RESTART", "KEYCLOAK_IDENTITY", "KEYCLOAK_SESSION",
	"authentik_session", "authentik_csrf",
}

// dropTossed removes session cookies that stand twice: which one is the
// provider's nobody can tell (THREATS T-60).
func dropTossed(h http.Header, r *request) {
	cookies := h["Cookie"]
	if len(cookies) == 0 {
		return
	}
	all := strings.Join(cookies, "; ")
	var twice []string
	for _, name := range sessionCookies {
		if strings.Count(all, name+"=") > 1 && timesNamed(all, name) > 1 {
			twice = append(twice, name)
		}
	}
	if twice == nil {
		return
	}
	r.log.LogAttrs(r.Context(), slog.LevelWarn, "session cookie came twice, dropped", slog.String("request_id", r.id), slog.Any("cookies", twice))
	var kept []string
	for pair := range strings.SplitSeq(all, ";") {
		if !slices.Contains(twice, cookieName(pair)) {
			kept = append(kept, strings.TrimSpace(pair))
		}
	}
	if len(kept) == 0 {
		h.Del("Cookie")
		return
	}
	h["Cookie"] = []string{strings.Join(kept, "; ")}
}

func timesNamed(cookies, name string) (n int) {
	for pair := range strings.SplitSeq(cookies, ";") {
		if cookieName(pair) == name {
			n++
		}
	}
	return n
}

func cookieName(pair string) string {
	name, _, _ := strings.Cut(pair, "=")
	return strings.TrimSpace(name)
}
