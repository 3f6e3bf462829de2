package tenant

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"

	"onedoor/oidc"
)

// RedirectURI decides whether a login of the app may end at uri, which is the
// parameter's value after exactly one decoding. The answer holds at this moment
// only: it is asked for again at the callback and at the token request, because
// a seal says what was asked and not what is allowed.
func (d *Directory) RedirectURI(ctx context.Context, app *App, uri string) (Target, *Refusal) {
	return d.target(ctx, app, uri, "redirect_uri", app.Callbacks, app.RedirectURIs)
}

// LogoutURI decides the same for a post_logout_redirect_uri
// (OIDC RP-Initiated Logout §2, §3).
func (d *Directory) LogoutURI(ctx context.Context, app *App, uri string) (Target, *Refusal) {
	return d.target(ctx, app, uri, "post_logout_redirect_uri", app.Logouts, nil)
}

func (d *Directory) target(ctx context.Context, app *App, uri, rule string, paths, exact []string) (Target, *Refusal) {
	if why := malformed(uri); why != "" {
		return Target{}, refuse(rule+".malformed", uri, why, nil)
	}
	for _, door := range d.Door {
		if uri == door || strings.HasPrefix(uri, door+"/") || strings.HasPrefix(uri, door+"?") {
			return Target{}, refuse(rule+".door", uri, "an address of the app, not of the door: that would be a loop", nil)
		}
	}
	if slices.Contains(exact, uri) || (app.Type == Native && anyPort(exact, uri)) {
		return Target{App: app, URI: uri}, nil
	}
	var near *Refusal // a member of the set, but for its tenant
	for _, path := range paths {
		site, ok := strings.CutSuffix(uri, path)
		if !ok {
			continue
		}
		t, no := d.bySite(ctx, app, site)
		if no == nil {
			return Target{App: app, Tenant: t, URI: uri}, nil
		}
		if no.Rule != noSite {
			near = no
		}
	}
	if near != nil {
		return Target{}, near
	}
	want, differs := nearest(app, uri, paths, exact)
	no := refuse(rule+".unknown", uri, want, nil)
	no.Differs = differs
	return Target{}, no
}

// noSite is the rule of an origin that is nobody's site; target says more.
const noSite = "site.unknown"

// bySite finds the active tenant whose site for the app is exactly that origin.
func (d *Directory) bySite(ctx context.Context, app *App, site string) (Tenant, *Refusal) {
	if label, ok := app.Site.label(site); ok && app.Site.Expand(label) == site {
		return d.active(ctx, label)
	}
	if site == "" || len(site) > maxURI {
		return Tenant{}, refuse(noSite, site, "a site of the app", ErrUnknown)
	}
	t, err := d.Registry.BySite(ctx, app.Name, site)
	if no := check(t, site, err); no != nil {
		if no.Rule == "tenant.unknown" {
			no.Rule = noSite
		}
		return Tenant{}, no
	}
	if slices.Contains(d.Reserved, t.Label) {
		return Tenant{}, refuse("tenant.reserved", t.Label, "a label that is not reserved", ErrUnknown)
	}
	return t, nil
}

// Site says whether an origin is, at this moment, the site of an active tenant
// of an app in transparent mode, or of one of its exact redirect URIs: scripts
// from there may read what the app's own requests bring.
func (d *Directory) Site(ctx context.Context, origin string) bool {
	for _, app := range d.Apps {
		if app.Mode != Transparent {
			continue
		}
		if _, no := d.bySite(ctx, app, origin); no == nil {
			return true
		}
		for _, uri := range app.RedirectURIs {
			if rest, ok := strings.CutPrefix(uri, origin); ok && strings.HasPrefix(uri, "http") && (rest == "" || rest[0] == '/' || rest[0] == '?') {
				return true
			}
		}
	}
	return false
}

// onSite is a path on a tenant's site for the app; "" is its origin.
func onSite(app *App, t Tenant, path string) string {
	if s := t.Sites[app.Name]; s != "" {
		return s + path
	}
	return app.Site.on(t.Label, path)
}

// Site is the origin of a tenant's site for the app, "" where it has none: the
// way back for a login that cannot go on.
func (t Target) Site() string {
	if t.App == nil || t.Tenant.Label == "" {
		return ""
	}
	return onSite(t.App, t.Tenant, "")
}

// Parameters are what is added to the target's authorization requests: the
// app's, with {tenant} replaced, and the tenant's own, which win. Those that
// speak of a tenant are left out where there is none.
func (t Target) Parameters() oidc.Params {
	if len(t.App.Authorize)+len(t.Tenant.Parameters) == 0 {
		return nil
	}
	all := map[string]string{}
	for name, value := range t.App.Authorize {
		if t.Tenant.Label == "" && strings.Contains(value, placeholder) {
			continue
		}
		all[name] = strings.ReplaceAll(value, placeholder, t.Tenant.Label)
	}
	maps.Copy(all, t.Tenant.Parameters)
	ps := make(oidc.Params, 0, len(all))
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if !mayBeAdded(name) {
			continue // written past CheckParameters
		}
		ps = append(ps, oidc.Param{Name: name, Value: all[name]})
	}
	return ps
}

// At refuses a target whose tenant belongs to another issuer than the one that
// was asked, a path of provider.issuers: people of one issuer are nobody at
// another, and a code of one is none of its tenant's (RFC 9700 §4.4).
func (t Target) At(issuer string) *Refusal {
	want := t.Tenant.Issuer
	if want == "" || issuer == "" || want == issuer || want == strings.Replace(issuer, placeholder, t.Tenant.Label, 1) {
		return nil
	}
	return refuse("tenant.issuer", issuer, "the issuer "+want+" of tenant "+t.Tenant.Label, ErrUnknown)
}

// Again looks a target up once more, from what a sealed value says: the same
// URI for the same tenant. A label that was given to another tenant in between
// is refused.
func (d *Directory) Again(ctx context.Context, app *App, uri, tenantID string) (Target, *Refusal) {
	return again(d.RedirectURI(ctx, app, uri))(tenantID)
}

// AgainLogout does the same for a logout.
func (d *Directory) AgainLogout(ctx context.Context, app *App, uri, tenantID string) (Target, *Refusal) {
	return again(d.LogoutURI(ctx, app, uri))(tenantID)
}

func again(t Target, no *Refusal) func(tenantID string) (Target, *Refusal) {
	return func(tenantID string) (Target, *Refusal) {
		if no == nil && t.Tenant.ID != tenantID {
			return Target{}, refuse("tenant.changed", t.Tenant.Label, "the tenant that the login began with", ErrUnknown)
		}
		return t, no
	}
}

// malformed says why a URI cannot be a redirect URI, whoever asks: it holds
// characters outside RFC 3986 §2, on which parsers differ, broken
// percent-encoding, or a fragment (RFC 6749 §3.1.2).
func malformed(uri string) string {
	if uri == "" {
		return "a redirect URI"
	}
	if len(uri) > maxURI {
		return "at most " + strconv.Itoa(maxURI) + " characters"
	}
	for i := 0; i < len(uri); i++ {
		c := uri[i]
		switch {
		case c == '#':
			return "no fragment"
		case c == '%':
			if i+2 >= len(uri) || !isHex(uri[i+1]) || !isHex(uri[i+2]) {
				return "two hex digits after each percent sign"
			}
		case outsideURI[c]:
			return "the characters of RFC 3986 only"
		}
	}
	return ""
}

// outsideURI are the octets that RFC 3986 §2 lets stand nowhere in a URI.
var outsideURI = func() (t [256]bool) {
	for c := range t {
		t[c] = c <= ' ' || c > '~' || strings.IndexByte("\"<>\\^`{|}", byte(c)) >= 0
	}
	return t
}()

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

// anyPort applies the one exception to exact matching: the port of a native
// app's loopback redirect URI, which its operating system chose (RFC 8252 §7.3).
func anyPort(exact []string, uri string) bool {
	for _, e := range exact {
		for _, host := range []string{"http://127.0.0.1", "http://[::1]", "http://localhost"} {
			path, ok := strings.CutPrefix(e, host)
			if !ok || (path != "" && path[0] != ':' && path[0] != '/') {
				continue // of another host whose name begins so
			}
			if i := strings.IndexByte(path, '/'); i >= 0 {
				path = path[i:] // the registered port, if any, is of no account
			} else {
				path = ""
			}
			rest, ok := strings.CutPrefix(uri, host+":")
			if !ok {
				continue
			}
			port, ok := strings.CutSuffix(rest, path)
			if ok && validPort(port) {
				return true
			}
		}
	}
	return false
}

// validPort accepts 1 to 65535 in one spelling only.
func validPort(s string) bool {
	n, err := strconv.ParseUint(s, 10, 16)
	return err == nil && n > 0 && strconv.FormatUint(n, 10) == s
}
