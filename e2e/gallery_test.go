//go:build e2e && linux

package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"onedoor/doctor"
	"onedoor/e2e/gallery"
	"onedoor/e2e/lab"
)

// The gallery's addresses. The provider, or what stands before it, is at the
// edge; the doctor runs at a desk, beside the browser; the app has a network of
// its own. All names are of test domains (RFC 2606).
const (
	authHost   = "auth.example.test"
	httpPublic = "http://auth.localhost:8080" // browsers trust http there
	tlsPublic  = "https://auth.example.test"
	atServer   = "http://server:8080" // the internal name
)

// exhibit is one set-up of the gallery while it runs.
type exhibit struct {
	*testing.T
	keycloak        *lab.Keycloak
	edge, desk, app *lab.Net
}

// networks makes the three networks. deskHosts and appHosts are names beside
// the usual ones; "" takes a usual one away.
func (x *exhibit) networks(appHosts map[string]string) {
	x.Helper()
	desk := map[string]string{}
	for _, name := range []string{authHost, "sso.example.test", "acme.example.test", "www.example.test", "auth.localhost", "acme.localhost", "sso.localhost"} {
		desk[name] = publicDoor
	}
	desk["onedoor"] = internalDoor // the edge's alone: there is no way there from the desk
	app := map[string]string{"server": internalDoor, "onedoor": internalDoor, "auth.localhost": internalDoor, authHost: internalDoor}
	for name, address := range appHosts {
		if app[name] = address; address == "" {
			delete(app, name)
		}
	}
	x.edge, x.desk, x.app = lab.NewNet(x, "edge", desk), lab.NewNet(x, "desk", desk), lab.NewNet(x, "app", app)
	lab.Connect(x, x.edge, publicDoor, x.desk, browserEnd)
	lab.Connect(x, x.edge, internalDoor, x.app, appEnd)
	// The provider itself, for what stands before it.
	lab.Publish(x, x.edge, "127.0.0.1:8080", lab.Here, strings.TrimPrefix(x.keycloak.Origin, "http://"))
}

// publish makes the provider itself answer at an address of the edge.
func (x *exhibit) publish(addresses ...string) {
	x.Helper()
	for _, a := range addresses {
		lab.Publish(x, x.edge, a, x.edge, "127.0.0.1:8080")
	}
}

// both are where browsers and where servers reach port 8080 of the edge.
var both = []string{publicDoor + ":8080", internalDoor + ":8080"}

// nginx runs nginx at the edge with these servers.
func (x *exhibit) nginx(servers string) {
	x.Helper()
	dir := lab.TempDir(x, "nginx")
	text := fmt.Sprintf(`daemon off; worker_processes 1; pid %[1]s/pid; error_log stderr;
events { worker_connections 64; }
http {
	access_log off; client_body_temp_path %[1]s; proxy_temp_path %[1]s; fastcgi_temp_path %[1]s; uwsgi_temp_path %[1]s; scgi_temp_path %[1]s;
	%[2]s
}
`, dir, servers)
	file := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		x.Fatal(err)
	}
	p := lab.Start(x, "nginx", x.edge.Command("nginx", "-c", file, "-e", "stderr"))
	p.Await(x, "it has begun", func() error {
		_, err := os.Stat(filepath.Join(dir, "pid"))
		return err
	})
}

// finding is what the doctor's JSON says of one.
type report struct {
	OK       bool             `json:"ok"`
	Findings []doctor.Finding `json:"findings"`
	Checks   []doctor.Check   `json:"checks"`
	Vantages []doctor.Seer    `json:"vantages"`
	text     string
	code     int
}

// doctor runs `onedoor doctor` at the desk, with the app's network beside it.
func (x *exhibit) doctor(args ...string) report {
	x.Helper()
	return x.examine(append([]string{"--vantage", "app=" + x.app.Line(lab.DoorProgram(x), "probe")}, args...)...)
}

func (x *exhibit) examine(args ...string) report {
	x.Helper()
	cmd := x.desk.Command(lab.DoorProgram(x), append([]string{"doctor", "--json"}, args...)...)
	var complaint strings.Builder
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		x.Fatal(err)
	}
	var r report
	if err := json.Unmarshal(out, &r); err != nil {
		x.Fatalf("the report cannot be read: %v\n%s\n%s", err, out, complaint.String())
	}
	r.text, r.code = string(out), cmd.ProcessState.ExitCode()
	return r
}

// judge holds a report against what the gallery says of the set-up.
func judge(t *testing.T, e gallery.Entry, r report) {
	t.Helper()
	fail := func(format string, args ...any) {
		t.Helper()
		t.Errorf(format+"\n%s", append(args, r.text)...)
	}
	for _, v := range r.Vantages {
		if v.Blind != "" {
			fail("%s could not look: %s", v.Name, v.Blind)
		}
	}
	if e.Cause == "" {
		if len(r.Findings) > 0 || !r.OK || r.code != 0 {
			fail("a set-up that is right has %d findings, exit code %d", len(r.Findings), r.code)
		}
		for _, c := range r.Checks {
			if c.Status == doctor.Skipped && c.Kind != "D3" && !strings.HasSuffix(c.ID, "here/discovery") && !strings.HasPrefix(c.ID, "clock/") {
				fail("in a set-up that is right %s was skipped: %s", c.ID, c.Said)
			}
		}
		return
	}
	if len(r.Findings) == 0 {
		fail("nothing was found, want %s", e.Cause)
		return
	}
	f := r.Findings[0]
	if f.Cause != e.Cause {
		fail("the first cause is %s, want %s", f.Cause, e.Cause)
	}
	if !strings.Contains(f.Check.Said+" "+strings.Join(f.Fix, " "), e.Says) {
		fail("the first finding says %q, and not %q", f.Check.Said, e.Says)
	}
	if len(r.Findings) > 1 {
		var others []string
		for _, f := range r.Findings[1:] {
			others = append(others, string(f.Cause)+": "+f.Check.Said)
		}
		fail("one thing is broken, and the report has %d causes: %s", len(r.Findings), strings.Join(others, "; "))
	}
	if want := 1; f.Status == doctor.Failed && r.code != want {
		fail("exit code %d, want %d", r.code, want)
	}
	if len(f.Fix) == 0 {
		fail("the cause has no fix")
	}
}

// TestTheDoctorNamesTheCauseOfEveryBrokenSetUp starts each set-up of the gallery
// and runs the doctor before it.
func TestTheDoctorNamesTheCauseOfEveryBrokenSetUp(t *testing.T) {
	setUps := galleryDirect()
	for name, f := range galleryDoor() {
		setUps[name] = f
	}
	entries := gallery.Entries()
	for name := range setUps {
		if !slices.ContainsFunc(entries, func(e gallery.Entry) bool { return e.Name == name }) {
			t.Errorf("the set-up %q is not in the gallery's list", name)
		}
	}
	began := time.Now()
	keycloak := lab.StartKeycloak(t, lab.KeycloakOptions{
		Net: lab.Here, Address: fmt.Sprintf("127.0.0.1:%d", lab.FreePort(t)), Realms: galleryRealms(),
	})
	lab.DoorProgram(t)
	for _, r := range galleryRealms() { // whatever is asked first is slow
		for _, path := range []string{"/.well-known/openid-configuration", "/protocol/openid-connect/certs", "/protocol/openid-connect/auth"} {
			resp, err := lab.HTTPClient(lab.DialTo(lab.Here, strings.TrimPrefix(keycloak.Origin, "http://"))).Get(keycloak.Origin + "/realms/" + r.Realm + path)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
		}
	}
	ready := time.Now()
	t.Run("set-ups", func(t *testing.T) {
		for _, e := range entries {
			t.Run(e.Name, func(t *testing.T) {
				f := setUps[e.Name]
				if f == nil {
					t.Fatal("there is no set-up of that name")
				}
				t.Parallel()
				judge(t, e, f(&exhibit{T: t, keycloak: keycloak}))
			})
		}
	})
	t.Logf("%d set-ups in %.0f s, after %.0f s for Keycloak", len(entries), time.Since(ready).Seconds(), ready.Sub(began).Seconds())
}

// realm frontends: Keycloak itself follows the Host; a realm can have a public
// address of its own.
func galleryRealms() []lab.Realm {
	named := func(name, frontend string, clients ...lab.Client) lab.Realm {
		r := lab.NewRealm(name, clients...)
		r.Users = nil // nobody logs in
		if frontend != "" {
			r.Attributes = map[string]string{"frontendUrl": frontend}
		}
		return r
	}
	site := "https://acme.example.test"
	client := func(id string, uris ...string) lab.Client {
		return lab.Client{ClientID: id, Secret: clientSecret, RedirectURIs: uris}
	}
	public := client("spa", "https://spa.example.test/callback")
	public.Secret, public.PublicClient, public.WebOrigins = "", true, []string{"https://other.example.test"}
	machine := client("machine", site+"/callback")
	machine.ServiceAccounts = true
	return []lab.Realm{
		named("follows", "", client("atlas-web", site+"/callback"), machine),
		named("local", httpPublic, client("atlas-web", "http://acme.localhost:3000/callback"),
			client("atlas-relay", httpPublic+"/tenants/acme/callback", httpPublic+"/tenants/globx/callback"),
			client("slash", site+"/callback/"), client("case", site+"/Callback"), client("port", site+"/callback"),
			client("scheme", site+"/callback"), client("query", site+"/callback"),
			client("star", "*"), client("below", site+"/*"),
			client("borealis-web", "https://borealis.example.test/callback"),
			client("go-cookie", "http://acme.example.test:3000/api/auth/callback"),
			client("go-app", "http://acme.localhost:3000/api/auth/callback", "http://app:3000/api/auth/callback"),
			client("go-tls", "http://acme.example.test/api/auth/callback", "https://acme.example.test/api/auth/callback"),
			client("atlas-door", httpPublic+"/onedoor/callback"),
			client("atlas-tenants", "http://acme.localhost:3000/api/auth/callback"),
			client("relay", httpPublic+"/tenants/acme/callback", httpPublic+"/tenants/globex/callback"), public),
		named("tls", tlsPublic, client("atlas-web", site+"/callback"), client("atlas-door", tlsPublic+"/onedoor/callback")),
		named("internal", atServer, client("atlas-web", site+"/callback")),
		named("sso", "http://sso.localhost:8080"),
		named("prefixed", httpPublic+"/auth"),
	}
}
