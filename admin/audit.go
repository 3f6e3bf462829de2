package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"onedoor/store"
)

// Entry is one change.
type Entry struct {
	ID      int64           `json:"id" doc:"The registry's revision that it made."`
	At      time.Time       `json:"at"`
	Actor   string          `json:"actor" doc:"The token's name, or the user's of the machine."`
	Via     string          `json:"via" doc:"api, cli, domains (the door itself, looking for proofs), start."`
	Action  string          `json:"action" example:"tenant.set"`
	Subject string          `json:"subject" example:"tenant/acme"`
	Before  json.RawMessage `json:"before,omitempty" doc:"What it was; left out where there was nothing."`
	After   json.RawMessage `json:"after,omitempty" doc:"What it is; left out where nothing is left."`
}

func (a *API) audit() {
	register(a, operation{
		id: "list-audit", method: http.MethodGet, path: "/v1/audit", tag: "audit", scope: AuditRead,
		summary: "See who changed what, newest first", doc: "Every change of tenants, sites, tokens and keys, with what it was before and after. No secret is in it. Entries are kept for audit.keep.",
	}, a.listAudit)
	register(a, operation{
		id: "get-audit-entry", method: http.MethodGet, path: "/v1/audit/{id}", tag: "audit", scope: AuditRead,
		summary: "Show one change", problems: []int{http.StatusNotFound},
	}, a.getAudit)
}

type auditIn struct {
	Page
	Tenant  string    `query:"tenant" maxLength:"63" pattern:"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$" doc:"Changes of the tenant of that label."`
	Subject string    `query:"subject" maxLength:"100" pattern:"^[!-~]+$" doc:"Changes of that subject; not together with tenant." example:"token/2f1c"`
	Actor   string    `query:"actor" maxLength:"100" pattern:"^[^\\x00-\\x1f\\x7f]+$" doc:"Changes that this token, or user of the machine, made." example:"back-office"`
	Since   time.Time `query:"since" doc:"Made at that time or later."`
	Until   time.Time `query:"until" doc:"Made before that time."`
}

type auditOut struct {
	Body struct {
		Entries []Entry `json:"entries" nullable:"false"`
		Next    string  `json:"next,omitempty" doc:"The cursor of the next page."`
	}
}

func (a *API) listAudit(ctx context.Context, in *auditIn) (*auditOut, error) {
	text, p := in.after()
	if p != nil {
		return nil, p
	}
	q := store.AuditQuery{Tenant: in.Tenant, Subject: in.Subject, Actor: in.Actor, Since: seconds(in.Since), Until: seconds(in.Until), Limit: in.Limit}
	if text != "" {
		var err error
		if q.After, err = strconv.ParseInt(text, 10, 64); err != nil || q.After < 1 {
			return nil, badCursor()
		}
	}
	if in.Tenant != "" && in.Subject != "" {
		return nil, invalid([]Mistake{{Location: "query.subject", Detail: "tenant is given as well: keep one of the two"}})
	}
	list, err := a.Store.Audit(ctx, q)
	if err != nil {
		return nil, err
	}
	var out auditOut
	out.Body.Entries = make([]Entry, len(list))
	for i, e := range list {
		out.Body.Entries[i] = entryOf(e)
	}
	if len(list) == in.Limit {
		out.Body.Next = cursor(strconv.FormatInt(list[len(list)-1].ID, 10))
	}
	return &out, nil
}

func entryOf(e store.AuditEntry) Entry {
	return Entry{
		ID: e.ID, At: moment(e.At), Actor: e.Actor.Name, Via: e.Actor.Via,
		Action: e.Action, Subject: e.Subject, Before: e.Before, After: e.After,
	}
}

// seconds rounds a bound up: entries have whole seconds, and one of 12:00:00 is
// not of 12:00:00.5 or later. 0 is none.
func seconds(at time.Time) int64 {
	if at.IsZero() {
		return 0
	}
	return max(1, at.Add(time.Second-1).Unix())
}

type entryIn struct {
	ID int64 `path:"id" minimum:"1" doc:"Its id in the list."`
}

type entryOut struct {
	Body Entry
}

func (a *API) getAudit(ctx context.Context, in *entryIn) (*entryOut, error) {
	e, err := a.Store.AuditEntry(ctx, in.ID)
	if errors.Is(err, store.ErrNotFound) {
		return nil, problem(http.StatusNotFound, "no_such_entry", fmt.Sprintf("There is no entry %d in the audit log.", in.ID), "entries are kept for audit.keep")
	}
	if err != nil {
		return nil, err
	}
	return &entryOut{Body: entryOf(e)}, nil
}
