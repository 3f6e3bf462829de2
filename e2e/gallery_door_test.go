//go:build e2e && linux

package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"time"

	"onedoor/e2e/lab"
)

// The set-ups with a door.

// doorConfig is the door's configuration in the gallery: right, but for what a
// set-up changes.
type doorConfig struct {
	public, upstream, issuer, client, mode, internal, listeners string
}

func (d doorConfig) text(dir string) string {
	or := func(s, otherwise string) string {
		if s == "" {
			return otherwise
		}
		return s
	}
	return fmt.Sprintf(`public_url: %s
internal_urls: [%s]
listeners:
%s
provider: {upstream: %s, issuers: [%s]}
apps:
  atlas:
    client_id: %s
    mode: %s
    insecure: true
    site: http://{tenant}.localhost:3000
    callbacks: [/api/auth/callback]
tenants: {list: [acme, globex]}
database: %s/onedoor.db
admin: {listen: "127.0.0.1:9001"}
`, or(d.public, httpPublic), or(d.internal, "http://onedoor:8080"),
		or(d.listeners, `  - {address: "192.0.2.1:8080", serves: [public]}
  - {address: "198.51.100.1:8080", serves: [internal, public]}`),
		or(d.upstream, "http://127.0.0.1:8080"), or(d.issuer, "/realms/local"), or(d.client, "atlas-door"), or(d.mode, "transparent"), dir)
}

// door starts the door at the edge, waits until it listens or has ended, and
// runs the doctor there, where the door is; the app's network looks, too.
func (x *exhibit) door(d doorConfig, args ...string) report {
	x.Helper()
	dir := lab.TempDir(x, "door")
	file := filepath.Join(dir, "onedoor.yaml")
	if err := os.WriteFile(file, []byte(d.text(dir)), 0o600); err != nil {
		x.Fatal(err)
	}
	p := lab.Start(x, "onedoor", x.edge.Command(lab.DoorProgram(x), "serve", "-c", file))
	lab.Await(x, "the door has said something of its provider", func() error {
		for _, said := range []string{"provider metadata fetched", "provider not ready", "error:"} {
			if strings.Contains(string(p.Output()), said) {
				return nil
			}
		}
		return fmt.Errorf("it has not")
	})
	// It is asked from where the door is: its names are there, too.
	edge := *x
	edge.desk = x.edge
	return edge.doctor(append([]string{"-c", file}, args...)...)
}

func galleryDoor() map[string]func(*exhibit) report {
	// before is the door before Keycloak.
	before := func(d doorConfig, args ...string) func(*exhibit) report {
		return func(x *exhibit) report {
			x.networks(nil)
			return x.door(d, args...)
		}
	}
	return map[string]func(*exhibit) report{
		"right-door":       before(doorConfig{}),
		"right-door-relay": before(doorConfig{client: "relay", mode: "relay"}),
		"right-door-authentik": func(x *exhibit) report {
			x.networks(nil)
			origin := startAuthentik(x.T, transparentClient, httpPublic+"/onedoor/callback")
			lab.Publish(x, x.edge, "127.0.0.1:8090", lab.Here, strings.TrimPrefix(origin, "http://"))
			return x.door(doorConfig{upstream: "http://127.0.0.1:8090", issuer: authentikIssuer, client: transparentClient})
		},
		"door-issuer-slash": func(x *exhibit) report {
			x.networks(nil)
			origin := startAuthentik(x.T, transparentClient, httpPublic+"/onedoor/callback")
			lab.Publish(x, x.edge, "127.0.0.1:8090", lab.Here, strings.TrimPrefix(origin, "http://"))
			return x.door(doorConfig{upstream: "http://127.0.0.1:8090", issuer: strings.TrimSuffix(authentikIssuer, "/"), client: transparentClient})
		},
		"door-upstream": before(doorConfig{upstream: "http://127.0.0.1:9"}),
		"door-realm":    before(doorConfig{issuer: "/realms/lokal"}),
		"door-hostname": before(doorConfig{issuer: "/realms/sso"}),
		"door-redirect": before(doorConfig{client: "atlas-tenants"}),
		"door-past":     before(doorConfig{}, "--discovery", "http://127.0.0.1:8080/realms/local"),
		"door-internal-url": func(x *exhibit) report {
			x.networks(map[string]string{"door": internalDoor})
			return x.door(doorConfig{}, "--discovery", "http://door:8080/realms/local")
		},
		"door-not-in-front": func(x *exhibit) report {
			x.networks(nil)
			x.publish(publicDoor + ":8080")
			return x.door(doorConfig{listeners: `  - {address: "198.51.100.1:8080", serves: [internal, public]}`})
		},
		"door-proxy-host": func(x *exhibit) report {
			x.networks(nil)
			x.nginx("server { listen 192.0.2.1:8080; location / { proxy_pass http://127.0.0.1:8070; } }")
			return x.door(doorConfig{listeners: `  - {address: "127.0.0.1:8070", serves: [public], trusted_proxies: [127.0.0.0/8]}
  - {address: "198.51.100.1:8080", serves: [internal, public]}`})
		},
		"door-forwarded": func(x *exhibit) report {
			x.networks(nil)
			x.nginx(`server { listen 127.0.0.1:8060; location / { proxy_pass http://127.0.0.1:8080; proxy_set_header Host $http_host; proxy_set_header X-Forwarded-Proto ""; proxy_set_header X-Forwarded-Port ""; } }`)
			cert, key, ca := certificate{}.write(x)
			return x.door(doorConfig{
				public: tlsPublic, upstream: "http://127.0.0.1:8060", issuer: "/realms/follows", client: "atlas-web",
				listeners: fmt.Sprintf(`  - {address: "192.0.2.1:443", serves: [public], tls: {cert_file: %s, key_file: %s}}
  - {address: "198.51.100.1:8080", serves: [internal]}`, cert, key),
			}, "--ca-file", ca)
		},
	}
}

// certificate is one for the gallery; the zero one is good.
type certificate struct {
	name        string        // default auth.example.test
	from, until time.Duration // from now; default an hour ago, for a day
	between     bool          // signed by an intermediate one, which is not sent
}

// write makes the files of the server, and that of its authority.
func (c certificate) write(x *exhibit) (cert, key, ca string) {
	x.Helper()
	dir := lab.TempDir(x, "tls")
	if c.name == "" {
		c.name = authHost
	}
	if c.until == 0 {
		c.from, c.until = -time.Hour, 24*time.Hour
	}
	newKey := func() *ecdsa.PrivateKey {
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			x.Fatal(err)
		}
		return k
	}
	sign := func(subject string, authority bool, k *ecdsa.PrivateKey, parent *x509.Certificate, by *ecdsa.PrivateKey) *x509.Certificate {
		serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
		if err != nil {
			x.Fatal(err)
		}
		t := &x509.Certificate{SerialNumber: serial, Subject: pkix.Name{CommonName: subject}, NotBefore: time.Now().Add(-72 * time.Hour), NotAfter: time.Now().Add(72 * time.Hour), BasicConstraintsValid: true}
		if authority {
			t.IsCA, t.KeyUsage = true, x509.KeyUsageCertSign
		} else {
			t.DNSNames, t.NotBefore, t.NotAfter = []string{c.name}, time.Now().Add(c.from), time.Now().Add(c.until)
		}
		if parent == nil {
			parent = t
		}
		der, err := x509.CreateCertificate(rand.Reader, t, parent, &k.PublicKey, by)
		if err != nil {
			x.Fatal(err)
		}
		made, err := x509.ParseCertificate(der)
		if err != nil {
			x.Fatal(err)
		}
		return made
	}
	file := func(name, kind string, der []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			x.Fatal(err)
		}
		return path
	}
	rootKey, leafKey := newKey(), newKey()
	root := sign("the gallery's authority", true, rootKey, nil, rootKey)
	issuer, issuerKey := root, rootKey
	if c.between {
		issuerKey = newKey()
		issuer = sign("the gallery's intermediate", true, issuerKey, root, rootKey)
	}
	leaf := sign(c.name, false, leafKey, issuer, issuerKey)
	private, err := x509.MarshalPKCS8PrivateKey(leafKey)
	if err != nil {
		x.Fatal(err)
	}
	return file("cert.pem", "CERTIFICATE", leaf.Raw), file("key.pem", "PRIVATE KEY", private), file("ca.pem", "CERTIFICATE", root.Raw)
}
