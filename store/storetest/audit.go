package storetest

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"onedoor/store"
)

func auditPruned(t *testing.T, db *store.DB, pass func(time.Duration)) {
	ctx := t.Context()
	const began, hour = 1_790_000_000, 3600
	bert := store.Actor{Name: "bert", Via: "api"}
	for i, who := range []store.Actor{anna, bert, anna, bert} { // revisions 1 to 4, an hour apart
		_, err := db.PutTenants(ctx, who, []store.TenantPut{label(fmt.Sprintf("t%d", i))})
		must(t, err)
		pass(time.Hour)
	}
	ids := func(q store.AuditQuery) (all []int64) {
		t.Helper()
		entries, err := db.Audit(ctx, q)
		must(t, err)
		for _, e := range entries {
			all = append(all, e.ID)
		}
		return all
	}
	for _, tt := range []struct {
		name string
		q    store.AuditQuery
		want []int64
	}{
		{"all", store.AuditQuery{}, []int64{4, 3, 2, 1}},
		{"an actor's", store.AuditQuery{Actor: "bert"}, []int64{4, 2}},
		{"an actor's of a tenant", store.AuditQuery{Actor: "anna", Tenant: "t0"}, []int64{1}},
		{"nobody's", store.AuditQuery{Actor: "carl"}, nil},
		{"since a moment, which is in", store.AuditQuery{Since: began + hour}, []int64{4, 3, 2}},
		{"until a moment, which is out", store.AuditQuery{Until: began + 2*hour}, []int64{2, 1}},
		{"between two", store.AuditQuery{Since: began + 1, Until: began + 3*hour}, []int64{3, 2}},
		{"an actor's, between two", store.AuditQuery{Actor: "anna", Since: began + 1, Until: began + 3*hour}, []int64{3}},
		{"a page after another, until a moment", store.AuditQuery{After: 3, Until: began + 9*hour, Limit: 1}, []int64{2}},
		{"before all", store.AuditQuery{Until: began}, nil},
		{"after all", store.AuditQuery{Since: began + 4*hour}, nil},
	} {
		if got := ids(tt.q); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
	e, err := db.AuditEntry(ctx, 2)
	must(t, err)
	same(t, e.Actor, bert)
	same(t, e.At, int64(began+hour))
	must(t, db.PruneAudit(ctx, began+2*hour)) // numbers of keys rest by it
	same(t, ids(store.AuditQuery{}), []int64{4, 3, 2, 1})
	pass(48 * time.Hour)
	must(t, db.PruneAudit(ctx, began+2*hour))
	same(t, ids(store.AuditQuery{}), []int64{4, 3})
	must(t, db.PruneAudit(ctx, began+100*hour)) // by the newest one doors know their past
	same(t, ids(store.AuditQuery{}), []int64{4})
	_, err = db.AuditEntry(ctx, 2)
	is(t, err, store.ErrNotFound)
	same(t, revision(t, db), 4) // the next change is no other than it was
}
