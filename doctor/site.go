package doctor

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// manner is how one request is made.
type manner struct {
	named   string // a further host and port that may be asked
	foreign bool   // whoever named it is none of ours: it may not lead back to this machine
}

type mannerKey struct{}

func mannerOf(ctx context.Context) manner {
	m, _ := ctx.Value(mannerKey{}).(manner)
	return m
}

// errOwn is a name that leads to this machine alone, or to nobody.
var errOwn = errors.New("its addresses are this machine's own")

// metadata are addresses beside the link-local ones at which clouds keep secrets
// for their machines: of AWS by IPv6, Azure, Alibaba and Oracle.
var metadata = []netip.Addr{
	netip.MustParseAddr("fd00:ec2::254"), netip.MustParseAddr("168.63.129.16"), netip.MustParseAddr("100.100.100.200"), netip.MustParseAddr("192.0.0.192"),
}

// translated are networks of IPv6 addresses that hold one of IPv4, from that
// octet on: NAT64 (RFC 6052 §2.1), 6to4 (RFC 3056 §2), and IPv4-compatible ones
// (RFC 4291 §2.5.5.1).
var translated = []struct {
	network netip.Prefix
	at      int
}{
	{netip.MustParsePrefix("64:ff9b::/96"), 12}, {netip.MustParsePrefix("2002::/16"), 2}, {netip.MustParsePrefix("::/96"), 12},
}

// notOwn leaves out the addresses at which only this machine is found: its
// loopback interface, and the link-local ones, at which clouds keep secrets for
// their machines (169.254.169.254). Whoever has proven a domain can have it lead
// there.
func notOwn(addresses []netip.Addr) ([]netip.Addr, error) {
	left := slices.DeleteFunc(slices.Clone(addresses), func(a netip.Addr) bool {
		if a = a.Unmap(); isOwn(a) {
			return true
		}
		for _, t := range translated {
			if b := a.As16(); t.network.Contains(a) && isOwn(netip.AddrFrom4([4]byte(b[t.at:t.at+4]))) {
				return true
			}
		}
		return false
	})
	if len(left) == 0 {
		return nil, errOwn
	}
	return left, nil
}

func isOwn(a netip.Addr) bool {
	return a.IsLoopback() || a.IsLinkLocalUnicast() || a.IsUnspecified() || a.IsMulticast() || slices.Contains(metadata, a.WithZone(""))
}

// VisitOptions are how a site is visited.
type VisitOptions struct {
	// Foreign is a site whose name a tenant chose: it may not lead to this
	// machine itself.
	Foreign bool
}

// Visit asks for an address as a browser without cookies would, and notes every
// step. Its host counts as named; a redirect is noted and not followed.
func (s *Scout) Visit(ctx context.Context, address string, o VisitOptions) Visit {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return Visit{URL: address, Failure: failNotNamed, Error: "not an address"}
	}
	m := manner{named: net.JoinHostPort(strings.ToLower(u.Hostname()), portOf(u)), foreign: o.Foreign}
	v := s.gate.visit(context.WithValue(ctx, mannerKey{}, m), request{url: address, what: "site", once: true, header: map[string]string{"Accept": "text/html"}})
	v.URL = bare(u)
	return v
}

// Reference is that of the door's own page, where the answer is one.
func (a *Answer) Reference() string { return a.reference }

// Cause is why there was no answer, "" where there was one or where it says
// nothing about the site.
func (v Visit) Cause() Cause {
	switch v.Failure {
	case failUnknownName:
		return ReachUnknownName
	case failDNS:
		return ReachDNS
	case failRefused, failClosed:
		return ReachRefused
	case failTimeout, failSilent:
		return ReachTimeout
	case failUnreachable:
		return ReachUnreachable
	case failBlocked:
		return ReachBlocked
	case failOwn:
		return ReachLoopback
	case failNotTLS:
		return TLSScheme
	case failExpired:
		return TLSExpired
	case failNotYet:
		return TLSNotYet
	case failAuthority:
		return TLSAuthority
	case failChain:
		return TLSChain
	case failName:
		return TLSName
	case failTLS:
		return TLSFailed
	}
	return ""
}
