// Package config reads onedoor's configuration file: it parses, refuses what it
// does not know, validates, and names the place of every mistake at once.
//
// It knows what a file may say and nothing about how the parts are put together:
// package main turns a Config into the parts' own options. Reading starts at
// Load; the comments of the fields below are the reference, and docs/config.md
// and docs/onedoor.schema.json are made from them.
//
// A running door takes a changed file as it is, but for the fields with the tag
// `restart:"true"`: see reload.go.
package config

import (
	"net/netip"
	"time"
)

// Config is the whole file.
//
// After Load every default is filled in, Listeners is never empty, relative file names are resolved
// against the folder of the configuration file, and every value has passed the
// rules that its comment states.
type Config struct {
	// PublicURL is the origin that browsers use for the provider, and the
	// beginning of every issuer: scheme, host and port, nothing behind them.
	// http is for localhost, `*.localhost`, `*.test` and loopback addresses;
	// elsewhere it needs `insecure: true`.
	PublicURL string `yaml:"public_url" required:"true" restart:"true" example:"https://auth.example.com"`

	// Insecure permits http in `public_url` and `public_aliases` outside this
	// machine. Whoever is on the network between can then read every password
	// and code; the door says so in its log.
	Insecure bool `yaml:"insecure"`

	// PublicAliases are further origins that browsers may use. The issuer stays
	// the one under `public_url`.
	PublicAliases []string `yaml:"public_aliases" example:"[https://login.example.com]"`

	// InternalURLs are the origins that servers in the private network use.
	// Discovery names back-channel endpoints on the one that the caller used;
	// every other Host gets 421.
	InternalURLs []string `yaml:"internal_urls" example:"[http://onedoor:9000]"`

	// Listen is the address of the one listener for both horizons, host:port or
	// :port. Exactly one of `listen` and `listeners` is given. A change needs a
	// restart.
	Listen string `yaml:"listen" example:":9000"`

	// Listeners keep the horizons apart, each with its own address, proxies and
	// certificate. `listen: A` is short for the one listener
	// `{address: A, serves: [public, internal]}`.
	Listeners []Listener `yaml:"listeners"`

	// Provider is the OpenID Provider behind the door.
	Provider Provider `yaml:"provider" required:"true" example:"{upstream: http://keycloak:8080, issuers: [/realms/atlas]}"`

	// Apps are the OAuth clients whose redirects the door looks after, each
	// under a name for people, logs and relay paths (lower-case letters, digits
	// and hyphens). Clients that are not named here pass through unchanged.
	Apps map[string]*App `yaml:"apps" key:"NAME"`

	// Tenants says which tenants there are.
	Tenants Tenants `yaml:"tenants"`

	// Seal is about the values that a browser carries for the door.
	Seal Seal `yaml:"seal"`

	// Limits bound what callers, and a slow provider, can take of the door.
	Limits Limits `yaml:"limits"`

	// Database is where tenants, keys and the embedded provider's data are
	// kept: a SQLite file, for one node, or postgres://user:password@host/name,
	// for any number of them.
	Database Secret `yaml:"database" default:"onedoor.db" restart:"true"`

	// DatabaseFile is a file that holds the value of `database`, for an address
	// with a password.
	DatabaseFile string `yaml:"database_file"`

	// EncryptionKey encrypts the private keys that are kept in the database: 32
	// random octets in base64, as `onedoor key generate` prints them. Several
	// keys, parted by white space, are for changing it: the first encrypts, and
	// every one decrypts. Without it whoever can read the database, or a backup
	// of it, has those keys.
	EncryptionKey Secret `yaml:"encryption_key" restart:"true" lines:"true"`

	// EncryptionKeyFile is a file that holds the value of `encryption_key`, each
	// key on a line.
	EncryptionKeyFile string `yaml:"encryption_key_file" example:"encryption.key"`

	// Admin is the listener for operators: the API and the metrics. It is
	// opened where this section is given, or ONEDOOR_ADMIN_TOKEN.
	Admin Admin `yaml:"admin"`

	// Audit is the log of who changed what.
	Audit Audit `yaml:"audit"`

	// Domains is how the proofs of tenants' own sites are looked for.
	Domains Domains `yaml:"domains"`

	// Verify tries every tenant's login again and again, without an account.
	Verify Verify `yaml:"verify"`

	// Log is what the door writes about itself, one line an event, on standard
	// error.
	Log Log `yaml:"log"`

	// Traces are the records of logins that the database keeps.
	Traces Traces `yaml:"traces"`

	// Tracing sends logins as traces to an OpenTelemetry collector.
	Tracing Tracing `yaml:"tracing"`

	file   string           // as it was given to Load
	files  []File           // it, and what else makes it what it is
	places map[string]place // of the values, by path
}

// Listener is one address that the door listens on.
type Listener struct {
	// Address is where it listens: host:port, or :port for every address of the
	// machine. A change needs a restart, and so does a listener more or less.
	Address string `yaml:"address" required:"true" example:":8080"`

	// Serves is which horizons callers of this listener belong to. Leave
	// `internal` out where the Internet can reach the listener.
	Serves []string `yaml:"serves" required:"true" enum:"public,internal" example:"[public]"`

	// TrustedProxies are the networks (CIDR) whose word about the caller's
	// address, scheme and host is believed. By default nobody's is, and inbound
	// forwarding headers are removed.
	TrustedProxies []netip.Prefix `yaml:"trusted_proxies" example:"[10.0.0.0/8]"`

	// Forwarded is which header those proxies set: `x-forwarded`
	// (X-Forwarded-For, -Proto, -Host) or `rfc7239` (Forwarded). The other one
	// is ignored. With `trusted_proxies` the default is x-forwarded.
	Forwarded string `yaml:"forwarded" enum:"x-forwarded,rfc7239"`

	// TLS makes this an https listener. To turn it on or off needs a restart;
	// other files do not.
	TLS *TLS `yaml:"tls"`
}

// TLS is a listener's certificate: a pair of files, or ACME.
type TLS struct {
	// CertFile is a PEM file with the certificate and its intermediates.
	CertFile string `yaml:"cert_file"`

	// KeyFile is a PEM file with the certificate's private key.
	KeyFile string `yaml:"key_file"`

	// ACME asks a certificate authority for certificates of the public origins
	// (RFC 8555). This version does not do it yet, and `check` says so.
	ACME *ACME `yaml:"acme"`
}

// ACME is the account at the certificate authority.
type ACME struct {
	// Email is where the certificate authority sends warnings.
	Email string `yaml:"email" required:"true"`
}

// Provider is the OpenID Provider behind the door: exactly one of `upstream`
// and `embedded` is given.
type Provider struct {
	// Upstream is the origin at which the door reaches the provider.
	Upstream string `yaml:"upstream" example:"http://keycloak:8080"`

	// Embedded runs the provider inside the door; `{}` is enough.
	Embedded *Embedded `yaml:"embedded" restart:"true"`

	// Issuers are the issuers' paths under `public_url`: `/realms/NAME` for
	// Keycloak, `/application/o/SLUG/` for authentik (with its last slash), `/`
	// for the origin itself. `{tenant}` as a whole segment is one realm for
	// each tenant. The default with `embedded` is [/]; with `upstream` at least
	// one is required.
	Issuers []string `yaml:"issuers" example:"[/realms/atlas]"`

	// Kind is which provider it is, for its private paths and its ways. By
	// default it is recognised from its metadata.
	Kind string `yaml:"kind" enum:"keycloak,authentik,generic"`

	// Expose opens private paths of the provider (and all below them) that are
	// closed by default, as Keycloak's /admin.
	Expose []string `yaml:"expose" example:"[/admin]"`

	// CAFile is a PEM file with the private certificate authority of an https
	// upstream.
	CAFile string `yaml:"ca_file"`
}

// Embedded is the provider inside. Its users and clients are in the database.
type Embedded struct{}

// App is an OAuth client and the sites on which its tenants use it. It needs
// `site` and `callbacks`, or `redirect_uris`, or both.
type App struct {
	// Name is the app's key in the file.
	Name string `yaml:"-"`

	// ClientID is the client_id that the app sends, unique within its issuer.
	ClientID string `yaml:"client_id" required:"true" example:"atlas-web"`

	// Mode is `transparent`: the app sends its tenant's own redirect URI, which
	// the door swaps for the registered one, and back; or `relay`: its
	// authorization requests pass as they are and the provider knows the
	// relay's URIs.
	Mode string `yaml:"mode" enum:"transparent,relay" default:"transparent"`

	// Type is `confidential` (it has a secret or key), `public` (none: its own
	// PKCE is demanded) or `native` (public, on the person's device: loopback
	// redirect URIs match any port, RFC 8252 §7.3).
	Type string `yaml:"type" enum:"confidential,public,native" default:"confidential"`

	// Issuer is which of `provider.issuers` the app belongs to, as it is spelt
	// there. Needed only where there are several.
	Issuer string `yaml:"issuer"`

	// Site is the origin of a tenant's site. `{tenant}` is one host label or a
	// part of one and stands below a name that you own: never directly below a
	// public suffix (`https://{tenant}.com` would be anybody's).
	Site string `yaml:"site" example:"https://{tenant}.example.com"`

	// Insecure permits http sites and redirect URIs outside localhost,
	// `*.localhost`, `*.test` and loopback addresses, and local ones while
	// `public_url` is not local. Codes then travel in the clear.
	Insecure bool `yaml:"insecure"`

	// Callbacks are the paths on the site that may receive a login; `""` is the
	// bare origin. The first one is the relay's.
	Callbacks []string `yaml:"callbacks" example:"[/api/auth/callback]"`

	// Logouts are the paths on the site that may follow a logout.
	Logouts []string `yaml:"logouts" example:"[/]"`

	// RedirectURIs are exact redirect URIs without a tenant.
	RedirectURIs []string `yaml:"redirect_uris" example:"[https://atlas.example.net/cb]"`

	// RegisteredRedirectURI is the one redirect URI that the provider knows for
	// this app. The default is `{public_url}/onedoor/callback`, and where there
	// are several issuers, that followed by the issuer's path; the long form
	// may be written for a single issuer too, before others join it.
	RegisteredRedirectURI string `yaml:"registered_redirect_uri"`

	// Authorize are parameters that are added to each authorization request
	// unless the app sent its own; `{tenant}` in a value is the tenant's label.
	Authorize map[string]string `yaml:"authorize" key:"PARAMETER" example:"{kc_idp_hint: \"{tenant}\"}"`

	// RequirePushedAuthorizationRequests refuses authorization requests of this
	// app that were not pushed (RFC 9126 §6).
	RequirePushedAuthorizationRequests bool `yaml:"require_pushed_authorization_requests"`

	// BrowserBinding accepts a login's response only in the browser that began
	// it. Turn it off only for an app that logs in silently in an iframe on
	// another site, where browsers keep the cookie back.
	BrowserBinding bool `yaml:"browser_binding" default:"true"`

	// AcceptUnboundCodes lets this app log in at a provider without PKCE
	// (RFC 7636). A stolen authorization code can then be slipped into another
	// tenant's login: there, the door's own PKCE is what stops it.
	AcceptUnboundCodes bool `yaml:"accept_unbound_codes"`
}

// Tenants says which tenants there are.
type Tenants struct {
	// Admit is `registered`: those in the database and in `list`; or `any`:
	// besides, every label that fits an app's site and is not reserved.
	Admit string `yaml:"admit" enum:"registered,any" default:"registered"`

	// List names a few tenants that need no database: labels of lower-case
	// letters, digits and hyphens, 1 to 63 long. Where the database knows such a
	// label too, the database's word counts: one that is suspended there is
	// suspended.
	List []string `yaml:"list" example:"[acme, globex]"`

	// Reserved are labels that are never a tenant. Those at which an app's site
	// would be one of the door's own origins are always reserved.
	Reserved []string `yaml:"reserved" example:"[www, auth, api]"`

	// StaleAfter is how long tenants are served from memory while the database
	// cannot be reached. After that they get 503, since one of them may have
	// been suspended; and so do logins without a tenant, since a sealing key may
	// have been revoked. While it can be reached, a change counts within a second.
	StaleAfter time.Duration `yaml:"stale_after" default:"15m" min:"10s" max:"168h" restart:"true"`

	// Limit is how many tenants there may be, in the database and in memory: a
	// million plain ones take some 35 MB. Of more, those that have no room get
	// 503, and the log says so.
	Limit int `yaml:"limit" default:"2000000" min:"1" max:"50000000" restart:"true"`

	// LabelRest is for how long the label of a tenant that was removed is
	// nobody's: logins, bookmarks and DNS records may still mean its last owner.
	LabelRest time.Duration `yaml:"label_rest" default:"2160h" min:"0s" max:"87600h" restart:"true"`
}

// Seal is about sealed values: how long they live, and the keys they are sealed
// with, which all doors of one database share.
type Seal struct {
	// LoginTTL is how long a person may take from the authorization request to
	// the provider's response. Too short breaks slow logins; too long keeps a
	// leaked URL useful. Not below the provider's own login time limit.
	LoginTTL time.Duration `yaml:"login_ttl" default:"1h" min:"1m" max:"24h"`

	// CodeTTL is how long an app may take to redeem its code. RFC 6749 §4.1.2
	// recommends 10 minutes at most.
	CodeTTL time.Duration `yaml:"code_ttl" default:"2m" min:"10s" max:"10m"`

	// RotateEvery is how old the newest key may grow before one of the doors
	// makes another. 0s leaves it to `onedoor key rotate`; the least is 15m.
	RotateEvery time.Duration `yaml:"rotate_every" default:"720h" min:"0s" max:"8760h"`
}

// Admin is the listener for operators.
type Admin struct {
	// Open tells that the listener is wanted.
	Open bool `yaml:"-"`

	// Listen is its address, host:port. Keep it off the Internet.
	Listen string `yaml:"listen" default:"127.0.0.1:9001" restart:"true"`

	// Token is a bearer token that may do everything: for the first steps, and
	// for adding others (`onedoor token add`), which may do less and end. Without
	// it there are only those. At least 16 characters.
	Token Secret `yaml:"token"`

	// TokenFile is a file that holds the value of `token`.
	TokenFile string `yaml:"token_file" example:"admin.token"`

	// Metrics is who may read `/metrics`: `token`, whoever has a token with the
	// scope metrics:read; or `open`, whoever reaches the listener, also while the
	// database, which knows the tokens, is down. The default is open where
	// `listen` is of the loopback interface, and token elsewhere.
	Metrics string `yaml:"metrics" enum:"token,open" restart:"true"`

	// Hosts are the names under which the API is asked, besides `localhost`, the
	// loopback addresses, the host of `listen` and the address that a request
	// came in at. A request with any other Host gets 421: a page of anybody's
	// could have its own name lead here.
	Hosts []string `yaml:"hosts" restart:"true" example:"[onedoor, admin.example.com]"`

	// Rate is how many requests a second a token may make. An import takes a
	// thousand tenants in one.
	Rate int `yaml:"rate" default:"100" min:"1" max:"100000" restart:"true"`

	// TLS makes it an https listener.
	TLS *TLS `yaml:"tls" restart:"true"`

	// Insecure permits an address that is not of the loopback interface without
	// TLS. Tokens then travel in the clear.
	Insecure bool `yaml:"insecure"`
}

// Domains is how the proofs of tenants' own sites are looked for in the DNS.
type Domains struct {
	// Resolver is the recursive resolver that is asked, host:port. By default it
	// is the operating system's. What it answers is believed: take one near by
	// that validates DNSSEC.
	Resolver string `yaml:"resolver" restart:"true" example:"127.0.0.1:53"`

	// Recheck is how often the proof of an admitted site is looked for.
	Recheck time.Duration `yaml:"recheck" default:"24h" min:"1m" max:"168h" restart:"true"`

	// Grace is how long the proof may be missing, in three looks at least, before
	// the site is no longer admitted. An answer that is none does not count, for two weeks.
	Grace time.Duration `yaml:"grace" default:"72h" min:"1m" max:"720h" restart:"true"`
}

// Log is what the door writes about itself.
type Log struct {
	// Format is `json`, one object a line, or `text`.
	Format string `yaml:"format" enum:"json,text" default:"json" restart:"true"`

	// Level is the least important level that is written.
	Level string `yaml:"level" enum:"debug,info,warn,error" default:"info"`
}

// Secret is a text that does not print itself. string(s) is its value.
type Secret string

// String hides the value, so that no log or error shows it by accident.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return "[secret]"
}

// GoString hides the value from %#v.
func (s Secret) GoString() string { return s.String() }

// MarshalText hides the value from JSON and from slog.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
