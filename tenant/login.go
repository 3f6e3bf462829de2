package tenant

import (
	"cmp"
	"context"
	"strings"
)

// Login is where the logins of a tenant at an app begin and end.
type Login struct {
	Target        // the site's callback, where a login ends
	Issuer string // the path of the issuer, with the tenant's label in it

	RedirectURI string // what the app sends
	Registered  string // what the provider knows
	Relay       string // the relay's address that leads to the same callback; "" where there is none

	Refused *Refusal // why the door would not let it begin
}

// Logins are those of a tenant: one for each app that has a site for it and an
// issuer that knows its people. A Refusal says why it has none.
func (d *Directory) Logins(ctx context.Context, label string) ([]Login, *Refusal) {
	t, no := d.active(ctx, label)
	if no != nil {
		return nil, no
	}
	var all []Login
	for _, app := range d.Apps {
		if len(app.Callbacks) == 0 || app.Site.IsZero() && t.Sites[app.Name] == "" {
			continue
		}
		to := Target{App: app, Tenant: t, URI: onSite(app, t, app.Callbacks[0])}
		issuer := cmp.Or(app.Issuer, d.Issuers[0])
		if other := to.At(issuer); other != nil {
			no = other
			continue
		}
		l := Login{Target: to, Issuer: strings.Replace(issuer, placeholder, label, 1)}
		l.Registered = strings.Replace(app.RegisteredRedirectURI, placeholder, label, 1)
		if !app.Site.IsZero() {
			l.Relay = d.Door[0] + d.relayOf(app) + "/" + label + "/callback"
		}
		l.RedirectURI = to.URI
		if app.Mode == Relay {
			l.RedirectURI, l.Registered = l.Relay, l.Relay
		} else if _, bad := d.RedirectURI(ctx, app, to.URI); bad != nil {
			l.Refused = bad
		}
		all = append(all, l)
	}
	if len(all) == 0 && no != nil {
		return nil, no
	}
	return all, nil
}

// relayOf begins the relay paths of an app.
func (d *Directory) relayOf(app *App) string {
	if d.shortForm() == app {
		return "/tenants"
	}
	return "/apps/" + app.Name + "/tenants"
}
