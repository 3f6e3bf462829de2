//go:build e2e && linux

package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"onedoor/doctor"
	"onedoor/e2e/lab"
	"onedoor/tenant"
	"onedoor/verify"
)

// emptyRealm has nobody in it, and the clients of 200 tenants. Its relay's URIs
// are registered one by one, and one was forgotten.
const (
	emptyRealm  = "empty"
	openClient  = "atlas-open"
	counter     = "counter" // counts people; what it may is the test's alone
	manyTenants = 200
	forgotten   = "t099"
)

func manyLabels() (all []string) {
	for i := range manyTenants {
		all = append(all, fmt.Sprintf("t%03d", i))
	}
	return all
}

func (w *world) emptyRealm() lab.Realm {
	var relays []string
	for _, label := range manyLabels() {
		if label != forgotten {
			relays = append(relays, w.public()+"/tenants/"+label+"/callback")
		}
	}
	r := lab.NewRealm(
		emptyRealm,
		lab.Client{ClientID: transparentClient, Secret: clientSecret, RedirectURIs: []string{w.public() + "/onedoor/callback"}},
		lab.Client{ClientID: relayClient, Secret: clientSecret, RedirectURIs: relays},
		lab.Client{ClientID: openClient, Secret: clientSecret, RedirectURIs: []string{"*"}},
		lab.Client{ClientID: counter, Secret: clientSecret, ServiceAccounts: true},
	)
	r.Users = []lab.User{{
		Username: "service-account-" + counter, Enabled: true, ServiceAccountOf: counter,
		ClientRoles: map[string][]string{"realm-management": {"view-users", "view-clients", "view-realm"}},
	}}
	return r
}

// TestVerifyFindsExactlyTheTenantsWhoseLoginsAreBroken tries 200 tenants at two
// apps, of which seven are broken in seven ways, in a realm without people.
func TestVerifyFindsExactlyTheTenantsWhoseLoginsAreBroken(t *testing.T) {
	w := shared(t)
	began := time.Now()
	on := lab.Here.Listen(t, "127.0.0.1:0")
	port := on.Addr().(*net.TCPAddr).Port
	lab.Serve(t, on, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch label, _, _ := strings.Cut(r.Host, "."); {
		case label == "t020":
			http.NotFound(w, r)
		case label == "t040":
			w.WriteHeader(http.StatusBadGateway)
		case label == "t060":
			fmt.Fprint(w, "<title>Welcome to nginx!</title><h1>Welcome to nginx!</h1>")
		case r.URL.Path != "/api/auth/callback" && r.URL.Path != "/cb":
			http.NotFound(w, r)
		default:
			http.Error(w, "state is not one of mine", http.StatusBadRequest)
		}
	}))
	authority, expired := oldSite(t)
	dir := lab.TempDir(t, "verify")
	ca := filepath.Join(dir, "ca.pem")
	if err := os.WriteFile(ca, authority, 0o600); err != nil {
		t.Fatal(err)
	}
	closed := lab.FreePort(t)
	yaml := strings.NewReplacer("issuers: [/realms/"+realm+"]", "issuers: [/realms/"+emptyRealm+"]", "list: [acme, globex]", "list: []").Replace(w.config(t, fmt.Sprintf(`  atlas:
    client_id: %s
    site: http://{tenant}.localhost:%d
    callbacks: [/api/auth/callback]
  legacy:
    client_id: %s
    mode: relay
    site: http://{tenant}.localhost:%d
    callbacks: [/cb]`, transparentClient, port, relayClient, port)))
	file := filepath.Join(dir, "onedoor.yaml")
	if err := os.WriteFile(file, []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	onedoor(t, "", append([]string{"tenant", "add", "-c", file}, manyLabels()...)...)
	for label, site := range map[string]string{
		"t120": "https://nobody.onedoor-verify.invalid",
		"t140": "http://closed.test",
		"t160": "https://old.test",
	} {
		onedoor(t, "", "tenant", "set", "-c", file, "--trusted", "--site", "atlas="+site, label)
	}
	door := w.serve(t, yaml)
	code, out := verifyAll(t, "-c", file, "--all", "--json", "--rate", "200", "--site-ca-file", ca,
		"--connect", fmt.Sprintf("closed.test=127.0.0.1:%d", closed), "--connect", "old.test="+expired)
	var got struct {
		Tenants, OK int
		Failures    []verify.Verdict
		Unclear     []verify.Verdict
		Findings    []verify.Finding
	}
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatalf("%v:\n%s", err, out)
	}
	want := []string{
		"t020 atlas site.not_found", "t020 legacy site.not_found", "t040 atlas site.down", "t040 legacy site.down", "t060 atlas site.foreign", "t060 legacy site.foreign",
		forgotten + " legacy provider.redirect_uri", "t120 atlas site.dns", "t140 atlas site.unreachable", "t160 atlas site.tls_expired",
	}
	var failed []string
	for _, v := range got.Failures {
		failed = append(failed, v.Tenant+" "+v.App+" "+string(v.Outcome))
	}
	slices.Sort(want)
	if code != 1 || !slices.Equal(failed, want) || len(got.Unclear) > 0 || len(got.Findings) > 0 || got.Tenants != manyTenants || got.OK != 2*manyTenants-len(want) {
		t.Errorf("exit %d, %d ok, unclear %+v, findings %+v, failures:\n%s\n%s", code, got.OK, got.Unclear, got.Findings, strings.Join(failed, "\n"), door.Tail(20))
	}
	var people int
	var sessions []any
	w.count(t, "users/count", &people)
	w.count(t, "client-session-stats", &sessions)
	if people != 0 || len(sessions) != 0 {
		t.Errorf("the realm has %d people and the sessions %v", people, sessions)
	}

	t.Run("a provider that redirects anywhere is a finding", func(t *testing.T) {
		open := filepath.Join(dir, "open.yaml")
		if err := os.WriteFile(open, []byte(strings.Replace(yaml, "client_id: "+transparentClient, "client_id: "+openClient, 1)), 0o600); err != nil {
			t.Fatal(err)
		}
		door.Stop()
		w.serve(t, strings.Replace(yaml, "client_id: "+transparentClient, "client_id: "+openClient, 1))
		code, out := verifyAll(t, "-c", open, "t000", "t001")
		if code != 1 || strings.Count(string(out), "provider.open") != 1 || !strings.Contains(string(out), "t000 (atlas): ok") {
			t.Errorf("exit %d:\n%s", code, out)
		}
	})
	t.Logf("it took %.1f s", time.Since(began).Seconds())
}

// count asks Keycloak's admin API about the empty realm.
func (w *world) count(t *testing.T, what string, into any) {
	t.Helper()
	client := lab.HTTPClient(lab.DialTo(lab.Here, strings.TrimPrefix(w.keycloak.Origin, "http://")))
	var token struct {
		AccessToken string `json:"access_token"`
	}
	resp, err := client.PostForm(w.keycloak.Origin+"/realms/"+emptyRealm+"/protocol/openid-connect/token", url.Values{
		"grant_type": {"client_credentials"}, "client_id": {counter}, "client_secret": {clientSecret},
	})
	if err != nil {
		t.Fatal(err)
	}
	err = json.NewDecoder(resp.Body).Decode(&token)
	_ = resp.Body.Close()
	if err != nil {
		t.Fatal(err)
	}
	r := mustGet(t, w.keycloak.Origin+"/admin/realms/"+emptyRealm+"/"+what)
	r.Header.Set("Authorization", "Bearer "+token.AccessToken)
	if resp, err = client.Do(r); err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(into); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("Keycloak: %s: %s: %v", what, resp.Status, err)
	}
}

func verifyAll(t *testing.T, args ...string) (int, []byte) {
	t.Helper()
	cmd := exec.Command(lab.DoorProgram(t), append([]string{"tenant", "verify"}, args...)...)
	out, err := cmd.Output()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out
}

// oldSite is a site whose certificate has ended, and the authority that it is
// of.
func oldSite(t *testing.T) (authority []byte, address string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "old.test"}, DNSNames: []string{"old.test"}, IsCA: true,
		BasicConstraintsValid: true, NotBefore: time.Now().AddDate(-2, 0, 0), NotAfter: time.Now().AddDate(-1, 0, 0),
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(http.NotFoundHandler())
	s.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	s.StartTLS()
	t.Cleanup(s.Close)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), s.Listener.Addr().String()
}

// verify has the verification judge what a real app answers, with a door of a
// few lines before it.
func (c *computer) verify(t *testing.T, site client) {
	t.Helper()
	template, err := tenant.ParseTemplate(fmt.Sprintf("http://{tenant}.localhost:%d", sitePort), tenant.Environment{})
	if err != nil {
		t.Fatal(err)
	}
	published := lab.Publish(t, lab.Here, "127.0.0.1:0", c.net, fmt.Sprintf("127.0.0.1:%d", sitePort))
	const public = "http://auth.localhost"
	look := func(path string) verify.Verdict {
		d := &tenant.Directory{
			Door: []string{public}, Issuers: []string{"/"}, Registry: tenant.List{{ID: "1", Label: "acme", Status: tenant.Active}},
			Apps: []*tenant.App{{Name: "atlas", Site: template, Callbacks: []string{path}, Mode: tenant.Transparent}},
		}
		door := roundTrip(func(r *http.Request) *http.Response {
			w, q := httptest.NewRecorder(), r.URL.Query()
			switch r.URL.Path {
			case "/.well-known/openid-configuration":
				fmt.Fprintf(w, `{"issuer":%q,"authorization_endpoint":%q}`, public, public+"/auth")
			default:
				http.Redirect(w, r, template.Expand("acme")+path+"?error=login_required&state="+q.Get("state"), http.StatusFound)
			}
			return w.Result()
		})
		v := verify.New(verify.Options{
			Directory: func() *tenant.Directory { return d },
			Scout: doctor.NewScout(doctor.ScoutOptions{
				Allowed: []string{public}, Inside: map[string]http.RoundTripper{public: door}, Agent: verify.Agent, AsBrowser: true,
				Connect: func(string, string) string { return published },
			}),
		})
		return v.Begin().Look(t.Context(), "acme")[0]
	}
	if v := look(site.callback); v.Outcome != verify.OK {
		t.Errorf("%+v", v)
	}
	resp, err := lab.HTTPClient(lab.DialTo(lab.Here, published)).Transport.RoundTrip(mustGet(t, template.Expand("acme")+site.callback+"?error=login_required&state=x"))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	t.Logf("%s answers %s %s; at another address %s", site.name, resp.Status, resp.Header.Get("Location"), look("/onedoor/no-such-callback").Outcome)
}

func mustGet(t *testing.T, url string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

type roundTrip func(*http.Request) *http.Response

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r), nil }
