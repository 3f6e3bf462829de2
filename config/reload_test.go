package config

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// randomKey is an encryption key; each n another.
func randomKey(n byte) string {
	b := make([]byte, 32)
	for i := range b {
		b[i] = n + byte(i)*7
	}
	return base64.StdEncoding.EncodeToString(b)
}

func TestWhatNeedsARestartIsNamedWithItsPlace(t *testing.T) {
	before := mustParse(t, `public_url: https://auth.example.com
listeners:
  - {address: ":8080", serves: [public]}
provider: {embedded: {}}
`)
	after := mustParse(t, `public_url: https://login.example.com
listeners:
  - {address: ":8081", serves: [public]}
provider:
  upstream: http://keycloak:8080
  issuers: [/realms/atlas]
database: other.db
encryption_key: `+randomKey(1)+`
admin: {listen: "127.0.0.1:9002"}
limits: {connections: 100, form_size: 32KiB}
log: {format: text}
`)
	var got []string
	for _, p := range before.Restart(after) {
		got = append(got, p.Error())
	}
	const says = ": was changed, and that needs a restart"
	want := []string{
		"onedoor.yaml:1:13: public_url" + says, "onedoor.yaml:3:15: listeners[0].address" + says,
		"onedoor.yaml:5:3: provider.embedded" + says, "onedoor.yaml:7:11: database" + says, "onedoor.yaml:8:17: encryption_key" + says,
		"onedoor.yaml:9:8: admin" + says, "onedoor.yaml:9:17: admin.listen" + says, "onedoor.yaml:10:23: limits.connections" + says, "onedoor.yaml:11:15: log.format" + says,
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if text := before.Restart(after).Error(); strings.Contains(text, randomKey(1)) {
		t.Errorf("the key is in it: %s", text)
	}
}

func TestWhatADoorCanTakeNeedsNoRestart(t *testing.T) {
	const head = "public_url: https://auth.example.com\ninternal_urls: [http://onedoor:9000]\nprovider: {upstream: \"http://a:1\", issuers: [/r]}\n"
	const admin = "admin: {token: one-token-0123456}\n"
	before := mustParse(t, head+"listen: :9000\n"+admin)
	for name, text := range map[string]string{
		"nothing":                           head + "listen: :9000\n" + admin,
		"the one listener in the long form": head + "listeners: [{address: \":9000\", serves: [public, internal]}]\n" + admin,
		"another provider, apps, tenants, times and limits": `public_url: https://auth.example.com
public_aliases: [https://login.example.com]
internal_urls: [http://door:9000]
listen: :9000
provider: {upstream: "http://b:1", issuers: [/r, /s], kind: keycloak, expose: [/admin]}
apps: {atlas: {client_id: a, issuer: /r, site: "https://{tenant}.example.com", callbacks: [/cb]}}
tenants: {list: [acme]}
seal: {login_ttl: 10m, code_ttl: 1m, rotate_every: 24h}
limits: {url_length: 8KiB, form_size: 32KiB, body_size: 1MiB, form_timeout: 5s, read_timeout: 5s, provider_requests: 7, provider_timeout: 3s}
admin: {token: another-token-0123}
log: {level: debug}
`,
	} {
		if got := before.Restart(mustParse(t, text)); len(got) > 0 {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestAListenerMoreOrLessAndATLSThatComesNeedARestart(t *testing.T) {
	const head = "public_url: https://auth.example.com\nprovider: {embedded: {}}\n"
	one := mustParse(t, head+"listen: :9000\n")
	two := mustParse(t, head+"listeners: [{address: \":9000\", serves: [public]}, {address: \":9001\", serves: [public]}]\nadmin: {listen: \"127.0.0.1:9002\"}\n")
	if got := one.Restart(two); len(got) != 3 || got[0].Path != "listeners" || got[0].Line != 3 || got[1].Path != "admin" {
		t.Errorf("%v", got)
	}
	other := mustParse(t, head+"listen: :9001\nadmin: {listen: \"127.0.0.1:9002\"}\n")
	if got := one.Restart(other); len(got) != 3 || got[0].Path != "listen" || got[0].Line != 3 || got[0].Column != 9 {
		t.Errorf("%v", got)
	}
}

func TestEveryFileThatWasReadIsNamed(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	token, key := write("token", "secret-of-many-characters\n"), write("key", randomKey(1)+"\n"+randomKey(2)+"\n")
	file := write("onedoor.yaml", small+"admin: {token_file: token}\nencryption_key_file: key\n")
	c, err := Load(file, nil)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range c.Files() {
		got = append(got, f.Name)
		if !f.Same(f.Again()) {
			t.Errorf("%s is another one now", f.Name)
		}
	}
	slices.Sort(got)
	if want := []string{key, file, token}; !slices.Equal(got, want) {
		t.Errorf("files %q, want %q", got, want)
	}
	if box, err := c.Box(); err != nil || !box.Current(box.Seal("p", nil)) {
		t.Error(err)
	}
	next, err := Load(write("onedoor.yaml", "# moved down\n"+small+"admin: {token_file: token}\nencryption_key: "+randomKey(1)+"\n"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := c.Restart(next); len(got) != 1 || got[0].Path != "encryption_key" || got[0].Line != 6 {
		t.Errorf("%v", got)
	}
	if got := next.Restart(c); len(got) != 1 || got[0].Path != "encryption_key_file" || got[0].Line != 5 {
		t.Errorf("%v", got)
	}
}

func TestAnEncryptionKeyThatNobodyDrewIsRefused(t *testing.T) {
	for name, tt := range map[string][2]string{
		"short":          {`encryption_key: c2hvcnQ=`, "key 1 of 1 has 5 octets, and 32 are needed"},
		"a word":         {`encryption_key: "not/base64!"`, "key 1 of 1 is not base64"},
		"a password":     {"encryption_key: " + base64.StdEncoding.EncodeToString([]byte("correct horse battery staple 123")), "key 1 of 1 is not random"},
		"empty":          {`encryption_key: " "`, "holds no key"},
		"a bad second":   {`encryption_key: "` + randomKey(1) + ` c2hvcnQ="`, "key 2 of 2 has 5 octets"},
		"one key twice":  {`encryption_key: "` + randomKey(1) + ` ` + randomKey(1) + `"`, "a key stands twice"},
		"both":           {"encryption_key: " + randomKey(1) + "\nencryption_key_file: x", "encryption_key_file: is given together with encryption_key"},
		"no such a file": {"encryption_key_file: none", "no such file"},
	} {
		got := problems(t, small+tt[0]+"\n", nil)
		if !strings.Contains(got, tt[1]) || !strings.Contains(got, "onedoor.yaml:4:") && !strings.Contains(got, "onedoor.yaml:5:") {
			t.Errorf("%s: %s", name, got)
		}
		for _, secret := range []string{"c2hvcnQ", "not/base64", randomKey(1)} {
			if strings.Contains(got, secret) {
				t.Errorf("%s: the secret is in %s", name, got)
			}
		}
	}
}

func TestSecretsMayComeFromTheEnvironment(t *testing.T) {
	vars := env("ONEDOOR_ENCRYPTION_KEY", randomKey(1)+"\n"+randomKey(2), "ONEDOOR_ADMIN_TOKEN", "theirs-0123456789", "ONEDOOR_DATABASE", "env.db", "KEYS", randomKey(3)+"\n"+randomKey(4))
	c, err := Parse("onedoor.yaml", []byte(small), vars)
	if err != nil {
		t.Fatal(err)
	}
	if string(c.EncryptionKey) != randomKey(1)+"\n"+randomKey(2) || c.Admin.Token != "theirs-0123456789" || !c.Admin.Open || string(c.Database) != "env.db" {
		t.Errorf("%q %q %q", string(c.EncryptionKey), string(c.Admin.Token), string(c.Database))
	}
	c, err = Parse("onedoor.yaml", []byte(small+"database: file.db\nencryption_key: ${KEYS}\nadmin: {token: mine-0123456789ab}\n"), vars)
	if err != nil {
		t.Fatal(err)
	}
	if string(c.EncryptionKey) != randomKey(3)+"\n"+randomKey(4) || c.Admin.Token != "mine-0123456789ab" || string(c.Database) != "file.db" {
		t.Errorf("what the file says did not go before: %q %q %q", string(c.EncryptionKey), string(c.Admin.Token), string(c.Database))
	}
	_, err = Parse("onedoor.yaml", []byte(small), env("ONEDOOR_ENCRYPTION_KEY", "c2hvcnQ="))
	if err == nil || !strings.Contains(err.Error(), "encryption_key: key 1 of 1 has 5 octets") {
		t.Errorf("%v", err)
	}
}

func TestLimitsHaveUnitsAndBounds(t *testing.T) {
	c := mustParse(t, small)
	if l := c.Limits; l.Connections != 16384 || l.HeaderSize != 64<<10 || l.BodySize != 64<<20 || l.ProviderRequests != 512 {
		t.Errorf("defaults %+v", l)
	}
	c = mustParse(t, small+"limits: {connections: 100, header_size: 8192, body_size: 2GiB, url_length: 4KiB}\n")
	if l := c.Limits; l.Connections != 100 || l.HeaderSize != 8192 || l.BodySize != 2<<30 || l.URLLength != 4096 {
		t.Errorf("%+v", l)
	}
	for text, want := range map[string]string{
		"connections: 1": "1 is out of bounds", "connections: many": `"many" is not a number`, "connections: 1KiB": `"1KiB" is not a number`,
		"connections: 1.5": `"1.5" is not a number`, "connections: -5": `"-5" is not a number`, "header_size: 64kB": `"64kB" is not a size`,
		"header_size: 1GiB": "1GiB is out of bounds", "body_size: 99999999999999999999": "is not a size", "body_size: 9999999999999GiB": "is not a size",
		"body_size: KiB": "is not a size", "header_timeout: 5": "is not a duration", "body_size: +5": "is not a size",
	} {
		if got := problems(t, small+"limits: {"+text+"}\n", nil); !strings.Contains(got, want) || !strings.Contains(got, "onedoor.yaml:4:") {
			t.Errorf("%s: %s", text, got)
		}
	}
}
