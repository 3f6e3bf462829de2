package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"onedoor/journal"
)

// traced is a running door with one refused login, the reference of its page,
// and the commands on its database and on its API.
type traced struct {
	t         *testing.T
	reference string
	ways      map[string][]string // flags, by name
}

func newTraced(t *testing.T) *traced {
	t.Helper()
	public, operators := freePort(t), freePort(t)
	origin := fmt.Sprintf("http://auth.localhost:%d", public)
	provider := fakeProvider(t, origin+"/r", func(http.ResponseWriter, *http.Request) {})
	dir := t.TempDir()
	yaml := fmt.Sprintf("public_url: %s\nlisten: 127.0.0.1:%d\nprovider: {upstream: %q, issuers: [/r]}\n", origin, public, provider.URL) +
		"apps: {atlas: {client_id: atlas-web, accept_unbound_codes: true, site: \"http://{tenant}.localhost:3000\", callbacks: [/cb]}}\ntenants: {list: [acme]}\n" +
		fmt.Sprintf("database: %s\nadmin: {listen: \"127.0.0.1:%d\", token: %s}\n", filepath.Join(dir, "onedoor.db"), operators, adminToken)
	file, token := filepath.Join(dir, "onedoor.yaml"), filepath.Join(dir, "token")
	for name, text := range map[string]string{file: yaml, token: adminToken} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	startServe(t, yaml)
	client := &http.Client{Transport: &http.Transport{}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	t.Cleanup(client.CloseIdleConnections)
	until(t, "the door to be ready", ready(client, fmt.Sprintf("http://127.0.0.1:%d", public)))
	get := func(redirectURI string) string {
		q := url.Values{"client_id": {"atlas-web"}, "response_type": {"code"}, "redirect_uri": {redirectURI}, "state": {"hunter22"}}
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d/r/auth?%s", public, q.Encode()), nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = strings.TrimPrefix(origin, "http://")
		resp, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.Header.Get("X-Request-Id")
	}
	get("http://acme.localhost:3000/cb")
	return &traced{
		t: t, reference: get("http://acme.localhost:3000/cb/"),
		ways: map[string][]string{
			"on the database": {"-c", file},
			"on the API":      {"--server", fmt.Sprintf("http://127.0.0.1:%d", operators), "--token-file", token},
		},
	}
}

// run runs a command until its output is as ok says.
func (x *traced) run(way, what string, ok func(string) bool, args ...string) (out string) {
	x.t.Helper()
	args = append(append([]string{"trace", args[0]}, x.ways[way]...), args[1:]...)
	until(x.t, what+" "+way, func() bool {
		var stdout, stderr output
		code := run(x.t.Context(), args, strings.NewReader(""), &stdout, &stderr)
		if code == 2 {
			x.t.Fatalf("%v: %s", args, stderr.String())
		}
		out = stdout.String()
		return ok(out)
	})
	return out
}

func has(all ...string) func(string) bool {
	return func(text string) bool {
		for _, s := range all {
			if !strings.Contains(text, s) {
				return false
			}
		}
		return true
	}
}

func TestWhatHappenedToALoginIsShownFromTheDatabaseAndByTheAPI(t *testing.T) {
	x := newTraced(t)
	for way := range x.ways {
		out := x.run(way, "the record", has("authorize: redirect_uri.unknown"), "show", x.reference)
		if !has("atlas", "failed, redirect_uri.unknown", `"http://{tenant}.localhost:3000/cb"`, "differs in  slash", x.reference)(out) || strings.Contains(out, "hunter22") {
			t.Errorf("show %s:\n%s", way, out)
		}
		x.run(way, "both logins", func(s string) bool { return strings.Count(s, "atlas") == 2 }, "find", "--app", "atlas", "--since", "1h")
		if out := x.run(way, "the failed one", has("redirect_uri.unknown"), "find", "--failed"); strings.Count(out, "\n") != 2 {
			t.Errorf("find --failed %s:\n%s", way, out)
		}
		var list []journal.Login
		if err := json.Unmarshal([]byte(x.run(way, "JSON", has("acme"), "find", "--tenant", "acme", "--json")), &list); err != nil || len(list) != 1 || list[0].Outcome != journal.Open {
			t.Errorf("%+v %v", list, err)
		}
		if out := x.run(way, "the funnel", has("acme"), "funnel"); !has("REDEEMED", "atlas")(out) {
			t.Errorf("funnel %s:\n%s", way, out)
		}
		x.run(way, "the funnel of the app", has("all"), "funnel", "--by-app")
	}
}

func TestWhoFollowsSeesEachLegOnce(t *testing.T) {
	x := newTraced(t)
	for way, flags := range x.ways {
		ctx, stop := context.WithCancel(t.Context())
		var out, complaints output
		ended := make(chan int, 1)
		go func() {
			ended <- run(ctx, append([]string{"trace", "tail", "--since", "1h", "--failed"}, flags...), strings.NewReader(""), &out, &complaints)
		}()
		until(t, "the refused leg "+way, func() bool { return strings.Contains(out.String(), "redirect_uri.unknown") })
		stop()
		if code := <-ended; code != 0 {
			t.Errorf("exit code %d: %s", code, complaints.String())
		}
		if n := strings.Count(out.String(), "\n"); n != 1 {
			t.Errorf("%d lines %s:\n%s", n, way, out.String())
		}
	}
}

func TestAReplicaWhoseClockIsAheadHidesNoLegsOfTheOthers(t *testing.T) {
	now := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		name                string
		since, newest, want time.Duration // from now
	}{
		{"nothing came", -time.Minute, -10000 * time.Hour, -time.Minute},
		{"what came was old", -10 * time.Second, -5 * time.Second, -10 * time.Second},
		{"some came", -time.Minute, -time.Second, -time.Second - tailBack},
		{"one came from the future", -time.Minute, time.Hour, -tailBack},
	} {
		if got := goOn(now.Add(tt.since), now.Add(tt.newest), now).Sub(now); got != tt.want {
			t.Errorf("%s: it goes on from %s, want %s", tt.name, got, tt.want)
		}
	}
}
