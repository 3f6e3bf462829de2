package config

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
)

// TestSharedVectorsDecideWhatMayBeConfigured writes each entry of the shared
// vectors into a file as an operator would: a template as site and callback,
// anything else as an exact redirect URI.
func TestSharedVectorsDecideWhatMayBeConfigured(t *testing.T) {
	data, err := os.ReadFile("../testdata/vectors/redirect_uri.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Cases []struct {
			ID, Kind, Environment, Template, Expect, Why string
			Type                                         string `json:"application_type"`
		}
	}
	if err := json.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	ran := 0
	for _, c := range file.Cases {
		if c.Kind != "config" {
			continue
		}
		ran++
		public := map[string]string{"production": "https://auth.example.com", "development": "http://auth.localhost:9000"}[c.Environment]
		kind := map[string]string{"web": "confidential", "native": "native"}[c.Type]
		text := fmt.Sprintf("public_url: %s\nlisten: :9000\nprovider: {embedded: {}}\napps:\n  a: {client_id: a, type: %s, %s}\n", public, kind, entry(c.Template))
		if _, err := Parse("onedoor.yaml", []byte(text), nil); (err == nil) != (c.Expect == "accept") {
			t.Errorf("%s (%s): want %s, got %v\n%s", c.ID, c.Why, c.Expect, err, text)
		}
	}
	if ran == 0 {
		t.Fatal("no vector was run")
	}
}

func entry(template string) string {
	if !strings.Contains(template, "{tenant}") {
		return fmt.Sprintf("redirect_uris: [%q]", template)
	}
	site, path := template, ""
	if i := strings.Index(template, "://"); i >= 0 {
		if j := strings.IndexByte(template[i+3:], '/'); j >= 0 {
			site, path = template[:i+3+j], template[i+3+j:]
		}
	}
	return fmt.Sprintf("site: %q, callbacks: [%q]", site, path)
}
