package config

import (
	"net/url"
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
