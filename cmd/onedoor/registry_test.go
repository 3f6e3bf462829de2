package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"testing"
	"time"

	"onedoor/registry"
	"onedoor/store"
	"onedoor/tenant"
)

// tenantsFile is a configuration for doors that share a database.
func tenantsFile(t *testing.T, more string) string {
	return write(t, newIDP(t).yaml("database: one.db\n"+more))
}

// put writes tenants past all doors, as another program would.
func put(t *testing.T, r *replica, puts ...store.Tenant) {
	t.Helper()
	list := make([]store.TenantPut, len(puts))
	for i, p := range puts {
		list[i].Tenant = p
	}
	if _, err := r.db.PutTenants(t.Context(), store.Actor{Name: "test", Via: "test"}, list); err != nil {
		t.Fatal(err)
	}
}

func row(label string, status tenant.Status) store.Tenant {
	return store.Tenant{Tenant: tenant.Tenant{Label: label, Status: status}}
}

// relayed is the status of a relayed response for a tenant.
func (r *replica) relayed(label string) int {
	return r.ask(http.MethodGet, "/tenants/"+label+"/callback?code=K&state=s", nil, nil).status
}

func (r *replica) authorized(label string) int {
	q := url.Values{"client_id": {"atlas"}, "response_type": {"code"}, "redirect_uri": {"http://" + label + ".localhost/cb"}}
	return r.ask(http.MethodGet, "/r/auth?"+q.Encode(), nil, nil).status
}

// A tenant is added by one program, and its first user logs in a second later
// through any door.
func TestATenantOfTheDatabaseIsKnownToEveryDoorWithinASecond(t *testing.T) {
	file := tenantsFile(t, "")
	doors := []*replica{startReplica(t, file, time.Now), startReplica(t, file, time.Now)}
	within := func(what string, ok func(*replica) bool) {
		t.Helper()
		began := time.Now()
		for _, r := range doors {
			until(t, what, func() bool { return ok(r) })
		}
		if took := time.Since(began); took > 5*time.Second { // a second, on a machine that does nothing else
			t.Errorf("%s took %v", what, took)
		}
	}
	for _, r := range doors {
		if s := r.relayed("newcomer"); s != http.StatusNotFound {
			t.Errorf("before: %d", s)
		}
	}
	put(t, doors[0], row("newcomer", tenant.Active))
	within("to be known", func(r *replica) bool { return r.relayed("newcomer") == http.StatusFound })
	within("to log in", func(r *replica) bool { return r.authorized("newcomer") == http.StatusSeeOther })
	put(t, doors[1], row("newcomer", tenant.Suspended))
	within("to be suspended", func(r *replica) bool { return r.relayed("newcomer") == http.StatusNotFound })
	if s := doors[0].authorized("newcomer"); s != http.StatusBadRequest {
		t.Errorf("a suspended tenant logs in: %d", s)
	}
	until(t, "the doors to be at one revision", func() bool { return doors[0].tenants.Revision() == doors[1].tenants.Revision() })
}

// acme is in the file.
func TestATenantOfTheFileThatTheDatabaseSuspendsIsSuspended(t *testing.T) {
	r := startReplica(t, tenantsFile(t, ""), time.Now)
	if s := r.relayed("acme"); s != http.StatusFound {
		t.Fatalf("without a row: %d", s)
	}
	put(t, r, row("acme", tenant.Suspended))
	until(t, "it is suspended", func() bool { return r.relayed("acme") == http.StatusNotFound })
	put(t, r, row("acme", tenant.Active))
	until(t, "it is back", func() bool { return r.relayed("acme") == http.StatusFound })
}

func TestAllTenantsAreThereWhenADoorIsReady(t *testing.T) {
	file := tenantsFile(t, "")
	first := startReplica(t, file, time.Now)
	const many = 3000
	label := func(i int) string { return fmt.Sprintf("tenant-%04d", i) }
	var rows []store.Tenant
	for i := range many {
		rows = append(rows, row(label(i), tenant.Active))
	}
	put(t, first, rows...)
	second := startReplica(t, file, time.Now)
	for i := range many {
		if _, err := second.tenants.ByLabel(t.Context(), label(i)); err != nil {
			t.Fatalf("%s: %v", label(i), err)
		}
	}
	if n := second.tenants.Size(); n != many || second.tenants.Octets() < many*20 {
		t.Errorf("%d tenants in %d octets, want %d", n, second.tenants.Octets(), many)
	}
}

func TestADoorIsNotReadyWithoutItsTenants(t *testing.T) {
	cfg := parse(t, tenantsFile(t, ""))
	db, err := openStore(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	d, err := newDoor(t.Context(), cfg, db, slog.New(slog.DiscardHandler), doorOptions{}) // which never runs, and so never loads
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.close() })
	c := d.current.Load()
	if err := c.gateway.Ready(); !errors.Is(err, registry.ErrLoading) {
		t.Errorf("ready: %v", err)
	}
	if _, err := c.directory.Registry.ByLabel(t.Context(), "acme"); !errors.Is(err, registry.ErrLoading) {
		t.Errorf("a listed tenant, that the database may have suspended: %v", err)
	}
}

// The past of a revision is who made it.
func TestTheMarkOfARevisionIsItsOwn(t *testing.T) {
	r := startReplica(t, tenantsFile(t, ""), time.Now)
	source := tenantSource{r.db}
	marks := map[string]bool{}
	for _, label := range []string{"one", "two", "three"} {
		put(t, r, row(label, tenant.Active))
	}
	now, err := r.db.Revision(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for revision := now - 2; revision <= now; revision++ {
		mark, err := source.Mark(t.Context(), revision)
		again, err2 := source.Mark(t.Context(), revision)
		if mark == "" || err != nil || err2 != nil || again != mark || marks[mark] {
			t.Errorf("revision %d: %q and %q, %v, %v", revision, mark, again, err, err2)
		}
		marks[mark] = true
	}
	if mark, err := source.Mark(t.Context(), now+1); mark != "" || err != nil {
		t.Errorf("a revision that nobody made: %q, %v", mark, err)
	}
}

// However large the registry, the heap grows by about as much as without one.
func TestTheCollectorKeepsItsDistance(t *testing.T) {
	for _, size := range []int64{0, 1 << 20, 35 << 20, 350 << 20} {
		percent := collectAt(size)
		grows := (elbowRoom + 4<<20 + size) * int64(percent) / 100
		if most := 12<<20 + size/20; grows > most || percent < 5 || percent > 100 {
			t.Errorf("beside %d octets: at %d %%, so %d octets", size, percent, grows)
		}
	}
}
