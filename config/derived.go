package config

import "strings"

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
	if len(c.Provider.Issuers) < 2 || a.Issuer == "/" {
		return ""
	}
	return a.Issuer
}

// RegisteredLogoutURI is the one post-logout redirect URI that the provider
// knows for an app, told apart as its redirect URI is.
func (c *Config) RegisteredLogoutURI(a *App) string {
	return c.PublicURL + "/onedoor/logout" + strings.TrimPrefix(a.RegisteredRedirectURI, c.callback())
}
