package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"onedoor/config"
	"onedoor/doctor"
)

// followingHost is a provider whose issuer is whatever name it is asked under.
func followingHost(t *testing.T) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/realms/atlas/.well-known/openid-configuration" {
			http.NotFound(w, r)
			return
		}
		issuer := "http://" + r.Host + "/realms/atlas"
		fmt.Fprintf(w, `{"issuer":%q,"authorization_endpoint":"%s/protocol/openid-connect/auth","token_endpoint":"%s/protocol/openid-connect/token"}`, issuer, issuer, issuer)
	}))
	t.Cleanup(s.Close)
	return s
}

func runJSON(t *testing.T, args ...string) (doctor.Report, int) {
	t.Helper()
	var out, complaint bytes.Buffer
	code := run(context.Background(), args, strings.NewReader(""), &out, &complaint)
	var r doctor.Report
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		t.Fatalf("%v: %s %s", err, out.String(), complaint.String())
	}
	return r, code
}

// What the doctor gives to paste is a configuration that the door takes, with
// the values of the case.
func TestTheConfigurationToPasteIsSound(t *testing.T) {
	s := followingHost(t)
	r, code := runJSON(t, "doctor", "--json", "--issuer", s.URL+"/realms/atlas", "--discovery", strings.Replace(s.URL, "127.0.0.1", "localhost", 1)+"/realms/atlas",
		"--client-id", "atlas-web", "--redirect-uri", "http://acme.localhost:3000/api/auth/callback", "--redirect-uri", "http://globex.localhost:3000/api/auth/callback")
	if code != 1 || r.Findings[0].Cause != doctor.ProviderFollowsHost {
		t.Fatalf("exit code %d, found %+v", code, r.Findings)
	}
	i := slices.IndexFunc(r.Configuration, func(s doctor.Snippet) bool { return strings.Contains(s.Text, "public_url:") })
	if i < 0 {
		t.Fatalf("there is no configuration for a door: %+v", r.Configuration)
	}
	cfg, err := config.Parse("onedoor.yaml", []byte(r.Configuration[i].Text), nil)
	if err != nil {
		t.Fatalf("%v\n%s", err, r.Configuration[i].Text)
	}
	if cfg.PublicURL != s.URL || cfg.IssuerURL(cfg.Provider.Issuers[0]) != s.URL+"/realms/atlas" ||
		cfg.Apps["app"].ClientID != "atlas-web" || !slices.Equal(cfg.Tenants.List, []string{"acme", "globex"}) {
		t.Errorf("it means something else:\n%s", r.Configuration[i].Text)
	}
	texts := ""
	for _, s := range r.Configuration {
		texts += s.Text
	}
	for _, want := range []string{"--hostname=" + s.URL, "--hostname-backchannel-dynamic=true", "wellKnown: null", `issuer: "` + s.URL + `/realms/atlas"`} {
		if !strings.Contains(texts, want) {
			t.Errorf("nothing to paste has %q:\n%s", want, texts)
		}
	}
}

// The apps of a configuration, as they are tried: directly with what is
// registered, and through the door with what their tenants send.
func TestTheAppsOfAConfigurationAreTriedAsTheyLogIn(t *testing.T) {
	for _, tt := range []struct {
		name, issuers, app string
		direct, through    []string
	}{
		{
			"transparent", "[/realms/atlas]", "site: \"https://{tenant}.example.com\", callbacks: [/cb, /other]",
			[]string{"https://auth.example.com/onedoor/callback"},
			[]string{"https://acme.example.com/cb", "https://globex.example.com/cb"},
		},
		{
			"relay", "[/realms/atlas]", "mode: relay, site: \"https://{tenant}.example.com\", callbacks: [/cb]",
			nil,
			[]string{"https://auth.example.com/tenants/acme/callback", "https://auth.example.com/tenants/globex/callback"},
		},
		{
			"a realm for each tenant", `["/realms/{tenant}"]`, "site: \"https://{tenant}.example.com\", callbacks: [/cb]",
			[]string{"https://auth.example.com/onedoor/callback/realms/acme", "https://auth.example.com/onedoor/callback/realms/globex"},
			[]string{"https://acme.example.com/cb", "https://globex.example.com/cb"},
		},
		{
			"without tenants", "[/realms/atlas]", "redirect_uris: [https://atlas.example.net/cb]",
			[]string{"https://auth.example.com/onedoor/callback"},
			[]string{"https://atlas.example.net/cb"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "onedoor.yaml")
			text := fmt.Sprintf("public_url: https://auth.example.com\nlisten: :9000\nprovider: {upstream: http://keycloak:8080, issuers: %s}\napps:\n  atlas: {client_id: web, %s}\ntenants: {list: [acme, globex]}\n", tt.issuers, tt.app)
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			var s doctor.Subject
			if err := (&doctorCommand{configFlag: configFlag{Config: file}}).door(t.Context(), &s); err != nil {
				t.Fatal(err)
			}
			var direct, through []string
			for _, c := range s.Clients {
				if c.Through {
					through = append(through, c.RedirectURIs...)
				} else {
					direct = append(direct, c.RedirectURIs...)
				}
			}
			if !slices.Equal(direct, tt.direct) || !slices.Equal(through, tt.through) {
				t.Errorf("directly %v, through the door %v; want %v, %v", direct, through, tt.direct, tt.through)
			}
			if tt.name == "relay" && s.Clients[0].Ends[tt.through[0]] != "https://acme.example.com/cb" {
				t.Errorf("the relay ends at %v", s.Clients[0].Ends)
			}
		})
	}
}

// Who keeps tenants in the database need not name them.
func TestTheDoctorLooksAtSomeTenantsOfTheDatabase(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "onedoor.yaml")
	text := "public_url: https://auth.example.com\nlisten: :9000\nprovider: {upstream: http://keycloak:8080, issuers: [/r]}\n" +
		"apps:\n  atlas: {client_id: web, site: \"https://{tenant}.example.com\", callbacks: [/cb]}\ntenants: {list: [listed], reserved: [www]}\ndatabase: " + filepath.Join(dir, "onedoor.db") + "\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	look := func() (doctor.Subject, error) {
		var s doctor.Subject
		err := (&doctorCommand{configFlag: configFlag{Config: file}}).door(t.Context(), &s)
		return s, err
	}
	s, err := look()
	if err != nil || !slices.Equal(s.Names, []string{"listed"}) || s.Door.Unasked == "" {
		t.Errorf("without a database: %v, %+v, %v", s.Names, s.Door, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "onedoor.db")); !os.IsNotExist(err) {
		t.Errorf("the doctor made a database: %v", err)
	}
	for _, args := range [][]string{
		{"add", "acme", "bravo", "www1", "globex", "hooli", "initech"},
		{"set", "--status", "suspended", "bravo"},
		{"set", "--trusted", "--site", "atlas=https://portal.globex.example", "globex"},
	} {
		if code, out, errs := tell(t.Context(), t, append([]string{"tenant", args[0], "-c", file}, args[1:]...)...); code != 0 {
			t.Fatalf("%v: %d %s%s", args, code, out, errs)
		}
	}
	s, err = look()
	if err != nil || !slices.Equal(s.Names, []string{"listed", "acme", "hooli", "initech", "www1"}) || s.Door.Unasked != "" {
		t.Errorf("%v, %+v, %v", s.Names, s.Door, err)
	}
}

// Exit code 1 says that a login fails, and nothing was asked about one.
func TestWhoCannotReadItsConfigurationCouldNotLook(t *testing.T) {
	file := writeFile(t, "onedoor.yaml", "public_url: https://auth.example.com\nlisten: :9000\nprovider: {embedded: {}}\nmistake: 1\nanother: 2\n")
	for _, args := range [][]string{{"doctor", "-c", file}, {"tenant", "verify", "-c", file, "acme"}, {"tenant", "verify", "-c", file, "--failing"}} {
		code, out, errs := tell(t.Context(), t, args...)
		if code != 2 || !strings.Contains(errs, "mistake") || !strings.Contains(errs, "another") {
			t.Errorf("%v: exit %d\n%s%s", args, code, out, errs)
		}
	}
}

func TestTheExitCodeOfAReport(t *testing.T) {
	fine := []doctor.Check{{Status: doctor.OK}}
	for name, tt := range map[string]struct {
		report doctor.Report
		want   int
	}{
		"all is well":            {doctor.Report{OK: true, Checks: fine}, 0},
		"a check failed":         {doctor.Report{Checks: fine, Late: true}, 1},
		"there was no time left": {doctor.Report{OK: true, Checks: fine, Late: true}, 2},
		"a vantage was blind":    {doctor.Report{OK: true, Checks: fine, Vantages: []doctor.Seer{{Name: "app", Blind: "no such container"}}}, 2},
		"nothing was looked at":  {doctor.Report{OK: true}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			code := 0
			if err := verdictOf(&tt.report); err != nil {
				var f *failure
				if !errors.As(err, &f) {
					t.Fatal(err)
				}
				code = f.code
			}
			if code != tt.want {
				t.Errorf("exit code %d, want %d", code, tt.want)
			}
		})
	}
}
