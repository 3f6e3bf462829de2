package explain

import "strings"

// An answer came, and it is no discovery document.

// statuses are messages that only tell the status. belowStatus finds it where
// the program prints it further down.
var (
	belowStatus = below{"status": `\bstatus: ([0-9]{3})\b`, "url": `\burl: '([^']+)'`, "location": `\blocation: '([^']+)'`}
	statuses    = []says{
		{by: openid5, text: "expected 200 OK, got: {status} ", seen: Live},
		{by: oauth4web, text: `"response" is not a conform Authorization Server Metadata response (unexpected HTTP status code)`, seen: Live, below: belowStatus},
		{by: "openid-client 6", text: "unexpected HTTP response status code", seen: Live, below: belowStatus},
		{by: oaproxy, text: `failed to discover OIDC configuration: unexpected status "{status}"`, seen: Live},
		{by: "x/oauth2: Go programs, at the token endpoint", text: "oauth2: cannot fetch token: {status} ", seen: Live},
		{by: spring, text: `{status} … on GET request for "{want}/.well-known/openid-configuration`, seen: Live},
		{by: requests, text: "{status} Client Error: … for url: {want}/.well-known/openid-configuration", seen: Live},
		{by: requests, text: "{status} Server Error: … for url: {want}/.well-known/openid-configuration", seen: Live},
		{by: httpx, text: "error '{status} …' for url '{want}/.well-known/openid-configuration'", seen: Live},
		{by: nimbus, text: "Couldn't download OpenID Provider metadata from {url}: Status code {status}", seen: Live},
		{by: "ASP.NET", text: "IDX20807: Unable to retrieve document from: '{url}'", seen: Thread, below: below{"status": `StatusCode: ([0-9]{3})`}},
	}
)

// fivehundreds are coreos/go-oidc's words for them.
var fivehundreds = []says{
	{by: "coreos/go-oidc", text: "500 Internal Server Error: ", seen: Live, fixed: values{"status": "500"}},
	{by: "coreos/go-oidc", text: "502 Bad Gateway: ", seen: Source, fixed: values{"status": "502"}},
	{by: "coreos/go-oidc", text: "503 Service Unavailable: ", seen: Source, fixed: values{"status": "503"}},
	{by: ruby, text: "OpenIDConnect::Discovery::DiscoveryFailed, Internal Server Error", seen: Live, fixed: values{"status": "500"}},
}

// notFounds say themselves that it is 404.
var notFounds = []says{
	{by: "coreos/go-oidc", text: "404 Not Found: ", seen: Live, fixed: values{"status": "404"}},
	{by: "Keycloak", text: "Realm does not exist", seen: Live, fixed: values{"status": "404"}},
	{by: ruby, text: "OpenIDConnect::Discovery::DiscoveryFailed (Not Found)", seen: Thread, fixed: values{"status": "404"}},
	{by: ruby, text: "OpenIDConnect::Discovery::DiscoveryFailed, Not Found", seen: Live, fixed: values{"status": "404"}},
}

var wrongPath = []cause{
	{
		what: "The path is another: the realm's or application's name, upper and lower case, a doubled slash, or the prefix /auth, " +
			"which Keycloak has had no more since version 17, and has with --http-relative-path=/auth.",
		finding: "document.realm",
		checks:  []string{"D2"},
		confirm: []string{
			"for p in '' /auth; do curl -s -o /dev/null -w \"%{http_code} $p\\n\" ORIGIN$p/realms/REALM/.well-known/openid-configuration; done",
		},
		do:      "The path of `provider.issuers` is the provider's own; `onedoor check` shows the whole discovery URL.",
		without: "Keycloak: /realms/REALM. authentik: /application/o/SLUG/, with the slash. Use the base that answers 200.",
	},
	{
		what:    "The provider chooses by the Host (Zitadel, authentik with several domains), and the app asked by another name: it answers 404 to a Host that it does not know.",
		finding: "document.host",
		checks:  []string{"D6"},
		confirm: []string{"curl -s -o /dev/null -w '%{http_code}\\n' -H 'Host: auth.example.com' http://INTERNAL/…/.well-known/openid-configuration    # now 200"},
		do:      "The door asks the provider by its public Host, whoever asks the door.",
		without: "Ask by the public name, or let a proxy inside set the Host.",
	},
}

var redirecting = []cause{
	{
		what:    "The address redirects to {location|another}: from http to https, to the same with or without a slash, to another host. This client does not follow.",
		finding: "document.redirect",
		checks:  []string{"D2"},
		confirm: []string{"curl -sI {url|DISCOVERY_URL} | grep -i '^location'"},
		do:      "Give the app the door's discovery URL, which answers itself; name in `provider.upstream` the provider's own address, past what redirects.",
		without: "Configure the address that it redirects to.",
	},
	{
		what:    "A proxy with a login of its own stands before the provider (forward-auth, an access gateway) and sends the app to log in.",
		finding: "document.login",
		checks:  []string{"D2"},
		confirm: []string{"curl -sI {url|DISCOVERY_URL}: the location is a login page"},
		do:      "`provider.upstream` past that proxy.",
		without: "Exempt /.well-known/, the token endpoint and the keys from that login.",
	},
}

var broken = []cause{
	{
		what:    "The provider is starting or out of order, or the proxy before it does not reach it.",
		finding: "provider.down",
		checks:  []string{"D1", "D2"},
		confirm: []string{"curl -s -i {url|DISCOVERY_URL} | head -20; the log of the provider and of the proxy before it"},
		do:      "`provider not ready` in the door's log says what the door gets.",
		without: "See the provider's log.",
	},
}

var closed = []cause{
	{
		what:    "Something before the provider asks for permission: a firewall for web requests, a gateway, an allow-list of addresses.",
		finding: "document.forbidden",
		checks:  []string{"D2"},
		confirm: []string{"docker exec APP curl -s -i {url|DISCOVERY_URL} | head -20"},
		do:      "`provider.upstream` past it.",
		without: "Exempt /.well-known/, the token endpoint and the keys.",
	},
}

// status tells whether the message has a status of a class, such as "3".
func status(class string) func(values) bool {
	return func(v values) bool { return strings.HasPrefix(v["status"], class) }
}

var discovery = []entry{
	{
		id: "not-found", title: "there is no discovery document at that address",
		says:   append(notFounds[:len(notFounds):len(notFounds)], statuses...),
		when:   status("404"),
		means:  "A server answered, and not with the document: it has no such path.",
		causes: wrongPath,
	},
	{
		id: "redirected", title: "the discovery document is elsewhere, and the client does not follow",
		says: statuses, when: status("3"),
		means:  "The server answered {status|with a redirect}. OpenID Connect clients do not follow redirects here, so that nobody can lead them to another issuer.",
		causes: redirecting,
	},
	{
		id: "provider-broken", title: "the provider answered {status|with an error of its own}",
		says: append(fivehundreds[:len(fivehundreds):len(fivehundreds)], statuses...), when: status("5"),
		means:  "The provider, or a proxy before it, is in trouble: {status|5xx} is an error of its own.",
		causes: broken,
	},
	{
		id: "provider-refuses", title: "the provider answered {status|that it does not let the app in}",
		says: statuses,
		when: func(v values) bool {
			return strings.HasPrefix(v["status"], "4") && v["status"] != "404" && v["status"] != "421"
		},
		means:  "The answer {status|4xx} refuses the request. Its body may say why.",
		causes: closed,
		wraps:  hints,
	},
	{
		id: "discovery-status", title: "something answered, and not with 200",
		says: statuses, when: func(v values) bool { return v["status"] == "" },
		means:  "The library names no status. The lines after it may: paste them, too.",
		causes: []cause{wrongPath[0], redirecting[0], broken[0], wrongPath[1]},
	},
	{
		id: "endpoint-status", title: "an endpoint of the provider answered {status|with an error}",
		says: []says{
			{by: requests, text: "{status} Client Error: … for url: {url}", seen: Live},
			{by: requests, text: "{status} Server Error: … for url: {url}", seen: Live},
			{by: httpx, text: "error '{status} …' for url '{url}'", seen: Live},
			{by: ruby, text: "unexpected response: #<HTTP::Message::Headers", seen: Live, below: below{"status": `@status_code=([0-9]{3})`}},
			{by: mozilla, text: "Get Token Error (url: {url}, status: {status}", seen: Live},
		},
		when:  func(v values) bool { return !strings.HasSuffix(v["url"], wellKnown) },
		wraps: hints,
		means: "The app asked {url|an endpoint} and got {status|an error}. The answer's body, which the library may hide, says more.",
		causes: []cause{
			{
				what:    "404: the endpoint is not there. It was typed by hand, or belongs to another realm or application than the discovery document's.",
				finding: "document.realm",
				checks:  []string{"D2"},
				confirm: []string{"curl -s DISCOVERY_URL | tr , '\\n' | grep -E '_endpoint|jwks_uri'    # is {url|the address} among them?"},
				do:      "Take each endpoint from the door's discovery document at the internal origin.",
				without: "Take each endpoint from the provider's document.",
			},
			{
				what:    "401 or 400 of the token endpoint: the secret, the code or the redirect URI. 401 of userinfo: the token was issued under another name of the provider.",
				checks:  []string{"D3", "D6"},
				confirm: []string{"the provider's log at that second"},
				do:      "The door's log names the rule, if it refused.",
				without: "Explain the line of the provider's log.",
			},
			{
				what:    "5xx: the provider, or the proxy before it, is in trouble.",
				finding: "provider.down",
				checks:  []string{"D1"},
				confirm: []string{"the log of the provider and of the proxy before it"},
				without: "See the provider's log.",
			},
		},
	},
	{
		id: "not-json", title: "the answer is a page and no document",
		says: []says{
			{by: oauth4web, text: `"response" content-type must be application/json`, seen: Live},
			{by: "openid-client 6", text: "unexpected response content-type", seen: Live, below: belowStatus},
			{by: oauth4web, text: `failed to parse "response" body as JSON`, seen: Source},
			{by: "Node.js: next-auth 4", text: `Unexpected token '<', "<!doctype "... is not valid JSON`, seen: Live},
			{by: "Node.js: next-auth 4", text: `Unexpected token '<', …is not valid JSON`, seen: Live},
			{by: "Node.js 18 and older", text: "Unexpected token < in JSON at position 0", seen: Thread},
			{by: "coreos/go-oidc", text: "oidc: failed to decode provider discovery object", seen: Live},
			{by: "Go", text: "invalid character '<' looking for beginning of value", seen: Live},
			{by: spring, text: "no suitable HttpMessageConverter found for response type", seen: Live},
			{by: nimbus, text: "The HTTP Content-Type header must be application/json, received text/html", seen: Live},
			{by: "Python", text: "Expecting value: line 1 column 1 (char 0)", seen: Live},
			{by: oidcTS, text: "Invalid response Content-Type: …, from URL: {url}", seen: Live},
			{by: ruby, text: "unexpected token at '<", seen: Live},
			{by: ruby + ", of the token endpoint", text: "OpenIDConnect::Exception, Unknown Token Type", seen: Live},
			{by: authlib, text: "Token endpoint response is not a JSON object", seen: Live},
			{by: "oauthlib", text: "(missing_token) Missing access token parameter.", seen: Live},
		},
		means: "The server answered 200 with a web page where JSON was expected.",
		causes: []cause{
			{
				what:    "The URL is of a page: the provider's login or start page, a single-page app that answers every path, a proxy's login.",
				finding: "document.not-json",
				checks:  []string{"D2"},
				confirm: []string{"curl -s -i {url|DISCOVERY_URL} | head -20"},
				do:      "`provider.upstream` is the provider's own address, past other pages.",
				without: "Correct the path; exempt it from the proxy's login.",
			},
			{
				what:    "At the token endpoint: the request went to the wrong server, or a firewall answered in the provider's place.",
				checks:  []string{"D2"},
				without: "See where `token_endpoint` of the document leads from the app.",
			},
		},
	},
	{
		id: "discovery-failed", title: "the discovery document could not be had",
		says: []says{
			{by: spring, text: `Unable to resolve Configuration with the provided Issuer of "{want}"`, seen: Live},
			{by: spring + ", for an API", text: `Unable to resolve the Configuration with the provided Issuer of "{want}"`, seen: Live},
			{by: "ASP.NET", text: "IDX20803: Unable to obtain configuration from: '{url}'", seen: Thread},
			{by: "ASP.NET", text: "IDX20803: Unable to obtain configuration from: {url}", seen: Thread},
			{by: "ASP.NET", text: "IDX20804: Unable to retrieve document from: '{url}'", seen: Thread},
			{by: "ASP.NET", text: "IDX20804: Unable to retrieve document from: {url}", seen: Thread},
			{by: "Nextcloud user_oidc", text: "The discovery endpoint is not reachable.", seen: Thread},
			{by: "@auth0/nextjs-auth0 4", text: "An error occurred while performing the discovery request. issuer={want}", seen: Live},
			{by: "@auth0/nextjs-auth0 4", text: "Discovery failed for the OpenID Connect configuration.", seen: Source},
			{by: "oauth2-proxy", text: "error while discovery OIDC configuration", seen: Live},
			{by: better, text: "discovery left no usable authorization endpoint or token exchange. Provider skipped.", seen: Live},
			{by: better, text: "PROVIDER_NOT_FOUND", seen: Live},
			{by: php, text: "could not be fetched. Make sure your provider has a well known configuration available.", seen: Source},
			{by: ruby, text: "OpenIDConnect::Discovery::DiscoveryFailed", seen: Live},
		},
		wraps: vague,
		means: "The program could not read {document|the discovery document}, and this line hides why. The cause is in the inner exception, or in a line near it: explain that.",
		causes: []cause{
			{
				what:    "The address cannot be reached from the app: the name leads to itself or nowhere, a port, a firewall.",
				checks:  []string{"D1"},
				confirm: []string{"docker exec APP curl -v {url|DISCOVERY_URL}    # from where the app runs, not from your machine"},
				do:      "The discovery URL at the internal origin (ASP.NET: MetadataAddress internal, ValidIssuer public; Spring: the provider's URIs by themselves, or the public name inside).",
				without: "Make the public name known and reachable in the app's network.",
			},
			{
				what:    "It answers, and not with the document: 404, a redirect, a page.",
				checks:  []string{"D2"},
				confirm: []string{"the same command shows the status"},
				do:      "`provider.issuers` with the provider's own path.",
				without: "Correct the path.",
			},
			{
				what:    "TLS: a private authority, another name, a wrong clock.",
				checks:  []string{"D8"},
				confirm: []string{"the same command says so"},
				without: "Mount the authority into the app.",
			},
			{
				what:    "The program itself forbids addresses of private networks. Nextcloud does: 'allow_local_remote_servers' => true permits them.",
				confirm: []string{"its setting"},
				without: "Permit it there.",
			},
		},
		see: []string{publicNameInside},
	},
}
