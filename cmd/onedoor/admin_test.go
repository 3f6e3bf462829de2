package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"onedoor/config"
)

const adminToken = "a-token-of-the-tests"

// adminDoor is a running door with a listener for operators.
func adminDoor(t *testing.T, more string) (front, api string, r *running) {
	t.Helper()
	public, operators := freePort(t), freePort(t)
	front, api = fmt.Sprintf("http://auth.localhost:%d", public), fmt.Sprintf("http://127.0.0.1:%d", operators)
	r = startServe(t, fmt.Sprintf(`public_url: %s
listen: 127.0.0.1:%d
provider: {embedded: {}}
apps: {atlas: {client_id: atlas-web, site: "http://{tenant}.localhost:3000", callbacks: [/cb]}}
database: %s
admin: {listen: "127.0.0.1:%d", token: %s}
%s`, front, public, filepath.Join(t.TempDir(), "onedoor.db"), operators, adminToken, more))
	until(t, "the admin API", func() bool {
		status, _ := asked(t, "GET", api+"/v1/tenants", "", adminToken)
		return status == http.StatusOK
	})
	return front, api, r
}

// asked is one request with its answer.
func asked(t *testing.T, method, url, body, token string) (status int, text string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	here := func(ctx context.Context, network, address string) (net.Conn, error) { // every name leads here
		_, port, _ := net.SplitHostPort(address)
		return (&net.Dialer{}).DialContext(ctx, network, "127.0.0.1:"+port)
	}
	resp, err := (&http.Client{
		Timeout: 30 * time.Second, Transport: &http.Transport{DisableKeepAlives: true, DialContext: here},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}).Do(r)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(got)
}

func TestTheAdminAPIHasAListenerOfItsOwn(t *testing.T) {
	front, api, r := adminDoor(t, "")
	if status, text := asked(t, "PUT", api+"/v1/tenants/acme", `{}`, adminToken); status != 201 || !strings.Contains(text, `"label":"acme"`) {
		t.Errorf("%d %s", status, text)
	}
	if status, text := asked(t, "GET", api+"/metrics", "", adminToken); status != 200 || !strings.Contains(text, "onedoor_") {
		t.Errorf("%d %s", status, text)
	}
	for _, path := range []string{"/v1/tenants", "/v1/openapi.json", "/metrics"} {
		if status, text := asked(t, "GET", front+path, "", adminToken); status != 404 || strings.Contains(text, "acme") {
			t.Errorf("the front listener answers %s: %d %s", path, status, text)
		}
	}
	if status, _ := asked(t, "GET", api+"/onedoor/health/live", "", adminToken); status != 404 {
		t.Errorf("the admin listener answers for the door: %d", status)
	}
	r.stop()
	if code := r.exit(); code != 0 {
		t.Errorf("exit code %d:\n%s", code, r.err)
	}
	if strings.Contains(r.err.String(), adminToken) {
		t.Error("the token is in the log")
	}
}

// A back office signs a tenant up, and its first user comes a second later;
// another is suspended, and nobody of theirs comes in any more.
func TestATenantOfTheAPILogsInWithinASecond(t *testing.T) {
	front, api, _ := adminDoor(t, "")
	relayed := func() bool {
		status, _ := asked(t, "GET", front+"/tenants/acme/callback?code=x&state=y", "", "")
		return status == http.StatusFound
	}
	if relayed() {
		t.Fatal("a tenant that is not there has a relay")
	}
	within := func(what string, ok func() bool) {
		t.Helper()
		began := time.Now()
		until(t, what, ok)
		// A second, and as many more as a machine may be busy with other things.
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("%s took %s", what, took)
		}
	}
	for _, step := range []struct {
		method, body string
		status       int
		there        bool
	}{
		{"PUT", `{}`, 201, true},
		{"PATCH", `{"status":"suspended"}`, 200, false},
		{"PATCH", `{"status":"active"}`, 200, true},
		{"DELETE", "", 204, false},
	} {
		if status, text := asked(t, step.method, api+"/v1/tenants/acme", step.body, adminToken); status != step.status {
			t.Fatalf("%s: %d %s", step.method, status, text)
		}
		within(step.method+" "+step.body, func() bool { return relayed() == step.there })
	}
}

func TestTheAdminAPIAnswersToItsOwnNames(t *testing.T) {
	for _, tt := range []struct {
		admin config.Admin
		want  string
	}{
		{config.Admin{Listen: "127.0.0.1:9001"}, "127.0.0.1"},
		{config.Admin{Listen: ":9001", Hosts: []string{"onedoor"}}, "onedoor"},
		{config.Admin{Listen: "0.0.0.0:9001", Hosts: []string{"[2001:db8::1]"}}, "2001:db8::1"},
		{config.Admin{Listen: "[::]:9001"}, ""},
		{config.Admin{Listen: "Admin.internal:9001"}, "admin.internal"},
	} {
		if got := strings.Join(adminHosts(tt.admin), " "); got != tt.want {
			t.Errorf("%+v: %q, want %q", tt.admin, got, tt.want)
		}
	}
}

func TestTheAdminAPIHasTLSOfItsOwn(t *testing.T) {
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "admin.crt"), filepath.Join(dir, "admin.key")
	writePair(t, certFile, keyFile, "localhost")
	public, operators := freePort(t), freePort(t)
	startServe(t, fmt.Sprintf(`public_url: http://auth.localhost:%d
listen: 127.0.0.1:%d
provider: {embedded: {}}
database: %s
admin: {listen: "127.0.0.1:%d", token: %s, tls: {cert_file: %s, key_file: %s}}
`, public, public, filepath.Join(dir, "onedoor.db"), operators, adminToken, certFile, keyFile))
	flags := []string{"--server", fmt.Sprintf("https://localhost:%d", operators), "--token-file", writeFile(t, "token", adminToken)}
	until(t, "the admin API", func() bool {
		code, _, _ := tell(t.Context(), t, append(append([]string{"tenant", "add"}, append(flags, "--ca-file", certFile)...), "acme")...)
		return code == 0
	})
	// Whose certificate nobody vouches for gets no token.
	code, _, errs := tell(t.Context(), t, append(append([]string{"tenant", "show"}, flags...), "acme")...)
	if code != 2 || !strings.Contains(errs, "certificate") {
		t.Errorf("%d %s", code, errs)
	}
}
