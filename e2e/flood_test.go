//go:build e2e && linux

package e2e

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"onedoor/e2e/lab"
)

const (
	flood = 10_000
	// floodMemory is what a door with that many connections may have in memory,
	// in octets: 30 KiB for each, and its own.
	floodMemory = flood*30<<10 + 100<<20
)

// TestTenThousandConnections are half of them idle and half of them send a
// header octet by octet. Others are served meanwhile, the slow ones are closed
// in time, and where there is room for a tenth only, the idle ones make it.
func TestTenThousandConnections(t *testing.T) {
	for _, tt := range []struct {
		name        string
		connections int
	}{{"with room for all", 12_000}, {"with room for a tenth", flood / 10}} {
		t.Run(tt.name, func(t *testing.T) {
			d := floodDoor(t, tt.connections)
			conns := d.open(t, flood, tt.connections)
			deadline := time.Now().Add(2 * d.headerTimeout)
			for range 20 {
				began := time.Now()
				if status := d.get(t); status != http.StatusOK {
					t.Errorf("another caller: %d", status)
				}
				if took := time.Since(began); took > 2*time.Second && tt.connections > flood {
					t.Errorf("another caller waited %s", took)
				}
			}
			if memory := d.door.Memory(t); memory > floodMemory {
				t.Errorf("%d MB in memory, want at most %d", memory>>20, floodMemory>>20)
			} else {
				t.Logf("%d MB in memory", memory>>20)
			}
			lab.Await(t, "the slow connections to be closed", func() error {
				if left := conns.slow.Load(); left > 0 && time.Now().Before(deadline.Add(time.Minute)) {
					return fmt.Errorf("%d are open", left)
				}
				return nil
			})
			if left := conns.slow.Load(); left > 0 {
				t.Errorf("%d slow connections are open after %s", left, d.headerTimeout)
			}
			if idle := conns.idle.Load(); tt.connections > flood && idle < flood/2 {
				t.Errorf("%d of %d idle connections were closed, and there was room", flood/2-idle, flood/2)
			} else if tt.connections < flood && int(idle) > tt.connections {
				t.Errorf("%d idle connections are open, and %d are allowed", idle, tt.connections)
			}
		})
	}
}

type flooded struct {
	door          *lab.Door
	address       string
	headerTimeout time.Duration
}

func floodDoor(t *testing.T, connections int) *flooded {
	provider, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := fmt.Sprintf("127.0.0.1:%d", lab.FreePort(t))
	issuer := "http://auth.localhost/r"
	lab.Serve(t, provider, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/openid-configuration") {
			fmt.Fprintf(w, `{"issuer":%q,"authorization_endpoint":"%[2]s/auth","token_endpoint":"%[2]s/token"}`, issuer, issuer)
			return
		}
		fmt.Fprint(w, "served")
	}))
	d := &flooded{address: address, headerTimeout: 5 * time.Second}
	d.door = lab.StartDoor(t, lab.DoorOptions{
		Net: lab.Here, Address: address, Origin: "http://auth.localhost",
		Config: fmt.Sprintf("public_url: http://auth.localhost\nlisten: %s\nprovider: {upstream: \"http://%s\", issuers: [/r]}\nlog: {level: warn}\nlimits: {connections: %d, header_timeout: %s}\n",
			address, provider.Addr(), connections, d.headerTimeout),
	})
	return d
}

// floodConns are connections that the door has not closed.
type floodConns struct{ idle, slow atomic.Int64 }

// open opens n connections: every other one makes a request and stays, the
// rest begin one and send an octet a second.
func (d *flooded) open(t *testing.T, n, room int) *floodConns {
	t.Helper()
	c := &floodConns{}
	var opening sync.WaitGroup
	work := make(chan int)
	for range 50 {
		opening.Go(func() {
			for i := range work {
				d.openOne(t, c, i%2 == 0 || room < n)
			}
		})
	}
	for i := range n {
		work <- i
	}
	close(work)
	opening.Wait()
	return c
}

func (d *flooded) openOne(t *testing.T, all *floodConns, idle bool) {
	c, err := net.Dial("tcp", d.address)
	if err != nil {
		t.Error(err)
		return
	}
	t.Cleanup(func() { _ = c.Close() })
	count := &all.slow
	if idle {
		count = &all.idle
		_ = c.SetDeadline(time.Now().Add(time.Minute))
		fmt.Fprint(c, "GET /onedoor/health/live HTTP/1.1\r\nHost: auth.localhost\r\n\r\n")
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Errorf("a connection that says what it wants: %v", err)
			return
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = c.SetDeadline(time.Time{})
	} else {
		fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: auth.localhost\r\nX-Slow: ")
		go func() {
			second := time.NewTicker(time.Second)
			defer second.Stop()
			for range second.C {
				if _, err := c.Write([]byte("a")); err != nil {
					return
				}
			}
		}()
	}
	count.Add(1)
	go func() {
		_, _ = io.Copy(io.Discard, c) // until the door closes it
		count.Add(-1)
	}()
}

func (d *flooded) get(t *testing.T) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+d.address+"/page", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = "auth.localhost"
	resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
	if err != nil {
		t.Error(err)
		return 0
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}
