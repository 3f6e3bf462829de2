package gateway

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"fmt"
	"hash"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/websocket"

	"onedoor/horizon"
)

func TestWebSocketsGoThrough(t *testing.T) {
	sockets := websocket.Server{Handler: func(c *websocket.Conn) { _, _ = io.Copy(c, c) }}
	d := openDoor(t, setup{upstream: behind(sockets.ServeHTTP)})
	conn := d.dial("")
	cfg, _ := websocket.NewConfig("ws://auth.example.com/ws", "https://auth.example.com")
	ws, err := websocket.NewClient(cfg, conn)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"hello", "again"} {
		if _, err := io.WriteString(ws, text); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, len(text))
		if _, err := io.ReadFull(ws, got); err != nil || string(got) != text {
			t.Fatalf("%q, %v", got, err)
		}
	}
	ws.Close()
	until(t, "the log", func() bool { return strings.Contains(d.log.String(), `"status":101`) })
}

func TestNoOtherUpgradeGoesThrough(t *testing.T) {
	d := openDoor(t, setup{upstream: fakeProvider("/realms/atlas")})
	a := d.get("auth.example.com", "/realms/atlas/x", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA")
	if a.status != 200 || strings.Contains(a.body, "h2c") || strings.Contains(a.body, "Upgrade") {
		t.Errorf("%d %s", a.status, a.body)
	}
}

func TestStreamsArriveAsTheyAreWritten(t *testing.T) {
	next := make(chan struct{})
	d := openDoor(t, setup{upstream: behind(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		w.Header().Set("Trailer", "X-End")
		for i := range 3 {
			fmt.Fprintf(w, "data: %d\n\n", i)
			w.(http.Flusher).Flush()
			<-next
		}
		w.Header().Set("X-End", "done")
	})})
	c := d.dial("")
	defer c.Close()
	io.WriteString(c, "GET /events HTTP/1.1\r\nHost: auth.example.com\r\nTE: trailers\r\n\r\n")
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(resp.Body)
	for i := range 3 {
		line, err := lines.ReadString('\n')
		if line != fmt.Sprintf("data: %d\n", i) {
			t.Fatalf("%q, %v", line, err)
		}
		_, _ = lines.ReadString('\n')
		next <- struct{}{} // the provider writes the next one only now
	}
	_, _ = io.Copy(io.Discard, lines)
	if resp.Trailer.Get("X-End") != "done" {
		t.Errorf("trailers %v", resp.Trailer)
	}
}

func TestACallerThatLeavesCancelsItsRequest(t *testing.T) {
	arrived, cancelled := make(chan struct{}), make(chan struct{})
	d := openDoor(t, setup{upstream: behind(func(_ http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-r.Context().Done()
		close(cancelled)
	})})
	c := d.dial("")
	io.WriteString(c, "GET /slow HTTP/1.1\r\nHost: auth.example.com\r\n\r\n")
	<-arrived
	c.Close()
	<-cancelled
	until(t, "the log", func() bool { return strings.Contains(d.log.String(), `"status":499`) })
}

// endless gives n octets and hashes them.
type endless struct {
	n   int64
	sum hash.Hash
}

func (e *endless) Read(p []byte) (int, error) {
	if e.n == 0 {
		return 0, io.EOF
	}
	p = p[:min(int64(len(p)), e.n)]
	for i := range p {
		p[i] = byte(e.n + int64(i))
	}
	e.sum.Write(p)
	e.n -= int64(len(p))
	return len(p), nil
}

func TestLargeBodiesStream(t *testing.T) {
	const size = 48 << 20
	d := openDoor(t, setup{upstream: behind(func(w http.ResponseWriter, r *http.Request) {
		sum := sha256.New()
		n, _ := io.Copy(sum, r.Body)
		w.Header().Set("X-Sum", fmt.Sprintf("%d %x", n, sum.Sum(nil)))
		_, _ = io.Copy(w, &endless{n: size, sum: sha256.New()})
	})})
	for _, chunked := range []bool{false, true} {
		body := &endless{n: size, sum: sha256.New()}
		r, _ := http.NewRequest(http.MethodPost, "http://"+d.addr+"/upload", body)
		r.Host = "auth.example.com"
		if !chunked {
			r.ContentLength = size
		}
		client := &http.Client{Transport: &http.Transport{}}
		resp, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		back := sha256.New()
		n, err := io.Copy(back, resp.Body)
		resp.Body.Close()
		client.CloseIdleConnections()
		if want := fmt.Sprintf("%d %x", size, body.sum.Sum(nil)); resp.Header.Get("X-Sum") != want {
			t.Errorf("chunked %v: sent %s, arrived %s", chunked, want, resp.Header.Get("X-Sum"))
		}
		if n != size || err != nil || !bytes.Equal(back.Sum(nil), body.sum.Sum(nil)) {
			t.Errorf("chunked %v: %d octets came back, %v", chunked, n, err)
		}
	}
}

func TestHTTP2IsSpokenWithAndWithoutTLS(t *testing.T) {
	for _, secure := range []bool{true, false} {
		d := openDoor(t, setup{listener: horizon.Listener{TLS: secure, Public: []string{testOrigin}}, upstream: fakeProvider("/realms/atlas")})
		transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, Protocols: new(http.Protocols)} //nolint:gosec // httptest's certificate
		url := "http://" + d.addr
		if secure {
			url = "https://" + d.addr
			transport.Protocols.SetHTTP2(true)
		} else {
			transport.Protocols.SetUnencryptedHTTP2(true)
		}
		for _, path := range []string{"/realms/atlas/.well-known/openid-configuration", "/realms/atlas/a%2Fb?c;d"} {
			r, _ := http.NewRequest(http.MethodGet, url+path, nil)
			r.Host = "auth.example.com"
			resp, err := transport.RoundTrip(r)
			if err != nil {
				t.Fatal(err)
			}
			a := read(t, resp)
			if resp.ProtoMajor != 2 || a.status != 200 || !strings.Contains(a.body, "auth.example.com") {
				t.Errorf("TLS %v: %s %d %s", secure, resp.Proto, a.status, a.body)
			}
		}
		transport.CloseIdleConnections()
	}
}

// TestFramesAreReadOneWay: whatever is ambiguous about where a request ends is
// refused, or read by us and the provider as the same (RFC 9112 §11.2).
func TestFramesAreReadOneWay(t *testing.T) {
	var seen sync.Map
	d := openDoor(t, setup{upstream: behind(func(_ http.ResponseWriter, r *http.Request) {
		seen.Store(r.URL.Path, true)
		_, _ = io.Copy(io.Discard, r.Body)
	})})
	const smuggled = "GET /smuggled HTTP/1.1\r\nHost: auth.example.com\r\n\r\n"
	for name, request := range map[string]string{
		"two lengths":                     "POST /a HTTP/1.1\r\nHost: auth.example.com\r\nContent-Length: 0\r\nContent-Length: 44\r\n\r\n" + smuggled,
		"a list of lengths":               "POST /a HTTP/1.1\r\nHost: auth.example.com\r\nContent-Length: 0, 44\r\n\r\n" + smuggled,
		"a signed length":                 "POST /a HTTP/1.1\r\nHost: auth.example.com\r\nContent-Length: +0\r\n\r\n" + smuggled,
		"a length in hex":                 "POST /a HTTP/1.1\r\nHost: auth.example.com\r\nContent-Length: 0x0\r\n\r\n" + smuggled,
		"an unknown transfer coding":      "POST /a HTTP/1.1\r\nHost: auth.example.com\r\nTransfer-Encoding: xchunked\r\n\r\n" + smuggled,
		"chunked twice":                   "POST /a HTTP/1.1\r\nHost: auth.example.com\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + smuggled,
		"a tab in the coding":             "POST /a HTTP/1.1\r\nHost: auth.example.com\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n" + smuggled,
		"space before the colon":          "POST /a HTTP/1.1\r\nHost: auth.example.com\r\nContent-Length : 44\r\n\r\n" + smuggled,
		"a control character in a name":   "POST /a HTTP/1.1\r\nHost: auth.example.com\r\nContent-Length\x00: 44\r\n\r\n" + smuggled,
		"a carriage return in a value":    "POST /a HTTP/1.1\r\nHost: auth.example.com\r\nX: y\rContent-Length: 44\r\n\r\n" + smuggled,
		"a chunk size that overflows":     "POST /a HTTP/1.1\r\nHost: auth.example.com\r\nTransfer-Encoding: chunked\r\n\r\n10000000000000000\r\n" + smuggled,
		"a chunk without its end of line": "POST /a HTTP/1.1\r\nHost: auth.example.com\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nxx0\r\n\r\n" + smuggled,
	} {
		t.Run(name, func(t *testing.T) {
			c := d.dial("")
			defer c.Close()
			io.WriteString(c, request)
			answers := bufio.NewReader(c)
			resp, err := http.ReadResponse(answers, nil)
			if err != nil {
				t.Fatal(err)
			}
			_, _ = io.Copy(io.Discard, resp.Body)
			if resp.StatusCode != 400 && resp.StatusCode != 501 {
				t.Errorf("got %d", resp.StatusCode)
			}
			if resp, err := http.ReadResponse(answers, nil); err == nil {
				t.Errorf("the connection was used again: %d", resp.StatusCode)
			}
		})
	}
	if _, ok := seen.Load("/smuggled"); ok {
		t.Error("a smuggled request reached the provider")
	}
}

// TestWhatIsReadInOneWayGoesOnInOneWay: RFC 9112 lets a server mend two of the
// ambiguities (§5.2: a folded line is one line; §6.1: the coding wins over a
// length). net/http does, before anything is sent on: the provider sees neither.
func TestWhatIsReadInOneWayGoesOnInOneWay(t *testing.T) {
	d := openDoor(t, setup{upstream: fakeProvider("/realms/atlas")})
	a := d.send("POST", "auth.example.com", "/realms/atlas/x", "X-Folded: y\r\n Content-Length: 44")
	if a.status != 200 || !strings.Contains(a.body, "X-Folded: y Content-Length: 44\r") || strings.Contains(a.body, "\nContent-Length: 44") {
		t.Errorf("a folded line: %d %s", a.status, a.body)
	}
	a = d.raw("", "POST", []byte("POST /realms/atlas/x HTTP/1.1\r\nHost: auth.example.com\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n5\r\nhello\r\n0\r\n\r\n"))
	if a.status != 200 || strings.Contains(a.body, "Content-Length") || !strings.HasSuffix(a.body, "\n\nhello") {
		t.Errorf("length and coding: %d %s", a.status, a.body)
	}
}

func TestHTTP2DoesNotBecomeASmuggledRequest(t *testing.T) {
	d := openDoor(t, setup{upstream: fakeProvider("/realms/atlas")})
	transport := &http.Transport{Protocols: new(http.Protocols)}
	transport.Protocols.SetUnencryptedHTTP2(true)
	defer transport.CloseIdleConnections()
	r, _ := http.NewRequest(http.MethodPost, "http://"+d.addr+"/realms/atlas/x", strings.NewReader("0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"))
	r.Host, r.ContentLength = "auth.example.com", -1
	resp, err := transport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	a := read(t, resp)
	if a.status != 200 || !strings.HasSuffix(a.body, "0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n") {
		t.Errorf("the body did not stay a body: %d %q", a.status, a.body)
	}
}
