package gateway

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"onedoor/horizon"
	"onedoor/tenant"
	"onedoor/upstream"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// door is a running door before a fake provider, on real sockets.
type door struct {
	t        testing.TB
	gateway  *Gateway
	provider *upstream.Provider
	server   *http.Server
	addr     string
	tls      bool
	log      *logBuffer
	peers    *peerListener
	all      *Connections
}

// setup says what a test's door is like. Zero values are sensible.
type setup struct {
	listener  horizon.Listener
	upstream  http.Handler
	issuers   []string
	kind      upstream.Kind
	exposed   []string
	directory *tenant.Directory
	unready   bool // do not wait for the metadata
	options   func(*upstream.Options)
	gateway   func(*Options)

	connections int // at one time; 0 for very many
}

const testOrigin = "https://auth.example.com"

func openDoor(t testing.TB, s setup) *door {
	t.Helper()
	if len(s.listener.Public) == 0 {
		s.listener.Public = []string{testOrigin}
	}
	if s.issuers == nil {
		s.issuers = []string{"/realms/atlas"}
	}
	if s.directory == nil {
		s.directory = &tenant.Directory{Registry: tenant.List(nil)}
	}
	up := httptest.NewServer(s.upstream)
	t.Cleanup(up.Close)
	base, _ := url.Parse(up.URL)
	d := &door{t: t, log: &logBuffer{}, tls: s.listener.TLS}
	log := slog.New(slog.NewJSONHandler(d.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	o := upstream.Options{URL: base, PublicOrigin: s.listener.Public[0], Issuers: s.issuers, Kind: s.kind, Log: log, Retry: 5 * time.Millisecond}
	if s.options != nil {
		s.options(&o)
	}
	var err error
	if d.provider, err = upstream.New(o); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ran := make(chan struct{})
	go func() {
		defer close(ran)
		_ = d.provider.Run(ctx)
	}()
	g := Options{PublicOrigin: s.listener.Public[0], Directory: s.directory, Provider: d.provider, Exposed: s.exposed, Log: log}
	if s.gateway != nil {
		s.gateway(&g)
	}
	d.gateway = New(g)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d.addr = ln.Addr().String()
	d.peers = &peerListener{Listener: ln}
	d.server = NewServer(d.gateway.Handler(&s.listener), log, g.Limits)
	if s.connections == 0 {
		s.connections = 1 << 20
	}
	d.all = NewConnections(s.connections, g.Limits)
	socket := d.all.Bound(d.server, d.peers)
	served := make(chan error, 1)
	go func() {
		if s.listener.TLS {
			d.server.TLSConfig = &tls.Config{Certificates: []tls.Certificate{certificate(t)}}
			served <- d.server.ServeTLS(socket, "", "")
		} else {
			served <- d.server.Serve(socket)
		}
	}()
	t.Cleanup(func() {
		_ = d.server.Close()
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
		cancel()
		<-ran
	})
	if !s.unready {
		until(t, "the provider's metadata", func() bool { return d.provider.Ready() == nil })
	}
	return d
}

// certificate is httptest's own.
func certificate(t testing.TB) tls.Certificate {
	t.Helper()
	s := httptest.NewUnstartedServer(nil)
	s.StartTLS()
	defer s.Close()
	return s.TLS.Certificates[0]
}

// until waits for a condition; it looks again whenever others had a turn.
func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	late := time.After(20 * time.Second)
	for !ok() {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// dial opens a connection to the door that seems to come from peer ("" for the
// real address).
func (d *door) dial(peer string) net.Conn {
	d.t.Helper()
	d.peers.set(peer)
	c, err := net.Dial("tcp", d.addr)
	if err != nil {
		d.t.Fatal(err)
	}
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	if d.tls {
		c = tls.Client(c, &tls.Config{InsecureSkipVerify: true, ServerName: "auth.example.com"}) //nolint:gosec // httptest's certificate
	}
	return c
}

// raw sends octets as they are and reads one answer.
func (d *door) raw(peer, method string, octets []byte) answer {
	d.t.Helper()
	c := d.dial(peer)
	defer c.Close()
	if _, err := c.Write(octets); err != nil {
		d.t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: method})
	if err != nil {
		d.t.Fatalf("no answer to %q: %v", octets, err)
	}
	return read(d.t, resp)
}

// get asks by GET with a Host and header lines ("Name: value").
func (d *door) get(host, target string, lines ...string) answer {
	d.t.Helper()
	return d.send(http.MethodGet, host, target, lines...)
}

func (d *door) send(method, host, target string, lines ...string) answer {
	d.t.Helper()
	req := method + " " + target + " HTTP/1.1\r\nHost: " + host + "\r\nConnection: close\r\n"
	for _, l := range lines {
		req += l + "\r\n"
	}
	return d.raw("", method, []byte(req+"\r\n"))
}

type answer struct {
	status int
	header http.Header
	body   string
}

func read(t testing.TB, resp *http.Response) answer {
	t.Helper()
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, string(b)}
}

// peerListener gives the next connection another address, as a proxy protocol
// would.
type peerListener struct {
	net.Listener
	mu   sync.Mutex
	peer string
}

func (l *peerListener) set(peer string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.peer = peer
}

func (l *peerListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.peer == "" {
		return c, nil
	}
	return peerConn{c, l.peer}, nil
}

type peerConn struct {
	net.Conn
	peer string
}

func (c peerConn) RemoteAddr() net.Addr {
	return &net.TCPAddr{IP: net.ParseIP(c.peer), Port: 40000}
}

// logBuffer is a log that a test can read.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// fakeProvider has the metadata of an issuer, which follows the request's Host
// and X-Forwarded-Proto as authentik's does, and echoes everything else.
func fakeProvider(issuer string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.RequestURI != upstream.ConfigurationPath(issuer) && r.RequestURI != upstream.OAuthPaths(issuer)[0] {
			echo(w, r)
			return
		}
		origin := r.Header.Get("X-Forwarded-Proto") + "://" + r.Host
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, strings.NewReplacer("ORIGIN", origin, "ISSUER", origin+issuer, "BASE", origin+strings.TrimSuffix(issuer, "/")).Replace(sampleDocument))
	})
}

// sampleDocument has something of everything.
const sampleDocument = `{"issuer":"ISSUER","authorization_endpoint":"BASE/protocol/openid-connect/auth","token_endpoint":"BASE/protocol/openid-connect/token",` +
	`"pushed_authorization_request_endpoint":"BASE/par","end_session_endpoint":"BASE/logout","userinfo_endpoint":"BASE/userinfo","jwks_uri":"BASE/certs",` +
	`"registration_endpoint":"BASE/register","introspection_endpoint":"BASE/introspect","revocation_endpoint":"BASE/revoke","device_authorization_endpoint":"BASE/device",` +
	`"backchannel_authentication_endpoint":"BASE/ciba","check_session_iframe":"BASE/iframe","mtls_endpoint_aliases":{"token_endpoint":"https://mtls.example.com/t"},` +
	`"response_types_supported":["code","code id_token","none"],"response_modes_supported":["query","fragment","form_post","query.jwt"],"request_parameter_supported":true,` +
	`"request_object_signing_alg_values_supported":["RS256"],"x_number":1.0e+02,"x_elsewhere_endpoint":"ORIGIN.other/x","op_policy_uri":"ORIGIN/policy"}`

// echo answers with the request as it arrived.
func echo(w http.ResponseWriter, r *http.Request) {
	if strings.Contains(r.URL.Path, "/.well-known/o") || strings.HasPrefix(r.URL.Path, "/tenants") || strings.HasPrefix(r.URL.Path, "/Tenants") || strings.HasPrefix(r.URL.Path, "/x") {
		http.Error(w, "no such page", http.StatusNotFound)
		return
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s %s\nHost: %s\n", r.Method, r.RequestURI, r.Proto, r.Host)
	_ = r.Header.Write(&b)
	b.WriteString("\n")
	_, _ = io.Copy(&b, r.Body)
	_, _ = w.Write(b.Bytes())
}
