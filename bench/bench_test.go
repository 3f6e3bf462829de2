//go:build linux

package main

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"onedoor/store"
	"onedoor/tenant"
)

func TestAWrongAnswerEndsTheRunAndIsNotCounted(t *testing.T) {
	s := &subject{origin: "http://auth.example.test:80", tenants: []string{"acme"}}
	relay, proxy := firstRelay(s), proxied(s)
	begun := relay
	begun.location, begun.prefix = relay.location[:40], true
	for _, tt := range []struct {
		name     string
		exchange exchange
		answer   string
		want     string // part of the error; "" for none
	}{
		{"the right redirect", relay, "HTTP/1.1 302 Found\r\nlocation: " + relay.location + "\r\nContent-Length: 3\r\n\r\nabc", ""},
		{"the right body", proxy, "HTTP/1.1 200 OK\r\nContent-Length: 1536\r\n\r\n" + strings.Repeat("x", 1536), ""},
		{"the beginning of a redirect that ends at random", begun, "HTTP/1.1 302 Found\r\nLocation: " + relay.location + "\r\nContent-Length: 0\r\n\r\n", ""},
		{"another beginning", begun, "HTTP/1.1 302 Found\r\nLocation: https://acme.example.org/\r\nContent-Length: 0\r\n\r\n", "want \"https://acme"},
		{"another status", relay, "HTTP/1.1 303 See Other\r\nContent-Length: 0\r\n\r\n", "want 302"},
		{"one octet less in the query", relay, "HTTP/1.1 302 Found\r\nLocation: " + relay.location[:len(relay.location)-1] + "\r\nContent-Length: 0\r\n\r\n", "want \"https://acme"},
		{"no Location", relay, "HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n", "without Location"},
		{"a short body", proxy, "HTTP/1.1 200 OK\r\nContent-Length: 1535\r\n\r\n", "want 1536"},
		{"no length", proxy, "HTTP/1.1 200 OK\r\n\r\n", "without Content-Length"},
		{"no answer", proxy, "", "EOF"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := newClient(struct {
				io.Reader
				io.Writer
			}{strings.NewReader(tt.answer), io.Discard})
			err := c.do(&tt.exchange)
			if got := errorText(err); (tt.want == "") != (err == nil) || !strings.Contains(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// answering serves the same answer to every request on a connection.
func answering(t *testing.T, answer string) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				b := make([]byte, 4096)
				for {
					if _, err := c.Read(b); err != nil {
						return
					}
					if _, err := io.WriteString(c, answer); err != nil {
						return
					}
				}
			}()
		}
	}()
	return l.Addr().(*net.TCPAddr).Port
}

func TestLoadMakesAsManyRequestsAsItWasTold(t *testing.T) {
	port := answering(t, "HTTP/1.1 200 OK\r\nContent-Length: 1536\r\n\r\n"+strings.Repeat("x", 1536))
	s := &subject{port: port, origin: "http://auth.example.test"}
	l, err := connect(s.address(), 7)
	if err != nil {
		t.Fatal(err)
	}
	defer l.close()
	if n, err := l.saturate([]exchange{proxied(s)}, 0, 100); n != 100 || err != nil {
		t.Errorf("%d requests, %v; want 100", n, err)
	}
	took, err := pace(port, 2000, 100*time.Millisecond, proxied(s))
	if len(took) != 200 || err != nil {
		t.Errorf("%d paced requests, %v; want 200", len(took), err)
	}
}

func TestCPUTimeIsThatOfTheWholeProgram(t *testing.T) {
	p := &process{name: "this test", members: []int{os.Getpid()}}
	before, err := p.cpu()
	if err != nil {
		t.Fatal(err)
	}
	for sum, until := 0, time.Now().Add(30*time.Millisecond); time.Now().Before(until); sum++ {
		_ = strconv.Itoa(sum)
	}
	after, err := p.cpu()
	if spent := after - before; err != nil || spent <= 0 || spent > 10*time.Second {
		t.Errorf("%v, %v", spent, err)
	}
	if mb, err := p.memory(); err != nil || mb < 1 {
		t.Errorf("%v MB, %v", mb, err)
	}
	if mb, err := p.share(); err != nil || mb < 1 {
		t.Errorf("a share of %v MB, %v", mb, err)
	}
}

func TestAFilledDatabaseIsOneOfTheDoors(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tenants.db")
	if err := fill(t.Context(), path, 50); err != nil {
		t.Fatal(err)
	}
	db, err := store.Open(t.Context(), path, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	found := map[string]bool{}
	revision, err := db.EachTenant(t.Context(), func(one tenant.Tenant) error {
		if one.Status != tenant.Active || !store.ValidTenantID(one.ID) {
			t.Errorf("%+v", one)
		}
		found[one.Label] = true
		return nil
	})
	n, err2 := db.TenantCount(t.Context())
	if err != nil || err2 != nil || revision != 50 || n != 50 {
		t.Errorf("%d tenants at revision %d: %v, %v", n, revision, err, err2)
	}
	for _, l := range labels(50) {
		if !found[l] {
			t.Errorf("%s is not there", l)
		}
	}
}

func TestRatiosCompareTheSameRound(t *testing.T) {
	s := series{"door": {20, 40, 90}, "nginx": {10, 20, 30}}
	if got := spreadOf(s.over("door", "nginx")); got.Median != 2 || got.High != 3 {
		t.Errorf("%+v", got)
	}
}

func TestAMissedBudgetIsReported(t *testing.T) {
	r := &report{Date: "2026-01-01", Machine: "two processors"}
	r.budget("relay", "×", 2, 2.1, 2.2, 2.3)
	r.budget("connections", "", 200, 64)
	r.budget("latency", "ms", 0.5, -3, 0.1, 5)
	r.fact("nginx", "µs", 9.87)
	var out strings.Builder
	if err := r.print(&out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"2.20 ×", "≤ 2 ×", "MISSED", "met", "too noisy to tell", "64", "9.87 µs"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, &out)
		}
	}
}
