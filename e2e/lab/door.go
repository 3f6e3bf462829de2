//go:build linux

package lab

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
)

// Door is `onedoor serve`, the program that is tested.
type Door struct {
	*Process
	Address string // where its first listener is, in its network
	File    string // its configuration
	net     *Net
	origin  string
}

// DoorOptions say how the door is started.
type DoorOptions struct {
	Net     *Net
	Address string // of the listener that answers for Origin
	Origin  string // a public origin of the configuration
	Config  string // the whole configuration, as a person would write it
	Files   int    // how many it may have open; 0: as many as the test
}

// StartDoor starts the door and returns when it says that it is ready.
func StartDoor(s Scope, o DoorOptions) *Door {
	s.Helper()
	d := StartDoorUnready(s, o)
	d.AwaitStatus(s, "/onedoor/health/ready", http.StatusOK)
	return d
}

// StartDoorUnready starts the door and returns when it says that it lives.
func StartDoorUnready(s Scope, o DoorOptions) *Door {
	s.Helper()
	dir := TempDir(s, "door")
	file := filepath.Join(dir, "onedoor.yaml")
	if err := os.WriteFile(file, []byte(o.Config), 0o600); err != nil {
		s.Fatalf("door: %v", err)
	}
	args := []string{DoorProgram(s), "serve", "-c", file}
	if o.Files > 0 {
		args = append([]string{"prlimit", fmt.Sprintf("--nofile=%d", o.Files)}, args...)
	}
	cmd := o.Net.Command(args[0], args[1:]...)
	cmd.Dir = dir
	d := &Door{Process: Start(s, "onedoor", cmd), Address: o.Address, File: file, net: o.Net, origin: o.Origin}
	d.AwaitStatus(s, "/onedoor/health/live", http.StatusOK)
	return d
}

// Client speaks to the door as somebody for whom every name leads to it.
func (d *Door) Client() *http.Client { return HTTPClient(DialTo(d.net, d.Address)) }

// AwaitStatus returns when the door answers a path of its public origin so.
func (d *Door) AwaitStatus(s Scope, path string, status int) {
	s.Helper()
	client := d.Client()
	d.Await(s, path+" answers "+http.StatusText(status), func() error { return answers(client, d.origin+path, status) })
}

var program struct {
	once sync.Once
	path string
	err  error
	out  []byte
}

// DoorProgram is the program under test: $ONEDOOR_BIN, or one built here, once.
func DoorProgram(s Scope) string {
	s.Helper()
	program.once.Do(func() {
		if program.path = os.Getenv("ONEDOOR_BIN"); program.path != "" {
			return
		}
		program.path = filepath.Join(CacheDir(), "bin", "onedoor")
		build := exec.Command("go", "build", "-o", program.path, "./cmd/onedoor")
		build.Dir = Root()
		program.out, program.err = build.CombinedOutput()
	})
	if program.err != nil {
		s.Fatalf("building onedoor: %v\n%s", program.err, program.out)
	}
	return program.path
}
