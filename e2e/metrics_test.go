//go:build e2e && linux

package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"onedoor/e2e/lab"
)

// Prometheus' own tool reads the alerts, and shows on made-up series that each
// fires when it should and is silent when all is well.
func TestTheAlertsDoWhatTheySay(t *testing.T) {
	promtool := filepath.Join(lab.CacheDir(), "bin", "promtool")
	for _, args := range [][]string{{"check", "rules", "onedoor.rules.yaml"}, {"test", "rules", "onedoor.test.yaml"}} {
		c := exec.Command(promtool, args...)
		c.Dir = "../docs/deploy/prometheus"
		if out, err := c.CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", args, err, out)
		}
	}
}

// A login at Keycloak, and one that the app gets wrong at the end, as operators
// see them: a record each, counted, and without a secret.
func TestARealLoginIsARecordAndIsCounted(t *testing.T) {
	w := shared(t)
	site := newLanding(t, w.issuer())
	tap := newWire(t, w, false)
	config := tap.through(w, w.config(t, transparentApps(site.port)))
	door := w.serve(t, config)
	app := w.app(t, transparentClient, site, "acme")
	const state = "the-apps-own-state"
	login := func(secret string) (code, token string, err error) {
		code = app.code(newPerson(t, lab.Username).must(app.AuthCodeURL(state), app.origin), state)
		app.ClientSecret = secret
		got, err := app.redeem(code)
		if err == nil {
			token = got.AccessToken
		}
		return code, token, err
	}
	code, token, err := login(clientSecret)
	if err != nil {
		t.Fatal(err)
	}
	first := tap.last(t, "/token")
	second, _, err := login("not-the-apps-secret")
	if err == nil {
		t.Fatal("Keycloak took a wrong secret")
	}

	type record struct {
		Outcome, Tenant, App, Rule string
		Legs                       []struct{ Leg, Outcome string }
	}
	trace := func(args ...string) string {
		out, err := exec.CommandContext(t.Context(), lab.DoorProgram(t), append([]string{"trace", args[0], "-c", door.File}, args[1:]...)...).Output()
		if err != nil {
			t.Fatalf("onedoor trace %v: %v", args, err)
		}
		return string(out)
	}
	var found []struct {
		record
		ID string
	}
	for deadline := time.Now().Add(time.Minute); len(found) < 2 || found[0].Rule == ""; {
		if time.Now().After(deadline) {
			t.Fatalf("the records are %+v", found)
		}
		if err := json.Unmarshal([]byte(trace("find", "--tenant", "acme", "--json")), &found); err != nil {
			t.Fatal(err)
		}
	}
	if f := found[0]; f.Outcome != "failed" || !regexp.MustCompile("^(invalid_client|unauthorized_client)$").MatchString(f.Rule) {
		t.Errorf("the failed login is %+v", f)
	}
	var whole record
	if err := json.Unmarshal([]byte(trace("show", "--json", found[1].ID)), &whole); err != nil {
		t.Fatal(err)
	}
	if whole.Outcome != "done" || whole.App != "web" || len(whole.Legs) != 3 || whole.Legs[2].Leg != "token" {
		t.Errorf("the login is %+v", whole)
	}

	metrics := scrape(t, config)
	for _, line := range []string{`onedoor_login_legs_total{leg="token",outcome="ok"} 1`, `onedoor_login_legs_total{leg="token",outcome="provider_refused"} 1`, `onedoor_login_legs_total{leg="callback",outcome="ok"} 2`} {
		if !strings.Contains(metrics, line) {
			t.Errorf("the metrics have no %s", line)
		}
	}
	check := exec.Command(filepath.Join(lab.CacheDir(), "bin", "promtool"), "check", "metrics")
	check.Stdin = strings.NewReader(metrics)
	if out, err := check.CombinedOutput(); err != nil {
		t.Errorf("promtool: %v\n%s", err, out)
	}

	file := regexp.MustCompile(`database: (\S+)`).FindStringSubmatch(config)[1]
	for _, name := range []string{file, file + "-wal"} {
		kept, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, secret := range []string{code, second, token, state, clientSecret, "not-the-apps-secret", first.Get("code"), first.Get("code_verifier")} {
			if len(secret) < 8 || strings.Contains(string(kept), secret) {
				t.Errorf("%s holds %q", filepath.Base(name), secret)
			}
		}
	}
}

func scrape(t *testing.T, config string) string {
	t.Helper()
	address := regexp.MustCompile(`admin: \{listen: "([^"]+)"`).FindStringSubmatch(config)[1]
	resp, err := lab.HTTPClient(nil).Get(fmt.Sprintf("http://%s/metrics", address))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
