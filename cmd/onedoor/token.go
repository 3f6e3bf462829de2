package main

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"onedoor/admin"
)

// tokenCommand looks after the tokens of the admin API.
type tokenCommand struct {
	List   tokenList   `cmd:"" help:"List tokens, without their secrets."`
	Add    tokenAdd    `cmd:"" help:"Add a token; its secret is shown once."`
	Remove tokenRemove `cmd:"" help:"Remove tokens: they are none from then on."`
}

type tokenList struct {
	registryFlags
	JSON bool `name:"json" help:"Print JSON."`
}

type tokenAdd struct {
	registryFlags
	Scopes  []string      `env:"-" name:"scope" required:"" placeholder:"SCOPE" help:"What it may do; may be repeated. One of ${scopes}."`
	Expires time.Duration `env:"-" placeholder:"DURATION" help:"When it ends, from now: 720h is thirty days. By default never."`
	JSON    bool          `name:"json" help:"Print JSON."`
	Name    string        `arg:"" help:"What the audit log calls who uses it."`
}

type tokenRemove struct {
	registryFlags
	JSON  bool     `name:"json" help:"Print which were removed, as JSON."`
	Names []string `arg:"" name:"name" help:"Which, by their names."`
}

// Run prints a table.
func (c *tokenList) Run(t *terminal) error {
	return c.registry(t, func(r *registrar) error {
		list, err := readTokens(t, r)
		switch {
		case err != nil:
			return t.refusal(err)
		case c.JSON:
			return t.json(list)
		case len(list) == 0:
			fmt.Fprintln(t.out, "There are no tokens. Add one: onedoor token add --scope tenants:write back-office")
			return nil
		}
		rows := [][]string{{"NAME", "ID", "SINCE", "EXPIRES", "SCOPES"}}
		for _, x := range list {
			expires := "-"
			if x.ExpiresAt != nil {
				expires = x.ExpiresAt.Format(time.RFC3339)
			}
			rows = append(rows, []string{x.Name, x.ID, x.CreatedAt.Format(time.DateOnly), expires, strings.Join(x.Scopes, " ")})
		}
		return t.table(rows)
	})
}

func readTokens(t *terminal, r *registrar) ([]admin.Token, error) {
	var got struct{ Tokens []admin.Token }
	err := r.call(t.ctx, http.MethodGet, pathOf("tokens"), nil, nil, &got)
	return got.Tokens, err
}

// Run adds a token and shows its secret.
func (c *tokenAdd) Run(t *terminal) error {
	body := admin.TokenBody{Name: c.Name, Scopes: c.Scopes}
	if c.Expires != 0 {
		body.ExpiresAt = new(time.Now().Add(c.Expires).UTC().Truncate(time.Second))
	}
	return c.registry(t, func(r *registrar) error {
		var x admin.NewToken
		if err := r.call(t.ctx, http.MethodPost, pathOf("tokens"), nil, body, &x); err != nil {
			return t.refusal(err)
		}
		if c.JSON {
			return t.json(x)
		}
		rows := [][]string{{"name", x.Name}, {"token", x.Secret + "   (shown this once)"}, {"scopes", strings.Join(x.Scopes, " ")}}
		if x.ExpiresAt != nil {
			rows = append(rows, []string{"expires", x.ExpiresAt.Format(time.RFC3339)})
		}
		return t.table(rows)
	})
}

// Run removes tokens, up to the first that is not there.
func (c *tokenRemove) Run(t *terminal) error {
	return c.registry(t, func(r *registrar) error {
		list, err := readTokens(t, r)
		if err != nil {
			return t.refusal(err)
		}
		ids := map[string]string{}
		for _, x := range list {
			ids[x.Name] = x.ID
		}
		return t.eachRemoved(c.JSON, c.Names, func(name string) error {
			if ids[name] == "" {
				return found(fmt.Errorf("there is no token %q", name), "onedoor token list shows which there are")
			}
			return t.refusal(r.call(t.ctx, http.MethodDelete, pathOf("tokens", ids[name]), nil, nil, nil))
		})
	})
}
