//go:build linux

package lab

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

// patience bounds every wait. It is long, because two cores may be busy with
// something else, and it is only ever used up by a test that fails.
const patience = 4 * time.Minute

// Process is a program that a test started. It ends with its scope, and with
// the test binary however that ends.
type Process struct {
	Name string
	cmd  *exec.Cmd
	log  string
	done chan struct{}
	err  error // why it ended; read after done
}

// Start runs a program whose output goes to a file, shown when the test fails.
func Start(s Scope, name string, cmd *exec.Cmd) *Process {
	s.Helper()
	p := &Process{Name: name, cmd: cmd, log: filepath.Join(TempDir(s, "log"), name+".log"), done: make(chan struct{})}
	log, err := os.Create(p.log)
	if err != nil {
		s.Fatalf("%s: %v", name, err)
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	// A group of its own, so that what it starts ends with it; and the kernel
	// ends it when this process is killed and can clean up nothing.
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{} // the caller may have chosen a user
	}
	cmd.SysProcAttr.Setpgid, cmd.SysProcAttr.Pdeathsig = true, syscall.SIGKILL
	if err := fork(cmd); err != nil {
		s.Fatalf("%s: %v", name, err)
	}
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()
	s.Cleanup(func() {
		p.Stop()
		if s.Failed() {
			s.Logf("%s said:\n%s", name, p.Tail(60))
		}
	})
	return p
}

// Stop asks the program to end, makes it after ten seconds, and returns when it
// has ended.
func (p *Process) Stop() {
	group := -p.cmd.Process.Pid
	select {
	case <-p.done:
	default:
		_ = syscall.Kill(group, syscall.SIGTERM)
		select {
		case <-p.done:
		case <-time.After(10 * time.Second):
		}
	}
	_ = syscall.Kill(group, syscall.SIGKILL) // whatever it left in its group
	<-p.done
}

// Output is everything that the program has printed.
func (p *Process) Output() []byte {
	out, err := os.ReadFile(p.log)
	if err != nil {
		return []byte(err.Error())
	}
	return out
}

// Tail is the end of what the program has printed.
func (p *Process) Tail(lines int) []byte {
	all := bytes.Split(bytes.TrimSpace(p.Output()), []byte("\n"))
	return bytes.Join(all[max(0, len(all)-lines):], []byte("\n"))
}

// Await returns when the condition holds. It gives up when the program has
// ended, or when patience has.
func (p *Process) Await(s Scope, what string, holds func() error) {
	s.Helper()
	err := wait(p.done, holds)
	if err != nil {
		s.Fatalf("%s: waiting until %s: %v\n%s", p.Name, what, err, p.Tail(40))
	}
}

// Await returns when the condition holds, and fails the test when patience ends.
func Await(s Scope, what string, holds func() error) {
	s.Helper()
	if err := wait(nil, holds); err != nil {
		s.Fatalf("waiting until %s: %v", what, err)
	}
}

var errEnded = errors.New("it has ended")

func wait(ended <-chan struct{}, holds func() error) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	limit := time.NewTimer(patience)
	defer limit.Stop()
	for {
		err := holds()
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-ended:
			return fmt.Errorf("%w; last: %v", errEnded, err)
		case <-limit.C:
			return fmt.Errorf("not within %v; last: %w", patience, err)
		}
	}
}

var (
	forker     sync.Once
	forkerJobs = make(chan func())
)

// fork starts every program from one thread that lives as long as the test
// binary: the kernel takes Pdeathsig for the death of the thread that forked.
func fork(cmd *exec.Cmd) error {
	forker.Do(func() {
		go func() {
			runtime.LockOSThread()
			for job := range forkerJobs {
				job()
			}
		}()
	})
	result := make(chan error, 1)
	forkerJobs <- func() { result <- cmd.Start() }
	return <-result
}

// Memory is how much of the program is in memory, in octets.
func (p *Process) Memory(s Scope) int64 {
	s.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		s.Fatalf("%s: %v", p.Name, err)
	}
	var kB int64
	_, rest, _ := strings.Cut(string(text), "VmRSS:")
	if _, err := fmt.Sscan(rest, &kB); err != nil {
		s.Fatalf("%s: no VmRSS: %v", p.Name, err)
	}
	return kB << 10
}
