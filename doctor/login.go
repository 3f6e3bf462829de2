package doctor

import (
	"context"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"slices"
	"strings"
)

// login is what an app does at the address where a login begins.
type login struct {
	start   string
	hops    []string
	cookies []loginCookie
	request *url.URL // the authorization request that it sends the browser with
	status  int
	said    string
	failed  string
}

type loginCookie struct {
	name           string
	host           string
	secure, strict bool
	http           bool // it came over http, from a host that browsers do not trust
}

// sends says whether a login sends people to the provider so.
func (l login) sends(clientID, redirectURI string) bool {
	return l.request != nil && l.request.Query().Get("client_id") == clientID && l.request.Query().Get("redirect_uri") == redirectURI
}

// begin begins a login as a browser would, up to the authorization request,
// which is read and not sent.
func (s *Scout) begin(ctx context.Context, start string) login {
	l := login{start: start}
	at, err := url.Parse(start)
	if err != nil {
		l.failed = err.Error()
		return l
	}
	jar, err := cookiejar.New(nil)
	if err != nil {
		l.failed = err.Error()
		return l
	}
	for range maxHops {
		l.hops = append(l.hops, bare(at))
		got, err := s.step(ctx, at, jar, &AnswerTo{})
		if err != nil {
			l.failed = bounded(oneLine(rootOf(err).Error()), maxSaid)
			return l
		}
		for _, c := range got.cookies {
			l.cookies = append(l.cookies, loginCookie{
				name: bounded(c.Name, 100), host: at.Hostname(), secure: c.Secure, strict: c.SameSite == http.SameSiteStrictMode,
				http: at.Scheme == "http" && !local(at.Hostname()),
			})
		}
		l.status, l.said = got.Status, got.Said
		to := got.to
		if to == nil {
			return l
		}
		if q := to.Query(); q.Get("client_id") != "" && (q.Get("redirect_uri") != "" || q.Get("request_uri") != "") {
			l.request = to
			return l
		}
		if !s.named(to) {
			l.failed = "it leads to " + originOf(to.String()) + ", which was not named"
			return l
		}
		at = to
	}
	l.failed = fmt.Sprintf("still redirected after %d steps", maxHops)
	return l
}

// beginAll begins a login at each address, and makes clients of what the apps
// send, so that they are tried at the provider.
func (c *examination) beginAll(ctx context.Context) {
	for _, start := range c.LoginURLs {
		c.o.Progress("beginning a login at " + start)
		l := c.scout.begin(ctx, start)
		c.logins = append(c.logins, l)
		if l.request == nil || l.request.Query().Get("redirect_uri") == "" {
			continue
		}
		id, uri := l.request.Query().Get("client_id"), l.request.Query().Get("redirect_uri")
		known := slices.ContainsFunc(c.Clients, func(cl Client) bool { return cl.ID == id && slices.Contains(cl.RedirectURIs, uri) })
		if !known {
			c.Clients = append(c.Clients, Client{ID: id, RedirectURIs: []string{uri}, Through: true})
		}
	}
}

// loginChecks are D5: do the cookies of a login come back where it ends?
func (c *examination) loginChecks(named []Client, under []string) (ids []string) {
	for i, l := range c.logins {
		id := fmt.Sprintf("login/%d", i)
		c.graph.add(node{
			id: id, kind: "D5", vantage: Here, title: "login at " + l.start, under: under,
			run: func(context.Context) verdict {
				v := c.loginBegins(l, named)
				v.alone = v.cause != AppLogin && v.cause != SplitFrontChannel && v.cause != IssuerHost
				return v
			},
		})
		ids = append(ids, id)
	}
	return ids
}

func (c *examination) loginBegins(l login, named []Client) verdict {
	switch {
	case l.failed != "":
		return fail(AppLogin, l.start, fmt.Sprintf("a login cannot be begun at %s: %s", l.start, l.failed), "start the app, or name the address at which its login begins: --login-url")
	case l.request == nil && (l.status >= 400 || looksLikeError(l)):
		return fail(AppLogin, l.start, fmt.Sprintf("%s answers %d and sends nobody to the provider: %q", bareText(l.hops[len(l.hops)-1]), l.status, l.said),
			append(explained(l.said), "see the app's log and ask: onedoor explain \"the line\"; most often it cannot reach the provider: look from its network with --vantage")...)
	case l.request == nil:
		return skip("%s shows a page (%d) and does not redirect; name the address behind its button", l.start, l.status)
	}
	q := l.request.Query()
	ends, start := q.Get("redirect_uri"), mustURL(l.start)
	if v := c.loginRequest(l, q, named); v.status != OK {
		return v
	}
	to := mustURL(ends)
	relayed := slices.Contains(c.publicOrigins(), originOf(ends))
	switch {
	case ends == "":
		return ok("a pushed request")
	case relayed:
	case to.Hostname() == start.Hostname() && start.Scheme == "https" && to.Scheme == "http":
		return fail(AppScheme, originOf(ends), fmt.Sprintf("the app is at %s and sends the redirect URI %s: it does not know that browsers use https", originOf(l.start), ends),
			"let the proxy before the app send X-Forwarded-Proto, and the app believe it (AUTH_TRUST_HOST, trust proxy, ForwardedHeaders), or give it its own address in a setting (NEXTAUTH_URL, APP_BASE_URL, root_url)")
	case to.Hostname() != start.Hostname():
		return fail(CookieHost, to.Hostname(), fmt.Sprintf("the login begins at %s and ends at %s: the cookie with its state stays behind on the first", originOf(l.start), originOf(ends)),
			"let the app make its redirect URI from the host that the person uses: its proxy passes the Host ("+nginxHeaders+"), or the app's own address is corrected", "or send people to "+originOf(ends)+" before they log in")
	}
	for _, k := range l.cookies {
		switch {
		case k.secure && k.http:
			return fail(CookieSecure, k.host, fmt.Sprintf("the app sets its cookie %s as Secure over http: browsers drop it", k.name), "serve the app by https, or let it set the cookie without Secure while it is http")
		case k.strict:
			return fail(CookieSameSite, k.host, fmt.Sprintf("the app sets its cookie %s with SameSite=Strict: it does not come along when the provider sends the browser back", k.name), "SameSite=Lax for the cookies of a login")
		}
	}
	return ok("sends %s with redirect_uri %s", q.Get("client_id"), ends)
}

// loginRequest looks at whom the app sends people to, and as whom.
func (c *examination) loginRequest(l login, q url.Values, named []Client) verdict {
	origin := originOf(l.request.String())
	id := q.Get("client_id")
	switch {
	case c.Door != nil && c.Door.Upstream != "" && origin == originOf(c.Door.Upstream):
		return fail(DoorPast, origin, fmt.Sprintf("the app sends people to the provider itself, %s, past the door", origin), "tell the app the door's issuer: "+c.issuers()[0])
	case !slices.Contains(c.publicOrigins(), origin):
		if private(hostname(origin)) && !local(hostname(origin)) {
			return fail(SplitFrontChannel, origin, fmt.Sprintf("the app sends people to %s, which only its own network knows", origin), c.frontFix(origin)...)
		}
		return fail(IssuerHost, origin, fmt.Sprintf("the app sends people to %s, not to %s", origin, list(c.publicOrigins())), "tell the app the right issuer: "+c.issuers()[0])
	case len(named) > 0 && !slices.ContainsFunc(named, func(cl Client) bool { return cl.ID == id }):
		var ids []string
		for _, cl := range named {
			ids = append(ids, cl.ID)
		}
		return fail(ClientOther, id, fmt.Sprintf("the app logs in as client %s, not as %s", visible(id), list(ids)), "correct the app's client_id: "+list(ids))
	}
	return ok("")
}

func (c *examination) publicOrigins() []string {
	if c.Door != nil {
		return c.Door.Public
	}
	var all []string
	for _, i := range c.issuers() {
		all = append(all, originOf(i))
	}
	return all
}

// looksLikeError recognises an app that shows its own error page instead.
func looksLikeError(l login) bool {
	at := mustURL(l.hops[len(l.hops)-1])
	return strings.Contains(at.Path, "/error") || strings.Contains(strings.ToLower(l.said), "error")
}
