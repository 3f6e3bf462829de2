package explain

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"
)

// one explains a line that is known.
func one(t *testing.T, line string) Answer {
	t.Helper()
	answers := Line(line)
	if len(answers) == 0 {
		t.Fatalf("not known: %s", line)
	}
	return answers[0]
}

func TestTheDifferenceOfTwoIssuersNamesTheCause(t *testing.T) {
	const a = "https://auth.example.com/realms/atlas"
	for _, tt := range []struct{ name, want, got, cause string }{
		{"a slash at the end", a, a + "/", "The slash at the end"},
		{"http behind TLS", a, "http://auth.example.com/realms/atlas", "TLS ends at a proxy"},
		{"the app has http", "http://auth.example.com/realms/atlas", a, "The app was given http"},
		{"an internal name for the app", "http://keycloak:8080/realms/atlas", a, "The app asked by an internal name"},
		{"an internal name of the provider", a, "http://keycloak:8080/realms/atlas", "The provider calls itself by an internal name"},
		{"localhost of the provider", a, "http://localhost:8080/realms/atlas", "The provider calls itself by an internal name"},
		{"two public names", a, "https://login.example.com/realms/atlas", "Two names of one provider"},
		{"another port", "http://auth.localhost/realms/atlas", "http://auth.localhost:8080/realms/atlas", "The port is part of the name"},
		{"the default port", "https://auth.example.com:443/realms/atlas", a, "https://x and https://x:443"},
		{"another realm", a, "https://auth.example.com/realms/other", "Another path"},
		{"another case", a, "https://auth.example.com/realms/Atlas", "upper and lower case in the paths"},
		{"the prefix /auth", a, "https://auth.example.com/auth/realms/atlas", "the prefix /auth"},
		{"the document's own address", a + "/.well-known/openid-configuration", a, "the address of the document"},
		{"a line break", a + `\n`, a, `\n at the end`},
		{"a zero-width space", a + "\u200b", a, "zero-width space (U+200B)"},
		{"a letter of another script", "https://аuth.example.com/realms/atlas", a, "а (U+0430)"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			answer := one(t, `oidc: issuer did not match the issuer returned by provider, expected "`+tt.want+`" got "`+tt.got+`"`)
			if got := answer.Causes[0].What; !strings.Contains(got, tt.cause) {
				t.Errorf("the first cause is %q, want %q", got, tt.cause)
			}
		})
	}
}

func TestDifferNamesEachPart(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want []Kind
	}{
		{"https://a/x", "https://a/x", nil},
		{"https://a", "https://a/", []Kind{Slash}},
		{"https://a/x", "http://a/x", []Kind{Scheme}},
		{"https://a/x", "http://b:8080/y", []Kind{Scheme, Host, Port, Path}},
		{"https://A/x", "https://a/x", []Kind{HostCase}},
		{"https://a:443/x", "https://a/x", []Kind{DefaultPort}},
		{"https://a/x", "http://a:80/x", []Kind{Scheme, DefaultPort}},
		{"https://a/X", "https://a/x", []Kind{PathCase}},
		{"https://a/x?y", "https://a/x", []Kind{Query}},
		{"https://a/x#y", "https://a/x", []Kind{Fragment}},
		{"https://a/x ", "https://a/x", []Kind{Hidden}},
		{"https://a/x/.well-known/openid-configuration", "https://a/x", []Kind{WellKnown}},
		{"http://[::1]:80/", "http://[::1]/", []Kind{DefaultPort}},
	} {
		var got []Kind
		for _, d := range Differ(tt.a, tt.b) {
			got = append(got, d.Kind)
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s and %s differ in %v, want %v", tt.a, tt.b, got, tt.want)
		}
	}
}

func TestATokenOfAnotherHostComesFromAProviderThatFollowsTheHost(t *testing.T) {
	answer := one(t, "unexpected iss value, expected https://auth.example.com/realms/atlas, got: http://keycloak:8080/realms/atlas {")
	if got := answer.Causes[0].Finding; got != "provider.follows-host" {
		t.Errorf("the first cause is %q", got)
	}
	if want := "The token's `iss` is http://keycloak:8080/realms/atlas, and the app expects https://auth.example.com/realms/atlas: by it the app knows whose token it is."; answer.Meaning != want {
		t.Errorf("it means %q", answer.Meaning)
	}
	answer = one(t, "unexpected iss value, expected https://auth.example.com/realms/atlas, got: https://auth.example.com/realms/atlas/ {")
	if got := answer.Causes[0].Finding; got != "issuer.slash" {
		t.Errorf("the first cause of a slash is %q", got)
	}
}

// Commands are copied into a shell, and a log holds what strangers sent.
func TestNoCommandHoldsWhatAShellWouldMind(t *testing.T) {
	for _, bad := range []string{"$(reboot)", "`reboot`", ";reboot", "|reboot", "&reboot", "-oreboot", "'reboot", "\nreboot", ">reboot", "x reboot", "x\\reboot"} {
		mind := bad
		if strings.HasPrefix(bad, "-") {
			mind = " " + bad // an option of its own
		}
		for _, s := range samples(t) {
			line := strings.NewReplacer("auth.example.com", bad, "keycloak", bad, "nobody", bad, "10.0.0.7", bad).Replace(s.line)
			for _, a := range Line(line) {
				for _, c := range a.Causes {
					for _, confirm := range c.Confirm {
						if strings.Contains(confirm, mind) {
							t.Errorf("%s: a command has %q: %s", a.ID, bad, confirm)
						}
					}
				}
			}
		}
	}
	if got := one(t, `Get "http://x$(reboot)/": dial tcp 127.0.0.1:80: connect: connection refused`).Causes[0].Confirm[0]; !strings.Contains(got, "getent hosts auth.example.com") {
		t.Errorf("the command is %q, want the placeholder", got)
	}
}

func TestARefusedConnectionIsToldByItsAddress(t *testing.T) {
	for address, id := range map[string]string{
		"127.0.0.1:80": "loopback", "127.0.1.1:80": "loopback", "::1:8080": "loopback", "[::1]:8080": "loopback", "0.0.0.0:80": "loopback",
		"172.18.0.4:8080": "refused", "203.0.113.7:443": "refused", "2001:db8::1:443": "refused",
	} {
		answer := one(t, "Error: connect ECONNREFUSED "+address)
		if answer.ID != id {
			t.Errorf("%s is explained by %s, want %s", address, answer.ID, id)
		}
		if port := answer.Values["port"]; port == "" || !strings.HasSuffix(address, ":"+port) {
			t.Errorf("the port of %s is %q", address, port)
		}
	}
}

func TestATimeoutIsToldByItsAddress(t *testing.T) {
	for address, cause := range map[string]string{"203.0.113.7:443": "hairpin NAT", "10.0.0.7:8080": "firewall"} {
		if got := one(t, "dial tcp "+address+": i/o timeout").Causes[0].What; !strings.Contains(got, cause) {
			t.Errorf("%s: the first cause is %q, want %q", address, got, cause)
		}
	}
}

func TestTheRedirectURIOfALogIsLookedAt(t *testing.T) {
	for _, tt := range []struct{ name, uri, cause string }{
		{"http behind TLS", "http://acme.example.com/cb", "is http"},
		{"an internal name", "http://app:3000/cb", "a name of the private network"},
		{"two slashes", "https://acme.example.com//cb", "two slashes"},
		{"a query", "https://acme.example.com/cb?next=/", "has a query"},
		{"a line break", "https://acme.example.com/cb%0A", "%0A at the end"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			answer := one(t, `type="LOGIN_ERROR", error="invalid_redirect_uri", redirect_uri="`+tt.uri+`"`)
			if got := answer.Causes[0].What; !strings.Contains(got, tt.cause) {
				t.Errorf("the first cause is %q, want %q", got, tt.cause)
			}
			shown, _, _ := strings.Cut(tt.uri, "?")
			if !strings.Contains(answer.Meaning, shown) {
				t.Errorf("%q does not show %s", answer.Meaning, shown)
			}
		})
	}
	answer := one(t, `{"event": "Invalid redirect uri (regex comparison)", "redirect_uri_expected": ["https://app.example.com/cb/"], "redirect_uri_given": "https://app.example.com/cb"}`)
	if got := answer.Causes[0].What; !strings.Contains(got, "the slash at the end") {
		t.Errorf("authentik's two values give %q", got)
	}
}

func TestALogInAnyNotationIsRead(t *testing.T) {
	for _, line := range []string{
		`{"level":"error","err":"Post \"http://auth.example.com/token\": dial tcp 127.0.0.1:80: connect: connection refused"}`,
		`level=error err="Post \"http://auth.example.com/token\": dial tcp 127.0.0.1:80: connect: connection refused"`,
		`<p id="error">Post &#34;http://auth.example.com/token&#34;: dial tcp 127.0.0.1:80: connect: connection refused</p>`,
		"\x1b[31mPost “http://auth.example.com/token”: dial tcp 127.0.0.1:80: connect: connection refused\x1b[0m",
		`POST "HTTP://AUTH.EXAMPLE.COM/TOKEN": DIAL TCP 127.0.0.1:80: CONNECT: CONNECTION REFUSED`,
	} {
		if answer := one(t, line); answer.ID != "loopback" || !strings.EqualFold(answer.Values["name"], "auth.example.com") {
			t.Errorf("%s is explained by %s with %v", line, answer.ID, answer.Values)
		}
	}
}

func TestATextIsExplainedOnceForEachReason(t *testing.T) {
	text := strings.Repeat(`[next-auth][error][SIGNIN_OAUTH_ERROR]
https://next-auth.js.org/errors#signin_oauth_error connect ECONNREFUSED 127.0.0.1:80 {
  error: {
    message: 'connect ECONNREFUSED 127.0.0.1:80',
  },
}
GET /favicon.ico 200
`, 3) + "TypeError: fetch failed\n    at node:internal\n  [cause]: Error: getaddrinfo ENOTFOUND auth.example.com\n"
	report, err := Text(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, a := range report.Answers {
		ids = append(ids, a.ID)
	}
	if !slices.Equal(ids, []string{"loopback", "no-such-host"}) {
		t.Errorf("the answers are %v", ids)
	}
	if lines := report.Answers[0].Lines; !slices.Equal(lines, []int{2, 4, 9, 11, 16}) {
		t.Errorf("the first is said to stand in lines %v", lines)
	}
	if report.Lines != 24 || report.Known != 11 {
		t.Errorf("%d of %d lines are known", report.Known, report.Lines)
	}
}

func TestWhatIsPrintedBelowAMessageIsRead(t *testing.T) {
	for _, tt := range []struct{ name, text, id, cause string }{
		{
			"Auth.js' details", `[auth][cause]: OperationProcessingError: unexpected JWT "iss" (issuer) claim value
    at Module.processAuthorizationCodeResponse
[auth][details]: {
  "expected": "https://auth.example.com/application/o/atlas/",
  "claims": {
    "iss": "https://auth.example.com/application/o/atlas",
`, "token-issuer", "The slash at the end",
		},
		{
			"the status of Node's Response", `ClientError: unexpected HTTP response status code
    at discovery {
  code: 'OAUTH_RESPONSE_IS_NOT_CONFORM',
  [cause]: Response {
    status: 301,
      location: 'https://auth.example.com/x',
    url: 'http://auth.example.com/.well-known/openid-configuration'
`, "redirected", "redirects to https://auth.example.com/x",
		},
		{"a line break in quotation marks", "error=\"invalid_redirect_uri\", redirect_uri=\"https://acme.example.com/cb\n\"", "redirect-uri", "a line break (U+000A) at the end"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			report, err := Text(strings.NewReader(tt.text))
			if err != nil || len(report.Answers) == 0 {
				t.Fatalf("%v, %v", report, err)
			}
			a := report.Answers[0]
			if a.ID != tt.id || !strings.Contains(a.Causes[0].What, tt.cause) {
				t.Errorf("%s: %q, want %s: %q", a.ID, a.Causes[0].What, tt.id, tt.cause)
			}
		})
	}
}

func TestHugeAndOddInputIsBounded(t *testing.T) {
	began := time.Now()
	for name, text := range map[string]string{
		"one line without an end": strings.Repeat("connect ECONNREFUSED ", 400_000),
		"quotation marks":         strings.Repeat(`"`, 1<<20),
		"many lines":              strings.Repeat("expected 200 OK, got: \n", 20_000),
		"no text":                 "\x00\xff\xfe\x1b[\x1b]" + strings.Repeat("\xff", 1<<16),
		"many different ones":     distinct(2000),
	} {
		report, err := Text(strings.NewReader(text))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if out, _ := json.Marshal(report); len(out) > 256<<10 {
			t.Errorf("%s: the answer has %d octets", name, len(out))
		}
		if len(report.Answers) > maxDistinct {
			t.Errorf("%s: %d answers", name, len(report.Answers))
		}
	}
	if took := time.Since(began); took > 30*time.Second {
		t.Errorf("it took %v", took)
	}
	if report, err := Text(endless{}); err != nil || !report.Cut {
		t.Errorf("a text without an end: %v, cut %v", err, report.Cut)
	}
}

func distinct(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString("connect ECONNREFUSED 10.0." + string(rune('0'+i%10)) + "." + string(rune('0'+i/10%10)) + ":" + string(rune('1'+i/100%9)) + "\n")
	}
	return b.String()
}

// endless is a log that never ends.
type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = "x\n"[i%2]
	}
	return len(p), nil
}

// TestNoGapIsLeftOpen: an answer without values still reads.
func TestNoGapIsLeftOpen(t *testing.T) {
	for _, e := range knowledge() {
		for i := range e.says {
			m := match{entry: e, says: &e.says[i], values: values{}}
			out, err := json.Marshal(m.answer().Causes)
			if err != nil {
				t.Fatal(err)
			}
			text := m.answer().Meaning + m.answer().Title + string(out)
			for _, open := range slot.FindAllString(text, -1) {
				if open != "{public_url}" && open != "{http_code}" && open != "{time_connect}" && open != "{time_total}" {
					t.Errorf("%s: %s stands in an answer without values", e.id, open)
				}
			}
			if len(m.answer().Causes) == 0 {
				t.Errorf("%s: an answer without values has no cause", e.id)
			}
		}
	}
}

func TestGuessesAreOfferedForNearLinesOnly(t *testing.T) {
	for line, id := range map[string]string{
		"oidc: issuer url does not match provider issuer":                             "issuer",
		"the certificate was signed by an authority that is unknown":                  "unknown-ca",
		"the quick brown fox jumps over the lazy dog":                                 "",
		"panic: runtime error: invalid memory address or nil pointer dereference":     "",
		"connection to database lost":                                                 "",
		"Started GET / for 127.0.0.1 at 2026-11-22 10:00:00 and redirected to /login": "",
	} {
		got := ""
		if guesses := Nearest(line); len(guesses) > 0 {
			got = guesses[0].ID
		}
		if got != id {
			t.Errorf("%q is guessed to be %q, want %q", line, got, id)
		}
	}
}
