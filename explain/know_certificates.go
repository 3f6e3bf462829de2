package explain

// A connection came about, and its two ends do not agree on TLS.

var certificates = []entry{
	{
		id: "unknown-ca", title: "the certificate is of an authority that the app does not know",
		says: []says{
			{by: nodeApps + "; Ruby, Python, curl", text: "self-signed certificate in certificate chain", seen: Live},
			{by: nodeApps + "; Ruby, Python, curl", text: "self-signed certificate", seen: Live},
			{by: nodeApps + " (older)", text: "self signed certificate", seen: Thread},
			{by: "Python, curl, Node.js, Ruby", text: "unable to get local issuer certificate", seen: Live},
			{by: nodeApps, text: "unable to verify the first certificate", seen: Live},
			{by: goApps, text: `"{url}": tls: failed to verify certificate: x509: certificate signed by unknown authority`, seen: Live},
			{by: goApps, text: "x509: certificate signed by unknown authority", seen: Live},
			{by: java, text: "PKIX path building failed", seen: Live},
			{by: chromium, text: "ERR_CERT_AUTHORITY_INVALID", seen: Live},
		},
		means: "TLS works, and the app's list of authorities has none that vouches for this certificate.",
		causes: []cause{
			{
				what:    "The certificate is of a private authority (mkcert, cert-manager, a company's), which browsers here know and the app's container does not.",
				finding: "tls.authority",
				checks:  []string{"D8"},
				confirm: []string{"openssl s_client -connect {name|HOST}:443 -servername {name|HOST} -showcerts </dev/null | grep -E ' s:| i:'"},
				do: "Let the app speak to the door inside the network: `tls` with a certificate that the app trusts, or plain http at the internal origin. " +
					"For the door's own way to the provider: `provider.ca_file`.",
				without: "Mount the authority into the app: NODE_EXTRA_CA_CERTS (Node.js), SSL_CERT_FILE (Go, Ruby), REQUESTS_CA_BUNDLE (Python), a truststore (Java). Do not switch verification off.",
			},
			{
				what:    "The server sends its own certificate without those between it and the authority. Browsers fetch the missing ones, programs do not.",
				finding: "tls.chain",
				confirm: []string{"the same command: only one certificate is shown"},
				do:      "`cert_file` with the whole chain, the door's own first.",
				without: "Give the server the full chain (nginx: fullchain.pem).",
			},
			{
				what:    "The name leads to another server there, which answers with a certificate of its own: an ingress' default certificate, a router.",
				checks:  []string{"D1"},
				confirm: []string{"docker exec APP getent hosts {name|HOST}"},
				without: "Let the name lead to the provider.",
			},
		},
	},
	{
		id: "other-name", title: "the certificate is for another name",
		says: []says{
			{by: goApps, text: `x509: certificate is valid for {names}, not {host}`, seen: Live},
			{by: "certificate checks", text: `certificate is valid for {names}, not {host}`, seen: Live},
			{by: goApps, text: "x509: cannot validate certificate for {host} because it doesn't contain any IP SANs", seen: Source},
			{by: goApps, text: "x509: certificate relies on legacy Common Name field", seen: Source},
			{by: nodeApps, text: "Hostname/IP does not match certificate's altnames: Host: {host}. is not in the cert's altnames: {names}", seen: Live},
			{by: nodeApps, text: "Hostname/IP does not match certificate's altnames", seen: Live},
			{by: curl, text: "no alternative certificate subject name matches target host name '{host}'", seen: Live},
			{by: python, text: "Hostname mismatch, certificate is not valid for '{host}'", seen: Live},
			{by: java, text: "No subject alternative DNS name matching {host} found", seen: Live},
			{by: chromium, text: "ERR_CERT_COMMON_NAME_INVALID", seen: Source},
		},
		means: "The server proved to be {names|somebody}, and the app had asked for {host|another name}.",
		causes: []cause{
			{
				what:    "The app uses an internal name, and the certificate is for the public one (or the reverse).",
				finding: "tls.name",
				checks:  []string{"D8"},
				confirm: []string{"openssl s_client -connect {host|HOST}:443 -servername {host|HOST} </dev/null | openssl x509 -noout -ext subjectAltName"},
				do:      "Plain http at the internal origin, or a certificate for the internal name on that listener. For strict clients the public name inside, and the public certificate fits.",
				without: "Ask by the name that the certificate has; let it lead to the provider there.",
			},
			{
				what:    "The name leads to another server there.",
				checks:  []string{"D1"},
				confirm: []string{"docker exec APP getent hosts {host|HOST}"},
				without: "Let the name lead to the provider.",
			},
		},
		see: []string{publicNameInside},
	},
	{
		id: "expired", title: "the certificate's time is over, or a clock is wrong",
		says: []says{
			{by: goApps, text: "x509: certificate has expired or is not yet valid", seen: Live},
			{by: nodeApps + "; curl, Python", text: "certificate has expired", seen: Live},
			{by: nodeApps, text: "certificate is not yet valid", seen: Source},
			{by: java, text: "PKIX path validation failed: java.security.cert.CertPathValidatorException: validity check failed", seen: Live},
			{by: java, text: "java.security.cert.CertificateExpiredException: NotAfter:", seen: Live},
			{by: chromium, text: "ERR_CERT_DATE_INVALID", seen: Source},
		},
		means: "By the app's clock the certificate's time has passed, or has not begun.",
		causes: []cause{
			{
				what:    "The certificate was not renewed; or it was, and the server still has the old one in memory.",
				finding: "tls.expired",
				checks:  []string{"D8"},
				confirm: []string{"openssl s_client -connect {name|HOST}:443 -servername {name|HOST} </dev/null | openssl x509 -noout -dates"},
				do:      "The door reads changed certificate files by itself; `certificate not renewed` in its log says why it could not.",
				without: "Renew it and reload the server.",
			},
			{
				what:    "The app's clock is wrong, as after a laptop's or a virtual machine's sleep.",
				finding: "clock.off",
				checks:  []string{"D8"},
				confirm: []string{"docker exec APP date -u"},
				without: "Set the clock (NTP).",
			},
		},
	},
	{
		id: "https-to-http", title: "https was spoken to a port that speaks http",
		says: []says{
			{by: nodeApps + "; curl, Python", text: "wrong version number", seen: Live},
			{by: nodeApps + " (OpenSSL 3.2 and newer)", text: "packet length too long", seen: Source},
			{by: goApps, text: `"{url}": http: server gave HTTP response to HTTPS client`, seen: Live},
			{by: goApps, text: "server gave HTTP response to HTTPS client", seen: Live},
			{by: chromium, text: "ERR_SSL_PROTOCOL_ERROR", seen: Live},
			{by: java, text: "Unsupported or unrecognized SSL message", seen: Live},
		},
		means: "The app's URL begins with https, and the port answers in plain http.",
		causes: []cause{{
			what:    "TLS ends at a proxy outside, and inside the same name or port is plain http.",
			finding: "tls.scheme",
			checks:  []string{"D1", "D8"},
			confirm: []string{"docker exec APP curl -sS -o /dev/null -w '%{http_code}\\n' http://HOST:PORT/    # answers: it is http"},
			do:      "For the internal origin write http; where the client insists on the public https name, give the door a listener with `tls` in that network.",
			without: "Use http with that port, or the port that speaks TLS.",
		}, {
			what:    "Ruby's openid_connect makes https of every issuer, whatever its URL says.",
			checks:  []string{"D8"},
			confirm: []string{"the app is Ruby's (omniauth, GitLab), and its issuer begins with http:"},
			do:      "A listener with `tls` for the issuer's name in that network.",
			without: "https inside; or SWD.url_builder = URI::HTTP, in a program of your own.",
		}},
		see: []string{publicNameInside},
	},
	{
		id: "http-to-https", title: "http was spoken to a port that speaks https",
		says: []says{
			{by: "Go servers", text: "Client sent an HTTP request to an HTTPS server.", seen: Live},
			{by: nginx, text: "The plain HTTP request was sent to HTTPS port", seen: Live},
			{by: "Apache httpd", text: "You're speaking plain HTTP to an SSL-enabled server port.", seen: Thread},
		},
		means: "The URL begins with http, and the port speaks TLS.",
		causes: []cause{{
			what:    "The scheme is missing its s; or a proxy before that server was told http.",
			finding: "tls.scheme",
			confirm: []string{"docker exec APP curl -kI https://HOST:PORT/"},
			do:      "`provider.upstream: https://…`.",
			without: "Write https.",
		}},
	},
	{
		id: "https-only", title: "the client refuses http",
		says: []says{
			{by: oauth4web, text: "only requests to HTTPS are allowed", seen: Live},
			{by: oauth4web, text: "OAUTH_HTTP_REQUEST_FORBIDDEN", seen: Live},
			{by: "oauthlib: requests-oauthlib, Airflow, JupyterHub", text: "OAuth 2 MUST utilize https.", seen: Live},
			{by: "oauthlib", text: "(insecure_transport)", seen: Live},
		},
		means: "The library refused to send a request to an http address before any connection: an issuer or an endpoint of the document is http.",
		causes: []cause{
			{
				what:    "The app uses an internal origin, which is mostly http; or the document has http endpoints for it.",
				checks:  []string{"D2"},
				confirm: []string{"curl -s DISCOVERY_URL | tr , '\\n' | grep http://"},
				do:      "Permit it in the client for the network that is yours: `allowInsecureRequests` (openid-client 6, @auth0/nextjs-auth0 4), OAUTHLIB_INSECURE_TRANSPORT=1 (oauthlib). Or give the internal listener `tls`.",
				without: "The same, or https inside.",
			},
			{
				what:    "The provider believes that it is served by http: TLS ends before it, and it does not see X-Forwarded-Proto.",
				finding: "proxy.proto",
				checks:  []string{"D6"},
				confirm: []string{"curl -s https://auth.example.com/…/.well-known/openid-configuration | tr , '\\n' | grep http://    # asked by https, and it names http"},
				do:      "The door tells the provider its public scheme; the provider must believe it (Keycloak: --proxy-headers=xforwarded).",
				without: "Let the proxy set X-Forwarded-Proto, and the provider believe it.",
			},
		},
		see: []string{"docs/apps/openid-client.md"},
	},
}
