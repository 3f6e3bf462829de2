//go:build linux

// Package lab is what the end-to-end tests are built from: programs that stop
// with their test, private networks, a provider, a browser, the door itself. It
// knows nothing of what is tested. Reading starts at door.go, which uses most of
// the rest; networks are in netns.go.
package lab

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
)

// Scope is the life that a thing is bound to: a test's (every *testing.T is
// one), or that of the whole test binary (Suite).
type Scope interface {
	Helper()
	Logf(format string, args ...any)
	Fatalf(format string, args ...any)
	Failed() bool
	Cleanup(func())
}

// Suite is the Scope of the whole test binary.
type Suite struct {
	mu       sync.Mutex
	cleanups []func()
}

func (s *Suite) Helper() {}

// Failed says no: what the suite owns shows its log through the test that failed.
func (s *Suite) Failed() bool { return false }

func (s *Suite) Logf(format string, args ...any) { fmt.Printf(format+"\n", args...) }

// Fatalf ends the test binary, after everything that it started has ended.
func (s *Suite) Fatalf(format string, args ...any) {
	fmt.Printf("FAIL: "+format+"\n", args...)
	s.Close()
	os.Exit(1)
}

func (s *Suite) Cleanup(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cleanups = append(s.cleanups, f)
}

// Close undoes everything, the newest first.
func (s *Suite) Close() {
	for {
		s.mu.Lock()
		last := len(s.cleanups) - 1
		if last < 0 {
			s.mu.Unlock()
			return
		}
		f := s.cleanups[last]
		s.cleanups = s.cleanups[:last]
		s.mu.Unlock()
		f()
	}
}

// TempDir is a directory that goes with its scope. Unlike testing's, it forgives
// a browser that writes one more file while it dies.
func TempDir(s Scope, name string) string {
	s.Helper()
	dir, err := os.MkdirTemp("", "onedoor-e2e-"+name+"-")
	if err != nil {
		s.Fatalf("temporary directory: %v", err)
	}
	s.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// Root is the project's directory: the one with go.mod above the tests.
func Root() string {
	dir, err := os.Getwd()
	for err == nil && dir != "/" {
		if _, missing := os.Stat(filepath.Join(dir, "go.mod")); missing == nil {
			return dir
		}
		dir = filepath.Dir(dir)
	}
	return "."
}

// CacheDir is where tools/deps put what it fetched.
func CacheDir() string {
	if dir := os.Getenv("ONEDOOR_CACHE"); dir != "" {
		return dir
	}
	return filepath.Join(Root(), ".cache")
}
