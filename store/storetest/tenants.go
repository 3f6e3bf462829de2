package storetest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"onedoor/store"
	"onedoor/tenant"
)

var anna = store.Actor{Name: "anna", Via: "cli"}

func label(l string) store.TenantPut {
	return store.TenantPut{Tenant: store.Tenant{Tenant: tenant.Tenant{Label: l}}}
}

func put(t *testing.T, db *store.DB, puts ...store.TenantPut) []store.Tenant {
	t.Helper()
	list, err := db.PutTenants(t.Context(), anna, puts)
	must(t, err)
	return list
}

func refused(t *testing.T, db *store.DB, want error, puts ...store.TenantPut) {
	t.Helper()
	_, err := db.PutTenants(t.Context(), anna, puts)
	is(t, err, want)
}

func revision(t *testing.T, db *store.DB) int64 {
	t.Helper()
	r, err := db.Revision(t.Context())
	must(t, err)
	return r
}

func labels(list []store.Tenant) string {
	var s []string
	for _, t := range list {
		s = append(s, t.Label)
	}
	return strings.Join(s, " ")
}

func tenantsKept(t *testing.T, a, b *store.DB) {
	ctx := t.Context()
	p := label("acme")
	p.Status, p.Issuer, p.Notes = tenant.Suspended, "/realms/a", "pays late, 美香 knows why"
	p.Parameters = map[string]string{"kc_idp_hint": "acme"}
	p.Domains = []store.Domain{{App: "web", Origin: "https://portal.acme.example", VerifiedAt: 1, Token: "chosen"}}
	made := put(t, a, p)[0]
	if !store.ValidTenantID(made.ID) || made.Domains[0].Token == "chosen" || len(made.Domains[0].Token) < 20 || made.Domains[0].VerifiedAt != 0 || made.Sites != nil {
		t.Errorf("%+v", made)
	}
	got, err := b.Tenant(ctx, "acme")
	must(t, err)
	same(t, got, made)
	got, err = b.TenantByID(ctx, made.ID)
	must(t, err)
	same(t, got, made)
	_, err = b.Tenant(ctx, "globex")
	is(t, err, store.ErrNotFound)

	before := revision(t, b)
	other := label("globex")
	changed := p
	changed.Notes = "others"
	tried, err := b.ImportTenants(ctx, anna, []store.TenantPut{changed, other}, true)
	must(t, err)
	same(t, tried, store.Imported{Added: 1, Changed: 1, Revision: before + 2})
	tried, err = b.ImportTenants(ctx, anna, []store.TenantPut{p}, false)
	must(t, err)
	same(t, tried, store.Imported{Unchanged: 1, Revision: before})
	other.IfRevision = 7
	_, err = b.ImportTenants(ctx, anna, []store.TenantPut{p, other}, true)
	is(t, err, store.ErrConflict)
	same(t, revision(t, a), before) // trying leaves nothing
	_, err = a.Tenant(ctx, "globex")
	is(t, err, store.ErrNotFound)
	p.Domains = nil
	same(t, put(t, b, p)[0], made) // what is so already is no change
	same(t, revision(t, b), before)

	p.Status, p.IfRevision = "", made.Revision
	active := put(t, b, p)[0]
	if active.Status != tenant.Active || active.ID != made.ID || active.Revision != before+1 || len(active.Domains) != 1 {
		t.Errorf("%+v", active)
	}
	p.Status = tenant.Suspended
	refused(t, a, store.ErrConflict, p) // by who read the first revision
	p.IfRevision = store.MustNotExist
	refused(t, a, store.ErrExists, p)
	fresh := label("new")
	fresh.IfRevision = 7
	refused(t, a, store.ErrConflict, fresh)
	n, err := a.TenantCount(ctx)
	must(t, err)
	same(t, n, 1)
}

func tenantsPaged(t *testing.T, a, b *store.DB) {
	ctx := t.Context()
	suspended := label("a-2")
	suspended.Status = tenant.Suspended
	put(t, a, label("b"), label("a"), suspended, label("a1"), label("a-1"), label("ab"))
	for _, tt := range []struct {
		q    store.TenantQuery
		want string
	}{
		{store.TenantQuery{}, "a a-1 a-2 a1 ab b"}, // octet by octet, whatever the database's language is
		{store.TenantQuery{Limit: 2}, "a a-1"},
		{store.TenantQuery{Limit: 2, After: "a-1"}, "a-2 a1"},
		{store.TenantQuery{After: "b"}, ""},
		{store.TenantQuery{Prefix: "a-"}, "a-1 a-2"},
		{store.TenantQuery{Prefix: "a-", After: "a"}, "a-1 a-2"},
		{store.TenantQuery{Prefix: "a", After: "a"}, "a-1 a-2 a1 ab"},
		{store.TenantQuery{Prefix: "z"}, ""},
		{store.TenantQuery{Status: tenant.Suspended}, "a-2"},
		{store.TenantQuery{Status: tenant.Active, Prefix: "a-"}, "a-1"},
	} {
		list, err := b.Tenants(ctx, tt.q)
		must(t, err)
		if got := labels(list); got != tt.want {
			t.Errorf("%+v: %q, want %q", tt.q, got, tt.want)
		}
	}
}

func batchIsAllOrNothing(t *testing.T, a, b *store.DB) {
	ctx := t.Context()
	put(t, a, label("there"))
	before := revision(t, a)
	again := label("there")
	again.IfRevision = store.MustNotExist
	_, err := a.PutTenants(ctx, anna, []store.TenantPut{label("one"), again, label("two"), again})
	var rows store.RowErrors
	if !errors.As(err, &rows) || len(rows) != 1 || rows[0].Index != 3 || !errors.Is(err, store.ErrInvalid) {
		t.Errorf("%v", err)
	}
	again2 := label("two")
	again2.IfRevision = 99
	_, err = a.PutTenants(ctx, anna, []store.TenantPut{label("one"), again, again2})
	if !errors.As(err, &rows) || len(rows) != 2 || rows[0].Index != 1 || rows[1].Index != 2 || rows[0].Label != "there" {
		t.Errorf("%v", err)
	}
	is(t, err, store.ErrExists)
	is(t, err, store.ErrConflict)
	_, err = b.Tenant(ctx, "one")
	is(t, err, store.ErrNotFound)
	same(t, revision(t, b), before)
	n, err := b.TenantCount(ctx)
	must(t, err)
	same(t, n, 1)

	var many []store.TenantPut
	for i := range 250 { // more than one statement takes
		p := label(fmt.Sprintf("many-%03d", i))
		p.Domains = []store.Domain{{App: "web", Origin: fmt.Sprintf("https://%d.example", i)}}
		many = append(many, p)
	}
	made := put(t, a, many...)
	same(t, put(t, b, many...), made)
	for i, m := range made {
		if m.Label != many[i].Label || m.Revision != before+1+int64(i) {
			t.Fatalf("%d: %+v", i, m)
		}
	}
	_, err = a.PutTenants(ctx, anna, make([]store.TenantPut, store.MaxBatch+1))
	is(t, err, store.ErrTooMany)
}

func badRows(t *testing.T, a, _ *store.DB) {
	long := strings.Repeat("x", 5000)
	for name, change := range map[string]func(*store.TenantPut){
		"label":       func(p *store.TenantPut) { p.Label = "Acme" },
		"status":      func(p *store.TenantPut) { p.Status = "gone" },
		"ID":          func(p *store.TenantPut) { p.ID = "acme" },
		"issuer":      func(p *store.TenantPut) { p.Issuer = long },
		"notes":       func(p *store.TenantPut) { p.Notes = long },
		"a NUL":       func(p *store.TenantPut) { p.Notes = "a\x00b" },
		"not UTF-8":   func(p *store.TenantPut) { p.Notes = "\xff" },
		"parameters":  func(p *store.TenantPut) { p.Parameters = map[string]string{"a": long} },
		"a parameter": func(p *store.TenantPut) { p.Parameters = map[string]string{"": "x"} },
		"no origin":   func(p *store.TenantPut) { p.Domains = []store.Domain{{App: "web"}} },
		"two domains": func(p *store.TenantPut) {
			p.Domains = []store.Domain{{App: "web", Origin: "https://a.example"}, {App: "web", Origin: "https://b.example"}}
		},
		"many domains": func(p *store.TenantPut) {
			for i := range store.MaxDomains + 1 {
				p.Domains = append(p.Domains, store.Domain{App: fmt.Sprint(i), Origin: "https://a.example"})
			}
		},
	} {
		p := label("acme")
		change(&p)
		_, err := a.PutTenants(t.Context(), anna, []store.TenantPut{label("good"), p})
		if !errors.Is(err, store.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	same(t, revision(t, a), 0)
}

func labelRests(t *testing.T, a, b *store.DB) {
	ctx := t.Context()
	first := put(t, a, label("acme"))[0]
	is(t, a.RemoveTenant(ctx, anna, "acme", first.Revision+1), store.ErrConflict)
	must(t, b.RemoveTenant(ctx, anna, "acme", first.Revision))
	is(t, a.RemoveTenant(ctx, anna, "acme", 0), store.ErrNotFound)
	is(t, a.RemoveTenant(ctx, anna, "acme", 1), store.ErrConflict)
	_, err := a.Tenant(ctx, "acme")
	is(t, err, store.ErrNotFound)
	gone, err := a.TenantByID(ctx, first.ID)
	must(t, err)
	if gone.RemovedAt == 0 || gone.Revision != first.Revision+1 {
		t.Errorf("%+v", gone)
	}
	refused(t, a, store.ErrResting, label("acme"))
	other := label("globex")
	other.ID = first.ID
	refused(t, a, store.ErrConflict, other) // an ID is nobody else's

	back := label("acme") // its own tenant may come back
	back.ID = first.ID
	same(t, put(t, a, back)[0].ID, first.ID)
	back.ID = store.NewTenantID()
	refused(t, a, store.ErrConflict, back)
	same(t, revision(t, a), first.Revision+2)
}

func labelIsFreeAgain(t *testing.T, a, b *store.DB) { // opened with no rest
	ctx := t.Context()
	first := put(t, a, label("acme"))[0]
	must(t, a.RemoveTenant(ctx, anna, "acme", 0))
	second := put(t, b, label("acme"))[0]
	if second.ID == first.ID {
		t.Error("an ID was given twice")
	}
	must(t, a.RemoveTenant(ctx, anna, "acme", 0))
	moved := label("acme")
	moved.ID = "t_0123456789abcdef"
	same(t, put(t, b, moved)[0].ID, moved.ID)
	refused(t, b, store.ErrTooMany, label("b"), label("c"), label("d")) // of at most three
	put(t, b, label("b"), label("c"))
	refused(t, b, store.ErrTooMany, label("d"))
	must(t, a.RemoveTenant(ctx, anna, "b", 0))
	put(t, b, label("d"))
}

func oneNewTenant(t *testing.T, a, b *store.DB) {
	won := race(t, a, b, store.ErrExists, func(db *store.DB) error {
		p := label("acme")
		p.IfRevision = store.MustNotExist
		_, err := db.PutTenants(t.Context(), anna, []store.TenantPut{p})
		return err
	})
	same(t, won, 1)
	read, err := a.Tenant(t.Context(), "acme")
	must(t, err)
	var n atomic.Int64
	won = race(t, a, b, store.ErrConflict, func(db *store.DB) error {
		p := label("acme")
		p.IfRevision, p.Notes = read.Revision, fmt.Sprint(n.Add(1))
		_, err := db.PutTenants(t.Context(), anna, []store.TenantPut{p})
		return err
	})
	same(t, won, 1)
}

// nothingIsMissed follows the registry while sixteen write to it.
func nothingIsMissed(t *testing.T, a, b *store.DB) {
	ctx := t.Context()
	stop, seen := make(chan struct{}), map[string]bool{}
	var follower sync.WaitGroup
	follow := func(from int64) int64 {
		list, err := b.TenantsSince(ctx, from, 7)
		if err != nil {
			t.Error(err)
		}
		for _, l := range list {
			if l.Revision <= from {
				t.Errorf("revision %d after %d", l.Revision, from)
			}
			from, seen[l.Label] = l.Revision, true
		}
		return from
	}
	follower.Go(func() {
		from := int64(0)
		for done := false; ; {
			next := follow(from)
			if done && next == from {
				return
			}
			from = next
			select {
			case <-stop:
				done = true
			default:
			}
		}
	})
	var n atomic.Int64
	race(t, a, b, nil, func(db *store.DB) error {
		_, err := db.PutTenants(ctx, anna, []store.TenantPut{label(fmt.Sprint("x", n.Add(1))), label(fmt.Sprint("x", n.Add(1)))})
		return err
	})
	close(stop)
	follower.Wait()
	if len(seen) != 2*parallel {
		t.Errorf("%d of %d were seen", len(seen), 2*parallel)
	}
	same(t, revision(t, a), 2*parallel)
}

func wholeRegistry(t *testing.T, a, b *store.DB) {
	ctx := t.Context()
	p := label("acme")
	p.Parameters = map[string]string{"a": "b"}
	put(t, a, p, label("globex"), label("gone"))
	must(t, a.RemoveTenant(ctx, anna, "gone", 0))
	acme, err := a.SetDomain(ctx, anna, "acme", store.Domain{App: "web", Origin: "https://a.example", VerifiedAt: 5}, 0)
	must(t, err)
	_, err = a.SetDomain(ctx, anna, "acme", store.Domain{App: "shop", Origin: "https://b.example"}, 0)
	must(t, err)
	got := map[string]tenant.Tenant{}
	at, err := b.EachTenant(ctx, func(t tenant.Tenant) error {
		got[t.Label] = t
		return nil
	})
	must(t, err)
	same(t, at, revision(t, a))
	want := acme.Tenant
	want.Sites = map[string]string{"web": "https://a.example"}
	if len(got) != 2 || got["globex"].Status != tenant.Active {
		t.Errorf("%+v", got)
	}
	same(t, got["acme"], want)
	stop := errors.New("stop")
	_, err = b.EachTenant(ctx, func(tenant.Tenant) error { return stop })
	is(t, err, stop)
	// The changes after it.
	put(t, a, label("later"))
	list, err := b.TenantsSince(ctx, at, 0)
	must(t, err)
	same(t, labels(list), "later")
	list, err = b.TenantsSince(ctx, 0, 0)
	must(t, err)
	if !slices.ContainsFunc(list, func(t store.Tenant) bool { return t.Label == "gone" && t.RemovedAt > 0 }) {
		t.Error("who follows does not learn that a tenant was removed")
	}
}
