package gateway

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"onedoor/horizon"
	"onedoor/upstream"
)

const brief = 100 * time.Millisecond

// small are limits that a test can wait for.
func small(change func(*Limits)) func(*Options) {
	return func(o *Options) {
		o.Limits = Limits{HeaderTimeout: brief, ReadTimeout: brief, WriteTimeout: brief}
		if change != nil {
			change(&o.Limits)
		}
	}
}

// ends says what a connection had to say before it was closed.
func ends(t *testing.T, c net.Conn) string {
	t.Helper()
	said, err := io.ReadAll(c)
	if timeout := net.Error(nil); errors.As(err, &timeout) && timeout.Timeout() {
		t.Fatal("the connection stays open")
	}
	return string(said)
}

// drip sends an octet now and then until the other side does not want any more.
func drip(c net.Conn, octets string) {
	tick := time.NewTicker(brief / 10)
	defer tick.Stop()
	for i := range octets {
		<-tick.C
		if _, err := c.Write([]byte{octets[i]}); err != nil {
			return
		}
	}
}

func TestAHeaderThatComesOctetByOctetIsNotWaitedFor(t *testing.T) {
	d := openDoor(t, setup{upstream: behind(echo), gateway: small(nil)})
	for _, begins := range []string{"", "GET / HTTP/1.1\r\nHost: auth.example.com\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"} {
		c := d.dial("")
		_, _ = io.WriteString(c, begins)
		var dripping sync.WaitGroup
		if !strings.HasPrefix(begins, "PRI") {
			dripping.Go(func() { drip(c, strings.Repeat("X-Long: aaaaaaaa\r\n", 1000)) })
			ends(t, c)
		}
		c.Close()
		dripping.Wait()
	}
	until(t, "the connections to be closed", func() bool { return d.all.Open() == 0 })
	if a := d.get("auth.example.com", "/"); a.status != http.StatusOK {
		t.Errorf("another caller: %d", a.status)
	}
}

func TestAHeaderOfAMegabyteIsRefused(t *testing.T) {
	d := openDoor(t, setup{upstream: behind(echo)})
	for name, request := range map[string]string{
		"one field":   "GET / HTTP/1.1\r\nHost: auth.example.com\r\nX-Long: " + strings.Repeat("a", 1<<20) + "\r\n\r\n",
		"many fields": "GET / HTTP/1.1\r\nHost: auth.example.com\r\n" + strings.Repeat("X-Short: a\r\n", 1<<17) + "\r\n",
		"the target":  "GET /" + strings.Repeat("a", 1<<20) + " HTTP/1.1\r\nHost: auth.example.com\r\n\r\n",
	} {
		c := d.dial("")
		go func() { _, _ = io.WriteString(c, request) }()
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if resp.Body.Close(); resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge || !resp.Close {
			t.Errorf("%s: %s, close %t", name, resp.Status, resp.Close)
		}
		c.Close()
	}
}

func TestABodyThatStopsComingIsNotWaitedFor(t *testing.T) {
	d := openDoor(t, setup{upstream: behind(echo), gateway: small(nil)})
	c := d.dial("")
	defer c.Close()
	fmt.Fprint(c, "POST /upload HTTP/1.1\r\nHost: auth.example.com\r\nContent-Length: 1000\r\n\r\nsome")
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	if a := read(t, resp); a.status != http.StatusRequestTimeout || !strings.Contains(d.log.String(), "body.slow") {
		t.Errorf("%d %s\n%s", a.status, a.body, d.log)
	}
}

func TestABodyThatKeepsComingMayTakeAsLongAsItTakes(t *testing.T) {
	d := openDoor(t, setup{upstream: behind(echo), gateway: small(nil)})
	c := d.dial("")
	defer c.Close()
	began := time.Now()
	in := bufio.NewReader(c)
	for range 2 { // and the connection is good for more
		fmt.Fprint(c, "POST /upload HTTP/1.1\r\nHost: auth.example.com\r\nContent-Length: 30\r\n\r\n")
		drip(c, strings.Repeat("a", 30))
		resp, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatal(err)
		}
		if a := read(t, resp); a.status != http.StatusOK || !strings.HasSuffix(a.body, strings.Repeat("a", 30)) {
			t.Errorf("%d %s", a.status, a.body)
		}
	}
	if took := time.Since(began); took < 2*brief {
		t.Errorf("it took %s: nothing was tried", took)
	}
}

// TestAWaitLongerThanTheLimitsIsNoFault: the limits of a body end with it.
func TestAWaitLongerThanTheLimitsIsNoFault(t *testing.T) {
	d := openDoor(t, setup{gateway: small(nil), upstream: behind(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		wait := time.NewTimer(3 * brief)
		defer wait.Stop()
		select {
		case <-wait.C:
		case <-r.Context().Done():
		}
		fmt.Fprint(w, "late")
	})})
	for _, proto := range []string{"HTTP/1.1", "h2c"} {
		a := d.over(proto, http.MethodPost, "/slow", strings.NewReader("body"))
		if a.status != http.StatusOK || a.body != "late" {
			t.Errorf("%s: %d %s", proto, a.status, a.body)
		}
	}
}

// over asks in HTTP/1.1 or in HTTP/2 without TLS.
func (d *door) over(proto, method, target string, body io.Reader) answer {
	d.t.Helper()
	transport := &http.Transport{Protocols: new(http.Protocols)}
	transport.Protocols.SetHTTP1(proto == "HTTP/1.1")
	transport.Protocols.SetUnencryptedHTTP2(proto != "HTTP/1.1")
	defer transport.CloseIdleConnections()
	r, err := http.NewRequestWithContext(d.t.Context(), method, "http://"+d.addr+target, body)
	if err != nil {
		d.t.Fatal(err)
	}
	r.Host = "auth.example.com"
	resp, err := transport.RoundTrip(r)
	if err != nil {
		d.t.Fatal(err)
	}
	return read(d.t, resp)
}

func TestAnAnswerThatNobodyTakesEnds(t *testing.T) {
	var gone atomic.Int64
	d := openDoor(t, setup{gateway: small(nil), upstream: behind(func(w http.ResponseWriter, _ *http.Request) {
		defer gone.Add(1)
		for {
			if _, err := w.Write(make([]byte, 64<<10)); err != nil {
				return
			}
		}
	})})
	c := d.dial("")
	defer c.Close()
	fmt.Fprint(c, "GET /large HTTP/1.1\r\nHost: auth.example.com\r\n\r\n")
	until(t, "the provider to be let go", func() bool { return gone.Load() == 1 })

	transport := &http.Transport{Protocols: new(http.Protocols)}
	transport.Protocols.SetUnencryptedHTTP2(true)
	defer transport.CloseIdleConnections()
	r, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+d.addr+"/large", nil)
	r.Host = "auth.example.com"
	resp, err := transport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	until(t, "the provider to be let go of a stream without room", func() bool { return gone.Load() == 2 })
}

func TestTooLargeABodyIsRefused(t *testing.T) {
	var arrived atomic.Int64
	d := openDoor(t, setup{
		gateway: small(func(l *Limits) { l.BodySize, l.FormSize = 1000, 100 }),
		upstream: behind(func(w http.ResponseWriter, r *http.Request) {
			n, _ := io.Copy(io.Discard, r.Body)
			arrived.Add(n)
			echo(w, r)
		}),
	})
	for name, tt := range map[string]struct {
		target string
		body   io.Reader
		status int
	}{
		"as large as may be":    {"/upload", bytes.NewReader(make([]byte, 1000)), 200},
		"announced":             {"/upload", bytes.NewReader(make([]byte, 1001)), 413},
		"not announced":         {"/upload", io.LimitReader(zeroes{}, 1001), 413},
		"a form at an endpoint": {"/realms/atlas/protocol/openid-connect/token", strings.NewReader(url.Values{"x": {strings.Repeat("a", 100)}}.Encode()), 413},
	} {
		t.Run(name, func(t *testing.T) {
			r, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+d.addr+tt.target, tt.body)
			r.Host = "auth.example.com"
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(r)
			if err != nil {
				t.Fatal(err)
			}
			if a := read(t, resp); a.status != tt.status {
				t.Errorf("%d %s", a.status, a.body)
			}
		})
	}
	if n := arrived.Load(); n > 2001 {
		t.Errorf("%d octets arrived at the provider", n)
	}
}

type zeroes struct{}

func (zeroes) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// kept opens a connection and makes one request on it.
func (d *door) kept(target string) (net.Conn, *bufio.Reader) {
	d.t.Helper()
	c := d.dial("")
	in := bufio.NewReader(c)
	fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: auth.example.com\r\n\r\n", target)
	return c, in
}

func answered(t *testing.T, in *bufio.Reader) {
	t.Helper()
	resp, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	if a := read(t, resp); a.status != http.StatusOK {
		t.Errorf("%d %s", a.status, a.body)
	}
}

func TestWhereAllConnectionsAreTakenTheLongestIdleMakesRoom(t *testing.T) {
	d := openDoor(t, setup{upstream: behind(echo), connections: 3})
	var conns []net.Conn
	var ins []*bufio.Reader
	for range 3 {
		c, in := d.kept("/")
		defer c.Close()
		answered(t, in)
		conns, ins = append(conns, c), append(ins, in)
	}
	// The first is used again, so the second is idle longest.
	fmt.Fprint(conns[0], "GET / HTTP/1.1\r\nHost: auth.example.com\r\n\r\n")
	answered(t, ins[0])
	until(t, "it to be idle", func() bool {
		d.all.mu.Lock()
		defer d.all.mu.Unlock()
		return d.all.idle.Len() == 3
	})
	c, in := d.kept("/")
	defer c.Close()
	answered(t, in)
	if said := ends(t, conns[1]); said != "" {
		t.Errorf("said %q", said)
	}
	for _, i := range []int{0, 2} {
		fmt.Fprint(conns[i], "GET / HTTP/1.1\r\nHost: auth.example.com\r\n\r\n")
		answered(t, ins[i])
	}
	if n := d.all.Open(); n != 3 {
		t.Errorf("%d connections", n)
	}
}

func TestWhereNoConnectionIsIdleTheNextOneWaits(t *testing.T) {
	release := make(chan struct{})
	arrived := make(chan struct{}, 9)
	d := openDoor(t, setup{connections: 2, upstream: behind(func(w http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		if r.URL.Path == "/held" {
			<-release
		}
		fmt.Fprint(w, "done")
	})})
	var ins []*bufio.Reader
	for range 2 {
		c, in := d.kept("/held")
		defer c.Close()
		ins = append(ins, in)
		<-arrived
	}
	c, in := d.kept("/waits")
	defer c.Close()
	if n := d.all.Open(); n != 2 {
		t.Errorf("%d connections", n)
	}
	select {
	case <-arrived:
		t.Error("it did not wait")
	default:
	}
	close(release)
	answered(t, ins[0])
	answered(t, in)
	answered(t, ins[1])
}

func TestAConnectionThatWaitsDoesNotHoldUpTheEnd(t *testing.T) {
	d := openDoor(t, setup{connections: 1, upstream: behind(echo)})
	first, second := d.dial(""), d.dial("") // neither says anything
	defer first.Close()
	defer second.Close()
	until(t, "one to be there", func() bool { return d.all.Open() == 1 })
	if err := d.server.Close(); err != nil {
		t.Error(err)
	}
	ends(t, second)
}

func TestIdleConnectionsOfEveryKindMakeRoom(t *testing.T) {
	for _, secure := range []bool{true, false} {
		for _, two := range []bool{true, false} {
			t.Run(fmt.Sprintf("TLS %t, HTTP/2 %t", secure, two), func(t *testing.T) {
				d := openDoor(t, setup{listener: horizon.Listener{TLS: secure, Public: []string{testOrigin}}, upstream: fakeProvider("/realms/atlas"), connections: 2})
				for range 5 { // each client keeps its connection
					transport := &http.Transport{TLSClientConfig: insecure(), Protocols: new(http.Protocols)}
					defer transport.CloseIdleConnections()
					transport.Protocols.SetHTTP1(!two)
					transport.Protocols.SetHTTP2(two && secure)
					transport.Protocols.SetUnencryptedHTTP2(two && !secure)
					scheme := map[bool]string{true: "https", false: "http"}[secure]
					r, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, scheme+"://"+d.addr+"/some", nil)
					r.Host = "auth.example.com"
					resp, err := transport.RoundTrip(r)
					if err != nil {
						t.Fatal(err)
					}
					if a := read(t, resp); a.status != http.StatusOK || (resp.ProtoMajor == 2) != two {
						t.Errorf("%d %s", a.status, resp.Proto)
					}
				}
				if n := d.all.Open(); n > 2 {
					t.Errorf("%d connections", n)
				}
			})
		}
	}
}

// held is a provider that answers when it is let go.
func held() (h http.Handler, arrived chan string, release chan struct{}) {
	arrived, release = make(chan string, 99), make(chan struct{})
	return behind(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			panic(http.ErrAbortHandler) // a part of a request is none
		}
		arrived <- r.URL.Path
		if strings.HasPrefix(r.URL.Path, "/held") {
			select {
			case <-release:
			case <-r.Context().Done():
			}
		}
		fmt.Fprint(w, "done")
	}), arrived, release
}

func TestASlowProviderPilesNothingUp(t *testing.T) {
	h, arrived, release := held()
	d := openDoor(t, setup{upstream: h, options: func(o *upstream.Options) { o.Waiting = 2 }})
	var waiting []*bufio.Reader
	for range 2 {
		c, in := d.kept("/held")
		defer c.Close()
		waiting = append(waiting, in)
		<-arrived
	}
	for _, request := range []string{"GET /more", "GET /held"} {
		method, target, _ := strings.Cut(request, " ")
		a := d.send(method, "auth.example.com", target)
		if a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "" {
			t.Errorf("%s: %d %v", request, a.status, a.header)
		}
	}
	// What is answered with 503 is asked for again: the provider must not have
	// acted on it.
	for _, proto := range []string{"HTTP/1.1", "HTTP/2.0"} {
		for _, announced := range []bool{true, false} {
			for range 10 {
				var body io.Reader = strings.NewReader("body")
				if !announced {
					body = io.MultiReader(body)
				}
				a := d.over(proto, http.MethodPost, "/more", body)
				if a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "" || len(arrived) > 0 {
					t.Errorf("%s, its length announced %v: %d %v, %d at the provider", proto, announced, a.status, a.header, len(arrived))
				}
			}
		}
	}
	if !strings.Contains(d.log.String(), `"rule":"provider.busy"`) {
		t.Error("the log does not say why")
	}
	// What the door answers itself needs no provider.
	if a := d.get("auth.example.com", "/onedoor/health/live"); a.status != http.StatusOK {
		t.Errorf("live: %d", a.status)
	}
	close(release)
	for _, in := range waiting {
		answered(t, in)
	}
	if a := d.get("auth.example.com", "/more"); a.status != http.StatusOK {
		t.Errorf("afterwards: %d", a.status)
	}
}

func TestCallersThatSendSlowlyTakeNobodysTurn(t *testing.T) {
	h, arrived, _ := held()
	d := openDoor(t, setup{upstream: h, options: func(o *upstream.Options) { o.Waiting = 1 }})
	for range 5 {
		c := d.dial("")
		defer c.Close()
		fmt.Fprint(c, "POST /slow HTTP/1.1\r\nHost: auth.example.com\r\nContent-Length: 1000\r\n\r\nsome")
	}
	for range 3 {
		if a := d.get("auth.example.com", "/some"); a.status != http.StatusOK {
			t.Errorf("%d %s", a.status, a.body)
		}
		<-arrived
	}
}

func TestTurnsEndHoweverARequestEnds(t *testing.T) {
	mode := atomic.Pointer[http.HandlerFunc]{}
	set := func(h http.HandlerFunc) { mode.Store(&h) }
	d := openDoor(t, setup{
		upstream: behind(func(w http.ResponseWriter, r *http.Request) { (*mode.Load())(w, r) }),
		options:  func(o *upstream.Options) { o.Waiting, o.AnswerTimeout = 1, brief },
	})
	for _, tt := range []struct {
		name   string
		h      http.HandlerFunc
		status int
	}{
		{"hung up", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, 502},
		{"no answer in time", func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body) // or net/http would not see the door go
			<-r.Context().Done()
		}, 504},
		{"answered before the body was read", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "early") }, 200},
		{"answered", echo, 200},
	} {
		set(tt.h)
		for range 3 {
			if a := d.over("HTTP/1.1", http.MethodPost, "/some", strings.NewReader("body")); a.status != tt.status {
				t.Errorf("%s: %d %s", tt.name, a.status, a.body)
			}
		}
	}
	// A caller who goes away while he waits.
	began := make(chan struct{})
	set(func(_ http.ResponseWriter, r *http.Request) { close(began); <-r.Context().Done() })
	c, _ := d.kept("/gone")
	<-began
	c.Close()
	set(echo)
	until(t, "the turn to end", func() bool { return d.get("auth.example.com", "/some").status == http.StatusOK })
}

func insecure() *tls.Config {
	return &tls.Config{InsecureSkipVerify: true} //nolint:gosec // httptest's certificate
}
