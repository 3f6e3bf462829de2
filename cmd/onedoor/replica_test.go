package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"onedoor/config"
	"onedoor/seal"
	"onedoor/store"
)

// idp is a provider before which doors of a test stand. It logs everybody in at
// once, and redeems a code with the verifier of its challenge alone.
type idp struct {
	*httptest.Server
	mu    sync.Mutex
	codes map[string]string // to their challenges
	hold  func(r *http.Request)
}

const idpIssuer = "http://auth.localhost/r"

func newIDP(t *testing.T) *idp {
	p := &idp{codes: map[string]string{}}
	p.Server = httptest.NewServer(http.HandlerFunc(p.serve))
	t.Cleanup(p.Close)
	return p
}

func (p *idp) serve(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	hold := p.hold
	p.mu.Unlock()
	if hold != nil {
		hold(r)
	}
	switch {
	case strings.HasSuffix(r.URL.Path, "/openid-configuration"):
		fmt.Fprintf(w, `{"issuer":%q,"authorization_endpoint":"%[2]s/auth","token_endpoint":"%[2]s/token","end_session_endpoint":"%[2]s/logout","code_challenge_methods_supported":["S256"]}`, idpIssuer, idpIssuer)
	case strings.HasSuffix(r.URL.Path, "/auth"):
		code := rand.Text()
		p.mu.Lock()
		p.codes[code] = r.FormValue("code_challenge")
		p.mu.Unlock()
		http.Redirect(w, r, r.FormValue("redirect_uri")+"?"+url.Values{"code": {code}, "state": {r.FormValue("state")}}.Encode(), http.StatusSeeOther)
	case strings.HasSuffix(r.URL.Path, "/token"):
		p.mu.Lock()
		challenge := p.codes[r.FormValue("code")]
		p.mu.Unlock()
		if challenge == "" || seal.Challenge(r.FormValue("code_verifier")) != challenge {
			http.Error(w, `{"error":"invalid_grant"}`, http.StatusBadRequest)
			return
		}
		io.WriteString(w, `{"access_token":"at","token_type":"Bearer"}`)
	default:
		http.NotFound(w, r)
	}
}

// holding makes the provider call f before it answers.
func (p *idp) holding(f func(r *http.Request)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hold = f
}

// yaml is a configuration for a door before the provider, and more.
func (p *idp) yaml(more string) string {
	return fmt.Sprintf(`public_url: http://auth.localhost
listen: 127.0.0.1:0
provider: {upstream: %q, issuers: [/r]}
apps: {atlas: {client_id: atlas, site: "http://{tenant}.localhost", callbacks: [/cb], logouts: [/]}}
tenants: {list: [acme, globex]}
%s
`, p.URL, more)
}

// replica is a door of a test, on a socket of its own.
type replica struct {
	*door
	t      *testing.T
	addr   string
	log    *output
	hangup chan os.Signal
	tries  atomic.Int64 // of a reload
	stop   func()
}

const testPoll = 10 * time.Millisecond

// startReplica runs a door with the configuration file, which may share its
// database with others. now is its clock.
func startReplica(t *testing.T, file string, now func() time.Time) *replica {
	t.Helper()
	return startLooking(t, file, now, testPoll)
}

// startLooking is startReplica with the time between two looks at the file.
func startLooking(t *testing.T, file string, now func() time.Time, every time.Duration) *replica {
	t.Helper()
	cfg := parse(t, file)
	db, err := openStore(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	r := &replica{t: t, log: &output{}, hangup: make(chan os.Signal)}
	if r.door, err = newDoor(t.Context(), cfg, db, slog.New(slog.NewTextHandler(r.log, nil)), doorOptions{now: now}); err != nil {
		t.Fatal(err)
	}
	r.onReload(func(error) { r.tries.Add(1) })
	r.background(r.follow(file, r.hangup, every))
	socket, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r.addr = socket.Addr().String()
	if err := r.add(0, socket); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.run(ctx) }()
	r.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if err := r.close(); err != nil {
			t.Error(err)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(r.stop)
	until(t, "a replica to be ready", func() bool {
		resp := r.ask(http.MethodGet, "/onedoor/health/ready", nil, nil)
		return resp.status == http.StatusOK
	})
	return r
}

// write makes a configuration file in a folder of its own.
func write(t *testing.T, yaml string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "onedoor.yaml")
	if err := os.WriteFile(file, []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// rewrite makes another configuration file in the folder of the first, and so
// with the same database.
func rewrite(t *testing.T, file, yaml string) string {
	t.Helper()
	other, err := os.CreateTemp(filepath.Dir(file), "onedoor-*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.WriteString(yaml); err != nil {
		t.Fatal(err)
	}
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	return other.Name()
}

func parse(t *testing.T, file string) *config.Config {
	t.Helper()
	cfg, err := config.Load(file, os.LookupEnv)
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// answer is what a replica said.
type answer struct {
	status   int
	location *url.URL
	body     string
	cookies  []*http.Cookie
}

// ask sends one request on a connection of its own.
func (r *replica) ask(method, target string, form url.Values, cookies []*http.Cookie) answer {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), method, "http://"+r.addr+target, strings.NewReader(form.Encode()))
	if err != nil {
		r.t.Fatal(err)
	}
	req.Host = "auth.localhost"
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.SetBasicAuth("atlas", "secret")
	} else {
		req.Body, req.ContentLength = nil, 0
	}
	for _, c := range cookies {
		req.AddCookie(c)
	}
	resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	location, _ := resp.Location()
	return answer{resp.StatusCode, location, string(body), resp.Cookies()}
}

// login is one that is on its way, from one replica to another.
type login struct {
	t       *testing.T
	state   string
	cookies []*http.Cookie
	next    *url.URL // where the browser goes
}

// begin sends the authorization request to a replica, which takes it to the
// provider; the provider sends the browser back.
func (r *replica) begin(state string) *login {
	r.t.Helper()
	a := r.ask(http.MethodGet, "/r/auth?"+url.Values{
		"response_type": {"code"}, "client_id": {"atlas"}, "redirect_uri": {"http://acme.localhost/cb"}, "state": {state},
	}.Encode(), nil, nil)
	if a.location == nil || a.location.Path != "/onedoor/callback" {
		r.t.Fatalf("the authorization request: %d %v %s\n%s", a.status, a.location, a.body, r.log)
	}
	return &login{r.t, state, a.cookies, a.location}
}

// callback brings the provider's answer to a replica.
func (l *login) callback(r *replica) answer {
	l.t.Helper()
	a := r.ask(http.MethodGet, l.next.RequestURI(), nil, l.cookies)
	if a.location != nil {
		l.next = a.location
	}
	return a
}

// token redeems the code at a replica.
func (l *login) token(r *replica) answer {
	l.t.Helper()
	return r.ask(http.MethodPost, "/r/token", url.Values{
		"grant_type": {"authorization_code"}, "code": {l.next.Query().Get("code")}, "redirect_uri": {"http://acme.localhost/cb"},
	}, nil)
}

// finish goes to the end of a login: the callback at one replica, the token
// request at another.
func (l *login) finish(callback, token *replica) {
	l.t.Helper()
	if a := l.callback(callback); a.location == nil || a.location.Host != "acme.localhost" || a.location.Query().Get("state") != l.state {
		l.t.Errorf("the callback: %d %v %s\n%s", a.status, a.location, a.body, callback.log)
		return
	}
	if a := l.token(token); a.status != http.StatusOK || !strings.Contains(a.body, "access_token") {
		l.t.Errorf("the token request: %d %s\n%s", a.status, a.body, token.log)
	}
}

// command runs one command of the command line.
func command(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	out, errs := &output{}, &output{}
	code = run(t.Context(), args, strings.NewReader(""), out, errs)
	return code, out.String(), errs.String()
}

// open opens the database of a configuration file, as another process would.
func open(t *testing.T, file string) *store.DB {
	t.Helper()
	db, err := openStore(t.Context(), parse(t, file))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

var discard = slog.New(slog.DiscardHandler)
