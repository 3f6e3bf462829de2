package gateway

import (
	"fmt"
	"net/http"
	"testing"

	"onedoor/tenant"
)

// corsProvider reflects every origin, with credentials, as careless ones do.
func corsProvider(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/.well-known/openid-configuration" {
		fmt.Fprintf(w, `{"issuer":%q,"authorization_endpoint":%q,"token_endpoint":%q,"userinfo_endpoint":%q}`,
			testOrigin, testOrigin+"/authorize", testOrigin+"/token", testOrigin+"/userinfo")
		return
	}
	w.Header().Set("Access-Control-Allow-Origin", r.Header.Get("Origin"))
	w.Header().Set("Access-Control-Allow-Credentials", "true")
	fmt.Fprint(w, "{}")
}

func TestScriptsOfRegisteredSitesAndNoOthersReadAnswers(t *testing.T) {
	b := newAuthorizeBed(t, nil)
	b.apps[0].RedirectURIs = []string{"https://spa.example.net/cb"}
	d := openDoor(t, setup{
		upstream: http.HandlerFunc(corsProvider), issuers: []string{"/"},
		directory: &tenant.Directory{Apps: b.apps[:1], Registry: b.tenants, Reserved: []string{"www"}, Door: []string{testOrigin}},
	})
	for _, tt := range []struct {
		name, origin string
		ours         bool
	}{
		{"a tenant's site", "https://acme.example.com", true},
		{"the origin of an exact redirect URI", "https://spa.example.net", true},
		{"a suspended tenant's site", "https://wayne.example.com", false},
		{"a reserved label", "https://www.example.com", false},
		{"a stranger", "https://evil.example", false},
		{"a longer name", "https://acme.example.com.evil.example", false},
		{"a part of an exact one", "https://spa.example.ne", false},
		{"an opaque origin", "null", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, path := range []string{"/token", "/userinfo"} {
				a := d.send("OPTIONS", "auth.example.com", path, "Origin: "+tt.origin, "Access-Control-Request-Method: POST")
				got := a.header.Get("Access-Control-Allow-Methods") != ""
				if got != tt.ours {
					t.Errorf("%s: preflight allowed = %v, want %v", path, got, tt.ours)
				}
			}
			a := d.send("GET", "auth.example.com", "/userinfo", "Origin: "+tt.origin)
			if tt.ours && (len(a.header.Values("Access-Control-Allow-Origin")) != 1 || a.header.Get("Access-Control-Allow-Origin") != tt.origin || a.header.Get("Access-Control-Allow-Credentials") != "") {
				t.Errorf("answer: %v", a.header)
			}
			if a := d.send("GET", "auth.example.com", "/token", "Origin: "+tt.origin); tt.ours != (a.header.Get("Access-Control-Allow-Origin") == tt.origin && a.status == 405) {
				t.Errorf("the door's own refusal: %d %v", a.status, a.header)
			}
			if a := d.send("GET", "auth.example.com", "/authorize?client_id=x", "Origin: "+tt.origin); a.header.Get("Access-Control-Allow-Origin") != "" {
				t.Errorf("the authorization endpoint is readable: %v", a.header)
			}
		})
	}
}
