//go:build linux

package lab

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// SmallDisk mounts a disk of that many octets, and gives its directory.
func SmallDisk(s Scope, size int) string {
	s.Helper()
	dir := TempDir(s, "disk")
	if err := syscall.Mount("onedoor-test", dir, "tmpfs", 0, fmt.Sprintf("size=%d", size)); err != nil {
		s.Fatalf("mount: %v (the end-to-end tests run as root)", err)
	}
	s.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	return dir
}

// Fill takes all room that is left on a disk, and gives back a function that
// makes room again.
func Fill(s Scope, dir string) (makeRoom func()) {
	s.Helper()
	ballast := filepath.Join(dir, "ballast")
	f, err := os.Create(ballast)
	if err != nil {
		s.Fatalf("%v", err)
	}
	block := make([]byte, 4<<10)
	for err == nil {
		_, err = f.Write(block)
	}
	_ = f.Close()
	return func() { _ = os.Remove(ballast) }
}
