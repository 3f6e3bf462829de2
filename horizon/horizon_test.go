package horizon

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"onedoor/oidc"
)

func TestForwardedIsReadByItsLastElement(t *testing.T) {
	for _, tt := range []struct {
		name, field string
		want        hop
		bad         bool
	}{
		{name: "nothing", field: "", want: hop{}},
		{name: "one element", field: "for=192.0.2.1;host=a.example;proto=https", want: hop{"192.0.2.1", "a.example", "https"}},
		{name: "the last of two", field: "host=evil.test, host=a.example", want: hop{host: "a.example"}},
		{name: "a comma in quotes separates nothing", field: `by="x, host=evil.test";host=a.example`, want: hop{host: "a.example"}},
		{name: "an escaped quote does not end the quotes", field: `by="\", host=evil.test";host=a.example`, want: hop{host: "a.example"}},
		{name: "unknown parameters are left alone", field: "secret=x;host=a.example", want: hop{host: "a.example"}},
		{name: "IPv6 in quotes", field: `For="[2001:db8::1]:80"`, want: hop{client: "[2001:db8::1]:80"}},
		{name: "one parameter twice", field: "host=a.example;host=evil.test", bad: true},
		{name: "an unclosed quote", field: `host="a.example`, bad: true},
		{name: "a quote that ends in a backslash", field: `host="a.example\`, bad: true},
		{name: "text behind a quoted string", field: `host="a"b`, bad: true},
		{name: "no equals sign", field: "host", bad: true},
		{name: "no value", field: "host=", bad: true},
		{name: "a space before the value", field: "host= a.example", bad: true},
		{name: "a scheme that is none", field: "proto=gopher", bad: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := Listener{Forwarded: RFC7239}
			h := http.Header{}
			if tt.field != "" {
				h["Forwarded"] = []string{tt.field}
			}
			got, err := l.forwarded(h)
			if (err != nil) != tt.bad || got != tt.want {
				t.Errorf("%q: %+v, %v", tt.field, got, err)
			}
			if err != nil && !errors.Is(err, ErrHost) {
				t.Errorf("%v is not ErrHost", err)
			}
		})
	}
}

func TestTheCallersAddressIsTheNearestProxysWord(t *testing.T) {
	l := Listener{
		Public: []string{"https://auth.example.com"}, Forwarded: XForwarded,
		TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")},
	}
	for _, tt := range []struct{ name, peer, field, want string }{
		{"a trusted proxy", "10.0.0.1:80", "203.0.113.7", "203.0.113.7"},
		{"what the caller wrote before it is not believed", "10.0.0.1:80", "127.0.0.1, 203.0.113.7", "203.0.113.7"},
		{"with a port", "10.0.0.1:80", "203.0.113.7:4711", "203.0.113.7"},
		{"IPv6", "10.0.0.1:80", "2001:db8::1", "2001:db8::1"},
		{"no address", "10.0.0.1:80", "unknown", "10.0.0.1"},
		{"an IPv4 peer on an IPv6 socket", "[::ffff:10.0.0.1]:80", "203.0.113.7", "203.0.113.7"},
		{"a stranger", "203.0.113.9:80", "127.0.0.1", "203.0.113.9"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodGet, "https://auth.example.com/", nil)
			r.RemoteAddr = tt.peer
			r.Header.Set("X-Forwarded-For", tt.field)
			c, err := l.Caller(r)
			if err != nil || c.Address.String() != tt.want {
				t.Errorf("%v, %v, want %s", c.Address, err, tt.want)
			}
		})
	}
}

func TestAnOriginIsMatchedByHostAndPortAndAsFarAsKnownScheme(t *testing.T) {
	l := Listener{
		Public:   []string{"https://auth.example.com", "http://auth.example.com:8080"},
		Internal: []string{"http://onedoor:9000", "http://[::1]:9000", "http://auth.example.com"},
	}
	for _, tt := range []struct {
		host, proto string
		tls         bool
		want        string
	}{
		{host: "auth.example.com", want: "https://auth.example.com"}, // the public ones first, where nothing is said
		{host: "auth.example.com", proto: "http", want: "http://auth.example.com"},
		{host: "auth.example.com", proto: "https", want: "https://auth.example.com"},
		{host: "auth.example.com", proto: "wss", want: "https://auth.example.com"},
		{host: "auth.example.com:8080", want: "http://auth.example.com:8080"},
		{host: "auth.example.com:8080", proto: "https"},
		{host: "auth.example.com:8080", tls: true},
		{host: "auth.example.com:80", want: "http://auth.example.com"},
		{host: "ONEDOOR:9000", want: "http://onedoor:9000"},
		{host: "onedoor"},
		{host: "onedoor:80"},
		{host: "[::1]:9000", want: "http://[::1]:9000"},
		{host: "\u212Aelvin"},
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Host, r.RemoteAddr = tt.host, "10.0.0.1:1"
		here := l
		here.TLS = tt.tls
		if tt.proto != "" {
			r.Header.Set("X-Forwarded-Proto", tt.proto)
			here.Forwarded, here.TrustedProxies = XForwarded, []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
		}
		c, err := here.Caller(r)
		if c.Origin != tt.want || (err == nil) != (tt.want != "") {
			t.Errorf("Host %q, scheme %q, TLS %v: %q, %v, want %q", tt.host, tt.proto, tt.tls, c.Origin, err, tt.want)
		}
	}
	if sameFold("\u212A", "k\x00\x00") || sameFold("é", "É") {
		t.Error("letters outside ASCII were folded")
	}
}

const document = `{"x_before":1.0e+02,"issuer":"https://a.example/r","authorization_endpoint":"https://a.example/r/auth?p=1",` +
	`"token_endpoint":"https://a.example/r/token","end_session_endpoint":"https://a.example/r/out","userinfo_endpoint":"https://other.example/u",` +
	`"jwks_uri":"https://a.example.evil.test/r/jwks","registration_endpoint":"https://a.example/r/reg","check_session_iframe":"https://a.example/i",` +
	`"mtls_endpoint_aliases":{"token_endpoint":"https://mtls.example/t"},"response_types_supported":["code","id_token"],` +
	`"response_modes_supported":["query","fragment","form_post.jwt","form_post"],"grant_types_supported":["authorization_code","implicit"],` +
	`"request_parameter_supported":true,"request_object_signing_alg_values_supported":["RS256"],"authorization_signing_alg_values_supported":["RS256"],` +
	`"require_signed_request_object":false,"op_policy_uri":"https://a.example/policy","x_after":{"b":1,"a":[ 1 ]}}`

func TestViewShowsEachCallerWhatItCanReach(t *testing.T) {
	m, err := oidc.ParseMetadata([]byte(document))
	if err != nil {
		t.Fatal(err)
	}
	got := string(View(m, "https://a.example", Caller{Horizon: Internal, Origin: "http://door:9000"}, Carried{}).JSON())
	want := `{"x_before":1.0e+02,"issuer":"https://a.example/r","authorization_endpoint":"https://a.example/r/auth?p=1",` +
		`"token_endpoint":"http://door:9000/r/token","end_session_endpoint":"https://a.example/r/out","userinfo_endpoint":"https://other.example/u",` +
		`"jwks_uri":"https://a.example.evil.test/r/jwks","response_types_supported":["code"],` +
		`"response_modes_supported":["query","form_post"],"grant_types_supported":["authorization_code"],` +
		`"request_parameter_supported":false,"op_policy_uri":"https://a.example/policy","x_after":{"b":1,"a":[ 1 ]},"request_uri_parameter_supported":false}`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	alias := View(m, "https://a.example", Caller{Horizon: Public, Origin: "https://login.example"}, Carried{})
	if alias.String("authorization_endpoint") != "https://login.example/r/auth?p=1" || alias.String("issuer") != "https://a.example/r" {
		t.Errorf("by a public alias: %s", alias.JSON())
	}
	if string(m.JSON()) != document {
		t.Error("the provider's own document was changed")
	}
}

func TestViewKeepsWhatARelayCanCarry(t *testing.T) {
	m, err := oidc.ParseMetadata([]byte(document))
	if err != nil {
		t.Fatal(err)
	}
	v := View(m, "https://a.example", Caller{Horizon: Public, Origin: "https://a.example"}, Carried{Everything: true, Registration: true})
	for _, name := range []string{"response_modes_supported", "request_object_signing_alg_values_supported", "registration_endpoint"} {
		if !v.Has(name) {
			t.Errorf("%s is gone", name)
		}
	}
	if !v.Bool("request_parameter_supported") || v.Has("mtls_endpoint_aliases") || v.Has("check_session_iframe") {
		t.Errorf("%s", v.JSON())
	}
}

// FuzzCaller: whatever a request says, the answer is a configured origin or an
// error, and never panics.
func FuzzCaller(f *testing.F) {
	f.Add("auth.example.com", "for=1;host=auth.example.com", "https", "x")
	f.Add("auth.example.com:443", `host="a\`, "http,https", "a,b")
	f.Add("", ",", "", "")
	f.Fuzz(func(t *testing.T, host, forwarded, proto, xhost string) {
		for _, mode := range []Forwarded{None, XForwarded, RFC7239} {
			l := Listener{
				Public: []string{"https://auth.example.com"}, Internal: []string{"http://onedoor:9000"},
				Forwarded: mode, TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")},
			}
			r := &http.Request{Host: host, RemoteAddr: "10.0.0.1:1", Header: http.Header{
				"Forwarded": {forwarded}, "X-Forwarded-Proto": {proto}, "X-Forwarded-Host": {xhost},
			}}
			c, err := l.Caller(r)
			if err == nil && c.Origin != l.Public[0] && c.Origin != l.Internal[0] {
				t.Fatalf("origin %q", c.Origin)
			}
			if err == nil && mode == None && !strings.EqualFold(strings.Split(host, ":")[0], "auth.example.com") && c.Origin == l.Public[0] {
				t.Fatalf("Host %q was taken for the public one", host)
			}
		}
	})
}
