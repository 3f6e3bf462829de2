package main

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"onedoor/config"
)

// saying asks for a path until the answer has that status.
func saying(t *testing.T, client *http.Client, url string, status int) (header http.Header, body string) {
	t.Helper()
	until(t, fmt.Sprintf("%s to say %d", url, status), func() bool {
		resp, err := client.Get(url)
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		header, body = resp.Header, string(text)
		return err == nil && resp.StatusCode == status
	})
	return header, body
}

// A database and its doors may be started in any order. Whoever asks meanwhile
// gets an answer: an orchestrator that the door lives, a balancer that it should
// ask another.
func TestServeWaitsForADatabaseThatDoesNotAnswer(t *testing.T) {
	port := freePort(t)
	r := startServe(t, fmt.Sprintf(`public_url: http://auth.localhost
listen: 127.0.0.1:%d
database: postgres://onedoor:hunter2@127.0.0.1:%d/onedoor
provider: {upstream: "http://127.0.0.1:1", issuers: [/r]}
`, port, freePort(t)))
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	door := fmt.Sprintf("http://127.0.0.1:%d", port)
	saying(t, client, door+"/onedoor/health/live", http.StatusOK)
	for _, path := range []string{"/onedoor/health/ready", "/r/auth?client_id=atlas", "/onedoor/callback?code=c&state=s", "/anything"} {
		if header, body := saying(t, client, door+path, http.StatusServiceUnavailable); header.Get("Retry-After") == "" || body == "" || header.Get("Location") != "" {
			t.Errorf("%s: %v %s", path, header, body)
		}
	}
	until(t, "the log to say so", func() bool {
		return strings.Contains(r.err.String(), "waiting for the database") && strings.Contains(r.err.String(), "door.starting")
	})
	r.stop()
	if code := r.exit(); code != 0 || strings.Contains(r.err.String(), "hunter2") {
		t.Errorf("exit code %d\n%s", code, r.err)
	}
}

// Whoever is connected and asks for nothing does not hold the door up.
func TestTheSocketsOfADoorThatWaitedAreItsOwnAfterwards(t *testing.T) {
	dir := t.TempDir()
	pair := &config.TLS{CertFile: filepath.Join(dir, "c.pem"), KeyFile: filepath.Join(dir, "k.pem")}
	writePair(t, pair.CertFile, pair.KeyFile, "auth.test")
	cfg := &config.Config{Listeners: []config.Listener{{Address: "127.0.0.1:0"}, {Address: "127.0.0.1:0", TLS: pair}}}
	sockets, err := listen(t.Context(), append(cfg.Listeners, config.Listener{Address: "127.0.0.1:0"})) // and that of admin
	if err != nil {
		t.Fatal(err)
	}
	stop, err := answerMeanwhile(cfg, sockets, discard)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}} //nolint:gosec // self-signed
	defer client.CloseIdleConnections()
	address := func(i int) string { return []string{"http://", "https://", "http://"}[i] + sockets[i].Addr().String() }
	for i := range sockets {
		saying(t, client, address(i)+"/onedoor/health/live", http.StatusOK)
	}
	silent, err := net.Dial("tcp", sockets[0].Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	stop()
	for i, socket := range sockets {
		s := &server{Server: &http.Server{Handler: http.NotFoundHandler(), ReadHeaderTimeout: time.Minute}, socket: socket}
		if i == 1 {
			if err := s.secure(pair, discard); err != nil {
				t.Fatal(err)
			}
		}
		ended := make(chan error, 1)
		go func() { ended <- s.serve() }()
		saying(t, client, address(i)+"/onedoor/health/live", http.StatusNotFound)
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		<-ended
	}
}
