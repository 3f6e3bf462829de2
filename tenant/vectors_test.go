package tenant

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"os"
	"strings"
	"testing"
)

type registryFixture struct {
	Client          string
	Environment     string
	ApplicationType string `json:"application_type"`
	Templates       []string
	Tenants         json.RawMessage
	ReservedLabels  []string `json:"reserved_labels"`
	CustomDomains   map[string]struct{ Tenant, State string }
	CustomTemplate  string `json:"custom_domain_template"`
	Exact, Loopback []string
}

// UnmarshalJSON is here for custom_domains alone, whose name Go would not find.
func (f *registryFixture) UnmarshalJSON(b []byte) error {
	type plain registryFixture
	aux := struct {
		*plain
		Custom map[string]struct{ Tenant, State string } `json:"custom_domains"`
	}{plain: (*plain)(f)}
	err := json.Unmarshal(b, &aux)
	f.CustomDomains = aux.Custom
	return err
}

type redirectVectors struct {
	Registries map[string]registryFixture
	Count      int
	Cases      []struct {
		ID, Group, Kind, Registry, Environment, Expect, Why, Template string
		ApplicationType                                               string  `json:"application_type"`
		RedirectURI                                                   *string `json:"redirect_uri"`
		RedirectURIHex                                                string  `json:"redirect_uri_hex"`
	}
}

func loadRedirectVectors(t *testing.T) redirectVectors {
	t.Helper()
	raw, err := os.ReadFile("../testdata/vectors/redirect_uri.json")
	if err != nil {
		t.Fatal(err)
	}
	var v redirectVectors
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatal(err)
	}
	if v.Count != len(v.Cases) || v.Count == 0 {
		t.Fatalf("%d cases, the head says %d", len(v.Cases), v.Count)
	}
	return v
}

// apps makes one app for each template: a registry of the vectors may hold
// templates with different hosts, which are different sites in our words.
func (f registryFixture) directory(t *testing.T) *Directory {
	t.Helper()
	var list List
	d := &Directory{Reserved: f.ReservedLabels, Door: []string{"https://auth.example.com"}}
	var names map[string]string
	if json.Unmarshal(f.Tenants, &names) == nil {
		for label, status := range names {
			if status != "deleted" {
				list = append(list, Tenant{ID: "id-" + label, Label: label, Status: Status(status)})
			}
		}
		d.Registry = list
	} else {
		d.Registry = Any{List(nil)}
	}
	env := Environment{Production: f.Environment == "production", Native: f.ApplicationType == "native"}
	typ := Confidential
	if env.Native {
		typ = Native
	}
	for i, text := range f.Templates {
		text = strings.Replace(text, "*", placeholder, 1)
		j := strings.Index(text, "://") + 3
		j += strings.IndexByte(text[j:], '/')
		site, err := ParseTemplate(text[:j], env)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		app := &App{Name: "app" + string(rune('0'+i)), ClientID: f.Client, Type: typ, Site: site, Callbacks: []string{text[j:]}}
		for domain, c := range f.CustomDomains {
			if c.State != "verified" {
				continue
			}
			for k := range list {
				if list[k].Label == c.Tenant {
					list[k].Sites = map[string]string{app.Name: "https://" + domain}
				}
			}
		}
		d.Apps = append(d.Apps, app)
	}
	d.Apps = append(d.Apps, &App{Name: "exact", ClientID: f.Client, Type: typ, RedirectURIs: append(f.Exact, f.Loopback...)})
	return d
}

func TestRedirectURIVectors(t *testing.T) {
	v := loadRedirectVectors(t)
	for _, c := range v.Cases {
		if c.Kind != "match" {
			continue
		}
		t.Run(c.ID, func(t *testing.T) {
			var uri string
			if c.RedirectURI != nil {
				uri = *c.RedirectURI
			} else {
				b, err := hex.DecodeString(c.RedirectURIHex)
				if err != nil {
					t.Fatal(err)
				}
				uri = string(b)
			}
			d := v.Registries[c.Registry].directory(t)
			accepted := false
			for _, app := range d.Apps {
				to, no := d.RedirectURI(context.Background(), app, uri)
				if no == nil {
					accepted = true
					if to.URI != uri {
						t.Errorf("accepted %q and would send to %q", uri, to.URI)
					}
				}
			}
			if accepted != (c.Expect == "accept") {
				t.Errorf("%s: %q accepted = %v, want %s", c.Why, uri, accepted, c.Expect)
			}
		})
	}
}

func TestConfigurationVectors(t *testing.T) {
	for _, c := range loadRedirectVectors(t).Cases {
		if c.Kind != "config" {
			continue
		}
		t.Run(c.ID, func(t *testing.T) {
			env := Environment{
				Production: c.Environment == "production",
				Native:     c.ApplicationType == "native",
				Door:       []string{"https://auth.example.com"},
			}
			tpl, err := ParseTemplate(c.Template, env)
			if (err == nil) != (c.Expect == "accept") {
				t.Errorf("%s: %q: %v, want %s", c.Why, c.Template, err, c.Expect)
			}
			if err == nil && tpl.String() != c.Template {
				t.Errorf("%q became %q", c.Template, tpl)
			}
		})
	}
}
