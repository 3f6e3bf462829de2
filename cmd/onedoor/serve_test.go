package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"onedoor/gateway/gatewaytest"
)

// running is `onedoor serve` in this process.
type running struct {
	t    *testing.T
	stop context.CancelFunc
	err  *output
	done chan int
}

// output is what a command wrote, which may be read while it runs.
type output = gatewaytest.Log

func startServe(t *testing.T, yaml string) *running {
	t.Helper()
	file := filepath.Join(t.TempDir(), "onedoor.yaml")
	if err := os.WriteFile(file, []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	return startCommand(t, "serve", "-c", file)
}

func startCommand(t *testing.T, args ...string) *running {
	ctx, stop := context.WithCancel(context.Background())
	r := &running{t: t, stop: stop, err: &output{}, done: make(chan int, 1)}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		r.done <- run(ctx, args, strings.NewReader(""), io.Discard, r.err)
	}()
	t.Cleanup(func() { // the next test looks for what is left over
		stop()
		<-ended
	})
	return r
}

func (r *running) exit() int {
	r.t.Helper()
	select {
	case code := <-r.done:
		return code
	case <-time.After(30 * time.Second):
		r.t.Fatalf("serve did not end:\n%s", r.err)
		return -1
	}
}

// until waits for a condition.
var until = gatewaytest.Until

// freePort is one that nobody listens on at this moment.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// fakeProvider has the metadata of an issuer, and h.
func fakeProvider(t *testing.T, issuer string, h http.HandlerFunc) *httptest.Server {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasSuffix(r.URL.Path, "/.well-known/openid-configuration"):
			fmt.Fprintf(w, `{"issuer":%q,"authorization_endpoint":"%[2]s/auth","token_endpoint":"%[2]s/token"}`, issuer, issuer)
		case strings.Contains(r.URL.Path, "/.well-known/"):
			http.NotFound(w, r)
		default:
			h(w, r)
		}
	}))
	t.Cleanup(s.Close)
	return s
}

func ready(client *http.Client, origin string) func() bool {
	return func() bool {
		resp, err := client.Get(origin + "/onedoor/health/ready")
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	}
}

func TestServeFinishesRequestsInFlight(t *testing.T) {
	arrived, answer := make(chan struct{}), make(chan struct{})
	port := freePort(t)
	origin := fmt.Sprintf("http://127.0.0.1:%d", port)
	provider := fakeProvider(t, origin+"/r", func(w http.ResponseWriter, _ *http.Request) {
		close(arrived)
		<-answer
		io.WriteString(w, "finished")
	})
	r := startServe(t, fmt.Sprintf("public_url: %s\nlisten: 127.0.0.1:%d\nprovider: {upstream: %q, issuers: [/r]}\n", origin, port, provider.URL))
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	until(t, "the door to be ready", ready(client, origin))
	body := make(chan string, 1)
	go func() {
		resp, err := client.Get(origin + "/slow")
		if err != nil {
			body <- err.Error()
			return
		}
		defer resp.Body.Close()
		b, _ := io.ReadAll(resp.Body)
		body <- string(b)
	}()
	<-arrived
	r.stop()
	until(t, "the sockets to close", func() bool {
		c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			c.Close()
		}
		return err != nil
	})
	close(answer)
	if got := <-body; got != "finished" {
		t.Errorf("the request in flight got %q", got)
	}
	if code := r.exit(); code != 0 {
		t.Errorf("exit code %d:\n%s", code, r.err)
	}
}

func TestServeSaysWhatIsWrongAndWhatToDo(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	wrong := fakeProvider(t, "http://keycloak:8080/r", nil)
	free := freePort(t)
	for _, tt := range []struct {
		name, yaml string
		says       []string
	}{
		{
			"a port that is taken",
			fmt.Sprintf("public_url: http://auth.localhost\nlisten: %s\nprovider: {upstream: \"http://127.0.0.1:1\", issuers: [/r]}\n", taken.Addr()),
			[]string{"error: cannot listen on " + taken.Addr().String() + ": address already in use", "hint: another program listens there"},
		},
		{
			"a provider with another issuer",
			fmt.Sprintf("public_url: http://auth.localhost\nlisten: 127.0.0.1:%d\nprovider: {upstream: %q, issuers: [/r]}\n", free, wrong.URL),
			[]string{`error: the provider at ` + wrong.URL, `"http://keycloak:8080/r"`, `"http://auth.localhost/r"`, "hint: ", "--hostname=http://auth.localhost"},
		},
		{
			"a database that cannot be made",
			fmt.Sprintf("public_url: http://auth.localhost\nlisten: 127.0.0.1:%d\ndatabase: /dev/null/x.db\nprovider: {upstream: \"http://127.0.0.1:1\", issuers: [/r]}\n", free),
			[]string{"error: ", "/dev/null/x.db", "hint: "},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := startServe(t, tt.yaml)
			if code := r.exit(); code != 1 {
				t.Errorf("exit code %d", code)
			}
			for _, s := range tt.says {
				if !strings.Contains(r.err.String(), s) {
					t.Errorf("%q is not in\n%s", s, r.err)
				}
			}
		})
	}
}

func TestServeWaitsForAProviderThatIsDown(t *testing.T) {
	port, behind := freePort(t), freePort(t)
	origin := fmt.Sprintf("http://127.0.0.1:%d", port)
	r := startServe(t, fmt.Sprintf("public_url: %s\nlisten: 127.0.0.1:%d\nprovider: {upstream: \"http://127.0.0.1:%d\", issuers: [/]}\n", origin, port, behind))
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	until(t, "the door to say that it waits", func() bool { return strings.Contains(r.err.String(), "provider not ready") })
	ln, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", behind))
	if err != nil {
		t.Fatal(err)
	}
	late := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintf(w, `{"issuer":%q}`, origin) })}
	go func() { _ = late.Serve(ln) }()
	defer late.Close()
	until(t, "the door to be ready", ready(client, origin))
	r.stop()
	if code := r.exit(); code != 0 {
		t.Errorf("exit code %d:\n%s", code, r.err)
	}
}

func TestServeRunsTheProviderInside(t *testing.T) {
	port := freePort(t)
	origin := fmt.Sprintf("http://127.0.0.1:%d", port)
	r := startServe(t, fmt.Sprintf("public_url: %s\nlisten: 127.0.0.1:%d\nprovider: {embedded: {}}\n", origin, port))
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	until(t, "the door to be ready", ready(client, origin))
	resp, err := client.Get(origin + "/.well-known/openid-configuration")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if b, _ := io.ReadAll(resp.Body); !strings.Contains(string(b), `"issuer":"`+origin+`"`) {
		t.Errorf("%s", b)
	}
	r.stop()
	if code := r.exit(); code != 0 {
		t.Errorf("exit code %d:\n%s", code, r.err)
	}
}

func TestACertificateIsRenewedWithoutARestart(t *testing.T) {
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "c.pem"), filepath.Join(dir, "k.pem")
	writePair(t, certFile, keyFile, "first")
	c, err := newCertificate(certFile, keyFile, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	name := func() string {
		c.looked = time.Time{} // as if some time had passed
		return leaf(t, c.get()).Subject.CommonName
	}
	if got := name(); got != "first" {
		t.Errorf("got %s", got)
	}
	writePair(t, certFile, keyFile, "second")
	later := time.Now().Add(time.Hour)
	if err := os.Chtimes(certFile, later, later); err != nil {
		t.Fatal(err)
	}
	if got := name(); got != "second" {
		t.Errorf("after the renewal: %s", got)
	}
	if err := os.WriteFile(certFile, []byte("half a file"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := name(); got != "second" {
		t.Errorf("a broken renewal took the certificate away: %s", got)
	}
}

func TestServeSpeaksTLS(t *testing.T) {
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "c.pem"), filepath.Join(dir, "k.pem")
	writePair(t, certFile, keyFile, "auth.test")
	port := freePort(t)
	origin := fmt.Sprintf("https://127.0.0.1:%d", port)
	provider := fakeProvider(t, origin+"/r", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Proto+" "+r.Host) })
	r := startServe(t, fmt.Sprintf("public_url: %s\nlisteners: [{address: \"127.0.0.1:%d\", serves: [public], tls: {cert_file: %q, key_file: %q}}]\nprovider: {upstream: %q, issuers: [/r]}\n", origin, port, certFile, keyFile, provider.URL))
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true}} //nolint:gosec // self-signed
	defer client.CloseIdleConnections()
	until(t, "the door to be ready", func() bool {
		if strings.Contains(r.err.String(), "error:") {
			t.Fatal(r.err)
		}
		return ready(client, origin)()
	})
	resp, err := client.Get(origin + "/x")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if b, _ := io.ReadAll(resp.Body); resp.ProtoMajor != 2 || string(b) != fmt.Sprintf("HTTP/1.1 127.0.0.1:%d", port) {
		t.Errorf("%s %s", resp.Proto, b)
	}
	r.stop()
	r.exit()
}

func writePair(t *testing.T, certFile, keyFile, name string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: der}, keyFile: {Type: "PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func leaf(t *testing.T, c *tls.Certificate) *x509.Certificate {
	t.Helper()
	l, err := x509.ParseCertificate(c.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	return l
}
