package doctor

import (
	"maps"
	"slices"
)

// Cause is why logins fail, in a word that stays the same between versions.
type Cause string

// The causes.
const (
	ReachLoopback    Cause = "reach.loopback"
	ReachUnknownName Cause = "reach.unknown-name"
	ReachDNS         Cause = "reach.name-service"
	ReachRefused     Cause = "reach.refused"
	ReachTimeout     Cause = "reach.timeout"
	ReachHairpin     Cause = "reach.hairpin"
	ReachUnreachable Cause = "reach.unreachable"
	ReachBlocked     Cause = "reach.blocked"
	ReachNotNamed    Cause = "reach.not-named"
	ReachBrowser     Cause = "reach.browser"

	ProviderDown        Cause = "provider.down"
	ProviderSlow        Cause = "provider.slow"
	ProviderFollowsHost Cause = "provider.follows-host"
	ProviderHostname    Cause = "provider.hostname"
	ProviderForwarded   Cause = "provider.forwarded"

	TLSExpired   Cause = "tls.expired"
	TLSNotYet    Cause = "tls.not-yet-valid"
	TLSAuthority Cause = "tls.authority"
	TLSChain     Cause = "tls.chain"
	TLSName      Cause = "tls.name"
	TLSScheme    Cause = "tls.scheme"
	TLSFailed    Cause = "tls.failed"
	ClockOff     Cause = "clock.off"

	DocNotFound   Cause = "document.not-found"
	DocRealm      Cause = "document.realm"
	DocPrefix     Cause = "document.prefix"
	DocHostRouted Cause = "document.host"
	DocRedirect   Cause = "document.redirect"
	DocLogin      Cause = "document.login"
	DocForbidden  Cause = "document.forbidden"
	DocNotJSON    Cause = "document.not-json"

	IssuerSlash    Cause = "issuer.slash"
	IssuerCase     Cause = "issuer.case"
	IssuerScheme   Cause = "issuer.scheme"
	IssuerPort     Cause = "issuer.port"
	IssuerHost     Cause = "issuer.host"
	IssuerPath     Cause = "issuer.path"
	IssuerTwo      Cause = "issuer.two"
	IssuerInsecure Cause = "issuer.insecure"

	ProxyHost  Cause = "proxy.host"
	ProxyProto Cause = "proxy.proto"
	ProxyPort  Cause = "proxy.port"

	SplitFrontChannel Cause = "split.front-channel"
	EndpointNotFound  Cause = "endpoint.not-found"

	KeysNone   Cause = "keys.none"
	KeysEmpty  Cause = "keys.empty"
	KeysDiffer Cause = "keys.differ"
	KeysToken  Cause = "keys.token"

	TokenIssuer   Cause = "token.issuer"
	TokenAudience Cause = "token.audience"

	RedirectUnregistered Cause = "redirect.unregistered"
	RedirectWildcard     Cause = "redirect.wildcard"
	RedirectPrefix       Cause = "redirect.prefix"
	RedirectElsewhere    Cause = "redirect.elsewhere"
	RedirectUnclear      Cause = "redirect.unclear"
	RedirectState        Cause = "redirect.state"
	ClientUnknown        Cause = "client.unknown"
	ClientOther          Cause = "client.other"
	ClientRefused        Cause = "client.refused"

	CookieSecure   Cause = "cookie.secure"
	CookieHost     Cause = "cookie.host"
	CookieSameSite Cause = "cookie.same-site"
	AppScheme      Cause = "app.scheme"
	AppLogin       Cause = "app.login"
	AppLog         Cause = "app.log"
	CORSOrigin     Cause = "cors.origin"

	DoorNotInFront  Cause = "door.not-in-front"
	DoorUpstream    Cause = "door.upstream"
	DoorInternalURL Cause = "door.internal-url"
	DoorPast        Cause = "door.past"
	DoorRefused     Cause = "door.refused"
)

// titles say what each cause is, as a sentence.
var titles = map[Cause]string{
	ReachLoopback:    "the name leads to the caller itself, where no provider listens",
	ReachUnknownName: "the name is not known there",
	ReachDNS:         "the name service does not answer",
	ReachRefused:     "nothing listens at that address",
	ReachTimeout:     "packets to that address get lost",
	ReachHairpin:     "the public address cannot be reached from inside its own network",
	ReachUnreachable: "there is no route to that address",
	ReachBlocked:     "a rule on this machine forbids the connection",
	ReachNotNamed:    "the document leads to a host that was not named",
	ReachBrowser:     "the browser cannot load the address",

	ProviderDown:        "a proxy answers for the provider, which does not",
	ProviderSlow:        "the provider takes longer than clients wait",
	ProviderFollowsHost: "the provider calls itself by whatever name it is asked under",
	ProviderHostname:    "the provider is set up with another public name",
	ProviderForwarded:   "the provider does not learn how browsers reach it",

	TLSExpired:   "the certificate has expired",
	TLSNotYet:    "the certificate is not valid yet",
	TLSAuthority: "the certificate is signed by an authority that is not known there",
	TLSChain:     "the server does not send its intermediate certificate",
	TLSName:      "the certificate is for another name",
	TLSScheme:    "http and https are mixed up",
	TLSFailed:    "the TLS handshake fails",
	ClockOff:     "the clocks disagree",

	DocNotFound:   "there is no discovery document at the issuer",
	DocRealm:      "the provider has no such realm",
	DocPrefix:     "the issuer's path begins differently at this provider",
	DocHostRouted: "the provider answers under its public name alone",
	DocRedirect:   "the discovery document is redirected, and clients do not follow",
	DocLogin:      "a login stands before the discovery document",
	DocForbidden:  "the discovery document is forbidden",
	DocNotJSON:    "something else than a discovery document is there",

	IssuerSlash:    "the issuers differ in the slash at the end",
	IssuerCase:     "the issuers differ in upper and lower case",
	IssuerScheme:   "the issuers differ in http and https",
	IssuerPort:     "the issuers differ in the port",
	IssuerHost:     "the provider has another name than the app is told",
	IssuerPath:     "the provider has another issuer at that address",
	IssuerInsecure: "browsers use the provider without TLS",
	IssuerTwo:      "two addresses lead to two different issuers",

	ProxyHost:  "the proxy before the provider does not pass the Host",
	ProxyProto: "the provider does not know that browsers use https",
	ProxyPort:  "the proxy before the provider loses the port",

	SplitFrontChannel: "browsers are sent to a name that only servers know",
	EndpointNotFound:  "an endpoint that the document names is not there",

	KeysNone:   "there are no keys at jwks_uri",
	KeysEmpty:  "the key set is empty",
	KeysDiffer: "two addresses lead to two different key sets",
	KeysToken:  "the token is signed with a key that is not published",

	TokenIssuer:   "tokens carry another issuer than the document",
	TokenAudience: "the token is for another client",

	RedirectUnregistered: "the redirect URI is not registered for the client",
	RedirectWildcard:     "the provider sends codes to addresses that nobody registered",
	RedirectPrefix:       "the provider accepts every page of the site as a redirect URI",
	RedirectElsewhere:    "the login leads to an address that was not named",
	RedirectUnclear:      "what the provider says to an authorization request is not clear",
	RedirectState:        "the state gets lost on the way back",
	ClientUnknown:        "the provider does not know the client",
	ClientOther:          "the app logs in as another client",
	ClientRefused:        "the provider refuses the client's request",

	CookieSecure:   "browsers drop the login's cookie",
	CookieHost:     "the login begins on one host and ends on another",
	CookieSameSite: "the login's cookie does not come back from another site",
	AppScheme:      "the app behind TLS takes itself for http",
	AppLog:         "the log names an error that was not seen from here",
	AppLogin:       "the app fails before it sends anybody to the provider",
	CORSOrigin:     "scripts of the site may not call the provider",

	DoorNotInFront:  "the public origin does not lead to the door",
	DoorUpstream:    "the door cannot reach its provider",
	DoorInternalURL: "the door does not know the name by which it is called",
	DoorPast:        "the app goes past the door",
	DoorRefused:     "the door itself refuses the login",
}

// Title says what a cause is, in one sentence.
func (c Cause) Title() string { return titles[c] }

// Causes lists all, in the order of their names.
func Causes() []Cause { return slices.Sorted(maps.Keys(titles)) }
