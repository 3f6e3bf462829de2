package config

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"onedoor/horizon"
	"onedoor/tenant"
)

// small is the least file that says everything needed.
const small = `public_url: https://auth.example.com
listen: :9000
provider: {embedded: {}}
`

func env(pairs ...string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i] == name {
				return pairs[i+1], true
			}
		}
		return "", false
	}
}

func mustParse(t *testing.T, text string) *Config {
	t.Helper()
	c, err := Parse("onedoor.yaml", []byte(text), nil)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// problems gives the messages of a file that has some, one to a line.
func problems(t *testing.T, text string, getenv func(string) (string, bool)) string {
	t.Helper()
	_, err := Parse("onedoor.yaml", []byte(text), getenv)
	if err == nil {
		t.Fatalf("no problem was found in:\n%s", text)
	}
	return err.Error()
}

func TestTheExampleFileIsSound(t *testing.T) {
	c, err := Load("../onedoor.example.yaml", os.LookupEnv)
	if err != nil {
		t.Fatal(err)
	}
	if got := c.Apps["atlas"].RegisteredRedirectURI; got != "https://auth.example.com/onedoor/callback" {
		t.Errorf("registered redirect URI %q", got)
	}
}

func TestDefaultsAreFilledIn(t *testing.T) {
	c := mustParse(t, small+`apps:
  atlas: {client_id: a, site: "https://{tenant}.example.com", callbacks: [/cb]}
`)
	a := c.Apps["atlas"]
	if a.Name != "atlas" || a.Mode != "transparent" || a.Type != "confidential" || !a.BrowserBinding || a.AcceptUnboundCodes || a.Issuer != "/" {
		t.Errorf("app %+v", a)
	}
	if c.Seal.LoginTTL != time.Hour || c.Seal.CodeTTL != 2*time.Minute {
		t.Errorf("seal %+v", c.Seal)
	}
	if c.Admin.Listen != "127.0.0.1:9001" || c.Log.Format != "json" || c.Log.Level != "info" || c.Tenants.Admit != "registered" || string(c.Database) != "onedoor.db" {
		t.Errorf("%+v", c)
	}
	if len(c.Listeners) != 1 || c.Listeners[0].Address != ":9000" || len(c.Listeners[0].Serves) != 2 {
		t.Errorf("listeners %+v", c.Listeners)
	}
	if got := c.IssuerURL(a.Issuer); got != "https://auth.example.com" {
		t.Errorf("issuer %q", got)
	}
	if len(c.Tenants.Reserved) != 1 || c.Tenants.Reserved[0] != "auth" {
		t.Errorf("reserved %q, want the label of the door's own origin", c.Tenants.Reserved)
	}
}

func TestAMissingFileIsNoSuchFile(t *testing.T) {
	_, err := Load(filepath.Join(t.TempDir(), "none.yaml"), nil)
	var ps Problems
	if !errors.As(err, &ps) || !ps.Unreadable() || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%#v", err)
	}
}

func TestAHugeFileIsRefusedUnread(t *testing.T) {
	name := filepath.Join(t.TempDir(), "onedoor.yaml")
	if err := os.WriteFile(name, []byte(strings.Repeat("#", maxFile+1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(name, nil); err == nil || !strings.Contains(err.Error(), "is larger than") {
		t.Error(err)
	}
}

func TestSeveralIssuersHaveRegisteredURIsOfTheirOwn(t *testing.T) {
	c := mustParse(t, `public_url: https://auth.example.com
listen: :9000
provider: {upstream: "http://idp:9000", issuers: [/application/o/a/, /application/o/b/]}
apps:
  a: {client_id: same, issuer: /application/o/a/, redirect_uris: ["https://a.example.com/cb"]}
  b: {client_id: same, issuer: /application/o/b/, redirect_uris: ["https://b.example.com/cb"]}
`)
	for name, path := range map[string]string{"a": "/application/o/a/", "b": "/application/o/b/"} {
		a := c.Apps[name]
		if got, want := a.RegisteredRedirectURI, "https://auth.example.com/onedoor/callback"+path; got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
		if got, want := c.RegisteredLogoutURI(a), "https://auth.example.com/onedoor/logout"+path; got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	d, err := c.Directory(c.Registry(tenant.List(nil)))
	if err != nil || len(d.Apps) != 2 || d.Apps[0].Name != "a" || d.Apps[1].Issuer != "/application/o/b/" {
		t.Errorf("%v %+v", err, d)
	}
}

func TestCertificateSecretAndCAFilesAreReadBesideTheConfiguration(t *testing.T) {
	dir := t.TempDir()
	cert, key := selfSigned(t)
	for name, data := range map[string][]byte{"c.pem": cert, "k.pem": key, "token": []byte("s3cret-of-many-characters\r\n"), "onedoor.yaml": []byte(`
public_url: https://auth.example.com
listeners: [{address: ":443", serves: [public], tls: {cert_file: c.pem, key_file: k.pem}}]
provider: {upstream: "https://idp", issuers: [/], ca_file: c.pem}
admin: {token_file: token}
`)} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c, err := Load(filepath.Join(dir, "onedoor.yaml"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if string(c.Admin.Token) != "s3cret-of-many-characters" || c.Listeners[0].TLS.CertFile != filepath.Join(dir, "c.pem") ||
		c.Provider.CAFile != filepath.Join(dir, "c.pem") || string(c.Database) != filepath.Join(dir, "onedoor.db") {
		t.Errorf("%+v", c)
	}
	// The wrong key is found at once, not by the first browser.
	_, other := selfSigned(t)
	if err := os.WriteFile(filepath.Join(dir, "k.pem"), other, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(filepath.Join(dir, "onedoor.yaml"), nil); err == nil || !strings.Contains(err.Error(), "are not a certificate and its key") {
		t.Error(err)
	}
}

func selfSigned(t *testing.T) (cert, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"auth.example.com"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})
}

func TestAListenerHasTheOriginsThatItServes(t *testing.T) {
	c := mustParse(t, `public_url: https://auth.example.com
public_aliases: [https://login.example.com]
internal_urls: [http://onedoor:9000]
listeners:
  - {address: ":8080", serves: [public], trusted_proxies: [10.0.0.0/8]}
  - {address: ":9000", serves: [internal, public]}
  - {address: ":9002", serves: [internal]}
provider: {embedded: {}}
`)
	for i, want := range []struct{ public, internal int }{{2, 0}, {2, 1}, {0, 1}} {
		h := c.Horizon(c.Listeners[i])
		if len(h.Public) != want.public || len(h.Internal) != want.internal {
			t.Errorf("listener %d: %+v", i, h)
		}
	}
	if h := c.Horizon(c.Listeners[0]); h.Forwarded != horizon.XForwarded || len(h.TrustedProxies) != 1 {
		t.Errorf("%+v", h)
	}
}

func TestHeadersForACollectorAreSecrets(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return filepath.Join(dir, name)
	}
	write("headers", "authorization: Bearer hunter22\r\n\nX-Scope-OrgID:  doors \n")
	want := http.Header{"Authorization": {"Bearer hunter22"}, "X-Scope-Orgid": {"doors"}}
	env := map[string]string{"ONEDOOR_TRACING_HEADERS": "Authorization: Bearer hunter22\nx-scope-orgid: doors", "KEY": "hunter22"}
	for name, tracing := range map[string]string{
		"a file":          "{endpoint: \"http://otel:4318\", headers_file: headers}",
		"a variable":      "{endpoint: \"http://otel:4318\", headers: \"Authorization: Bearer ${KEY}\\nX-Scope-OrgID: doors\"}",
		"the environment": "{endpoint: \"http://otel:4318\"}",
	} {
		c, err := Load(write("onedoor.yaml", small+"tracing: "+tracing+"\n"), func(key string) (string, bool) { v, ok := env[key]; return v, ok })
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if !reflect.DeepEqual(c.Tracing.Header(), want) {
			t.Errorf("%s: %v", name, c.Tracing.Header())
		}
		if text := fmt.Sprintf("%v %+v %#v", c.Tracing, c.Tracing, c.Tracing); strings.Contains(text, "hunter22") {
			t.Errorf("%s: %s", name, text)
		}
		if all := strings.Join(c.Warnings(), "\n"); !strings.Contains(all, "tracing.endpoint: http://otel:4318 is http") || strings.Contains(all, "hunter22") {
			t.Errorf("%s: warnings %q", name, all)
		}
	}
}

func TestWhatIsAllowedAndDangerousIsWarnedOf(t *testing.T) {
	const file = `
public_url: https://auth.example.com
listen: :9000
provider: {upstream: "http://keycloak:8080", issuers: [%s], expose: [%s]}
tenants: {admit: %s}
`
	for _, tt := range []struct {
		issuer, expose, admit, want string
	}{
		{"/realms/{tenant}", "/admin", "registered", ""},
		{"/realms/atlas", "/admin", "any", ""},
		{"/realms/{tenant}", "/admin", "any", "documents of names"},
		{"/realms/atlas", "/", "registered", "provider.expose: / opens"},
	} {
		all := strings.Join(mustParse(t, fmt.Sprintf(file, strconv.Quote(tt.issuer), tt.expose, tt.admit)).Warnings(), "\n")
		if !strings.Contains(all, tt.want) || (tt.want == "" && all != "") {
			t.Errorf("%+v: warnings %q", tt, all)
		}
	}
}
