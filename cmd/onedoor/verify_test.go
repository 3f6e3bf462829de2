package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"onedoor/verify"
)

// A door tries its tenants' logins by itself, and the command does so through
// the public origin; both find the same.
func TestTenantsAreVerifiedByTheDoorAndByTheCommand(t *testing.T) {
	port, adminPort := freePort(t), freePort(t)
	public := fmt.Sprintf("http://auth.localhost:%d", port)
	var open atomic.Bool // the provider redirects anywhere
	provider := fakeProvider(t, public+"/r", func(w http.ResponseWriter, r *http.Request) {
		uri := r.FormValue("redirect_uri")
		if uri != public+"/onedoor/callback" && !open.Load() {
			http.Error(w, "Invalid parameter: redirect_uri", http.StatusBadRequest)
			return
		}
		if r.FormValue("prompt") != "none" || r.Header.Get("Cookie") != "" {
			t.Errorf("a login was asked for, or somebody's: %s", r.URL)
		}
		http.Redirect(w, r, uri+"?"+url.Values{"error": {"login_required"}, "state": {r.FormValue("state")}}.Encode(), http.StatusFound)
	})
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/cb" || strings.HasPrefix(r.Host, "broken.") {
			http.NotFound(w, r)
			return
		}
		if r.Header.Get("User-Agent") != verify.Agent || r.FormValue("error") != "login_required" {
			t.Errorf("%s was asked with %v", r.URL, r.Header)
		}
		http.Error(w, "unknown state", http.StatusBadRequest)
	}))
	defer site.Close()
	_, sitePort, _ := strings.Cut(strings.TrimPrefix(site.URL, "http://"), ":")
	yaml := fmt.Sprintf(`public_url: %s
listen: 127.0.0.1:%d
provider: {upstream: %q, issuers: [/r]}
apps: {atlas: {client_id: atlas, site: "http://{tenant}.localhost:%s", callbacks: [/cb], accept_unbound_codes: true}}
tenants: {list: [acme]}
database: %s
admin: {listen: "127.0.0.1:%d", token: "a token of the test's own"}
verify: {every: 1s, rate: 1000}
`, public, port, provider.URL, sitePort, filepath.Join(t.TempDir(), "onedoor.db"), adminPort)
	file := writeFile(t, "onedoor.yaml", yaml)
	door := startCommand(t, "serve", "-c", file)
	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, fmt.Sprintf("127.0.0.1:%d", port))
	}}}
	defer client.CloseIdleConnections()
	until(t, "the door", ready(client, public))

	on := func(args ...string) (int, string) {
		code, out, errs := tell(t.Context(), t, append([]string{"tenant", args[0], "-c", file}, args[1:]...)...)
		return code, out + errs
	}
	if code, out := on("verify", "acme"); code != 0 || !strings.Contains(out, "acme (atlas): ok") {
		t.Errorf("%d\n%s\n%s", code, out, door.err)
	}
	if code, out := on("add", "broken", "globex"); code != 0 {
		t.Fatalf("%d %s", code, out)
	}
	var code int
	var out string
	until(t, "the door to know them", func() bool {
		code, out = on("verify", "--all")
		return !strings.Contains(out, "door.refused")
	})
	if code != 1 || !strings.Contains(out, "broken (atlas): site.not_found: ") || !strings.Contains(out, "3 tenants: 2 logins would work, 1 would fail") || strings.Contains(out, "acme") {
		t.Errorf("%d\n%s", code, out)
	}
	if code, out = on("verify", "nobody"); code != 1 || !strings.Contains(out, "nobody: tenant.unknown") {
		t.Errorf("%d\n%s", code, out)
	}
	until(t, "the door's own verdict", func() bool {
		code, out = on("verify", "--failing")
		return code == 1 && strings.Contains(out, "broken")
	})
	if strings.Contains(out, "acme") || !strings.Contains(out, "site.not_found") {
		t.Errorf("%s", out)
	}
	metrics := func() string {
		resp, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/metrics", adminPort))
		if err != nil {
			return err.Error()
		}
		defer resp.Body.Close()
		text, _ := io.ReadAll(resp.Body)
		return string(text)
	}
	until(t, "the metric", func() bool { return strings.Contains(metrics(), `onedoor_verify_failing{outcome="site.not_found"} 1`) })
	open.Store(true)
	if code, out = on("verify", "--json", "acme"); code != 1 || !strings.Contains(out, `"provider.open"`) {
		t.Errorf("%d\n%s", code, out)
	}
	until(t, "the finding", func() bool {
		_, out = on("verify", "--failing", "--json")
		return strings.Contains(out, `"provider.open"`)
	})
	if code, out = on("remove", "broken"); code != 0 {
		t.Fatalf("%d %s", code, out)
	}
	until(t, "a tenant that is gone to be forgotten", func() bool {
		_, out = on("verify", "--failing")
		return !strings.Contains(out, "broken")
	})
	door.stop()
	if code := door.exit(); code != 0 {
		t.Errorf("exit %d\n%s", code, door.err)
	}
	log := door.err.String()
	for _, want := range []string{"a tenant's login would fail", "codes can be stolen"} {
		if strings.Count(log, want) != 1 {
			t.Errorf("the log has not once %q:\n%s", want, log)
		}
	}
	if code, out = on("verify", "acme"); code != 2 {
		t.Errorf("without a door: %d\n%s", code, out)
	}
}

func TestVerifyTakesNoNonsense(t *testing.T) {
	file := writeFile(t, "onedoor.yaml", "public_url: http://auth.localhost:1\nlisten: 127.0.0.1:0\nprovider: {embedded: {}}\ndatabase: "+filepath.Join(t.TempDir(), "d.db")+"\napps: {atlas: {client_id: a, site: 'http://{tenant}.localhost', callbacks: [/cb]}}\n")
	for _, args := range [][]string{
		{},
		{"--all", "acme"},
		{"--failing", "acme"},
		{"--all", "--failing"},
		{"--rate", "0", "acme"},
		{"--connect", "x", "acme"},
		{"--all"}, // there are none
		{"--failing"},
	} {
		if code, _, errs := tell(t.Context(), t, append([]string{"tenant", "verify", "-c", file}, args...)...); code != 2 {
			t.Errorf("%v: %d %s", args, code, errs)
		}
	}
}
