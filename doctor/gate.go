package doctor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"time"
)

// Bounds of one connection.
const (
	connectTimeout = 4 * time.Second  // more than a SYN's two retries, 1 s and 3 s
	answerTimeout  = 10 * time.Second // openid-client gives up after 3.5 s
	maxAddresses   = 6

	stepTimeout = answerTimeout + 2*connectTimeout // of one request, its body included
)

// NotNamedError is a request to a host that nobody named. It is not made.
type NotNamedError struct{ Origin string }

func (e *NotNamedError) Error() string {
	return e.Origin + " was not named, so it is not asked"
}

// allowed are the hosts that may be asked, with their ports. Port 80 and 443 of
// a named host are always allowed: a port that gets lost is a common mistake.
type allowed map[string]map[string]bool

func newAllowed(urls []string) allowed {
	a := allowed{}
	for _, text := range urls {
		u, err := url.Parse(text)
		if err != nil || u.Hostname() == "" {
			continue
		}
		host := strings.ToLower(u.Hostname())
		if a[host] == nil {
			a[host] = map[string]bool{"80": true, "443": true}
		}
		a[host][portOf(u)] = true
	}
	return a
}

func (a allowed) has(host, port string) bool { return a[strings.ToLower(host)][port] }

func portOf(u *url.URL) string {
	switch port := u.Port(); {
	case port != "":
		return port
	case u.Scheme == "https":
		return "443"
	}
	return "80"
}

// gate is the only way out: every request of this package goes through it, and
// it lets none pass to a host that was not named. It asks no HTTP proxy, follows
// no redirect and keeps no connection, so that each request shows each step.
type gate struct {
	allowed   allowed
	asBrowser bool // names under localhost are this machine (RFC 6761 §6.3)
	roots     *x509.CertPool
	now       func() time.Time
	transport *http.Transport
	inside    map[string]http.RoundTripper   // by origin: who answers in the network's place
	connect   func(host, port string) string // where to, in the place of what the name says
	agent     string
	localhost bool // those names are not even looked up
}

func newGate(allow allowed, asBrowser bool, ca []byte, now func() time.Time) *gate {
	g := &gate{allowed: allow, asBrowser: asBrowser, now: now, agent: agent}
	if len(ca) > 0 {
		if g.roots, _ = x509.SystemCertPool(); g.roots == nil {
			g.roots = x509.NewCertPool()
		}
		g.roots.AppendCertsFromPEM(ca)
	}
	g.transport = &http.Transport{
		Proxy:                  nil,
		DialContext:            g.dial,
		DialTLSContext:         g.dialTLS,
		DisableKeepAlives:      true,
		DisableCompression:     true,
		ResponseHeaderTimeout:  answerTimeout,
		MaxResponseHeaderBytes: 64 << 10,
	}
	return g
}

// RoundTrip sends a request; dial refuses a host that was not named.
func (g *gate) RoundTrip(r *http.Request) (*http.Response, error) {
	if in := g.inside[r.URL.Scheme+"://"+r.URL.Host]; in != nil {
		return in.RoundTrip(r)
	}
	return g.transport.RoundTrip(r)
}

// trail is what a connection met on its way. The transport may still be at it
// when the request has ended.
type trail struct {
	mu       sync.Mutex
	lookup   *Lookup
	dials    []Dial
	tls      *Handshake
	reached  string // the address that answered
	tlsError error
}

type trailKey struct{}

func (t *trail) note(f func(*trail)) {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	f(t)
}

func trailOf(ctx context.Context) *trail {
	t, _ := ctx.Value(trailKey{}).(*trail)
	return t
}

// dial is where a connection begins, and where one to a host that was not named
// ends. It looks the name up, tries its addresses, all at once, and notes how
// each went.
func (g *gate) dial(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	manner := mannerOf(ctx)
	if !g.allowed.has(host, port) && manner.named != net.JoinHostPort(strings.ToLower(host), port) {
		return nil, &NotNamedError{Origin: address}
	}
	t := trailOf(ctx)
	if g.connect != nil {
		if to := g.connect(host, port); to != "" {
			if host, port, err = net.SplitHostPort(to); err != nil {
				return nil, err
			}
			manner.foreign = false // an operator has named it
		}
	}
	addresses, err := g.lookup(ctx, host)
	if err == nil && manner.foreign {
		addresses, err = notOwn(addresses)
	}
	l := &Lookup{Name: host}
	for _, a := range addresses {
		l.Addresses = append(l.Addresses, a.String())
	}
	if err != nil {
		l.Failure = classifyDNS(err)
	}
	t.note(func(t *trail) { t.lookup = l })
	if err != nil {
		return nil, err
	}
	return g.race(ctx, t, addresses, port)
}

// race connects to all addresses and takes the first that answers; the others
// have a moment to say how they fare.
func (g *gate) race(ctx context.Context, t *trail, addresses []netip.Addr, port string) (net.Conn, error) {
	type result struct {
		conn net.Conn
		err  error
		dial Dial
	}
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	results := make(chan result)
	for _, a := range addresses {
		go func() {
			began := time.Now()
			to := net.JoinHostPort(a.String(), port)
			conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", to)
			d := Dial{Address: to, Millis: time.Since(began).Milliseconds()}
			if err != nil {
				d.Failure = classifyDial(err)
			}
			results <- result{conn, err, d}
		}()
	}
	var won net.Conn
	var first error
	for range addresses {
		r := <-results
		if r.err != nil && won != nil && errors.Is(ctx.Err(), context.Canceled) {
			continue // cut off by the winner: it says nothing
		}
		t.note(func(t *trail) { t.dials = append(t.dials, r.dial) })
		switch {
		case r.err != nil:
			if first == nil {
				first = r.err
			}
		case won == nil:
			won = r.conn
			t.note(func(t *trail) { t.reached = r.dial.Address })
			time.AfterFunc(250*time.Millisecond, cancel)
		default:
			r.conn.Close()
		}
	}
	if won == nil {
		return nil, first
	}
	return won, nil
}

// lookup asks the resolver of this machine, as programs do; for a browser,
// names under localhost are loopback (RFC 6761 §6.3; WHATWG Secure Contexts).
// Nobody is asked for a name that nobody may have (RFC 6761 §6.4).
func (g *gate) lookup(ctx context.Context, host string) ([]netip.Addr, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{a}, nil
	}
	if strings.HasSuffix(host, ".invalid") {
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	own := []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.IPv6Loopback()}
	browsers := g.asBrowser && (host == "localhost" || strings.HasSuffix(host, ".localhost"))
	if browsers && g.localhost {
		return own, nil
	}
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	addresses, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil && browsers {
		return own, nil
	}
	if err != nil {
		return nil, err
	}
	if len(addresses) > maxAddresses {
		addresses = addresses[:maxAddresses]
	}
	for i := range addresses {
		addresses[i] = addresses[i].Unmap()
	}
	return addresses, nil
}

// dialTLS judges the certificate itself, so that it can say what is wrong with
// it; a connection that does not hold is closed.
func (g *gate) dialTLS(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := g.dial(ctx, network, address)
	if err != nil {
		return nil, err
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		conn.Close()
		return nil, err
	}
	t := trailOf(ctx)
	// Verified below, where the reason can be told from the certificate.
	secure := tls.Client(conn, &tls.Config{ServerName: host, InsecureSkipVerify: true, NextProtos: []string{"http/1.1"}})
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	if err := secure.HandshakeContext(ctx); err != nil {
		conn.Close()
		t.note(func(t *trail) { t.tls, t.tlsError = &Handshake{Failure: classifyTLS(err)}, err })
		return nil, err
	}
	h := newHandshake(secure.ConnectionState())
	err = g.verify(secure.ConnectionState().PeerCertificates, host)
	if err != nil {
		h.Failure = classifyTLS(err)
		if u := (x509.UnknownAuthorityError{}); errors.As(err, &u) && h.lonely(secure.ConnectionState().PeerCertificates[0], g.roots != nil) {
			h.Failure = failChain
		}
	}
	t.note(func(t *trail) { t.tls, t.tlsError = h, err })
	if err != nil {
		if h.Failure == failExpired || h.Failure == failNotYet {
			g.serverDate(secure, host, h) // which of the two clocks is wrong?
		}
		secure.Close()
		return nil, err
	}
	return secure, nil
}

func (g *gate) verify(chain []*x509.Certificate, host string) error {
	if len(chain) == 0 {
		return errors.New("the server shows no certificate")
	}
	between := x509.NewCertPool()
	for _, c := range chain[1:] {
		between.AddCert(c)
	}
	_, err := chain[0].Verify(x509.VerifyOptions{DNSName: host, Roots: g.roots, Intermediates: between, CurrentTime: g.now()})
	return err
}

// serverDate asks a server, whose certificate does not hold at our time, for its
// own. Nothing else is sent or believed.
func (g *gate) serverDate(conn net.Conn, host string, h *Handshake) {
	_ = conn.SetDeadline(time.Now().Add(connectTimeout))
	if _, err := fmt.Fprintf(conn, "HEAD / HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", host); err != nil {
		return
	}
	buffer := make([]byte, 4096)
	n, _ := conn.Read(buffer)
	for line := range strings.Lines(string(buffer[:n])) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.EqualFold(name, "Date") {
			if at, err := http.ParseTime(strings.TrimSpace(value)); err == nil {
				h.ServerTime = at.Unix()
			}
		}
	}
}
