package doctor

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// endpointOf is an endpoint of an issuer, from the first document that this
// machine can use it of, and the detour on which it is asked.
func (c *examination) endpointOf(issuer, name string, through bool) (at string, via map[string]string, at2 place, found bool) {
	for _, v := range c.views(issuer) {
		at = v.doc.Endpoints[name]
		if at == "" || v.vantage != Here {
			continue
		}
		switch {
		case v.seen.Base.Role == roleUpstream && !through:
			return at, map[string]string{v.seen.Base.As: originOf(v.seen.Base.URL)}, v.place, true
		case v.seen.Base.Role == roleUpstream, !through && c.Door != nil && c.Door.Upstream != "":
			continue
		case c.scout.named(mustURL(at)):
			return at, nil, v.place, true
		}
	}
	return "", nil, place{}, false
}

func mustURL(text string) *url.URL {
	u, err := url.Parse(text)
	if err != nil {
		return &url.URL{}
	}
	return u
}

// clientChecks are D4: would the provider send a browser back to the app?
func (c *examination) clientChecks(under []string) {
	insecure := map[string][]string{}
	for i, cl := range c.Clients {
		issuer := c.issuerOf(cl)
		at, via, where, found := c.endpointOf(issuer, "authorization_endpoint", cl.Through)
		for j, uri := range cl.RedirectURIs {
			id := fmt.Sprintf("redirect/%d/%d", i, j)
			n := node{id: id, kind: "D4", vantage: Here, title: c.clientTitle(cl) + " " + uri, under: under}
			if !found {
				n.needs = c.hereDocuments(issuer)
				n.run = func(context.Context) verdict {
					return skip("this machine has no authorization endpoint of %s that it can ask", issuer)
				}
				c.graph.add(n)
				continue
			}
			if cl.Through && c.Door != nil { // what the provider refuses directly, it refuses through the door
				for k, direct := range c.Clients {
					if !direct.Through && direct.ID == cl.ID && c.issuerOf(direct) == issuer {
						n.behind = append(n.behind, fmt.Sprintf("redirect/%d/0", k))
					}
				}
			}
			if k := slices.IndexFunc(c.logins, func(l login) bool { return l.sends(cl.ID, uri) }); k >= 0 {
				n.behind = append(n.behind, fmt.Sprintf("login/%d", k))
			}
			n.needs = []string{where.id("document")}
			if cl.Through { // it is asked at the public origin, whoever told us the endpoint
				n.needs = append(c.hereDocuments(issuer), c.doorsHere()...)
			}
			push, _, _, pushed := c.endpointOf(issuer, "pushed_authorization_request_endpoint", cl.Through)
			if cl.Pushes && (!pushed || !cl.Public) {
				n.run = func(context.Context) verdict {
					if !pushed {
						return skip("the app pushes its requests (PAR), and the document of %s names no endpoint for them", issuer)
					}
					return skip("the app pushes its requests (PAR), which takes its secret")
				}
				c.graph.add(n)
				continue
			}
			if !cl.Pushes {
				push = ""
			}
			q := Question{Endpoint: at, Push: push, ClientID: cl.ID, RedirectURI: uri, Ends: cl.Ends[uri], Parameters: cl.Parameters}
			n.run = func(ctx context.Context) verdict {
				t := c.scout.Through(via).Try(ctx, q, TryOptions{Controls: j == 0, NearMisses: true})
				insecure[issuer] = append(append([]string{}, insecure[issuer]...), t.Answer.Insecure...)
				v := c.redirect(cl, q, t)
				v.alone = v.cause != TokenIssuer && v.cause != ProviderDown && v.cause != ReachRefused
				return v
			}
			c.graph.add(n)
		}
	}
	for _, issuer := range c.issuers() {
		c.graph.add(node{
			id: "cookie/" + issuer, kind: "D5", vantage: Here, title: "the provider's cookies", under: under,
			run: func(context.Context) verdict { return providerCookies(issuer, insecure).itself() },
		})
		if documents := c.hereDocuments(issuer); strings.HasPrefix(issuer, "http:") && !local(hostname(issuer)) {
			c.graph.add(node{
				id: "insecure/" + issuer, kind: "D8", vantage: Here, title: "TLS for browsers", needs: documents, under: under,
				run: func(context.Context) verdict {
					return warn(IssuerInsecure, originOf(issuer), "browsers use "+originOf(issuer)+" without TLS: whoever is on the network between reads passwords and codes", "serve it by https")
				},
			})
		}
	}
}

// hereDocuments are the checks that would have brought a document of an issuer
// to this machine.
func (c *examination) hereDocuments(issuer string) (ids []string) {
	for _, p := range c.places() {
		if p.vantage == Here && p.seen.Base.Issuer == issuer && p.seen.Base.Role != roleDiscovery {
			ids = append(ids, p.id("document"))
		}
	}
	return ids
}

// doorsHere are the checks whether the public origin is the door.
func (c *examination) doorsHere() (ids []string) {
	for _, p := range c.places() {
		if p.vantage == Here && p.seen.Health != nil {
			ids = append(ids, p.id("door"))
		}
	}
	return ids
}

func (c *examination) clientTitle(cl Client) string {
	way := ""
	if cl.Through && c.Door != nil {
		way = " through the door"
	}
	return "client " + cl.ID + way + ":"
}

// redirect judges a trial.
func (c *examination) redirect(cl Client, q Question, t Trial) verdict {
	a, subject := t.Answer, cl.ID+" "+q.RedirectURI
	register := c.registerAt(cl)
	cause := t.Cause()
	if c.Door != nil && cl.Through && a.Reference != "" && (cause == RedirectUnregistered || cause == ClientUnknown) {
		return fail(DoorRefused, subject, fmt.Sprintf("the door shows its own page to a login of client %s that is to end at %s: %q", cl.ID, visible(q.RedirectURI), a.Said),
			"which rule that was: onedoor trace show "+a.Reference+", or the door's log under request_id="+a.Reference+"; docs/troubleshooting.md says what to do",
			"does the running door have this configuration, and the tenant, and is that active? onedoor tenant list")
	}
	switch cause {
	case RedirectWildcard:
		return fail(RedirectWildcard, cl.ID, fmt.Sprintf("a login of client %s may end at %s, which nobody can have registered: whoever sends a person that link gets the code", cl.ID, t.Loose[0].RedirectURI),
			"remove the wildcard "+register+" and register each redirect URI exactly (RFC 9700 §2.1)")
	case RedirectUnregistered:
		return c.unregistered(cl, q, t, register)
	case ClientUnknown:
		if c.Door != nil && c.Door.Upstream == "" {
			return fail(ClientUnknown, cl.ID, fmt.Sprintf("the provider inside does not know the client %s", visible(cl.ID)), "add it: onedoor client add --app "+cl.Name)
		}
		return fail(ClientUnknown, cl.ID, fmt.Sprintf("the provider does not know the client %s: %q", visible(cl.ID), a.Said), "compare the client_id of the app with the one at the provider, letter by letter; and the realm")
	case ClientRefused:
		return fail(ClientRefused, cl.ID, fmt.Sprintf("the provider answers %s: %s", a.Error, a.Said), "look at what the client may do at the provider: the code flow (Keycloak: Standard flow), its scopes, whether it must push its requests")
	case RedirectElsewhere:
		return warn(RedirectElsewhere, subject, fmt.Sprintf("the login is sent on to %s, which was not named and is not asked", a.At), "name it too, if it is yours: --also "+originOf(a.At))
	case ProviderDown:
		if a.Status == http.StatusTooManyRequests {
			return skip("%s answers 429 to an authorization request: it was asked too often", a.At)
		}
		return fail(ProviderDown, originOf(q.Endpoint), fmt.Sprintf("%s answers %d to an authorization request", a.At, a.Status), "see the provider's log")
	case ReachRefused:
		return fail(ReachRefused, hostOf(a.At), fmt.Sprintf("%s cannot be reached: %s", a.At, a.Said), "start what should listen there")
	case RedirectUnclear:
		return warn(RedirectUnclear, subject, fmt.Sprintf("%s answers %d to an authorization request with prompt=none, with a page: %q", a.At, a.Status, a.Said), "log in with a browser to see more; a provider that ignores prompt=none cannot be asked without a person")
	case RedirectState:
		return fail(RedirectState, cl.ID, fmt.Sprintf("the browser comes back to %s without the state that was sent", bareText(q.RedirectURI)), "something between provider and site drops or changes the query: a relay must carry it octet for octet")
	}
	if a.Issuer != "" && a.Issuer != c.issuerOf(cl) {
		return fail(TokenIssuer, a.Issuer, fmt.Sprintf("the answer's iss is %s, and the app expects %s (RFC 9207)", a.Issuer, c.issuerOf(cl)), "give the provider one name: "+c.hostnameSetting(originOf(c.issuerOf(cl))))
	}
	if cause == RedirectPrefix {
		return warn(RedirectPrefix, cl.ID, fmt.Sprintf("a login of client %s may end at %s, too: any page of the site that sends a visitor on gives codes away", cl.ID, t.Loose[0].RedirectURI),
			"register each redirect URI exactly, "+register+" (RFC 9700 §2.1, §4.1)")
	}
	return ok("accepted%s", because(a.Error))
}

func because(code string) string {
	if code == "" {
		return ""
	}
	return " (" + code + ")"
}

// unregistered is a redirect URI that the provider does not have, and what it
// has in its place.
func (c *examination) unregistered(cl Client, q Question, t Trial, register string) verdict {
	said := fmt.Sprintf("the provider refuses the redirect URI %s of client %s: %q", visible(q.RedirectURI), cl.ID, t.Answer.Said)
	for _, other := range c.Clients {
		if other.ID != cl.ID && slices.Contains(other.RedirectURIs, q.RedirectURI) {
			return fail(ClientOther, cl.ID, fmt.Sprintf("%s; it belongs to client %s", said, other.ID), "give the app its own client_id, "+other.ID)
		}
	}
	if cl.Through && c.Door != nil && cl.Registered != "" {
		return fail(RedirectUnregistered, cl.ID+" "+q.RedirectURI, said, c.throughFixes(cl, q, register)...)
	}
	if t.Near != "" {
		said += fmt.Sprintf("; it knows %s, and the two differ in: %s", t.Near, t.Difference)
		if t.Difference == differScheme && strings.HasPrefix(q.RedirectURI, "http:") {
			return fail(RedirectUnregistered, cl.ID+" "+q.RedirectURI, said,
				"let the app know that browsers use https: its proxy sends X-Forwarded-Proto, and the app believes it (AUTH_TRUST_HOST, trust proxy, ForwardedHeaders) or has its own address in a setting")
		}
		return fail(RedirectUnregistered, cl.ID+" "+q.RedirectURI, said, "register exactly "+q.RedirectURI+" "+register, "or let the app send "+t.Near)
	}
	return fail(RedirectUnregistered, cl.ID+" "+q.RedirectURI, said, "register exactly "+q.RedirectURI+" "+register)
}

// throughFixes are for a tenant's redirect URI that came back refused through
// the door, which no provider has to know. A provider of one's own was asked for
// the registered one before and took it; the one inside was not.
func (c *examination) throughFixes(cl Client, q Question, register string) []string {
	if c.Door.Upstream != "" {
		return []string{"the door sends " + cl.Registered + " in its place, which the provider took before: does the running door have this configuration? onedoor trace find --failed"}
	}
	return []string{"register exactly " + cl.Registered + " " + register + ", which the door sends in place of " + q.RedirectURI + ": onedoor client set --redirect-uri " + cl.Registered + " " + cl.ID}
}

// registerAt is where at the provider redirect URIs stand.
func (c *examination) registerAt(cl Client) string {
	switch c.Kind {
	case "keycloak":
		return "at Keycloak: Clients, " + cl.ID + ", Valid redirect URIs"
	case "authentik":
		return "at authentik: the provider of " + cl.ID + ", Redirect URIs, strict"
	}
	return "at the provider, for client " + cl.ID
}

func bareText(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return text
	}
	return bare(u)
}

// providerCookies are those that a browser would not keep: Secure ones over
// http, but on this machine (RFC 6265bis §5.7).
func providerCookies(issuer string, insecure map[string][]string) verdict {
	names, asked := slices.Clone(insecure[issuer]), insecure[issuer] != nil
	if len(names) == 0 {
		if !asked {
			return skip("no authorization request was made")
		}
		return ok("")
	}
	slices.Sort(names)
	return fail(CookieSecure, originOf(issuer), fmt.Sprintf("the provider sets %s as Secure, and browsers use %s by http: they drop it, and the login cannot go on", list(slices.Compact(names)), originOf(issuer)),
		"serve the provider by https; for development, under a name below localhost, which browsers trust")
}

// originChecks are D9.
func (c *examination) originChecks(under []string) {
	for i, origin := range c.Origins {
		issuer := c.issuers()[0]
		at, _, where, found := c.endpointOf(issuer, "token_endpoint", true)
		n := node{id: fmt.Sprintf("cors/%d", i), kind: "D9", vantage: Here, title: "scripts of " + originOf(origin), under: under}
		if found {
			n.needs = []string{where.id("document")}
			n.run = func(ctx context.Context) verdict {
				return c.cors(ctx, originOf(origin), where.seen.Discovery.URL, at).itself()
			}
		} else {
			n.needs = c.hereDocuments(issuer)
			n.run = func(context.Context) verdict {
				return skip("this machine has no token endpoint of %s that it can ask", issuer)
			}
		}
		c.graph.add(n)
	}
}

// cors asks as a script of that origin would: for the document, and for tokens
// with a code that is none. The provider's refusal must be readable (Fetch
// §3.3); a preflight alone says little, since some providers grant it to all.
func (c *examination) cors(ctx context.Context, origin, document, token string) verdict {
	form := url.Values{"grant_type": {"authorization_code"}, "code": {"onedoor-doctor"}, "redirect_uri": {origin + "/"}, "code_verifier": {strings.Repeat("a", 43)}}
	if len(c.Clients) > 0 {
		form.Set("client_id", c.Clients[0].ID)
	}
	for _, q := range []request{
		{url: document, origin: origin, what: "discovery"},
		{method: "OPTIONS", url: token, origin: origin, what: "preflight", header: map[string]string{"Access-Control-Request-Method": "POST"}},
		{method: "POST", url: token, origin: origin, what: "token_endpoint", form: form},
	} {
		v := c.scout.gate.visit(ctx, q)
		switch {
		case v.Answer == nil:
			return skip("%s: %s", q.url, lost(v))
		case v.Answer.AllowOrigin == "*" || v.Answer.AllowOrigin == origin:
			continue
		}
		said := fmt.Sprintf("%s does not allow scripts of %s to read its answer (Access-Control-Allow-Origin: %s)", q.url, origin, orNone(v.Answer.AllowOrigin))
		fix := "allow the origin " + origin + " at the provider, for the client"
		switch {
		case c.Door != nil:
			fix = "the door allows the sites of its apps' tenants: " + origin + " must be one"
		case c.Kind == "keycloak":
			fix = "Keycloak: Clients, Web origins: " + origin + " (without a slash at the end); the client must be public, with its client_id in the request"
		}
		return fail(CORSOrigin, origin, said, fix)
	}
	return ok("allowed")
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}
