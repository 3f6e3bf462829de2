package tenant

import (
	"testing"
)

func TestATenantsLoginsAreThoseOfItsAppsAndIssuer(t *testing.T) {
	site, err := ParseTemplate("https://{tenant}.example.com", Environment{Production: true})
	if err != nil {
		t.Fatal(err)
	}
	shop := &App{Name: "shop", Mode: Relay, Site: site, Callbacks: []string{"/cb", "/old"}, Issuer: "/r"}
	wiki := &App{Name: "wiki", Mode: Transparent, Callbacks: []string{"/wiki/cb"}, Issuer: "/realms/{tenant}", RegisteredRedirectURI: "https://auth.example.com/onedoor/callback/realms/{tenant}"}
	tool := &App{Name: "tool", RedirectURIs: []string{"http://127.0.0.1/cb"}, Issuer: "/r"}
	d := &Directory{
		Apps: []*App{shop, wiki, tool}, Door: []string{"https://auth.example.com"}, Issuers: []string{"/r", "/realms/{tenant}"},
		Registry: List{
			{ID: "1", Label: "acme", Status: Active, Sites: map[string]string{"wiki": "https://wiki.acme.example"}},
			{ID: "2", Label: "globex", Status: Active, Issuer: "/r", Sites: map[string]string{"wiki": "https://wiki.globex.example"}},
			{ID: "3", Label: "initech", Status: Active, Issuer: "/other"},
			{ID: "4", Label: "gone", Status: Suspended},
		},
	}
	logins, no := d.Logins(t.Context(), "acme")
	if no != nil || len(logins) != 2 {
		t.Fatalf("%+v, %v", logins, no)
	}
	relay := "https://auth.example.com/tenants/acme/callback"
	if l := logins[0]; l.App != shop || l.Issuer != "/r" || l.URI != "https://acme.example.com/cb" || l.RedirectURI != relay || l.Registered != relay || l.Relay != relay || l.Refused != nil {
		t.Errorf("%+v", l)
	}
	if l := logins[1]; l.App != wiki || l.Issuer != "/realms/acme" || l.URI != "https://wiki.acme.example/wiki/cb" || l.RedirectURI != l.URI ||
		l.Registered != "https://auth.example.com/onedoor/callback/realms/acme" || l.Relay != "" || l.Refused != nil {
		t.Errorf("%+v", l)
	}
	if to, no := d.Relay(t.Context(), "/tenants/acme/callback"); no != nil || to.URI != logins[0].URI {
		t.Errorf("the relay leads to %+v, %v", to, no)
	}
	if logins, no = d.Logins(t.Context(), "globex"); no != nil || len(logins) != 1 || logins[0].App != shop {
		t.Errorf("of another issuer's app: %+v, %v", logins, no)
	}
	for label, rule := range map[string]string{"initech": "tenant.issuer", "gone": "tenant.suspended", "nobody": "tenant.unknown"} {
		if logins, no = d.Logins(t.Context(), label); no == nil || no.Rule != rule {
			t.Errorf("%s: %+v, %v", label, logins, no)
		}
	}
	d.Door = append(d.Door, "https://wiki.acme.example")
	if logins, no = d.Logins(t.Context(), "acme"); no != nil || len(logins) != 2 || logins[1].Refused == nil || logins[1].Refused.Rule != "redirect_uri.door" {
		t.Errorf("a site that is the door: %+v, %v", logins, no)
	}
}
