//go:build e2e && linux

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"onedoor/e2e/lab"
)

// inside is a door with the provider inside, whose SQLite file lies on a disk of
// the test's choice.
type inside struct {
	t             *testing.T
	door          *lab.Door
	public, admin string
	secret        string
}

func newInside(t *testing.T, dir string) *inside {
	t.Helper()
	port := lab.FreePort(t)
	d := &inside{t: t, public: fmt.Sprintf("http://auth.localhost:%d", port), admin: fmt.Sprintf("127.0.0.1:%d", lab.FreePort(t)), secret: "a secret of the client's"}
	address := fmt.Sprintf("127.0.0.1:%d", port)
	config := fmt.Sprintf(`
public_url: %s
listen: %s
provider: {embedded: {}}
apps: {atlas: {client_id: atlas, site: "http://{tenant}.localhost:3000", callbacks: [/callback]}}
tenants: {list: [acme]}
database: %s
admin: {listen: "%s", token: a token of the back office}
`, d.public, address, filepath.Join(dir, "onedoor.db"), d.admin)
	d.door = lab.StartDoor(t, lab.DoorOptions{Net: lab.Here, Address: address, Origin: d.public, Config: config})
	d.command(d.secret, "client", "add", "--app", "atlas", "--secret-stdin")
	d.command(lab.Password, "user", "add", "--password-stdin", lab.Username)
	return d
}

func (d *inside) command(stdin string, args ...string) {
	d.t.Helper()
	cmd := exec.Command(lab.DoorProgram(d.t), append(args, "-c", d.door.File)...)
	cmd.Stdin = strings.NewReader(stdin + "\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		d.t.Fatalf("onedoor %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// put adds a tenant by the admin API and gives what it answers.
func (d *inside) put(label, notes string) (status int, body string) {
	d.t.Helper()
	text, err := json.Marshal(map[string]string{"status": "active", "notes": notes})
	if err != nil {
		d.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(d.t.Context(), time.Minute)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPut, "http://"+d.admin+"/v1/tenants/"+label, strings.NewReader(string(text)))
	if err != nil {
		d.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer a token of the back office")
	r.Header.Set("Content-Type", "application/json")
	return d.ask(http.DefaultClient, r)
}

func (d *inside) ask(client *http.Client, r *http.Request) (status int, body string) {
	d.t.Helper()
	resp, err := client.Do(r)
	if err != nil {
		d.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		d.t.Fatal(err)
	}
	if to, none := resp.Location(); none == nil {
		return resp.StatusCode, to.String()
	}
	return resp.StatusCode, string(text)
}

// browser makes requests as one browser does; the body is the Location where
// there is one.
func (d *inside) browser() func(method, at string, fields url.Values) (status int, body string) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		d.t.Fatal(err)
	}
	client := d.door.Client()
	client.Jar = lab.SecureJar{CookieJar: jar}
	return func(method, at string, fields url.Values) (int, string) {
		d.t.Helper()
		r, err := http.NewRequestWithContext(d.t.Context(), method, at, strings.NewReader(fields.Encode()))
		if err != nil {
			d.t.Fatal(err)
		}
		if fields != nil {
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
		if strings.HasSuffix(at, "/token") {
			r.SetBasicAuth("atlas", url.QueryEscape(d.secret))
		}
		return d.ask(client, r)
	}
}

// TestAFullDiskEndsNoLoginAndAcknowledgesNothing fills the disk under a door
// while somebody looks at the login page, and makes room again.
func TestAFullDiskEndsNoLoginAndAcknowledgesNothing(t *testing.T) {
	disk := lab.SmallDisk(t, 8<<20)
	d := newInside(t, disk)
	open := d.browser()
	site := "http://acme.localhost:3000/callback"
	_, page := open(http.MethodGet, d.public+"/authorize?"+url.Values{
		"response_type": {"code"}, "client_id": {"atlas"}, "redirect_uri": {site}, "scope": {"openid"}, "state": {"s"},
	}.Encode(), nil)
	if status, body := open(http.MethodGet, page, nil); status != http.StatusOK || !strings.Contains(body, `name="password"`) {
		t.Fatalf("%s: %d %s", page, status, body)
	}

	makeRoom := lab.Fill(t, disk)
	notes := strings.Repeat("n", 900)
	acknowledged, refused := map[string]bool{}, ""
	for i := 0; refused == "" && i < 10_000; i++ { // the file has some room of its own
		label := fmt.Sprintf("t%d", i)
		switch status, body := d.put(label, notes); {
		case status/100 == 2:
			acknowledged[label] = true
		case status != http.StatusInsufficientStorage && status != http.StatusServiceUnavailable:
			t.Fatalf("a change on a full disk: %d %s, want 503 or 507", status, body)
		default:
			refused = label
		}
	}
	t.Logf("%d changes were acknowledged before %q was refused", len(acknowledged), refused)
	password := func() (int, string) {
		return open(http.MethodPost, page, url.Values{"username": {lab.Username}, "password": {lab.Password}})
	}
	if status, body := password(); status != http.StatusServiceUnavailable {
		t.Errorf("the password on a full disk: %d %s, want 503", status, body)
	}
	if status, body := open(http.MethodGet, d.public+"/tenants/acme/callback?error=x", nil); status/100 != 3 {
		t.Errorf("a known tenant on a full disk: %d %s", status, body)
	}
	if status, body := open(http.MethodGet, d.public+"/tenants/"+refused+"/callback?error=x", nil); status/100 != 4 {
		t.Errorf("a tenant that was refused: %d %s", status, body)
	}

	// A state that is too long to travel has to be kept. The app hears that this
	// cannot be now, with its state, and nobody is left standing.
	long := strings.Repeat("s", 8000)
	ask := func() string {
		_, to := open(http.MethodGet, d.public+"/authorize?"+url.Values{
			"response_type": {"code"}, "client_id": {"atlas"}, "redirect_uri": {site}, "scope": {"openid"}, "state": {long},
		}.Encode(), nil)
		return to
	}
	if to := ask(); !strings.HasPrefix(to, site+"?") || !strings.Contains(to, "error=temporarily_unavailable") || !strings.Contains(to, long) {
		t.Errorf("a long state on a full disk: %.300s", to)
	}

	makeRoom()
	if to := ask(); !strings.HasPrefix(to, d.public+"/authorize/") {
		t.Errorf("a long state, with room: %.300s", to)
	}
	_, response := password()
	status, at := open(http.MethodGet, response, nil)
	u, err := url.Parse(at)
	if err != nil || !strings.HasPrefix(at, site+"?") {
		t.Fatalf("the login, with room: %d %s", status, at)
	}
	if status, body := open(http.MethodPost, d.public+"/token", url.Values{
		"grant_type": {"authorization_code"}, "code": {u.Query().Get("code")}, "redirect_uri": {site},
	}); status != http.StatusOK || !strings.Contains(body, "id_token") {
		t.Errorf("the tokens, with room: %d %s", status, body)
	}
	for label := range acknowledged {
		if status, body := open(http.MethodGet, d.public+"/tenants/"+label+"/callback?error=x", nil); status/100 != 3 {
			t.Errorf("%s was acknowledged: %d %s", label, status, body)
		}
	}
	if status, body := d.put(refused, ""); status/100 != 2 {
		t.Errorf("the change that was refused, with room: %d %s", status, body)
	}
}
