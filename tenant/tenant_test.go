package tenant

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/nlnwa/whatwg-url/url"
)

func shop(t testing.TB) *Directory {
	t.Helper()
	site, err := ParseTemplate("https://{tenant}.example.com", Environment{Production: true})
	if err != nil {
		t.Fatal(err)
	}
	return &Directory{
		Apps: []*App{{
			Name: "shop", ClientID: "shop", Mode: Transparent, Type: Confidential, Site: site,
			Callbacks: []string{"/api/auth/callback", "/cb?x=1"}, Logouts: []string{"/", ""},
		}},
		Registry: List{
			{ID: "1", Label: "acme", Status: Active},
			{ID: "2", Label: "globex", Status: Active, Sites: map[string]string{"shop": "https://portal.globex.example"}},
			{ID: "3", Label: "wayne", Status: Suspended},
		},
		Reserved: []string{"www", "auth"},
		Door:     []string{"https://auth.example.com", "http://onedoor:9000"},
	}
}

func TestTheRegistryIsAskedAgain(t *testing.T) {
	d, ctx := shop(t), context.Background()
	const uri = "https://acme.example.com/api/auth/callback"
	if _, no := d.Again(ctx, d.Apps[0], uri, "1"); no != nil {
		t.Errorf("the same tenant: %v", no)
	}
	if _, no := d.Again(ctx, d.Apps[0], uri, "9"); no == nil || no.Rule != "tenant.changed" {
		t.Errorf("a label that was given to somebody else: %v", no)
	}
	d.Registry = List{{ID: "1", Label: "acme", Status: Suspended}}
	if _, no := d.Again(ctx, d.Apps[0], uri, "1"); no == nil || no.Rule != "tenant.suspended" {
		t.Errorf("a tenant suspended in between: %v", no)
	}
}

type brokenRegistry struct{ List }

var errDown = errors.New("database is down")

func (brokenRegistry) ByLabel(context.Context, string) (Tenant, error) { return Tenant{}, errDown }

func TestARegistryThatCannotLookRefuses(t *testing.T) {
	d := shop(t)
	d.Registry = brokenRegistry{}
	_, no := d.RedirectURI(context.Background(), d.Apps[0], "https://acme.example.com/api/auth/callback")
	if no == nil || !errors.Is(no, errDown) || errors.Is(no, ErrUnknown) {
		t.Errorf("got %v, want the registry's own error", no)
	}
}

func TestARefusalSaysHowNearItWas(t *testing.T) {
	d := shop(t)
	for uri, want := range map[string]string{
		"https://acme.example.com/api/auth/callback/":     "slash at the end",
		"http://acme.example.com/api/auth/callback":       "http and https",
		"https://ACME.example.com/api/auth/callback":      "upper and lower case",
		"https://acme.example.com/api/auth/callback?code": "the query",
		"https://wayne.example.com/api/auth/callback":     "an active tenant",
		"https://www.example.com/api/auth/callback":       "not reserved",
		"https://auth.example.com/api/auth/callback":      "not of the door",
		"https://evil.test/":                              `"https://{tenant}.example.com/api/auth/callback"`,
	} {
		_, no := d.RedirectURI(context.Background(), d.Apps[0], uri)
		if no == nil || !strings.Contains(no.Error(), want) {
			t.Errorf("%q: %v, want a mention of %s", uri, no, want)
		}
	}
}

// Byte-equality would refuse these as well; the rule that refuses first is the
// one that holds when somebody registers such an address.
func TestWhatParsersDisagreeOnIsRefusedBeforeItIsCompared(t *testing.T) {
	d := shop(t)
	for _, uri := range []string{
		"", "https://acme.example.com\\@evil.test/cb", "https://acme.example.com/cb#", "https://acme.example.com/%zz",
		"https://acme.example.com/c b", "https://acme.example.com/\tcb", "https://acme.example.com/é", "https://acme.example.com/{a}",
	} {
		d.Apps[0].RedirectURIs = []string{uri}
		if _, no := d.RedirectURI(context.Background(), d.Apps[0], uri); no == nil || no.Rule != "redirect_uri.malformed" {
			t.Errorf("%q: %v", uri, no)
		}
	}
}

func TestOnlyNativeAppsMayChooseTheirPort(t *testing.T) {
	d, ctx := shop(t), context.Background()
	d.Apps[0].RedirectURIs = []string{"http://127.0.0.1/callback"}
	for typ, ok := range map[Type]bool{Native: true, Public: false, Confidential: false} {
		d.Apps[0].Type = typ
		if _, no := d.RedirectURI(ctx, d.Apps[0], "http://127.0.0.1:51004/callback"); (no == nil) != ok {
			t.Errorf("%s: %v", typ, no)
		}
	}
}

func TestALoopbackNameInFrontOfAnotherIsNoLoopback(t *testing.T) {
	d, ctx := shop(t), context.Background()
	d.Apps[0].Type, d.Apps[0].RedirectURIs = Native, []string{"http://127.0.0.1.example.test/callback", "http://localhost.test/callback"}
	for _, uri := range []string{"http://127.0.0.1:51004/callback", "http://localhost:51004/callback"} {
		if _, no := d.RedirectURI(ctx, d.Apps[0], uri); no == nil {
			t.Errorf("%s: accepted", uri)
		}
	}
}

func TestARefusalKeepsTheQueryToItself(t *testing.T) {
	d := shop(t)
	for _, uri := range []string{"https://acme.example.com/x?code=SECRET", "https://acme.example.com/x?code=SECRET#", "https://auth.example.com/?SECRET"} {
		if _, no := d.RedirectURI(context.Background(), d.Apps[0], uri); no == nil || strings.Contains(no.Error(), "SECRET") {
			t.Errorf("%q: %v", uri, no)
		}
	}
}

func TestALogoutEndsOnALogoutPathOnly(t *testing.T) {
	d, ctx := shop(t), context.Background()
	for uri, ok := range map[string]bool{
		"https://acme.example.com/":                             true,
		"https://acme.example.com":                              true,
		"https://portal.globex.example/":                        true,
		"https://acme.example.com/api/auth/callback":            false,
		"https://wayne.example.com/":                            false,
		"https://evil.test/":                                    false,
		"https://auth.example.com/":                             false,
		"https://acme.example.com/?post=1":                      false,
		"https://portal.globex.example.evil.test/":              false,
		"https://portal.globex.example@evil.test/":              false,
		"https://globex.example.com.evil.test/":                 false,
		"https://acme.example.com//evil.test/":                  false,
		"https://acme.example.com/\r\nX: y":                     false,
		"https://acme.example.com/" + strings.Repeat("a", 3000): false,
	} {
		if _, no := d.LogoutURI(ctx, d.Apps[0], uri); (no == nil) != ok {
			t.Errorf("%.80q: %v, want accepted = %v", uri, no, ok)
		}
	}
}

func TestRelayKeepsTheCallbacksOwnQuery(t *testing.T) {
	d := shop(t)
	d.Apps[0].Callbacks = []string{"/cb?x=1"}
	to, no := d.Relay(context.Background(), "/tenants/acme/callback?code=a&code=b")
	if no != nil || to.Location() != "https://acme.example.com/cb?x=1&code=a&code=b" {
		t.Errorf("%v %v", to.Location(), no)
	}
}

func TestRelayPathsOfSeveralApps(t *testing.T) {
	d, ctx := shop(t), context.Background()
	crm := *d.Apps[0]
	crm.Name, crm.Callbacks = "crm", []string{"/crm"}
	d.Apps = append(d.Apps, &crm)
	if _, no := d.Relay(ctx, "/tenants/acme/callback"); no == nil || !errors.Is(no, ErrNotRelayed) {
		t.Errorf("the short form with two apps: %v, want nothing there", no)
	}
	for path, want := range map[string]string{
		"/apps/shop/tenants/acme/callback?a=1":     "https://acme.example.com/api/auth/callback?a=1",
		"/apps/crm/tenants/acme/callback":          "https://acme.example.com/crm",
		"/apps/crm/tenants/globex/returnto/x%20y?": "https://globex.example.com/x%20y?", // its own site is for another app
		"/apps/shop/tenants/globex/returnto/x":     "https://portal.globex.example/x",
	} {
		if to, no := d.Relay(ctx, path); no != nil || to.Location() != want {
			t.Errorf("%s: %q, %v, want %q", path, to.Location(), no, want)
		}
	}
	if _, no := d.Relay(ctx, "/apps/other/tenants/acme/callback"); no == nil {
		t.Error("an unknown app has a relay")
	}
	crm.Mode = Relay
	if to, no := d.Relay(ctx, "/tenants/acme/callback"); no != nil || to.App != &crm {
		t.Errorf("the short form with one app in relay mode: %v", no)
	}
}

// FuzzRedirectURI: what is accepted is byte-equal to a member of the generated
// set, and a browser's parser sees the same origin.
func FuzzRedirectURI(f *testing.F) {
	for _, s := range []string{
		"https://acme.example.com/api/auth/callback", "https://acme.example.com\\@evil.test/api/auth/callback",
		"https://acme.example.com/cb?x=1", "https://portal.globex.example/api/auth/callback", "https://a%2eb.example.com/cb?x=1", "",
	} {
		f.Add(s)
	}
	set := map[string]string{}
	for _, o := range []string{"https://acme.example.com", "https://globex.example.com", "https://portal.globex.example"} {
		for _, p := range []string{"/api/auth/callback", "/cb?x=1"} {
			set[o+p] = o
		}
	}
	d := shop(f)
	f.Fuzz(func(t *testing.T, uri string) {
		to, no := d.RedirectURI(context.Background(), d.Apps[0], uri)
		if no != nil {
			return
		}
		origin, member := set[uri]
		if !member || to.URI != uri {
			t.Fatalf("accepted %q, sends to %q", uri, to.URI)
		}
		u, err := url.Parse(uri)
		if err != nil || u.Scheme()+"://"+u.Host() != origin {
			t.Fatalf("a browser takes %q elsewhere than %q", uri, origin)
		}
	})
}

// FuzzRelay: wherever the relay leads, a browser stays on the site of the
// tenant that the path names, and the query arrives as it came.
func FuzzRelay(f *testing.F) {
	for _, s := range []string{
		"/tenants/acme/callback?code=1&code=2", "/tenants/acme/returnto//evil.test", "/tenants/acme/returnto/%2fevil.test",
		"/tenants/acme/returnto/a;x/b?y", "/tenants/globex/returnto/..;/x", "/tenants/evil.test%23/callback", "/tenants/acme/returnto/%252f%252fevil.test",
	} {
		f.Add(s)
	}
	d := shop(f)
	f.Fuzz(func(t *testing.T, raw string) {
		to, no := d.Relay(context.Background(), raw)
		if no != nil {
			return
		}
		u, err := url.Parse(to.Location())
		if err != nil {
			t.Fatalf("%q leads to %q, which is no URL", raw, to.Location())
		}
		want := "https://acme.example.com"
		if to.Tenant.Label == "globex" {
			want = "https://portal.globex.example"
		}
		if got := u.Scheme() + "://" + u.Host(); got != want {
			t.Fatalf("%q leads to %q, want %q", raw, got, want)
		}
		_, query, _ := strings.Cut(raw, "?")
		if !strings.HasSuffix(to.Location(), query) {
			t.Fatalf("%q lost its query: %q", raw, to.Location())
		}
		for i := 0; i < len(to.Location()); i++ {
			if c := to.Location()[i]; c <= ' ' || c > '~' {
				t.Fatalf("%q: octet %#x in Location", raw, c)
			}
		}
	})
}

func TestATenantOfAnotherIssuerHasNoRelay(t *testing.T) {
	d, ctx := shop(t), context.Background()
	for _, tt := range []struct {
		app, tenant string
		ok          bool
	}{
		{"/realms/shop", "", true},
		{"/realms/shop", "/realms/shop", true},
		{"/realms/shop", "/realms/other", false},
		{"/realms/{tenant}", "/realms/{tenant}", true},
		{"/realms/{tenant}", "/realms/acme", true},
		{"/realms/{tenant}", "/realms/globex", false},
	} {
		d.Apps[0].Issuer, d.Registry = tt.app, List{{ID: "1", Label: "acme", Status: Active, Issuer: tt.tenant}}
		for _, path := range []string{"/tenants/acme/callback?code=a", "/tenants/acme/returnto/x"} {
			_, no := d.Relay(ctx, path)
			if (no == nil) != tt.ok || (no != nil && no.Rule != "tenant.issuer") {
				t.Errorf("%s of an app at %s, for a tenant of %q: %v", path, tt.app, tt.tenant, no)
			}
		}
		if active, err := d.Active(ctx, "acme", tt.app); active != tt.ok || err != nil {
			t.Errorf("at %s, a tenant of %q: active %v, %v", tt.app, tt.tenant, active, err)
		}
	}
}
