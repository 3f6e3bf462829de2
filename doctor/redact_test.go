package doctor

import (
	"encoding/json"
	"net"
	"strings"
	"testing"
)

func text(t *testing.T, r *Report) string {
	t.Helper()
	b, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// lostReport is a report with all that may be in one.
func lostReport(t *testing.T, s Subject) *Report {
	t.Helper()
	return examine(t, s, pretend("app", func(sight *Sight) {
		v := &sight.Bases[0].Discovery
		*v = Visit{For: v.For, URL: v.URL, Failure: failTimeout, Dials: []Dial{
			{Address: net.JoinHostPort("10.20.30.40", portOfURL(v.URL)), Failure: failTimeout},
			{Address: net.JoinHostPort("2001:db8::7", portOfURL(v.URL)), Failure: failTimeout},
		}}
	}))
}

func TestAddressesThatNobodyNamedAreMasked(t *testing.T) {
	f := newFake(t)
	s := Subject{Issuer: f.URL}
	r := lostReport(t, s)
	r.Redact(RedactAddresses, &s)
	got := text(t, r)
	for _, hidden := range []string{"20.30.40", "db8::7"} {
		if strings.Contains(got, hidden) {
			t.Errorf("%s is in the report: %s", hidden, got)
		}
	}
	for _, shown := range []string{"10.x.x.x", "2001::x", "127.0.0.1"} {
		if !strings.Contains(got, shown) {
			t.Errorf("%s is not in the report", shown)
		}
	}
	r = lostReport(t, s)
	r.Redact(RedactNothing, &s)
	if !strings.Contains(text(t, r), "10.20.30.40") {
		t.Error("the address is masked although all is to be shown")
	}
}

func TestASharedReportNamesNobody(t *testing.T) {
	s := Subject{
		Issuer: "http://auth.contoso.localhost:1/realms/acme", Discovery: []string{"http://keycloak-prod:1/realms/acme"},
		Clients: []Client{{ID: "contoso-web", RedirectURIs: []string{"https://acme.contoso.com/cb"}, Through: true}},
		Names:   []string{"acme"},
	}
	r := examine(t, s)
	r.Redact(RedactNames, &s)
	got := text(t, r)
	for _, hidden := range []string{"contoso", "keycloak-prod", "acme"} {
		if strings.Contains(got, hidden) {
			t.Errorf("%q is in the report: %s", hidden, got)
		}
	}
	if !strings.Contains(got, ".localhost") || !strings.Contains(got, "internal-") {
		t.Errorf("what the names are like is lost: %s", got)
	}
}

// A certificate has the names of others, and its issuer's is a company's.
func TestASharedReportNamesNobodyOfACertificate(t *testing.T) {
	for name, h := range map[string]Handshake{
		"names":    {Names: []string{"portal.globex.example.org", "*.initech.example.org", "10.20.30.40"}, Failure: failName},
		"issuer":   {Issuer: "CN=Globex Root,O=Globex", Failure: failAuthority},
		"issuer 2": {Issuer: "CN=Globex Root,O=Globex", Failure: failChain},
	} {
		s := Subject{Issuer: "https://auth.onedoor.invalid", Discovery: []string{"https://inside.onedoor.invalid"}}
		r := examine(t, s, pretend("app", func(sight *Sight) {
			for i := range sight.Bases {
				v := &sight.Bases[i].Discovery
				*v = Visit{For: v.For, URL: v.URL, Handshake: &h, Failure: h.Failure}
			}
		}))
		r.Redact(RedactNothing, &s)
		if got := strings.ToLower(text(t, r)); !strings.Contains(got, "globex") {
			t.Fatalf("%s: there is nothing to hide: %s", name, got)
		}
		r.Redact(RedactNames, &s)
		got := strings.ToLower(text(t, r))
		for _, hidden := range []string{"globex", "initech", "20.30.40"} {
			if strings.Contains(got, hidden) {
				t.Errorf("%s: %q is in the report: %s", name, hidden, got)
			}
		}
	}
}

func TestNoTokenIsInAReport(t *testing.T) {
	f := newFake(t)
	secret := token(t, "k9", map[string]any{"iss": f.URL, "aud": "app", "sub": "ada-lovelace", "email": "ada@example.com"})
	s := Subject{Issuer: f.URL, Token: secret}
	r := examine(t, s)
	r.Redact(RedactNothing, &s)
	got := text(t, r)
	for part := range strings.SplitSeq(secret, ".") {
		if strings.Contains(got, part) {
			t.Errorf("a part of the token is in the report")
		}
	}
	if strings.Contains(got, "ada") {
		t.Error("the person is in the report")
	}
}

func TestAPageThatShowsATokenIsQuotedWithoutIt(t *testing.T) {
	long := strings.Repeat("aB3-", 20)
	if got := words([]byte("<title>x</title><p>Your token is " + long + "</p><script>var t = 'x'</script>")); strings.Contains(got, long) || !strings.Contains(got, "Your token is") {
		t.Errorf("it is quoted as %q", got)
	}
}
