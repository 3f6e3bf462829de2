package config

import (
	"maps"
	"net/url"
	"slices"
	"strings"

	"onedoor/tenant"
)

// environment is what package tenant judges an app's templates by.
func (c *Config) environment(a *App) tenant.Environment {
	return tenant.Environment{
		Production: !isLocal(hostOf(c.PublicURL)),
		Insecure:   a.Insecure,
		Native:     a.Type == "native",
		Door:       c.Doors(),
	}
}

// checkTemplate says what is wrong with a redirect URI or a site, with or
// without {tenant}. The rule is package tenant's.
func checkTemplate(text string, c *Config, a *App) (message, hint string) {
	_, err := tenant.ParseTemplate(text, c.environment(a))
	if err == nil {
		return "", ""
	}
	if strings.HasPrefix(text, "http://") && !a.Insecure {
		asIfInsecure := c.environment(a)
		asIfInsecure.Insecure = true
		if _, err := tenant.ParseTemplate(text, asIfInsecure); err == nil {
			return quote(text) + " is http, where everybody on the network reads the login", httpHint(c, text)
		}
	}
	return quote(text) + ": " + err.Error(), ""
}

func httpHint(c *Config, text string) string {
	u, err := url.Parse(strings.ReplaceAll(text, "{tenant}", "t"))
	if err == nil && isLocal(u.Hostname()) {
		return "use https; or, while public_url (" + c.PublicURL + ") is not of this machine, write insecure: true beside it"
	}
	return "use https, or a localhost name for development, or write insecure: true beside it"
}

// Directory is the apps of this file as package tenant knows them, in the order
// of their names, over the registry that knows the tenants.
func (c *Config) Directory(registry tenant.Registry) (*tenant.Directory, error) {
	d := &tenant.Directory{Registry: registry, Reserved: c.Tenants.Reserved, Door: c.Doors()}
	for _, name := range slices.Sorted(maps.Keys(c.Apps)) {
		a := c.Apps[name]
		app := &tenant.App{
			Name: a.Name, ClientID: a.ClientID, Mode: tenant.Mode(a.Mode), Type: tenant.Type(a.Type),
			Callbacks: a.Callbacks, Logouts: a.Logouts, RedirectURIs: a.RedirectURIs,
			Issuer: a.Issuer, RegisteredRedirectURI: a.RegisteredRedirectURI, RegisteredLogoutURI: c.RegisteredLogoutURI(a),
			Authorize: a.Authorize, RequirePAR: a.RequirePushedAuthorizationRequests,
			BrowserBinding: a.BrowserBinding, AcceptUnboundCodes: a.AcceptUnboundCodes,
		}
		if a.Site != "" {
			site, err := tenant.ParseTemplate(a.Site, c.environment(a))
			if err != nil {
				return nil, err // Load has refused such a file
			}
			app.Site = site
		}
		d.Apps = append(d.Apps, app)
	}
	return d, nil
}

// Registry is the tenants of `list`, and where `admit` is any, every label that
// fits. What a database knows is a registry of its own.
func (c *Config) Registry() tenant.Registry {
	var list tenant.List
	for _, label := range c.Tenants.List {
		list = append(list, tenant.Tenant{ID: label, Label: label, Status: tenant.Active})
	}
	if c.Tenants.Admit == "any" {
		return tenant.Any{Registry: list}
	}
	return list
}
