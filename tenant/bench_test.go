package tenant

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
)

func TestListedLabelsAreActiveTenants(t *testing.T) {
	d, ctx := shop(t), context.Background()
	d.Registry = Labels{"acme": {}}
	if to, no := d.RedirectURI(ctx, d.Apps[0], "https://acme.example.com/api/auth/callback"); no != nil || to.Tenant.ID != "acme" {
		t.Errorf("got %+v, %v", to, no)
	}
	for _, uri := range []string{"https://globex.example.com/api/auth/callback", "https://portal.acme.example/api/auth/callback"} {
		if to, no := d.RedirectURI(ctx, d.Apps[0], uri); no == nil {
			t.Errorf("%s leads to %+v", uri, to)
		}
	}
}

func TestTheRegistrysWordGoesBeforeTheLists(t *testing.T) {
	d, ctx := shop(t), context.Background()
	known := List{
		{ID: "7", Label: "wayne", Status: Suspended},
		{ID: "8", Label: "globex", Status: Active, Sites: map[string]string{"shop": "https://portal.globex.example"}},
	}
	for _, wrap := range []func(Registry) Registry{func(r Registry) Registry { return r }, func(r Registry) Registry { return Any{r} }} {
		d.Registry = wrap(Listed{known, Labels{"acme": {}, "wayne": {}, "globex": {}}})
		for label, id := range map[string]string{"acme": "acme", "globex": "8", "wayne": ""} {
			to, no := d.RedirectURI(ctx, d.Apps[0], "https://"+label+".example.com/api/auth/callback")
			if to.Tenant.ID != id || (no == nil) != (id != "") {
				t.Errorf("%s: %+v, %v", label, to.Tenant, no)
			}
		}
		if to, no := d.RedirectURI(ctx, d.Apps[0], "https://portal.globex.example/api/auth/callback"); no != nil || to.Tenant.ID != "8" {
			t.Errorf("a site of its own: %v", no)
		}
		d.Registry = wrap(Listed{brokenRegistry{}, Labels{"acme": {}}})
		if _, no := d.RedirectURI(ctx, d.Apps[0], "https://acme.example.com/api/auth/callback"); no == nil || !no.CouldNotLook() {
			t.Errorf("a registry that cannot look: %v", no)
		}
	}
}

// BenchmarkRelay and BenchmarkRedirectURI ask for tenants in no order, so that
// a large registry is not answered from the processor's cache.
func BenchmarkRelay(b *testing.B) {
	benchmark(b, "/tenants/%s/callback?code=abc&state=def", func(d *Directory, raw string) *Refusal {
		_, no := d.Relay(context.Background(), raw)
		return no
	})
}

func BenchmarkRedirectURI(b *testing.B) {
	benchmark(b, "https://%s.example.com/api/auth/callback", func(d *Directory, raw string) *Refusal {
		_, no := d.RedirectURI(context.Background(), d.Apps[0], raw)
		return no
	})
}

func benchmark(b *testing.B, format string, ask func(*Directory, string) *Refusal) {
	for _, n := range []int{10, 1_000_000} {
		b.Run(fmt.Sprintf("tenants=%d", n), func(b *testing.B) {
			d, tenants := shop(b), make(Labels, n)
			for i := range n {
				tenants[fmt.Sprintf("t%06d", i)] = struct{}{}
			}
			d.Registry = tenants
			asked := make([]string, min(n, 1<<16))
			for i, label := range rand.Perm(n)[:len(asked)] {
				asked[i] = fmt.Sprintf(format, fmt.Sprintf("t%06d", label))
			}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if no := ask(d, asked[i%len(asked)]); no != nil {
					b.Fatal(no)
				}
			}
		})
	}
}
