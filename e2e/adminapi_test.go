//go:build e2e && linux

package e2e

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"onedoor/e2e/lab"
)

const adminAPIToken = "a-token-of-the-tests"

// adminAPI starts a door and returns where its admin API is.
func adminAPI(t *testing.T) (door *lab.Door, api string) {
	t.Helper()
	front, operators := lab.FreePort(t), lab.FreePort(t)
	origin := fmt.Sprintf("http://auth.localhost:%d", front)
	door = lab.StartDoor(t, lab.DoorOptions{Net: lab.Here, Address: fmt.Sprintf("127.0.0.1:%d", front), Origin: origin, Config: fmt.Sprintf(`
public_url: %s
listen: 127.0.0.1:%d
provider: {embedded: {}}
apps: {atlas: {client_id: atlas-web, site: "http://{tenant}.localhost:3000", callbacks: [/cb]}}
database: onedoor.db
domains: {resolver: "127.0.0.1:9"}
admin: {listen: "127.0.0.1:%d", token: %s, rate: 100000}
`, origin, front, operators, adminAPIToken)})
	return door, fmt.Sprintf("http://127.0.0.1:%d", operators)
}

// What the page shows is typed as it stands there, one after the other.
func TestTheRequestsOfTheAdminAPIsPageAreAnswered(t *testing.T) {
	page, err := os.ReadFile("../docs/admin-api.md")
	if err != nil {
		t.Fatal(err)
	}
	_, api := adminAPI(t)
	script, n := "set -e\n", 0
	for _, block := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(string(page), -1) {
		script += block[1]
		n++
	}
	if n < 5 {
		t.Fatalf("the page has %d examples only", n)
	}
	run := exec.CommandContext(t.Context(), "bash", "-c", strings.ReplaceAll(script, "https://onedoor.internal:9001", api))
	run.Env = append(run.Environ(), "ONEDOOR_TOKEN="+adminAPIToken)
	run.Dir = t.TempDir()
	out, err := run.CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	for _, said := range []string{`"notes":"customer 4711"`, `"status":"suspended"`, `"state":"waiting"`, `"unchanged":1`, `"action":"tenant.add"`} {
		if !strings.Contains(string(out), said) {
			t.Errorf("nothing was answered with %s:\n%s", said, out)
		}
	}
}

// schemathesis makes requests out of the OpenAPI document, right ones and wrong
// ones, and holds every answer against it. It runs with all its checks over
// SQLite; e2e/schemathesis says what is left out and why.
func TestAdminAPIKeepsToItsDocument(t *testing.T) {
	door, api := adminAPI(t)
	// Something to find, to change and to take away.
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, api+"/v1/tenants/acme", strings.NewReader(`{"sites":{"atlas":"http://portal.acme.test"}}`))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+adminAPIToken)
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
	run.Env = append(run.Environ(), "ONEDOOR_TOKEN="+adminAPIToken)
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
