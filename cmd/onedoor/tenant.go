package main

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"onedoor/admin"
)

// tenantCommand looks after the registry of tenants.
type tenantCommand struct {
	List   tenantList   `cmd:"" help:"List tenants."`
	Show   tenantShow   `cmd:"" help:"Show all of a tenant, and what proves its own sites."`
	Add    tenantAdd    `cmd:"" help:"Add tenants; they can log in within a second."`
	Set    tenantSet    `cmd:"" help:"Change what is given of tenants."`
	Verify tenantVerify `cmd:"" help:"Prove, without an account, that tenants' logins would work."`
	Check  tenantCheck  `cmd:"" help:"Look in the DNS for the proofs of a tenant's own sites."`
	Remove tenantRemove `cmd:"" help:"Remove tenants; their labels rest for a while."`
	Import tenantImport `cmd:"" help:"Add or replace tenants from a file of CSV or JSON lines."`
	Export tenantExport `cmd:"" help:"Write every tenant to a file of CSV or JSON lines."`
}

type tenantList struct {
	registryFlags
	Prefix string `env:"-" help:"Those whose label begins so."`
	Status string `env:"-" enum:"active,suspended," default:"" help:"Those of that status."`
	Limit  int    `env:"-" default:"100" help:"How many at most (${default}); onedoor tenant export writes all."`
	JSON   bool   `name:"json" help:"Print JSON."`
}

type tenantShow struct {
	registryFlags
	JSON  bool   `name:"json" help:"Print JSON."`
	Label string `arg:"" help:"Which."`
}

// tenantFlags are what add and set have in common.
type tenantFlags struct {
	Status     *string  `env:"-" enum:"active,suspended" help:"active, or suspended: no login goes on."`
	Issuer     *string  `env:"-" placeholder:"PATH" help:"The issuer that knows its people, one of provider.issuers; empty for any."`
	Notes      *string  `env:"-" help:"For people."`
	Parameters []string `env:"-" name:"parameter" sep:"none" placeholder:"NAME=VALUE" help:"Added to its authorization requests; may be repeated. NAME= takes one away."`
	Sites      []string `env:"-" name:"site" sep:"none" placeholder:"APP=ORIGIN" help:"Its own site for an app; may be repeated. APP= takes one away."`
	Trusted    bool     `env:"-" help:"Admit those sites without a proof in the DNS."`
	JSON       bool     `name:"json" help:"Print JSON."`
}

type tenantAdd struct {
	registryFlags
	tenantFlags
	Labels []string `arg:"" name:"label" help:"Their labels."`
}

type tenantSet struct {
	registryFlags
	tenantFlags
	Labels []string `arg:"" name:"label" help:"Which."`
}

type tenantCheck struct {
	registryFlags
	JSON  bool   `name:"json" help:"Print JSON."`
	Label string `arg:"" help:"Whose."`
}

type tenantRemove struct {
	registryFlags
	JSON   bool     `name:"json" help:"Print which were removed, as JSON."`
	Labels []string `arg:"" name:"label" help:"Which."`
}

// Run prints a table.
func (c *tenantList) Run(t *terminal) error {
	if c.Limit < 1 {
		return &failure{code: 2, message: "--limit is at least 1", hint: "onedoor tenant export writes every tenant"}
	}
	return c.registry(t, func(r *registrar) error {
		list, more, err := c.read(t, r)
		if err != nil {
			return t.refusal(err)
		}
		switch {
		case c.JSON:
			return t.json(list)
		case len(list) == 0 && c.Prefix+c.Status == "":
			fmt.Fprintln(t.out, "There are no tenants. Add one: onedoor tenant add acme")
			return nil
		case len(list) == 0:
			fmt.Fprintln(t.out, "No tenant is like that.")
			return nil
		}
		rows := [][]string{{"LABEL", "STATUS", "ISSUER", "SINCE", "OWN SITES"}}
		for _, x := range list {
			rows = append(rows, []string{x.Label, x.Status, dash(x.Issuer), x.CreatedAt.Format(time.DateOnly), dash(strings.Join(sitesOf(x), " "))})
		}
		if err := t.table(rows); err != nil {
			return err
		}
		if more {
			fmt.Fprintf(t.out, "and more: --limit, --prefix and --status choose; onedoor tenant export writes all\n")
		}
		return nil
	})
}

func (c *tenantList) read(t *terminal, r *registrar) (list []admin.Tenant, more bool, err error) {
	list = []admin.Tenant{}
	query := url.Values{}
	for name, value := range map[string]string{"prefix": c.Prefix, "status": c.Status} {
		if value != "" {
			query.Set(name, value)
		}
	}
	for len(list) < c.Limit {
		query.Set("limit", strconv.Itoa(min(c.Limit-len(list), admin.MaxRows)))
		var page struct {
			Tenants []admin.Tenant
			Next    string
		}
		if err := r.call(t.ctx, http.MethodGet, "/v1/tenants?"+query.Encode(), nil, nil, &page); err != nil {
			return nil, false, err
		}
		list = append(list, page.Tenants...)
		if page.Next == "" {
			return list, false, nil
		}
		query.Set("cursor", page.Next)
	}
	return list, true, nil
}

// sitesOf are a tenant's own sites, those that are not used with why not.
func sitesOf(x admin.Tenant) []string {
	var all []string
	for _, app := range slices.Sorted(maps.Keys(x.Sites)) {
		text := app + "=" + x.Sites[app]
		if state := x.Proofs[app].State; state != "admitted" {
			text += " (" + state + ")"
		}
		all = append(all, text)
	}
	return all
}

// Run prints what is known.
func (c *tenantShow) Run(t *terminal) error {
	return c.registry(t, func(r *registrar) error {
		var x admin.Tenant
		if err := r.call(t.ctx, http.MethodGet, pathOf("tenants", c.Label), nil, nil, &x); err != nil {
			return t.refusal(err)
		}
		return t.tenant(x, c.JSON)
	})
}

// tenant prints a tenant, and what its owner has to publish.
func (t *terminal) tenant(x admin.Tenant, asJSON bool) error {
	if asJSON {
		return t.json(x)
	}
	rows := [][]string{{"label", x.Label}, {"id", x.ID}, {"status", x.Status}}
	if x.Issuer != "" {
		rows = append(rows, []string{"issuer", x.Issuer})
	}
	for i, name := range slices.Sorted(maps.Keys(x.Parameters)) {
		rows = append(rows, []string{[]string{"parameters", ""}[min(i, 1)], name + "=" + x.Parameters[name]})
	}
	for i, site := range sitesOf(x) {
		rows = append(rows, []string{[]string{"own sites", ""}[min(i, 1)], site})
	}
	if x.Notes != "" {
		rows = append(rows, []string{"notes", x.Notes})
	}
	rows = append(rows, []string{"since", x.CreatedAt.Format(time.RFC3339)}, []string{"changed", x.UpdatedAt.Format(time.RFC3339)})
	if err := t.table(rows); err != nil {
		return err
	}
	for _, app := range slices.Sorted(maps.Keys(x.Proofs)) {
		if p := x.Proofs[app]; p.Record != nil && p.State != "admitted" {
			fmt.Fprintf(t.out, "\n%s is used once its owner publishes this record; then: onedoor tenant check %s\n%s. TXT \"%s\"\n", plain(p.Origin), plain(x.Label), plain(p.Record.Name), plain(p.Record.Text))
		}
	}
	return nil
}

// pairs reads NAME=VALUE; null takes a name away.
func pairs(flag string, given []string) (map[string]*string, error) {
	all := map[string]*string{}
	for _, text := range given {
		name, value, ok := strings.Cut(text, "=")
		if !ok || name == "" {
			return nil, &failure{code: 2, message: fmt.Sprintf("--%s %q has no name", flag, text), hint: "write --" + flag + " NAME=VALUE"}
		}
		if _, again := all[name]; again {
			return nil, &failure{code: 2, message: fmt.Sprintf("--%s gives %s twice", flag, name), hint: "keep one of the two"}
		}
		all[name] = nil
		if value != "" {
			all[name] = &value
		}
	}
	return all, nil
}

// patch is what the flags change.
func (f tenantFlags) patch(labels []string) (map[string]any, error) {
	patch := map[string]any{}
	for name, value := range map[string]*string{"status": f.Status, "issuer": f.Issuer, "notes": f.Notes} {
		if value != nil {
			patch[name] = *value
		}
	}
	parameters, err := pairs("parameter", f.Parameters)
	if err != nil {
		return nil, err
	}
	sites, err := pairs("site", f.Sites)
	if err != nil {
		return nil, err
	}
	if len(parameters) > 0 {
		patch["parameters"] = parameters
	}
	if len(sites) > 0 {
		patch["sites"] = sites
	}
	switch {
	case len(sites) > 0 && len(labels) > 1:
		return nil, &failure{code: 2, message: "--site is one tenant's", hint: "name one label"}
	case len(sites) == 0 && f.Trusted:
		return nil, &failure{code: 2, message: "--trusted belongs to --site, which is not given", hint: "write --trusted --site APP=ORIGIN"}
	}
	return patch, nil
}

// admit has the door look for the proofs of the sites that were given, or
// believe in them.
func (f tenantFlags) admit(t *terminal, r *registrar, label string, patch map[string]any) error {
	sites, _ := patch["sites"].(map[string]*string)
	for _, app := range slices.Sorted(maps.Keys(sites)) {
		if sites[app] == nil {
			continue
		}
		body := map[string]any{"origin": *sites[app], "trusted": f.Trusted}
		if err := r.call(t.ctx, http.MethodPut, pathOf("tenants", label, "sites", app), nil, body, nil); err != nil {
			return err
		}
	}
	return nil
}

// each does something with every label, up to the first that goes wrong, and
// shows the tenants.
func (f tenantFlags) each(t *terminal, r *registrar, labels []string, patch map[string]any, do func(label string) error) error {
	var done []admin.Tenant
	for _, label := range labels {
		if err := do(label); err != nil {
			return t.refusal(naming(err, label))
		}
		if err := f.admit(t, r, label, patch); err != nil {
			return t.refusal(err)
		}
		var x admin.Tenant
		if err := r.call(t.ctx, http.MethodGet, pathOf("tenants", label), nil, nil, &x); err != nil {
			return t.refusal(err)
		}
		if done = append(done, x); len(labels) > 1 && !f.JSON {
			fmt.Fprintf(t.out, "%s is %s\n", plain(x.Label), x.Status)
		}
	}
	switch {
	case len(done) == 1:
		return t.tenant(done[0], f.JSON)
	case f.JSON:
		return t.json(done)
	}
	return nil
}

// naming has a mistake in a label say which one, of several.
func naming(err error, label string) error {
	var no *refused
	if errors.As(err, &no) {
		for i := range no.Errors {
			if m := &no.Errors[i]; m.Location == "path.label" && !strings.Contains(m.Detail, strconv.Quote(label)) {
				m.Location = "label " + strconv.Quote(label)
			}
		}
	}
	return err
}

// Run adds tenants, up to the first that is there.
func (c *tenantAdd) Run(t *terminal) error {
	patch, err := c.patch(c.Labels)
	if err != nil {
		return err
	}
	for _, name := range []string{"parameters", "sites"} { // of a new tenant nothing is taken away
		values, _ := patch[name].(map[string]*string)
		maps.DeleteFunc(values, func(_ string, v *string) bool { return v == nil })
	}
	return c.registry(t, func(r *registrar) error {
		return c.each(t, r, c.Labels, patch, func(label string) error {
			err := r.call(t.ctx, http.MethodPut, pathOf("tenants", label), map[string]string{"If-None-Match": "*"}, patch, nil)
			var no *refused
			if errors.As(err, &no) && no.Status == http.StatusPreconditionFailed {
				return found(fmt.Errorf("there is a tenant %s already", label), "change it with onedoor tenant set")
			}
			return err
		})
	})
}

// Run changes what was given.
func (c *tenantSet) Run(t *terminal) error {
	patch, err := c.patch(c.Labels)
	if err != nil {
		return err
	}
	if len(patch) == 0 {
		return &failure{code: 2, message: "nothing to change is given", hint: "try: onedoor help tenant set"}
	}
	return c.registry(t, func(r *registrar) error {
		return c.each(t, r, c.Labels, patch, func(label string) error {
			return r.call(t.ctx, http.MethodPatch, pathOf("tenants", label), map[string]string{"Content-Type": "application/merge-patch+json"}, patch, nil)
		})
	})
}

// Run removes tenants, up to the first that is not there.
func (c *tenantRemove) Run(t *terminal) error {
	return c.registry(t, func(r *registrar) error {
		return t.eachRemoved(c.JSON, c.Labels, func(label string) error {
			return t.refusal(r.call(t.ctx, http.MethodDelete, pathOf("tenants", label), nil, nil, nil))
		})
	})
}

// Run asks the DNS now. Exit 1: a site is not used.
func (c *tenantCheck) Run(t *terminal) error {
	return c.registry(t, func(r *registrar) error {
		var x admin.Tenant
		if err := r.call(t.ctx, http.MethodGet, pathOf("tenants", c.Label), nil, nil, &x); err != nil {
			return t.refusal(err)
		}
		if len(x.Sites) == 0 {
			return found(fmt.Errorf("tenant %s has no sites of its own", x.Label), "give it one: onedoor tenant set --site APP=ORIGIN "+x.Label)
		}
		all, unused := map[string]admin.Checked{}, 0
		for _, app := range slices.Sorted(maps.Keys(x.Sites)) {
			var got admin.Checked
			if err := r.call(t.ctx, http.MethodPost, pathOf("tenants", c.Label, "sites", app, "check"), nil, nil, &got); err != nil {
				return t.refusal(err)
			}
			if all[app] = got; got.State == "waiting" {
				unused++
			}
			if c.JSON {
				continue
			}
			fmt.Fprintf(t.out, "%s=%s is %s\n", plain(app), plain(got.Origin), got.State)
			if got.Detail != "" {
				fmt.Fprintf(t.out, "  %s\n  wanted: %s. TXT \"%s\"\n", plain(got.Detail), plain(got.Record.Name), plain(got.Record.Text))
			}
			for _, text := range got.Texts {
				fmt.Fprintf(t.out, "  found: \"%s\"\n", plain(text))
			}
		}
		if c.JSON {
			if err := t.json(all); err != nil {
				return err
			}
		}
		if unused > 0 {
			return alreadySaid(1)
		}
		return nil
	})
}
