package horizon

import (
	"fmt"
	"net/http"
	"net/netip"
	"strings"
)

// Caller finds the configured origin that the request used.
//
// The authority is r.Host: net/http puts the authority of an absolute-form
// target there (RFC 9112 §3.2.2), and HTTP/2's :authority. What a forwarding
// header says counts only when the peer is a trusted proxy, only in the
// configured mode, and only the value nearest to us: everything before it was
// written by somebody whom we do not know (THREATS T-50, T-51).
func (l *Listener) Caller(r *http.Request) (Caller, error) {
	// HTTP/1 requests have no Host among their header fields. An HTTP/2 request
	// may, and must not be read by us in one way and by others in another
	// (RFC 9113 §8.3.1).
	for _, h := range r.Header["Host"] {
		if h != r.Host {
			return Caller{}, fmt.Errorf("%w: the fields Host and :authority differ", ErrHost)
		}
	}
	if r.Host == "" || (r.URL != nil && r.URL.User != nil) {
		return Caller{}, ErrHost
	}
	said := hop{host: r.Host}
	if l.TLS {
		said.proto = "https"
	}
	peer := address(r.RemoteAddr)
	c := Caller{Address: peer}
	if l.trusts(peer) {
		f, err := l.forwarded(r.Header)
		if err != nil {
			return Caller{}, err
		}
		if f.host != "" {
			said.host = f.host
		}
		if f.proto != "" {
			said.proto = f.proto
		}
		if a := address(f.client); a.IsValid() {
			c.Address = a
		}
	}
	if c.Origin = match(l.Public, said); c.Origin != "" {
		c.Horizon = Public
		return c, nil
	}
	if c.Origin = match(l.Internal, said); c.Origin != "" {
		c.Horizon = Internal
		return c, nil
	}
	return Caller{}, fmt.Errorf("%w: host %q, scheme %q", ErrMisdirected, cut(said.host), cut(said.proto))
}

// match returns the origin that has this host and port. The scheme is compared
// where it is known. On a plaintext socket without a trusted proxy's word it is
// not known: a TLS terminator may stand before us and say nothing. Then http is
// the better guess, and https will do: the answer is a configured origin in
// either case.
func match(origins []string, said hop) string {
	other := ""
	for _, o := range origins {
		scheme, authority, _ := strings.Cut(o, "://")
		if !sameAuthority(scheme, authority, said.host) {
			continue
		}
		if scheme == said.proto || (said.proto == "" && scheme == "http") {
			return o
		}
		if said.proto == "" && other == "" {
			other = o
		}
	}
	return other
}

// sameAuthority compares an origin's authority with a Host, whose case means
// nothing and whose default port may be spelt out (RFC 9110 §4.2.3).
func sameAuthority(scheme, authority, host string) bool {
	if sameFold(authority, host) {
		return true
	}
	port := ":80"
	if scheme == "https" {
		port = ":443"
	}
	bare, ok := strings.CutSuffix(host, port)
	return ok && sameFold(authority, bare)
}

// sameFold compares ASCII without case. strings.EqualFold would take U+212A,
// the Kelvin sign, for a k.
func sameFold(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := 0; i < len(a); i++ {
		if lower(a[i]) != lower(b[i]) {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		c += 'a' - 'A'
	}
	return c
}

func (l *Listener) trusts(peer netip.Addr) bool {
	if l.Forwarded == None || !peer.IsValid() {
		return false
	}
	for _, p := range l.TrustedProxies {
		if p.Contains(peer) {
			return true
		}
	}
	return false
}

// address parses an address with or without a port; IPv6 in brackets or not. It
// is invalid for anything else: "unknown", "_hidden" (RFC 7239 §6), "@" of a
// Unix socket.
func address(s string) netip.Addr {
	if ap, err := netip.ParseAddrPort(s); err == nil { // as net/http writes a peer's
		return ap.Addr().Unmap().WithZone("")
	}
	if a, err := netip.ParseAddr(strings.Trim(s, "[]")); err == nil {
		return a.Unmap().WithZone("")
	}
	return netip.Addr{}
}

// cut keeps an attacker's text from filling the log.
func cut(s string) string {
	if len(s) > 100 {
		return s[:100] + "…"
	}
	return s
}
