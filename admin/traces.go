package admin

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"onedoor/journal"
	"onedoor/store"
)

const tagTraces = "traces"

func (a *API) traces() {
	register(a, operation{
		id: "list-traces", method: http.MethodGet, path: "/v1/traces", tag: tagTraces, scope: TracesRead,
		summary: "Find what happened to logins, the one that was heard of last first", doc: "Without their legs. No code, state, token or person is in a record.",
	}, a.listTraces)
	register(a, operation{
		id: "get-trace", method: http.MethodGet, path: "/v1/traces/{id}", tag: tagTraces, scope: TracesRead,
		summary: "Show all that is known of a login", problems: []int{http.StatusNotFound},
		doc: "By its id, or by the reference of a page that somebody saw.",
	}, a.getTrace)
	register(a, operation{
		id: "list-legs", method: http.MethodGet, path: "/v1/legs", tag: tagTraces, scope: TracesRead,
		summary: "See legs of logins since a time, the oldest first", doc: "Replicas write some seconds after it happened: who follows asks for the last ten seconds again.",
	}, a.listLegs)
	register(a, operation{
		id: "get-funnel", method: http.MethodGet, path: "/v1/funnel", tag: tagTraces, scope: TracesRead,
		summary: "Count how far logins came, by tenant and app", doc: "Those come first of which most went lost between the callback and the token request.",
	}, a.getFunnel)
}

// Span is a time between two moments.
type Span struct {
	Since time.Time `query:"since" doc:"Last heard of at that time or later."`
	Until time.Time `query:"until" doc:"Last heard of before that time."`
}

// Whose are the logins of a tenant and an app.
type Whose struct {
	Tenant string `query:"tenant" maxLength:"63" pattern:"^[a-z0-9-]+$" doc:"Of the tenant of that label."`
	App    string `query:"app" maxLength:"63" pattern:"^[a-z0-9-]+$" doc:"Of that app."`
}

type tracesIn struct {
	Page
	Span
	Whose
	Rule   string `query:"rule" maxLength:"100" pattern:"^[a-z0-9_.]+$" doc:"That this rule refused, or whose provider answered this error." example:"redirect_uri.unknown"`
	Failed bool   `query:"failed" doc:"That failed and did not get through after all, or that nobody redeemed."`
}

type tracesOut struct {
	Body struct {
		Traces []journal.Login `json:"traces" nullable:"false"`
		Next   string          `json:"next,omitempty" doc:"The cursor of the next page."`
	}
}

func (a *API) records() journal.Records { return journal.Records{Store: a.Store, Now: a.now} }

func (a *API) listTraces(ctx context.Context, in *tracesIn) (*tracesOut, error) {
	text, p := in.after()
	if p != nil {
		return nil, p
	}
	q := journal.Query{Tenant: in.Tenant, App: in.App, Rule: in.Rule, Failed: in.Failed, Since: in.Since, Until: in.Until, Limit: in.Limit}
	if text != "" {
		at, id, _ := strings.Cut(text, " ")
		var err error
		if q.Before.At, err = strconv.ParseInt(at, 10, 64); err != nil || !reference(id) {
			return nil, badCursor()
		}
		q.Before.ID = id
	}
	list, err := a.records().Find(ctx, q)
	if err != nil {
		return nil, err
	}
	var out tracesOut
	if out.Body.Traces = list; len(list) == in.Limit {
		last := list[len(list)-1]
		out.Body.Next = cursor(strconv.FormatInt(last.Updated.UnixMilli(), 10) + " " + last.ID)
	}
	return &out, nil
}

// reference says whether s has the form of a login's id. PostgreSQL takes no
// other octets than those of text.
func reference(s string) bool {
	return s != "" && strings.Trim(s, "0123456789abcdefghijklmnopqrstuvwxyz") == ""
}

type traceIn struct {
	ID string `path:"id" maxLength:"64" pattern:"^[a-z0-9]+$" doc:"A login id, or a reference." example:"4k7ahm2cq3xwd"`
}

type traceOut struct {
	Body struct {
		journal.Login
		Near []string `json:"near,omitempty" doc:"Tenants whose labels are near the one that is nobody's, for a token that may read tenants as well."`
	}
}

func (a *API) getTrace(ctx context.Context, in *traceIn) (*traceOut, error) {
	l, err := a.records().Show(ctx, in.ID)
	if errors.Is(err, store.ErrNotFound) {
		return nil, problem(http.StatusNotFound, "trace_unknown", "There is no record of "+in.ID+".", "records are kept for traces.keep, and are there some seconds after it happened")
	}
	if err != nil {
		return nil, err
	}
	var out traceOut
	out.Body.Login = l
	label := "" // whoever began a login can come back again and again: it is looked for once
	for _, leg := range l.Legs {
		if leg.Rule == "tenant.unknown" && callerOf(ctx).may(TenantsRead) { // anybody can ask the door for any label
			label = leg.Got
		}
	}
	out.Body.Near, err = a.labelsNear(ctx, label)
	return &out, err
}

type legsIn struct {
	Since time.Time `query:"since" required:"true" doc:"At that time or later."`
	Limit int       `query:"limit" minimum:"1" maximum:"1000" default:"1000" doc:"How many at most."`
}

type legsOut struct {
	Body struct {
		Legs []journal.Part `json:"legs" nullable:"false"`
	}
}

func (a *API) listLegs(ctx context.Context, in *legsIn) (*legsOut, error) {
	var out legsOut
	var err error
	out.Body.Legs, err = a.records().Tail(ctx, in.Since, in.Limit)
	return &out, err
}

type funnelIn struct {
	Span
	Whose
	By    string `query:"by" enum:"tenant,app" default:"tenant" doc:"For each tenant of an app, or for all tenants of an app together."`
	Limit int    `query:"limit" minimum:"1" maximum:"1000" default:"100" doc:"How many at most."`
}

type funnelOut struct {
	Body struct {
		Funnels []journal.Funnel `json:"funnels" nullable:"false"`
	}
}

// funnelSpan is what the funnel counts where no time is given.
const funnelSpan = 24 * time.Hour

func (a *API) getFunnel(ctx context.Context, in *funnelIn) (*funnelOut, error) {
	if in.Until.IsZero() {
		in.Until = a.now().Add(time.Second)
	}
	if in.Since.IsZero() {
		in.Since = in.Until.Add(-funnelSpan)
	}
	var out funnelOut
	var err error
	out.Body.Funnels, err = a.records().Funnels(ctx, store.FunnelQuery{
		Tenant: in.Tenant, App: in.App, Since: in.Since.UnixMilli(), Until: in.Until.UnixMilli(), ByApp: in.By == "app", Limit: in.Limit,
	})
	return &out, err
}
