//go:build linux

package lab

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// KeycloakVersion is what tools/deps fetches.
const KeycloakVersion = "26.7.4"

// Keycloak is a real Keycloak with realms of the test's choice.
type Keycloak struct {
	// Origin is where it listens, for whoever is in its network.
	Origin string

	scope   Scope
	net     *Net
	address string
	ready   string // path that answers when the first realm is there
	home    string
	java    string
	args    []string
	process *Process
}

// KeycloakOptions say how Keycloak is started.
type KeycloakOptions struct {
	Net     *Net
	Address string // host:port to listen on
	// Hostname is the public origin, constant for every caller; empty: every URL
	// follows the request's Host, as with authentik.
	Hostname string
	Realms   []Realm
	// Java are options for its virtual machine; empty: those for a life of minutes.
	Java string
}

// Realm is the part of a realm's representation that the tests use.
type Realm struct {
	Realm       string   `json:"realm"`
	Enabled     bool     `json:"enabled"`
	SSLRequired string   `json:"sslRequired"`
	Clients     []Client `json:"clients"`
	Users       []User   `json:"users"`
	// Attributes of the realm, as frontendUrl: its own public address.
	Attributes map[string]string `json:"attributes,omitempty"`
}

// Client is a client: confidential, or public and without a secret.
type Client struct {
	ClientID            string            `json:"clientId"`
	Secret              string            `json:"secret,omitempty"`
	PublicClient        bool              `json:"publicClient"`
	Enabled             bool              `json:"enabled"`
	Protocol            string            `json:"protocol"`
	StandardFlowEnabled bool              `json:"standardFlowEnabled"`
	RedirectURIs        []string          `json:"redirectUris"`
	WebOrigins          []string          `json:"webOrigins,omitempty"`
	ServiceAccounts     bool              `json:"serviceAccountsEnabled,omitempty"`
	Attributes          map[string]string `json:"attributes,omitempty"`
}

// User is a person with a password.
type User struct {
	Username      string       `json:"username"`
	Enabled       bool         `json:"enabled"`
	Email         string       `json:"email"`
	EmailVerified bool         `json:"emailVerified"`
	FirstName     string       `json:"firstName"`
	LastName      string       `json:"lastName"`
	Credentials   []Credential `json:"credentials"`

	// Of a client's service account, which is no person: whose, and what it may.
	ServiceAccountOf string              `json:"serviceAccountClientId,omitempty"`
	ClientRoles      map[string][]string `json:"clientRoles,omitempty"`
}

// Credential is a password.
type Credential struct {
	Type  string `json:"type"`
	Value string `json:"value"`
}

// NewRealm is a realm with two people, Ada and Mallory, and these clients.
func NewRealm(name string, clients ...Client) Realm {
	for i := range clients {
		clients[i].Enabled, clients[i].StandardFlowEnabled, clients[i].Protocol = true, true, "openid-connect"
	}
	return Realm{
		Realm: name, Enabled: true, SSLRequired: "none", Clients: clients,
		Users: []User{newUser(Username, "Ada", "Lovelace"), newUser(Thief, "Mallory", "Doe")},
	}
}

func newUser(username, first, last string) User {
	return User{
		Username: username, Enabled: true, Email: username + "@example.com", EmailVerified: true,
		FirstName: first, LastName: last,
		Credentials: []Credential{{Type: "password", Value: Password}},
	}
}

// The person who logs in, at every provider of the tests, and at Keycloak
// another one with the same password.
const (
	Username = "ada"
	Password = "correct horse battery staple"
	FullName = "Ada Lovelace"
	Thief    = "mallory"
)

// StartKeycloak starts Keycloak with a database of its own and returns when its
// first realm answers. It takes about 15 s.
func StartKeycloak(s Scope, o KeycloakOptions) *Keycloak {
	s.Helper()
	began := time.Now()
	dist := filepath.Join(CacheDir(), "keycloak-"+KeycloakVersion)
	if _, err := os.Stat(filepath.Join(dist, "bin", "kc.sh")); err != nil {
		s.Fatalf("Keycloak is missing; run: tools/deps e2e (%v)", err)
	}
	// Keycloak writes into its own directory: a copy, also where the cache holds a
	// link to it.
	home := filepath.Join(TempDir(s, "keycloak"), "home")
	if out, err := exec.Command("cp", "-a", "--reflink=auto", dist+"/.", home).CombinedOutput(); err != nil {
		s.Fatalf("Keycloak: %v: %s", err, out)
	}
	imports := filepath.Join(home, "data", "import")
	if err := os.MkdirAll(imports, 0o755); err != nil {
		s.Fatalf("Keycloak: %v", err)
	}
	for _, realm := range o.Realms {
		text, err := json.Marshal(realm)
		if err == nil {
			err = os.WriteFile(filepath.Join(imports, realm.Realm+".json"), text, 0o600)
		}
		if err != nil {
			s.Fatalf("Keycloak: realm %s: %v", realm.Realm, err)
		}
	}
	host, port, err := net.SplitHostPort(o.Address)
	if err != nil {
		s.Fatalf("Keycloak: %v", err)
	}
	// Production mode, from the image that tools/deps has built.
	args := []string{
		"start", "--optimized", "--import-realm", "--http-enabled=true",
		"--proxy-headers=xforwarded", "--http-host=" + host, "--http-port=" + port,
	}
	if o.Hostname != "" {
		args = append(args, "--hostname="+o.Hostname)
	} else {
		args = append(args, "--hostname-strict=false")
	}
	k := &Keycloak{
		Origin: "http://" + o.Address, scope: s, net: o.Net, address: o.Address, home: home, args: args,
		// The quick compiler alone: Keycloak lives for minutes here.
		java:  cmp.Or(o.Java, "-XX:TieredStopAtLevel=1 -Xmx640m"),
		ready: "/realms/" + o.Realms[0].Realm + "/.well-known/openid-configuration",
	}
	k.Start()
	k.Await(s)
	s.Logf("Keycloak %s is up after %.1f s", KeycloakVersion, time.Since(began).Seconds())
	return k
}

// Start starts Keycloak, for the first time or again after Stop; Await waits
// for it.
func (k *Keycloak) Start() {
	cmd := k.net.Command(filepath.Join(k.home, "bin", "kc.sh"), k.args...)
	cmd.Env = append(os.Environ(), "JAVA_OPTS_APPEND="+k.java)
	k.process = Start(k.scope, "keycloak", cmd)
}

// Stop stops Keycloak and keeps its database.
func (k *Keycloak) Stop() { k.process.Stop() }

// PID is the process that Keycloak's own is a child of.
func (k *Keycloak) PID() int { return k.process.cmd.Process.Pid }

// Await returns when Keycloak answers.
func (k *Keycloak) Await(s Scope) {
	s.Helper()
	client := HTTPClient(DialTo(k.net, k.address))
	k.process.Await(s, "its realm answers", func() error { return answers(client, k.Origin+k.ready, http.StatusOK) })
}

// Log is the end of Keycloak's log.
func (k *Keycloak) Log() string { return string(k.process.Tail(40)) }

func answers(client *http.Client, url string, status int) error {
	resp, err := client.Get(url)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != status {
		return fmt.Errorf("%s: %s", url, resp.Status)
	}
	return nil
}
