//go:build linux

package lab

import (
	"os"
	"path/filepath"
)

// NodeApp is the directory of an example, built, with its packages beside it.
func NodeApp(s Scope, name string) string {
	s.Helper()
	dir := filepath.Join(CacheDir(), "examples", name)
	if _, err := os.Stat(filepath.Join(dir, ".ready")); err != nil {
		s.Fatalf("examples/%s is not built; run: tools/deps e2e (%v)", name, err)
	}
	return dir
}
