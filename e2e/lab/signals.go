//go:build linux

package lab

import "syscall"

// PID is the program's process id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Kill ends the program and all that it started, without a warning, and returns
// when it has ended.
func (p *Process) Kill() {
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	<-p.done
}

// Terminate asks the program to end and returns when it has, with the error
// that it ended with. The caller's patience is the program's own.
func (p *Process) Terminate() error {
	_ = syscall.Kill(p.cmd.Process.Pid, syscall.SIGTERM)
	<-p.done
	return p.err
}

// Hangup asks the program to read its configuration again.
func (p *Process) Hangup() { _ = syscall.Kill(p.cmd.Process.Pid, syscall.SIGHUP) }
