package admin

import (
	"context"
	"net/http"
	"strings"
	"time"

	"onedoor/store"
)

// Verification is what was found wrong with a tenant's logins.
type Verification struct {
	Tenant  string    `json:"tenant" doc:"Its label; empty for what is about the provider and concerns all." example:"acme"`
	App     string    `json:"app" doc:"The app's name in the configuration; empty where it does not matter which." example:"atlas"`
	Outcome string    `json:"outcome" doc:"What is wrong, in a word that stays the same between versions." example:"site.tls_expired"`
	Detail  string    `json:"detail" doc:"The same for people."`
	Fix     string    `json:"fix" doc:"What to do about it."`
	Since   time.Time `json:"since" doc:"When it began."`
	SeenAt  time.Time `json:"seen_at" doc:"When it was seen last."`
}

func (a *API) verifications() {
	register(a, operation{
		id: "list-verifications", method: http.MethodGet, path: "/v1/verifications", tag: tagTenants, scope: TenantsRead,
		summary: "List the tenants whose logins would fail",
		doc:     "By label. The doors find out with `verify.every`; what is well is not kept. Where `verified_at` is left out, nobody has looked yet, and an empty list means nothing.",
	}, a.listVerifications)
}

type verificationsIn struct {
	Page
	Outcome string `query:"outcome" maxLength:"64" pattern:"^[a-z._]+$" default:"failing" doc:"failing: all that would fail; or one of them, as site.dns."`
}

// Verifications are a page of them.
type Verifications struct {
	Verifications []Verification `json:"verifications" nullable:"false"`
	Next          string         `json:"next,omitempty" doc:"The cursor of the next page."`
	VerifiedAt    *time.Time     `json:"verified_at,omitempty" doc:"When all tenants had been looked at; left out: never."`
	Tenants       int64          `json:"tenants" doc:"How many were looked at then."`
}

type verificationsOut struct{ Body Verifications }

func (a *API) listVerifications(ctx context.Context, in *verificationsIn) (*verificationsOut, error) {
	after, p := in.after()
	if p != nil {
		return nil, p
	}
	q := store.VerdictQuery{Limit: in.Limit}
	if in.Outcome != "failing" {
		q.Outcome = in.Outcome
	}
	if after != "" {
		label, app, ok := strings.Cut(after, "/")
		// Other octets would be PostgreSQL's mistake, as if it did not answer.
		if !ok || label+app == "" || strings.Trim(label+app, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			return nil, badCursor()
		}
		q.AfterTenant, q.AfterApp = label, app
	}
	list, err := a.Store.Verdicts(ctx, q)
	if err != nil {
		return nil, err
	}
	round, err := a.Store.VerifyRound(ctx)
	if err != nil {
		return nil, err
	}
	out := &verificationsOut{Verifications{Verifications: make([]Verification, len(list)), VerifiedAt: since(round.Ended), Tenants: round.Looked}}
	for i, v := range list {
		out.Body.Verifications[i] = Verification{Tenant: v.Tenant, App: v.App, Outcome: v.Outcome, Detail: v.Detail, Fix: v.Fix, Since: moment(v.Since), SeenAt: moment(v.At)}
	}
	if len(list) == in.Limit {
		out.Body.Next = cursor(list[len(list)-1].Tenant + "/" + list[len(list)-1].App)
	}
	return out, nil
}
