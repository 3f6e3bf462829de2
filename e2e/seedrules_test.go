//go:build e2e && linux

package e2e

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"onedoor/e2e/lab"
)

var update = flag.Bool("update", false, "write docs/seed-rules.md anew")

// The rules in the order of the table.
const (
	byNginx = iota
	byFunction
	byDoor
	ruleCount
)

// TestTheDoorAnswersTheRelayVectorsAndTheSeedsOwnRulesDoNot runs the relay that
// people had before, as nginx and as an edge function, over the same requests as
// the door. docs/seed-rules.md says what came out.
func TestTheDoorAnswersTheRelayVectorsAndTheSeedsOwnRulesDoNot(t *testing.T) {
	fixtures, vectors := loadRelayVectors(t)
	var answers [ruleCount][]*answered
	answers[byFunction] = askFunctions(t, vectors)
	logs := [ruleCount]string{}
	for _, rule := range []int{byNginx, byDoor} {
		answers[rule] = make([]*answered, len(vectors))
	}
	for name, f := range fixtures {
		nginx, nginxLog := startNginx(t, f)
		door := startRelayDoor(t, f)
		for i, v := range vectors {
			if v.Fixture == name && !v.customDomain(f) {
				answers[byNginx][i] = v.ask(t, nginx)
				answers[byDoor][i] = v.ask(t, lab.DialTo(lab.Here, door.Address))
			}
		}
		logs[byNginx] += nginxLog()
		logs[byDoor] += string(door.Output())
	}

	table := newTally(vectors)
	table.nginx = nginxVersion(t)
	for i, v := range vectors {
		for rule := range ruleCount {
			if a := answers[rule][i]; a != nil {
				verdict := v.judge(a)
				table.count(v.Group, rule, verdict)
				if rule == byDoor && verdict != right {
					t.Errorf("%s (%s): the door answers %d %q: %s; want %d %q", v.ID, v.Why, a.Status, a.Location, verdict, v.Expect.Status, deref(v.Expect.Location))
				}
			}
		}
	}
	for rule := range ruleCount {
		table.secrets[rule] = len(secretInLog.FindAllString(logs[rule], -1))
	}
	if table.secrets[byDoor] != 0 {
		t.Errorf("the door's log holds %d authorization codes", table.secrets[byDoor])
	}
	for _, rule := range []int{byNginx, byFunction} {
		if table.total(rule).wrongPlace == 0 {
			t.Errorf("rule %d answered everything right: the vectors prove nothing", rule)
		}
	}

	file := filepath.Join(lab.Root(), "docs", "seed-rules.md")
	text := table.page()
	if *update {
		if err := os.WriteFile(file, text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	current, err := os.ReadFile(file)
	if err == nil && !bytes.Contains(current, []byte(table.nginx)) {
		t.Logf("docs/seed-rules.md was measured with another nginx than %s: not compared", table.nginx)
		return
	}
	if err != nil || !bytes.Equal(current, text) {
		t.Errorf("docs/seed-rules.md is not what was measured (%v); run: go test -tags e2e ./e2e -run SeedsOwnRules -update\n%s", err, text)
	}
}

// A code in a log line, in the spellings of the vectors.
var secretInLog = regexp.MustCompile(`[?&]code=[A-Za-z0-9]`)

func deref(s *string) string {
	if s == nil {
		return "no Location"
	}
	return *s
}

// startNginx starts Debian's nginx with the seed's block for a fixture. Where
// the fixture's origin is https it ends TLS itself, for the block copies $scheme.
func startNginx(t *testing.T, f relayFixture) (dial dialFunc, log func() string) {
	t.Helper()
	address := fmt.Sprintf("127.0.0.1:%d", lab.FreePort(t))
	dir := lab.TempDir(t, "nginx")
	listen, tls := address, ""
	dial = lab.DialTo(lab.Here, address)
	if f.scheme() == "https" {
		listen, tls = address+" ssl", selfSigned(t, dir, f.AuthHost)
		dial = overTLS(dial, f.AuthHost)
	}
	template, err := os.ReadFile("seedrules/nginx.conf")
	if err != nil {
		t.Fatal(err)
	}
	config := strings.NewReplacer("@DIR@", dir, "@LISTEN@", listen, "@TLS@", tls, "@HOST@", f.AuthHost, "@DOMAIN@", f.domain()).Replace(string(template))
	file := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	p := lab.Start(t, "nginx", exec.Command("nginx", "-e", dir+"/error.log", "-c", file))
	p.Await(t, "it listens", func() error {
		conn, err := lab.Here.DialContext(t.Context(), "tcp", address)
		if err == nil {
			_ = conn.Close()
		}
		return err
	})
	return dial, func() string {
		p.Stop()
		text, err := os.ReadFile(dir + "/access.log")
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
}

func nginxVersion(t *testing.T) string {
	t.Helper()
	out, err := exec.Command("nginx", "-v").CombinedOutput()
	if err != nil {
		t.Fatal(err)
	}
	_, version, _ := strings.Cut(strings.TrimSpace(string(out)), "nginx/")
	return "nginx " + version
}

// startRelayDoor starts the door with the fixture's tenants, before a provider
// that has nothing but its metadata.
func startRelayDoor(t *testing.T, f relayFixture) *lab.Door {
	t.Helper()
	provider := lab.Here.Listen(t, "127.0.0.1:0")
	issuer := f.scheme() + "://" + f.AuthHost + "/realms/" + realm
	lab.Serve(t, provider, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/realms/"+realm+"/.well-known/openid-configuration" {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{
			"issuer":                           issuer,
			"authorization_endpoint":           issuer + "/auth",
			"token_endpoint":                   issuer + "/token",
			"jwks_uri":                         issuer + "/jwks",
			"response_types_supported":         []string{"code"},
			"code_challenge_methods_supported": []string{"S256"},
		})
	}))
	address := fmt.Sprintf("127.0.0.1:%d", lab.FreePort(t))
	return lab.StartDoor(t, lab.DoorOptions{
		Net: lab.Here, Address: address, Origin: "http://" + f.AuthHost,
		Config: fmt.Sprintf(`
public_url: %s://%s
listen: %s
provider: {upstream: "http://%s", issuers: [/realms/%s]}
apps:
  atlas:
    client_id: atlas-web
    mode: relay
    site: %s
    callbacks: [/api/auth/callback]
tenants:
  list: [%s]
  reserved: [www, auth, api]
database: %s/onedoor.db
admin: {listen: "127.0.0.1:%d"}
log: {level: debug}
`, f.scheme(), f.AuthHost, address, provider.Addr(), realm, f.ReturnToBase, strings.Join(f.active(), ", "), lab.TempDir(t, "db"), lab.FreePort(t)),
	})
}

// askFunctions runs the edge functions over every vector that can be put as an
// event: a parsed request of the production fixture.
func askFunctions(t *testing.T, vectors []relayVector) []*answered {
	t.Helper()
	type event struct {
		Method  string      `json:"method"`
		URI     string      `json:"uri"`
		Query   string      `json:"query"`
		Host    string      `json:"host"`
		Headers [][2]string `json:"headers"`
	}
	var events []event
	var of []int
	for i, v := range vectors {
		if v.Fixture != "prod" || v.Host == nil || !strings.HasPrefix(v.target(), "/") || !printable(v.target()) {
			continue
		}
		uri, query, _ := strings.Cut(v.target(), "?")
		events, of = append(events, event{v.Method, uri, query, *v.Host, append([][2]string{}, v.Headers...)}), append(of, i)
	}
	input, err := json.Marshal(events)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("node", "seedrules/run.mjs")
	cmd.Stdin, cmd.Stderr = bytes.NewReader(input), os.Stderr
	output, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var got []*answered
	if err := json.Unmarshal(output, &got); err != nil || len(got) != len(events) {
		t.Fatalf("%d answers for %d events: %v", len(got), len(events), err)
	}
	answers := make([]*answered, len(vectors))
	for n, i := range of {
		answers[i] = got[n]
	}
	return answers
}

func printable(s string) bool {
	return !slices.ContainsFunc([]byte(s), func(c byte) bool { return c <= 0x20 || c >= 0x7f || c == '#' })
}
