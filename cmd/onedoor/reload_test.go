package main

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// change writes the file anew, as an editor does that renames.
func change(t *testing.T, file, yaml string) {
	t.Helper()
	if err := os.Rename(rewrite(t, file, yaml), file); err != nil {
		t.Fatal(err)
	}
}

// reloads waits until the replica has said so often that it took a file.
func (r *replica) reloads(n int) {
	r.t.Helper()
	until(r.t, fmt.Sprintf("%d reloads", n), func() bool { return strings.Count(r.log.String(), "configuration reloaded") >= n })
}

func (r *replica) says(what string) {
	r.t.Helper()
	defer func() {
		if r.t.Failed() {
			r.t.Log(r.log)
		}
	}()
	until(r.t, fmt.Sprintf("the log to say %s", what), func() bool { return strings.Contains(r.log.String(), what) })
}

// tenantOf says whether a tenant can log in at a replica.
func (r *replica) admits(tenant string) bool {
	r.t.Helper()
	a := r.ask(http.MethodGet, "/r/auth?response_type=code&client_id=atlas&state=s&redirect_uri=http%3A%2F%2F"+tenant+".localhost%2Fcb", nil, nil)
	return a.location != nil && a.location.Path == "/onedoor/callback"
}

func TestAReloadTakesAllOfAFileOrNothing(t *testing.T) {
	p := newIDP(t)
	good := p.yaml("")
	file := write(t, good)
	r := startReplica(t, file, nil)
	if r.admits("initech") {
		t.Fatal("initech is a tenant already")
	}
	more := strings.Replace(good, "[acme, globex]", "[acme, globex, initech]", 1)
	change(t, file, more+"seal: {login_ttl: soon}\nlogg: {}\n")
	r.says(file + `:7:19: seal.login_ttl: \"soon\" is not`)
	r.says(file + ":8:1: logg: is not a known key")
	if got := r.lastReload(); got.err == nil || got.at.IsZero() {
		t.Errorf("last reload %+v", got)
	}
	if r.admits("initech") {
		t.Error("a part of a wrong file was taken")
	}
	change(t, file, more)
	r.reloads(1)
	if got := r.lastReload(); got.err != nil {
		t.Errorf("last reload %+v", got)
	}
	if !r.admits("initech") || !r.admits("acme") {
		t.Error("the good file was not taken")
	}
	change(t, file, good)
	r.reloads(2)
	if r.admits("initech") {
		t.Error("a tenant that was taken out is let in")
	}
	w := httptest.NewRecorder()
	r.meter.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if want := `onedoor_configuration_reloads_total{outcome="ok"} 2`; !strings.Contains(w.Body.String(), want) {
		t.Errorf("no %s", want)
	}
}

func TestWhatNeedsARestartIsNamedAndNothingElseIsTaken(t *testing.T) {
	p := newIDP(t)
	file := write(t, p.yaml(""))
	r := startReplica(t, file, nil)
	yaml := strings.NewReplacer("listen: 127.0.0.1:0", "listen: 127.0.0.1:1", "[acme, globex]", "[acme]").Replace(p.yaml("database: other.db\n"))
	change(t, file, yaml)
	r.says(file + ":2:9: listen: was changed, and that needs a restart")
	r.says(file + ":6:11: database: was changed, and that needs a restart")
	if !r.admits("globex") {
		t.Error("a part of the file was taken")
	}
}

func TestAMistakeIsToldOnceAndItsRepairAtOnce(t *testing.T) {
	p := newIDP(t)
	file := write(t, p.yaml(""))
	r := startReplica(t, file, nil)
	change(t, file, "public_url: ftp://x\n")
	r.says("configuration not taken")
	until(t, "some more tries", func() bool { return r.tries.Load() > 3 })
	lines := strings.Count(r.log.String(), "public_url: ")
	if lines != 1 {
		t.Errorf("told %d times", lines)
	}
	r.hangup <- syscall.SIGHUP // who asks gets an answer
	until(t, "the answer", func() bool { return strings.Count(r.log.String(), "public_url: ") == 2 })
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	r.says("there is no such file")
	if err := os.WriteFile(file, []byte(p.yaml("")), 0o600); err != nil {
		t.Fatal(err)
	}
	r.reloads(1)
}

func TestAReloadInMidLoginLosesNoLogin(t *testing.T) {
	p := newIDP(t)
	file := write(t, p.yaml(""))
	a, b := startReplica(t, file, nil), startReplica(t, file, nil)
	n := 0
	reload := func() {
		t.Helper()
		n++
		change(t, file, p.yaml(fmt.Sprintf("seal: {login_ttl: %dm}\npublic_aliases: [\"http://alias%d.localhost\"]\n", 30+n, n)))
		a.reloads(n)
		b.reloads(n)
	}
	long := strings.Repeat("s", 5000)
	for _, state := range []string{"short", long} {
		l := a.begin(state)
		reload()
		if answer := l.callback(b); answer.location == nil || answer.location.Query().Get("state") != state {
			t.Fatalf("%d %s", answer.status, answer.body)
		}
		reload()
		if answer := l.token(a); answer.status != http.StatusOK {
			t.Errorf("%d %s", answer.status, answer.body)
		}
	}
}

func TestARequestInFlightIsFinishedByTheConfigurationItBeganWith(t *testing.T) {
	noLeaks(t)
	first, second := newIDP(t), newIDP(t)
	file := write(t, first.yaml(""))
	r := startReplica(t, file, nil)
	arrived, release := make(chan struct{}), make(chan struct{})
	first.holding(func(q *http.Request) {
		if q.URL.Path == "/slow" {
			close(arrived)
			<-release
		}
	})
	got := make(chan answer, 1)
	go func() { got <- r.ask(http.MethodGet, "/slow", nil, nil) }()
	<-arrived
	old := r.current.Load()
	change(t, file, second.yaml(""))
	r.reloads(1)
	if !r.admits("acme") || len(second.codes) != 1 || len(first.codes) != 0 {
		t.Errorf("the new provider saw %d logins, the old one %d", len(second.codes), len(first.codes))
	}
	select {
	case <-old.provided.ended:
		t.Error("the old provider ended while a request was in flight")
	default:
	}
	close(release)
	if a := <-got; a.status != http.StatusNotFound { // what the provider says of /slow
		t.Errorf("the request in flight: %d %s", a.status, a.body)
	}
	<-old.provided.ended
	r.stop()
}

func TestAProviderThatDoesNotAnswerIsNotTakenAndTriedAgain(t *testing.T) {
	p, next := newIDP(t), newIDP(t)
	socket := freePort(t)
	file := write(t, p.yaml(""))
	r := startReplica(t, file, nil)
	change(t, file, strings.Replace(p.yaml(""), p.URL, fmt.Sprintf("http://127.0.0.1:%d", socket), 1))
	r.says("does not answer")
	if !r.admits("acme") {
		t.Error("the provider that answers was left")
	}
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", socket))
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: http.HandlerFunc(next.serve), ReadHeaderTimeout: time.Minute}
	go func() { _ = s.Serve(l) }()
	t.Cleanup(func() { _ = s.Close() })
	r.reloads(1)
	if !r.admits("acme") || len(next.codes) != 1 {
		t.Error("the new provider was not taken when it came")
	}
}

func TestAReloadKeepsWhatIsKnownOfAProviderThatIsDown(t *testing.T) {
	p := newIDP(t)
	file := write(t, p.yaml(""))
	r := startReplica(t, file, nil)
	p.holding(func(*http.Request) { panic(http.ErrAbortHandler) })
	change(t, file, strings.Replace(p.yaml(""), "[acme, globex]", "[acme]", 1))
	r.reloads(1)
	if err := r.current.Load().provided.Ready(); err != nil {
		t.Errorf("nothing about the provider changed: %v", err)
	}
	p.holding(nil)
	change(t, file, strings.Replace(p.yaml(""), "provider: {", "provider: {kind: generic, ", 1))
	r.reloads(2)
	if !r.admits("globex") {
		t.Error("globex is no tenant")
	}
}

func TestTheProviderInsideOutlivesAReload(t *testing.T) {
	const yaml = "public_url: http://auth.localhost\nlisten: 127.0.0.1:0\nprovider: {embedded: {}}\n"
	file := write(t, yaml)
	r := startReplica(t, file, nil)
	before := r.current.Load().provided
	change(t, file, yaml+"limits: {provider_timeout: 5s, provider_requests: 9}\ntenants: {list: [acme]}\n")
	r.reloads(1)
	if after := r.current.Load(); after.provided != before || len(after.cfg.Tenants.List) != 1 {
		t.Error("another provider was made")
	}
	if a := r.ask(http.MethodGet, "/.well-known/openid-configuration", nil, nil); a.status != http.StatusOK {
		t.Errorf("%d %s", a.status, a.body)
	}
}

// TestAFileIsReadWhenItHasSettled looks as often as the test says.
func TestAFileIsReadWhenItHasSettled(t *testing.T) {
	p := newIDP(t)
	dir := t.TempDir()
	mount := func(name, yaml string) { // as Kubernetes does: a folder, and one rename of a link to it
		t.Helper()
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
		for file, text := range map[string]string{"onedoor.yaml": yaml, "token": "token-of-the-mount-" + name} {
			if err := os.WriteFile(filepath.Join(dir, name, file), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := errors.Join(os.Symlink(name, filepath.Join(dir, "..tmp")), os.Rename(filepath.Join(dir, "..tmp"), filepath.Join(dir, "..data"))); err != nil {
			t.Fatal(err)
		}
	}
	yaml := p.yaml("admin: {token_file: token}\ndatabase: " + filepath.Join(dir, "onedoor.db"))
	mount("1", yaml)
	file := filepath.Join(dir, "onedoor.yaml")
	for _, name := range []string{"onedoor.yaml", "token"} {
		if err := os.Symlink(filepath.Join("..data", name), filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	r := startLooking(t, file, nil, time.Hour)
	f := follower{door: r.door, file: file, retry: time.Hour}
	f.seen = f.look()
	now := time.Now()
	ticks := func(what string, n, want int) {
		t.Helper()
		before := r.tries.Load()
		for range n {
			f.tick(t.Context(), now)
		}
		if tries := int(r.tries.Load() - before); tries != want {
			t.Errorf("%s: %d tries after %d looks, want %d", what, tries, n, want)
		}
	}
	ticks("nothing changed", 3, 0)
	mount("2", strings.Replace(yaml, "[acme, globex]", "[acme]", 1))
	ticks("a swapped link", 1, 0)
	ticks("a swapped link that settled", 3, 1)
	if r.admits("globex") {
		t.Error("it was not taken")
	}
	real := filepath.Join(dir, "2", "onedoor.yaml")
	for n := 100; n < len(yaml); n += 100 { // written slowly, with a look between
		if err := os.WriteFile(real, []byte(yaml[:n]), 0o600); err != nil {
			t.Fatal(err)
		}
		ticks("half a file", 1, 0)
	}
	if err := os.WriteFile(real, []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	ticks("the whole file", 3, 1)
	if strings.Contains(r.log.String(), "not taken") {
		t.Errorf("half a file was read: %s", r.log)
	}
	if err := os.WriteFile(filepath.Join(dir, "2", "token"), []byte("another-token-of-the-mount"), 0o600); err != nil {
		t.Fatal(err)
	}
	ticks("a secret of the file", 3, 1)
	if got := string(r.current.Load().cfg.Admin.Token); got != "another-token-of-the-mount" {
		t.Errorf("token %q", got)
	}
}

func TestASignalReloads(t *testing.T) {
	p := newIDP(t)
	port := freePort(t)
	yaml := strings.Replace(p.yaml("log: {format: text, level: warn}\n"), "127.0.0.1:0", fmt.Sprintf("127.0.0.1:%d", port), 1)
	file := write(t, yaml)
	r := startCommand(t, "serve", "-c", file)
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	until(t, "the door to be ready", ready(client, fmt.Sprintf("http://127.0.0.1:%d", port)))
	if strings.Contains(r.err.String(), "level=INFO") {
		t.Errorf("log level: %s", r.err)
	}
	if err := os.WriteFile(file, []byte(strings.Replace(yaml, "level: warn", "level: info", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	until(t, "the log to say so", func() bool { return strings.Contains(r.err.String(), "configuration reloaded") })
	r.stop()
	if code := r.exit(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

func TestAReloadTakesOtherCertificates(t *testing.T) {
	p := newIDP(t)
	dir := t.TempDir()
	name := func(n string) string { return filepath.Join(dir, n) }
	writePair(t, name("a.pem"), name("a.key"), "first")
	writePair(t, name("b.pem"), name("b.key"), "second")
	yaml := func(pair string) string {
		tls := fmt.Sprintf("listeners: [{address: \"127.0.0.1:0\", serves: [public], tls: {cert_file: %q, key_file: %q}}]", name(pair+".pem"), name(pair+".key"))
		return strings.Replace(p.yaml(""), "listen: 127.0.0.1:0", tls, 1)
	}
	file := write(t, yaml("a"))
	cfg := parse(t, file)
	db := open(t, file)
	d, err := newDoor(t.Context(), cfg, db, discard, doorOptions{})
	if err != nil {
		t.Fatal(err)
	}
	socket, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	if err := d.add(0, socket); err != nil {
		t.Fatal(err)
	}
	serves := func() string { return leaf(t, d.servers[0].certificate.get()).Subject.CommonName }
	if got := serves(); got != "first" {
		t.Errorf("got %s", got)
	}
	change(t, file, yaml("b"))
	if err := d.reload(t.Context(), file); err != nil || serves() != "second" {
		t.Errorf("%v %s", err, serves())
	}
	if err := os.WriteFile(name("a.key"), []byte("half a file"), 0o600); err != nil {
		t.Fatal(err)
	}
	change(t, file, yaml("a"))
	if err := d.reload(t.Context(), file); err == nil || serves() != "second" {
		t.Errorf("%v %s", err, serves())
	}
}
