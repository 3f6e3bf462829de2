//go:build e2e && linux

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"onedoor/e2e/lab"
)

// client is a site of examples/: a library as its makers publish it, told the
// issuer and its own client_id and secret. Which tenant it serves it takes from
// the Host.
type client struct {
	name string
	// command starts it in a network.
	command func(t *testing.T, n *lab.Net) *exec.Cmd
	// env is what it is told, by its own names.
	env func(c *computer) []string
	// login begins a login; press, where the library asks first, goes on.
	login, press string
	// callback is where the library wants the provider's answer, and lands where
	// the login ends, on the tenant's site.
	callback, lands string
	// person is the page that shows who is logged in, if lands does not, and shows
	// is what is to be seen there.
	person, shows string
}

// cookieSecret is what sites seal their own cookies with; 32 octets.
const cookieSecret = "a site's own secret of 32 octets"

var clients = []client{
	{
		name: "next-auth4", command: nextAuth,
		env: func(c *computer) []string {
			return []string{
				"OIDC_WELL_KNOWN=" + c.issuer + "/.well-known/openid-configuration",
				"AUTH_TRUST_HOST=1", "NEXTAUTH_SECRET=" + cookieSecret,
			}
		},
		login: "/api/auth/signin", press: signIn,
		callback: "/api/auth/callback/provider", lands: "/", shows: lab.FullName,
	},
	{
		name: "authjs5", command: nodeServer("authjs5"),
		env: func(c *computer) []string {
			return []string{"OIDC_ISSUER=" + c.issuer, "AUTH_SECRET=" + cookieSecret}
		},
		login: "/auth/signin", press: signIn,
		callback: "/auth/callback/provider", lands: "/", shows: lab.FullName,
	},
	{
		name: "nextjs-auth0-4", command: nodeServer("nextjs-auth0-4"),
		env: func(c *computer) []string {
			return []string{"OIDC_ISSUER=" + c.issuer, "AUTH0_SECRET=" + cookieSecret, "NODE_ENV=production"}
		},
		login:    "/auth/login?returnTo=/dashboard",
		callback: "/auth/callback", lands: "/dashboard", shows: lab.FullName,
	},
	{
		name: "openid-client6", command: nodeServer("openid-client6"),
		env:      func(c *computer) []string { return []string{"OIDC_ISSUER=" + c.issuer} },
		login:    "/login",
		callback: "/api/auth/callback", lands: "/api/auth/callback", shows: lab.FullName,
	},
	{
		name: "go-oidc", command: goOIDC,
		env:      func(c *computer) []string { return []string{"OIDC_ISSUER=" + c.issuer} },
		login:    "/login",
		callback: "/api/auth/callback", lands: "/", shows: lab.FullName,
	},
	{
		name: "oauth2-proxy", command: oauth2Proxy,
		env: func(c *computer) []string {
			return []string{
				"OAUTH2_PROXY_OIDC_ISSUER_URL=" + c.issuer, "OAUTH2_PROXY_COOKIE_SECRET=" + cookieSecret,
				"OAUTH2_PROXY_CLIENT_ID=" + transparentClient, "OAUTH2_PROXY_CLIENT_SECRET=" + c.secret,
			}
		},
		login:    "/",
		callback: "/oauth2/callback", lands: "/", person: "/oauth2/userinfo", shows: "ada@example.com",
	},
}

// TestRealClientsLogInForEveryTenantByOneRegisteredRedirectURI runs unchanged
// libraries, each serving two tenants, before a provider that knows one redirect
// URI. The door's configuration is the one that examples/ has for people.
func TestRealClientsLogInForEveryTenantByOneRegisteredRedirectURI(t *testing.T) {
	t.Run("the provider inside", func(t *testing.T) {
		c := newComputer(t, 8080)
		c.serveInside(t)
		for _, client := range clients {
			t.Run(client.name, func(t *testing.T) { c.try(t, client) })
		}
	})
	t.Run("Keycloak", func(t *testing.T) {
		w := shared(t)
		c := newComputer(t, w.port)
		c.serveKeycloak(t, w)
		for _, client := range clients {
			t.Run(client.name, func(t *testing.T) { c.try(t, client) })
		}
	})
}

// computer is one developer's machine, with a network of its own: the door, the
// site and the browser, and the one line in /etc/hosts that servers need, which
// do not take auth.localhost for this machine as browsers do.
type computer struct {
	net    *lab.Net
	public string
	issuer string
	secret string // of transparentClient
	page   lab.LoginPage
}

func newComputer(t *testing.T, port int) *computer {
	t.Helper()
	return &computer{
		net:    lab.NewNet(t, "computer", map[string]string{"auth.localhost": "127.0.0.1"}),
		public: fmt.Sprintf("http://auth.localhost:%d", port),
	}
}

// config is examples/onedoor.yaml with its parts replaced.
func (c *computer) config(t *testing.T, replace ...string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(lab.Root(), "examples", "onedoor.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for old := range slices.Chunk(replace, 2) {
		if !strings.Contains(string(text), old[0]) {
			t.Fatalf("examples/onedoor.yaml has no %q", old[0])
		}
	}
	return strings.NewReplacer(replace...).Replace(string(text))
}

func (c *computer) door(t *testing.T, config string) {
	t.Helper()
	address := "127.0.0.1" + c.public[strings.LastIndex(c.public, ":"):]
	lab.StartDoor(t, lab.DoorOptions{Net: c.net, Address: address, Origin: c.public, Config: config})
}

// serveInside starts a door with the provider inside, which knows Ada and what
// the app needs registered.
func (c *computer) serveInside(t *testing.T) {
	t.Helper()
	c.secret = clientSecret + ", and a long one"
	dir := lab.TempDir(t, "inside")
	file := filepath.Join(dir, "onedoor.yaml")
	config := c.config(t, "database: onedoor.db", "database: "+dir+"/onedoor.db")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	onedoor(t, lab.Password, "user", "add", "-c", file, "--name", lab.FullName, "--email", "ada@example.com", "--email-verified", "--password-stdin", lab.Username)
	onedoor(t, c.secret, "client", "add", "-c", file, "--app", "atlas", "--secret-stdin")
	if list := onedoor(t, "", "client", "list", "-c", file); strings.Count(list, "http://") != 1 || !strings.Contains(list, c.public+"/onedoor/callback") {
		t.Fatalf("the provider knows more than the door's redirect URI:\n%s", list)
	}
	c.door(t, config)
	c.issuer = c.public
	c.page = lab.LoginPage{Username: "#username", Password: "#password", Button: "button.wide:not(.second)"}
}

// serveKeycloak starts a door before the Keycloak of all tests, where
// transparentClient has one redirect URI.
func (c *computer) serveKeycloak(t *testing.T, w *world) {
	t.Helper()
	upstream := lab.Publish(t, c.net, "127.0.0.1:0", lab.Here, strings.TrimPrefix(w.keycloak.Origin, "http://"))
	c.door(t, c.config(
		t,
		"http://auth.localhost:8080", w.public(),
		"listen: 127.0.0.1:8080", "listen: "+w.address(),
		"{embedded: {}}", fmt.Sprintf("{upstream: http://%s, issuers: [/realms/%s]}", upstream, realm),
		"database: onedoor.db", "database: "+lab.TempDir(t, "db")+"/onedoor.db",
	))
	c.issuer, c.secret, c.page = w.issuer(), clientSecret, lab.KeycloakPage
}

// try runs a site and logs Ada in at two tenants' addresses of it.
func (c *computer) try(t *testing.T, site client) {
	t.Helper()
	cmd := site.command(t, c.net)
	cmd.Env = append(os.Environ(), "HOST=127.0.0.1", fmt.Sprintf("PORT=%d", sitePort),
		"OIDC_CLIENT_ID="+transparentClient, "OIDC_CLIENT_SECRET="+c.secret)
	cmd.Env = append(cmd.Env, site.env(c)...)
	p := lab.Start(t, site.name, cmd)
	address := fmt.Sprintf("127.0.0.1:%d", sitePort)
	p.Await(t, "it listens", func() error {
		conn, err := c.net.DialContext(t.Context(), "tcp", address)
		if err == nil {
			err = conn.Close()
		}
		return err
	})
	for _, tenant := range []string{"acme", "globex"} {
		t.Run(tenant, func(t *testing.T) { c.logIn(t, site, p, tenant) })
	}
	t.Run("an app answers, says the verification", func(t *testing.T) { c.verify(t, site) })
}

func (c *computer) logIn(t *testing.T, site client, p *lab.Process, tenant string) {
	t.Helper()
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("%s said:\n%s", p.Name, p.Tail(40))
		}
	})
	origin := fmt.Sprintf("http://%s.localhost:%d", tenant, sitePort)
	browser := lab.StartBrowser(t, c.net, everywhere)
	browser.Open(origin + site.login)
	if site.press != "" {
		browser.Click(site.press, c.page.Username)
	}
	if got := browser.Origin(); got != c.public {
		t.Errorf("the login page is on %s, want %s", got, c.public)
	}
	browser.LogIn(c.page, "body")
	lab.Await(t, "the browser is where the login ends", func() error {
		at, _, _ := strings.Cut(browser.URL(), "?")
		if at != origin+site.lands {
			return fmt.Errorf("%s\nwant %s%s", browser.Page(), origin, site.lands)
		}
		return nil
	})
	if site.person != "" {
		browser.Open(origin + site.person)
	}
	if text := browser.Text("body"); !strings.Contains(text, site.shows) {
		t.Errorf("the site does not show %q\n%s", site.shows, browser.Page())
	}
	// From the provider to the door's one address, from there to the library's own,
	// and nowhere else.
	route := browser.Route()
	back := slices.IndexFunc(route, func(url string) bool { return strings.HasPrefix(url, c.public+"/onedoor/callback?") })
	if back < 0 || back+1 >= len(route) || !strings.HasPrefix(route[back+1], origin+site.callback+"?") ||
		slices.ContainsFunc(route[back+1:], func(url string) bool { return !strings.HasPrefix(url, origin+"/") }) {
		t.Errorf("the login took another way than by %s/onedoor/callback to %s%s:\n%s", c.public, origin, site.callback, strings.Join(route, "\n"))
	}
}

// onedoor runs the program and returns what it prints.
func onedoor(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	cmd := exec.Command(lab.DoorProgram(t), args...)
	cmd.Stdin = strings.NewReader(stdin + "\n")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("onedoor %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

func nextAuth(t *testing.T, n *lab.Net) *exec.Cmd {
	dir := lab.NodeApp(t, "next-auth4")
	cmd := n.Command("env", "NODE_ENV=production", "NEXT_TELEMETRY_DISABLED=1",
		"node", filepath.Join(dir, "node_modules/next/dist/bin/next"), "start", "-H", "127.0.0.1", "-p", fmt.Sprint(sitePort))
	cmd.Dir = dir
	return cmd
}

func nodeServer(name string) func(*testing.T, *lab.Net) *exec.Cmd {
	return func(t *testing.T, n *lab.Net) *exec.Cmd {
		cmd := n.Command("node", "server.mjs")
		cmd.Dir = lab.NodeApp(t, name)
		return cmd
	}
}

func goOIDC(t *testing.T, n *lab.Net) *exec.Cmd {
	program := filepath.Join(lab.TempDir(t, "go-oidc"), "go-oidc")
	build := exec.Command("go", "build", "-o", program, "./examples/go-oidc")
	build.Dir = lab.Root()
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building examples/go-oidc: %v\n%s", err, out)
	}
	return n.Command(program)
}

func oauth2Proxy(t *testing.T, n *lab.Net) *exec.Cmd {
	program := filepath.Join(lab.CacheDir(), "bin", "oauth2-proxy")
	if _, err := os.Stat(program); err != nil {
		t.Fatalf("oauth2-proxy is not built; run: tools/deps e2e (%v)", err)
	}
	return n.Command(program, "--config", filepath.Join(lab.Root(), "examples", "oauth2-proxy", "oauth2-proxy.cfg"))
}
