//go:build e2e && linux

package e2e

import (
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"onedoor/e2e/lab"
)

// schemathesis makes requests out of the OpenAPI document, right ones and wrong
// ones, and holds every answer against it. It runs with all its checks over
// SQLite; e2e/schemathesis says what is left out and why.
func TestAdminAPIKeepsToItsDocument(t *testing.T) {
	const token = "a-token-of-the-tests"
	front, operators := lab.FreePort(t), lab.FreePort(t)
	origin, api := fmt.Sprintf("http://auth.localhost:%d", front), fmt.Sprintf("http://127.0.0.1:%d", operators)
	door := lab.StartDoor(t, lab.DoorOptions{Net: lab.Here, Address: fmt.Sprintf("127.0.0.1:%d", front), Origin: origin, Config: fmt.Sprintf(`
public_url: %s
listen: 127.0.0.1:%d
provider: {embedded: {}}
apps: {atlas: {client_id: atlas-web, site: "http://{tenant}.localhost:3000", callbacks: [/cb]}}
database: onedoor.db
domains: {resolver: "127.0.0.1:9"}
admin: {listen: "127.0.0.1:%d", token: %s, rate: 100000}
`, origin, front, operators, token)})
	// Something to find, to change and to take away.
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, api+"/v1/tenants/acme", strings.NewReader(`{"sites":{"atlas":"http://portal.acme.test"}}`))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusCreated {
		t.Fatal(resp.Status)
	}
	run := exec.CommandContext(t.Context(), filepath.Join(lab.CacheDir(), "schemathesis", "bin", "schemathesis"),
		"--no-color", "--config-file", filepath.Join(lab.Root(), "e2e", "schemathesis", "schemathesis.toml"),
		"run", api+"/v1/openapi.json", "--checks", "all", "--max-examples", "40", "--seed", "9457")
	run.Env = append(run.Environ(), "ONEDOOR_TOKEN="+token)
	run.Dir = t.TempDir()
	out, err := run.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Errorf("schemathesis: %v", err)
	}
	if tried := regexp.MustCompile(`(\d+) selected / (\d+) total`).FindSubmatch(out); tried == nil || string(tried[1]) != string(tried[2]) {
		t.Errorf("not every operation was tried: %q", tried)
	}
	if log := string(door.Tail(1000)); strings.Contains(log, `"level":"ERROR"`) {
		t.Errorf("the door said:\n%s", log)
	}
}
