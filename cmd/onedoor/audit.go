package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"onedoor/admin"
)

// auditCommand shows who changed what.
type auditCommand struct {
	List auditList `cmd:"" help:"List changes of tenants, sites, tokens and keys, the newest first."`
	Show auditShow `cmd:"" help:"Show one change: what it was before and after."`
}

type auditList struct {
	registryFlags
	Tenant  string `env:"-" placeholder:"LABEL" help:"Of that tenant."`
	Subject string `env:"-" placeholder:"KIND/ID" help:"Of that subject, as key/3 or token/2f1c0a."`
	Actor   string `env:"-" placeholder:"NAME" help:"That this token, or user of the machine, made."`
	Since   string `env:"-" placeholder:"TIME" help:"Made then or later: 24h or 30d (ago), or 2026-11-22T10:00:00Z."`
	Until   string `env:"-" placeholder:"TIME" help:"Made before then."`
	Limit   int    `env:"-" default:"50" help:"How many at most (${default})."`
	JSON    bool   `name:"json" help:"Print JSON."`
}

type auditShow struct {
	registryFlags
	JSON bool  `name:"json" help:"Print JSON."`
	ID   int64 `arg:"" help:"Which, by its number in the list."`
}

// Run prints a table.
func (c *auditList) Run(t *terminal) error {
	q, err := when{c.Since, c.Until}.times(time.Now())
	switch {
	case err != nil:
		return err
	case c.Limit < 1:
		return &failure{code: 2, message: "--limit is at least 1", hint: "leave it out for 50"}
	}
	for name, value := range map[string]string{"tenant": c.Tenant, "subject": c.Subject, "actor": c.Actor} {
		if value != "" {
			q.Set(name, value)
		}
	}
	return c.registry(t, func(r *registrar) error {
		list, more, err := c.read(t, r, q)
		switch {
		case err != nil:
			return t.refusal(err)
		case c.JSON:
			return t.json(list)
		case len(list) == 0:
			fmt.Fprintln(t.out, "No change is like that. Entries are kept for audit.keep.")
			return nil
		}
		rows := [][]string{{"ID", "AT", "ACTOR", "VIA", "ACTION", "SUBJECT", "CHANGED"}}
		for _, e := range list {
			rows = append(rows, []string{strconv.FormatInt(e.ID, 10), clock(e.At), e.Actor, e.Via, e.Action, e.Subject, dash(changed(e))})
		}
		if err := t.table(rows); err != nil {
			return err
		}
		if more {
			fmt.Fprintln(t.out, "and older ones: --limit, --since, --until, --tenant and --actor choose")
		}
		return nil
	})
}

func (c *auditList) read(t *terminal, r *registrar, q url.Values) (list []admin.Entry, more bool, err error) {
	list = []admin.Entry{}
	for len(list) < c.Limit {
		q.Set("limit", strconv.Itoa(min(c.Limit-len(list), admin.MaxRows)))
		var page struct {
			Entries []admin.Entry
			Next    string
		}
		if err := r.call(t.ctx, http.MethodGet, "/v1/audit?"+q.Encode(), nil, nil, &page); err != nil {
			return nil, false, err
		}
		if list = append(list, page.Entries...); page.Next == "" {
			return list, false, nil
		}
		q.Set("cursor", page.Next)
	}
	return list, true, nil
}

// members are those of a JSON object; none of anything else.
func members(text json.RawMessage) map[string]json.RawMessage {
	var all map[string]json.RawMessage
	_ = json.Unmarshal(text, &all) // nothing, before the first change
	return all
}

// differing are the names of the members that a change changed; those of a
// subject that came or went are no news.
func differing(e admin.Entry) (names []string) {
	before, after := members(e.Before), members(e.After)
	all := maps.Clone(before)
	if all == nil {
		all = map[string]json.RawMessage{}
	}
	maps.Copy(all, after)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if !bytes.Equal(before[name], after[name]) {
			names = append(names, name)
		}
	}
	return names
}

// changed is a change in a word for each member.
func changed(e admin.Entry) string {
	if e.Before == nil || e.After == nil {
		return ""
	}
	return strings.Join(differing(e), ", ")
}

// Run prints a change. Exit 1: there is none of that number.
func (c *auditShow) Run(t *terminal) error {
	return c.registry(t, func(r *registrar) error {
		var e admin.Entry
		if err := r.call(t.ctx, http.MethodGet, pathOf("audit", strconv.FormatInt(c.ID, 10)), nil, nil, &e); err != nil {
			return t.refusal(err)
		}
		if c.JSON {
			return t.json(e)
		}
		err := t.table([][]string{
			{"id", strconv.FormatInt(e.ID, 10)}, {"at", clock(e.At)}, {"actor", e.Actor + ", by " + e.Via}, {"action", e.Action}, {"subject", e.Subject},
		})
		if err != nil {
			return err
		}
		names := differing(e)
		if len(names) == 0 {
			return nil
		}
		fmt.Fprintln(t.out)
		rows, before, after := [][]string{{"MEMBER", "BEFORE", "AFTER"}}, members(e.Before), members(e.After)
		for _, name := range names {
			rows = append(rows, []string{name, dash(string(before[name])), dash(string(after[name]))})
		}
		return t.table(rows)
	})
}

// auditEvery is how often a door looks for old entries of the audit log.
const auditEvery = 10 * time.Minute

// keepAudit removes what is older than the configuration has it: whichever door
// comes first.
func (d *door) keepAudit(keep time.Duration) {
	if keep == 0 {
		return
	}
	d.background(func(ctx context.Context) error {
		ticks := time.NewTicker(auditEvery)
		defer ticks.Stop()
		for {
			if err := d.db.PruneAudit(ctx, d.now().Add(-keep).Unix()); err != nil && ctx.Err() == nil {
				d.log.Warn("old entries of the audit log were not removed", slog.String("error", err.Error()))
			}
			select {
			case <-ctx.Done():
				return nil
			case <-ticks.C:
			}
		}
	})
}
