//go:build linux

package lab

import (
	"os"
	"path/filepath"
)

// Library is the directory in which tools/deps keeps what a program of clients/ is
// run with.
func Library(s Scope, name string) string {
	s.Helper()
	dir := filepath.Join(CacheDir(), "clients", name)
	if _, err := os.Stat(filepath.Join(dir, ".ready")); err != nil {
		s.Fatalf("what e2e/clients/%s needs is not there; run: tools/deps e2e (%v)", name, err)
	}
	return dir
}

// NodeApp is the directory of an example, built, with its packages beside it.
func NodeApp(s Scope, name string) string {
	s.Helper()
	dir := filepath.Join(CacheDir(), "examples", name)
	if _, err := os.Stat(filepath.Join(dir, ".ready")); err != nil {
		s.Fatalf("examples/%s is not built; run: tools/deps e2e (%v)", name, err)
	}
	return dir
}
