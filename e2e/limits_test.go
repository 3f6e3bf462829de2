//go:build e2e && linux

package e2e

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"onedoor/e2e/lab"
)

// The door under callers that take more than their share. In each test people
// log in meanwhile, none of their logins may be lost, and nothing of what the
// others send may reach the provider.

// crowdConn is one of many connections that are kept open.
type crowdConn struct {
	net.Conn
	r *bufio.Reader
}

// askRelay asks for the relay of acme, whose answer is the door's own.
func (c *crowdConn) askRelay(host string) error {
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	if _, err := fmt.Fprintf(c, "GET /tenants/acme/callback?error=access_denied HTTP/1.1\r\nHost: %s\r\n\r\n", host); err != nil {
		return err
	}
	resp, err := http.ReadResponse(c.r, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if want := "http://acme.localhost:3000/callback?error=access_denied"; resp.Header.Get("Location") != want {
		return fmt.Errorf("%s, Location %q, want %q", resp.Status, resp.Header.Get("Location"), want)
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}

// connections opens n connections, each of which has been answered once.
func (b *bed) connections(n int) []*crowdConn {
	b.t.Helper()
	all, errs := make([]*crowdConn, n), make([]error, n)
	each(n, func(i int) {
		c, err := net.DialTimeout("tcp", b.address, 30*time.Second)
		if err != nil {
			errs[i] = err
			return
		}
		all[i] = &crowdConn{c, bufio.NewReader(c)}
		errs[i] = all[i].askRelay(strings.TrimPrefix(b.public, "http://"))
	})
	b.t.Cleanup(func() {
		for _, c := range all {
			if c != nil {
				_ = c.Close()
			}
		}
	})
	if err := errors.Join(errs...); err != nil {
		b.t.Fatalf("connections: %s", firstLine(err))
	}
	return all
}

func firstLine(err error) string {
	first, _, _ := strings.Cut(err.Error(), "\n")
	return first
}

// each calls f with every number below n, some at a time.
func each(n int, f func(i int)) {
	var wg sync.WaitGroup
	next := make(chan int)
	for range min(n, 64) {
		wg.Go(func() {
			for i := range next {
				f(i)
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	wg.Wait()
}

// allowFiles lets this process, and the door that it starts, open n files.
func allowFiles(t *testing.T, n uint64) {
	t.Helper()
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		t.Fatal(err)
	}
	l.Cur, l.Max = max(l.Cur, n), max(l.Max, n)
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		t.Fatalf("%d open files: %v (run it as root: make e2e)", n, err)
	}
}

// files is how many the door has open.
func (b *bed) files() int {
	b.t.Helper()
	all, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", b.door.PID()))
	if err != nil {
		b.t.Fatal(err)
	}
	return len(all)
}

func TestTenThousandConnectionsAreHeldWhilePeopleLogIn(t *testing.T) {
	const n, most = 10_000, 25 << 10 // octets of each; some 20 KiB, and what the collector has not collected
	allowFiles(t, 2*n)
	b := newBed(t, "", lab.StartDoor)
	before := b.door.Memory(t)
	all := b.connections(n)
	b.mustLogIn(20, 2*time.Second)
	used := b.door.Memory(t) - before
	t.Logf("%d connections: %d KiB each, %d MiB in all; %d files", n, used/n>>10, used>>20, b.files())
	if used > n*most {
		t.Errorf("a connection takes %d octets, want at most %d", used/n, most)
	}
	errs := make([]error, n)
	each(n, func(i int) { errs[i] = all[i].askRelay(strings.TrimPrefix(b.public, "http://")) })
	if err := errors.Join(errs...); err != nil {
		t.Errorf("a connection was lost: %s", firstLine(err))
	}
	b.untouched()
}

func TestFewFilesAreEnoughForEverybodyInTurn(t *testing.T) {
	const n, files = 2000, 256
	allowFiles(t, 4*n)
	b := newBed(t, "", func(s lab.Scope, o lab.DoorOptions) *lab.Door {
		o.Files = files
		return lab.StartDoor(s, o)
	})
	b.connections(n)
	if open := b.files(); open > files {
		t.Errorf("the door has %d files open, more than it may", open)
	}
	b.mustLogIn(20, 2*time.Second)
	b.untouched()
}

// TestAnOctetASecondHoldsUpNobody is slowloris, in its three forms: a header
// that never ends, a form that the door reads, and a body that is passed on.
func TestAnOctetASecondHoldsUpNobody(t *testing.T) {
	const n, limit = 600, 300 // twice as many as there is room for
	const bound = time.Second
	b := newBed(t, fmt.Sprintf("limits: {connections: %d, header_timeout: 1s, form_timeout: 1s, read_timeout: 1s}", limit), lab.StartDoor)
	host := strings.TrimPrefix(b.public, "http://")
	heads := []string{
		"GET /r/auth?",
		"POST /r/token HTTP/1.1\r\nHost: " + host + "\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 100000\r\n\r\n",
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var wg sync.WaitGroup
	lives := make(chan time.Duration, n)
	for i := range n {
		wg.Go(func() {
			c, err := net.DialTimeout("tcp", b.address, 30*time.Second)
			if err != nil {
				return // there was no room, and then the time was over
			}
			defer c.Close()
			began := time.Now()
			_ = trickle(ctx, c, heads[i%len(heads)])
			if ctx.Err() == nil {
				lives <- time.Since(began)
			}
		})
	}
	b.mustLogIn(10, 5*bound)
	lab.Await(t, "every one of them was let go", func() error {
		if len(lives) < n {
			return fmt.Errorf("%d of %d", len(lives), n)
		}
		return nil
	})
	cancel()
	wg.Wait()
	b.mustLogIn(10, 2*time.Second)
	if got := b.idp.count("/token"); got != 20 {
		t.Errorf("%d token requests reached the provider, want those of 20 logins", got)
	}
}

// trickle sends a beginning and then an octet now and then, until the other side
// has had enough.
func trickle(ctx context.Context, c net.Conn, head string) error {
	gone := make(chan error, 1)
	go func() {
		_, err := io.Copy(io.Discard, c)
		gone <- err
	}()
	if _, err := io.WriteString(c, head); err != nil {
		return err
	}
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-gone:
			return err
		case <-tick.C:
			if _, err := io.WriteString(c, "a"); err != nil {
				return err
			}
		}
	}
}

func TestAMegabyteWhereNobodyExpectsItIsRefused(t *testing.T) {
	b := newBed(t, "", lab.StartDoor)
	host, mega := strings.TrimPrefix(b.public, "http://"), strings.Repeat("a", 1<<20)
	for _, tt := range []struct {
		name, request string
		want          []int
	}{
		{"a field", "GET /r/auth HTTP/1.1\r\nHost: " + host + "\r\nX-Mega: " + mega + "\r\n\r\n", []int{431}},
		{"a cookie", "GET /r/auth HTTP/1.1\r\nHost: " + host + "\r\nCookie: a=" + mega + "\r\n\r\n", []int{431}},
		{"ten thousand fields", "GET /r/auth HTTP/1.1\r\nHost: " + host + "\r\n" + strings.Repeat("X-Mega: "+mega[:92]+"\r\n", 10_000) + "\r\n", []int{431}},
		{"a target", "GET /r/auth?state=" + mega + " HTTP/1.1\r\nHost: " + host + "\r\n\r\n", []int{414, 431}},
		{"a form", "POST /r/token HTTP/1.1\r\nHost: " + host + "\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 1048576\r\n\r\n" + mega, []int{413}},
		{"a form that does not say how long it is", "POST /r/token HTTP/1.1\r\nHost: " + host + "\r\nContent-Type: application/x-www-form-urlencoded\r\nTransfer-Encoding: chunked\r\n\r\n100000\r\n" + mega + "\r\n0\r\n\r\n", []int{413}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, err := net.DialTimeout("tcp", b.address, 10*time.Second)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			_ = c.SetDeadline(time.Now().Add(20 * time.Second))
			go func() { _, _ = io.WriteString(c, tt.request) }() // it is not read to its end
			resp, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			for _, want := range tt.want {
				if resp.StatusCode == want {
					return
				}
			}
			t.Errorf("%s, want %d", resp.Status, tt.want)
		})
	}
	b.untouched()
	b.mustLogIn(5, 2*time.Second)
}

func TestASlowProviderHoldsUpNobodyWhoDoesNotNeedIt(t *testing.T) {
	const n = 40
	b := newBed(t, fmt.Sprintf("limits: {provider_requests: %d, provider_timeout: 2s}", n), lab.StartDoor)
	began := time.Now()
	answers := make(chan string, n)
	for range n {
		go func() {
			resp, _, err := b.request(http.MethodGet, "/r/slow", nil)
			if err != nil {
				answers <- err.Error()
				return
			}
			answers <- resp.Status
		}()
	}
	lab.Await(t, "all of them wait for the provider", func() error {
		if got := b.idp.count("/slow"); got < n {
			return fmt.Errorf("%d of %d", got, n)
		}
		return nil
	})
	resp, _, err := b.request(http.MethodGet, "/r/slow", nil)
	if err != nil || resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" {
		t.Errorf("one more request: %v %v, want 503 at once", resp, err)
	}
	if resp, _, err := b.request(http.MethodGet, "/tenants/acme/callback?code=c&state=s", nil); err != nil || resp.StatusCode/100 != 3 {
		t.Errorf("the relay: %v %v", resp, err)
	}
	if resp, _, err := b.request(http.MethodGet, "/r/.well-known/openid-configuration", nil); err != nil || resp.StatusCode != http.StatusOK {
		t.Errorf("discovery: %v %v", resp, err)
	}
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("those who did not need the provider were answered after %v", took)
	}
	for range n {
		if got := <-answers; !strings.HasPrefix(got, "504") {
			t.Errorf("a request that the provider does not answer: %s, want 504", got)
		}
	}
	close(b.idp.slow)
	b.mustLogIn(5, 2*time.Second)
}

// untouched says that nothing of what the others sent reached the provider.
func (b *bed) untouched() {
	b.t.Helper()
	b.idp.mu.Lock()
	defer b.idp.mu.Unlock()
	for path, n := range b.idp.came {
		switch {
		case strings.Contains(path, "/.well-known/"):
		case strings.HasSuffix(path, "/auth"), strings.HasSuffix(path, "/token"):
			if n != b.logins {
				b.t.Errorf("%s was asked %d times by %d logins", path, n, b.logins)
			}
		default:
			b.t.Errorf("%s reached the provider", path)
		}
	}
}
