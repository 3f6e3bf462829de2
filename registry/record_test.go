package registry

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"onedoor/tenant"
)

func someTenant(label *rapid.Generator[string]) *rapid.Generator[tenant.Tenant] {
	return rapid.Custom(func(t *rapid.T) tenant.Tenant {
		l := label.Draw(t, "label")
		texts := rapid.MapOfN(rapid.StringN(0, 10, 64), rapid.StringN(0, 40, 300), 0, 4)
		out := tenant.Tenant{
			Label:  l,
			ID:     rapid.OneOf(rapid.Just(l), rapid.StringMatching(`t_[0-9a-f]{16}`), rapid.StringMatching(`t_[0-9a-fA-Fx]{15,17}`), rapid.String()).Draw(t, "id"),
			Status: rapid.SampledFrom([]tenant.Status{tenant.Active, tenant.Suspended}).Draw(t, "status"),
		}
		if rapid.Bool().Draw(t, "more") {
			out.Issuer = rapid.SampledFrom([]string{"", "/", "/realms/shop"}).Draw(t, "issuer")
			if out.Sites = texts.Draw(t, "sites"); len(out.Sites) == 0 {
				out.Sites = nil
			}
			if out.Parameters = texts.Draw(t, "parameters"); len(out.Parameters) == 0 {
				out.Parameters = nil
			}
		}
		return out
	})
}

func TestATenantComesOutAsItWentIn(t *testing.T) {
	some := someTenant(rapid.StringMatching(`[a-z0-9-]{1,63}`))
	rapid.Check(t, func(t *rapid.T) {
		in := some.Draw(t, "tenant")
		if diff := cmp.Diff(in, decode(in.Label, encode(nil, in))); diff != "" {
			t.Fatal(diff)
		}
	})
}

func TestAPlainTenantTakesNineOctetsBesideItsLabel(t *testing.T) {
	if b := encode(nil, tenant.Tenant{ID: "t_0123456789abcdef", Label: "acme", Status: tenant.Active}); len(b) != 9 {
		t.Errorf("%d octets: %x", len(b), b)
	}
}

// A status that a later version wrote admits nobody.
func TestAnUnknownStatusIsNotActive(t *testing.T) {
	in := tenant.Tenant{ID: "1", Label: "acme", Status: "frozen"}
	if out := decode("acme", encode(nil, in)); out.Status == tenant.Active {
		t.Errorf("%+v", out)
	}
}
