package domains

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
)

// ErrAbsent says that the DNS was asked and answered: there is no such record
// (NXDOMAIN, or a name without TXT records; RFC 2308 §2). Every other error
// means that nobody knows.
var ErrAbsent = errors.New("no such record")

// Resolver asks the DNS.
type Resolver interface {
	// TXT returns the TXT records of name, each one's strings joined
	// (RFC 7208 §3.3 reads them so, too), or ErrAbsent.
	TXT(ctx context.Context, name string) ([]string, error)
}

// NewResolver asks the recursive resolver at address (host:port, UDP, TCP after
// a truncated answer), or those of the operating system where it is "".
//
// What it answers is believed: ask one that validates DNSSEC and that lies no
// further than the machine's own network.
func NewResolver(address string) Resolver {
	r := &net.Resolver{PreferGo: true}
	if address != "" {
		r.Dial = func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, address)
		}
	}
	return system{r}
}

type system struct{ resolver *net.Resolver }

func (s system) TXT(ctx context.Context, name string) ([]string, error) {
	// The dot keeps the search list of resolv.conf out: it would ask for names
	// in other people's zones.
	texts, err := s.resolver.LookupTXT(ctx, strings.TrimSuffix(name, ".")+".")
	var dns *net.DNSError
	switch {
	case errors.As(err, &dns) && dns.IsNotFound:
		return nil, fmt.Errorf("%s: %w", name, ErrAbsent)
	case errors.As(err, &dns) && dns.IsTimeout:
		return nil, fmt.Errorf("%s: no answer in time", name)
	case errors.As(err, &dns):
		return nil, fmt.Errorf("%s: %s", name, dns.Err)
	case err != nil:
		return nil, fmt.Errorf("%s: %v", name, err)
	case len(texts) == 0:
		return nil, fmt.Errorf("%s: %w", name, ErrAbsent)
	}
	return texts, nil
}
