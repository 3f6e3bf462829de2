//go:build linux

package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// exchange is a request and what a right answer to it holds. A benchmark that
// takes any answer praises whoever fails fastest.
type exchange struct {
	request  []byte
	status   int
	location string // of a redirect, octet for octet
	prefix   bool   // location is its beginning; what follows is random
	length   int    // of the body, where there is no location
}

// client is one connection that is kept open.
type client struct {
	rw io.ReadWriter
	r  *bufio.Reader
}

func newClient(rw io.ReadWriter) *client { return &client{rw, bufio.NewReaderSize(rw, 8<<10)} }

// do makes one exchange. It allocates nothing, for its CPU is taken from the
// program that is measured.
func (c *client) do(e *exchange) error {
	if _, err := c.rw.Write(e.request); err != nil {
		return err
	}
	line, err := c.line()
	if err != nil {
		return err
	}
	if len(line) < 12 || string(line[:9]) != "HTTP/1.1 " || number(line[9:12]) != e.status {
		return fmt.Errorf("%q in answer to %q, want %d", line, e.request, e.status)
	}
	length, located := -1, false
	for {
		if line, err = c.line(); err != nil {
			return err
		}
		if len(line) == 0 {
			break
		}
		if v, ok := field(line, "content-length"); ok {
			length = number(v)
		}
		if v, ok := field(line, "location"); ok {
			if located = string(v) == e.location || (e.prefix && bytes.HasPrefix(v, []byte(e.location))); !located {
				return fmt.Errorf("the Location is %q, want %q", v, e.location)
			}
		}
	}
	switch {
	case length < 0:
		return errors.New("an answer without Content-Length")
	case located != (e.location != ""):
		return errors.New("an answer without Location")
	case !located && length != e.length:
		return fmt.Errorf("a body of %d octets, want %d", length, e.length)
	}
	_, err = c.r.Discard(length)
	return err
}

func (c *client) line() ([]byte, error) {
	line, err := c.r.ReadSlice('\n')
	return bytes.TrimSuffix(line, []byte("\r\n")), err
}

// field gives the value of a header line of that name, which is in lower case.
func field(line []byte, name string) ([]byte, bool) {
	if len(line) <= len(name) || line[len(name)] != ':' || !bytes.EqualFold(line[:len(name)], []byte(name)) {
		return nil, false
	}
	return bytes.TrimSpace(line[len(name)+1:]), true
}

// number reads a decimal number, and gives -1 for anything else.
func number(b []byte) int {
	n := 0
	for _, c := range b {
		if c < '0' || c > '9' || n > 1<<30 {
			return -1
		}
		n = 10*n + int(c-'0')
	}
	if len(b) == 0 {
		return -1
	}
	return n
}

// load is a number of clients of one server.
type load struct {
	clients []*client
	conns   []net.Conn
}

func connect(address string, n int) (*load, error) {
	l := &load{}
	for range n {
		c, err := net.Dial("tcp", address)
		if err != nil {
			l.close()
			return nil, err
		}
		l.conns = append(l.conns, c)
		l.clients = append(l.clients, newClient(c))
	}
	return l, nil
}

func (l *load) close() {
	for _, c := range l.conns {
		_ = c.Close()
	}
}

// saturate lets every client ask again as soon as it has its answer, for d, or
// until limit requests were made (0: no limit), and says how many were.
func (l *load) saturate(work []exchange, d time.Duration, limit int) (int, error) {
	counts, errs := make([]int, len(l.clients)), make([]error, len(l.clients))
	until := time.Now().Add(d)
	var wg sync.WaitGroup
	for i, c := range l.clients {
		share := (limit + i) / len(l.clients)
		_ = l.conns[i].SetDeadline(until.Add(20 * time.Second))
		wg.Go(func() {
			n, next := 0, rand.IntN(len(work))
			for (limit > 0 && n < share) || (limit == 0 && time.Now().Before(until)) {
				if errs[i] = c.do(&work[next]); errs[i] != nil {
					break
				}
				n++
				if next++; next == len(work) {
					next = 0
				}
			}
			counts[i] = n
		})
	}
	wg.Wait()
	sum := 0
	for _, n := range counts {
		sum += n
	}
	return sum, errors.Join(errs...)
}

// socket is a blocking connection, for threads of its own: the kernel wakes the
// reader itself, and what Go's scheduler would add is in no measurement.
type socket int

func (s socket) Read(b []byte) (int, error) {
	for {
		n, err := unix.Read(int(s), b)
		switch {
		case errors.Is(err, unix.EINTR): // Go stops threads by signals
		case n == 0 && err == nil:
			return 0, io.EOF
		default:
			return max(n, 0), err
		}
	}
}

func (s socket) Write(b []byte) (int, error) { return unix.Write(int(s), b) }

func dialSocket(port int) (socket, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	limit := unix.Timeval{Sec: 20}
	err = errors.Join(
		unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1),
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &limit),
		unix.Connect(fd, &unix.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}}))
	if err != nil {
		_ = unix.Close(fd)
		return 0, err
	}
	return socket(fd), nil
}

// pace sends rate requests a second for d, evenly spread, over a few blocking
// connections, and gives the time that each took, sorted.
func pace(port, rate int, d time.Duration, work exchange) ([]time.Duration, error) {
	const threads = 8
	interval := threads * time.Second / time.Duration(rate)
	took, errs := make([][]time.Duration, threads), make([]error, threads)
	began := time.Now().Add(20 * time.Millisecond)
	var wg sync.WaitGroup
	for i := range threads {
		wg.Go(func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			s, err := dialSocket(port)
			if err != nil {
				errs[i] = err
				return
			}
			defer func() { _ = unix.Close(int(s)) }()
			c := newClient(s)
			if errs[i] = c.do(&work); errs[i] != nil { // the connection's first
				return
			}
			n := int(d / interval)
			took[i] = make([]time.Duration, 0, n)
			for j := range n {
				at := began.Add(time.Duration(j)*interval + time.Duration(i)*interval/threads)
				if wait := time.Until(at); wait > 0 {
					t := unix.NsecToTimespec(int64(wait))
					_ = unix.Nanosleep(&t, nil) // a signal only makes one early
				}
				sent := time.Now()
				if errs[i] = c.do(&work); errs[i] != nil {
					return
				}
				took[i] = append(took[i], time.Since(sent))
			}
		})
	}
	wg.Wait()
	all := slices.Concat(took...)
	slices.Sort(all)
	return all, errors.Join(errs...)
}

// ask makes one exchange on a connection of its own.
func ask(port int, e *exchange) error {
	c, err := net.DialTimeout("tcp", "127.0.0.1:"+strconv.Itoa(port), time.Second)
	if err != nil {
		return err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(5 * time.Second))
	return newClient(c).do(e)
}
