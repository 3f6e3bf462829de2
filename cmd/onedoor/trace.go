package main

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"onedoor/admin"
	"onedoor/journal"
)

// traceCommand shows what happened to logins.
type traceCommand struct {
	Find   traceFind   `cmd:"" help:"Find logins, the one that was heard of last first."`
	Show   traceShow   `cmd:"" help:"Show all that is known of a login, by its id or the reference of a page."`
	Tail   traceTail   `cmd:"" help:"Follow what happens, leg by leg, until interrupted."`
	Funnel traceFunnel `cmd:"" help:"Count how far logins came, by tenant and app."`
}

// whose are the flags that say of which tenant and app.
type whose struct {
	Tenant string `env:"-" placeholder:"LABEL" help:"Of that tenant."`
	App    string `env:"-" placeholder:"NAME" help:"Of that app."`
}

// when are the flags that say of which time.
type when struct {
	Since string `env:"-" placeholder:"TIME" help:"Last heard of then or later: 2h (ago), or 2026-11-22T10:00:00Z."`
	Until string `env:"-" placeholder:"TIME" help:"Last heard of before then."`
}

type traceFind struct {
	registryFlags
	whose
	when
	Failed bool   `env:"-" help:"That failed and did not get through after all, or that nobody redeemed."`
	Rule   string `env:"-" help:"That this rule refused, or whose provider answered this error: redirect_uri.unknown, invalid_client."`
	Limit  int    `env:"-" default:"50" help:"How many at most (${default})."`
	JSON   bool   `name:"json" help:"Print JSON."`
}

type traceShow struct {
	registryFlags
	JSON bool   `name:"json" help:"Print JSON."`
	ID   string `arg:"" help:"A login id, or the reference that an error page shows."`
}

type traceTail struct {
	registryFlags
	whose
	Failed bool   `env:"-" help:"Legs that did not succeed."`
	Rule   string `env:"-" help:"That this rule refused, or that the provider answered with this error."`
	Since  string `env:"-" default:"10s" placeholder:"TIME" help:"Begin with those of then: 5m (ago), or 2026-11-22T10:00:00Z."`
	JSON   bool   `name:"json" help:"Print a JSON object a line."`
}

type traceFunnel struct {
	registryFlags
	whose
	when
	ByApp bool `env:"-" help:"All tenants of an app together."`
	Limit int  `env:"-" default:"50" help:"How many lines at most (${default})."`
	JSON  bool `name:"json" help:"Print JSON."`
}

// timeOf reads a time, or how long ago it was.
func timeOf(flag, text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if ago, err := time.ParseDuration(text); err == nil && ago >= 0 {
		return now.Add(-ago), nil
	}
	if days, ok := strings.CutSuffix(text, "d"); ok {
		if n, err := strconv.ParseUint(days, 10, 15); err == nil {
			return now.AddDate(0, 0, -int(n)), nil
		}
	}
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		return at, nil
	}
	return time.Time{}, &failure{code: 2, message: fmt.Sprintf("--%s %q is not a time", flag, text), hint: "write how long ago, as 90m or 30d, or the time itself, as 2026-11-22T10:00:00Z"}
}

// query is what the flags ask of the API.
func (w whose) query(span when, now time.Time) (url.Values, error) {
	q, err := span.times(now)
	for name, value := range map[string]string{"tenant": w.Tenant, "app": w.App} {
		if value != "" {
			q.Set(name, value)
		}
	}
	return q, err
}

func (w when) times(now time.Time) (url.Values, error) {
	q := url.Values{}
	for flag, text := range map[string]string{"since": w.Since, "until": w.Until} {
		at, err := timeOf(flag, text, now)
		if err != nil {
			return q, err
		}
		if !at.IsZero() {
			q.Set(flag, at.UTC().Format(time.RFC3339Nano))
		}
	}
	return q, nil
}

// Run prints a table.
func (c *traceFind) Run(t *terminal) error {
	q, err := c.query(c.when, time.Now())
	switch {
	case err != nil:
		return err
	case c.Limit < 1:
		return &failure{code: 2, message: "--limit is at least 1", hint: "leave it out for 50"}
	}
	if c.Rule != "" {
		q.Set("rule", c.Rule)
	}
	if c.Failed {
		q.Set("failed", "true")
	}
	return c.registry(t, func(r *registrar) error {
		list, err := c.read(t, r, q)
		switch {
		case err != nil:
			return t.refusal(err)
		case c.JSON:
			return t.json(list)
		case len(list) == 0:
			fmt.Fprintln(t.out, "No login is like that. Records are kept for traces.keep, and are there some seconds after it happened.")
			return nil
		}
		rows := [][]string{{"HEARD OF", "LOGIN", "TENANT", "APP", "OUTCOME", "CAME TO", "WHY"}}
		for _, l := range list {
			rows = append(rows, []string{clock(l.Updated), l.ID, dash(l.Tenant), dash(l.App), string(l.Outcome), dash(last(l.Stages)), dash(l.Rule)})
		}
		return t.table(rows)
	})
}

func (c *traceFind) read(t *terminal, r *registrar, q url.Values) ([]journal.Login, error) {
	list := []journal.Login{}
	for len(list) < c.Limit {
		q.Set("limit", strconv.Itoa(min(c.Limit-len(list), admin.MaxRows)))
		var page struct {
			Traces []journal.Login
			Next   string
		}
		if err := r.call(t.ctx, http.MethodGet, "/v1/traces?"+q.Encode(), nil, nil, &page); err != nil {
			return nil, err
		}
		if list = append(list, page.Traces...); page.Next == "" {
			break
		}
		q.Set("cursor", page.Next)
	}
	return list, nil
}

// clock is a time as tables show it: this machine's, to the second.
func clock(at time.Time) string { return at.Local().Format(time.DateTime) }

func last(all []string) string {
	if len(all) == 0 {
		return ""
	}
	return all[len(all)-1]
}

// Run prints a table, with what is wrong first.
func (c *traceFunnel) Run(t *terminal) error {
	q, err := c.query(c.when, time.Now())
	if err != nil {
		return err
	}
	q.Set("limit", strconv.Itoa(min(max(c.Limit, 1), admin.MaxRows)))
	if c.ByApp {
		q.Set("by", "app")
	}
	return c.registry(t, func(r *registrar) error {
		var got struct{ Funnels []journal.Funnel }
		if err := r.call(t.ctx, http.MethodGet, "/v1/funnel?"+q.Encode(), nil, nil, &got); err != nil {
			return t.refusal(err)
		}
		switch {
		case c.JSON:
			return t.json(got.Funnels)
		case len(got.Funnels) == 0:
			fmt.Fprintln(t.out, "Nobody logged in at that time.")
			return nil
		}
		rows := [][]string{{"TENANT", "APP", "ASKED", "SENT", "CAME BACK", "RETURNED", "REDEEMED", "FAILED", ""}}
		for _, f := range got.Funnels {
			label, note := dash(f.Tenant), ""
			if c.ByApp {
				label = "all"
			}
			if f.Lost {
				note = fmt.Sprintf("%d came back and nobody redeemed", f.Returned)
			}
			row := []string{label, f.App}
			for _, n := range []int64{f.Asked, f.Sent, f.CameBack, f.Returned, f.Redeemed, f.Failed} {
				row = append(row, strconv.FormatInt(n, 10))
			}
			rows = append(rows, append(row, note))
		}
		return t.table(rows)
	})
}
