//go:build linux

package main

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"text/template"
	"time"
)

//go:embed nginx.conf upstream.conf Caddyfile onedoor.yaml
var configurations embed.FS

const (
	bodySize = 1536 // octets of a proxied answer
	conns    = 64   // clients at once
)

// subject is one server under measurement: a port of a process.
type subject struct {
	*process
	port    int
	origin  string // what requests to it name as their Host, with http://
	tenants []string
	load    *load
	dir     string
}

// lab is everything that runs during the benchmark.
type lab struct {
	dir      string
	door     string // the program
	before   string // an earlier one, or ""
	only     string // of the parts
	upstream *subject
	nginx    *subject
	nginxLog *subject // the same nginx, on a port where it writes its access log
	caddy    *subject
	plain    *subject // the door, ten tenants, no line for a request
	logging  *subject // the door, a line for each request
	bare     *subject // Go's server and proxy alone
	earlier  *subject // the earlier door, or nil

	registries []*registry
}

// settings are what the templates of the configurations are filled with.
type settings struct {
	Dir, Origin           string
	Port, Upstream, Admin int
	Log                   bool
	Tenants               []string
	Database              string // with the tenants in it; "" for an empty one, and the tenants in the file
	Buckets, Bucket       int    // of nginx's map: how many, of how many octets
	Body                  string
	Servers               []settings // nginx's ports
}

// few is what stands in a file. What a database holds is in tenants.go.
const few = 10

// labels makes n tenants.
func labels(n int) []string {
	l := make([]string, n)
	for i := range l {
		l[i] = label(i)
	}
	return l
}

func label(i int) string { return fmt.Sprintf("t%06d", i) }

// open starts every server and waits until it answers.
func (l *lab) open(ctx context.Context) (err error) {
	if l.upstream, err = l.startUpstream(ctx); err != nil {
		return err
	}
	if l.nginx, _, err = l.startNginx(ctx, few); err != nil {
		return err
	}
	logged := *l.nginx
	logged.port++ // see startNginx
	l.nginxLog = &logged
	if l.caddy, _, err = l.startCaddy(ctx); err != nil {
		return err
	}
	if l.bare, err = l.startBare(ctx, 0); err != nil {
		return err
	}
	if l.before != "" {
		if l.earlier, err = l.startEarlier(ctx); err != nil {
			return err
		}
	}
	for _, d := range []struct {
		into **subject
		log  bool
	}{{&l.plain, false}, {&l.logging, true}} {
		if *d.into, _, err = l.startDoor(ctx, "", few, d.log); err != nil {
			return err
		}
		if err = (*d.into).ready(ctx); err != nil {
			return err
		}
	}
	return nil
}

// saturate is load.saturate by clients that connect when they are first needed:
// a server closes a connection that asks for nothing.
func (s *subject) saturate(work []exchange, d time.Duration, limit int) (n int, err error) {
	if s.load == nil {
		if s.load, err = connect(s.address(), conns); err != nil {
			return 0, err
		}
	}
	return s.load.saturate(work, d, limit)
}

func (l *lab) all() []*subject {
	var all []*subject
	for _, s := range []*subject{l.upstream, l.nginx, l.nginxLog, l.caddy, l.bare, l.earlier, l.plain, l.logging} {
		if s != nil {
			all = append(all, s)
		}
	}
	for _, r := range l.registries {
		all = append(all, r.subjects()...)
	}
	return all
}

// close stops every server.
func (l *lab) close() {
	for _, s := range l.all() {
		s.close()
	}
}

func (s *subject) close() {
	if s.load != nil {
		s.load.close()
	}
	s.stop()
}

func (s *subject) address() string { return fmt.Sprintf("127.0.0.1:%d", s.port) }

// start writes a configuration and runs the program with it until it gives the
// answer that is asked for. The time is from before the program is started.
func (l *lab) start(ctx context.Context, s settings, file string, first func(*subject) exchange, program string, args ...string) (*subject, time.Duration, error) {
	var err error
	if s.Dir, err = os.MkdirTemp(l.dir, "server-"); err != nil {
		return nil, 0, err
	}
	if file != "" {
		if err := writeConfiguration(filepath.Join(s.Dir, file), file, s); err != nil {
			return nil, 0, err
		}
	}
	sub := &subject{port: s.Port, origin: s.Origin, tenants: s.Tenants, dir: s.Dir}
	began := time.Now()
	if sub.process, err = start(s.Dir, program, args...); err != nil {
		return nil, 0, err
	}
	e := first(sub)
	if err = sub.await(ctx, 500*time.Microsecond, func() error { return ask(s.Port, &e) }); err != nil {
		sub.stop()
		return nil, 0, err
	}
	return sub, time.Since(began), nil
}

func writeConfiguration(path, name string, s settings) error {
	t, err := template.ParseFS(configurations, name)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(t.Execute(f, s), f.Close())
}

func (l *lab) startUpstream(ctx context.Context) (*subject, error) {
	port, err := freePorts(1)
	if err != nil {
		return nil, err
	}
	s := settings{Port: port, Origin: "http://127.0.0.1", Body: strings.Repeat("x", bodySize)}
	sub, _, err := l.start(ctx, s, "upstream.conf", proxied, "nginx", "-p", ".", "-e", "stderr", "-c", "upstream.conf")
	return sub, err
}

func (l *lab) startNginx(ctx context.Context, tenants int) (*subject, time.Duration, error) {
	port, err := freePorts(2)
	if err != nil {
		return nil, 0, err
	}
	s := settings{Port: port, Origin: origin(port), Upstream: l.upstream.port, Tenants: labels(tenants), Buckets: 4096, Bucket: 128}
	if tenants > few {
		s.Buckets, s.Bucket = 2*tenants, 512 // with fewer it refuses, or looks for a fit for minutes
	}
	s.Servers = []settings{{Port: port}, {Port: port + 1, Log: true}}
	return l.start(ctx, s, "nginx.conf", firstRelay, "nginx", "-p", ".", "-e", "stderr", "-c", "nginx.conf")
}

func (l *lab) startCaddy(ctx context.Context) (*subject, time.Duration, error) {
	port, err := freePorts(1)
	if err != nil {
		return nil, 0, err
	}
	s := settings{Port: port, Origin: origin(port), Upstream: l.upstream.port, Tenants: labels(few)}
	return l.start(ctx, s, "Caddyfile", firstRelay, "caddy", "run", "--config", "Caddyfile", "--adapter", "caddyfile")
}

// startDoor starts a door with its tenants in a database, or where that is "",
// in its file.
func (l *lab) startDoor(ctx context.Context, database string, tenants int, log bool) (*subject, time.Duration, error) {
	port, err := freePorts(2)
	if err != nil {
		return nil, 0, err
	}
	s := settings{Port: port, Admin: port + 1, Origin: origin(port), Upstream: l.upstream.port, Tenants: labels(tenants), Database: database, Log: log}
	return l.start(ctx, s, "onedoor.yaml", firstRelay, l.door, "serve", "-c", "onedoor.yaml")
}

// once is a client that keeps no connection.
var once = &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}

// startEarlier starts the program that this one is compared with.
func (l *lab) startEarlier(ctx context.Context) (*subject, error) {
	program, err := filepath.Abs(l.before)
	if err != nil {
		return nil, err
	}
	s, _, err := (&lab{dir: l.dir, door: program, upstream: l.upstream}).startDoor(ctx, "", few, false)
	if err != nil {
		return nil, err
	}
	return s, s.ready(ctx)
}

// startBare starts Go's bare server. With tenants it has a Go map of them, and
// without it asks nobody.
func (l *lab) startBare(ctx context.Context, tenants int) (*subject, error) {
	port, err := freePorts(1)
	if err != nil {
		return nil, err
	}
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	s := settings{Port: port, Origin: origin(port), Upstream: l.upstream.port, Tenants: labels(max(tenants, few))}
	sub, _, err := l.start(ctx, s, "", firstRelay, program, "-listen", fmt.Sprintf("127.0.0.1:%d", port),
		"-bare", "http://"+l.upstream.address(), "-tenants", strconv.Itoa(tenants))
	return sub, err
}

// ready returns when the door has the provider's metadata.
func (s *subject) ready(ctx context.Context) error {
	return s.await(ctx, 10*time.Millisecond, func() error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.address()+"/onedoor/health/ready", nil)
		if err != nil {
			return err
		}
		resp, err := once.Do(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return errors.New(resp.Status)
		}
		return nil
	})
}

// origin is a public origin that is http without harm (RFC 6761).
func origin(port int) string { return fmt.Sprintf("http://auth.example.test:%d", port) }

// freePorts finds n ports in a row that nobody listens on, and gives the first.
func freePorts(n int) (int, error) {
	for range 100 {
		first, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return 0, err
		}
		port, free := first.Addr().(*net.TCPAddr).Port, true
		for i := 1; i < n; i++ {
			next, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port+i))
			if free = err == nil; !free {
				break
			}
			_ = next.Close()
		}
		_ = first.Close()
		if free {
			return port, nil
		}
	}
	return 0, errors.New("no free ports")
}

// accepted asks the upstream how many connections it has accepted, this one
// with them.
func (l *lab) accepted() (int, error) {
	req, err := http.NewRequest(http.MethodGet, "http://"+l.upstream.address()+"/accepted", nil)
	if err != nil {
		return 0, err
	}
	resp, err := once.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 4<<10))
	if err != nil {
		return 0, err
	}
	// "Active connections: 2 \nserver accepts handled requests\n 7 7 9 \n…"
	_, numbers, _ := strings.Cut(string(body), "requests\n")
	var accepts int
	if _, err := fmt.Sscan(numbers, &accepts); err != nil {
		return 0, fmt.Errorf("the upstream's count of connections: %w in %q", err, body)
	}
	return accepts, nil
}
