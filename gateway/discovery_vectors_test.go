package gateway

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"net"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"onedoor/horizon"
	"onedoor/oidc"
)

func itoa(n int) string { return strconv.Itoa(n) }

type discoveryCase struct {
	ID, Group, Fixture, Peer, Method, Why string
	HTTPVersion                           string `json:"http_version"`
	RawTarget                             string `json:"raw_target"`
	Host                                  *string
	Headers                               [][2]string
	Expect                                struct {
		StatusOK []int `json:"status_ok"`
		Origin   *string
		Issuer   string
		AnyOf    []struct {
			Status int
			Origin *string
		} `json:"any_of"`
	}
}

type discoveryFixture struct {
	Listener       string
	TrustedProxies []netip.Prefix `json:"trusted_proxies"`
	ForwardedMode  string         `json:"forwarded_mode"`
	Horizons       map[string]struct{ Origins []string }
	Issuer         string
}

func (f discoveryFixture) listener() horizon.Listener {
	modes := map[string]horizon.Forwarded{"x-forwarded": horizon.XForwarded, "forwarded": horizon.RFC7239, "none": horizon.None}
	return horizon.Listener{
		Public: f.Horizons["public"].Origins, Internal: f.Horizons["internal"].Origins,
		TLS: strings.Contains(f.Listener, "TLS"), TrustedProxies: f.TrustedProxies, Forwarded: modes[f.ForwardedMode],
	}
}

const wedeo = "/application/o/wedeo/"

func TestDiscoveryVectors(t *testing.T) {
	raw, err := os.ReadFile("../testdata/vectors/discovery.json")
	if err != nil {
		t.Fatal(err)
	}
	var v struct {
		Count    int
		Fixtures map[string]discoveryFixture
		Cases    []discoveryCase
	}
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatal(err)
	}
	if v.Count != len(v.Cases) || v.Count == 0 {
		t.Fatalf("%d cases, the head says %d", len(v.Cases), v.Count)
	}
	for name, f := range v.Fixtures {
		t.Run(name, func(t *testing.T) {
			d := openDoor(t, setup{listener: f.listener(), upstream: fakeProvider(wedeo), issuers: []string{wedeo}})
			for _, c := range v.Cases {
				if c.Fixture != name {
					continue
				}
				t.Run(c.ID, func(t *testing.T) {
					c.check(t, f, c.ask(t, d, c.RawTarget), true)
				})
				if c.RawTarget == wedeo+".well-known/openid-configuration" && (c.Method == "GET" || c.Method == "HEAD") {
					// D5: the same holds wherever else addresses could be told.
					for _, other := range []string{wedeo + "certs", "/.well-known/oauth-authorization-server/application/o/wedeo", "/.well-known/webfinger"} {
						t.Run(c.ID+other, func(t *testing.T) {
							c.check(t, f, c.ask(t, d, other), strings.Contains(other, "oauth"))
						})
					}
				}
			}
		})
	}
}

func (c *discoveryCase) ask(t *testing.T, d *door, target string) answer {
	if c.HTTPVersion == "2" {
		return c.ask2(t, d, target)
	}
	return d.raw(c.Peer, c.Method, request11(c.Method, target, c.Host, c.Headers, ""))
}

// ask2 writes HTTP/2 frames by hand: no client sends a Host beside :authority.
func (c *discoveryCase) ask2(t *testing.T, d *door, target string) answer {
	d.peers.set(c.Peer)
	tcp, err := net.Dial("tcp", d.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	conn := tls.Client(tcp, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}}) //nolint:gosec // httptest's certificate
	if err := conn.HandshakeContext(context.Background()); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write([]byte(http2.ClientPreface)); err != nil {
		t.Fatal(err)
	}
	fr := http2.NewFramer(conn, conn)
	fr.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	_ = fr.WriteSettings()
	var block strings.Builder
	enc := hpack.NewEncoder(&block)
	for _, h := range append([][2]string{{":method", c.Method}, {":scheme", "https"}, {":authority", *c.Host}, {":path", target}}, c.Headers...) {
		_ = enc.WriteField(hpack.HeaderField{Name: h[0], Value: h[1]})
	}
	_ = fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte(block.String()), EndStream: true, EndHeaders: true})
	a := answer{header: http.Header{}}
	for {
		f, err := fr.ReadFrame()
		if err != nil {
			t.Fatal(err)
		}
		switch f := f.(type) {
		case *http2.MetaHeadersFrame:
			for _, h := range f.Fields {
				if h.Name == ":status" {
					a.status, _ = strconv.Atoi(h.Value)
				} else {
					a.header.Add(h.Name, h.Value)
				}
			}
		case *http2.DataFrame:
			a.body += string(f.Data())
		case *http2.RSTStreamFrame:
			t.Fatalf("stream reset: %v", f.ErrCode)
		}
		if f.Header().StreamID == 1 && f.Header().Flags.Has(http2.FlagDataEndStream) {
			return a
		}
	}
}

func (c *discoveryCase) check(t *testing.T, f discoveryFixture, a answer, document bool) {
	t.Helper()
	if document {
		c.checkDocument(t, f, a)
	}
	all := strings.ReplaceAll(a.body, a.header.Get("X-Request-Id"), "") // random letters, which may spell anything
	delete(a.header, "X-Request-Id")
	for name, values := range a.header {
		all += " " + name + " " + strings.Join(values, " ")
	}
	for _, evil := range []string{"evil", "onedoor.internal", "traefik", "8081", "4430", "cb=1"} { // D1
		if strings.Contains(all, evil) {
			t.Errorf("D1: the answer holds %q", evil)
		}
	}
	if a.status >= 400 {
		// As with the relay: what net/http cannot parse it answers itself.
		byNetHTTP := strings.HasPrefix(a.body, "400 Bad Request")
		if !strings.Contains(a.header.Get("Cache-Control"), "no-store") && !byNetHTTP {
			t.Errorf("D3: %d without no-store: %v", a.status, a.header)
		}
		for _, o := range f.Horizons["internal"].Origins {
			if strings.Contains(a.body, o) {
				t.Errorf("D3: names %s", o)
			}
		}
	}
	origin := a.header.Get("Access-Control-Allow-Origin")
	internal := c.Expect.Origin != nil && slices.Contains(f.Horizons["internal"].Origins, *c.Expect.Origin)
	if a.header["Set-Cookie"] != nil || a.header["Access-Control-Allow-Credentials"] != nil || (origin != "" && (origin != "*" || internal)) {
		t.Errorf("D4: %v", a.header)
	}
}

func (c *discoveryCase) checkDocument(t *testing.T, f discoveryFixture, a answer) {
	t.Helper()
	got := ""
	if a.status == http.StatusOK && c.Method != "HEAD" {
		got = backChannelOrigin(t, a.body)
	}
	ok := false
	if len(c.Expect.AnyOf) > 0 {
		for _, alt := range c.Expect.AnyOf {
			ok = ok || (alt.Status == a.status && (alt.Origin == nil || *alt.Origin == got))
		}
	} else {
		ok = slices.Contains(c.Expect.StatusOK, a.status) && (a.status != http.StatusOK || got == "" || got == *c.Expect.Origin)
	}
	if !ok {
		t.Errorf("%s: got %d with %q, want %v %v", c.Why, a.status, got, c.Expect.StatusOK, c.Expect.AnyOf)
	}
	if a.status != http.StatusOK {
		return
	}
	if a.header.Get("Content-Type") != "application/json" || !strings.Contains(a.header.Get("Cache-Control"), "no-store") { // D2
		t.Errorf("D2: %v", a.header)
	}
	if c.Method == "HEAD" {
		return
	}
	m, err := oidc.ParseMetadata([]byte(a.body))
	if err != nil {
		t.Fatal(err)
	}
	public := f.Horizons["public"].Origins
	want := public[0] + wedeo
	if c.Expect.Issuer != "" {
		want = c.Expect.Issuer
	}
	if m.String("issuer") != want {
		t.Errorf("issuer %q, want %q", m.String("issuer"), want)
	}
	front := public[0]
	if slices.Contains(public, got) {
		front = got
	}
	for _, name := range []string{"authorization_endpoint", "end_session_endpoint"} {
		if !strings.HasPrefix(m.String(name), front+"/") {
			t.Errorf("%s is %q, want it on %s", name, m.String(name), front)
		}
	}
	for _, name := range []string{"check_session_iframe", "mtls_endpoint_aliases", "registration_endpoint"} {
		if m.Has(name) && name != "registration_endpoint" {
			t.Errorf("%s is there", name)
		}
	}
}

// backChannelOrigin is the one origin of all back channel endpoints.
func backChannelOrigin(t *testing.T, body string) string {
	t.Helper()
	m, err := oidc.ParseMetadata([]byte(body))
	if err != nil {
		t.Fatal(err)
	}
	got := ""
	for _, name := range []string{
		"token_endpoint", "userinfo_endpoint", "jwks_uri", "introspection_endpoint", "revocation_endpoint",
		"pushed_authorization_request_endpoint", "device_authorization_endpoint", "backchannel_authentication_endpoint",
	} {
		u := m.String(name)
		i := strings.Index(u, wedeo)
		if i < 0 || (got != "" && got != u[:i]) {
			t.Errorf("%s is %q beside %q", name, u, got)
			continue
		}
		got = u[:i]
	}
	return got
}
