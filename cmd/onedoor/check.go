package main

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"onedoor/config"
)

type checkCommand struct {
	configFlag
	JSON bool `name:"json" help:"Print JSON."`
}

// checkResult is what --json prints.
type checkResult struct {
	OK       bool            `json:"ok"`
	Problems config.Problems `json:"problems"`
	Meaning  *meaning        `json:"meaning,omitempty"`
}

// Run validates the file and says what it means, on one screen. Nothing is
// started and nothing but the files that the configuration names is read.
func (c *checkCommand) Run(t *terminal) error {
	cfg, err := config.Load(c.Config, os.LookupEnv)
	var problems config.Problems
	if err != nil && !errors.As(err, &problems) {
		return couldNotLook(err, "")
	}
	if c.JSON {
		return c.json(t, cfg, problems)
	}
	if err != nil {
		return err
	}
	return meaningOf(cfg).print(t, c.Config)
}

func (c *checkCommand) json(t *terminal, cfg *config.Config, problems config.Problems) error {
	r := checkResult{OK: cfg != nil, Problems: problems}
	if cfg != nil {
		m := meaningOf(cfg)
		r.Meaning, r.Problems = &m, config.Problems{}
	}
	if err := t.json(r); err != nil {
		return couldNotLook(err, "")
	}
	switch {
	case problems.Unreadable():
		return alreadySaid(2)
	case len(problems) > 0:
		return alreadySaid(1)
	}
	return nil
}

// meaning is a configuration in the words of those who must set up the rest.
type meaning struct {
	Public    []string          `json:"public_origins"`
	Internal  []string          `json:"internal_origins"`
	Listeners []meantListener   `json:"listeners"`
	Provider  string            `json:"provider"`
	Issuers   []string          `json:"issuers"`
	Apps      []meantApp        `json:"apps"`
	Tenants   string            `json:"tenants"`
	Others    map[string]string `json:"others"`
	Warnings  []string          `json:"warnings"`
}

type meantListener struct {
	Address string   `json:"address"`
	Serves  []string `json:"serves"`
	Notes   string   `json:"notes,omitempty"`
}

type meantApp struct {
	Name     string `json:"name"`
	ClientID string `json:"client_id"`
	Mode     string `json:"mode"`
	Type     string `json:"type"`
	Issuer   string `json:"issuer"`
	// Accepts are redirect URIs that the app may send, with a sample tenant.
	Accepts []string `json:"accepts"`
	// Register and RegisterLogout are what the provider must know.
	Register       []string `json:"register_redirect_uris"`
	RegisterLogout []string `json:"register_post_logout_redirect_uris"`
}

func meaningOf(c *config.Config) meaning {
	m := meaning{
		Public:   append([]string{c.PublicURL}, c.PublicAliases...),
		Internal: append([]string{}, c.InternalURLs...),
		Provider: c.Provider.Upstream,
		Warnings: append([]string{}, c.Warnings()...),
		Others: map[string]string{
			"database": databaseName(string(c.Database)), "log": c.Log.Format + ", " + c.Log.Level,
			"login_ttl": short(c.Seal.LoginTTL.String()), "code_ttl": short(c.Seal.CodeTTL.String()),
		},
	}
	if c.Provider.Embedded != nil {
		m.Provider = "embedded"
	} else if c.Provider.Kind != "" {
		m.Provider += " (" + c.Provider.Kind + ")"
	}
	for _, l := range c.Listeners {
		m.Listeners = append(m.Listeners, meantListener{l.Address, l.Serves, listenerNotes(l)})
	}
	if c.Admin.Open {
		notes := ""
		if c.Admin.TLS != nil {
			notes = "https with " + c.Admin.TLS.CertFile
		}
		m.Listeners = append(m.Listeners, meantListener{c.Admin.Listen, []string{"admin"}, notes})
	}
	for _, path := range c.Provider.Issuers {
		m.Issuers = append(m.Issuers, c.IssuerURL(path))
	}
	m.Apps = []meantApp{}
	for _, name := range slices.Sorted(maps.Keys(c.Apps)) {
		m.Apps = append(m.Apps, meantAppOf(c, c.Apps[name]))
	}
	m.Tenants = "those in the database"
	if n := len(c.Tenants.List); n > 0 {
		m.Tenants = strings.Join(c.Tenants.List[:min(n, 5)], ", ")
		if n > 5 {
			m.Tenants += fmt.Sprintf(" and %d more", n-5)
		}
		m.Tenants += "; those in the database"
	}
	if c.Tenants.Admit == "any" {
		m.Tenants = "every label that is not reserved"
	}
	return m
}

func listenerNotes(l config.Listener) string {
	var notes []string
	switch {
	case l.TLS != nil && l.TLS.ACME != nil:
		notes = append(notes, "https by ACME")
	case l.TLS != nil:
		notes = append(notes, "https with "+l.TLS.CertFile)
	}
	if len(l.TrustedProxies) > 0 {
		networks := make([]string, len(l.TrustedProxies))
		for i, p := range l.TrustedProxies {
			networks[i] = p.String()
		}
		notes = append(notes, "believes "+l.Forwarded+" of "+strings.Join(networks, ", "))
	}
	return strings.Join(notes, "; ")
}

func meantAppOf(c *config.Config, a *config.App) meantApp {
	m := meantApp{
		Name: a.Name, ClientID: a.ClientID, Mode: a.Mode, Type: a.Type, Issuer: c.IssuerURL(a.Issuer),
		Register: []string{a.RegisteredRedirectURI}, RegisterLogout: []string{},
	}
	sample := "acme"
	if len(c.Tenants.List) > 0 {
		sample = c.Tenants.List[0]
	}
	for _, path := range a.Callbacks {
		m.Accepts = append(m.Accepts, strings.Replace(a.Site, "{tenant}", sample, 1)+path)
	}
	m.Accepts = append(m.Accepts, a.RedirectURIs...)
	if len(a.Logouts) > 0 {
		m.RegisterLogout = append(m.RegisterLogout, c.RegisteredLogoutURI(a))
	}
	if a.Mode == "relay" {
		m.Register = []string{c.PublicURL + relayPath(c, a) + "/" + sample + "/callback"}
		m.RegisterLogout = []string{}
	}
	return m
}

// relayPath is where an app's relay begins: the short form belongs to a single
// app, or to the only one in relay mode.
func relayPath(c *config.Config, a *config.App) string {
	relays := 0
	for _, other := range c.Apps {
		if other.Mode == "relay" {
			relays++
		}
	}
	if len(c.Apps) == 1 || relays == 1 && a.Mode == "relay" {
		return "/tenants"
	}
	return "/apps/" + a.Name + "/tenants"
}

// databaseName is the database without what may hold a password.
func databaseName(database string) string {
	scheme, rest, ok := strings.Cut(database, "://")
	if !ok {
		return database
	}
	rest, _, _ = strings.Cut(rest, "?") // a password may stand on either side of it
	return scheme + "://" + rest[strings.LastIndexByte(rest, '@')+1:]
}

// short drops the zeroes that time.Duration prints: 1h0m0s is 1h.
func short(d string) string {
	d = strings.TrimSuffix(d, "0s")
	if strings.HasSuffix(d, "h0m") {
		d = strings.TrimSuffix(d, "0m")
	}
	return d
}
