package gateway

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"onedoor/horizon"
	"onedoor/upstream"
)

// behind is a provider whose answers beside its metadata are a test's own.
func behind(h http.HandlerFunc) http.Handler {
	documents := fakeProvider("/realms/atlas")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "/.well-known/") {
			documents.ServeHTTP(w, r)
			return
		}
		h(w, r)
	})
}

func TestTheProviderSeesOurWordAndNobodyElses(t *testing.T) {
	d := openDoor(t, setup{upstream: fakeProvider("/realms/atlas")})
	forged := []string{
		"X-Forwarded-For: 6.6.6.6", "X-Forwarded-Host: evil.test", "X-Forwarded-Proto: gopher", "X-Forwarded-Port: 666",
		"X-Forwarded-Prefix: /evil", "X-Forwarded-Server: evil.test", "X-Forwarded-Client-Cert: evil", "x-forwarded-user: evil",
		"Forwarded: host=evil.test", "X-Real-IP: 6.6.6.6", "True-Client-IP: 6.6.6.6", "CF-Connecting-IP: 6.6.6.6", "Via: 1.1 evil.test",
		"X-Host: evil.test", "X-Original-Host: evil.test", "X-Original-URL: /evil", "X-Rewrite-URL: /evil", "X-HTTP-Method-Override: DELETE",
		"X-Forwarded-Scheme: evil", "X-Scheme: evil", "Front-End-Https: evil", "Remote-User: evil", "X-Remote-User: evil", "X-WEBAUTH-USER: evil",
		"X-authentik-username: evil", "X-Auth-Request-Email: evil", "X-Client-Cert: evil", "Client-Cert: :evil:", "Client-Cert-Chain: :evil:",
		"X-SSL-Client-Cert: evil", "SSL-Client-Cert: evil", "X-Client-Verify: evil", "X_Forwarded_Host: evil.test", "REMOTE_USER: evil",
		"Proxy: http://evil.test", "X-Request-Id: evil",
		"X-Amzn-Mtls-Clientcert: evil", "X-Amzn-Mtls-Clientcert-Leaf: evil", "X-Client-Certificate: evil", "X-TLS-Client-Cert: evil", "X-ARR-SSL: evil",
		"X-Goog-IAP-JWT-Assertion: evil", "X-Azure-ClientIP: 6.6.6.6", "Fly-Client-IP: 6.6.6.6", "WL-Proxy-Client-IP: 6.6.6.6", "Proxy-Client-IP: 6.6.6.6",
		"X-Appengine-User-Ip: 6.6.6.6", "X-Appengine-Inbound-Appid: evil", "Disguised-Host: evil.test", "X-Waws-Unencoded-Url: /evil", "X-Sendfile-Type: evil",
		"X-Accel-Mapping: /=/evil", "X-Accel-Redirect: /evil", "Cf-Access-Authenticated-User-Email: evil", "X-Pomerium-Jwt-Assertion: evil", "Tailscale-User-Login: evil",
	}
	for _, connection := range []string{"close", "close, X-Forwarded-Host, X-Forwarded-For, X-Forwarded-Proto, Host"} {
		lines := append([]string{"Connection: " + connection, "X-Kept: yes", "Cookie: a=b; c=d", "Authorization: Bearer t", "DPoP: p"}, forged...)
		a := d.get("auth.example.com", "/realms/atlas/account", lines...)
		for _, bad := range []string{"evil", "6.6.6.6", "gopher", "666", "DELETE"} {
			if strings.Contains(a.body, bad) {
				t.Errorf("Connection: %s: the provider saw %q in\n%s", connection, bad, a.body)
			}
		}
		for _, good := range []string{
			"Host: auth.example.com\n", "X-Forwarded-Host: auth.example.com\r", "X-Forwarded-Proto: https\r", "X-Forwarded-Port: 443\r",
			"X-Forwarded-For: 127.0.0.1\r", "X-Kept: yes\r", "Cookie: a=b; c=d\r", "Authorization: Bearer t\r", "Dpop: p\r",
			"X-Request-Id: " + a.header.Get("X-Request-Id") + "\r",
		} {
			if !strings.Contains(a.body, good) {
				t.Errorf("Connection: %s: the provider did not see %q in\n%s", connection, good, a.body)
			}
		}
	}
}

func TestABrowserDoesNotSayToWhichTraceItBelongs(t *testing.T) {
	d := openDoor(t, setup{
		listener: horizon.Listener{Public: []string{testOrigin}, Internal: []string{"http://onedoor:9000"}},
		upstream: fakeProvider("/realms/atlas"),
	})
	lines := []string{"traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "tracestate: a=evil", "baggage: user=evil", "B3: evil", "X-B3-TraceId: evil"}
	if a := d.get("auth.example.com", "/realms/atlas/account", lines...); strings.Contains(a.body, "evil") || strings.Contains(a.body, "0af7651916cd43dd8448eb211c80319c") {
		t.Errorf("the provider saw\n%s", a.body)
	}
	if a := d.get("onedoor:9000", "/realms/atlas/account", lines...); !strings.Contains(a.body, "0af7651916cd43dd8448eb211c80319c") {
		t.Errorf("a server's trace ended at the door:\n%s", a.body)
	}
}

func TestTheProviderSeesThePublicNameWhoeverAsks(t *testing.T) {
	d := openDoor(t, setup{
		listener: horizon.Listener{
			Public: []string{testOrigin, "https://login.example.com"}, Internal: []string{"http://onedoor:9000"},
			Forwarded: horizon.XForwarded, TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")},
		},
		upstream: fakeProvider("/realms/atlas"),
	})
	for _, host := range []string{"onedoor:9000", "login.example.com", "auth.example.com"} {
		if a := d.get(host, "/realms/atlas/account"); !strings.Contains(a.body, "Host: auth.example.com\n") || !strings.Contains(a.body, "X-Forwarded-Host: auth.example.com\r") {
			t.Errorf("by %s: %d\n%s", host, a.status, a.body)
		}
	}
	a := d.raw("10.1.2.3", "GET", []byte("GET /realms/atlas/account HTTP/1.1\r\nHost: auth.example.com\r\nX-Forwarded-Proto: https\r\nX-Forwarded-For: 6.6.6.6, 203.0.113.9\r\nConnection: close\r\n\r\n"))
	if !strings.Contains(a.body, "X-Forwarded-For: 203.0.113.9\r") {
		t.Errorf("the address of a trusted proxy's caller: %s", a.body)
	}
}

func TestTargetsGoOnOctetForOctet(t *testing.T) {
	d := openDoor(t, setup{upstream: fakeProvider("/realms/atlas")})
	for _, target := range []string{
		"/realms/atlas/x?a=1&b=%zz&c;d=%20+&a=1", "/realms/atlas/%2F%41%c3%a9", "/realms/atlas/a;v=1/b", "/realms/atlas/a//b", "/?", "/", "/?a=/../", "/a?b={c}|d", `/a{b}|c^"d"<e>`, "/a'b(c)*~!$&+,=:@",
	} {
		if a := d.get("auth.example.com", target); !strings.HasPrefix(a.body, "GET "+target+" HTTP/1.1\n") {
			t.Errorf("%s: %d %.80s", target, a.status, a.body)
		}
	}
}

func TestTargetsThatCannotBeReadOneWayAreRefused(t *testing.T) {
	var passed atomic.Int64
	d := openDoor(t, setup{upstream: behind(func(http.ResponseWriter, *http.Request) { passed.Add(1) })})
	for _, target := range []string{"/a#b", "/a?b#c", "/a?b\xff", "/\xc3\xa9", `/a\b`, "//evil.test/", "/a/./b", "/a/%2e%2e/b", "/a%00b", "/a%250ab", "/a%zz", "/a%", "/%25zz/%252e%252e/x"} {
		if a := d.get("auth.example.com", target); a.status != 400 {
			t.Errorf("%q: %d", target, a.status)
		}
	}
	if n := passed.Load(); n != 0 {
		t.Errorf("%d of them reached the provider", n)
	}
}

func TestOneAddressHasOneSpelling(t *testing.T) {
	var passed atomic.Int64
	d := openDoor(t, setup{upstream: behind(func(http.ResponseWriter, *http.Request) { passed.Add(1) })})
	private := []string{"/admin", "/metrics", "/health", "/realms/master"}
	spell := []func(string) string{
		func(p string) string { return p },
		func(p string) string { return p + "/" },
		func(p string) string { return p + "/x" },
		func(p string) string { return p + "?x" },
		func(p string) string { return p + ";x=1" },
		func(p string) string { return p + ";x=1/y" },
		func(p string) string { return p + "%3bx" },
		func(p string) string { return p + "%3fx" },
		func(p string) string { return p + "%2fx" },
		func(p string) string { return p + "%252fx" },
		func(p string) string { return p + "%00" },
		func(p string) string { return p + "%0a" },
		func(p string) string { return p + "//" },
		func(p string) string { return "/" + p },
		func(p string) string { return "/." + p },
		func(p string) string { return "/x/.." + p },
		func(p string) string { return "/x/..;" + p },
		func(p string) string { return "/x/..;a=b" + p },
		func(p string) string { return "/x/%2e%2e" + p },
		func(p string) string { return "/x/%2E." + p },
		func(p string) string { return "/x/%252e%252e" + p },
		func(p string) string { return "/x%2f..%2f" + p[1:] },
		func(p string) string { return "/%2f" + p[1:] },
		func(p string) string { return "/%5c" + p[1:] },
		func(p string) string { return `/x\..\` + p[1:] },
		func(p string) string { return "/x%5c..%5c" + p[1:] },
		func(p string) string { return p + "/../x" },
		func(p string) string { return p + "/%2e%2e/x" },
		func(p string) string { return "/;" + p },
		func(p string) string { return "/;a" + p },
		func(p string) string { return "/%" + fmt.Sprintf("%02x", p[1]) + p[2:] },
		func(p string) string { return "/%25" + fmt.Sprintf("%02x", p[1]) + p[2:] },
		strings.ToUpper,
		func(p string) string { return strings.ReplaceAll(p, "/", "//") },
		func(p string) string { return "/" + strings.ReplaceAll(p[1:], "/", "%2F") },
		func(p string) string { return "http://auth.example.com" + p },
	}
	for _, p := range private {
		for _, s := range spell {
			target := s(p)
			a := d.get("auth.example.com", target)
			if a.status != 403 && a.status != 400 && a.status != 404 || a.header.Get("Location") != "" {
				t.Errorf("%s got %d", target, a.status)
			}
		}
	}
	for _, target := range []string{
		"/realms/atlas/protocol/openid-connect/%74oken", "/realms/atlas/protocol/openid-connect//token", "/realms/atlas/protocol/openid-connect/token;x",
		"/realms/atlas/protocol/x/../openid-connect/auth", "/realms/atlas%2fprotocol/openid-connect/auth", "/x%2f..%2fonedoor/callback", "/%6fnedoor/callback",
		"/realms/atlas/%2ewell-known/openid-configuration", "/realms/other/.well-known/openid-configuration", "/.well-known/oauth-authorization-server/realms/other",
	} {
		if a := d.get("auth.example.com", target); a.status != 400 && a.status != 404 {
			t.Errorf("%s got %d", target, a.status)
		}
	}
	if n := passed.Load(); n != 0 {
		t.Errorf("%d of them reached the provider", n)
	}
	for _, target := range []string{"/administrator", "/healthy", "/realms/master2", "/realms/atlas/admin", "/x/admin", "/metricsx"} {
		if a := d.get("auth.example.com", target); a.status != 200 {
			t.Errorf("%s is closed: %d", target, a.status)
		}
	}
}

func TestClosedPathsOpenWhereTheOperatorSaysSo(t *testing.T) {
	d := openDoor(t, setup{upstream: behind(func(http.ResponseWriter, *http.Request) {}), exposed: []string{"/admin", "/realms/master/account/"}})
	for target, want := range map[string]int{
		"/admin": 200, "/admin/x": 200, "/admin/../metrics": 400, "/admin/%2e%2e/metrics": 400, "/metrics": 403, "/realms/master/account": 200, "/realms/master": 403, "/realms/master/accounts": 403,
		"/admin%2f..%2fmetrics": 400,
	} {
		if a := d.get("auth.example.com", target); a.status != want {
			t.Errorf("%s got %d, want %d", target, a.status, want)
		}
	}
}

func TestRegistrationIsClosedUnlessOpened(t *testing.T) {
	const discovery = "/realms/atlas/.well-known/openid-configuration"
	for _, open := range []bool{false, true} {
		s := setup{upstream: behind(func(http.ResponseWriter, *http.Request) {})}
		want := 403
		if open {
			s.exposed, want = []string{"/realms/atlas/register", "/realms/atlas/clients-registrations"}, 200
		}
		d := openDoor(t, s)
		for _, target := range []string{"/realms/atlas/register", "/realms/atlas/register/", "/realms/atlas/register/client-1", "/realms/atlas/clients-registrations/default"} {
			if a := d.send("POST", "auth.example.com", target, "Content-Length: 0"); a.status != want {
				t.Errorf("open %v: %s got %d", open, target, a.status)
			}
		}
		if a := d.get("auth.example.com", discovery); strings.Contains(a.body, "registration_endpoint") != open {
			t.Errorf("open %v: %s", open, a.body)
		}
	}
}

func TestCookiesOfTheProviderStayOnItsOwnHost(t *testing.T) {
	for in, want := range map[string]string{
		"a=b; Path=/; Domain=example.com; Secure; HttpOnly; SameSite=None": "a=b; Path=/; Secure; HttpOnly; SameSite=None",
		"a=b;domain=.example.com;Secure":                                   "a=b;Secure",
		"a=b; DOMAIN = example.com; domain=x":                              "a=b",
		"domain=b; Path=/":                                                 "domain=b; Path=/",
		"a=domain; Path=/domain":                                           "a=domain; Path=/domain",
	} {
		d := openDoor(t, setup{upstream: behind(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Add("Set-Cookie", in)
			w.Header().Add("Set-Cookie", "c=d")
		})})
		if got := d.get("auth.example.com", "/x").header["Set-Cookie"]; len(got) != 2 || got[0] != want || got[1] != "c=d" {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
}

func TestASessionCookieThatCameTwiceIsNobodys(t *testing.T) {
	d := openDoor(t, setup{upstream: fakeProvider("/realms/atlas")})
	a := d.get("auth.example.com", "/realms/atlas/x", "Cookie: x=1; KEYCLOAK_IDENTITY=mine; y=2; x=3; KEYCLOAK_IDENTITY=tossed; XKEYCLOAK_IDENTITY=z")
	if !strings.Contains(a.body, "Cookie: x=1; y=2; x=3; XKEYCLOAK_IDENTITY=z\r") || !strings.Contains(d.log.String(), "came twice") || strings.Contains(d.log.String(), "tossed") {
		t.Errorf("%s\n%s", a.body, d.log)
	}
	if a := d.get("auth.example.com", "/realms/atlas/x", "Cookie: KEYCLOAK_IDENTITY=mine; z=KEYCLOAK_IDENTITY=1"); !strings.Contains(a.body, "Cookie: KEYCLOAK_IDENTITY=mine;") {
		t.Errorf("one cookie was dropped: %s", a.body)
	}
}

func TestAProviderThatDoesNotAnswerHasAPage(t *testing.T) {
	d := openDoor(t, setup{
		upstream: behind(func(w http.ResponseWriter, r *http.Request) {
			switch r.URL.Path {
			case "/slow":
				<-r.Context().Done()
			case "/rude":
				conn, _, _ := http.NewResponseController(w).Hijack()
				conn.Close()
			}
		}),
		options: func(o *upstream.Options) { o.AnswerTimeout = 200 * time.Millisecond },
	})
	for path, want := range map[string]int{"/slow": 504, "/rude": 502} {
		a := d.get("auth.example.com", path, "Accept: text/html")
		if a.status != want || !strings.Contains(a.body, a.header.Get("X-Request-Id")) {
			t.Errorf("%s: %d %s", path, a.status, a.body)
		}
		if strings.Contains(a.body, "127.0.0.1") {
			t.Errorf("%s: the page tells where the provider is: %s", path, a.body)
		}
	}
}

func TestTheProvidersRestartIsSurvived(t *testing.T) {
	open := func(address string) (*http.Server, string) {
		ln, err := net.Listen("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		s := &http.Server{Handler: fakeProvider("/realms/atlas")}
		go func() { _ = s.Serve(ln) }()
		return s, ln.Addr().String()
	}
	provider, address := open("127.0.0.1:0")
	d := openDoor(t, setup{upstream: http.NotFoundHandler(), options: func(o *upstream.Options) { o.URL = &url.URL{Scheme: "http", Host: address} }})
	const discovery = "/realms/atlas/.well-known/openid-configuration"
	if a := d.get("auth.example.com", "/realms/atlas/account"); a.status != 200 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	provider.Close()
	if a := d.get("auth.example.com", "/realms/atlas/account"); a.status != 502 {
		t.Errorf("while it is down: %d", a.status)
	}
	if a := d.get("auth.example.com", discovery); a.status != 200 {
		t.Errorf("discovery while it is down: %d", a.status)
	}
	provider, _ = open(address)
	defer provider.Close()
	if a := d.get("auth.example.com", "/realms/atlas/account"); a.status != 200 {
		t.Errorf("after it: %d", a.status)
	}
}

func TestBeforeTheMetadataIsThereNothingIsPassed(t *testing.T) {
	var broken atomic.Bool
	broken.Store(true)
	good := fakeProvider("/realms/atlas")
	d := openDoor(t, setup{unready: true, upstream: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if broken.Load() {
			io.WriteString(w, "<html>starting")
			return
		}
		good.ServeHTTP(w, r)
	})})
	until(t, "a first fetch", func() bool { return !errors.Is(d.provider.Ready(), upstream.ErrNotReady) })
	for _, path := range []string{"/", "/realms/atlas/.well-known/openid-configuration", "/realms/atlas/protocol/openid-connect/token", "/onedoor/health/ready"} {
		a := d.get("auth.example.com", path)
		if a.status != 503 || a.header.Get("Retry-After") == "" || !strings.Contains(a.header.Get("Cache-Control"), "no-store") {
			t.Errorf("%s: %d %v", path, a.status, a.header)
		}
	}
	if a := d.get("10.0.0.1:9", "/onedoor/health/live"); a.status != 200 || a.body != `{"status":"live"}`+"\n" {
		t.Errorf("live: %d %s", a.status, a.body)
	}
	broken.Store(false)
	until(t, "ready", func() bool { return d.get("anything", "/onedoor/health/ready").status == 200 })
	d.gateway.Drain()
	if a := d.get("anything", "/onedoor/health/ready"); a.status != 503 {
		t.Errorf("draining: %d", a.status)
	}
}

func TestLimits(t *testing.T) {
	const maxTarget, maxHeader = 16 << 10, 64 << 10
	d := openDoor(t, setup{upstream: behind(func(http.ResponseWriter, *http.Request) {})})
	if a := d.get("auth.example.com", "/?"+strings.Repeat("a", maxTarget)); a.status != 414 {
		t.Errorf("a long target: %d", a.status)
	}
	if a := d.get("auth.example.com", "/?"+strings.Repeat("a", maxTarget-2)); a.status != 200 {
		t.Errorf("the longest target: %d", a.status)
	}
	if a := d.get("auth.example.com", "/", "X-Long: "+strings.Repeat("a", maxHeader+8192)); a.status != 431 {
		t.Errorf("long header fields: %d", a.status)
	}
	for _, request := range []string{"OPTIONS * HTTP/1.1\r\nHost: auth.example.com", "CONNECT evil.test:443 HTTP/1.1\r\nHost: evil.test:443", "GET / HTTP/1.1\r\nHost: auth.example.com\r\nHost: evil.test", "GET http://u:p@auth.example.com/ HTTP/1.1\r\nHost: auth.example.com"} {
		if a := d.raw("", "GET", []byte(request+"\r\nConnection: close\r\n\r\n")); a.status != 400 {
			t.Errorf("%q: %d", request, a.status)
		}
	}
}

func TestScriptsOfAnySiteReadPublicDocumentsOnly(t *testing.T) {
	d := openDoor(t, setup{
		listener: horizon.Listener{Public: []string{testOrigin}, Internal: []string{"http://onedoor:9000"}},
		upstream: behind(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Access-Control-Allow-Origin", r.Header.Get("Origin"))
			w.Header().Set("Access-Control-Allow-Credentials", "true")
		}),
	})
	const discovery = "/realms/atlas/.well-known/openid-configuration"
	for _, tt := range []struct{ method, host, target, want string }{
		{"GET", "auth.example.com", discovery, "*"},
		{"OPTIONS", "auth.example.com", discovery, "*"},
		{"GET", "auth.example.com", "/realms/atlas/certs", "*"},
		{"GET", "onedoor:9000", discovery, ""},
		{"GET", "onedoor:9000", "/realms/atlas/certs", ""},
	} {
		a := d.send(tt.method, tt.host, tt.target, "Origin: https://evil.test")
		if got := a.header.Get("Access-Control-Allow-Origin"); got != tt.want || a.status >= 300 || a.header["Access-Control-Allow-Credentials"] != nil {
			t.Errorf("%s %s at %s: %d %v", tt.method, tt.target, tt.host, a.status, a.header)
		}
	}
}

func TestABrowserOnAnAliasIsSentToTheOriginThatTheProviderSpeaksOf(t *testing.T) {
	d := openDoor(t, setup{listener: horizon.Listener{Public: []string{testOrigin, "https://login.example.com"}}, upstream: fakeProvider("/realms/atlas")})
	a := d.get("login.example.com", "/realms/atlas/protocol/openid-connect/auth?a=%zz&b")
	if a.status != 307 || a.header.Get("Location") != testOrigin+"/realms/atlas/protocol/openid-connect/auth?a=%zz&b" || a.header.Get("Cache-Control") != "no-store" {
		t.Errorf("%d %v", a.status, a.header)
	}
}

func TestTheLogHoldsNoSecret(t *testing.T) {
	d := openDoor(t, setup{upstream: behind(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Set-Cookie", "s=SECRET")
		w.Header().Set("Location", "https://a/?code=SECRET")
		if r.URL.Path == "/panic" {
			panic(http.ErrAbortHandler)
		}
	})})
	for _, target := range []string{"/x?code=SECRET", "/admin?x=SECRET", "//x?SECRET", "/tenants/acme/callback?code=SECRET", "/panic?SECRET", "/a/../b?SECRET", "/x?SECRET#"} {
		d.send("POST", "auth.example.com", target, "Cookie: a=SECRET", "Authorization: Basic SECRET", "Referer: https://a/?SECRET", "DPoP: SECRET", "Content-Length: 0")
	}
	if log := d.log.String(); strings.Contains(log, "SECRET") || strings.Count(log, `"msg":"request"`) < 7 {
		t.Error(log)
	}
}

func TestAPanicIsAPageAndALine(t *testing.T) {
	d := openDoor(t, setup{upstream: fakeProvider("/realms/atlas")})
	d.gateway.Directory = nil // what no configuration makes
	a := d.get("auth.example.com", "/tenants/acme/callback")
	if a.status != 500 || !strings.Contains(d.log.String(), `"msg":"panic"`) || !strings.Contains(a.body, a.header.Get("X-Request-Id")) {
		t.Errorf("%d %s\n%s", a.status, a.body, d.log)
	}
}

// TestWhatTheDoorSaysSurvivesInterimAnswers: ReverseProxy empties the header
// after each 1xx, and with it the cookie that binds a login.
func TestWhatTheDoorSaysSurvivesInterimAnswers(t *testing.T) {
	d := openDoor(t, setup{upstream: behind(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Set-Cookie", "early=1; Domain=example.com")
		w.WriteHeader(http.StatusEarlyHints)
		w.Header().Set("Set-Cookie", "late=1")
		w.WriteHeader(http.StatusOK)
	})})
	c := d.dial("")
	defer c.Close()
	fmt.Fprint(c, "GET /realms/atlas/account HTTP/1.1\r\nHost: auth.example.com\r\nConnection: close\r\n\r\n")
	all, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(all), "Domain=") || !strings.Contains(string(all), "X-Request-Id: ") || !strings.Contains(string(all), "late=1") {
		t.Errorf("%s", all)
	}
}
