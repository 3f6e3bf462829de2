//go:build linux

package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// process is a program that is measured, with the processes that it started.
type process struct {
	name    string
	cmd     *exec.Cmd
	log     string
	done    chan struct{}
	members []int // process ids, itself first; known after ready
}

// start runs a program whose output goes to a file in dir. It is called on the
// main thread only: the kernel ends the program with the thread that made it.
func start(dir, name string, args ...string) (*process, error) {
	p := &process{name: filepath.Base(name), cmd: exec.Command(name, args...), log: filepath.Join(dir, "log"), done: make(chan struct{})}
	log, err := os.Create(p.log)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	p.cmd.Dir = dir
	p.cmd.Env = append(os.Environ(), "HOME="+dir, "XDG_CONFIG_HOME="+dir, "XDG_DATA_HOME="+dir)
	p.cmd.Stdout, p.cmd.Stderr = log, log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		_ = p.cmd.Wait() // why it ended is in its log
		close(p.done)
	}()
	return p, nil
}

// stop asks the program to end, and makes it after ten seconds.
func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	if !pause(context.Background(), p.done, 10*time.Second) {
		_ = p.cmd.Process.Kill()
	}
	<-p.done
}

// pause waits for d, or until done or the context ends; true when done did.
func pause(ctx context.Context, done <-chan struct{}, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-done:
		return true
	case <-ctx.Done():
	case <-t.C:
	}
	return false
}

// await asks until ask succeeds.
func (p *process) await(ctx context.Context, every time.Duration, ask func() error) error {
	began := time.Now()
	for {
		err := ask()
		if err == nil {
			p.members, err = family(p.cmd.Process.Pid)
			return err
		}
		if pause(ctx, p.done, every) || ctx.Err() != nil || time.Since(began) > time.Minute {
			return fmt.Errorf("%s does not answer: %w\n%s", p.name, err, p.tail())
		}
	}
}

func (p *process) tail() []byte {
	all, _ := os.ReadFile(p.log)
	return all[max(0, len(all)-4000):]
}

// family lists a process and its children: nginx works in several.
func family(pid int) ([]int, error) {
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil, err
	}
	all := []int{pid}
	for _, name := range stats {
		stat, err := os.ReadFile(name)
		if err != nil {
			continue // it has ended since
		}
		// The name in parentheses may hold anything; the state and the parent
		// follow the last one (proc_pid_stat(5)).
		fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
		if len(fields) > 1 && string(fields[1]) == strconv.Itoa(pid) {
			child, err := strconv.Atoi(filepath.Base(filepath.Dir(name)))
			if err != nil {
				return nil, err
			}
			all = append(all, child)
		}
	}
	return all, nil
}

// cpu is the user and system time of all threads of the program so far. It is
// what /proc/PID/stat says in ticks of 10 ms, read from the process's CPU clock
// in nanoseconds (clock_getcpuclockid(3)): a round is short.
func (p *process) cpu() (time.Duration, error) {
	var sum time.Duration
	for _, pid := range p.members {
		const schedulerTime = 2 // CPUCLOCK_SCHED of the kernel's posix-timers.h
		var t unix.Timespec
		if err := unix.ClockGettime(int32(^pid<<3|schedulerTime), &t); err != nil {
			return 0, fmt.Errorf("CPU time of %s (%d): %w", p.name, pid, err)
		}
		sum += time.Duration(t.Nano())
	}
	return sum, nil
}

// memory is the resident set of the program in MB; pages that nginx's processes
// share count for each.
func (p *process) memory() (float64, error) {
	var sum float64
	for _, pid := range p.members {
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err != nil {
			return 0, err
		}
		_, rest, _ := bytes.Cut(status, []byte("\nVmRSS:"))
		fields := bytes.Fields(rest)
		if len(fields) == 0 {
			return 0, fmt.Errorf("no VmRSS in the status of %s", p.name)
		}
		kB, err := strconv.ParseFloat(string(fields[0]), 64)
		if err != nil {
			return 0, err
		}
		sum += kB / 1000
	}
	return sum, nil
}
