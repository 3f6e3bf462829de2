package explain

// A server refuses the Host, a header or the scheme that a proxy gave it.

var hosts = []entry{
	{
		id: "untrusted-host", title: "the app does not believe the Host that its proxy sends",
		says: []says{
			{by: "Auth.js 5", text: "Host must be trusted. URL was: {url}", seen: Live},
			{by: "Auth.js 5", text: "UntrustedHost", seen: Live},
			{by: "next-auth 4", text: "[next-auth][warn][NEXTAUTH_URL]", seen: Source},
			{by: "Django", text: "Invalid HTTP_HOST header: '{host}'", seen: Live},
		},
		means: "The app makes its own addresses from the request's host, and was not told that it may.",
		causes: []cause{{
			what: "It stands behind a proxy and AUTH_TRUST_HOST (trustHost: true) is not set.", checks: []string{"D6"},
			confirm: []string{"the app's environment"},
			do:      "Set it: tenants on subdomains need it. Let the proxy pass Host or X-Forwarded-Host, and overwrite what callers send.",
			without: "The same; or one AUTH_URL for a single site.",
		}},
		see: []string{"docs/apps/authjs.md"},
	},
	{
		id: "instance-host", title: "the provider has no instance for that Host",
		says: []says{
			{by: "Zitadel", text: "Instance not found", seen: Thread},
			{by: "Zitadel", text: "QUERY-n0wng", seen: Thread},
			{by: "Zitadel", text: "unable to set instance using origin {url}", seen: Thread},
			{by: "Zitadel", text: "unable to set instance using origin", seen: Thread},
		},
		means: "Zitadel chooses the instance by the request's Host, and has none for this one.",
		causes: []cause{{
			what: "The app asks by an internal name, or a proxy passes another Host or port than ExternalDomain, ExternalPort and ExternalSecure say.", finding: "document.host", checks: []string{"D6"},
			confirm: []string{"curl -s -o /dev/null -w '%{http_code}\\n' -H 'Host: EXTERNAL_DOMAIN' INTERNAL/.well-known/openid-configuration    # 200"},
			do:      "The door asks it by the public Host, whoever asks the door.",
			without: "Let a proxy inside set the Host to ExternalDomain, or add the name to the instance's trusted domains.",
		}},
	},
	{
		id: "forwarded-host", title: "the provider was asked with the app's host in X-Forwarded-Host",
		says: []says{
			{by: "Authelia", text: "error occurred discovering the issuer: no session cookie configuration matches url '{url}'", seen: Thread},
			{by: "Authelia", text: "no session cookie configuration matches url", seen: Thread},
		},
		means: "Authelia makes its issuer from X-Forwarded-Host, and got {url|a host} there, which is none of its own.",
		causes: []cause{{
			what: "The app's proxy passes on the X-Forwarded-Host of the app's own request when it asks the provider, or the app copies its headers into that request.", checks: []string{"D6"},
			confirm: []string{"curl -s -H 'X-Forwarded-Host: auth.example.com' -H 'X-Forwarded-Proto: https' INTERNAL/.well-known/openid-configuration"},
			do:      "The door sets these headers anew for the provider.",
			without: "Reset X-Forwarded-Host and X-Forwarded-Proto in the proxy before the provider.",
		}},
	},
	{
		id: "misdirected", title: "the server has no such host",
		says: append([]says{
			{by: "onedoor, HTTP/2 servers", text: "421 Misdirected Request", seen: Live, fixed: values{"status": "421"}},
		}, statuses...),
		when:  status("421"),
		means: "The Host of the request is none that this server answers for. A door answers so to any name but its configured ones.",
		causes: []cause{{
			what: "The app asks the door by a name or port that is not in its configuration, or a proxy changes the Host.", finding: "door.internal-url", checks: []string{"D6"},
			confirm: []string{"the door's log has the host and scheme that it saw"},
			do:      "Add the origin to `internal_urls`, `public_url` or `public_aliases`; or let the proxy pass the Host on.",
			without: "Let the proxy pass the Host on.",
		}},
		see: []string{"docs/deploy/nginx.md"},
	},
	{
		id: "https-required", title: "the provider demands https",
		says: []says{
			{by: "Keycloak", text: "HTTPS required", seen: Live},
			{by: "Keycloak's log", text: `error="ssl_required"`, seen: Live},
			{by: "Keycloak's log", text: "error=ssl_required", seen: Source},
		},
		means: "Keycloak saw a request by http from an address that its realm demands https of.",
		causes: []cause{{
			what: "TLS ends at a proxy, and Keycloak does not believe its X-Forwarded-Proto; or inside, the app asks by http from an address that is not private.", finding: "proxy.proto", checks: []string{"D6"},
			confirm: []string{"is --proxy-headers set? The realm's `Require SSL`."},
			do:      "Start Keycloak with --proxy-headers=xforwarded: the door tells it the public scheme.",
			without: "--proxy-headers=xforwarded, and the proxy sets X-Forwarded-Proto.",
		}},
		see: []string{"docs/deploy/keycloak.md"},
	},
	{
		id: "headers-too-big", title: "headers or cookies are bigger than a server takes",
		says: []says{
			{by: nginx, text: "upstream sent too big header while reading response header from upstream", seen: Live},
			{by: nginx, text: "Request Header Or Cookie Too Large", seen: Live},
			{by: nginx, text: "414 Request-URI Too Large", seen: Live},
			{by: "Node.js", text: "431 Request Header Fields Too Large", seen: Live},
			{by: "Node.js", text: "HPE_HEADER_OVERFLOW", seen: Source},
		},
		means: "Tokens in session cookies, or many left-over cookies of begun logins, make more header than a server on the way takes.",
		causes: []cause{
			{
				what:    "At the callback: the app's new session cookie is big, and the proxy's buffer small.",
				confirm: []string{"curl -sI PAGE | wc -c; developer tools: the size of the cookies"},
				do:      "Before the door: proxy_buffer_size 16k and large_client_header_buffers 4 16k.",
				without: "nginx: proxy_buffer_size 16k; proxy_buffers 8 16k; large_client_header_buffers 4 16k. Smaller tokens, or sessions in a store.",
			},
			{
				what:    "Each login that was begun and not finished leaves a cookie.",
				checks:  []string{"D5"},
				confirm: []string{"developer tools, application, cookies: many of one kind (__txn_…, _oauth2_proxy_csrf_…)"},
				without: "Delete them; do not let scripts and prefetching begin logins.",
			},
		},
		see: []string{"docs/deploy/nginx.md"},
	},
	{
		id: "bad-gateway", title: "a proxy does not reach the server behind it",
		says: []says{
			{by: nginx, text: "502 Bad Gateway", seen: Live},
			{by: nginx, text: "504 Gateway Time-out", seen: Live},
			{by: nginx, text: "503 Service Temporarily Unavailable", seen: Source},
			{by: nginx, text: "no live upstreams while connecting to upstream", seen: Source},
		},
		wraps: hints,
		means: "The page is the proxy's. Its error log has the reason, in a line with `while connecting to upstream`, or with `too big header`.",
		causes: []cause{
			{
				what: "The provider or the app behind it is not up, or listens elsewhere.", finding: "provider.down", checks: []string{"D1"},
				confirm: []string{"the proxy's error log at that second; curl -v the address in its line, from the proxy's machine"},
				do:      "`onedoor healthcheck` tells whether the door is up.",
				without: "Start it; correct the address. nginx looks names up once, at its start: reload it after a container got a new address.",
			},
			{
				what:    "Only at the callback: the answer's headers are bigger than the proxy's buffer.",
				confirm: []string{"its log: upstream sent too big header"},
				do:      "proxy_buffer_size 16k.",
				without: "proxy_buffer_size 16k; proxy_buffers 8 16k.",
			},
		},
		see: []string{"docs/deploy/nginx.md"},
	},
}
