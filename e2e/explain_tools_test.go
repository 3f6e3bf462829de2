//go:build e2e && linux

package e2e

import (
	"context"
	"crypto"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"

	"onedoor/e2e/lab"
)

// provokeTools lets curl, Python and Go's own client ask from a container's
// network.
func provokeTools(t *testing.T, provoked *provocations) {
	w := newWorkshop(t, provoked)
	mux := http.NewServeMux()
	mux.HandleFunc("/hang/", hang)
	mux.HandleFunc("/hangup", hangUp)
	mux.HandleFunc("/again", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/again", http.StatusFound) })
	lab.Serve(t, w.outside.Listen(t, internalDoor+":8080"), mux)
	w.overTLS(t, mux)
	t.Run("curl", func(t *testing.T) { w.curl(t) })
	t.Run("Python", func(t *testing.T) { w.python(t) })
	t.Run("Go", func(t *testing.T) { w.goClient(t) })
}

// run runs a program that must fail, and returns what it prints.
func (w *workshop) run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := w.app.Command(name, args...).CombinedOutput()
	if err == nil {
		t.Errorf("%s %s goes well:\n%s", name, strings.Join(args, " "), out)
	}
	return string(out)
}

func (w *workshop) curl(t *testing.T) {
	for _, a := range []struct {
		id   string
		args []string
	}{
		{"loopback", []string{"http://localhost:8081/"}},
		{"refused", []string{noDaemon}},
		{"no-such-host", []string{nobody}},
		{"timeout", []string{"--connect-timeout", "1", "http://lost.example.com/"}},
		{"closed", []string{"http://server:8080/hangup"}},
		{"redirect-loop", []string{"-L", "--max-redirs", "5", "http://server:8080/again"}},
		{"unknown-ca", []string{"https://self-signed.test:9443/"}},
		{"unknown-ca", []string{"https://private.test:9443/"}},
		{"unknown-ca", []string{"https://chain.test:9443/"}},
		{"other-name", []string{"--cacert", w.pki.file, "https://other-name.test:9443/"}},
		{"expired", []string{"--cacert", w.pki.file, "https://expired.test:9443/"}},
		{"https-to-http", []string{"https://server:8080/"}},
	} {
		w.provoked.knows(t, a.id, w.run(t, "curl", append([]string{"-sS", "-o", "/dev/null"}, a.args...)...))
	}
}

func (w *workshop) python(t *testing.T) {
	// One Python for all: each address' traceback ends with a form feed.
	const open = `
import ssl, sys, traceback, urllib.request
for at in sys.argv[2:]:
    try: urllib.request.urlopen(at, timeout=1, context=ssl.create_default_context(cafile=sys.argv[1]))
    except Exception: traceback.print_exc(file=sys.stdout)
    print("\f")
sys.exit(1)`
	expected := []struct{ id, at string }{
		{"refused-nameless", itself},
		{"no-such-host", nobody},
		{"timeout", "http://lost.example.com/"},
		{"closed", "http://server:8080/hangup"},
		{"unknown-ca", "https://private.test:9443/"},
		{"other-name", "https://other-name.test:9443/"},
		{"expired", "https://expired.test:9443/"},
		{"https-to-http", "https://server:8080/"},
	}
	args := []string{"-c", open, w.pki.file}
	for _, a := range expected {
		args = append(args, a.at)
	}
	said := strings.Split(w.run(t, "python3", args...), "\f")
	for i, a := range expected {
		w.provoked.knows(t, a.id, said[min(i, len(said)-1)])
	}
}

// goClient is go-oidc with time limits, and with keys that are not the
// provider's.
func (w *workshop) goClient(t *testing.T) {
	lost := func(ctx context.Context, network, _ string) (net.Conn, error) {
		ctx, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
		defer cancel()
		return w.app.DialContext(ctx, network, lost+":80")
	}
	server := lab.DialTo(w.app, internalDoor+":8080")
	limit := func(d time.Duration) context.Context {
		ctx, cancel := context.WithTimeout(t.Context(), d)
		t.Cleanup(cancel)
		return ctx
	}
	for _, a := range []struct {
		id     string
		ctx    context.Context
		client *http.Client
		issuer string
	}{
		{"timeout", t.Context(), &http.Client{Transport: &http.Transport{DialContext: lost}}, "http://lost.example.com"},
		{"timeout", limit(500 * time.Millisecond), &http.Client{Transport: &http.Transport{DialContext: server}}, "http://server:8080/hang"},
		{"slow", t.Context(), &http.Client{Timeout: 500 * time.Millisecond, Transport: &http.Transport{DialContext: server}}, "http://server:8080/hang"},
	} {
		_, err := oidc.NewProvider(oidc.ClientContext(a.ctx, a.client), a.issuer)
		if err == nil {
			t.Fatalf("%s: no error", a.issuer)
		}
		w.provoked.knows(t, a.id, err.Error())
	}
	provider := &bent{issuer: "http://server", keys: w.keys, nonces: map[string]string{}}
	token, err := provider.sign(map[string]any{"iss": "http://server", "aud": "app", "exp": time.Now().Add(time.Hour).Unix()}, nil)
	if err != nil {
		t.Fatal(err)
	}
	verifier := oidc.NewVerifier("http://server", &oidc.StaticKeySet{PublicKeys: []crypto.PublicKey{w.keys.other.Public()}}, &oidc.Config{ClientID: "app"})
	if _, err = verifier.Verify(t.Context(), token); err == nil {
		t.Fatal("a token with another key's signature is good")
	}
	w.provoked.knows(t, "keys-other", err.Error())
}

// provokeNginx reads nginx's pages and its error log.
func provokeNginx(t *testing.T, provoked *provocations) {
	behind := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			hang(w, r)
		}
		w.Header().Set("Set-Cookie", "session="+strings.Repeat("x", 8<<10))
	}))
	t.Cleanup(behind.Close)
	dir := lab.TempDir(t, "nginx")
	port, tlsPort, nobody := lab.FreePort(t), lab.FreePort(t), lab.FreePort(t)
	config := func(more string) string {
		file := filepath.Join(dir, fmt.Sprintf("nginx-%d.conf", len(more)))
		text := fmt.Sprintf(`daemon off; worker_processes 1; pid %[1]s/pid; error_log stderr;
events { worker_connections 64; }
http {
	access_log off; client_body_temp_path %[1]s; proxy_temp_path %[1]s; fastcgi_temp_path %[1]s; uwsgi_temp_path %[1]s; scgi_temp_path %[1]s;
	server {
		listen 127.0.0.1:%[2]d; large_client_header_buffers 2 2k; proxy_read_timeout 1s;
		location /down { proxy_pass http://127.0.0.1:%[4]d; }
		location / { proxy_pass %[5]s; }
		%[6]s
	}
	server { listen 127.0.0.1:%[3]d ssl; %[7]s }
}
`, dir, port, tlsPort, nobody, behind.URL, more, selfSigned(t, dir, "auth.example.com"))
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	out, err := exec.Command("nginx", "-t", "-e", "stderr", "-c", config("location /name { proxy_pass http://keycloak.invalid; }")).CombinedOutput()
	if err == nil {
		t.Errorf("nginx knows keycloak.invalid: %s", out)
	}
	provoked.knows(t, "no-such-host", string(out))

	p := lab.Start(t, "nginx", exec.Command("nginx", "-e", "stderr", "-c", config("")))
	address := fmt.Sprintf("127.0.0.1:%d", port)
	p.Await(t, "it listens", func() error {
		conn, err := lab.Here.DialContext(t.Context(), "tcp", address)
		if err == nil {
			err = conn.Close()
		}
		return err
	})
	for _, a := range []struct {
		page, log string
		at        string
		headers   []string
	}{
		{"bad-gateway", "loopback", "http://" + address + "/down", nil},
		{"bad-gateway", "slow", "http://" + address + "/slow", nil},
		{"bad-gateway", "headers-too-big", "http://" + address + "/", nil},
		{"headers-too-big", "", "http://" + address + "/", []string{"Cookie", strings.Repeat("x", 4<<10)}},
		{"headers-too-big", "", "http://" + address + "/" + strings.Repeat("x", 4<<10), nil},
		{"http-to-https", "", fmt.Sprintf("http://127.0.0.1:%d/", tlsPort), nil},
	} {
		before := len(p.Output())
		v := &visitor{t: t, client: lab.HTTPClient(lab.Here.DialContext)}
		v.ask(http.MethodGet, a.at, nil, a.headers...)
		provoked.knows(t, a.page, v.seen.String())
		if a.log != "" {
			provoked.awaitKnown(t, a.log, func() string { return string(p.Output()[before:]) })
		}
	}
}
