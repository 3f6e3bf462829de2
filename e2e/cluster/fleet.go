//go:build linux

package cluster

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"onedoor/e2e/lab"
)

// fleet is a number of replicas with one configuration behind one nginx.
type fleet struct {
	name     string
	front    string // nginx's address
	public   string
	replicas []*replica
	crowd    *crowd
}

// replica is one `onedoor serve`, started as often as it is killed.
type replica struct {
	name    string
	address string
	admin   string
	file    string // its configuration
	config  string // what is in it at the start
	wire    *wire
	scope   lab.Scope
	public  string

	mu        sync.Mutex
	process   *lab.Process
	processes []*lab.Process // all, for their logs
}

// start starts the replica; await waits until it is ready.
func (r *replica) start() {
	cmd := exec.Command(lab.DoorProgram(r.scope), "serve", "-c", r.file)
	cmd.Dir = filepath.Dir(r.file)
	p := lab.Start(r.scope, r.name, cmd)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.process, r.processes = p, append(r.processes, p)
}

func (r *replica) current() *lab.Process {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.process
}

func (r *replica) await() {
	r.scope.Helper()
	r.current().Await(r.scope, "it is ready", r.ready)
}

func (r *replica) ready() error { return r.says("/onedoor/health/ready", http.StatusOK) }

// says asks for a path that is to be answered with that status.
func (r *replica) says(path string, want int) error {
	status, err := r.get(context.Background(), path)
	if err == nil && status != want {
		err = fmt.Errorf("%s answers %d, want %d", path, status, want)
	}
	return err
}

// get asks this replica, past nginx, for a path of the public origin.
func (r *replica) get(ctx context.Context, path string) (status int, err error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, r.public+path, nil)
	if err != nil {
		return 0, err
	}
	resp, err := lab.HTTPClient(lab.DialTo(lab.Here, r.address)).Do(request)
	if err != nil {
		return 0, err
	}
	return resp.StatusCode, resp.Body.Close()
}

// serves says whether this replica relays a browser to the tenant's site: the
// shortest question whose answer is the registry's. Neither is an error: the
// replica does not know, and says so by 503.
func (r *replica) serves(ctx context.Context, tenant string) (bool, error) {
	status, err := r.get(ctx, "/tenants/"+tenant+"/callback?error=access_denied")
	switch {
	case err != nil:
		return false, err
	case status == http.StatusFound || status == http.StatusSeeOther:
		return true, nil
	case status >= 400 && status < 500:
		return false, nil
	}
	return false, fmt.Errorf("the relay answers %d", status)
}

// logs has what the replicas wrote, by the reference that a caller got. Lines
// that a kill kept from being written are missing.
type logs struct {
	rules map[string]string // by which something was refused
	lines map[string][]string
	loud  []string // warnings and errors
}

func (l *logs) read(r *replica) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range r.processes {
		for line := range bytes.Lines(p.Output()) {
			var said struct {
				Request string `json:"request_id"`
				Rule    string `json:"rule"`
				Level   string `json:"level"`
			}
			text := r.name + " " + strings.TrimSpace(string(line))
			switch bad := json.Unmarshal(line, &said); {
			case bad != nil, said.Request == "" && said.Level != "INFO":
				l.loud = append(l.loud, text)
			case said.Rule != "":
				l.rules[said.Request] = said.Rule
			}
			if said.Request != "" {
				l.lines[said.Request] = append(l.lines[said.Request], text)
			}
		}
	}
}

// quiet is a scope whose things do not show their logs when the test fails: a
// replica is started many times, and the account quotes the lines that matter.
type quiet struct{ lab.Scope }

// Failed implements lab.Scope.
func (quiet) Failed() bool { return false }

// newFleet starts n replicas, each with a wire of its own to the database, and
// nginx before them. provider is that part of the configuration.
func newFleet(s lab.Scope, o Options, name string, port int, provider, database string, n int) *fleet {
	s.Helper()
	f := &fleet{name: name, front: fmt.Sprintf("127.0.0.1:%d", port), public: fmt.Sprintf("http://auth.localhost:%d", port)}
	names, addresses := map[string]string{}, []string(nil)
	for i := range n {
		r := &replica{
			name: fmt.Sprintf("%s-%d", name, i+1), scope: quiet{s}, public: f.public,
			address: fmt.Sprintf("127.0.0.1:%d", lab.FreePort(s)), admin: fmt.Sprintf("127.0.0.1:%d", lab.FreePort(s)),
		}
		dsn := database
		if host, rest, ok := strings.Cut(database, o.postgres); ok {
			var to string
			r.wire, to = newWire(s, o.postgres)
			dsn = host + to + rest
		}
		r.file = filepath.Join(lab.TempDir(s, r.name), "onedoor.yaml")
		r.config = o.config(f.public, r, provider, dsn)
		if err := os.WriteFile(r.file, []byte(r.config), 0o600); err != nil {
			s.Fatalf("%s: %v", r.name, err)
		}
		names[r.address] = r.name
		addresses = append(addresses, r.address)
		f.replicas = append(f.replicas, r)
	}
	startNginx(quiet{s}, f.front, addresses)
	f.crowd = &crowd{front: f.front, public: f.public, names: names, ledger: newLedger(name), kills: &kills{names: names}}
	for i, r := range f.replicas {
		r.start()
		if i == 0 {
			r.await() // it makes the tables
		}
	}
	for _, r := range f.replicas {
		r.await()
	}
	return f
}

func dial(address string) error {
	conn, err := net.DialTimeout("tcp", address, time.Second)
	if err == nil {
		err = conn.Close()
	}
	return err
}
