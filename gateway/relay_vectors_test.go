package gateway

import (
	"encoding/hex"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/nlnwa/whatwg-url/url"

	"onedoor/horizon"
	"onedoor/tenant"
)

type relayCase struct {
	ID, Group, Fixture, Method, Why string
	RawTarget                       string `json:"raw_target"`
	RawTargetHex                    string `json:"raw_target_hex"`
	Host                            *string
	Headers                         [][2]string
	Body                            string
	Expect                          struct {
		Status     int
		StatusOK   []int `json:"status_ok"`
		Location   *string
		LocationOK []string `json:"location_ok"`
		AnyOf      []struct {
			Status   int
			Location *string
			Form     any `json:"auto_submit_form"`
		} `json:"any_of"`
	}
}

type relayFixture struct {
	AuthHost string `json:"auth_host"`
	Callback string
	Tenants  map[string]string
	Custom   map[string]struct{ Returnto string }
}

func (f relayFixture) door(t *testing.T) *door {
	t.Helper()
	origin := "https://" + f.AuthHost
	if f.AuthHost == "auth.localhost" {
		origin = "http://" + f.AuthHost
	}
	i := strings.Index(f.Callback, "/api/")
	site, err := tenant.ParseTemplate(f.Callback[:i], tenant.Environment{})
	if err != nil {
		t.Fatal(err)
	}
	list := tenant.List{{ID: "initech", Label: "initech", Status: tenant.Active, Sites: map[string]string{"app": "https://portal.initech.example"}}}
	for label, status := range f.Tenants {
		if status != "deleted" {
			list = append(list, tenant.Tenant{ID: label, Label: label, Status: tenant.Status(status)})
		}
	}
	return openDoor(t, setup{
		listener: horizon.Listener{Public: []string{origin}},
		upstream: fakeProvider("/realms/atlas"),
		directory: &tenant.Directory{
			Apps: []*tenant.App{{
				Name: "app", ClientID: "app", Mode: tenant.Relay, Site: site, Callbacks: []string{f.Callback[i:]},
			}},
			Registry: list, Reserved: []string{"www", "auth", "api"}, Door: []string{origin},
		},
	})
}

func TestRelayVectors(t *testing.T) {
	raw, err := os.ReadFile("../testdata/vectors/relay.json")
	if err != nil {
		t.Fatal(err)
	}
	var v struct {
		Count    int
		Fixtures map[string]relayFixture
		Cases    []relayCase
	}
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatal(err)
	}
	if v.Count != len(v.Cases) || v.Count == 0 {
		t.Fatalf("%d cases, the head says %d", len(v.Cases), v.Count)
	}
	for name, f := range v.Fixtures {
		t.Run(name, func(t *testing.T) {
			d := f.door(t)
			for _, c := range v.Cases {
				if c.Fixture != name {
					continue
				}
				t.Run(c.ID, func(t *testing.T) {
					before := len(d.log.String())
					a := d.raw("", c.Method, c.octets(t))
					c.check(t, f, a)
					c.checkLog(t, d.log.String()[before:])
				})
			}
		})
	}
}

func (c *relayCase) octets(t *testing.T) []byte {
	target := c.RawTarget
	if c.RawTargetHex != "" {
		b, err := hex.DecodeString(c.RawTargetHex)
		if err != nil {
			t.Fatal(err)
		}
		target = string(b)
	}
	return request11(c.Method, target, c.Host, c.Headers, c.Body)
}

// check compares an answer with the case, and with the invariants of every
// case.
func (c *relayCase) check(t *testing.T, f relayFixture, a answer) {
	t.Helper()
	locations := a.header["Location"]
	location := strings.Join(locations, " and ")
	if !c.accepts(a.status, locations) {
		t.Errorf("%s: got %d %q, want %v %v", c.Why, a.status, location, c.Expect.StatusOK, c.Expect.AnyOf)
	}
	redirect := a.status >= 300 && a.status < 400
	if location != "" {
		if got, want := originOf(t, location), c.site(f); got != want { // I1
			t.Errorf("I1: sent to %s, want %s", got, want)
		}
		if !redirect || len(locations) != 1 || strings.IndexFunc(location, func(r rune) bool { return r < 0x21 || r > 0x7E }) >= 0 {
			t.Errorf("I4: %d with %d Locations %q", a.status, len(locations), location)
		}
	}
	if a.status == 301 || a.status == 308 || (a.status == 307 && c.Method != "POST") {
		t.Errorf("I2: status %d", a.status)
	}
	noStore := strings.Contains(a.header.Get("Cache-Control"), "no-store")
	if redirect && (!noStore || a.header.Get("Referrer-Policy") != "no-referrer") {
		t.Errorf("I3: headers %v", a.header)
	}
	for name := range a.header {
		if name == "Set-Cookie" || strings.HasPrefix(name, "Access-Control-") {
			t.Errorf("I5: %s", name)
		}
	}
	all := strings.ReplaceAll(a.body, a.header.Get("X-Request-Id"), "") // random letters, which may spell anything
	delete(a.header, "X-Request-Id")
	for name, values := range a.header {
		all += name + strings.Join(values, "")
	}
	if c.Group == "header" || c.Group == "host" {
		for _, evil := range []string{"evil.com", "globex", "cloudfront", "8443"} { // I6
			if strings.Contains(all, evil) {
				t.Errorf("I6: the answer holds %q", evil)
			}
		}
	}
	if a.status >= 400 {
		for _, secret := range []string{"SECRET", "code=", "state="} {
			if strings.Contains(a.body, secret) {
				t.Errorf("I7: the body holds %q", secret)
			}
		}
		// What net/http cannot parse it answers itself, before any handler, with
		// 400 and nothing of the request. A 400 without freshness is not stored
		// by any cache (RFC 9111 §3, RFC 9110 §15.1), though it does not say so.
		// 404 comes from the provider where the path is none of the door's.
		byNetHTTP := strings.HasPrefix(a.body, "400 Bad Request")
		byProvider := strings.HasPrefix(a.body, "no such page")
		if !noStore && !byNetHTTP && !byProvider {
			t.Errorf("I7: %d without no-store", a.status)
		}
	}
}

func (c *relayCase) accepts(status int, locations []string) bool {
	fits := func(want *string) bool {
		if want == nil {
			return len(locations) == 0
		}
		return len(locations) == 1 && locations[0] == *want
	}
	if len(c.Expect.AnyOf) > 0 {
		for _, alt := range c.Expect.AnyOf {
			if alt.Form == nil && alt.Status == status && fits(alt.Location) {
				return true
			}
		}
		return false
	}
	if !slices.Contains(c.Expect.StatusOK, status) {
		return false
	}
	return fits(c.Expect.Location) || (len(locations) == 1 && slices.Contains(c.Expect.LocationOK, locations[0]))
}

// checkLog is I8: no secret of the request is in any log line.
func (c *relayCase) checkLog(t *testing.T, log string) {
	t.Helper()
	_, query, ok := strings.Cut(c.RawTarget, "?")
	if !ok {
		query = ""
	}
	for pair := range strings.SplitSeq(query+"&"+c.Body, "&") {
		name, value, _ := strings.Cut(pair, "=")
		switch name {
		case "code", "state", "response", "id_token", "access_token":
			if len(value) > 3 && strings.Contains(log, value) {
				t.Errorf("I8: the log holds %s: %s", name, log)
			}
		}
	}
	if strings.Contains(log, "SECRET") {
		t.Errorf("I8: %s", log)
	}
}

// site is the origin that the registry gives to the tenant in the path.
func (c *relayCase) site(f relayFixture) string {
	path := c.RawTarget
	if i := strings.Index(path, "/tenants/"); i >= 0 {
		path = path[i:]
	}
	label := strings.Split(path+"//", "/")[2]
	if label == "initech" {
		return "https://portal.initech.example"
	}
	return strings.Replace(f.Callback[:strings.Index(f.Callback, "/api/")], "{tenant}", label, 1)
}

func originOf(t *testing.T, location string) string {
	t.Helper()
	u, err := url.Parse(location)
	if err != nil {
		t.Errorf("%q: %v", location, err)
		return ""
	}
	return u.Scheme() + "://" + u.Host()
}

// request11 writes an HTTP/1.1 request as it is told to.
func request11(method, target string, host *string, headers [][2]string, body string) []byte {
	var b strings.Builder
	b.WriteString(method + " " + target + " HTTP/1.1\r\n")
	if host != nil {
		b.WriteString("Host: " + *host + "\r\n")
	}
	for _, h := range headers {
		b.WriteString(h[0] + ": " + h[1] + "\r\n")
	}
	if body != "" || method == "POST" {
		b.WriteString("Content-Length: " + itoa(len(body)) + "\r\n")
	}
	b.WriteString("\r\n" + body)
	return []byte(b.String())
}
