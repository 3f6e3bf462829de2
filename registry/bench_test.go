package registry

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"

	"onedoor/tenant"
)

// million is a Source of n plain tenants, as a database makes them.
type million struct {
	*database
	n int
}

func (m million) Each(_ context.Context, f func(tenant.Tenant) error) (int64, error) {
	r := rand.New(rand.NewPCG(1, 2))
	for i := range m.n {
		t := tenant.Tenant{ID: fmt.Sprintf("t_%016x", r.Uint64()), Label: fmt.Sprintf("tenant-%06d", i), Status: tenant.Active}
		if err := f(t); err != nil {
			return 0, err
		}
	}
	return 1, nil
}

func (m million) load(b *testing.B) *Registry {
	r := New(Options{Source: m})
	if err := r.follow(b.Context()); err != nil {
		b.Fatal(err)
	}
	return r
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// BenchmarkMemory says how many octets a tenant takes, of what the registry
// counts and of the heap, beside a plain Go map of the same tenants.
func BenchmarkMemory(b *testing.B) {
	for _, n := range []int{10_000, 1_000_000} {
		b.Run(fmt.Sprintf("registry/tenants=%d", n), func(b *testing.B) {
			var r *Registry
			before := heap()
			for b.Loop() {
				r = million{newDatabase(), n}.load(b)
			}
			b.ReportMetric(float64(heap()-before)/float64(n), "octets/tenant")
			b.ReportMetric(float64(r.Octets())/float64(n), "counted/tenant")
			runtime.KeepAlive(r)
		})
		b.Run(fmt.Sprintf("map/tenants=%d", n), func(b *testing.B) {
			var all map[string]tenant.Tenant
			before := heap()
			for b.Loop() {
				all = map[string]tenant.Tenant{}
				_, _ = million{nil, n}.Each(b.Context(), func(t tenant.Tenant) error {
					all[t.Label] = t
					return nil
				})
			}
			b.ReportMetric(float64(heap()-before)/float64(n), "octets/tenant")
			runtime.KeepAlive(all)
		})
	}
}

// BenchmarkByLabel asks in no order, so that a large registry is not answered
// from the processor's cache.
func BenchmarkByLabel(b *testing.B) {
	for _, n := range []int{10, 10_000, 1_000_000} {
		r := million{newDatabase(), n}.load(b)
		plain := make(map[string]tenant.Tenant, n)
		asked := make([]string, min(n, 1<<16))
		for i, at := range rand.Perm(n)[:len(asked)] {
			asked[i] = fmt.Sprintf("tenant-%06d", at)
		}
		_, _ = million{nil, n}.Each(b.Context(), func(t tenant.Tenant) error {
			plain[t.Label] = t
			return nil
		})
		b.Run(fmt.Sprintf("registry/tenants=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if _, err := r.ByLabel(b.Context(), asked[i%len(asked)]); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(fmt.Sprintf("map/tenants=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if _, ok := plain[asked[i%len(asked)]]; !ok {
					b.Fatal("not there")
				}
			}
		})
		b.Run(fmt.Sprintf("nobody/tenants=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := r.ByLabel(b.Context(), "nobody"); err == nil {
					b.Fatal("somebody")
				}
			}
		})
	}
}
