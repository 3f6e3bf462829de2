package explain

import (
	"slices"
	"strings"
)

// The document, or the token, or the response names another issuer than the
// app expects (OIDC Discovery §4.3, OIDC Core §3.1.3.7, RFC 9207 §2.4).

// belowIssuer finds what Node prints of an error's cause.
var belowIssuer = below{
	"want": `\bexpected"?: ['"]([^'"]+)['"]`,
	"got":  `\biss(?:uer)?"?: ['"]([^'"]+)['"]`,
}

var issuers = []entry{
	{
		id: "issuer", title: "the provider calls itself by another name than the one that it was asked by",
		says: []says{
			{by: "coreos/go-oidc 3.21 and newer", text: `oidc: issuer URL provided to client ("{want}") did not match the issuer URL returned by provider ("{got}")`, seen: Live},
			{by: "coreos/go-oidc before 3.21, oauth2-proxy, Dex, Vault, Argo CD, Grafana", text: `oidc: issuer did not match the issuer returned by provider, expected "{want}" got "{got}"`, seen: Live},
			{by: oauth4web, text: `"response" body "issuer" property does not match the expected value`, seen: Live, below: belowIssuer},
			{by: oauth4web, text: "OAUTH_JSON_ATTRIBUTE_COMPARISON_FAILED", seen: Live, below: belowIssuer},
			{by: "openid-client 6", text: "discovered metadata issuer does not match the expected issuer", seen: Live, below: belowIssuer},
			{by: "Auth.js 5", text: "Discovery request responded with an invalid issuer. expected: {want}", seen: Source},
			{by: spring, text: `The Issuer "{got}" provided in the configuration metadata did not match the requested issuer "{want}"`, seen: Live},
			{by: spring + ", for an API", text: `The Issuer "{got}" provided in the configuration did not match the requested issuer "{want}"`, seen: Live},
			{by: nimbus, text: "The returned issuer doesn't match the expected: {got}", seen: Live},
			{by: "openidconnect-rs", text: "unexpected issuer URI `{got}` (expected `{want}`)", seen: Source},
			{by: ruby, text: "OpenIDConnect::Discovery::DiscoveryFailed, Issuer mismatch", seen: Live},
			{by: ruby, text: "OpenIDConnect::Discovery::DiscoveryFailed (Issuer mismatch)", seen: Thread},
		},
		means: "The app asked {want|one URL} for the discovery document, and the document's `issuer` is {got|another}. A strict client demands that they are equal, to the letter.",
		look:  func(v values) []cause { return issuerCauses(v["want"], v["got"]) }, lookSuffices: true,
		causes: []cause{
			splitNames,
			slashes[0],
			httpBehindTLS,
		},
		see: []string{publicNameInside},
	},
	{
		id: "token-issuer", title: "the token was issued under another name than the app expects",
		says: []says{
			{by: openid5, text: "unexpected iss value, expected {want}, got: {got}", seen: Live},
			{by: oauth4web, text: `unexpected JWT "iss" (issuer) claim value`, seen: Live, below: belowIssuer},
			{by: "coreos/go-oidc, oauth2-proxy, authentik's outpost", text: `oidc: id token issued by a different provider, expected "{want}" got "{got}"`, seen: Live},
			{by: "coreos/go-oidc before 3.0", text: `oidc: id token issued by a different provider, expected "{want}", got "{got}"`, seen: Thread},
			{by: spring + ", for an API", text: "The iss claim is not valid", seen: Live},
			{by: spring, text: "The ID Token contains invalid claims: {iss={got}}", seen: Live},
			{by: nimbus, text: "Unexpected JWT issuer: {got}", seen: Live},
			{by: nimbus, text: "Unexpected JWT issuer", seen: Live},
			{by: kcConnect, text: "invalid token (wrong ISS)", seen: Live},
			{by: ruby, text: "OpenIDConnect::ResponseObject::IdToken::InvalidIssuer", seen: Live},
			{by: "jsonwebtoken (Rust): agentgateway", text: "Error(InvalidIssuer)", seen: Thread},
			{by: jsonweb, text: "jwt issuer invalid. expected: {want}", seen: Live},
			{by: jose, text: `unexpected "iss" claim value`, seen: Live, below: belowIssuer},
			{by: pyjwt, text: "InvalidIssuerError", seen: Live},
			{by: authlib, text: "Invalid claim: 'iss'", seen: Live},
			{by: authlib + " before 1.6", text: `invalid_claim: Invalid claim "iss"`, seen: Source},
			{by: "ASP.NET", text: "IDX10205: Issuer validation failed. Issuer: '{got}'", seen: Thread},
		},
		means: "The token's `iss` is {got|another name}, and the app expects {want|the provider's own}: by it the app knows whose token it is.",
		look:  tokenIssuerCauses,
		causes: []cause{
			{
				what: "The provider makes its name from the Host of the request (authentik, Keycloak without --hostname, Authelia), and the login and the " +
					"token request went to different ones: the browser to the public name, the app to an internal one.",
				finding: "provider.follows-host",
				checks:  []string{"D3", "D6"},
				confirm: []string{"curl -s PUBLIC/.well-known/openid-configuration | grep -o '\"issuer\":\"[^\"]*\"'; the same at the internal address: they differ"},
				do:      "The door asks the provider by its public Host always, so that there is one issuer. Let the token request go to the door.",
				without: "Fix the provider's name (Keycloak: --hostname=https://auth.example.com), or let the proxy inside set the public Host.",
			},
			{
				what:    "An API validates tokens by another name of the provider than the one that the login went through.",
				finding: "token.issuer",
				checks:  []string{"D3"},
				confirm: []string{"the token's iss, decoded on your own machine, beside the API's setting"},
				do:      "Set the API's issuer to the public one, and its keys' URL to the door's internal origin.",
				without: "One issuer for all; where the library permits, the keys' URL by an internal name.",
			},
			{
				what:    "It is another realm's, application's or tenant's token.",
				confirm: []string{"the path in the token's iss"},
				without: "Ask the provider that the app is configured for.",
			},
		},
		see: []string{"docs/how-it-works.md"},
	},
	{
		id: "session-issuer", title: "the provider does not take its own token back",
		says: []says{
			{by: "Keycloak, at refresh and userinfo", text: "Invalid token issuer. Expected '{want}'", seen: Live},
			{by: "Keycloak's userinfo", text: "Token verification failed", seen: Live},
			{by: "Keycloak", text: "user_session_not_found", seen: Source},
		},
		means: "The provider issued the token under one name and is now asked under another; for it that is somebody else's token.",
		causes: []cause{
			{
				what:    "Keycloak has no fixed hostname: the login went through the public name, the refresh or userinfo request through the internal one.",
				finding: "provider.follows-host",
				checks:  []string{"D6", "D3"},
				confirm: []string{"the `issuer` of its document at both addresses"},
				do:      "The door asks it by the public Host, whoever asks the door. Fix its hostname all the same: --hostname=https://auth.example.com.",
				without: "--hostname=https://auth.example.com and, for internal addresses of the other endpoints, --hostname-backchannel-dynamic=true.",
			},
			{
				what:    "The token has expired or its session has ended.",
				confirm: []string{"log out, log in, and try at once"},
				without: "Let the app refresh its token in time.",
			},
		},
	},
	{
		id: "response-issuer", title: "the authorization response is another provider's, or its `iss` got lost",
		says: []says{
			{by: openid5, text: "iss mismatch, expected {want}, got: {got}", seen: Live},
			{by: openid5, text: "iss missing from the response", seen: Live},
			{by: oauth4web, text: `response parameter "iss" (issuer) missing`, seen: Live},
			{by: oauth4web, text: `unexpected "iss" (issuer) response parameter value`, seen: Live, below: belowIssuer},
			{by: better, text: "OAuth issuer mismatch", seen: Live, below: below{"want": belowIssuer["want"], "got": `\breceived: '([^']+)'`}},
			{by: better + ", in the address", text: "error=issuer_mismatch", seen: Live},
		},
		means: "The response to the login names {got|another issuer, or none}; the app expects {want|the one of its document} (RFC 9207).",
		look:  func(v values) []cause { return issuerCauses(v["want"], v["got"]) },
		causes: []cause{
			{
				what:    "Endpoints were typed by hand, with the internal issuer; the provider's response names the public one.",
				checks:  []string{"D2", "D3"},
				confirm: []string{"the app's settings: is discovery off, or `issuer` an internal URL?"},
				do:      "Give the app a discovery URL of the door instead, and no endpoint.",
				without: "Set the issuer to the public one, exactly as the document has it; only token, keys and userinfo may be internal.",
			},
			{
				what:    "A relay or an edge function on the way dropped, doubled or re-encoded the response's query.",
				checks:  []string{"D3"},
				confirm: []string{"the browser's developer tools, network: the query before and after the relay"},
				do:      "The door's relay passes the query octet for octet.",
				without: "Let the rule pass the whole query as it is, and append nothing (docs/seed-rules.md).",
			},
		},
		see: []string{"docs/apps/next-auth.md", "docs/seed-rules.md"},
	},
}

// The causes of two names, each alone.
var (
	splitNames = cause{
		what: "Two names of one provider: the app uses an internal one, the provider calls itself by the public one (or the reverse). " +
			"A strict client cannot use a document that was asked for by another name.",
		finding: "issuer.host",
		checks:  []string{"D2"},
		confirm: []string{"curl -s {document|DISCOVERY_URL} | grep -o '\"issuer\":\"[^\"]*\"'"},
		do: "Let the public name lead to the door inside as well, and give the app the public issuer. Clients that permit it may keep the internal " +
			"discovery URL: openid-client 6 given the full /.well-known/… URL, go-oidc with InsecureIssuerURLContext, next-auth 4.",
		without: "Make the public name known inside, with the same scheme and port, leading to the provider.",
	}
	slashes = []cause{{
		what:    "The slash at the end: {got|the provider's name} and {want|the app's} differ in nothing else.",
		finding: "issuer.slash",
		checks:  []string{"D2"},
		confirm: []string{"curl -s {document|DISCOVERY_URL} | grep -o '\"issuer\":\"[^\"]*\"'"},
		do:      "The slash is part of the name: authentik's issuers have one, Keycloak's have none. Copy it into the app and into `provider.issuers`.",
		without: "Copy the issuer from the document into the app: {got|to the letter}.",
	}}
	httpBehindTLS = cause{
		what:    "The provider believes that it is served by http: TLS ends at a proxy before it, and it does not hear of it.",
		finding: "proxy.proto",
		checks:  []string{"D6", "D2"},
		confirm: []string{"curl -s {document|DISCOVERY_URL} | tr , '\\n' | grep http://"},
		do:      "The door sends X-Forwarded-Proto; let the provider believe it (Keycloak: --proxy-headers=xforwarded --hostname=https://…; authentik: trusted proxies).",
		without: "Let the proxy set X-Forwarded-Proto and Host, and the provider believe them.",
	}
)

// issuerCauses finds the cause in the difference between the URL that was asked
// and the one that the provider calls itself.
func issuerCauses(want, got string) []cause {
	if want == "" || got == "" {
		return nil
	}
	// What nobody sees is a cause of its own, which every entry has.
	differences := slices.DeleteFunc(Differ(want, got), func(d Difference) bool { return d.Kind == Hidden })
	if len(differences) == 0 {
		return nil
	}
	first := differences[0]
	if len(differences) > 1 && first.Kind == Scheme && differences[1].Kind == Host {
		first = differences[1] // another host is another server: its scheme is its own
	}
	c := causeOf(first, parse(want), parse(got))
	if first.Kind != Slash {
		texts := make([]string, len(differences))
		for i, d := range differences {
			texts[i] = d.Text
		}
		c.what += " They differ in: " + strings.Join(texts, "; ") + "."
	}
	return []cause{c}
}

func causeOf(d Difference, want, got url) cause {
	compare := []string{"curl -s {document|DISCOVERY_URL} | grep -o '\"issuer\":\"[^\"]*\"'"}
	switch d.Kind {
	case Slash:
		return slashes[0]
	case Scheme:
		if got.scheme == "http" {
			return httpBehindTLS
		}
		return cause{
			what: "The app was given http, and the provider's name is https.", finding: "issuer.scheme", checks: []string{"D2"}, confirm: compare,
			do:      "Give the app the public issuer, with https; inside, the door needs a listener with `tls` for that name.",
			without: "Give the app {got}.",
		}
	case Host:
		return splitHosts(want, got)
	case Port:
		return cause{
			what: "The port is part of the name. A published port (-p 8081:8080) is another inside than outside, or a proxy outside hides it.", finding: "issuer.port", checks: []string{"D2"}, confirm: compare,
			do:      "`public_url` with the port that browsers use; the door needs a listener on that port inside too, for strict clients.",
			without: "Set the provider's name to the one that browsers use, port and all, and use the same port inside.",
		}
	case DefaultPort:
		return cause{
			what: "https://x and https://x:443 are one address and two names.", finding: "issuer.port", checks: []string{"D2"}, confirm: compare,
			do: "Leave the default port out of `public_url` and of the app's issuer.", without: "Give the app {got}, to the letter.",
		}
	case WellKnown:
		return cause{
			what: "The app was given the address of the document where the issuer belongs, or the reverse.", checks: []string{"D2"}, confirm: compare,
			do: "This client adds /.well-known/openid-configuration by itself.", without: "Give the app {got}.",
		}
	}
	return cause{
		what:    "Another path: the name of the realm, application or tenant, or the prefix /auth, which Keycloak has only with --http-relative-path=/auth.",
		finding: "issuer.path",
		checks:  []string{"D2"}, confirm: compare,
		do:      "`provider.issuers` has the provider's own paths, and `onedoor check` shows the whole issuer.",
		without: "Give the app {got}, to the letter.",
	}
}

// splitHosts tells which of two names is the internal one.
func splitHosts(want, got url) cause {
	w, _ := splitAddress(want.host)
	g, _ := splitAddress(got.host)
	internal := func(p place) bool { return p == loopback || p == private || p == inside }
	c := splitNames
	switch {
	case internal(placeOf(w)) && !internal(placeOf(g)):
		c.what = "The app asked by an internal name, and the provider calls itself by its public one. That is how it should call itself; a strict client cannot use the internal name for it."
	case !internal(placeOf(w)) && internal(placeOf(g)):
		c.what = "The provider calls itself by an internal name: it takes its name from the Host that the proxy before it sends, or its name was never set."
		c.finding, c.checks = "provider.hostname", []string{"D6", "D2"}
		c.do = "The door asks it by the public Host. Set its name all the same (Keycloak: --hostname and the value of `public_url`)."
		c.without = "Set the provider's name (Keycloak: --hostname=https://…), or let the proxy pass the Host on."
	}
	return c
}

// tokenIssuerCauses finds the cause in the difference, unless the hosts differ:
// then the entry's first cause says it better.
func tokenIssuerCauses(v values) []cause {
	for _, d := range Differ(v["want"], v["got"]) {
		if d.Kind == Host || d.Kind == Port {
			return nil
		}
	}
	return issuerCauses(v["want"], v["got"])
}
