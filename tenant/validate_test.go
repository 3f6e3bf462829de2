package tenant

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func market(t testing.TB) *Directory {
	d := shop(t)
	d.Issuers = []string{"/realms/shop", "/realms/{tenant}"}
	env := Environment{Production: true, Door: d.Door}
	d.Apps[0].Environment = env
	crm := *d.Apps[0]
	crm.Name, crm.RedirectURIs = "crm", []string{"https://crm.example.net/cb"}
	var err error
	if crm.Site, err = ParseTemplate("https://{tenant}-crm.example.org:8443", env); err != nil {
		t.Fatal(err)
	}
	dev := *d.Apps[0]
	dev.Name, dev.Environment.Insecure = "dev", true
	cli := *d.Apps[0]
	cli.Name, cli.Callbacks, cli.Site, cli.Type = "cli", nil, Template{}, Native
	d.Apps = append(d.Apps, &crm, &dev, &cli)
	return d
}

func TestATenantsOwnSiteIsItsOwn(t *testing.T) {
	d := market(t)
	for _, tt := range []struct{ app, origin, want string }{
		{"shop", "https://portal.acme.example", ""},
		{"shop", "https://portal.acme.example:8443", ""},
		{"shop", "https://acme.co.uk", ""},
		{"shop", "https://xn--bcher-kva.example", ""},
		{"dev", "http://portal.acme.example", ""},
		{"dev", "http://localhost:3000", ""},
		{"other", "https://portal.acme.example", "no app"},
		{"cli", "https://portal.acme.example", "no callbacks"},
		{"shop", "", "not an origin"},
		{"shop", "portal.acme.example", "not an origin"},
		{"shop", "com.example.app:/", "not an origin"},
		{"shop", "https://portal.acme.example/", "more than an origin"},
		{"shop", "https://portal.acme.example?x", "more than an origin"},
		{"shop", "https://*.acme.example", "no pattern"},
		{"shop", "https://{tenant}.acme.example", "no placeholder"},
		{"shop", "https://x@portal.acme.example", "no user name"},
		{"shop", "https://portal.acme.example:443", `read it as "https://portal.acme.example"`},
		{"shop", "https://Test.acme.example", `read it as "https://test.acme.example"`},
		{"shop", "https://bücher.example", "https://xn--bcher-kva.example"},
		{"shop", "https://portal.acme.example.", "empty label"},
		{"shop", "https://portal_x.acme.example", "label"},
		{"shop", "https://xn--zz-abcdefg.example", "URL"},
		{"shop", "https://ab--cd.example", "encodes no name"},
		{"shop", "http://portal.acme.example", "use https"},
		{"shop", "http://localhost:3000", "use https"},
		{"shop", "https://192.0.2.1", "is an address"},
		{"shop", "https://[2001:db8::1]", "is an address"},
		{"shop", "https://intranet", "own network"},
		{"shop", "https://co.uk", "anybody"},
		{"shop", "https://github.io", "anybody"},
		{"shop", "https://auth.example.com", "the door itself"},
		{"dev", "http://auth.example.com:8080", "the door's own host"},
		{"shop", "https://acme.example.com", `the site of tenant "acme" for shop`},
		{"shop", "https://acme.example.com:8443", `the site of tenant "acme" for shop`},
		{"dev", "http://acme.example.com", `the site of tenant "acme" for shop`},
		{"shop", "https://acme-crm.example.org", `the site of tenant "acme" for crm`},
		{"crm", "https://new.example.com", `the site of tenant "new" for shop`},
		{"shop", "https://example.com", "above every tenant's site"},
		{"shop", "https://crm.example.net", "redirect URI of crm"},
		{"shop", "https://" + strings.Repeat("a.", 130) + "example", "longer"},
	} {
		ps := d.Validate(Tenant{ID: "1", Label: "globex", Status: Active, Sites: map[string]string{tt.app: tt.origin}})
		switch {
		case tt.want == "" && len(ps) > 0:
			t.Errorf("%s at %s: %v", tt.app, tt.origin, ps)
		case tt.want != "" && (len(ps) != 1 || ps[0].Path != "sites."+tt.app || !strings.Contains(ps[0].Error(), tt.want)):
			t.Errorf("%s at %.80s: %v, want a mention of %s", tt.app, tt.origin, ps, tt.want)
		}
		if len(ps) == 1 && ps[0].Hint == "" {
			t.Errorf("%s at %.80s: says nothing of what to do", tt.app, tt.origin)
		}
	}
}

func TestEveryMistakeOfATenantIsToldWithItsPlace(t *testing.T) {
	d := market(t)
	bad := Tenant{
		ID: "a b", Label: "Acme", Status: "gone", Issuer: "/realms/other",
		Sites:      map[string]string{"shop": "http://x", "crm": "https://co.uk"},
		Parameters: map[string]string{"redirect_uri": "https://evil.test", "State[]": "x", "prompt": "", "hint": "{tenant}"},
	}
	got := map[string]bool{}
	for _, p := range d.Validate(bad) {
		got[p.Path] = true
	}
	want := map[string]bool{
		"id": true, "label": true, "status": true, "issuer": true, "sites.shop": true, "sites.crm": true,
		"parameters.redirect_uri": true, "parameters.State[]": true, "parameters.prompt": true, "parameters.hint": true,
	}
	if !maps.Equal(got, want) {
		t.Errorf("got %v", got)
	}
	for _, good := range []Tenant{
		{Label: "acme", Status: Active},
		{ID: "0199c0de-7a5c-7bbb-8000-0123456789ab", Label: "buecher", Status: Suspended, Issuer: "/realms/{tenant}"},
		{ID: "x", Label: "acme", Status: Active, Issuer: "/realms/acme", Parameters: map[string]string{"kc_idp_hint": "acme", "ui_locales": "ko ja"}},
	} {
		if ps := d.Validate(good); len(ps) > 0 {
			t.Errorf("%+v: %v", good, ps)
		}
	}
}

func TestALabelMakesAHostThatTheDNSCanHold(t *testing.T) {
	d := market(t)
	for label, ok := range map[string]bool{
		"acme": true, "www": false, "-a": false, "": false, "ACME": false, "ab--c": false, "xn--zz-abcdefg": false,
		strings.Repeat("a", 59): true, strings.Repeat("a", 60): false, // and "-crm"
	} {
		if ps := d.Validate(Tenant{Label: label, Status: Active}); (len(ps) == 0) != ok {
			t.Errorf("%q: %v", label, ps)
		}
	}
	// "xn--bcher-kva" is a name; with "-crm" behind it, it encodes none.
	idn := Tenant{Label: "xn--bcher-kva", Status: Active}
	if ps := d.Validate(idn); len(ps) != 1 || !strings.Contains(ps[0].Message, "xn--bcher-kva-crm.example.org") {
		t.Errorf("an A-label in part of a label: %v", ps)
	}
	d.Apps = d.Apps[:1]
	if ps := d.Validate(idn); len(ps) != 0 {
		t.Errorf("an A-label: %v", ps)
	}
}

func TestProtocolParametersAreNobodysToAdd(t *testing.T) {
	for name, ok := range map[string]bool{
		"redirect_uri": false, "state": false, "client_id": false, "response_type": false, "response_mode": false, "request": false,
		"request_uri": false, "nonce": false, "code_challenge": false, "code_challenge_method": false, "dpop_jkt": false, "code": false,
		"Redirect_URI": false, "state[]": false, "client_id.x": false, "a b": false, "": false, strings.Repeat("n", 65): false,
		"kc_idp_hint": true, "prompt": true, "login_hint": true, "ui_locales": true, "acr_values": true, "organization": true,
	} {
		if ps := CheckParameters(map[string]string{name: "x"}); (len(ps) == 0) != ok {
			t.Errorf("%q: %v", name, ps)
		}
	}
	for _, value := range []string{"", "a\nb", "\xff", strings.Repeat("v", 1025)} {
		if len(CheckParameters(map[string]string{"prompt": value})) == 0 {
			t.Errorf("value %.20q is accepted", value)
		}
	}
	many := map[string]string{}
	for i := range 17 {
		many[fmt.Sprint("p", i)] = "x"
	}
	if ps := CheckParameters(many); len(ps) != 1 || ps[0].Path != "" {
		t.Errorf("17 parameters: %v", ps)
	}
}

// A row that was written past the checks adds nothing of the protocol's.
func TestAParameterOfTheProtocolIsNeverAdded(t *testing.T) {
	to := Target{App: &App{Authorize: map[string]string{"state": "evil", "hint": "{tenant}"}}, Tenant: Tenant{Label: "acme", Parameters: map[string]string{
		"request": "evil", "redirect_uri": "evil", "code_challenge": "evil", "State[]": "evil", "prompt": "login",
	}}}
	if got := to.Parameters().Encode(); got != "hint=acme&prompt=login" {
		t.Errorf("got %s", got)
	}
}

// Whatever site is accepted for one tenant, no other tenant's login ends there,
// and none of its own label's is led astray.
func TestAnAcceptedSiteTakesNothingFromOthers(t *testing.T) {
	d := market(t)
	rapid.Check(t, func(t *rapid.T) {
		label := rapid.StringMatching(`[a-z0-9-]{1,6}`).Draw(t, "label")
		host := rapid.StringMatching(`([a-z0-9-]{1,6}(-crm)?\.)?(example\.(com|org|net)|acme\.example|co\.uk)`).Draw(t, "host")
		origin := rapid.SampledFrom([]string{"https://", "http://"}).Draw(t, "scheme") + host + rapid.SampledFrom([]string{"", ":8443"}).Draw(t, "port")
		app := d.Apps[rapid.IntRange(0, 2).Draw(t, "app")]
		own := Tenant{ID: "9", Label: label, Status: Active, Sites: map[string]string{app.Name: origin}}
		if len(d.Validate(own)) > 0 {
			return
		}
		d.Registry = List{own}
		for _, a := range d.Apps[:3] {
			to, no := d.RedirectURI(t.Context(), a, origin+a.Callbacks[0])
			if a == app && (no != nil || to.Tenant.ID != "9") {
				t.Fatalf("%s of %s: %v, %v", origin, label, to, no)
			}
			if a != app && no == nil {
				t.Fatalf("%s of %s is a site for %s too", origin, label, a.Name)
			}
		}
	})
}
