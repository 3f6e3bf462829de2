package config

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"onedoor/seal"
	"onedoor/store"
)

// validate holds the decoded file against its rules, and fills in what follows
// from other values. It runs after mistakes of form too, so that everything is
// reported at once; a path that has a problem is not judged again.
func (d *decoder) validate(c *Config) {
	d.origins(c)
	d.listeners(c)
	d.provider(c)
	d.apps(c)
	d.tenants(c)
	d.operations(c)
	d.tracing(&c.Tracing)
	d.verify(&c.Verify)
}

// wrong records a problem at a path; a key that is not in the file has the
// place of the mapping that it would be in.
func (d *decoder) wrong(path, message, hint string) {
	for at := path; ; at = parent(at) {
		if n := d.nodes[at]; n != nil {
			d.problem(n, path, message, hint)
			return
		}
		if at == "" {
			d.at(1, 1, path, message, hint)
			return
		}
	}
}

func parent(path string) string {
	if i := strings.LastIndexAny(path, ".["); i >= 0 {
		return path[:i]
	}
	return ""
}

// given tells that the file has the key, with whatever value, or one that was
// meant for it.
func (d *decoder) given(path string) bool { return d.nodes[path] != nil || d.said[path] }

func index(path string, i int) string { return path + "[" + strconv.Itoa(i) + "]" }

func (d *decoder) origins(c *Config) {
	type named struct{ path, origin string }
	all := []named{}
	if d.given("public_url") {
		all = append(all, named{"public_url", c.PublicURL})
	}
	for i, o := range c.PublicAliases {
		all = append(all, named{index("public_aliases", i), o})
	}
	public := len(all)
	for i, o := range c.InternalURLs {
		all = append(all, named{index("internal_urls", i), o})
	}
	first := map[string]string{}
	for i, x := range all {
		if message, hint := checkOrigin(x.origin); message != "" {
			d.wrong(x.path, message, hint)
			continue
		}
		if before, again := first[x.origin]; again {
			d.wrong(x.path, fmt.Sprintf("%s is the value of %s already", x.origin, before), "public and internal callers are told apart by their origin: give each its own")
			continue
		}
		first[x.origin] = x.path
		if i < public && strings.HasPrefix(x.origin, "http://") && !isLocal(hostOf(x.origin)) && !c.Insecure {
			d.wrong(x.path, fmt.Sprintf("%s is http, and its host is not of this machine", x.origin), "use https, or write insecure: true beside it: everybody on the network between can then read logins")
		}
	}
}

func (d *decoder) listeners(c *Config) {
	single, several := d.given("listen"), d.given("listeners")
	switch {
	case single && several:
		d.wrong("listeners", "listen is given as well", "keep one: listen for one address, listeners for several")
	case !single && !several:
		d.wrong("listen", "is missing", "for example listen: :9000, or listeners to keep public and internal callers apart")
	case single:
		d.address("listen", c.Listen)
		c.Listeners = []Listener{{Address: c.Listen, Serves: []string{"public", "internal"}}}
		return
	case len(c.Listeners) == 0:
		d.wrong("listeners", "is empty", "name one at least: {address: \":9000\", serves: [public]}")
	}
	serves := map[string]bool{}
	first := map[string]int{}
	for i := range c.Listeners {
		l, path := &c.Listeners[i], index("listeners", i)
		d.listener(path, l)
		for _, s := range l.Serves {
			serves[s] = true
		}
		if before, again := first[l.Address]; again && l.Address != "" {
			d.wrong(path+".address", fmt.Sprintf("%s is the address of listeners[%d] already", l.Address, before), "one address has one listener; it can serve [public, internal]")
		}
		first[l.Address] = i
	}
	if serves[""] {
		return // one that was not understood may be the missing one
	}
	if len(c.Listeners) > 0 && !serves["public"] {
		d.wrong("listeners", "no listener serves public", "browsers need one: serves: [public]")
	}
	if len(c.Listeners) > 0 && len(c.InternalURLs) > 0 && !serves["internal"] {
		d.wrong("internal_urls", "no listener serves internal, so nobody could use these", "add internal to serves of a listener, or remove internal_urls")
	}
}

func (d *decoder) listener(path string, l *Listener) {
	if d.given(path + ".address") {
		d.address(path+".address", l.Address)
	}
	if d.given(path+".serves") && len(l.Serves) == 0 {
		d.wrong(path+".serves", "is empty", "[public], [internal] or both")
	}
	for i, s := range l.Serves {
		if s != "" && slices.Contains(l.Serves[:i], s) {
			d.wrong(index(path+".serves", i), s+" is given twice", "keep one of the two")
		}
	}
	for i, p := range l.TrustedProxies {
		at := index(path+".trusted_proxies", i)
		switch {
		case !p.IsValid():
		case p.Bits() == 0:
			d.wrong(at, fmt.Sprintf("%s is everybody: any caller could claim any address and host", p), "name the networks of your proxies")
		case p != p.Masked():
			d.wrong(at, fmt.Sprintf("%s has bits behind its prefix", p), fmt.Sprintf("write %s for the network, or %s/%d for the one address", p.Masked(), p.Addr(), p.Addr().BitLen()))
		}
	}
	if len(l.Serves) == 1 && l.Serves[0] == "internal" && !d.given("internal_urls") {
		d.wrong(path+".serves", "there are no internal_urls, so every request here would get 421", "add internal_urls, the origins under which servers reach this listener")
	}
	switch {
	case l.Forwarded != "" && len(l.TrustedProxies) == 0:
		d.wrong(path+".forwarded", "no proxy is believed, so nobody's header would be read", "add trusted_proxies: [the proxies' networks]")
	case l.Forwarded == "" && len(l.TrustedProxies) > 0 && !d.given(path+".forwarded"):
		l.Forwarded = "x-forwarded"
	}
	if l.TLS != nil {
		d.tls(path+".tls", l.TLS)
	}
}

// address checks host:port. Port 0 is any free one, for tests.
func (d *decoder) address(path, text string) {
	host, port, err := net.SplitHostPort(text)
	if err != nil {
		hint := "write host:port, or :port for every address of the machine"
		if _, err := strconv.ParseUint(text, 10, 16); err == nil {
			hint = fmt.Sprintf(`write ":%s"`, text)
		}
		d.wrong(path, fmt.Sprintf("%q is not an address to listen on", text), hint)
		return
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		d.wrong(path, fmt.Sprintf("%q is not a port", port), "a number from 1 to 65535")
		return
	}
	if _, err := netip.ParseAddr(host); err != nil && host != "" && strings.Trim(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._") != "" {
		d.wrong(path, fmt.Sprintf("%q is neither a host name nor an address", host), "")
	}
}

func (d *decoder) tls(path string, t *TLS) {
	files := d.given(path+".cert_file") || d.given(path+".key_file")
	switch {
	case files && t.ACME != nil:
		d.wrong(path, "has files and acme", "keep one: cert_file and key_file, or acme")
		return
	case t.ACME != nil:
		if d.given(path+".acme.email") && !strings.Contains(t.ACME.Email, "@") {
			d.wrong(path+".acme.email", fmt.Sprintf("%q is not an e-mail address", t.ACME.Email), "")
		}
		d.wrong(path+".acme", "this version does not ask for certificates yet", "use cert_file and key_file, or a proxy before the door")
		return
	case t.CertFile == "" || t.KeyFile == "":
		if !d.said[path+".cert_file"] && !d.said[path+".key_file"] {
			d.wrong(path, "needs cert_file and key_file, or acme", "")
		}
		return
	}
	t.CertFile, t.KeyFile = d.resolve(t.CertFile), d.resolve(t.KeyFile)
	_, certErr := d.read(path+".cert_file", t.CertFile)
	_, keyErr := d.read(path+".key_file", t.KeyFile)
	if certErr != nil || keyErr != nil {
		return
	}
	if _, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile); err != nil {
		d.wrong(path, fmt.Sprintf("%s and %s are not a certificate and its key: %v", t.CertFile, t.KeyFile, err), "both are PEM; the file with the certificate begins with the server's own")
	}
}

// readWatched is read for a file that belongs to the configuration: a change of
// it is one of the configuration.
func (d *decoder) readWatched(path, name string) ([]byte, error) {
	d.files = append(d.files, lookAt(name))
	return d.read(path, name)
}

// read reads a file that a key names; the problem is recorded.
func (d *decoder) read(path, name string) ([]byte, error) {
	data, err := readBounded(name, maxFile)
	if err != nil {
		d.wrong(path, name+": "+reason(err), "file names are relative to the folder of the configuration file")
	}
	return data, err
}

// leastRotation is how often keys may be rotated: 192 of their 256 numbers are
// used within the two days for which each rests.
const leastRotation = 15 * time.Minute

// operations are the keys of those who run the door: files, secrets, admin.
func (d *decoder) operations(c *Config) {
	d.secret("database", &c.Database, "database_file", &c.DatabaseFile)
	if text := string(c.Database); !strings.Contains(text, "://") {
		if text == "" && !d.said["database_file"] {
			d.wrong("database", "is empty", "a file name, or postgres://…")
		}
		c.Database = Secret(d.resolve(text))
	} else if strings.HasPrefix(text, "postgres://") || strings.HasPrefix(text, "postgresql://") {
		if err := store.CheckPostgres(text); err != nil {
			d.wrong("database", err.Error(), "postgres://user:password@host/name?sslmode=verify-full")
		}
	} else {
		d.wrong("database", "is neither a file name nor a postgres:// address", "")
	}
	d.encryption(c)
	d.admin(c)
	if every := c.Seal.RotateEvery; every > 0 && every < leastRotation && !d.said["seal.rotate_every"] {
		d.wrong("seal.rotate_every", fmt.Sprintf("%s is too often: a key has one of 256 numbers, which rests for two days when it has gone", every), "15m or more, or 0s for onedoor key rotate alone")
	}
	if c.Domains.Resolver != "" && !d.said["domains.resolver"] {
		if host, _, _ := net.SplitHostPort(c.Domains.Resolver); host == "" {
			d.wrong("domains.resolver", fmt.Sprintf("%q is not the address of a resolver", c.Domains.Resolver), "write host:port, as 127.0.0.1:53")
		}
		d.address("domains.resolver", c.Domains.Resolver)
	}
}

// environment is a secret that the file leaves to the environment: of admin.token
// ONEDOOR_ADMIN_TOKEN.
func (d *decoder) environment(key string) (string, bool) {
	text, ok := d.getenv("ONEDOOR_" + strings.ToUpper(strings.ReplaceAll(key, ".", "_")))
	return text, ok && text != ""
}

// secret reads a secret that is given by value, by file or by the environment.
func (d *decoder) secret(key string, value *Secret, fileKey string, file *string) {
	if !d.given(key) && !d.given(fileKey) {
		if text, ok := d.environment(key); ok {
			*value = Secret(text)
		}
		return
	}
	if !d.given(fileKey) || d.said[fileKey] {
		return
	}
	if d.given(key) {
		d.wrong(fileKey, "is given together with "+key[strings.LastIndexByte(key, '.')+1:], "keep one of the two")
		return
	}
	*file = d.resolve(*file)
	data, err := d.readWatched(fileKey, *file)
	if err != nil {
		return
	}
	text := strings.TrimRight(string(data), "\r\n")
	if text == "" || strings.ContainsAny(text, "\r\n\x00") {
		d.wrong(fileKey, *file+" does not hold one line with the secret", "")
		return
	}
	*value = Secret(text)
}

// secretLines is secret for what may have several lines. It returns the key at
// which the value stands, and "" where there is none, or none that can be read.
func (d *decoder) secretLines(key string, value *Secret, fileKey string, file *string) (at string) {
	switch {
	case d.given(key) && d.given(fileKey):
		d.wrong(fileKey, "is given together with "+key[strings.LastIndexByte(key, '.')+1:], "keep one of the two")
		return ""
	case d.given(fileKey):
		if d.said[fileKey] {
			return ""
		}
		*file = d.resolve(*file)
		data, err := d.readWatched(fileKey, *file)
		if err != nil {
			return ""
		}
		*value = Secret(data)
		return fileKey
	case !d.given(key):
		text, ok := d.environment(key)
		if !ok {
			return ""
		}
		*value = Secret(text)
	}
	if d.said[key] {
		return ""
	}
	return key
}

// encryption reads the keys of what lies in the database.
func (d *decoder) encryption(c *Config) {
	at := d.secretLines("encryption_key", &c.EncryptionKey, "encryption_key_file", &c.EncryptionKeyFile)
	if at == "" {
		return
	}
	keys := strings.Fields(string(c.EncryptionKey))
	c.EncryptionKey = Secret(strings.Join(keys, "\n"))
	const hint = "make one: onedoor key generate"
	if len(keys) == 0 {
		d.wrong(at, "holds no key", hint)
		return
	}
	secrets := make([][]byte, len(keys))
	for i, text := range keys {
		var err error
		if secrets[i], err = seal.ParseBoxKey(text); err != nil { // says nothing of the text
			d.wrong(at, fmt.Sprintf("key %d of %d %v", i+1, len(keys), err), hint)
			return
		}
	}
	if _, err := seal.NewBox(secrets...); err != nil {
		d.wrong(at, err.Error(), "keep one of the two")
	}
}

// certificates checks that a file holds certificates in PEM.
func (d *decoder) certificates(path, name string) {
	data, err := d.readWatched(path, name)
	if err == nil && !x509.NewCertPool().AppendCertsFromPEM(data) {
		d.wrong(path, name+" holds no certificate in PEM", "")
	}
}
