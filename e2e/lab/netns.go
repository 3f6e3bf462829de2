//go:build linux

package lab

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// Net is a network namespace: a machine of its own, as far as addresses go. It
// has no name in the system; it lives as long as somebody holds it open, so a
// test binary that is killed leaves none behind.
type Net struct {
	name  string
	file  *os.File // the namespace itself; nil: the one that the test runs in
	hosts string   // the file that its programs see as /etc/hosts
}

// Here is the network that the test itself runs in.
var Here = &Net{name: "here"}

// NewNet makes a network with a loopback interface and nothing else. hosts maps
// names to addresses for the programs in it; they can look up no other name.
func NewNet(s Scope, name string, hosts map[string]string) *Net {
	s.Helper()
	n := &Net{name: name}
	made := make(chan error, 1)
	go func() {
		// The thread ends with this goroutine, for it is never unlocked: no
		// other goroutine shall ever run in the new namespace by accident.
		runtime.LockOSThread()
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			made <- fmt.Errorf("%w (the end-to-end tests run as root)", err)
			return
		}
		var err error
		n.file, err = os.Open(fmt.Sprintf("/proc/self/task/%d/ns/net", unix.Gettid()))
		made <- err
	}()
	if err := <-made; err != nil {
		s.Fatalf("network %s: %v", name, err)
	}
	s.Cleanup(func() { _ = n.file.Close() })
	var lines strings.Builder
	lines.WriteString("127.0.0.1 localhost\n")
	for host, address := range hosts {
		fmt.Fprintf(&lines, "%s %s\n", address, host)
	}
	dir := TempDir(s, "net")
	n.hosts = filepath.Join(dir, "hosts")
	if err := os.WriteFile(n.hosts, []byte(lines.String()), 0o644); err != nil {
		s.Fatalf("network %s: %v", name, err)
	}
	// Without a name service a name is unknown, as it is to a container's; an
	// empty resolv.conf would make it "try again later".
	if err := os.WriteFile(filepath.Join(dir, "nsswitch.conf"), []byte("hosts: files\n"), 0o644); err != nil {
		s.Fatalf("network %s: %v", name, err)
	}
	n.ip(s, "link", "set", "lo", "up")
	return n
}

// Connect lays a cable between two networks and gives its ends addresses of one
// /24, which is all that either can reach of the other.
func Connect(s Scope, a *Net, addressA string, b *Net, addressB string) {
	s.Helper()
	// Interface names are each namespace's own: the peer's is its network's name.
	endA, endB := "to-"+b.name, "to-"+a.name
	a.ip(s, "link", "add", endA, "type", "veth", "peer", "name", endB, "netns", b.path())
	for _, end := range []struct {
		net           *Net
		name, address string
	}{{a, endA, addressA}, {b, endB, addressB}} {
		end.net.ip(s, "address", "add", end.address+"/24", "dev", end.name)
		end.net.ip(s, "link", "set", end.name, "up")
	}
}

// path names the namespace for other programs while this one holds it open.
func (n *Net) path() string { return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), n.file.Fd()) }

func (n *Net) ip(s Scope, args ...string) {
	s.Helper()
	if out, err := n.Command("ip", args...).CombinedOutput(); err != nil {
		s.Fatalf("network %s: ip %s: %v: %s", n.name, strings.Join(args, " "), err, out)
	}
}

// Command is exec.Command in this network, with its own /etc/hosts and nobody
// to ask for other names. The program keeps the process id of the command.
func (n *Net) Command(name string, args ...string) *exec.Cmd {
	if n.file == nil {
		return exec.Command(name, args...)
	}
	const prepare = `mount --bind "$1/hosts" /etc/hosts && mount --bind "$1/nsswitch.conf" /etc/nsswitch.conf && shift && exec "$@"`
	wrapped := []string{"--net=" + n.path(), "unshare", "--mount", "sh", "-c", prepare, "sh", filepath.Dir(n.hosts), name}
	return exec.Command("nsenter", append(wrapped, args...)...)
}

// Line is Command as a line for a shell.
func (n *Net) Line(name string, args ...string) string {
	quoted := make([]string, 0, 16)
	for _, word := range n.Command(name, args...).Args {
		quoted = append(quoted, "'"+strings.ReplaceAll(word, "'", `'\''`)+"'")
	}
	return strings.Join(quoted, " ")
}

// Drop makes packets to an address of this network's own wire get lost: nobody
// has it, and nobody says so.
func (n *Net) Drop(s Scope, address string, via *Net) {
	s.Helper()
	n.ip(s, "route", "replace", address+"/32", "dev", "to-"+via.name)
	n.ip(s, "neigh", "replace", address, "lladdr", "02:00:00:00:00:01", "nud", "permanent", "dev", "to-"+via.name)
}

// do runs f on a thread that is in this network. A socket stays in the network
// that it was made in, so f may hand one out.
func (n *Net) do(f func() error) error {
	if n.file == nil {
		return f()
	}
	result := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends here
		if err := unix.Setns(int(n.file.Fd()), unix.CLONE_NEWNET); err != nil {
			result <- fmt.Errorf("network %s: %w", n.name, err)
			return
		}
		result <- f()
	}()
	return <-result
}

// DialContext connects from inside this network. The address is a literal one:
// names are for programs, which have an /etc/hosts.
func (n *Net) DialContext(ctx context.Context, network, address string) (conn net.Conn, err error) {
	err = n.do(func() error {
		conn, err = (&net.Dialer{}).DialContext(ctx, network, address)
		return err
	})
	return conn, err
}

// Listen listens inside this network.
func (n *Net) Listen(s Scope, address string) net.Listener {
	s.Helper()
	var l net.Listener
	err := n.do(func() (err error) {
		l, err = net.Listen("tcp", address)
		return err
	})
	if err != nil {
		s.Fatalf("listening on %s in network %s: %v", address, n.name, err)
	}
	s.Cleanup(func() { _ = l.Close() })
	return l
}

// Publish makes an address of one network lead to one of another, as a
// container's published port does. It returns the address that listens.
func Publish(s Scope, from *Net, listen string, to *Net, address string) string {
	s.Helper()
	l := from.Listen(s, listen)
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			go pipe(in, to, address)
		}
	}()
	return l.Addr().String()
}

func pipe(in net.Conn, to *Net, address string) {
	defer in.Close()
	out, err := to.DialContext(context.Background(), "tcp", address)
	if err != nil {
		return
	}
	defer out.Close()
	done := make(chan struct{}, 2)
	for _, way := range []struct{ dst, src net.Conn }{{out, in}, {in, out}} {
		go func() {
			_, _ = io.Copy(way.dst, way.src)
			if half, ok := way.dst.(*net.TCPConn); ok {
				_ = half.CloseWrite()
			}
			done <- struct{}{}
		}()
	}
	<-done
	<-done
}

// FreePort is a port that was free on the loopback interface a moment ago.
func FreePort(s Scope) int {
	s.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		s.Fatalf("no free port: %v", err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}
