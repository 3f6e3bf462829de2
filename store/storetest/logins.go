package storetest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"onedoor/store"
)

// leg is one of the login id of acme at shop, at that millisecond.
func leg(id, request string, at int64, stages int64) store.LoginLeg {
	return store.LoginLeg{
		Login:   store.Login{ID: id, Joined: true, Tenant: "acme", App: "shop", Stages: stages, BeganAt: at, UpdatedAt: at},
		Request: request, At: at, Body: `{"leg":"` + request + `"}`,
	}
}

func failed(l store.LoginLeg, rule string) store.LoginLeg {
	l.Rule, l.FailedAt = rule, l.At
	return l
}

const (
	sent     = store.LoginAsked | store.LoginSent
	returned = store.LoginCameBack | store.LoginReturned
	redeemed = store.LoginTried | store.LoginRedeemed | store.LoginDone
)

// Legs come from several replicas, in any order and perhaps twice.
func legsAreJoined(t *testing.T, a, b *store.DB) {
	ctx := t.Context()
	authorize := leg("one", "r1", 1_000, sent)
	callback := leg("one", "r2", 5_000, returned)
	wrong := failed(leg("one", "r3", 6_000, store.LoginTried), "invalid_client")
	token := leg("one", "r4", 7_000, redeemed)
	callback.Tenant, token.App = "", "" // not every leg knows them
	for i, legs := range [][]store.LoginLeg{{token, wrong}, {callback}, {authorize, leg("two", "r5", 1_500, store.LoginAsked)}, {wrong, callback, token}} {
		db := a
		if i%2 == 1 {
			db = b
		}
		must(t, db.AddLegs(ctx, legs))
	}
	want := store.Login{
		ID: "one", Joined: true, Tenant: "acme", App: "shop", Stages: sent | returned | redeemed, Rule: "invalid_client",
		BeganAt: 1_000, UpdatedAt: 7_000, FailedAt: 6_000,
	}
	for _, id := range []string{"one", "r1", "r2", "r3", "r4"} {
		got, legs, err := a.Login(ctx, id)
		must(t, err)
		same(t, got, want)
		var order []string
		for _, l := range legs {
			order = append(order, l.Request+l.Body)
		}
		same(t, strings.Join(order, " "), `r1{"leg":"r1"} r2{"leg":"r2"} r3{"leg":"r3"} r4{"leg":"r4"}`)
	}
	_, _, err := a.Login(ctx, "nobody's")
	is(t, err, store.ErrNotFound)
	tail, err := b.Legs(ctx, 5_000, 0)
	must(t, err)
	if len(tail) != 3 || tail[0].Request != "r2" || tail[0].Tenant != "acme" || tail[2].Request != "r4" {
		t.Errorf("%+v", tail)
	}
}

// Sixteen replicas that write the same logins at once neither fail nor lose one.
func legsAtOnce(t *testing.T, a, b *store.DB) {
	all := func() (legs []store.LoginLeg) {
		for i := range 100 {
			legs = append(legs, leg(fmt.Sprintf("login-%d", i*37%100), fmt.Sprintf("request-%d", i), int64(i), store.LoginAsked))
		}
		return legs
	}
	n := race(t, a, b, nil, func(db *store.DB) error {
		legs := all()
		if db == b {
			slices.Reverse(legs)
		}
		return db.AddLegs(t.Context(), legs)
	})
	same(t, n, parallel)
	list, err := a.Logins(t.Context(), store.LoginQuery{Limit: 1000})
	must(t, err)
	same(t, len(list), 100)
}

// some are logins of every kind, id by id.
func someLogins(t *testing.T, db *store.DB) {
	at := int64(0)
	add := func(id, tenant, app string, stages int64, rule string) {
		at += 1_000
		l := leg(id, "of-"+id, at, stages)
		l.Tenant, l.App = tenant, app
		if rule != "" {
			l = failed(l, rule)
		}
		must(t, db.AddLegs(t.Context(), []store.LoginLeg{l}))
	}
	add("ok", "acme", "shop", sent|returned|redeemed, "")
	add("second try", "acme", "shop", sent|returned|redeemed, "invalid_client")
	add("refused", "", "shop", store.LoginAsked, "redirect_uri.unknown")
	add("denied", "acme", "shop", sent|store.LoginCameBack, "access_denied")
	add("lost", "globex", "shop", sent|returned, "")
	add("begun", "globex", "wiki", sent, "")
	add("wrong secret", "globex", "wiki", sent|returned|store.LoginTried, "invalid_client")
	add("lost as well", "globex", "shop", sent|returned, "")
}

func loginsAreFound(t *testing.T, a, b *store.DB) {
	someLogins(t, a)
	ids := func(q store.LoginQuery) string {
		list, err := b.Logins(t.Context(), q)
		must(t, err)
		var out []string
		for _, l := range list {
			out = append(out, l.ID)
		}
		return strings.Join(out, ", ")
	}
	for _, tt := range []struct {
		name, want string
		q          store.LoginQuery
	}{
		{"all", "lost as well, wrong secret, begun, lost, denied, refused, second try, ok", store.LoginQuery{}},
		{"of a tenant", "denied, second try, ok", store.LoginQuery{Tenant: "acme"}},
		{"of an app", "wrong secret, begun", store.LoginQuery{App: "wiki"}},
		{"failed", "wrong secret, lost, denied, refused", store.LoginQuery{Failed: true, Patience: 6_000}},
		{"failed, of a tenant", "wrong secret, lost", store.LoginQuery{Tenant: "globex", Failed: true, Patience: 6_000}},
		{"failed, of an app", "lost, denied, refused", store.LoginQuery{App: "shop", Failed: true, Patience: 6_000}},
		{"by a rule", "wrong secret, second try", store.LoginQuery{Rule: "invalid_client"}},
		{"by a rule, failed in the end", "wrong secret", store.LoginQuery{Rule: "invalid_client", Failed: true}},
		{"by a rule, of a tenant", "second try", store.LoginQuery{Rule: "invalid_client", Tenant: "acme"}},
		{"between two times", "lost, denied", store.LoginQuery{Since: 4_000, Until: 6_000}},
		{"of nobody", "", store.LoginQuery{Tenant: "nobody"}},
		{"the newest two", "lost as well, wrong secret", store.LoginQuery{Limit: 2}},
		{"those before one", "denied, refused", store.LoginQuery{Before: store.LoginCursor{At: 5_000, ID: "lost"}, Limit: 2}},
	} {
		if got := ids(tt.q); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
	// Those of one moment are told apart by their ids.
	must(t, a.AddLegs(t.Context(), []store.LoginLeg{leg("x", "rx", 99_000, 1), leg("z", "rz", 99_000, 1), leg("y", "ry", 99_000, 1)}))
	q, all := store.LoginQuery{Limit: 1}, []string{}
	for range 3 {
		list, err := b.Logins(t.Context(), q)
		must(t, err)
		q.Before = store.LoginCursor{At: list[0].UpdatedAt, ID: list[0].ID}
		all = append(all, list[0].ID)
	}
	same(t, strings.Join(all, ""), "zyx")
}

func funnels(t *testing.T, a, b *store.DB) {
	someLogins(t, a)
	got, err := b.Funnels(t.Context(), store.FunnelQuery{Until: 100_000})
	must(t, err)
	same(t, got, []store.Funnel{
		{Tenant: "globex", App: "shop", Asked: 2, Sent: 2, CameBack: 2, Returned: 2},
		{Tenant: "globex", App: "wiki", Asked: 2, Sent: 2, CameBack: 1, Returned: 1, Tried: 1, Failed: 1},
		{Tenant: "", App: "shop", Asked: 1, Failed: 1},
		{Tenant: "acme", App: "shop", Asked: 3, Sent: 3, CameBack: 3, Returned: 2, Tried: 2, Redeemed: 2, Failed: 1},
	})
	got, err = b.Funnels(t.Context(), store.FunnelQuery{Tenant: "globex", App: "wiki", Until: 7_000})
	must(t, err)
	same(t, got, []store.Funnel{{Tenant: "globex", App: "wiki", Asked: 1, Sent: 1}})
	got, err = b.Funnels(t.Context(), store.FunnelQuery{App: "shop", Until: 100_000, Limit: 1})
	must(t, err)
	same(t, len(got), 1)
	got, err = b.Funnels(t.Context(), store.FunnelQuery{ByApp: true, Since: 2_000, Until: 100_000})
	must(t, err)
	same(t, got, []store.Funnel{
		{App: "shop", Asked: 5, Sent: 4, CameBack: 4, Returned: 3, Tried: 1, Redeemed: 1, Failed: 2},
		{App: "wiki", Asked: 2, Sent: 2, CameBack: 1, Returned: 1, Tried: 1, Failed: 1},
	})
}

func loginsArePruned(t *testing.T, a, b *store.DB) {
	ctx := t.Context()
	for i := range 500 {
		must(t, a.AddLegs(ctx, []store.LoginLeg{leg(fmt.Sprintf("l%03d", i), fmt.Sprintf("r%03d", i), int64(i+1), 1)}))
	}
	left := func(want ...string) {
		t.Helper()
		list, err := a.Logins(ctx, store.LoginQuery{Limit: 1000})
		must(t, err)
		if len(list) == 0 || list[0].ID != want[0] || list[len(list)-1].ID != want[1] {
			t.Errorf("%d are left, from %s to %s, want %v", len(list), list[0].ID, list[len(list)-1].ID, want)
		}
	}
	warns := func(at int64, want bool) {
		t.Helper()
		first, err := a.Warn(ctx, "acme", "shop", at)
		must(t, err)
		same(t, first, want)
	}
	warns(1, true)
	warns(400, true)
	must(t, b.PruneLogins(ctx, 300, 1000))
	left("l499", "l299")
	must(t, b.PruneLogins(ctx, 0, 10))
	left("l499", "l490")
	_, _, err := a.Login(ctx, "r100")
	is(t, err, store.ErrNotFound)
	legs, err := a.Legs(ctx, 0, 1000)
	must(t, err)
	same(t, len(legs), 10)
	warns(1, true)    // that one was pruned
	warns(400, false) // that one was not: it is told once, however many logins there are
}

// Who began a login can come back again and again: each time is a leg of it.
func legsArePruned(t *testing.T, a, b *store.DB) {
	ctx := t.Context()
	must(t, a.AddLegs(ctx, []store.LoginLeg{leg("quiet", "q1", 5, 1), leg("old", "o1", 1, 1)}))
	for i := range 200 {
		must(t, a.AddLegs(ctx, []store.LoginLeg{leg("loud", fmt.Sprintf("r%03d", i), int64(i+10), returned)}))
	}
	must(t, b.PruneLogins(ctx, 3, 1000))
	legs, err := a.Legs(ctx, 0, 1000)
	must(t, err)
	same(t, len(legs), 201)
	must(t, b.PruneLogins(ctx, 100, 1000)) // as old as logins become
	legs, err = a.Legs(ctx, 0, 1000)
	must(t, err)
	same(t, len(legs), 110)
	must(t, b.PruneLogins(ctx, 0, 5)) // 40 legs
	if legs, err = a.Legs(ctx, 0, 1000); len(legs) != 40 || legs[0].Request != "r160" || err != nil {
		t.Errorf("%d legs are left, from %s", len(legs), legs[0].Request)
	}
	list, err := a.Logins(ctx, store.LoginQuery{})
	must(t, err)
	if len(list) != 1 || list[0].ID != "loud" {
		t.Errorf("%+v", list)
	}
}

func oneWarns(t *testing.T, a, b *store.DB) {
	late := errors.New("another was first")
	n := race(t, a, b, late, func(db *store.DB) error {
		first, err := db.Warn(t.Context(), "acme", "shop", 900_000)
		if err == nil && !first {
			return late
		}
		return err
	})
	same(t, n, 1)
}
