package main

import (
	"bytes"
	"context"
	"encoding/json"
	"html"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// browser does what a browser does: it resolves *.localhost to this machine,
// follows redirects, and keeps cookies for each host. Secure ones too: unlike
// Go's jar, browsers trust http://*.localhost.
type browser struct {
	t      *testing.T
	client *http.Client
	mu     sync.Mutex
	jar    map[string]map[string]string // host, name
	seen   []string                     // every URL that was opened
}

func newBrowser(t *testing.T) *browser {
	b := &browser{t: t, jar: map[string]map[string]string{}}
	transport := &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		host, port, err := net.SplitHostPort(address)
		if err != nil || host != "localhost" && !strings.HasSuffix(host, ".localhost") {
			return nil, &net.DNSError{Err: "no such host", Name: address, IsNotFound: true}
		}
		return new(net.Dialer).DialContext(ctx, network, net.JoinHostPort("127.0.0.1", port))
	}}
	t.Cleanup(transport.CloseIdleConnections)
	b.client = &http.Client{
		Transport: transport, Timeout: 20 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return b
}

// shown is a page: where the browser ended, and what it shows.
type shown struct {
	url    string
	status int
	body   string
}

func (b *browser) open(target string) shown { return b.do("GET", target, nil) }

func (b *browser) do(method, target string, form url.Values) shown {
	b.t.Helper()
	for range 20 {
		p, next := b.once(method, target, form)
		if next == "" {
			return p
		}
		method, target, form = "GET", next, nil
	}
	b.t.Fatalf("%s redirects for ever", target)
	return shown{}
}

func (b *browser) once(method, target string, form url.Values) (p shown, next string) {
	b.t.Helper()
	req, err := http.NewRequest(method, target, strings.NewReader(form.Encode()))
	if err != nil {
		b.t.Fatal(err)
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	req.Header.Set("Accept", "text/html")
	host := req.URL.Hostname()
	b.mu.Lock()
	b.seen = append(b.seen, target)
	for _, name := range slices.Sorted(maps.Keys(b.jar[host])) {
		req.AddCookie(&http.Cookie{Name: name, Value: b.jar[host][name]})
	}
	b.mu.Unlock()
	resp, err := b.client.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range resp.Cookies() {
		if b.jar[host] == nil {
			b.jar[host] = map[string]string{}
		}
		if b.jar[host][c.Name] = c.Value; c.MaxAge < 0 {
			delete(b.jar[host], c.Name)
		}
	}
	if to, err := resp.Location(); err == nil && resp.StatusCode/100 == 3 {
		next = to.String()
	}
	text := html.UnescapeString(string(body))
	return shown{target, resp.StatusCode, text[max(0, strings.Index(text, "<main")):]}, next
}

func (b *browser) logIn(at string, user shownLogin) shown {
	b.t.Helper()
	p := b.open(at + "/login")
	if !strings.Contains(p.body, `name="password"`) {
		b.t.Fatalf("%s: no login page at %s: %d %s", at, p.url, p.status, p.body)
	}
	return b.do("POST", p.url, url.Values{"username": {user.Username}, "password": {user.Password}})
}

// noLeaks looks for goroutines when all else is cleaned up.
func noLeaks(t *testing.T) {
	current := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, current) })
}

func begin(t *testing.T, dir string, keep bool) *runningDemo {
	t.Helper()
	d, err := startDemo(t.Context(), demoOptions{port: 0, dir: dir, keep: keep, log: t.Output(), step: func(string) {}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.stop(); err != nil {
			t.Error(err)
		}
	})
	return d
}

// hops reads the way of a login from a page: channel, who called whom, status.
func hops(p shown) (list []string) {
	p.body, _, _ = strings.Cut(p.body, "How the server knew")
	for _, m := range regexp.MustCompile(`<li class="(\w+)">\s*<p class="hop"><span[^>]*>[^<]*</span> <b>([^<]*)</b>(?: <span class="tag">(\d+)</span>)?</p>\s*<pre>(\w+) [a-z]+://([^<\s]*)`).FindAllStringSubmatch(p.body, -1) {
		list = append(list, m[1]+": "+m[2]+" "+m[3]+" "+m[4]+" "+regexp.MustCompile(`:\d+|/[^/…]{6}…`).ReplaceAllString(m[5], ""))
	}
	return list
}

func TestTheDemoLogsInAtAllThreeSites(t *testing.T) {
	noLeaks(t)
	d := begin(t, t.TempDir(), false)
	for _, site := range d.shown.Sites {
		t.Run(site.Tenant, func(t *testing.T) {
			b := newBrowser(t) // a new person's each time: no session at the provider
			p := b.logIn(site.URL, d.shown.User)
			for _, want := range []string{"Welcome, Ada Lovelace", "ada@example.com", d.shown.Public, "The way your login took"} {
				if !strings.Contains(p.body, want) {
					t.Fatalf("%s %d lacks %q: %s", p.url, p.status, want, p.body)
				}
			}
			if !strings.HasPrefix(p.url, site.URL+"/welcome?login=") {
				t.Errorf("ended at %s", p.url)
			}
			got := strings.Join(hops(p), "\n")
			if want := strings.ReplaceAll(ways[site.Mode], "SITE", site.Tenant+".localhost"); got != want {
				t.Errorf("the way was\n%s\nwant\n%s", got, want)
			}
			for _, want := range []string{"token_endpoint</code></dt><dd><code>http://onedoor:9000/", "authorization_endpoint</code></dt><dd><code>" + d.shown.Public + "/", "GET http://onedoor:9000/.well-known/openid-configuration"} {
				if !strings.Contains(p.body, want) {
					t.Errorf("the page does not tell what the server learnt: %q", want)
				}
			}
			b.noSecrets(p, d.shown.User.Password)
			b.logOut(site)
		})
	}
	if got := d.network.Dialled(); !slices.Equal(got, []string{"onedoor:9000"}) {
		t.Errorf("the sites' servers dialled %v, want the internal origin only", got)
	}
}

// ways are the hops of a login.
var ways = map[string]string{
	"transparent": `front: browser → SITE 303 GET SITE/login
front: browser → door 303 GET auth.localhost/authorize
front: browser → door 200 GET auth.localhost/authorize
front: browser → door 303 POST auth.localhost/authorize
front: browser → door 303 GET auth.localhost/onedoor/callback
front: browser → SITE 303 GET SITE/callback
back: Atlas’s server → door 200 POST onedoor/token
front: browser → SITE  GET SITE/welcome`,
	"relay": `front: browser → SITE 303 GET SITE/login
front: browser → door 303 GET auth.localhost/authorize
front: browser → door 200 GET auth.localhost/authorize
front: browser → door 303 POST auth.localhost/authorize
front: browser → door 302 GET auth.localhost/tenants/initech/callback
front: browser → SITE 303 GET SITE/callback
back: Borealis’s server → door 200 POST onedoor/token
front: browser → door 302 GET auth.localhost/tenants/initech/returnto/welcome
front: browser → SITE  GET SITE/welcome`,
}

// noSecrets looks for what a page must not show: any value that the browser saw
// in a URL and that is a secret.
func (b *browser) noSecrets(p shown, password string) {
	b.t.Helper()
	secrets := []string{password}
	for _, seen := range b.seen {
		u, _ := url.Parse(seen)
		for _, name := range []string{"code", "state", "nonce", "code_challenge", "id_token_hint"} {
			secrets = append(secrets, u.Query().Get(name))
		}
	}
	for _, s := range secrets {
		if s != "" && strings.Contains(p.body, s) {
			b.t.Errorf("%s shows a secret: %s", p.url, s)
		}
	}
	if len(secrets) < 8 {
		b.t.Errorf("%d secrets were looked for", len(secrets))
	}
}

func (b *browser) logOut(site shownSite) {
	b.t.Helper()
	p := b.do("POST", site.URL+"/logout", url.Values{})
	if !strings.HasPrefix(p.url, site.URL+"/") || !strings.Contains(p.body, "You are logged out") || !strings.Contains(p.body, "The way your logout took") {
		b.t.Fatalf("logout ended at %s: %d %s", p.url, p.status, p.body)
	}
	b.noSecrets(p, "")
	if p := b.open(site.URL + "/login"); !strings.Contains(p.body, `name="password"`) {
		b.t.Errorf("after the logout the provider asks for no password: %s", p.url)
	}
}

func TestTwoLoginsOfTheDemoAtOnce(t *testing.T) {
	d := begin(t, t.TempDir(), false)
	for _, site := range d.shown.Sites {
		t.Run(site.Tenant, func(t *testing.T) {
			b := newBrowser(t)
			// Two tabs of one browser: both at the password before either goes on.
			first, second := b.open(site.URL+"/login"), b.open(site.URL+"/login")
			form := url.Values{"username": {d.shown.User.Username}, "password": {d.shown.User.Password}}
			pages := make([]shown, 2)
			var tabs sync.WaitGroup
			for i, tab := range []shown{first, second} {
				tabs.Go(func() { pages[i] = b.do("POST", tab.url, form) })
			}
			tabs.Wait()
			if pages[0].url == pages[1].url {
				t.Fatalf("both ended at %s", pages[0].url)
			}
			want := strings.ReplaceAll(ways[site.Mode], "SITE", site.Tenant+".localhost")
			for i, p := range pages {
				if got := strings.Join(hops(p), "\n"); got != want {
					t.Errorf("the way of tab %d was\n%s\nwant\n%s\n%s", i, got, want, p.url)
				}
			}
		})
	}
}

func TestOneLoginIsEnoughForAllSites(t *testing.T) {
	d := begin(t, t.TempDir(), false)
	b := newBrowser(t)
	b.logIn(d.shown.Sites[0].URL, d.shown.User)
	for _, site := range d.shown.Sites[1:] {
		if p := b.open(site.URL + "/login"); !strings.Contains(p.body, "Welcome, Ada Lovelace") {
			t.Errorf("%s: %s %d %s", site.URL, p.url, p.status, p.body)
		}
	}
	// A session of one tenant is none of another's, though one server has both.
	acme, globex := "acme.localhost", "globex.localhost"
	b.jar[globex] = b.jar[acme]
	if p := b.open(d.shown.Sites[1].URL); strings.Contains(p.body, "Welcome") {
		t.Error("acme's session is good at globex")
	}
}

func TestALoginAnsweredInAnotherBrowserIsRefused(t *testing.T) {
	d := begin(t, t.TempDir(), false)
	site := d.shown.Sites[2]
	b := newBrowser(t)
	_, next := b.once("GET", site.URL+"/login", nil)
	state := regexp.MustCompile(`state=(\w+)`).FindStringSubmatch(next)[1]
	for _, query := range []string{"", "?code=x&state=x", "?code=x&state=" + state} {
		p := newBrowser(t).open(site.URL + "/callback" + query)
		if p.status != http.StatusBadRequest || !strings.Contains(p.body, "This login was not begun here") {
			t.Errorf("%q: %d %s", query, p.status, p.body)
		}
	}
}

func TestTheDemoAnswersItsOwnHostsOnly(t *testing.T) {
	d := begin(t, t.TempDir(), false)
	b := newBrowser(t)
	overview := b.open(d.shown.Overview)
	for _, site := range d.shown.Sites {
		if !strings.Contains(overview.body, site.URL) {
			t.Errorf("the overview does not name %s", site.URL)
		}
	}
	if strings.Contains(overview.body, d.shown.User.Password) {
		t.Error("the overview shows the password")
	}
	if p := b.open(strings.Replace(d.shown.Overview, "localhost", "evil.localhost", 1)); p.status != http.StatusMisdirectedRequest {
		t.Errorf("a foreign host: %d", p.status)
	}
	if p := b.open(d.shown.Sites[0].URL + "/nothing"); p.status != http.StatusNotFound {
		t.Errorf("no such page: %d", p.status)
	}
}

func TestTheDemoLeavesNothingBehind(t *testing.T) {
	noLeaks(t)
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	ctx, cancel := context.WithCancel(t.Context())
	var stderr bytes.Buffer
	out, in := io.Pipe()
	code := make(chan int)
	go func() {
		c := run(ctx, []string{"demo", "--port", "0", "--json"}, nil, in, &stderr)
		_ = in.Close()
		code <- c
	}()
	var said shownDemo
	if err := json.NewDecoder(out).Decode(&said); err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = io.Copy(io.Discard, out) }()
	if p := newBrowser(t).open(said.Overview); p.status != http.StatusOK || said.User.Password == "" || len(said.Sites) != 3 {
		t.Errorf("%+v: %d", said, p.status)
	}
	cancel()
	if c := <-code; c != 0 {
		t.Errorf("exit code %d: %s", c, &stderr)
	}
	left, err := os.ReadDir(temp)
	if err != nil || len(left) != 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}

func TestATakenPortSaysWhatToDo(t *testing.T) {
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	for _, address := range []string{"127.0.0.1:0", "[::1]:0"} {
		other, err := net.Listen("tcp", address)
		if err != nil {
			continue // a machine without IPv6
		}
		_, port, _ := net.SplitHostPort(other.Addr().String())
		var stdout, stderr bytes.Buffer
		code := run(t.Context(), []string{"demo", "--port", port}, nil, &stdout, &stderr)
		_ = other.Close()
		if code != 2 || !strings.Contains(stderr.String(), "error: port "+port+" is taken") || !strings.Contains(stderr.String(), "hint: choose another: onedoor demo --port ") {
			t.Errorf("%s: exit code %d: %s", address, code, &stderr)
		}
	}
	if left, _ := os.ReadDir(temp); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestKeepLeavesADatabaseAndAConfigurationToGoOnWith(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "kept")
	for range 2 { // the second time over what the first left
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		d := begin(t, dir, true)
		if p := newBrowser(t).logIn(d.shown.Sites[2].URL, d.shown.User); !strings.Contains(p.body, "Welcome, Ada") {
			t.Errorf("%d %s", p.status, p.body)
		}
		if err := d.stop(); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(dir, "onedoor.yaml")
	var stdout, stderr bytes.Buffer
	if code := run(t.Context(), []string{"check", "-c", file}, nil, &stdout, &stderr); code != 0 {
		t.Errorf("check: %d %s", code, &stderr)
	}
	stdout.Reset()
	if code := run(t.Context(), []string{"user", "list", "-c", file}, nil, &stdout, &stderr); code != 0 || !strings.Contains(stdout.String(), "ada") {
		t.Errorf("user list: %d %s %s", code, &stdout, &stderr)
	}
}

func TestASlowStartIsTold(t *testing.T) {
	var said bytes.Buffer
	term := newTerminal(t.Context(), nil, io.Discard, &said)
	step, ready := term.progress(time.Hour)
	step("opening the ports")
	ready()
	if said.Len() != 0 {
		t.Errorf("a quick start said %q", &said)
	}
	told := make(chan string, 2)
	term.err = writer(func(p []byte) { told <- string(p) })
	step, ready = term.progress(time.Nanosecond)
	if got := <-told; got != "onedoor: starting …\n" {
		t.Errorf("%q", got)
	}
	step("opening the database")
	if got := <-told; got != "onedoor: opening the database …\n" {
		t.Errorf("%q", got)
	}
	ready()
}

type writer func([]byte)

func (f writer) Write(p []byte) (int, error) { f(p); return len(p), nil }

// TestALogoutThatIsConfirmedEndsAtTheSite: without an id_token_hint the provider
// inside asks first, and its form comes through the door as the request did.
func TestALogoutThatIsConfirmedEndsAtTheSite(t *testing.T) {
	d := begin(t, t.TempDir(), false)
	for _, site := range d.shown.Sites {
		if site.Mode == "relay" {
			continue // its logouts are the provider's own
		}
		for _, method := range []string{"GET", "POST"} {
			b := newBrowser(t)
			door, _, _ := strings.Cut(b.open(site.URL+"/login").url, "/authorize")
			b.logIn(site.URL, d.shown.User)
			ask := url.Values{"client_id": {site.ClientID}, "post_logout_redirect_uri": {site.URL + "/"}, "state": {"st"}}
			var asked shown
			if method == "GET" {
				asked = b.do(method, door+"/logout?"+ask.Encode(), nil)
			} else {
				asked = b.do(method, door+"/logout", ask)
			}
			action := regexp.MustCompile(`<form method="post" action="([^"]*)"`).FindStringSubmatch(asked.body)
			if action == nil || !strings.Contains(asked.body, `name="confirm"`) {
				t.Fatalf("%s at %s: %d %s", method, asked.url, asked.status, asked.body)
			}
			form := url.Values{}
			for _, field := range regexp.MustCompile(`name="(\w+)" value="([^"]*)"`).FindAllStringSubmatch(asked.body, -1) {
				form.Set(field[1], field[2])
			}
			if p := b.do("POST", action[1], form); p.url != site.URL+"/?state=st" {
				t.Errorf("%s, confirmed: ended at %s: %d %s", method, p.url, p.status, p.body)
			}
		}
	}
}
