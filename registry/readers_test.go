package registry

import (
	"errors"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"onedoor/tenant"
)

// While tenants change, and all of them are read anew, whoever asks gets a
// tenant as it was or as it is: never one at a site that it does not have, nor
// one without its id.
func TestReadersSeeWholeTenantsWhileTheyChange(t *testing.T) {
	const many, sites = 300, 20
	db := newDatabase()
	r := New(Options{Source: db})
	label := func(i int) string { return "t" + strconv.Itoa(i) }
	site := func(i int) string { return "https://s" + strconv.Itoa(i%sites) + ".example" }
	some := func(i, of int) tenant.Tenant {
		out := active("id-"+label(i), label(i))
		if i%3 == of%3 {
			out.Sites = map[string]string{"shop": site(of)}
			out.Parameters = map[string]string{"hint": label(i)}
		}
		return out
	}
	for i := range many {
		db.put(some(i, -1))
	}
	if err := r.follow(t.Context()); err != nil {
		t.Fatal(err)
	}
	var done atomic.Bool
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for !done.Load() {
				i := rand.IntN(many)
				got, err := r.ByLabel(t.Context(), label(i))
				if err != nil || got.ID != "id-"+label(i) || (got.Parameters != nil && got.Parameters["hint"] != label(i)) {
					t.Errorf("%s: %+v, %v", label(i), got, err)
					return
				}
				at := site(rand.IntN(sites))
				switch got, err := r.BySite(t.Context(), "shop", at); {
				case errors.Is(err, tenant.ErrUnknown):
				case err != nil || got.Sites["shop"] != at || got.ID != "id-"+got.Label:
					t.Errorf("%s: %+v, %v", at, got, err)
					return
				}
			}
		})
	}
	for n := range 3000 {
		// A site goes from one tenant to the next.
		r.apply(Change{Tenant: some(n%many, -1), Revision: int64(many + n)})
		r.apply(Change{Tenant: some((n+1)%many, n+1), Revision: int64(many + n)})
		if n%500 == 0 {
			if err := r.load(t.Context()); err != nil {
				t.Error(err)
			}
		}
	}
	done.Store(true)
	readers.Wait()
}
