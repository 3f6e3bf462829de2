package config

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"onedoor/tenant"
)

var update = flag.Bool("update", false, "write the generated and golden files anew")

// golden compares text with a file that is checked in.
func golden(t *testing.T, name, text string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if string(want) != text {
		t.Errorf("%s is not current: run go generate ./config\n%s", name, text)
	}
}

func TestEveryMistakeOfAFileIsReportedAtOnce(t *testing.T) {
	data, err := os.ReadFile("testdata/mistakes.yaml")
	if err != nil {
		t.Fatal(err)
	}
	_, err = Parse("mistakes.yaml", data, env("EMPTY", ""))
	if err == nil {
		t.Fatal("no problem was found")
	}
	golden(t, "testdata/mistakes.golden", "onedoor: error: "+err.Error()+"\n")
}

func TestEachMistakeHasItsPlaceAndItsCure(t *testing.T) {
	const app = "apps:\n  atlas: {client_id: a, site: \"https://{tenant}.example.com\", callbacks: [/cb]"
	for _, tt := range []struct{ name, text, want, hint string }{
		{"an empty file", "", "onedoor.yaml:1:1: the file is empty", "onedoor.example.yaml"},
		{"only comments", "# nothing\n", "1:1: the file is empty", ""},
		{"an explicit nothing", "---\n...\n", "1:1: the file says nothing", ""},
		{"a list", "[a, b]", "1:1: is a list", ""},
		{"a text", "hello", "1:1: is a text", ""},
		{"not YAML", "a: [1\n", ":2:1: is not YAML", "close the bracket"},
		{"tabs", "public_url:\n\t- x", "is not YAML", "spaces"},
		{"octets that are not UTF-8", "a: b\nc: é\xff\n", "2:5: is not UTF-8", ""},
		{"a second document", small + "---\na: b\n", "4:1: a second document begins here", "remove the line ---"},
		{"a mistyped key", small + "seal: {login_tll: 1h}\n", "4:8: seal.login_tll: is not a known key", "did you mean login_ttl?"},
		{"a key of another section", small + "login_ttl: 1h\n", "4:1: login_ttl: is not a known key", "seal.login_ttl"},
		{"two equal keys", small + "listen: :9001\n", "4:1: listen: the key is given twice, first at line 2, column 1", "keep one"},
		{"two equal apps", small + app + "}\n  atlas: {}\n", "6:3: apps.atlas: the key is given twice, first at line 5, column 3", ""},
		{"an anchor and its alias", small + "database: &x a.db\nlog: {level: *x}\n", "4:11: the anchor is not supported", "write the value out"},
		{"a merge key", small + "log: {<<: {level: info}}\n", "the merge key << is not supported", ""},
		{"a tag", small + "database: !secret x\n", "the tag is not supported", ""},
		{"a number for a text", small + "domains: {resolver: 12}\n", "4:21: domains.resolver: is a number, and a text is needed", `"12"`},
		{"a text for a boolean", small + "insecure: yes\n", `insecure: "yes" is neither true nor false`, ""},
		{"a value for a list", small + "internal_urls: http://a\n", "internal_urls: is a text, and a list is needed", "[http://a]"},
		{"a list for a mapping", small + "seal: [1h]\n", "seal: is a list", ""},
		{"no value", small + "database:\n", "database: has no value", ""},
		{"a duration without a unit", small + "seal: {login_ttl: 60}\n", `"60" is not a duration`, "30s"},
		{"a duration out of bounds", small + "seal: {code_ttl: 1h}\n", "1h is out of bounds", "from 10s to 10m"},
		{"a rotation every minute", small + "seal: {rotate_every: 1m}\n", "4:22: seal.rotate_every: 1m0s is too often", "15m or more"},
		{"a share of logins that is none", small + "tracing: {sample: 2}\n", `"2" is not a number in bounds`, "from 0 to 1"},
		{"a share that is not a number", small + "tracing: {sample: .nan}\n", "is not a number in bounds", "from 0 to 1"},
		{"a collector without a scheme", small + "tracing: {endpoint: \"otel:4318\"}\n", "is not an http or https address", "4318"},
		{"a collector with a password", small + "tracing: {endpoint: \"http://u:p@otel:4318\"}\n", "has more than origin and path", ""},
		{"a header without a value", small + "tracing: {headers: \"hunter2\"}\n", "tracing.headers: line 1 is no header field", "NAME: VALUE"},
		{"a header of the door's own", small + "tracing: {headers: \"a: b\\nhost: hunter2\"}\n", "tracing.headers: line 2: Host is set by the door", ""},
		{"headers of blanks", small + "tracing: {headers: \" \"}\n", "tracing.headers: holds no header field", "NAME: VALUE"},
		{"headers' file that is missing", small + "tracing: {headers_file: /nowhere/headers}\n", "/nowhere/headers: no such file", ""},
		{"headers twice", small + "tracing: {headers: \"a: b\", headers_file: x}\n", "tracing.headers_file: is given together with headers", ""},
		{"a collector's gRPC port", small + "tracing: {endpoint: \"http://otel:4317\"}\n", "over gRPC", "4318"},
		{"an unknown value", small + "log: {level: warning}\n", `"warning" is not known`, "debug, info, warn, error"},
		{"a control character", small + "database: \"a\\u0007b\"\n", "U+0007", ""},
		{"a variable that is not set", small + "database: ${NOPE}\n", "4:11: database: the environment variable NOPE is not set", "${NOPE:-…}"},
		{"a variable without its end", small + "database: \"${NOPE\"\n", "without its }", ""},
		{"a placeholder written as a variable", small + "database: ${ten-ant}\n", "is not the name of an environment variable", ""},
		{"both secret and file", small + "admin: {token: x, token_file: y}\n", "admin.token_file: is given together with token", ""},
		{"a secret's file that is missing", small + "admin: {token_file: /nowhere/token}\n", "/nowhere/token: no such file", ""},
		{"a CA file that is none", strings.Replace(small, "embedded: {}", "upstream: https://kc, issuers: [/], ca_file: config.go", 1), "config.go holds no certificate", ""},
		{"TLS files that are missing", strings.Replace(small, "listen: :9000", `listeners: [{address: ":1", serves: [public], tls: {cert_file: /nowhere/c, key_file: /nowhere/k}}]`, 1), "/nowhere/c: no such file", ""},
		{"the door as its own upstream", strings.Replace(small, "embedded: {}", "upstream: https://auth.example.com, issuers: [/]", 1), "is the door itself", ""},
		{"no issuers", strings.Replace(small, "embedded: {}", "upstream: https://kc", 1), "provider.issuers: is missing", "/realms/NAME"},
		{"the metadata's address as issuer", strings.Replace(small, "embedded: {}", "upstream: https://kc, issuers: [/realms/a/.well-known/openid-configuration]", 1), "is the address of metadata", ""},
		{"both upstream and embedded", strings.Replace(small, "embedded: {}", "upstream: https://kc, embedded: {}", 1), "upstream is given as well", ""},
		{"neither upstream nor embedded", strings.Replace(small, "embedded: {}", "kind: generic", 1), "needs upstream or embedded", ""},
		{"everybody as a trusted proxy", strings.Replace(small, "listen: :9000", `listeners: [{address: ":1", serves: [public], trusted_proxies: [0.0.0.0/0]}]`, 1), "is everybody", ""},
		{"an address for a network", strings.Replace(small, "listen: :9000", `listeners: [{address: ":1", serves: [public], trusted_proxies: [10.1.2.3]}]`, 1), "is not a network", "192.0.2.7/32"},
		{"nobody serves public", strings.Replace(small, "listen: :9000", `listeners: [{address: ":1", serves: [internal]}]`, 1), "no listener serves public", ""},
		{"an admin API for everybody, in the clear", small + "admin: {listen: \":9001\"}\n", "can be reached from other machines", "give admin.tls"},
		{"an admin API at an address, in the clear", small + "admin: {listen: \"192.0.2.1:9001\"}\n", "can be reached from other machines", ""},
		{"a token that can be guessed", small + "admin: {token: hunter2}\n", "a token of 7 characters can be guessed", "openssl rand"},
		{"a host with its port", small + "admin: {hosts: [\"onedoor:9001\"]}\n", "has a port", "leave it out"},
		{"a host that is an origin", small + "admin: {hosts: [\"https://onedoor\"]}\n", "is not a host name", ""},
		{"a rate of none", small + "admin: {rate: 0}\n", "0 is out of bounds", ""},
		{"a resolver without its port", small + "domains: {resolver: 127.0.0.1}\n", "is not the address of a resolver", "host:port"},
		{"a resolver that is none", small + "domains: {resolver: \":53\"}\n", "is not the address of a resolver", ""},
		{"a grace of no time", small + "domains: {grace: 0s}\n", "0s is out of bounds", ""},
		{"the admin API on the door's address", small + "admin: {listen: \":9000\"}\n", "would serve the admin API and the door", ""},
		{"a port alone", strings.Replace(small, ":9000", "9000x", 1), `"9000x" is not an address`, ""},
		{"a template that is everybody's", small + "apps:\n  a: {client_id: a, site: \"https://{tenant}.com\", callbacks: [/cb]}\n", "anybody can register", ""},
		{"a site without a tenant", small + "apps:\n  a: {client_id: a, site: \"https://a.example.com\", callbacks: [/cb]}\n", "has no {tenant}", "redirect_uris"},
		{"a site with a path", small + "apps:\n  a: {client_id: a, site: \"https://{tenant}.example.com/x\", callbacks: [/cb]}\n", "more than an origin", "callbacks"},
		{"an http site", small + "apps:\n  a: {client_id: a, site: \"http://{tenant}.example.com\", callbacks: [/cb]}\n", "is http", "insecure: true"},
		{"the door as a redirect URI", small + "apps:\n  a: {client_id: a, redirect_uris: [\"https://auth.example.com/onedoor/callback\"]}\n", "the door itself", ""},
		{"a callback that holds a code", small + strings.Replace(app, "/cb", "/cb?%63ode=1", 1) + "}\n", "its query holds code", ""},
		{"a callback with a fragment", small + strings.Replace(app, "/cb", `"/cb#x"`, 1) + "}\n", "fragment", ""},
		{"a callback that climbs", small + strings.Replace(app, "/cb", "/a/%2E%2e/b", 1) + "}\n", "dot segment", ""},
		{"a callback without a slash", small + strings.Replace(app, "/cb", "cb", 1) + "}\n", "does not begin with /", `"/cb"`},
		{"a client twice", small + app + "}\n  beta: {client_id: a, redirect_uris: [\"https://b.example.com/cb\"]}\n", "client_id of apps.atlas already", ""},
		{"an app's name that is no path segment", small + "apps:\n  My App: {client_id: a, redirect_uris: [\"https://b.example.com/cb\"]}\n", `apps."My App"`, ""},
		{"a parameter that is the app's", small + app + ", authorize: {state: x}}\n", "authorize.state", ""},
		{"another origin's registered redirect URI", small + app + ", registered_redirect_uri: \"https://a.example/cb\"}\n", "the door would not see a response at", "https://auth.example.com/onedoor/callback"},
		{"ACME, which is not there yet", strings.Replace(small, "listen: :9000", `listeners: [{address: ":1", serves: [public], tls: {acme: {email: a@example.com}}}]`, 1), "does not ask for certificates yet", "cert_file"},
		{"a URL that is none", small + "database: postgres://door:a%zz@db/door\n", "percent-encoded", "sslmode=verify-full"},
		{"a database of another kind", small + "database: mysql://door:a@db/door\n", "neither a file name nor a postgres:// address", ""},
		{"a tenant that is the door", small + app + "}\ntenants: {list: [auth]}\n", "the door's own origin", ""},
		{"a tenant in upper case", small + "tenants: {list: [ACME]}\n", "tenants.list[0]", "lower-case"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := problems(t, tt.text, nil)
			if !strings.Contains(got, tt.want) || !strings.Contains(got, tt.hint) {
				t.Errorf("got\n%s\nwant %q, hint %q", got, tt.want, tt.hint)
			}
		})
	}
}

func TestAFileOfNothingButMistakesIsAnsweredQuickly(t *testing.T) {
	var wide strings.Builder
	for i := range 50_000 {
		fmt.Fprintf(&wide, "key%d: 1\n", i)
	}
	bomb := "a: &a [x, x]\n"
	for i := 'b'; i <= 'z'; i++ {
		bomb += fmt.Sprintf("%c: &%c [%s*%c]\n", i, i, strings.Repeat(fmt.Sprintf("*%c, ", i-1), 8), i-1)
	}
	for name, text := range map[string]string{"wide": wide.String(), "deep": strings.Repeat("[", 500_000), "bomb": bomb} {
		began := time.Now()
		got := strings.Count(problems(t, text, nil), "onedoor: error: ")
		if took := time.Since(began); took > 20*time.Second || got > maxProblems {
			t.Errorf("%s: %d problems after %s", name, got, took)
		}
	}
}

func TestOriginsAreOriginsOnly(t *testing.T) {
	for text, want := range map[string]string{
		"https://auth.example.com/":          "ends with a slash",
		"https://auth.example.com/x":         "has a path",
		"https://auth.example.com?x":         "has a query",
		"https://auth.example.com#x":         "has a fragment",
		"https://Auth.example.com":           "not in lower case",
		"https://auth.example.com:443":       "default port",
		"https://u:p@auth.example.com":       "user name or password",
		"https://bücher.example":             "not ASCII",
		"https://auth.example.com.":          "ends with a dot",
		"https://127.1":                      "is read as https://127.0.0.1",
		"https://{tenant}.example.com":       "placeholder",
		"ftp://auth.example.com":             "neither http nor https",
		"auth.example.com":                   "is not an origin",
		"https://":                           "is not an origin",
		`https://auth.example.com\evil`:      "backslash",
		"http://auth.example.com":            "is http",
		"http://localhost.example.com:8080":  "is http",
		"http://127.0.0.1.nip.io":            "is http",
		"https://auth.example.com:99999":     "is not a URL",
		"https://auth.example.com extra.com": "space",
	} {
		file := strings.Replace(small, "https://auth.example.com", `'`+text+`'`, 1)
		if got := problems(t, file, nil); !strings.Contains(got, "public_url: ") || !strings.Contains(got, want) {
			t.Errorf("%s: got\n%s\nwant %q", text, got, want)
		}
	}
	for _, text := range []string{
		"https://auth.example.com:8443", "http://localhost:8080", "http://auth.localhost", "http://auth.test:8080",
		"http://127.0.0.1:9000", "http://[::1]:9000", "https://xn--bcher-kva.example",
	} {
		mustParse(t, strings.Replace(small, "https://auth.example.com", `'`+text+`'`, 1))
	}
	mustParse(t, strings.Replace(small, "https://auth.example.com", "http://auth.example.com", 1)+"insecure: true\n")
}

func TestAVariableStaysOneValue(t *testing.T) {
	getenv := env("TRICK", "a: b\n# x", "DB", `a: [b, "c"]`, "PORT", "9000", "YES", "true", "EMPTY", "")
	c, err := Parse("onedoor.yaml", []byte(`public_url: ${URL:-https://auth.example.com}
listen: :${PORT}
insecure: ${YES}
provider: {embedded: {}}
database: ${DB}
log: {level: "${EMPTY:-debug}"}
apps:
  a: {client_id: "$${x}$y", redirect_uris: ["https://a.example.com/"]}
`), getenv)
	if err != nil {
		t.Fatal(err)
	}
	if c.PublicURL != "https://auth.example.com" || c.Listen != ":9000" || !c.Insecure || string(c.Database) != `a: [b, "c"]` || c.Log.Level != "debug" || c.Apps["a"].ClientID != "${x}$y" {
		t.Errorf("%+v %q", c, string(c.Database))
	}
	if got := problems(t, small+"database: ${TRICK}\n", getenv); !strings.Contains(got, "control character U+000A") {
		t.Error(got)
	}
}

func TestASecretIsNeverPrinted(t *testing.T) {
	const hidden = "hunter2-0123456789"
	c := mustParse(t, small+"admin: {token: "+hidden+"}\n")
	printed := []string{}
	for _, s := range []Secret{Secret("postgres://door:" + hidden + "@db/door"), c.Admin.Token} {
		text, _ := s.MarshalText()
		printed = append(printed, s.String(), s.GoString(), string(text))
	}
	printed = append(printed, problems(t, small+"database: mysql://door:"+hidden+"@db/door\n", nil))
	printed = append(printed, problems(t, small+"database: postgres://door:"+hidden+"%zz@db/door\n", nil))
	if all := strings.Join(printed, "\n"); strings.Contains(all, hidden) {
		t.Error(all)
	}
	const digits = "90210421337100200300"
	if got := problems(t, small+"admin: {token: "+digits+"}\n", nil); strings.Contains(got, digits) || !strings.Contains(got, "put quotes around it") {
		t.Error(got)
	}
	for _, unquoted := range []string{"&" + hidden, "*" + hidden, "!" + hidden, "!" + hidden + " x", "&" + hidden + " x"} {
		if got := problems(t, small+"encryption_key: "+unquoted+"\n", nil); strings.Contains(got, hidden) || !strings.Contains(got, "put quotes around a text") {
			t.Error(got)
		}
	}
	for _, endpoint := range []string{"htp://door:" + hidden + "@otel:4318", "http://door:" + hidden + "@otel:4318", "http://door:" + hidden + "%zz@otel"} {
		if got := problems(t, small+"tracing: {endpoint: '"+endpoint+"'}\n", nil); strings.Contains(got, hidden) || !strings.Contains(got, "tracing.endpoint") {
			t.Error(got)
		}
	}
}

func FuzzEveryProblemHasAPlace(f *testing.F) {
	for _, name := range []string{"../onedoor.example.yaml", "testdata/mistakes.yaml"} {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte("a: &a [*a]\n"))
	f.Add([]byte("apps: {x: {<<: *y, site: ${A:-${B}}}}"))
	f.Add([]byte("? [a]\n: b\n---\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := Parse("onedoor.yaml", data, env("A", "b"))
		if err == nil {
			if _, err := c.Directory(c.Registry(tenant.List(nil))); err != nil {
				t.Errorf("a sound file has no directory: %v", err)
			}
			return
		}
		var found Problems
		if !errors.As(err, &found) || len(found) == 0 {
			t.Fatalf("%#v", err)
		}
		lines := strings.Count(string(data), "\n") + 2
		for _, p := range found {
			if p.File == "" || p.Line < 1 || p.Line > lines || p.Column < 1 || p.Message == "" || strings.Contains(p.Message, "\n") {
				t.Errorf("%+v", p)
			}
		}
	})
}
