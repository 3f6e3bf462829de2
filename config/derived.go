package config

import (
	"maps"
	"slices"
	"strings"

	"onedoor/horizon"
	"onedoor/seal"
	"onedoor/tenant"
)

// Doors are all origins of the door itself, the public one first.
func (c *Config) Doors() []string {
	doors := append([]string{c.PublicURL}, c.PublicAliases...)
	return append(doors, c.InternalURLs...)
}

// IssuerURL is the issuer of a path in provider.issuers. "/" is the origin
// itself, without a slash behind it.
func (c *Config) IssuerURL(path string) string {
	if path == "/" {
		return c.PublicURL
	}
	return c.PublicURL + path
}

// callback is the address of the door that responses come to.
func (c *Config) callback() string { return c.PublicURL + "/onedoor/callback" }

// issuerSuffix tells the registered URIs of several issuers apart, so that a
// response can not be taken for another issuer's (RFC 9700 §4.4.2).
func (c *Config) issuerSuffix(a *App) string {
	if (len(c.Provider.Issuers) < 2 && !strings.Contains(a.Issuer, "{tenant}")) || a.Issuer == "/" {
		return ""
	}
	return a.Issuer
}

// RegisteredLogoutURI is the one post-logout redirect URI that the provider
// knows for an app, told apart as its redirect URI is.
func (c *Config) RegisteredLogoutURI(a *App) string {
	return c.PublicURL + "/onedoor/logout" + strings.TrimPrefix(a.RegisteredRedirectURI, c.callback())
}

// Horizon is a listener as package horizon knows it: the origins that it serves
// and whom it believes.
func (c *Config) Horizon(l Listener) *horizon.Listener {
	h := &horizon.Listener{TLS: l.TLS != nil, TrustedProxies: l.TrustedProxies, Forwarded: horizon.Forwarded(l.Forwarded)}
	if slices.Contains(l.Serves, "public") {
		h.Public = append([]string{c.PublicURL}, c.PublicAliases...)
	}
	if slices.Contains(l.Serves, "internal") {
		h.Internal = c.InternalURLs
	}
	return h
}

// Directory is the apps of this file as package tenant knows them, in the order
// of their names, over the registry that knows the tenants.
func (c *Config) Directory(registry tenant.Registry) (*tenant.Directory, error) {
	d := &tenant.Directory{Registry: registry, Issuers: c.Provider.Issuers, Reserved: c.Tenants.Reserved, Door: c.Doors()}
	for _, name := range slices.Sorted(maps.Keys(c.Apps)) {
		a := c.Apps[name]
		app := &tenant.App{
			Name: a.Name, ClientID: a.ClientID, Mode: tenant.Mode(a.Mode), Type: tenant.Type(a.Type),
			Environment: c.environment(a), Callbacks: a.Callbacks, Logouts: a.Logouts, RedirectURIs: a.RedirectURIs,
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

// Box encrypts what lies in the database; without a key it is nil, and nothing
// is encrypted.
func (c *Config) Box() (*seal.Box, error) {
	var keys [][]byte
	for _, text := range strings.Fields(string(c.EncryptionKey)) {
		key, err := seal.ParseBoxKey(text)
		if err != nil {
			return nil, err // Load has refused such a file
		}
		keys = append(keys, key)
	}
	if keys == nil {
		return nil, nil //nolint:nilnil // a nil Box is one that encrypts nothing
	}
	return seal.NewBox(keys...)
}

// Registry is the tenants of the database with those of `list` beside them, and
// where `admit` is any, every label that fits.
func (c *Config) Registry(database tenant.Registry) tenant.Registry {
	list := make(tenant.Labels, len(c.Tenants.List))
	for _, label := range c.Tenants.List {
		list[label] = struct{}{}
	}
	listed := tenant.Listed{Registry: database, Labels: list}
	if c.Tenants.Admit == "any" {
		return tenant.Any{Registry: listed}
	}
	return listed
}
