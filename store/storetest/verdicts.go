package storetest

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"

	"onedoor/store"
)

func verdictsKept(t *testing.T, a, b *store.DB) {
	ctx := t.Context()
	put := func(db *store.DB, want bool, v store.Verdict) {
		t.Helper()
		news, err := db.PutVerdict(ctx, v)
		must(t, err)
		same(t, news, want)
	}
	broken := store.Verdict{Tenant: "globex", App: "wiki", Outcome: "site.dns", Detail: "the name is not known", Fix: "add it", At: 1000}
	put(a, true, broken)
	broken.At, broken.Detail = 1600, "as before"
	put(b, false, broken)
	broken.Since = 1000
	put(b, true, store.Verdict{Tenant: "acme", App: "shop", Outcome: "site.down", At: 1601})
	put(a, true, store.Verdict{Tenant: "acme", App: "wiki", Outcome: "site.dns", At: 1602})
	put(a, true, store.Verdict{Tenant: "", App: "wiki", Outcome: "provider.open", At: 1603})

	got, err := a.Verdicts(ctx, store.VerdictQuery{Limit: 3})
	must(t, err)
	same(t, got, []store.Verdict{
		{Tenant: "", App: "wiki", Outcome: "provider.open", Since: 1603, At: 1603},
		{Tenant: "acme", App: "shop", Outcome: "site.down", Since: 1601, At: 1601},
		{Tenant: "acme", App: "wiki", Outcome: "site.dns", Since: 1602, At: 1602},
	})
	got, err = a.Verdicts(ctx, store.VerdictQuery{AfterTenant: "acme", AfterApp: "wiki"})
	must(t, err)
	same(t, got, []store.Verdict{broken})
	got, err = b.Verdicts(ctx, store.VerdictQuery{Outcome: "site.dns", AfterTenant: "acme", AfterApp: "shop", Limit: 1})
	must(t, err)
	same(t, len(got), 1)
	same(t, got[0].Tenant, "acme")

	broken.Outcome, broken.At = "site.down", 2000
	put(a, true, broken)
	must(t, b.PruneVerdicts(ctx, 1603))
	got, err = a.Verdicts(ctx, store.VerdictQuery{AfterTenant: "a"})
	must(t, err)
	broken.Since = 2000
	same(t, got, []store.Verdict{broken})
	for _, want := range []bool{true, false} {
		news, err := a.ClearVerdict(ctx, "globex", "wiki")
		must(t, err)
		same(t, news, want)
	}
}

func oneVerifies(t *testing.T, a, b *store.DB) {
	ctx := t.Context()
	other := errors.New("another does")
	var n atomic.Int64
	same(t, race(t, a, b, other, func(db *store.DB) error {
		_, taken, err := db.TakeVerifyRound(ctx, fmt.Sprint("r", n.Add(1)), 1000, 1030)
		if err == nil && !taken {
			return other
		}
		return err
	}), 1)
	_, taken, err := a.TakeVerifyRound(ctx, "late", 1031, 1061)
	must(t, err)
	same(t, taken, true)
	_, taken, err = b.TakeVerifyRound(ctx, "other", 1061, 1090)
	must(t, err)
	same(t, taken, false)
	far := store.VerifyRound{Began: 1031, Ended: 900, After: "globex", Looked: 7}
	kept, err := b.KeepVerifyRound(ctx, "other", 2000, far)
	must(t, err)
	same(t, kept, false)
	kept, err = a.KeepVerifyRound(ctx, "late", 1100, far)
	must(t, err)
	same(t, kept, true)
	left, taken, err := b.TakeVerifyRound(ctx, "other", 1101, 1130)
	must(t, err)
	same(t, taken, true)
	same(t, left, far)
	left, err = a.VerifyRound(ctx)
	must(t, err)
	same(t, left, far)
}
