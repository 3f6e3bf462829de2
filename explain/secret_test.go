package explain

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"
)

// secrets are shaped as codes, tokens, cookies and keys are.
var secrets = []string{
	"HK44PIB5J75D2M23AADMPX5IZ4",                                                                               // Go's rand.Text
	"MgBJopOpsgeALoZjMr9m1D8IyNZ0fIbj674YxruMfGI",                                                              // 32 octets in base64url
	"5f2c8a1e9b3d4c6f8a0b1c2d3e4f5a6b7c8d9e0f1a2b3c4d5e6f7a8b9c0d1e2f",                                         // and in hexadecimal
	"3a1b2c4d-1111-4222-8333-444455556666.5b6c7d8e-1111-4222-8333-444455556666.0a9b8c7d-1111-4222-8333-444455", // Keycloak's codes
	"eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJodHRwczovL2EifQ.c2lnbmF0dXJl",
	"k3y-Zq81hT0-x99Lm2-pQ7rs5",
}

// around are places of a line in which a secret stands.
var around = []string{
	"%s code=SECRET", "%s ?code=SECRET&state=SECRET", "%s client_secret=SECRET", `%s "access_token":"SECRET"`, "%s Authorization: Bearer SECRET",
	"%s Cookie: next-auth.session-token=SECRET; a=b", "Set-Cookie: s=SECRET; Path=/ %s", "SECRET %s", "%s SECRET", `%s "SECRET"`, "%s (SECRET)", "%s: SECRET",
	"%s redirect_uri=https://acme.example.com/cb?code=SECRET", "postgres://onedoor:SECRET@db/onedoor %s",
}

// insideURLs are places of a URL in which a secret stands.
var insideURLs = []string{
	"${1}user:SECRET@${2}${3}", "${1}${2}${3}?code=SECRET&state=SECRET", "${1}${2}${3}#access_token=SECRET", "${1}${2}${3}/SECRET", "${1}${2}${3}?SECRET",
}

var anyURL = regexp.MustCompile(`(https?://)([^\s"'/)]+)(/[^\s"'?#)]*)?`)

func TestNoSecretOfALineIsRepeated(t *testing.T) {
	n := 0 // each place meets each shape of secret, in some lines
	for i, s := range samples(t) {
		for j, place := range around {
			if (i+j)%4 != 0 {
				continue
			}
			n++
			secret := secrets[n%len(secrets)]
			mustNotRepeat(t, strings.ReplaceAll(strings.Replace(place, "%s", s.line, 1), "SECRET", secret), secret)
		}
		if !anyURL.MatchString(s.line) {
			continue
		}
		for _, place := range insideURLs {
			n++
			secret := secrets[n%len(secrets)]
			mustNotRepeat(t, anyURL.ReplaceAllString(s.line, strings.ReplaceAll(place, "SECRET", secret)), secret)
		}
	}
}

// FuzzNoSecretIsRepeated puts a code wherever somebody's line has a mark.
func FuzzNoSecretIsRepeated(f *testing.F) {
	for _, s := range samples(f) {
		f.Add(s.line + " code=@@")
		f.Add(strings.Replace(s.line, "example.com", "example.com?code=@@&x", 1))
	}
	f.Fuzz(func(t *testing.T, line string) {
		mustNotRepeat(t, strings.ReplaceAll(line, "@@", secrets[0]), secrets[0])
	})
}

func mustNotRepeat(t *testing.T, line, secret string) {
	t.Helper()
	report, err := Text(strings.NewReader(line))
	if err != nil {
		t.Fatal(err)
	}
	out, err := json.Marshal([]any{report, Line(line)})
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(out), secret) {
		t.Errorf("the answer repeats the secret:\n%s\n%s", line, out)
	}
}

func TestWhatIsNoSecretIsShown(t *testing.T) {
	for _, s := range []string{
		"https://auth.example.com/realms/atlas", "http://keycloak:8080/realms/Atlas-Prod/.well-known/openid-configuration",
		"https://login.microsoftonline.com/72f988bf-86f1-41af-91ab-2d7cd011db47/v2.0",
		"http://ip-10-0-12-34.eu-central-1.compute.internal:8080/", "https://keycloak-7d9f8b6c5d-x2x4z.svc:8443",
		"https://pool.auth.eu-central-1.amazoncognito.com/", "10.0.0.7:8080", "::1:8080", "atlas-web", "another-app", "RS256",
		"http://acme.localhost:3000/api/auth/callback/provider", "https://auth.example.com/application/o/grafana/",
	} {
		if got := (values{"x": s}).show("x"); got != s {
			t.Errorf("%s is shown as %s", s, got)
		}
	}
}

// Short ones look like any word: the place tells.
func TestASecretIsKnownByItsPlace(t *testing.T) {
	for given, want := range map[string]string{
		"https://ada:hunter2@auth.example.com/x":    "https://…@auth.example.com/x",
		"https://auth.example.com/x?code=ab1&b":     "https://auth.example.com/x?code=…&=…",
		"https://auth.example.com/x#id_token=ab1":   "https://auth.example.com/x#…",
		"https://auth.example.com/x?a=hunter2#ab1":  "https://auth.example.com/x?a=…#…",
		"client_secret=hunter2":                     "…",
		"acme.example.com/cb?session=hunter2":       "acme.example.com/cb?session=…",
		"https://acme.example.com/cb?next=/hunter2": "https://acme.example.com/cb?next=…",
	} {
		if got := (values{"x": given}).show("x"); got != want {
			t.Errorf("%s is shown as %s, want %s", given, got, want)
		}
	}
}
