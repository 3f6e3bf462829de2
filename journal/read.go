package journal

import (
	"context"
	"time"

	"onedoor/store"
)

// Records are what is kept of logins.
type Records struct {
	Store *store.DB
	Now   func() time.Time
}

// Query says which logins are wanted. Zero values say nothing.
type Query struct {
	Tenant, App, Rule string
	Failed            bool // failed, or were never redeemed
	Since, Until      time.Time
	Before            store.LoginCursor
	Limit             int
}

// Find returns the logins that fit, the one that was heard of last first,
// without their legs.
func (r Records) Find(ctx context.Context, q Query) ([]Login, error) {
	now := r.Now()
	list, err := r.Store.Logins(ctx, store.LoginQuery{
		Tenant: q.Tenant, App: q.App, Rule: q.Rule, Failed: q.Failed, Patience: now.Add(-Patience).UnixMilli(),
		Since: millis(q.Since), Until: millis(q.Until), Before: q.Before, Limit: q.Limit,
	})
	out := make([]Login, len(list))
	for i, l := range list {
		out[i] = record(l, nil, now)
	}
	return out, err
}

func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// Show returns the login of that id, or of the page of that reference, with its
// legs; store.ErrNotFound where there is none.
func (r Records) Show(ctx context.Context, id string) (Login, error) {
	l, legs, err := r.Store.Login(ctx, id)
	if err != nil {
		return Login{}, err
	}
	return record(l, legs, r.Now()), nil
}

// Part is a leg, and of which login it is one.
type Part struct {
	Leg
	Login  string `json:"login" doc:"The id of the login."`
	Tenant string `json:"tenant,omitempty"`
	App    string `json:"app,omitempty"`
}

// Tail returns the legs since a time, the oldest first. Replicas write some
// seconds after it happened: who follows asks for some seconds again.
func (r Records) Tail(ctx context.Context, since time.Time, n int) ([]Part, error) {
	legs, err := r.Store.Legs(ctx, since.UnixMilli(), n)
	out := make([]Part, len(legs))
	for i, l := range legs {
		out[i] = Part{Leg: legOf(l), Login: l.ID, Tenant: l.Tenant, App: l.App}
	}
	return out, err
}
