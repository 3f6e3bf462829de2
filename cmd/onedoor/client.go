package main

import (
	"fmt"
	"strings"
	"time"

	"onedoor/config"
	"onedoor/provider"
	"onedoor/store"
)

// clientCommand manages the OAuth clients of the embedded provider.
type clientCommand struct {
	List   clientList   `cmd:"" help:"List every client."`
	Add    clientAdd    `cmd:"" help:"Add a client; its secret is generated and shown once."`
	Set    clientSet    `cmd:"" help:"Change a client, or give it a new secret."`
	Remove clientRemove `cmd:"" help:"Remove clients, and every grant that they hold."`
}

type clientList struct {
	configFlag
	JSON bool `name:"json" help:"Print JSON."`
}

// clientFlags are what add and set have in common.
type clientFlags struct {
	Name                   *string  `env:"-" help:"What people are shown."`
	RedirectURIs           []string `env:"-" name:"redirect-uri" sep:"none" placeholder:"URI" help:"A redirect URI, exactly; may be repeated."`
	PostLogoutRedirectURIs []string `env:"-" name:"post-logout-redirect-uri" sep:"none" placeholder:"URI" help:"Where a logout may lead, exactly; may be repeated."`
	IDTokenAlg             *string  `env:"-" name:"id-token-alg" enum:"RS256,ES256" help:"How ID tokens are signed: RS256, the default, or ES256."`
	RequirePAR             *bool    `env:"-" name:"require-pushed-authorization-requests" negatable:"" help:"Refuse authorization requests that were not pushed."`
	Insecure               bool     `env:"-" help:"Permit http redirect URIs outside this machine."`
	JSON                   bool     `name:"json" help:"Print JSON."`
}

type clientAdd struct {
	configFlag
	clientFlags
	App         string `env:"-" help:"An app of the configuration: its client_id, its type and what it needs registered are taken from there."`
	Type        string `env:"-" enum:"confidential,public,native," default:"" help:"confidential (the default), public or native."`
	SecretStdin bool   `env:"-" help:"Read the secret from the first line of standard input."`
	ClientID    string `arg:"" optional:"" help:"The client_id; generated where neither it nor --app is given."`
}

type clientSet struct {
	configFlag
	clientFlags
	NewSecret bool   `env:"-" help:"Replace the secret by a generated one, shown once."`
	ClientID  string `arg:"" help:"Which."`
}

type clientRemove struct {
	configFlag
	JSON      bool     `name:"json" help:"Print which were removed, as JSON."`
	ClientIDs []string `arg:"" help:"Which."`
}

// Run prints a table.
func (c *clientList) Run(t *terminal) error {
	return c.embedded(t, func(_ *config.Config, db *store.DB) error {
		clients, err := provider.Clients(t.ctx, db)
		switch {
		case err != nil:
			return couldNotLook(err, "")
		case c.JSON:
			return t.json(clients)
		case len(clients) == 0:
			fmt.Fprintln(t.out, "There are no clients. Add one for an app of the configuration: onedoor client add --app NAME")
			return nil
		}
		rows := [][]string{{"CLIENT_ID", "NAME", "TYPE", "SINCE", "REDIRECT URIS"}}
		for _, x := range clients {
			rows = append(rows, []string{x.ID, dash(x.Name), string(x.Type), x.CreatedAt.Format(time.DateOnly), strings.Join(x.RedirectURIs, " ")})
		}
		return t.table(rows)
	})
}

// Run adds a client.
func (c *clientAdd) Run(t *terminal) error {
	return c.embedded(t, func(cfg *config.Config, db *store.DB) error {
		client, insecure, err := c.client(cfg)
		if err != nil {
			return err
		}
		given := ""
		if c.SecretStdin {
			if given, err = t.secret(); err != nil {
				return err
			}
		}
		client, secret, err := provider.AddClient(t.ctx, db, client, given, insecure)
		if err != nil {
			return explainAccount(err, "client")
		}
		if given != "" {
			secret = ""
		}
		return showClient(t, c.JSON, client, secret)
	})
}

// client is what the flags, and the app that they name, say.
func (c *clientAdd) client(cfg *config.Config) (provider.Client, bool, error) {
	client := provider.Client{
		ID: c.ClientID, Type: provider.Type(c.Type),
		RedirectURIs: c.RedirectURIs, PostLogoutURIs: c.PostLogoutRedirectURIs,
	}
	if c.Name != nil {
		client.Name = *c.Name
	}
	if c.IDTokenAlg != nil {
		client.IDTokenAlg = *c.IDTokenAlg
	}
	client.RequirePushedRequests = c.RequirePAR != nil && *c.RequirePAR
	if c.App == "" {
		return client, c.Insecure, nil
	}
	a := cfg.Apps[c.App]
	if a == nil {
		return client, false, found(fmt.Errorf("%s has no app %q", c.Config, c.App), "onedoor check shows which there are")
	}
	if c.ClientID != "" && c.ClientID != a.ClientID {
		return client, false, &failure{code: 2, message: fmt.Sprintf("client_id %q is not that of app %s, %q", c.ClientID, c.App, a.ClientID), hint: "leave it out: --app says it"}
	}
	client.ID = a.ClientID
	if client.Type == "" {
		client.Type = provider.Type(a.Type)
	}
	redirects, logouts := registrations(cfg, a)
	client.RedirectURIs = append(client.RedirectURIs, redirects...)
	client.PostLogoutURIs = append(client.PostLogoutURIs, logouts...)
	if c.RequirePAR == nil {
		client.RequirePushedRequests = a.RequirePushedAuthorizationRequests
	}
	return client, c.Insecure || cfg.Insecure || a.Insecure, nil
}

// registrations are what the provider must know for an app: in transparent mode
// the door's own addresses; for a relay, one for each tenant of the file.
func registrations(cfg *config.Config, a *config.App) (redirects, logouts []string) {
	if a.Mode == "relay" {
		for _, tenant := range cfg.Tenants.List {
			redirects = append(redirects, cfg.PublicURL+relayPath(cfg, a)+"/"+tenant+"/callback")
		}
		return redirects, nil
	}
	if len(a.Logouts) > 0 {
		logouts = []string{cfg.RegisteredLogoutURI(a)}
	}
	return []string{a.RegisteredRedirectURI}, logouts
}

func showClient(t *terminal, asJSON bool, c provider.Client, secret string) error {
	if asJSON {
		return t.json(shownOnce{Client: &c, Secret: secret})
	}
	rows := [][]string{{"client_id", c.ID}}
	if secret != "" {
		rows = append(rows, []string{"client_secret", secret + "   (shown this once)"})
	}
	rows = append(rows, []string{"type", string(c.Type)})
	for i, uri := range c.RedirectURIs {
		rows = append(rows, []string{[]string{"redirect_uris", ""}[min(i, 1)], uri})
	}
	for i, uri := range c.PostLogoutURIs {
		rows = append(rows, []string{[]string{"after logout", ""}[min(i, 1)], uri})
	}
	return t.table(rows)
}

// Run changes what was given.
func (c *clientSet) Run(t *terminal) error {
	return c.embedded(t, func(cfg *config.Config, db *store.DB) error {
		if c.Name == nil && c.RedirectURIs == nil && c.PostLogoutRedirectURIs == nil && c.IDTokenAlg == nil && c.RequirePAR == nil && !c.NewSecret {
			return &failure{code: 2, message: "nothing to change is given", hint: "try: onedoor help client set"}
		}
		client, secret, err := provider.SetClient(t.ctx, db, c.ClientID, provider.ClientChange{
			Name: c.Name, RedirectURIs: c.RedirectURIs, PostLogoutURIs: c.PostLogoutRedirectURIs,
			IDTokenAlg: c.IDTokenAlg, RequirePushedRequests: c.RequirePAR, NewSecret: c.NewSecret,
		}, c.Insecure || cfg.Insecure)
		if err != nil {
			return explainAccount(err, "client")
		}
		return showClient(t, c.JSON, client, secret)
	})
}

// Run removes clients, up to the first that is not there.
func (c *clientRemove) Run(t *terminal) error {
	return c.embedded(t, func(_ *config.Config, db *store.DB) error {
		return t.eachRemoved(c.JSON, c.ClientIDs, func(id string) error {
			return explainAccount(provider.RemoveClient(t.ctx, db, id), "client")
		})
	})
}
