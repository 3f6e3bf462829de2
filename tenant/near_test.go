package tenant

import (
	"slices"
	"strings"
	"testing"
)

func TestARefusalSaysHowNearTheRedirectURIWas(t *testing.T) {
	site, err := ParseTemplate("https://{tenant}.example.com", Environment{Production: true})
	if err != nil {
		t.Fatal(err)
	}
	app := &App{Name: "atlas", Site: site, Callbacks: []string{"/cb", "/api/auth/callback"}, RedirectURIs: []string{"https://other.example.net:8443/in"}}
	d := &Directory{Apps: []*App{app}, Registry: List{{ID: "1", Label: "acme", Status: Active}}}
	for _, tt := range []struct {
		name, uri, near string
		want            []Difference
	}{
		{"a slash at the end", "https://acme.example.com/cb/", "/cb", []Difference{InSlash}},
		{"another scheme", "http://acme.example.com/api/auth/callback", "/api/auth/callback", []Difference{InScheme}},
		{"a port", "https://acme.example.com:8443/cb", "/cb", []Difference{InPort}},
		{"scheme and port of a development server", "http://acme.example.com:3000/cb", "/cb", []Difference{InScheme, InPort}},
		{"upper case in the host", "https://Acme.example.com/cb", "/cb", []Difference{InCase}},
		{"upper case in the path", "https://acme.example.com/CB", "/cb", []Difference{InCase}},
		{"percent-encoding", "https://acme.example.com/api%2Fauth/callback", "/api/auth/callback", []Difference{InEncoding}},
		{"a query", "https://acme.example.com/cb?next=/home", "/cb", []Difference{InQuery}},
		{"another path", "https://acme.example.com/callback", "/cb", []Difference{InPath}},
		{"another host", "https://acme.example.org/cb", "/cb", []Difference{InHost}},
		{"an exact one's port", "https://other.example.net/in", "https://other.example.net:8443/in", []Difference{InPort}},
		{"nothing near", "https://evil.test/x", "/cb", nil},
		{"no URL at all", "x", "/cb", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, no := d.RedirectURI(t.Context(), app, tt.uri)
			if no == nil || no.Rule != "redirect_uri.unknown" {
				t.Fatalf("%v", no)
			}
			if !slices.Equal(no.Differs, tt.want) || !strings.Contains(no.Want, tt.near) {
				t.Errorf("differs in %v from %s, want %v from …%s", no.Differs, no.Want, tt.want, tt.near)
			}
			if said := strings.Contains(no.Want, "(they differ in "); said != (tt.want != nil) {
				t.Errorf("the log says %s", no.Want)
			}
		})
	}
}

func TestAURIThatIsKnownByItsHashAloneIsFoundNear(t *testing.T) {
	const known = "https://acme.example.com/cb"
	for uri, want := range map[string]Difference{
		known + "/": InSlash, "http://acme.example.com/cb": InScheme, "https://acme.example.com:443/cb": InPort, "https://acme.example.com/%63b": InEncoding,
		"https://acme.example.com/CB": InCase, known + "?a=b": InQuery,
	} {
		if got := Near(uri, func(s string) bool { return s == known }); !slices.Equal(got, []Difference{want}) {
			t.Errorf("%s differs in %v, want %s", uri, got, want)
		}
	}
	for _, far := range []string{"", "x", "https://globex.example.com/cb", "://", "https://[::1]:80/cb"} {
		if got := Near(far, func(s string) bool { return s == known }); got != nil {
			t.Errorf("%q is near by %v", far, got)
		}
	}
}
