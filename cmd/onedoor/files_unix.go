//go:build unix

package main

import "syscall"

// openFiles is how many files the process may have open; 0 where nobody knows.
// Go has raised the limit as far as it may already.
func openFiles() uint64 {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0
	}
	return uint64(limit.Cur) //nolint:unconvert // signed on some systems
}
