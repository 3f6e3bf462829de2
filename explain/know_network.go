package explain

// The app asked for the provider and no answer came.

const (
	nodeApps  = "Node.js: next-auth 4; behind `fetch failed` also Auth.js 5, openid-client 6, @auth0/nextjs-auth0 4"
	goApps    = "Go: coreos/go-oidc, x/oauth2, oauth2-proxy, Grafana, Gitea, Portainer"
	curl      = "curl"
	python    = "Python: urllib, requests, httpx"
	jose      = "jose (Node.js)"
	jsonweb   = "jsonwebtoken (Node.js)"
	kcConnect = "keycloak-connect (Node.js)"
	oidcTS    = "oidc-client-ts, react-oidc-context"
	better    = "Better Auth"
	ruby      = "Ruby: omniauth, GitLab"
	php       = "jumbojett/openid-connect-php (PHP)"
	panva     = "oidc-provider: Logto"
	requests  = "Python: requests, Authlib, mozilla-django-oidc"
	httpx     = "Python: httpx, Authlib with FastAPI or Starlette"
	authlib   = "Authlib (Python)"
	mozilla   = "mozilla-django-oidc"
	pyjwt     = "PyJWT: Python APIs, mozilla-django-oidc"
	java      = "Java: Spring Security, Keycloak as a broker"
	spring    = "Spring Security"
	nimbus    = "Nimbus: Spring Security, Quarkus and other Java programs"
	undici    = "Node's fetch (undici): Auth.js 5, openid-client 6, @auth0/nextjs-auth0 4"
	openid5   = "openid-client 5 and older: next-auth 4, @auth0/nextjs-auth0 3"
	oauth4web = "oauth4webapi: Auth.js 5, openid-client 6, @auth0/nextjs-auth0 4"
	chromium  = "Chromium, Chrome, Edge"
	nginx     = "nginx"
	oaproxy   = "oauth2-proxy"

	publicNameInside = "docs/README.md#the-public-name-inside"
)

// refusals are one message for two meanings: whose address is it?
var refusals = []says{
	{by: nodeApps, text: "connect ECONNREFUSED {address}", seen: Live},
	{by: goApps, text: `"{url}": dial tcp {address}: connect: connection refused`, seen: Live},
	{by: goApps, text: "dial tcp {address}: connect: connection refused", seen: Live},
	{by: curl, text: "Failed to connect to {host} port {port} after … ms: Couldn't connect to server", seen: Live},
	{by: curl, text: "Failed to connect to {host} port {port}: Connection refused", seen: Thread},
	{by: ruby, text: "Connection refused - connect(2) for {address}", seen: Live},
	{by: "ASP.NET", text: "HttpRequestException: Connection refused ({address})", seen: Thread},
	{by: nginx, text: `connect() failed (111: Connection refused) while connecting to upstream, … upstream: "{url}"`, seen: Live},
}

// itself is the commonest of all: in a container the public name leads to the
// container.
var itself = cause{
	what: "The provider's name leads to the app's own container or machine: to `localhost`, or to 127.0.0.1 by an " +
		"entry in a hosts file or by a resolver that answers *.localhost so. In the browser the same name is right.",
	finding: "reach.loopback",
	checks:  []string{"D1"},
	confirm: []string{"docker exec APP getent hosts {name|auth.example.com}    # 127.0.0.1 or ::1: that is it"},
	do: "Give the app the discovery URL at the door's internal origin, http://onedoor:9000/…; for a client that insists on the issuer, let " +
		"the public name lead to the door inside as well, with the door's internal address.",
	without: "Let the public name lead to the provider's internal address in the app's network (a network alias, hostAliases, internal DNS), " +
		"same port, same scheme; never 127.0.0.1 in the container's hosts file.",
}

var network = []entry{
	{
		id: "loopback", title: "the app asked itself",
		says:  refusals,
		when:  func(v values) bool { return v.place() == loopback },
		means: "The app opened a connection to {target|127.0.0.1}, which is the container or machine that the app itself runs in, and nobody listens there.",
		look: func(v values) []cause {
			c := itself
			if v["name"] != "" && placeOf(v["name"]) != loopback {
				c.what = "{name} leads to the app's own container or machine: by an entry in a hosts file, or by a resolver. In the browser the same name is right."
			} else if v["name"] != "" {
				c.what = "The app was told to ask {name}, which inside a container is the container itself. In the browser on the same machine it is right."
			} else {
				c.what = "The provider's name leads to the app's own container or machine: it is `localhost` or below it, or a hosts file has it with 127.0.0.1. In the browser the same name is right."
			}
			return []cause{c}
		},
		causes: []cause{{
			what:    "The provider, or the proxy before it, does run where the app runs, and is not up or listens on another port.",
			confirm: []string{"ss -ltn    # where the app runs: is there a listener on port {port|80}?"},
			without: "Start it, or correct the port.",
		}},
		see: []string{publicNameInside},
	},
	{
		id: "refused", title: "nobody listens at {target|that address}",
		says:  refusals,
		when:  func(v values) bool { return v.place() != loopback },
		means: "The machine at {host|that address} is there and refuses the connection: no program listens on that port, or only for its own machine.",
		causes: []cause{
			{
				what:    "The port is another inside than outside. A published port (-p 8081:8080) exists on the host only; other containers use the container's own port.",
				finding: "reach.refused",
				checks:  []string{"D1"},
				confirm: []string{"docker port PROVIDER; docker exec PROVIDER ss -ltn"},
				do:      "`listen` names the door's port inside; `internal_urls` must have the same one.",
				without: "Use the port that the program listens on, not the published one.",
			},
			{
				what:    "The program listens on 127.0.0.1 alone, so its own container reaches it and no other.",
				finding: "reach.refused",
				confirm: []string{"docker exec PROVIDER ss -ltn    # 127.0.0.1:{port|8080} instead of 0.0.0.0 or *"},
				do:      "`listen: :9000`, without an address.",
				without: "Let it listen on all addresses (Keycloak: --http-host=0.0.0.0).",
			},
			{
				what:    "It is not up yet, or has stopped.",
				finding: "reach.refused",
				confirm: []string{"docker ps -a; the provider's log"},
				do:      "Wait for `onedoor healthcheck` before the app starts.",
				without: "Let the app start after the provider answers its discovery URL.",
			},
		},
	},
	{
		id: "refused-nameless", title: "a connection was refused, and the message does not say where",
		says: []says{
			{by: nodeApps, text: "ECONNREFUSED", seen: Live},
			{by: requests, text: "host='{name}', port={port}): Max retries exceeded with url: … [Errno 111] Connection refused", seen: Live},
			{by: python, text: "[Errno 111] Connection refused", seen: Live},
			{by: httpx, text: "ConnectError: All connection attempts failed", seen: Live},
			{by: spring, text: `I/O error on {code} request for "{url}": Connection refused`, seen: Live},
			{by: java, text: "java.net.ConnectException: Connection refused", seen: Live},
			{by: java + ", by Java's HttpClient", text: `I/O error on {code} request for "{url}": null`, seen: Live},
			{by: java + ", by Java's HttpClient", text: "java.net.ConnectException", seen: Live},
			{by: ruby, text: "Failed to open TCP connection to {host}:{port} (Connection refused", seen: Live},
			{by: ruby, text: `Connection refused - connect(2) for "{name}" port {port}`, seen: Live},
		},
		wraps: hints,
		means: "The address that the app asked exists, and no program listens on that port. The message hides which address it was.",
		causes: []cause{itself, {
			what:    "The address is right, and the port or the time is wrong: a published port used inside, or a provider that is not up yet.",
			finding: "reach.refused",
			checks:  []string{"D1"},
			confirm: []string{"docker exec APP curl -v URL    # URL: what the app is configured with"},
			do:      "`internal_urls` with the port of `listen`.",
			without: "The port that the program listens on inside, not the published one.",
		}},
		see: []string{publicNameInside},
	},
	{
		id: "no-such-host", title: "nobody in that network knows the name {host|of the provider}",
		says: []says{
			{by: nodeApps, text: "getaddrinfo ENOTFOUND {host}", seen: Live},
			{by: goApps, text: "lookup {host} on …: no such host", seen: Source},
			{by: goApps, text: "lookup {host}: no such host", seen: Live},
			{by: goApps, text: "no such host", seen: Live},
			{by: python, text: "Name or service not known", seen: Live},
			{by: python, text: "Failed to resolve '{host}'", seen: Live},
			{by: python + " on macOS", text: "nodename nor servname provided, or not known", seen: Thread},
			{by: curl, text: "Could not resolve host: {host}", seen: Live},
			{by: java, text: "java.net.UnknownHostException: {host}", seen: Live},
			{by: java + ", by Java's HttpClient", text: "java.nio.channels.UnresolvedAddressException", seen: Live},
			{by: nginx, text: `host not found in upstream "{host}"`, seen: Live},
		},
		means: "The app's resolver has no address for {host|the provider's name}.",
		look: func(v values) []cause {
			if v.place() != inside || v["host"] == "" {
				return nil
			}
			return []cause{{
				what:    "{host} is a name of a private network, and the app is in another one: services know each other by name within one Docker network or one Kubernetes namespace only.",
				finding: "reach.unknown-name",
				checks:  []string{"D1"},
				confirm: []string{"docker inspect APP PROVIDER --format '{{.Name}} {{json .NetworkSettings.Networks}}'"},
				do:      "Put the app into the network in which the door has that name.",
				without: "Put both into one network; across Kubernetes namespaces write {host}.NAMESPACE.svc.",
			}}
		},
		causes: []cause{{
			what: "The name is the public one, and the app's network has no entry for it: names below `localhost` are known to browsers alone, " +
				"others to a DNS that the container does not ask.",
			finding: "reach.unknown-name",
			checks:  []string{"D1"},
			confirm: []string{"docker exec APP getent hosts {host|auth.example.com}    # prints nothing"},
			do: "Give the app the discovery URL at the door's internal origin; or, for a client that insists on the issuer, let the public name " +
				"lead to the door in that network.",
			without: "Make the name known there: a network alias, extra_hosts or hostAliases with the provider's internal address, a rewrite in CoreDNS.",
		}},
		see: []string{publicNameInside},
	},
	{
		id: "resolver", title: "the resolver does not answer",
		says: []says{
			{by: nodeApps, text: "getaddrinfo EAI_AGAIN {host}", seen: Thread},
			{by: python + ", glibc", text: "Temporary failure in name resolution", seen: Thread},
			{by: goApps, text: "lookup {host} on …: server misbehaving", seen: Source},
			{by: goApps, text: "lookup {host}: Temporary failure in name resolution", seen: Source},
		},
		means: "The app asked for the address of {host|the provider} and its name server did not answer. It is not that the name is unknown.",
		causes: []cause{{
			what:    "The container has no way to its name server: no network yet, a wrong /etc/resolv.conf, a firewall on port 53.",
			finding: "reach.name-service",
			checks:  []string{"D1"},
			confirm: []string{"docker exec APP cat /etc/resolv.conf; docker exec APP getent hosts example.com"},
			do:      "Names in the app's hosts file work without a name server: `onedoor` and, for strict clients, the public name.",
			without: "Repair the container's DNS; restart it after its network has changed.",
		}},
	},
	{
		id: "timeout", title: "{host|the provider} does not answer from there",
		says: []says{
			{by: goApps, text: `"{url}": dial tcp {address}: i/o timeout`, seen: Live},
			{by: goApps, text: "dial tcp {address}: i/o timeout", seen: Live},
			{by: goApps, text: "i/o timeout", seen: Live},
			{by: goApps, text: `"{url}": context deadline exceeded`, seen: Live},
			{by: goApps, text: "context deadline exceeded", seen: Live},
			{by: nodeApps, text: "connect ETIMEDOUT {address}", seen: Thread},
			{by: undici, text: "Connect Timeout Error (attempted address: {address}", seen: Live},
			{by: undici, text: "Connect Timeout Error", seen: Live},
			{by: undici, text: "UND_ERR_CONNECT_TIMEOUT", seen: Live},
			{by: nodeApps, text: "EHOSTUNREACH", seen: Live},
			{by: nodeApps, text: "connect EHOSTUNREACH {address}", seen: Live},
			{by: nodeApps, text: "connect ENETUNREACH {address}", seen: Live},
			{by: goApps, text: "dial tcp {address}: connect: no route to host", seen: Live},
			{by: goApps, text: "dial tcp {address}: connect: network is unreachable", seen: Live},
			{by: curl, text: "Failed to connect to {host} port {port} after … ms: Timeout was reached", seen: Live},
			{by: "curl, older", text: "Connection timed out after … milliseconds", seen: Thread},
			{by: python, text: "[Errno 110] Connection timed out", seen: Source},
			{by: python, text: "[Errno 113] No route to host", seen: Live},
			{by: python, text: "[Errno 101] Network is unreachable", seen: Live},
			{by: requests, text: "Connection to {host} timed out. (connect timeout=", seen: Live},
			{by: httpx, text: "httpx.ConnectTimeout", seen: Live},
			{by: ruby, text: "HTTPClient::ConnectTimeoutError", seen: Live},
			{by: ruby, text: "Net::OpenTimeout", seen: Live},
			{by: python, text: "urlopen error timed out", seen: Live},
			{by: java, text: "java.net.SocketTimeoutException: Connect timed out", seen: Live},
			{by: nginx, text: "upstream timed out (110: Connection timed out) while connecting to upstream", seen: Source},
		},
		means: "Packets from the app to {target|the provider} get lost, or have no way at all. Nobody refused: nobody answered.",
		look: func(v values) []cause {
			hairpin := cause{
				what: "{host|The address} is public, and the app stands behind the same router or load balancer: many do not let a connection out and in again (hairpin NAT). " +
					"Browsers outside reach the same address.",
				finding: "reach.hairpin",
				checks:  []string{"D1"},
				confirm: []string{"docker exec APP curl -m 5 -v {url|https://auth.example.com/}    # hangs; the same works from outside"},
				do:      "Let the public name lead to the door's internal address in the app's network, or give the app the discovery URL at the internal origin.",
				without: "Split-horizon DNS or hostAliases: inside, the public name gets the provider's internal address. Or switch hairpin NAT on.",
			}
			firewall := cause{
				what:    "{host|The address} is of a private network, and something on the way drops the packets: a firewall, a NetworkPolicy, an egress rule, another Docker network, an address that nobody has any more.",
				finding: "reach.timeout",
				checks:  []string{"D1"},
				confirm: []string{"docker exec APP curl -m 5 -v {url|http://PROVIDER:8080/}"},
				do:      "Put the door where the app may reach it, and name that address in `internal_urls`.",
				without: "Permit the app's network to reach the provider's port, or put both into one network.",
			}
			switch v.place() {
			case public, outside:
				return []cause{hairpin, firewall}
			case private, inside:
				return []cause{firewall, hairpin}
			}
			return []cause{hairpin, firewall}
		},
		lookSuffices: true,
		see:          []string{publicNameInside},
	},
	{
		id: "slow", title: "the provider took too long to answer",
		says: []says{
			{by: openid5, text: "outgoing request timed out after {n}ms", seen: Live},
			{by: oauth4web, text: "operation timed out", seen: Source},
			{by: goApps, text: `"{url}": context deadline exceeded (Client.Timeout exceeded while awaiting headers)`, seen: Live},
			{by: goApps, text: "Client.Timeout exceeded while awaiting headers", seen: Live},
			{by: python, text: "Read timed out.", seen: Live},
			{by: httpx, text: "httpx.ReadTimeout", seen: Live},
			{by: ruby, text: "HTTPClient::ReceiveTimeoutError", seen: Live},
			{by: ruby, text: "Net::ReadTimeout", seen: Live},
			{by: java, text: "java.net.SocketTimeoutException: Read timed out", seen: Live},
			{by: nginx, text: "upstream timed out (110: Connection timed out) while reading response header from upstream", seen: Live},
		},
		means: "The app gave up waiting. Either no connection came about, which the message does not tell apart, or the provider was slow.",
		causes: []cause{
			{
				what:    "The provider's address cannot be reached from the app (a public address behind the same router, a firewall): every request hangs.",
				finding: "reach.hairpin",
				checks:  []string{"D1"},
				confirm: []string{"docker exec APP curl -m 10 -sS -o /dev/null -w '%{time_connect} %{time_total}\\n' {url|DISCOVERY_URL}    # a time_connect of 0: no connection"},
				do:      "The discovery URL at the internal origin; the door keeps the document in memory and answers at once.",
				without: "Repair the way: see hairpin NAT and split-horizon DNS.",
			},
			{
				what:    "The provider is slow at its first request, as after a cold start.",
				finding: "provider.slow",
				confirm: []string{"the same command twice: the second time is short"},
				do:      "The door asks the provider beforehand, and is ready when it has an answer.",
				without: "Raise the client's limit (next-auth: httpOptions: { timeout: 10000 }), and warm the provider up.",
			},
		},
	},
	{
		id: "closed", title: "the other side hung up",
		says: []says{
			{by: nodeApps, text: "read ECONNRESET", seen: Source},
			{by: nodeApps, text: "socket hang up", seen: Live},
			{by: undici, text: "other side closed", seen: Live},
			{by: goApps, text: `"{url}": EOF`, seen: Live},
			{by: curl, text: "Empty reply from server", seen: Live},
			{by: python, text: "Remote end closed connection without response", seen: Live},
		},
		means: "A connection came about and was closed before there was an answer.",
		causes: []cause{
			{
				what:    "A proxy or load balancer is there and has nothing behind it yet, or closes what it does not know.",
				checks:  []string{"D1", "D6"},
				confirm: []string{"docker exec APP curl -v {url|DISCOVERY_URL}"},
				without: "Read the log of the proxy before the provider.",
			},
			{
				what:    "http is spoken to a port that expects https, or the other way round.",
				finding: "tls.scheme",
				checks:  []string{"D8"},
				confirm: []string{"the same address with the other scheme"},
				without: "Use the scheme of that port.",
			},
		},
	},
}
