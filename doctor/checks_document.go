package doctor

import (
	"context"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// documentChecks are D2 for one place: a document, and whose.
func (c *examination) documentChecks(p place, under []string) {
	if p.vantage == Browser {
		return
	}
	c.graph.add(node{
		id: p.id("document"), kind: "D2", vantage: p.vantage, title: "document of " + hostOf(p.seen.Discovery.URL),
		needs: []string{p.id("answer")}, under: under,
		run: func(context.Context) verdict { return c.documented(p) },
	})
}

func (c *examination) documented(p place) verdict {
	v := p.seen.Discovery
	a, subject := v.Answer, documentURL(p.seen.Base.URL)
	switch {
	case a.Status == 200 && a.Document != nil && a.Document.Issuer != "":
		return ok("issuer %s", a.Document.Issuer)
	case a.Status >= 300 && a.Status < 400:
		return c.redirected(v, subject)
	case a.Status == 401 || a.Status == 403:
		return fail(DocForbidden, subject, fmt.Sprintf("%s answers %d%s", v.URL, a.Status, by(a)), "let the proxy before the provider pass /.well-known/ without a login; discovery is public (OIDC Discovery §4)")
	case a.Status == 404 || a.Status == 400 || a.Status == 405:
		return c.missing(p, subject)
	case a.Status == 200:
		if len(p.seen.Variants) > 0 && c.other(p) != "" {
			return c.missing(p, subject)
		}
		if looksLikeLogin.MatchString(a.Said) {
			return fail(DocLogin, subject, fmt.Sprintf("%s is a page that asks for a login: %q", v.URL, a.Said), "let the proxy before the provider pass /.well-known/ and the provider's paths without a login of its own")
		}
		return fail(DocNotJSON, subject, fmt.Sprintf("%s is %s and no document: %q", v.URL, a.ContentType, a.Said), "the address belongs to something else than the provider: correct the issuer, or what the proxy sends there")
	}
	return fail(DocNotFound, subject, fmt.Sprintf("%s answers %d", v.URL, a.Status), "correct the issuer")
}

var (
	looksLikeLogin = regexp.MustCompile(`(?i)\b(log ?in|sign ?in|password|anmelden)\b`)
	leadsToLogin   = regexp.MustCompile(`(?i)login|signin|sign_in|sign-in|/oauth2/|outpost|authelia|/sso|/start|/if/flow`)
)

// redirected is a document that is elsewhere: clients do not follow, since the
// issuer would be another's word (OIDC Discovery §4.2: 200 OK).
func (c *examination) redirected(v Visit, subject string) verdict {
	to := v.Answer.Location
	said := fmt.Sprintf("%s answers %d and leads to %s", v.URL, v.Answer.Status, to)
	if leadsToLogin.MatchString(to) && !strings.HasSuffix(to, wellKnown) {
		return fail(DocLogin, subject, said+", a login of the proxy's own", "let that proxy pass /.well-known/ and the provider's other paths without its login: servers cannot log in")
	}
	base := strings.TrimSuffix(to, wellKnown)
	switch difference(to, v.URL) {
	case differScheme:
		return fail(DocRedirect, subject, said, "tell the app the https address: "+base)
	case differSlash:
		return fail(DocRedirect, subject, said+", which differs in the slash at the end", "tell the app the address as the provider spells it: "+base)
	}
	return fail(DocRedirect, subject, said, "tell the app the address that it leads to, or let the proxy answer there itself: "+base)
}

// other is the spelling at which there is a document.
func (c *examination) other(p place) string {
	for _, v := range p.seen.Variants {
		if v.Answer != nil && v.Answer.Status == 200 && v.Answer.Document != nil {
			return strings.TrimSuffix(v.URL, wellKnown)
		}
	}
	return ""
}

// missing is an address without a document: which one was meant?
func (c *examination) missing(p place, subject string) verdict {
	v := p.seen.Discovery
	said := fmt.Sprintf("%s answers %d", v.URL, v.Answer.Status)
	inDoor := "correct the issuer that the app is told"
	if p.seen.Base.Role == roleUpstream {
		inDoor = "correct provider.issuers in " + c.Door.File
	}
	if f := p.seen.Face; f != nil && f.Answer != nil && f.Answer.Status == 200 && f.Answer.Document != nil {
		return fail(DocHostRouted, subject, said+fmt.Sprintf(", and 200 when it is asked as %s: the provider is told apart by its Host", p.seen.Base.As),
			"always ask it under its public name: an alias for "+hostname(p.seen.Base.As)+" in that network, a proxy that sets the Host, or a door, which does")
	}
	if other := c.other(p); other != "" {
		said += "; there is a document at " + other
		switch {
		case strings.Contains(other, "/auth/realms/") != strings.Contains(v.URL, "/auth/realms/"):
			return fail(DocPrefix, subject, said, inDoor+": its path is "+pathOf(other)+" (Keycloak's --http-relative-path)")
		case strings.Contains(v.Answer.Said, "Realm does not exist"):
		default:
			return fail(DocNotFound, subject, said, inDoor+": "+other)
		}
	}
	if strings.Contains(v.Answer.Said, "Realm does not exist") {
		return fail(DocRealm, subject, fmt.Sprintf("%s: Keycloak says that the realm %q does not exist", v.URL, lastSegment(p.seen.Base.URL)),
			inDoor+": the realm's name, in upper and lower case as it is (Keycloak: Manage realms)")
	}
	example := "Keycloak: /realms/NAME; authentik: /application/o/SLUG/"
	return fail(DocNotFound, subject, said, inDoor+" ("+example+"): the path, or the host whose provider it is")
}

func pathOf(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return text
	}
	return u.Path
}

// view is a document and where it was seen.
type view struct {
	place
	doc *Document
}

// views are the documents of an issuer, the upstream's first.
func (c *examination) views(issuer string) []view {
	var all []view
	for _, p := range c.places() {
		if d := p.seen.document(); d != nil && p.seen.Base.Issuer == issuer {
			all = append(all, view{p, d})
		}
	}
	return all
}

// issuerChecks compare what the documents of one issuer say.
func (c *examination) issuerChecks(issuer string, under []string) []string {
	views := c.views(issuer)
	var ids []string
	agree := "agree/" + issuer
	if len(views) > 1 {
		var needs []string
		for _, v := range views {
			needs = append(needs, v.id("document"))
		}
		c.graph.add(node{
			id: agree, kind: "D2", title: "one issuer, whoever asks", needs: needs, under: under,
			run: func(context.Context) verdict { return c.agree(issuer, views) },
		})
		ids = append(ids, agree)
	}
	for _, v := range views {
		c.graph.add(node{
			id: v.id("issuer"), kind: "D2", vantage: v.vantage, title: "issuer by " + hostOf(v.seen.Discovery.URL),
			needs: []string{v.id("document")}, under: append([]string{agree}, under...),
			run: func(context.Context) verdict { return c.issuer(issuer, v) },
		})
		ids = append(ids, v.id("issuer"))
	}
	for _, v := range views {
		if v.seen.Base.Role == roleUpstream {
			continue
		}
		c.graph.add(node{
			id: v.id("front"), kind: "D2", vantage: v.vantage, title: "what browsers open, by " + hostOf(v.seen.Discovery.URL),
			needs: []string{v.id("document")}, under: slices.Concat(under, ids),
			run: func(context.Context) verdict { return c.front(issuer, v) },
		})
		ids = append(ids, v.id("front"))
	}
	return ids
}

// agree holds the documents against each other (OIDC Core §1.2: one issuer).
func (c *examination) agree(issuer string, views []view) verdict {
	first := views[0]
	var other *view
	for i, v := range views {
		if v.doc.Issuer != first.doc.Issuer {
			other = &views[i]
			break
		}
	}
	if other == nil {
		return ok("%s at %d addresses", first.doc.Issuer, len(views))
	}
	said := fmt.Sprintf("%s says %s, and %s says %s", first.seen.Discovery.URL, first.doc.Issuer, other.seen.Discovery.URL, other.doc.Issuer)
	own := func(v view) bool { return originOf(v.doc.Issuer) == originOf(v.seen.Base.URL) }
	if own(first) && own(*other) && pathOf(first.doc.Issuer) == pathOf(other.doc.Issuer) {
		return fail(ProviderFollowsHost, originOf(issuer), said,
			"give the provider one name: "+c.hostnameSetting(originOf(issuer)),
			"or put a door before it, which always asks it under the public name")
	}
	// One of the two is as expected, and the other says what its proxy made of it.
	for _, v := range []view{first, *other} {
		if v.doc.Issuer != issuer && v.seen.Base.Role == rolePublic {
			return c.issuer(issuer, v)
		}
	}
	return fail(IssuerTwo, originOf(issuer), said, "both addresses must lead to one provider, and to one realm of it: correct the one that the app is told")
}

// issuer compares what a document says with what the app expects, octet for
// octet (OIDC Discovery §4.3).
func (c *examination) issuer(issuer string, v view) verdict {
	got, at := v.doc.Issuer, v.seen.Base
	public := originOf(issuer)
	if got == issuer {
		if at.Role == roleDiscovery && originOf(at.URL) != public {
			return ok("%s; clients that insist on the address that they asked need the public name there (Auth.js 5, nextjs-auth0 4, openid-client 6, go-oidc)", got)
		}
		return ok("%s", got)
	}
	said := fmt.Sprintf("%s says that its issuer is %s, and the app expects %s", v.seen.Discovery.URL, visible(got), visible(issuer))
	told := "tell the app the issuer as the provider spells it: " + got
	if c.Door != nil {
		told = "the door makes the issuer of public_url and provider.issuers (" + c.Door.File + "): write it as the provider does"
	}
	if at.Role == roleUpstream {
		return c.upstreamIssuer(issuer, v, said, told)
	}
	if at.Role == roleDiscovery && originOf(got) == originOf(at.URL) && pathOf(got) == pathOf(issuer) {
		if f := v.seen.Face; f != nil && f.Answer != nil && f.Answer.Document != nil && f.Answer.Document.Issuer == got {
			return fail(ProviderHostname, public, said+", whatever Host it is asked under", "correct the provider's public name: "+c.hostnameSetting(public))
		}
		return fail(ProviderFollowsHost, public, said, "give the provider one name: "+c.hostnameSetting(public), "or put a door before it, which always asks it under the public name")
	}
	switch difference(got, issuer) {
	case differSlash:
		return fail(IssuerSlash, got, said+": they differ in the slash at the end", told)
	case differCase:
		return fail(IssuerCase, got, said+": they differ in upper and lower case", told)
	case differScheme:
		if strings.HasPrefix(issuer, "https:") {
			return c.behindTLS(got, said, v)
		}
		return fail(IssuerScheme, got, said+": they differ in http and https", told)
	case differPort:
		if portOfURL(got) == "80" || portOfURL(got) == "443" {
			return fail(ProxyPort, got, said+": the port is lost",
				"let the proxy pass the Host with its port: nginx's $http_host, not $host; and "+c.forwardedSetting(), c.hostnameSetting(public))
		}
		return fail(IssuerPort, got, said+": they differ in the port", told, "or correct the provider's public name: "+c.hostnameSetting(public))
	case differHost, differLetter:
		if pathOf(got) == pathOf(issuer) {
			return c.otherHost(issuer, v, said, told)
		}
	}
	return fail(IssuerPath, got, said, told)
}

// upstreamIssuer is for a provider that was asked as the door asks it.
func (c *examination) upstreamIssuer(issuer string, v view, said, told string) verdict {
	public := originOf(issuer)
	switch d := difference(v.doc.Issuer, issuer); {
	case d == differSlash:
		return fail(IssuerSlash, v.doc.Issuer, said+": they differ in the slash at the end", told)
	case d == differCase:
		return fail(IssuerCase, v.doc.Issuer, said+": they differ in upper and lower case", told)
	case originOf(v.doc.Issuer) == public:
		return fail(IssuerPath, v.doc.Issuer, said, told)
	case hostname(v.doc.Issuer) == hostname(public):
		return fail(ProviderForwarded, public, said+", although the door sends X-Forwarded-Host, -Proto and -Port",
			"let the provider believe them: "+c.forwardedSetting()+"; and a proxy between door and provider pass them on", "or give it its name: "+c.hostnameSetting(public))
	case originOf(v.doc.Issuer) == originOf(v.seen.Base.URL):
		return fail(ProviderForwarded, public, said+": it is named by the address that it was asked at, not by what the door sends",
			"let the provider believe X-Forwarded-Host: "+c.forwardedSetting()+"; and a proxy between door and provider pass the Host on", "or give it its name: "+c.hostnameSetting(public))
	}
	return fail(ProviderHostname, public, said, "give the provider the name that public_url has: "+c.hostnameSetting(public), "or write its name into public_url")
}

// behindTLS is an http issuer of a provider that browsers reach by https.
func (c *examination) behindTLS(got, said string, v view) verdict {
	for _, p := range c.places() {
		f := p.seen.Face
		if p.seen.Base.Role == roleDiscovery && f != nil && f.Answer != nil && f.Answer.Document != nil && strings.HasPrefix(f.Answer.Document.Issuer, "http:") {
			return fail(ProviderForwarded, originOf(v.seen.Base.URL), said+", also when it is told X-Forwarded-Proto: https", "let the provider believe its proxy: "+c.forwardedSetting(), "or give it its name: "+c.hostnameSetting(originOf(v.seen.Base.Issuer)))
		}
	}
	return fail(ProxyProto, got, said+": TLS ends before the provider, and nobody tells it",
		"let the proxy that ends TLS say so: proxy_set_header X-Forwarded-Proto $scheme; and the provider believe it: "+c.forwardedSetting(),
		"or give the provider its name: "+c.hostnameSetting(originOf(v.seen.Base.Issuer)))
}

// otherHost tells a proxy that hides the Host from a provider with another name.
func (c *examination) otherHost(issuer string, v view, said, told string) verdict {
	got, public := v.doc.Issuer, originOf(issuer)
	for _, p := range c.places() {
		f := p.seen.Face
		if p.seen.Base.Role != roleDiscovery || f == nil || f.Answer == nil || f.Answer.Document == nil {
			continue
		}
		if f.Answer.Document.Issuer == issuer {
			return fail(ProxyHost, public, said+"; asked behind the proxy, it takes its name from the Host", "let the proxy pass the Host: "+nginxHeaders, "or give the provider its name: "+c.hostnameSetting(public))
		}
		return fail(ProviderHostname, public, said+", whatever Host it is asked under", "correct the provider's public name: "+c.hostnameSetting(public), told)
	}
	if private(hostname(got)) && !private(hostname(issuer)) || isLoopback(hostname(got)) {
		return fail(ProxyHost, public, said+", which is a name behind the proxy", "let the proxy pass the Host: "+nginxHeaders, "or give the provider its name: "+c.hostnameSetting(public))
	}
	return fail(IssuerHost, public, said, told, "or correct the provider's public name: "+c.hostnameSetting(public))
}

// front looks at what browsers will be sent to.
func (c *examination) front(issuer string, v view) verdict {
	public := []string{originOf(issuer)}
	if c.Door != nil {
		public = append(public, c.Door.Public...)
	}
	for _, name := range frontChannel {
		at := v.doc.Endpoints[name]
		origin := originOf(at)
		switch {
		case at == "" && name == "authorization_endpoint":
			return fail(EndpointNotFound, issuer, "the document names no authorization_endpoint", "this is not an OpenID Provider, or its login is switched off")
		case at == "", slices.Contains(public, origin):
			continue
		case origin == originOf(v.seen.Base.URL) || private(hostname(at)):
			return fail(SplitFrontChannel, origin, fmt.Sprintf("%s names %s at %s, and browsers use %s", v.seen.Discovery.URL, name, origin, public[0]), c.frontFix(at)...)
		}
	}
	return ok("%s", originOf(v.doc.Endpoints["authorization_endpoint"]))
}
