//go:build e2e && linux

package e2e

import (
	"context"
	"fmt"
	"html"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"

	"onedoor/e2e/lab"
)

// person is somebody at a browser as plain as one can be: cookies, redirects
// and Keycloak's login form. What stops the walk is for the test to choose.
type person struct {
	t        *testing.T
	username string
	client   *http.Client
}

func newPerson(t *testing.T, username string) *person {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	p := &person{t: t, username: username, client: lab.HTTPClient(dialLocalhost)}
	p.client.Jar = lab.SecureJar{CookieJar: jar}
	return p
}

// dialLocalhost leads all names under localhost to this machine, as browsers do.
func dialLocalhost(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err == nil && (host == "localhost" || strings.HasSuffix(host, ".localhost")) {
		address = net.JoinHostPort("127.0.0.1", port)
	}
	return lab.Here.DialContext(ctx, network, address)
}

// visit is where a walk ended: before an address that was not opened, or at a
// page.
type visit struct {
	at     string
	status int // 0: not opened
	page   string
}

// walk opens an address and goes where it leads, through Keycloak's login form
// too, until it is sent to an address that begins with the text given.
func (p *person) walk(at, until string) visit {
	p.t.Helper()
	request, err := http.NewRequestWithContext(p.t.Context(), http.MethodGet, at, nil)
	for range 20 {
		if err != nil {
			p.t.Fatal(err)
		}
		if strings.HasPrefix(request.URL.String(), until) {
			return visit{at: request.URL.String()}
		}
		v, next := p.open(request)
		form := loginForm.FindStringSubmatch(v.page)
		switch {
		case next != "":
			request, err = http.NewRequestWithContext(p.t.Context(), http.MethodGet, next, nil)
		case form != nil:
			fields := url.Values{"username": {p.username}, "password": {lab.Password}}
			request, err = http.NewRequestWithContext(p.t.Context(), http.MethodPost, html.UnescapeString(form[1]), strings.NewReader(fields.Encode()))
			if err == nil {
				request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			}
		default:
			return v
		}
	}
	p.t.Fatalf("%s leads in a circle", at)
	return visit{}
}

var loginForm = regexp.MustCompile(`<form id="kc-form-login"[^>]* action="([^"]+)"`)

// open makes one request. next is where its answer leads.
func (p *person) open(r *http.Request) (v visit, next string) {
	p.t.Helper()
	r.Header.Set("Accept", "text/html")
	resp, err := p.client.Do(r)
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	if to, err := resp.Location(); err == nil {
		next = to.String()
	}
	return visit{at: r.URL.String(), status: resp.StatusCode, page: string(body)}, next
}

// must walks until an address and fails the test if the walk ends before it.
func (p *person) must(at, until string) string {
	p.t.Helper()
	v := p.walk(at, until)
	if v.status != 0 {
		p.t.Fatalf("the walk to %s ends at %s: %d\n%s", until, v.at, v.status, v.page)
	}
	return v.at
}

// landing is a tenants' site that keeps what reaches it, and shows that
// something did. At /spa it is an app that lives in the browser.
type landing struct {
	port int

	mu   sync.Mutex
	came []arrival
}

type arrival struct {
	method, origin, path string
	params               url.Values
}

func newLanding(t *testing.T, issuer string) *landing {
	t.Helper()
	l := lab.Here.Listen(t, "127.0.0.1:0")
	s := &landing{port: l.Addr().(*net.TCPAddr).Port}
	mux := http.NewServeMux()
	mux.HandleFunc("/", s.land)
	mux.HandleFunc("/favicon.ico", http.NotFound)
	mux.HandleFunc("GET /spa", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintf(w, spaPage, issuer, spaClient)
	})
	lab.Serve(t, l, mux)
	return s
}

func (s *landing) origin(tenant string) string {
	return fmt.Sprintf("http://%s.localhost:%d", tenant, s.port)
}

func (s *landing) land(w http.ResponseWriter, r *http.Request) {
	err := r.ParseForm()
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		s.came = append(s.came, arrival{r.Method, "http://" + r.Host, r.URL.Path, r.Form})
	}
	_, _ = fmt.Fprintf(w, `<!doctype html><p id="landed">%s</p>`, html.EscapeString(r.Host))
}

// last is what came last.
func (s *landing) last(t *testing.T) arrival {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.came) == 0 {
		t.Fatal("nothing has come to the site")
	}
	return s.came[len(s.came)-1]
}

// spaPage is a browser app: PKCE, discovery, token and userinfo requests by
// fetch. The issuer and the client_id go in.
const spaPage = `<!doctype html><body><script type="module">
const issuer = %q, client_id = %q, redirect_uri = location.origin + "/spa";
const text = bytes => btoa(String.fromCharCode(...new Uint8Array(bytes))).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
const random = () => text(crypto.getRandomValues(new Uint8Array(32)));
const show = (id, what) => document.body.append(Object.assign(document.createElement("p"), {id, textContent: what}));
const json = async (...request) => {
	const response = await fetch(...request), answer = await response.json();
	if (!response.ok) throw new Error(response.status + " " + JSON.stringify(answer));
	return answer;
};
try {
	const metadata = await json(issuer + "/.well-known/openid-configuration");
	const response = new URLSearchParams(location.search);
	if (response.size === 0) {
		const verifier = sessionStorage.verifier = random(), state = sessionStorage.state = random();
		const code_challenge = text(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(verifier)));
		location.assign(metadata.authorization_endpoint + "?" + new URLSearchParams({
			response_type: "code", client_id, redirect_uri, scope: "openid profile", state, code_challenge, code_challenge_method: "S256"}));
	} else {
		if (response.get("state") !== sessionStorage.state) throw new Error("the state is another's");
		if (response.get("iss") !== issuer) throw new Error("iss is another's");
		const tokens = await json(metadata.token_endpoint, {method: "POST", body: new URLSearchParams({
			grant_type: "authorization_code", client_id, redirect_uri, code: response.get("code"), code_verifier: sessionStorage.verifier})});
		const person = await json(metadata.userinfo_endpoint, {headers: {Authorization: "Bearer " + tokens.access_token}});
		show("person", person.name);
	}
} catch (error) {
	show("error", error);
}
</script>`
