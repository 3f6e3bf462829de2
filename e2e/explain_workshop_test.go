//go:build e2e && linux

package e2e

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"

	"onedoor/e2e/lab"
)

// workshop is a container's network, and another one with what it wants to
// reach.
type workshop struct {
	app, outside *lab.Net
	keys         *bentKeys
	pki          *pki
	provoked     *provocations
}

const (
	lost     = "198.51.100.9" // packets to it get lost
	tlsPort  = 9443           // a server for each of the names of pki
	itself   = "http://auth.example.com:8080"
	nobody   = "http://nobody.example.com"
	noDaemon = "http://server:9999"
)

func newWorkshop(t *testing.T, provoked *provocations) *workshop {
	t.Helper()
	hosts := map[string]string{"server": internalDoor, "auth.example.com": "127.0.0.1", "lost.example.com": lost, "far.example.com": "203.0.113.7", "gone.example.com": "198.51.100.77"}
	pki := newPKI(t)
	for name := range pki.certificates {
		hosts[name] = internalDoor
	}
	w := &workshop{app: lab.NewNet(t, "app", hosts), outside: lab.NewNet(t, "outside", nil), keys: newBentKeys(t), pki: pki, provoked: provoked}
	lab.Connect(t, w.outside, internalDoor, w.app, appEnd)
	w.app.Drop(t, lost, w.outside)
	return w
}

// provider starts a provider of its own, which errs for one site alone.
func (w *workshop) provider(t *testing.T, port int) *bent {
	t.Helper()
	p := &bent{issuer: fmt.Sprintf("http://server:%d/realms/atlas", port), keys: w.keys, nonces: map[string]string{}}
	lab.Serve(t, w.outside.Listen(t, fmt.Sprintf("%s:%d", internalDoor, port)), p)
	return p
}

// overTLS serves something by https, with the certificate that a name has.
func (w *workshop) overTLS(t *testing.T, handler http.Handler) {
	t.Helper()
	l := w.outside.Listen(t, fmt.Sprintf("%s:%d", internalDoor, tlsPort))
	lab.Serve(t, tls.NewListener(l, &tls.Config{GetCertificate: w.pki.certificate}), handler)
}

// dial is how a person at a browser reaches both networks.
func (w *workshop) dial(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	if host == "server" {
		return w.app.DialContext(ctx, network, net.JoinHostPort(internalDoor, port))
	}
	return w.app.DialContext(ctx, network, net.JoinHostPort("127.0.0.1", port))
}

// shop is a site of examples/ in the container.
type shop struct {
	client
	*workshop
	process  *lab.Process
	provider *bent
	origin   string
}

// open starts a site at a port, whose provider is at an issuer.
func (w *workshop) open(t *testing.T, site client, port int, issuer string, more ...string) *shop {
	t.Helper()
	cmd := site.command(t, w.app)
	if site.name == "oauth2-proxy" {
		cmd.Args = append(cmd.Args, fmt.Sprintf("--http-address=127.0.0.1:%d", port))
	}
	if site.name == "next-auth4" {
		cmd.Args[len(cmd.Args)-1] = fmt.Sprint(port)
	}
	cmd.Env = append(os.Environ(), "HOST=127.0.0.1", fmt.Sprintf("PORT=%d", port), "OIDC_CLIENT_ID="+transparentClient, "OIDC_CLIENT_SECRET="+clientSecret,
		"NODE_EXTRA_CA_CERTS="+w.pki.file, "SSL_CERT_FILE="+w.pki.file)
	cmd.Env = append(append(cmd.Env, site.env(&computer{issuer: issuer, secret: clientSecret})...), more...)
	s := &shop{client: site, workshop: w, process: lab.Start(t, site.name, cmd), origin: fmt.Sprintf("http://acme.localhost:%d", port)}
	s.process.Await(t, "it listens", func() error {
		conn, err := w.app.DialContext(t.Context(), "tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			err = conn.Close()
		}
		return err
	})
	return s
}

// prints lets somebody visit the site, and expects that explain knows by id what
// the site prints meanwhile.
func (s *shop) prints(t *testing.T, id string, m mistake, visit func(*visitor)) {
	t.Helper()
	if s.provider != nil {
		s.provider.errs(m)
	}
	before := len(s.process.Output())
	visit(s.visitor(t))
	s.provoked.awaitKnown(t, id, func() string { return string(s.process.Output()[before:]) })
}

// shows expects the same of what the visitor sees.
func (s *shop) shows(t *testing.T, id string, m mistake, visit func(*visitor)) {
	t.Helper()
	s.provider.errs(m)
	v := s.visitor(t)
	visit(v)
	s.provoked.knows(t, id, v.seen.String())
}

// visitor is somebody at a browser as plain as one can be, who notes what it
// shows: addresses, statuses and pages.
type visitor struct {
	t      *testing.T
	site   *shop
	client *http.Client
	seen   strings.Builder
}

func (s *shop) visitor(t *testing.T) *visitor {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	v := &visitor{t: t, site: s, client: lab.HTTPClient(s.dial)}
	v.client.Jar = lab.SecureJar{CookieJar: jar}
	return v
}

// ask makes one request and returns the page and where it leads.
func (v *visitor) ask(method, at string, form url.Values, headers ...string) (page, next string) {
	v.t.Helper()
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	r, err := http.NewRequestWithContext(v.t.Context(), method, at, body)
	if err != nil {
		v.t.Fatal(err)
	}
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for header := range slices.Chunk(headers, 2) {
		r.Header.Set(header[0], header[1])
	}
	resp, err := v.client.Do(r)
	if err != nil {
		v.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		v.t.Fatal(err)
	}
	if to, err := resp.Location(); err == nil {
		next = to.String()
	}
	fmt.Fprintf(&v.seen, "%s %s\n%s\n%s\n%s\n", resp.Proto, resp.Status, next, resp.Header.Get("WWW-Authenticate"), text)
	return string(text), next
}

// begin presses the login button and returns where the site sends the browser.
func (v *visitor) begin() string {
	v.t.Helper()
	base := strings.TrimSuffix(v.site.login, "/signin")
	if v.site.press == "" {
		_, next := v.ask(http.MethodGet, v.site.origin+v.site.login, nil)
		return next
	}
	page, _ := v.ask(http.MethodGet, v.site.origin+base+"/csrf", nil)
	var token struct {
		CSRFToken string `json:"csrfToken"`
	}
	if err := json.Unmarshal([]byte(page), &token); err != nil {
		v.t.Fatalf("%v: %s", err, page)
	}
	_, next := v.ask(http.MethodPost, v.site.origin+v.site.login+"/provider", url.Values{"csrfToken": {token.CSRFToken}, "callbackUrl": {v.site.origin + "/"}})
	return next
}

// logIn begins a login and follows where it leads.
func logIn(v *visitor) { v.follow(v.begin()) }

func (v *visitor) follow(at string) {
	v.t.Helper()
	for range 8 {
		if at == "" {
			return
		}
		_, at = v.ask(http.MethodGet, at, nil)
	}
}

// arrive comes to the callback without having begun.
func arrive(query string) func(*visitor) {
	return func(v *visitor) {
		v.follow(v.site.origin + v.site.callback + "?code=abc&iss=" + url.QueryEscape(v.site.provider.issuer) + query)
	}
}
