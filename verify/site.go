package verify

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"onedoor/doctor"
	"onedoor/tenant"
)

// site visits the tenant's site as a browser that comes back from the provider
// with an error, and judges whether an app is there that expects it.
//
// It cannot expect this answer: the state is nobody's. What real apps make of
// that differs widely (a page that says so, a redirect to the login, 400, 401,
// 403, even 500), so almost every answer is an app's. What is none:
//
//   - no answer, or no certificate that browsers trust;
//   - 404 or 410: the site has no such address; 421: it is not that host's;
//   - 5xx, where the site's front page fails as well: the app is not running, or a
//     proxy has none behind it. By itself it says nothing: apps answer 500, and some
//     502, when a login has failed;
//   - a server's page for a site that is not set up; and
//   - a redirect to another host that any made-up address gets as well: a parked
//     domain, or a wildcard that leads to the company's own pages.
func (r *Round) site(ctx context.Context, l tenant.Login, landing string) Verdict {
	own := l.Tenant.Sites[l.App.Name] != ""
	visit := func(address string) doctor.Visit {
		return r.Scout.Visit(ctx, address, doctor.VisitOptions{Foreign: own && !r.Local})
	}
	v := visit(landing)
	if v.Answer == nil {
		return unanswered(v, l)
	}
	fail := func(o Outcome, fix, format string, args ...any) Verdict {
		return Verdict{Outcome: o, Fix: fix, Detail: fmt.Sprintf(format, args...)}
	}
	switch status := v.Answer.Status; {
	case status == http.StatusNotFound, status == http.StatusGone:
		return fail(SiteNotFound, "see apps."+l.App.Name+".callbacks, and where the app takes the provider's answer", "%s answers %d: there is no callback%s", l.URI, status, by(v.Answer))
	case status == http.StatusMisdirectedRequest:
		return fail(SiteForeign, "let the server there know the site's name", "%s answers 421: what is there does not go by that name%s", l.URI, by(v.Answer))
	case status >= http.StatusInternalServerError:
		front := visit(originOf(l.URI) + "/")
		if front.Answer == nil || front.Answer.Status >= http.StatusInternalServerError {
			return fail(SiteDown, "start the app, or see its log, and that of the proxy before it", "%s answers %d, and its front page is no better%s", l.URI, status, by(v.Answer))
		}
	case unconfigured.MatchString(v.Answer.Said):
		return fail(SiteForeign, "set the site up where its name leads to, or have the name lead elsewhere", "%s shows a server's own page: %q", l.URI, v.Answer.Said)
	case status >= 300 && status < 400 && r.away(l, v.Answer.Location, visit):
		return fail(SiteForeign, "have the site's name lead to the app", "%s sends every visitor on to %s", l.URI, v.Answer.Location)
	}
	return Verdict{Outcome: OK}
}

// unconfigured are the pages that servers show where no site is set up.
var unconfigured = regexp.MustCompile(`(?i)welcome to (nginx|openresty|caddy|tengine|centos|apache)|apache2? .{0,20}default page|^it works!$|iis windows server|test page for the|default backend|domain (is|may be) for sale|is parked`)

// away says whether a site sends everybody to another host, the visitor of a
// made-up address as well. The door is none: a site whose every page sends people
// to log in is an app.
func (r *Round) away(l tenant.Login, location string, visit func(string) doctor.Visit) bool {
	to := originOf(location)
	if to == "" || hostOf(to) == hostOf(l.URI) {
		return false
	}
	for _, door := range r.Directory().Door {
		if to == door {
			return false
		}
	}
	made := visit(originOf(l.URI) + "/onedoor-negative-control-" + strings.ToLower(rand.Text()))
	return made.Answer != nil && made.Answer.Status >= 300 && made.Answer.Status < 400 && originOf(made.Answer.Location) == to
}

// unanswered is a site that gave no answer, and why.
func unanswered(v doctor.Visit, l tenant.Login) Verdict {
	host := hostOf(l.URI)
	name := hostname(l.URI)
	fail := func(o Outcome, fix, format string, args ...any) Verdict {
		return Verdict{Outcome: o, Fix: fix, Detail: fmt.Sprintf(format, args...)}
	}
	day := func(unix int64) string { return time.Unix(unix, 0).UTC().Format(time.DateOnly) }
	h := v.Handshake
	if h == nil {
		h = &doctor.Handshake{}
	}
	switch v.Cause() {
	case doctor.ReachUnknownName:
		return fail(SiteDNS, "add the name to the DNS", "the name %s is not known", name)
	case doctor.ReachLoopback:
		return fail(SiteAddress, "have the name lead to the site", "%s leads to this machine itself, or to nobody, and is not visited", name)
	case doctor.ReachRefused:
		return fail(SiteUnreachable, "start what should listen there", "%s refuses the connection", host)
	case doctor.ReachTimeout:
		return fail(SiteUnreachable, "see whether something runs there, and what lies between", "%s does not answer", host)
	case doctor.ReachUnreachable, doctor.ReachBlocked:
		return fail(SiteUnreachable, "ask whoever runs the network between", "there is no way to %s", host)
	case doctor.TLSExpired:
		return fail(SiteExpired, "renew the certificate of "+name, "its certificate ended on %s", day(h.NotAfter))
	case doctor.TLSNotYet:
		return fail(SiteExpired, "see the clocks of both machines", "its certificate begins on %s", day(h.NotBefore))
	case doctor.TLSName:
		return fail(SiteName, "have a certificate issued for "+name, "its certificate is for %s", strings.Join(h.Names, ", "))
	case doctor.TLSAuthority:
		return fail(SiteAuthority, "use a certificate that browsers trust; with an authority of your own, name it: --ca-file, verify.ca_file", "its certificate is issued by %q, which is not trusted", h.Issuer)
	case doctor.TLSChain:
		return fail(SiteAuthority, "let the server send the intermediate certificate behind its own", "the server sends its own certificate alone, issued by %q", h.Issuer)
	case doctor.TLSScheme, doctor.TLSFailed:
		return fail(SiteTLS, "openssl s_client -connect "+host+" says more", "the TLS handshake with %s fails", host)
	}
	return fail(Unclear, "", "%s: %s", host, v.Error) // our own name service, or no time left
}

func by(a *doctor.Answer) string {
	if a.Server == "" {
		return ""
	}
	return " (" + a.Server + ")"
}

func originOf(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return ""
	}
	return u.Scheme + "://" + u.Host
}

func hostOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return address
	}
	return u.Host
}

func hostname(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return address
	}
	return u.Hostname()
}
