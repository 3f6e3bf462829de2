package doctor

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"
)

// slow is how long openid-client (up to version 5, in next-auth 4 and others)
// waits for an answer.
const slow = 3500 * time.Millisecond

// place is a base as a vantage saw it, and the names of its checks.
type place struct {
	vantage string
	sight   *Sight
	seen    *Seen
	name    string // "app/discovery"
}

func (p place) id(stage string) string { return stage + "/" + p.name }

// required says whether logins need that this vantage reaches this base. What
// they don't need is looked at all the same, since it may tell something.
func (c *examination) required(p place) bool {
	switch p.vantage {
	case Browser:
		return true
	case Here:
		return p.seen.Base.Role == roleUpstream || p.seen.Base.Role == rolePublic && c.sights[Browser] == nil
	}
	return p.seen.Base.Role == roleDiscovery || len(c.Discovery) == 0
}

// places are all bases of all vantages, an upstream's first.
func (c *examination) places() []place {
	var all []place
	for _, v := range c.order {
		count := map[string]int{}
		s := c.sights[v]
		for i := range s.Bases {
			b := &s.Bases[i]
			name := v + "/" + b.Base.Role
			if count[name]++; count[name] > 1 {
				name += fmt.Sprint(count[name])
			}
			all = append(all, place{v, s, b, name})
		}
	}
	slices.SortStableFunc(all, func(a, b place) int { return depth(a) - depth(b) })
	return all
}

func depth(p place) int {
	if p.seen.Base.Role == roleUpstream {
		return 0
	}
	return 1
}

// reachChecks are D1 and D8 for the documents.
func (c *examination) reachChecks(p place, under []string) {
	v, from := p.seen.Discovery, p.vantage
	host := hostOf(v.URL)
	c.graph.add(node{
		id: p.id("reach"), kind: "D1", vantage: from, title: "reach " + host, under: under,
		run: func(context.Context) verdict {
			switch out := c.reached(p, v); {
			case out.status == Failed && !c.required(p):
				return skip("%s; %s", out.said, c.notNeeded(p))
			case out.status == Failed && c.Door != nil && from == Here && p.seen.Base.Role == rolePublic && (v.Failure == failTimeout || v.Failure == failUnreachable):
				return warn(ReachHairpin, host, out.said+"; browsers may well reach it", "look from the browser: --browser")
			default:
				return out
			}
		},
	})
	if from != Browser && strings.HasPrefix(v.URL, "https:") {
		c.graph.add(node{
			id: p.id("tls"), kind: "D8", vantage: from, title: "certificate of " + host,
			needs: []string{p.id("reach")}, under: under,
			run: func(context.Context) verdict { return c.secured(p, v).itself() },
		})
	}
	c.graph.add(node{
		id: p.id("answer"), kind: "D1", vantage: from, title: "answer of " + host,
		needs: []string{p.id("reach"), p.id("tls")}, under: under,
		run: func(context.Context) verdict {
			if from == Browser {
				return ok("in %d ms", v.Millis)
			}
			return c.answered(p, v)
		},
	})
}

// notNeeded says why a failure is none.
func (c *examination) notNeeded(p place) string {
	switch {
	case p.vantage == Here && p.seen.Base.Role == roleDiscovery:
		return "that address is for the app's network"
	case p.vantage == Here:
		return "the browser has looked itself"
	}
	return "the app is told another address"
}

// reached judges how far a visit got on its way to the server. A door that is
// not there may have ended for a reason of its own; a name or a route that fails
// has none.
func (c *examination) reached(p place, v Visit) verdict {
	out := c.lost(p, v)
	out.alone = out.cause != ReachRefused && out.cause != ReachLoopback && out.cause != ReachNotNamed
	return out
}

func (c *examination) lost(p place, v Visit) verdict {
	host := hostOf(v.URL)
	switch v.Failure {
	case "", failNotTLS, failTLS, failExpired, failNotYet, failAuthority, failChain, failName, failSilent, failClosed:
		return ok("%s", addresses(v))
	case failNotNamed:
		return warn(ReachNotNamed, originOf(v.URL), v.URL+" was not named and is not asked", "name it too, if it is yours: --also "+originOf(v.URL))
	case failCut:
		return late()
	case failBrowser:
		return c.browserFailed(v)
	}
	if p.seen.Base.Role == roleUpstream {
		return fail(DoorUpstream, host, fmt.Sprintf("provider.upstream %s: %s", originOf(v.URL), lost(v)), c.upstreamFix(v)...)
	}
	switch v.Failure {
	case failUnknownName:
		return fail(ReachUnknownName, host, fmt.Sprintf("the name %s is not known in %s", hostname(v.URL), c.whose(p)), c.nameFix(p, v)...)
	case failDNS:
		return fail(ReachDNS, host, fmt.Sprintf("looking up %s fails in %s: %s", hostname(v.URL), c.whose(p), v.Error), "mend the name service there: its servers are in /etc/resolv.conf")
	case failRefused:
		if p.loopback(v) {
			return fail(ReachLoopback, host, fmt.Sprintf("%s is %s in %s, which is the caller itself: nothing listens there", hostname(v.URL), addresses(v), c.whose(p)), c.loopbackFix(p, v)...)
		}
		return fail(ReachRefused, host, fmt.Sprintf("%s refuses the connection from %s", addresses(v), c.whose(p)), c.refusedFix(p, v)...)
	case failBlocked:
		return fail(ReachBlocked, host, fmt.Sprintf("the machine forbids a connection to %s", addresses(v)), "a firewall, a network policy or a route on "+c.whose(p)+" forbids it")
	}
	if other := c.elsewhere(p, v); other != "" {
		return fail(ReachHairpin, host, fmt.Sprintf("%s does not answer %s, although %s reaches it", addresses(v), c.whose(p), other), c.nameFix(p, v)...)
	}
	cause, words := ReachTimeout, "no answer from %s to %s within %d s"
	if v.Failure == failUnreachable {
		cause, words = ReachUnreachable, "no route to %s from %s (%d s)"
	}
	return fail(cause, host, fmt.Sprintf(words, addresses(v), c.whose(p), v.Millis/1000),
		"ask whoever runs the network between "+c.whose(p)+" and "+hostname(v.URL)+": a firewall drops the packets, or the address is old")
}

// loopback says whether the name leads to the caller, who is another machine
// than the provider as far as addresses go.
func (p place) loopback(v Visit) bool {
	if p.vantage == Here && !p.sight.Container || len(v.Dials) == 0 {
		return false
	}
	return !slices.ContainsFunc(v.Dials, func(d Dial) bool { return !isLoopback(d.Address) })
}

// elsewhere is another vantage that reaches one of the same addresses.
func (c *examination) elsewhere(p place, v Visit) string {
	for _, other := range c.order {
		if other == p.vantage {
			continue
		}
		for _, b := range c.sights[other].Bases {
			w := b.Discovery
			if hostOf(w.URL) != hostOf(v.URL) || w.Failure != "" {
				continue
			}
			if other == Browser || shares(v, w) {
				return other
			}
		}
	}
	return ""
}

func shares(a, b Visit) bool {
	return slices.ContainsFunc(a.Dials, func(x Dial) bool {
		return slices.ContainsFunc(b.Dials, func(y Dial) bool { return x.Address == y.Address && y.Failure == "" })
	})
}

func (c *examination) browserFailed(v Visit) verdict {
	u, err := url.Parse(v.URL)
	if err == nil && private(u.Hostname()) && !local(u.Hostname()) {
		return fail(ReachBrowser, hostOf(v.URL), fmt.Sprintf("the browser cannot load %s: %s is a name of the private network", v.URL, u.Hostname()), c.frontFix(v.URL)...)
	}
	said := fmt.Sprintf("the browser cannot load %s; it does not tell scripts why", v.URL)
	fix := "open that address in the browser: it says whether it is the name, the connection or the certificate"
	if here := c.sights[Here]; here != nil {
		for _, b := range here.Bases {
			if b.Base.URL == v.URL || b.Discovery.URL == v.URL {
				switch b.Discovery.Failure {
				case "":
					said += "; this machine can"
				default:
					said += "; from this machine: " + lost(b.Discovery)
				}
			}
		}
	}
	return fail(ReachBrowser, hostOf(v.URL), said, fix)
}

// secured judges the certificate.
func (c *examination) secured(p place, v Visit) verdict {
	h, host := v.Handshake, hostname(v.URL)
	if h == nil {
		return skip("the connection was cut before")
	}
	day := func(at int64) string { return time.Unix(at, 0).UTC().Format("2006-01-02 15:04 MST") }
	now := p.sight.Now
	if h.Failure == failExpired || h.Failure == failNotYet {
		if h.ServerTime != 0 && now != 0 && abs(h.ServerTime-now) > 300 && h.ServerTime > h.NotBefore && h.ServerTime < h.NotAfter {
			return fail(ClockOff, host, fmt.Sprintf("the certificate is valid by the server's clock (%s) and not by the clock of %s (%s)", day(h.ServerTime), c.whose(p), day(now)),
				"set the clock of "+c.whose(p)+": NTP, or the virtual machine's host")
		}
	}
	switch h.Failure {
	case "":
		return ok("valid until %s", day(h.NotAfter))
	case failExpired:
		return fail(TLSExpired, host, "the certificate ended on "+day(h.NotAfter), "renew the certificate of "+host)
	case failNotYet:
		return fail(TLSNotYet, host, "the certificate begins on "+day(h.NotBefore), "wait, or have it issued anew; and look at the clocks of both machines")
	case failName:
		return fail(TLSName, host, fmt.Sprintf("the certificate is for %s, not for %s", list(h.Names), host), "have a certificate issued for "+host+" too, or use a name that it has")
	case failChain:
		return fail(TLSChain, host, fmt.Sprintf("the server sends its own certificate alone, issued by %q", h.Issuer),
			"let the server send the intermediate certificate behind its own (nginx: ssl_certificate with the full chain); with an authority of your own, trust it: --ca-file")
	case failAuthority:
		if p.sight.NoRoots && c.trustedElsewhere(p, v) {
			return warn(TLSAuthority, host, c.whose(p)+" has no certificate authorities at all, and the probe has no others", "install ca-certificates there, unless the app brings its own")
		}
		return fail(TLSAuthority, host, fmt.Sprintf("the certificate is issued by %q, which %s does not trust", h.Issuer, c.whose(p)),
			"give that authority's certificate to the app (Node: NODE_EXTRA_CA_CERTS; Go, Python and others: the system's store), and to this command: --ca-file")
	case failNotTLS:
		return fail(TLSScheme, host, hostOf(v.URL)+" does not speak TLS", "write http:// in place of https://, or name the port that speaks TLS")
	}
	return fail(TLSFailed, host, "the handshake fails: "+v.Error, "see what the server supports: openssl s_client -connect "+hostOf(v.URL))
}

func (c *examination) trustedElsewhere(p place, v Visit) bool {
	for _, other := range c.places() {
		w := other.seen.Discovery
		if other.vantage != p.vantage && w.URL == v.URL && w.Handshake != nil && w.Handshake.Failure == "" {
			return true
		}
	}
	return false
}

// answered judges whether somebody answers in time, and who.
func (c *examination) answered(p place, v Visit) verdict {
	origin := originOf(v.URL)
	switch {
	case v.Failure == failSilent:
		return fail(ProviderSlow, origin, fmt.Sprintf("%s takes the connection and does not answer within %d s", v.URL, v.Millis/1000), "see what the provider waits for: its log, its database")
	case v.Failure != "":
		return fail(ProviderDown, origin, fmt.Sprintf("%s takes the connection and closes it without an answer", v.URL), "see the log of what listens at "+hostOf(v.URL)+"; a port that speaks another protocol does this, too")
	}
	a := v.Answer
	switch {
	case a.Status == 400 && (strings.Contains(a.Said, "HTTPS port") || strings.Contains(a.Said, "HTTPS server")):
		return fail(TLSScheme, hostname(v.URL), hostOf(v.URL)+" speaks TLS, and is asked without", "write https:// in place of http://")
	case a.Status == 421:
		return c.misdirected(p, v).itself()
	case a.Status >= 500:
		return fail(ProviderDown, origin, fmt.Sprintf("%s answers %d%s", v.URL, a.Status, by(a)), c.downFix(p)...)
	case time.Duration(v.Millis)*time.Millisecond > slow:
		return fail(ProviderSlow, origin, fmt.Sprintf("%s answers after %.1f s; openid-client gives up after 3.5 s", v.URL, float64(v.Millis)/1000),
			"see what the provider waits for: its log, its database, a name service that times out; or raise the client's time limit (next-auth: httpOptions.timeout)")
	}
	return ok("%d in %d ms%s", a.Status, v.Millis, by(a))
}

// misdirected is a door that is called by a name that it does not have.
func (c *examination) misdirected(p place, v Visit) verdict {
	origin := originOf(v.URL)
	said := fmt.Sprintf("%s answers 421: it does not answer under that name", v.URL)
	if c.Door != nil && slices.Contains(c.Door.Public, origin) {
		return fail(ProxyHost, origin, said+", although it is its public one: the proxy before it passes another Host", "let that proxy pass the Host (nginx: proxy_set_header Host $http_host;) and the door believe it: trusted_proxies")
	}
	if c.Door != nil && slices.Contains(c.Door.Internal, origin) {
		return fail(DoorInternalURL, origin, said+"; the configuration has it, the listener or the running door has not",
			"let the listener that "+c.whose(p)+" reaches serve [internal, public], and restart the door")
	}
	return fail(DoorInternalURL, origin, said, "add it to the door's configuration: internal_urls: ["+origin+"]")
}

func (c *examination) downFix(p place) []string {
	if c.Door != nil && p.seen.Base.Role != roleUpstream {
		return []string{"see the door's log: it says what it waits for (docs/troubleshooting.md)"}
	}
	return []string{"start the provider, or see its log; a proxy that names another address for it answers so, too"}
}

func by(a *Answer) string {
	if a.Server == "" {
		return ""
	}
	return " (" + a.Server + ")"
}

// whose is the network of a vantage, in words.
func (c *examination) whose(p place) string {
	switch p.vantage {
	case Here:
		if p.sight.Container {
			return "this container"
		}
		return "this machine"
	case Browser:
		return "the browser"
	}
	return "the network of " + p.vantage
}

// lost says in a few words where a visit ended.
func lost(v Visit) string {
	switch v.Failure {
	case "":
		return fmt.Sprintf("%d in %d ms", v.Answer.Status, v.Millis)
	case failUnknownName:
		return "the name " + hostname(v.URL) + " is not known"
	case failRefused:
		return "connection refused at " + addresses(v)
	case failTimeout:
		return "no answer from " + addresses(v)
	case failUnreachable:
		return "no route to " + addresses(v)
	}
	return v.Failure
}

// addresses are those that a name led to, or were tried.
func addresses(v Visit) string {
	var all []string
	for _, d := range v.Dials {
		all = append(all, d.Address)
	}
	if len(all) == 0 && v.Lookup != nil {
		for _, a := range v.Lookup.Addresses {
			all = append(all, net.JoinHostPort(a, portOfURL(v.URL)))
		}
	}
	if len(all) == 0 {
		return hostOf(v.URL)
	}
	slices.Sort(all)
	return strings.Join(slices.Compact(all), ", ")
}

func portOfURL(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return ""
	}
	return portOf(u)
}

// hostOf is host and port of a URL, hostname its host.
func hostOf(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return text
	}
	return net.JoinHostPort(u.Hostname(), portOf(u))
}

func hostname(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return text
	}
	return u.Hostname()
}

func list(names []string) string {
	switch {
	case len(names) == 0:
		return "no name"
	case len(names) > 5:
		return strings.Join(names[:5], ", ") + ", …"
	}
	return strings.Join(names, ", ")
}

func abs(n int64) int64 {
	if n < 0 {
		return -n
	}
	return n
}
