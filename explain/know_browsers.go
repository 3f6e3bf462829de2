package explain

// What browsers say, in their console or in the place of a page.

var browsers = []entry{
	{
		id: "browser-no-name", title: "the browser was sent to a name that it does not know",
		says: []says{
			{by: chromium, text: "{host}'s server IP address could not be found.", seen: Live},
			{by: chromium, text: "DNS_PROBE_FINISHED_NXDOMAIN", seen: Source},
			{by: chromium, text: "GET {url} net::ERR_NAME_NOT_RESOLVED", seen: Source},
			{by: chromium, text: "ERR_NAME_NOT_RESOLVED", seen: Live},
			{by: "Firefox", text: "We can't connect to the server at {host}.", seen: Source},
		},
		means: "Some server sent the browser to {target|a name}, and the browser's DNS does not have it.",
		look: func(v values) []cause {
			host := v["host"]
			if host == "" {
				host, _ = splitAddress(parse(v["url"]).host)
				v["host"] = host
			}
			switch placeOf(host) {
			case inside, private:
				return []cause{{
					what: "{host} is a name of the private network: the app read the login page's address from a discovery document that was made for servers.", finding: "split.front-channel", checks: []string{"D2"},
					confirm: []string{"curl -s DISCOVERY_URL | grep -o '\"authorization_endpoint\":\"[^\"]*\"'    # where the app runs: it names {host}"},
					do:      "Give the app the discovery URL at the door's internal origin: it names the login page at the public one.",
					without: "A fixed public name for the provider (Keycloak: --hostname), or the authorization endpoint typed by hand with it.",
				}}
			case loopback:
				return []cause{{
					what:    "This browser does not resolve names below localhost by itself, as Chromium-based ones and Firefox do.",
					confirm: []string{"ping {host}"},
					do:      "For the demo add the names that it prints to the hosts file, each with 127.0.0.1.",
					without: "Add {host} to the hosts file with 127.0.0.1.",
				}}
			}
			return nil
		},
		lookSuffices: true,
		causes: []cause{{
			what: "The name is misspelt, its DNS record is missing, or it is one of a private network that this machine is not in (a VPN).", checks: []string{"D1"},
			confirm: []string{"nslookup {host|NAME}"},
			do:      "`public_url` must be a name that people's browsers know.",
			without: "Add the record; for a new tenant its site's name.",
		}},
	},
	{
		id: "browser-refused", title: "the browser was sent to an address where nobody listens",
		says: []says{
			{by: chromium, text: "{host} refused to connect.", seen: Live},
			{by: chromium, text: "GET {url} net::ERR_CONNECTION_REFUSED", seen: Source},
			{by: chromium, text: "ERR_CONNECTION_REFUSED", seen: Live},
			{by: chromium, text: "ERR_CONNECTION_TIMED_OUT", seen: Source},
		},
		means: "The browser reached the machine that it was sent to, and no program listens on that port.",
		causes: []cause{
			{
				what: "The port is one of the inside: the app's document was made for servers, and its port is not published, or under another number.", finding: "split.front-channel", checks: []string{"D1", "D2"},
				confirm: []string{"the address bar; docker port PROVIDER"},
				do:      "Give the app the discovery URL at the door's internal origin: it names the login page at the public one.",
				without: "Publish the port under the same number, or set the provider's public name with the published one.",
			},
			{
				what:    "It is localhost of another machine: the provider's name is localhost, and the browser is elsewhere.",
				confirm: []string{"the address bar: localhost"},
				do:      "`public_url` with a name that all browsers know.",
				without: "Set the provider's name to one that all browsers know.",
			},
		},
	},
	{
		id: "redirect-loop", title: "the browser is sent round and round",
		says: []says{
			{by: chromium, text: "ERR_TOO_MANY_REDIRECTS", seen: Live},
			{by: chromium, text: "redirected you too many times.", seen: Live},
			{by: "Firefox", text: "The page isn't redirecting properly", seen: Source},
			{by: curl, text: "Maximum (…) redirects followed", seen: Live},
			{by: oaproxy, text: `Warning: request host is "{host}" but using configured cookie domain of "{domain}"`, seen: Live},
			{by: oaproxy, text: `Warning: request host "{host}" did not match any of the specific cookie domains of`, seen: Live},
		},
		means: "App and provider each send the browser to the other: the provider says who it is, and the app does not keep it.",
		causes: []cause{
			{
				what: "The app's session cookie does not stick: its Domain does not fit the host, it is Secure on http, or it is over 4,096 octets and browsers drop it.", checks: []string{"D5"},
				confirm: []string{"developer tools, application, cookies: is there one after the callback?"},
				do:      "The door sets no cookies of the app.",
				without: "A Domain for each site (oauth2-proxy: --cookie-domain), or none; a session store where the cookie is too big.",
			},
			{
				what:    "http and https: a proxy before the app sends http to https, and the app makes http of it again.",
				finding: "app.scheme",
				checks:  []string{"D6"},
				confirm: []string{"curl -sIL URL | grep -iE '^(HTTP|location)'"},
				without: "Let the proxy send X-Forwarded-Proto and the app believe it.",
			},
			{
				what:    "Two filters with a login each share a cookie name on one host.",
				checks:  []string{"D5"},
				confirm: []string{"the cookies' names (Envoy Gateway, oauth2-proxy: two routes)"},
				without: "Cookie names of their own.",
			},
		},
	},
	{
		id: "cors", title: "the provider does not permit the page's origin",
		says: []says{
			{by: chromium, text: "Access to fetch at '{url}' from origin '{origin}' has been blocked by CORS policy", seen: Live},
			{by: chromium, text: "Access to XMLHttpRequest at '{url}' from origin '{origin}' has been blocked by CORS policy", seen: Live},
			{by: chromium, text: "blocked by CORS policy", seen: Live},
			{by: "Firefox", text: "Cross-Origin Request Blocked: The Same Origin Policy disallows reading the remote resource at {url}", seen: Source},
		},
		means: "A page of {origin|the site} asked {url|the provider} by script, and the answer does not permit that origin to read it.",
		causes: []cause{
			{
				what: "An app that lives in the browser, and whose origin the provider does not have: a new tenant, another port, http.", finding: "cors.origin", checks: []string{"D9"},
				confirm: []string{"curl -s -o /dev/null -D - -H 'Origin: {origin|https://acme.example.com}' {url|DISCOVERY_URL} | grep -i '^access-control'"},
				do:      "The door permits the origins of the app's sites by itself: is the tenant there, and the site's scheme and port the same?",
				without: "Keycloak: the client's web origins (+ takes those of the redirect URIs). authentik: the origins of its redirect URIs.",
			},
			{
				what:    "The app's server redirects a request that a script made to the login page. The login has to be a page of its own.",
				checks:  []string{"D9"},
				confirm: []string{"the blocked address is the authorization endpoint"},
				without: "Answer scripts with 401, and let the page go to the login by location.href.",
			},
		},
	},
	{
		id: "form-action", title: "a page's policy forbids where its form leads",
		says: []says{
			{by: chromium, text: "Sending form data to '{url}' violates the following Content Security Policy directive: \"form-action", seen: Live},
			{by: chromium + ", older", text: "Refused to send form data to '{url}' because it violates the following Content Security Policy directive: \"form-action", seen: Thread},
		},
		means: "The page has a Content-Security-Policy whose form-action does not permit {url|the target}. Browsers apply it to the redirects after the form, too.",
		causes: []cause{{
			what:    "The login button is a form that posts to the app, which redirects to the provider; or the provider's form leads to the app: the next host is not in the list.",
			confirm: []string{"curl -sI PAGE | grep -i content-security-policy"},
			do:      "Add the public origin to the site's form-action.",
			without: "Add the provider's origin to form-action.",
		}},
	},
	{
		id: "mixed-content", title: "a page of https asks by http",
		says: []says{
			{by: chromium, text: "Mixed Content: The page at '{origin}' was loaded over HTTPS, but requested an insecure", seen: Source},
			{by: chromium, text: "was loaded over a secure connection, but contains a form that targets an insecure endpoint", seen: Source},
		},
		means: "The browser does not let a page of https load from, or post to, an http address.",
		causes: []cause{{
			what: "The provider believes that it is served by http: TLS ends at a proxy before it.", checks: []string{"D6"},
			confirm: []string{"curl -s DISCOVERY_URL | tr , '\\n' | grep http://"},
			do:      "Let the provider believe the door's X-Forwarded-Proto.",
			without: "Let the proxy set X-Forwarded-Proto, and the provider believe it (Keycloak: --proxy-headers=xforwarded).",
		}},
	},
}
