//go:build linux

// Command bench measures what the door costs beside nginx and Caddy doing the
// same work: in one run, in short interleaved rounds, on the same machine, as
// ratios. Microseconds differ from machine to machine and from hour to hour;
// ratios hold. It reports each budget as met or missed and fails for neither.
//
// Reading starts at measure, which lists what is measured; rounds.go says how,
// load.go who asks. Run it with make bench. A login through a real Keycloak is in
// login.go, and make bench-login.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// plan is how long each part takes.
type plan struct {
	rounds       int
	turn         time.Duration
	latencyTurns int
	latencyTurn  time.Duration
	starts       int
	stepRounds   int
	stepTime     time.Duration // for each step and number of tenants
	loginRounds  int
	logins       int // in each turn
	loginsBefore int // in each way, until Java's compiler has little left to do
}

var (
	thorough = plan{rounds: 11, turn: 700 * time.Millisecond, latencyTurns: 11, latencyTurn: 1500 * time.Millisecond, starts: 9, stepRounds: 5, stepTime: 400 * time.Millisecond, loginRounds: 15, logins: 10, loginsBefore: 200}
	quick    = plan{rounds: 5, turn: 250 * time.Millisecond, latencyTurns: 3, latencyTurn: 500 * time.Millisecond, starts: 3, stepRounds: 1, stepTime: 300 * time.Millisecond, loginRounds: 5, logins: 6, loginsBefore: 60}
)

func main() {
	runtime.LockOSThread() // see start
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	door := flag.String("door", "./onedoor", "the program to measure")
	out := flag.String("out", "", "file for the result as JSON")
	fast := flag.Bool("quick", false, "under a minute, and less certain")
	before := flag.String("before", "", "an earlier program to measure beside it")
	only := flag.String("only", "", "measure the parts whose name holds this text")
	login := flag.Bool("login", false, "measure a login through Keycloak, and nothing else")
	bare := flag.String("bare", "", "serve as a bare Go server before this upstream; for the program itself")
	listen := flag.String("listen", "", "where the bare server listens")
	mapped := flag.Int("tenants", 0, "how many tenants the bare server has in a map")
	flag.Parse()
	if *bare != "" {
		fmt.Fprintln(os.Stderr, "bench:", serveBare(ctx, *listen, *bare, *mapped))
		os.Exit(2)
	}
	if err := run(ctx, *door, *before, *out, *only, *fast, *login); err != nil {
		fmt.Fprintf(os.Stderr, "bench: error: %v\n", err)
		stop()
		os.Exit(2)
	}
}

func run(ctx context.Context, door, before, out, only string, fast, login bool) error {
	door, err := filepath.Abs(door)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "onedoor-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	p := thorough
	if fast {
		p = quick
	}
	r := &report{Date: time.Now().UTC().Format(time.DateOnly), Machine: machine(), Quick: fast}
	l := &lab{dir: dir, door: door, before: before, only: only}
	defer l.close()
	measure := l.measure
	if login {
		measure = l.logins
	}
	if err := measure(ctx, p, r); err != nil {
		return err
	}
	if err := r.print(os.Stdout); err != nil || out == "" {
		return err
	}
	return r.save(out)
}

// measure is the list of what is measured.
func (l *lab) measure(ctx context.Context, p plan, r *report) error {
	r.Versions = versions(ctx, []string{l.door, "version"}, []string{"nginx", "-v"}, []string{"caddy", "version"})
	if err := l.open(ctx); err != nil {
		return err
	}
	for _, part := range []struct {
		what string
		do   func(context.Context, plan, *report) error
	}{
		{"connections at the upstream", l.connections},
		{"relay", l.relay},
		{"proxy", l.proxy},
		{"latency", l.latency},
		{"start and memory", l.startAndMemory},
		{"steps of a login", l.steps},
		{"tenants in a database", l.tenants},
	} {
		if !strings.Contains(part.what, l.only) {
			continue
		}
		began := time.Now()
		if err := part.do(ctx, p, r); err != nil {
			return fmt.Errorf("%s: %w", part.what, err)
		}
		fmt.Fprintf(os.Stderr, "bench: %s: %.0f s\n", part.what, time.Since(began).Seconds())
	}
	return nil
}

// connections counts what the upstream accepts while each proxy, fresh from its
// start, forwards 10,000 requests of 64 clients.
func (l *lab) connections(_ context.Context, _ plan, r *report) error {
	const requests = 10_000
	for _, s := range []*subject{l.plain, l.nginx, l.caddy} {
		before, err := l.accepted()
		if err != nil {
			return err
		}
		if _, err := s.saturate([]exchange{proxied(s)}, 0, requests); err != nil {
			return err
		}
		after, err := l.accepted()
		if err != nil {
			return err
		}
		opened := float64(after - before - 1) // ours, to ask
		if s == l.plain {
			r.budget("connections to the upstream for 10,000 requests", "", 200, opened)
		} else {
			r.fact("connections to the upstream, "+s.name, "", opened)
		}
	}
	return nil
}

func (l *lab) relay(ctx context.Context, p plan, r *report) error {
	if l.earlier != nil {
		costs, err := interleave(ctx, p.rounds, p.turn,
			contender{"before", l.earlier, relays(l.earlier, curl)}, contender{"after", l.plain, relays(l.plain, curl)})
		if err != nil {
			return err
		}
		r.fact("relay: CPU over the earlier program's", "×", costs.over("after", "before")...)
	}
	costs, err := interleave(
		ctx, p.rounds, p.turn,
		contender{"nginx", l.nginx, relays(l.nginx, curl)},
		contender{"Go's bare server", l.bare, relays(l.bare, curl)},
		contender{"nginx, log line", l.nginxLog, relays(l.nginxLog, curl)},
		contender{"Caddy", l.caddy, relays(l.caddy, curl)},
		contender{"onedoor", l.plain, relays(l.plain, curl)},
		contender{"onedoor, log line", l.logging, relays(l.logging, curl)},
		contender{"nginx, as a browser asks", l.nginx, relays(l.nginx, browser)},
		contender{"onedoor, as a browser asks", l.plain, relays(l.plain, browser)},
	)
	if err != nil {
		return err
	}
	r.budget("relay: CPU over nginx's", "×", 2, costs.over("onedoor", "nginx")...)
	r.budget("relay with a log line: CPU over nginx's without", "×", 2.8, costs.over("onedoor, log line", "nginx")...)
	r.budget("relay: CPU over Caddy's", "×", 0.5, costs.over("onedoor", "Caddy")...)
	r.fact("relay: CPU of Go's bare server over nginx's", "×", costs.over("Go's bare server", "nginx")...)
	r.fact("relay: CPU over that of Go's bare server", "×", costs.over("onedoor", "Go's bare server")...)
	r.fact("relay as a browser asks: CPU over nginx's", "×", costs.over("onedoor, as a browser asks", "nginx, as a browser asks")...)
	r.costs("relay", costs)
	return nil
}

func (l *lab) proxy(ctx context.Context, p plan, r *report) error {
	contend := func(name string, s *subject) contender { return contender{name, s, []exchange{proxied(s)}} }
	if l.earlier != nil {
		costs, err := interleave(ctx, p.rounds, p.turn, contend("before", l.earlier), contend("after", l.plain))
		if err != nil {
			return err
		}
		r.fact("proxy: CPU over the earlier program's", "×", costs.over("after", "before")...)
	}
	costs, err := interleave(
		ctx, p.rounds, p.turn,
		contend("nginx", l.nginx), contend("Go's bare proxy", l.bare), contend("Caddy", l.caddy),
		contend("onedoor", l.plain), contend("onedoor, log line", l.logging),
	)
	if err != nil {
		return err
	}
	r.budget("proxy, 1.5 KB: CPU over nginx's", "×", 3, costs.over("onedoor", "nginx")...)
	r.budget("proxy, 1.5 KB: CPU over Caddy's", "×", 0.6, costs.over("onedoor", "Caddy")...)
	r.fact("proxy: CPU of Go's bare proxy over nginx's", "×", costs.over("Go's bare proxy", "nginx")...)
	r.fact("proxy: CPU over that of Go's bare proxy", "×", costs.over("onedoor", "Go's bare proxy")...)
	r.costs("proxy", costs)
	return nil
}

func (l *lab) latency(ctx context.Context, p plan, r *report) error {
	contend := func(name string, s *subject) contender { return contender{name, s, []exchange{proxied(s)}} }
	const rate = 2000
	added, err := latency(ctx, p.latencyTurns, rate, p.latencyTurn, []float64{0.5, 0.99},
		contend("direct", l.upstream), contend("nginx", l.nginx), contend("onedoor", l.plain))
	if err != nil {
		return err
	}
	r.budget("latency that the proxy adds at 2,000 requests/s, median", "ms", 0.2, added["onedoor"][0]...)
	r.budget("latency that the proxy adds at 2,000 requests/s, 99 %", "ms", 0.5, added["onedoor"][1]...)
	for i, q := range []string{"median", "99 %"} {
		r.fact("latency that nginx adds, "+q, "ms", added["nginx"][i]...)
		r.fact("latency of the upstream itself, "+q, "ms", added["direct"][i]...)
	}
	return nil
}

func (l *lab) startAndMemory(ctx context.Context, p plan, r *report) error {
	var started, idle, nginx, caddy []float64
	for range p.starts {
		s, took, err := l.startDoor(ctx, "", few, false)
		if err != nil {
			return err
		}
		started = append(started, milliseconds(took))
		mb, err := s.idleMemory(ctx)
		s.close()
		if err != nil {
			return err
		}
		idle = append(idle, mb)
		if s, took, err = l.startNginx(ctx, few); err != nil {
			return err
		}
		s.close()
		nginx = append(nginx, milliseconds(took))
		if s, took, err = l.startCaddy(ctx); err != nil {
			return err
		}
		s.close()
		caddy = append(caddy, milliseconds(took))
	}
	r.budget("start to first answer, with a new database", "ms", 100, started...)
	r.budget("memory when idle", "MB", 30, idle...)
	r.fact("start to first answer, nginx", "ms", nginx...)
	r.fact("start to first answer, Caddy", "ms", caddy...)
	for _, s := range []struct {
		what string
		*subject
	}{{"onedoor", l.plain}, {"nginx", l.nginx}, {"Caddy", l.caddy}} {
		mb, err := s.memory()
		if err != nil {
			return err
		}
		r.fact("memory after the rounds, "+s.what, "MB", mb)
	}
	return nil
}

// idleMemory is the resident set two seconds after the door was ready.
func (s *subject) idleMemory(ctx context.Context) (float64, error) {
	if err := s.ready(ctx); err != nil {
		return 0, err
	}
	if pause(ctx, s.done, 2*time.Second) {
		return 0, errors.New("the door has ended")
	}
	return s.memory()
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1e3 }

func machine() string {
	model := "an unknown processor"
	if b, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		if _, rest, ok := strings.Cut(string(b), "model name"); ok {
			line, _, _ := strings.Cut(rest, "\n")
			model = strings.Trim(line, " \t:")
		}
	}
	load, _ := os.ReadFile("/proc/loadavg") // "0.61 0.70 0.84 1/123 4567": of one minute, five, fifteen
	return fmt.Sprintf("%d processors, %s, %s/%s, load before %.14s", runtime.NumCPU(), model, runtime.GOOS, runtime.GOARCH, load)
}

func versions(ctx context.Context, commands ...[]string) []string {
	var all []string
	for _, c := range commands {
		out, err := exec.CommandContext(ctx, c[0], c[1:]...).CombinedOutput()
		line, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
		if err != nil {
			line = err.Error()
		}
		all = append(all, filepath.Base(c[0])+": "+line)
	}
	return all
}
