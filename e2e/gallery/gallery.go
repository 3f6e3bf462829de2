// Package gallery is a list of set-ups in which nobody can log in, each broken
// in one way, and of some that are right. They are started for real in e2e/,
// where `onedoor doctor` must name the planted cause first; docs/doctor.md lists
// them.
package gallery

import (
	"fmt"
	"strings"

	"onedoor/doctor"
)

// Entry is one set-up.
type Entry struct {
	Name   string
	Broken string       // what is wrong, as a sentence; for the list in docs/doctor.md
	Cause  doctor.Cause // what the doctor must name first; "" for a set-up that is right
	Says   string       // what it must say besides: the detail that makes the cause plain
}

// Entries are all of them, in the order of the list.
func Entries() []Entry {
	return []Entry{
		{"seed-loopback", "The public name of the provider leads to 127.0.0.1 in the app's container: `ECONNREFUSED 127.0.0.1`.", doctor.ReachLoopback, "127.0.0.1:8080"},
		{"seed-mistyped-tenant", "One tenant of several is mistyped in the provider's list of redirect URIs.", doctor.RedirectUnregistered, "/tenants/globx/callback"},

		{"localhost-inside", "The app in a container is told `http://localhost:8080`.", doctor.ReachLoopback, "localhost"},
		{"unknown-inside", "The public name is not known in the app's network: `ENOTFOUND`.", doctor.ReachUnknownName, "network of app"},
		{"hairpin", "The public address cannot be reached from inside: packets are dropped, and the app hangs.", doctor.ReachHairpin, "192.x.x.x:8080"},
		{"token-leg", "The app reads the document inside; the token endpoint that it names has the public name, which is not known there.", doctor.ReachUnknownName, "the document names"},
		{"internal-issuer", "The app is told the provider's internal name, which no browser can open.", doctor.ReachUnknownName, "a name of the private network"},
		{"not-started", "The provider does not run.", doctor.ReachRefused, "refuses"},
		{"bad-gateway", "The provider does not run, and nginx answers 502 for it.", doctor.ProviderDown, "502"},
		{"slow", "The provider answers after four seconds; openid-client gives up after 3.5.", doctor.ProviderSlow, "3.5 s"},

		{"follows-host", "Keycloak without a hostname: its issuer is whatever name it is asked under.", doctor.ProviderFollowsHost, "server:8080"},
		{"follows-host-authentik", "authentik's layout, whose issuer follows the Host.", doctor.ProviderFollowsHost, "server:8080"},
		{"hostname-internal", "The provider's hostname is set to its internal name.", doctor.ProviderHostname, "http://server:8080"},
		{"issuer-slash", "The app writes a slash behind Keycloak's issuer.", doctor.IssuerSlash, "slash at the end"},
		{"issuer-slash-authentik", "The app leaves out the slash behind authentik's issuer.", doctor.IssuerSlash, "slash at the end"},
		{"issuer-host", "The provider is set up with another public name than the app is told.", doctor.IssuerHost, "sso.localhost"},
		{"two-issuers", "Browsers and the app are told two different realms.", doctor.IssuerTwo, "/realms/follows"},
		{"wrong-realm", "The realm's name is wrong.", doctor.DocRealm, "atlass"},
		{"auth-prefix", "The provider's paths begin with `/auth`, and the issuer does not.", doctor.DocPrefix, "/auth/realms/"},

		{"http-behind-tls", "TLS ends at a proxy that does not send X-Forwarded-Proto: the issuer is http.", doctor.ProxyProto, "http://auth.example.test"},
		{"proxy-host", "The proxy before the provider does not pass the Host.", doctor.ProxyHost, "127.0.0.1"},
		{"proxy-port", "The proxy before the provider passes the Host without its port.", doctor.ProxyPort, "the port is lost"},
		{"redirected", "The document is redirected from http to https.", doctor.DocRedirect, "https://auth.example.test"},
		{"forward-auth", "A proxy with a login of its own stands before the provider, and before its document.", doctor.DocLogin, "/oauth2/start"},
		{"http-port", "The app is told https, and the port speaks http.", doctor.TLSScheme, "does not speak TLS"},

		{"expired", "The certificate has expired.", doctor.TLSExpired, "ended on"},
		{"private-ca", "The certificate is signed by a private authority that the app does not know.", doctor.TLSAuthority, "the gallery's authority"},
		{"wrong-name", "The certificate is for another name.", doctor.TLSName, "www.example.test"},
		{"incomplete-chain", "The server does not send its intermediate certificate.", doctor.TLSChain, "alone"},
		{"clock", "The provider's clock is two hours behind.", doctor.ClockOff, "behind"},

		{"jwks-missing", "A proxy passes the login and the document, and not the keys.", doctor.EndpointNotFound, "jwks_uri"},
		{"jwks-empty", "The key set is empty.", doctor.KeysEmpty, "without a key"},
		{"jwks-other", "The internal address leads to another instance with other keys.", doctor.KeysDiffer, "no key in common"},
		{"token-issuer", "Tokens are fetched under the internal name and carry it as their issuer.", doctor.TokenIssuer, "http://server:8080"},

		{"client-id", "The app's client_id is mistyped.", doctor.ClientUnknown, "atlas-wbe"},
		{"client-of-another", "The app logs in with another app's client_id.", doctor.ClientOther, "borealis-web"},
		{"redirect-slash", "The redirect URI differs in the slash at the end.", doctor.RedirectUnregistered, "differ in: slash"},
		{"redirect-case", "The redirect URI differs in upper and lower case.", doctor.RedirectUnregistered, "differ in: case"},
		{"redirect-port", "The redirect URI has a port that is not registered.", doctor.RedirectUnregistered, "differ in: port"},
		{"redirect-scheme", "The app behind TLS sends an http redirect URI.", doctor.RedirectUnregistered, "differ in: scheme"},
		{"redirect-query", "The app puts a query behind its redirect URI.", doctor.RedirectUnregistered, "differ in: query"},
		{"wildcard", "The client accepts every redirect URI (`*`): a stolen code for whoever sends a link.", doctor.RedirectWildcard, "onedoor-negative-control.invalid"},
		{"wildcard-path", "The client has `https://acme.example.test/*`: every page of the site may receive codes.", doctor.RedirectPrefix, "onedoor-negative-control"},
		{"cors", "The site is not among the client's web origins: its scripts cannot read the token endpoint.", doctor.CORSOrigin, "https://spa.example.test"},

		{"secure-cookie", "The app's cookie is Secure, and browsers use the app by http.", doctor.CookieSecure, "drop"},
		{"other-host", "The app makes its redirect URI from another host than the person uses: the state cookie stays behind.", doctor.CookieHost, "begins at"},
		{"app-scheme", "The app behind TLS takes itself for http.", doctor.AppScheme, "http://acme.example.test"},

		{"door-not-in-front", "The public name still leads to the provider, not to the door.", doctor.DoorNotInFront, "not the door"},
		{"door-past", "The app is told the provider's own address and goes past the door.", doctor.DoorPast, "past the door"},
		{"door-upstream", "`provider.upstream` has the wrong port.", doctor.DoorUpstream, "provider.upstream"},
		{"door-realm", "`provider.issuers` has the wrong realm.", doctor.DocRealm, "provider.issuers"},
		{"door-issuer-slash", "`provider.issuers` lacks authentik's slash at the end.", doctor.IssuerSlash, "slash at the end"},
		{"door-hostname", "The provider behind the door is set up with another public name.", doctor.ProviderHostname, "sso.localhost"},
		{"door-forwarded", "A proxy between door and provider drops X-Forwarded-Proto.", doctor.ProviderForwarded, "X-Forwarded"},
		{"door-internal-url", "The app uses a name for the door that `internal_urls` lacks: 421.", doctor.DoorInternalURL, "internal_urls"},
		{"door-proxy-host", "The proxy before the door does not pass the Host: 421.", doctor.ProxyHost, "421"},
		{"door-redirect", "The provider knows the tenants' redirect URIs and not the door's.", doctor.RedirectUnregistered, "/onedoor/callback"},

		{"right-direct", "Right: one name, known everywhere.", "", ""},
		{"right-https", "Right: TLS before Keycloak, and the proxy says so.", "", ""},
		{"right-door", "Right: the door before Keycloak, in two networks.", "", ""},
		{"right-door-relay", "Right: the door as a relay.", "", ""},
		{"right-door-authentik", "Right: the door before authentik's layout.", "", ""},
	}
}

// Markdown is the list for docs/doctor.md.
func Markdown() string {
	var b strings.Builder
	b.WriteString("| what is broken | cause |\n|---|---|\n")
	for _, e := range Entries() {
		if e.Cause != "" {
			fmt.Fprintf(&b, "| %s | `%s` |\n", e.Broken, e.Cause)
		}
	}
	return b.String()
}

// Causes is the list of all causes for docs/doctor.md.
func Causes() string {
	var b strings.Builder
	b.WriteString("| cause | what it is |\n|---|---|\n")
	for _, c := range doctor.Causes() {
		fmt.Fprintf(&b, "| `%s` | %s |\n", c, c.Title())
	}
	return b.String()
}
