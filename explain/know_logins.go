package explain

// The browser came back, and the app does not know the login.

// otherHost and its like are why a login is lost, in the order in which they are
// met.
var lostLogins = []cause{
	{
		what: "The login began on one host and ended on another: one base URL for all tenants, www and without, localhost and 127.0.0.1, an old domain. " +
			"The cookie stays with the host that set it.",
		finding: "cookie.host",
		checks:  []string{"D5"},
		confirm: []string{"developer tools, network, keep the log: the host of the login button's page, beside the host of the callback"},
		do:      "In transparent mode each tenant's login returns to the host that began it; let the app make its redirect URI from the request's host.",
		without: "Begin the login on the host to which the redirect URI leads: one base URL for each deployment, or none (AUTH_TRUST_HOST, trustHost).",
	},
	{
		what:    "The cookie is Secure and the site is http, or it is SameSite=Strict: the browser does not send it with the provider's redirect.",
		finding: "cookie.secure",
		checks:  []string{"D5"},
		confirm: []string{"developer tools, application, cookies: is it there after the login button was pressed? A yellow sign says why not."},
		do:      "https for the tenants' sites.",
		without: "https, or cookies without Secure in development; SameSite=Lax for the cookie of the login (None where the response comes by POST).",
	},
	{
		what:    "The callback was opened twice: a reload, the back button, a prefetch, a link checker. The first time has used the cookie up.",
		checks:  []string{"D5"},
		confirm: []string{"the app's log: two requests to the callback with one state"},
		without: "Answer the callback with a redirect; exempt it from prefetching and caching.",
	},
	{
		what:    "A bookmarked login page of the provider, or one that lay open too long: the app's cookie is gone by then.",
		confirm: []string{"begin at the app and log in at once: it works"},
		do:      "`seal.login_ttl` is the door's limit; the app's own cookie lives as long as the app says.",
		without: "Bookmark the app and not the login page.",
	},
	{
		what:    "Several replicas with different secrets, or with memories of their own: the one that receives the callback cannot read what the other wrote.",
		checks:  []string{"D5"},
		confirm: []string{"with one replica it works"},
		without: "The same secret for all (NEXTAUTH_SECRET, AUTH_SECRET, AUTH0_SECRET); a shared session store, or one replica per person.",
	},
}

var logins = []entry{
	{
		id: "lost-login", title: "the app's cookie of the login is not there",
		says: []says{
			{by: "next-auth 4", text: "State cookie was missing.", seen: Live},
			{by: "next-auth 4", text: "PKCE code_verifier cookie was missing.", seen: Source},
			{by: "next-auth 4", text: "Nonce cookie was missing.", seen: Source},
			{by: "next-auth 4", text: "State value could not be parsed.", seen: Source},
			{by: "Auth.js 5", text: "InvalidCheck: state value could not be parsed", seen: Live},
			{by: "Auth.js 5", text: "InvalidCheck: pkceCodeVerifier value could not be parsed", seen: Source},
			{by: "Auth.js 5", text: "value could not be parsed. Read more at https://errors.authjs.dev#invalidcheck", seen: Live},
			{by: "Auth.js 5", text: "InvalidCheck: {code} cookie was missing", seen: Source},
			{by: "@auth0/nextjs-auth0 2, 3", text: "Missing state cookie from login request (check login URL, callback URL and cookie config).", seen: Source},
			{by: "@auth0/nextjs-auth0 4", text: "The state parameter is invalid.", seen: Live},
			{by: "openid-client 5: next-auth 4, @auth0/nextjs-auth0 1", text: "checks.state argument is missing", seen: Source},
			{by: "oidc-client-ts", text: "No matching state found in storage", seen: Source},
			{by: spring, text: "authorization_request_not_found", seen: Live},
			{by: "ASP.NET", text: "Correlation failed", seen: Thread},
			{by: "OpenIddict", text: "ID2129", seen: Thread},
			{by: "Grafana", text: "login.OAuthLogin(missing saved state)", seen: Thread},
			{by: authlib, text: "mismatching_state: CSRF Warning! State not equal in request and response.", seen: Live},
			{by: "Authlib, oauthlib", text: "CSRF Warning! State not equal in request and response", seen: Live},
			{by: mozilla, text: "OIDC callback state not found in session `oidc_states`!", seen: Live},
			{by: "Better Auth", text: "state_mismatch", seen: Thread},
			{by: "Better Auth", text: "State Mismatch. Verification not found", seen: Thread},
			{by: oaproxy, text: "Invalid authentication via OAuth2: unable to obtain CSRF cookie", seen: Live},
			{by: oaproxy, text: "No cookies were found in OAuth callback.", seen: Live},
			{by: oaproxy, text: "Cookies were found in OAuth callback, but none was a CSRF cookie.", seen: Source},
			{by: "Passport (Node.js)", text: "Unable to verify authorization request state.", seen: Source},
			{by: "OmniAuth (Ruby)", text: "csrf_detected", seen: Source},
			{by: "Go programs on net/http", text: "http: named cookie not present", seen: Live},
		},
		means:  "The browser returned from the provider without the cookie, or the session, in which the app had kept the login that it began.",
		causes: lostLogins,
		see:    []string{"docs/apps/next-auth.md"},
	},
	{
		id: "state-differs", title: "`state` came back as another one",
		says: []says{
			{by: openid5, text: "state mismatch, expected …, got:", seen: Live},
			{by: openid5, text: "state missing from the response", seen: Live},
			{by: oauth4web, text: `unexpected "state" response parameter value`, seen: Live},
			{by: oauth4web, text: `response parameter "state" missing`, seen: Live},
			{by: oauth4web, text: `unexpected "state" response parameter encountered`, seen: Source},
			{by: "@auth0/nextjs-auth0 4", text: "The state parameter is missing.", seen: Live},
			{by: spring, text: "OAuth2AuthenticationException: [invalid_request]", seen: Live},
			{by: oaproxy, text: "Error while parsing OAuth2 state: invalid length", seen: Live},
			{by: oaproxy, text: "CSRF token mismatch, potential attack", seen: Source},
			{by: "openid-client 5's Passport strategy", text: "did not find expected authorization request details in session", seen: Source},
		},
		means: "The response has a `state`, or none, that does not fit what this browser's login began with.",
		causes: []cause{
			{
				what:    "Two logins at once in one browser: two tabs, a double click, a prefetched login link. The second one's cookie replaced the first one's.",
				checks:  []string{"D5"},
				confirm: []string{"try in a private window with one tab"},
				without: "Begin again; make the login button no prefetched link.",
			},
			{
				what:    "Something on the way changed the query: a relay that appends it twice, re-encodes or cuts it.",
				finding: "redirect.state",
				checks:  []string{"D3", "D4"},
				confirm: []string{"developer tools, network: state in the authorization request, and in the request to the callback"},
				do:      "The door gives `state` back octet for octet, and the relay passes the query so.",
				without: "Let the rule pass the query as it is (docs/seed-rules.md).",
			},
			{
				what:    "It was too long: Keycloak drops a state of more than 4,000 characters. A page's address in it is mostly why.",
				confirm: []string{"the length of state in the address of the login page"},
				do:      "The door keeps long ones itself.",
				without: "Put an id into state, and the rest into the app's session.",
			},
			{
				what:    "Somebody sent the browser to the callback with a login of their own. That is what state is for.",
				confirm: []string{"it happened once, and to one person"},
				without: "Nothing: the app refused it.",
			},
		},
		see: []string{"docs/seed-rules.md"},
	},
	{
		id: "session-secret", title: "the app cannot read its own session cookie",
		says: []says{
			{by: "next-auth 4", text: "[next-auth][error][JWT_SESSION_ERROR]", seen: Live},
			{by: "Auth.js 5", text: "JWTSessionError", seen: Live},
			{by: "jose (Node.js)", text: "decryption operation failed", seen: Live},
			{by: "Auth.js 5", text: "no matching decryption secret", seen: Live},
			{by: "next-auth 4", text: "[next-auth][error][NO_SECRET]", seen: Source},
			{by: "Auth.js 5", text: "MissingSecret: ", seen: Source},
		},
		means: "The cookie was sealed with another secret than the app has now, or there is no secret.",
		causes: []cause{{
			what:    "The secret changed, is made anew at each start, or differs between replicas; or two apps on one host use one cookie name.",
			checks:  []string{"D5"},
			confirm: []string{"delete the site's cookies: it works until the next start, or the next replica"},
			without: "One constant secret for all replicas (NEXTAUTH_SECRET, AUTH_SECRET); cookie names of their own for two apps on one host.",
		}},
	},
	{
		id: "provider-cookie", title: "the provider's own cookie of the login is not there",
		says: []says{
			{by: "Keycloak's page", text: "Restart login cookie not found.", seen: Live},
			{by: "Keycloak's log", text: `error="cookie_not_found"`, seen: Live},
			{by: "Keycloak's log", text: "error=cookie_not_found", seen: Source},
			{by: "Keycloak's log", text: `error="expired_code"`, seen: Source},
			{by: "Keycloak's page", text: "Login timeout. Please sign in again.", seen: Source},
		},
		means: "Keycloak's login form came back without the cookies that it set with the form.",
		causes: []cause{
			{
				what:    "The provider's cookies are Secure and the login page is http on a host other than localhost; or the page was framed in another site.",
				checks:  []string{"D5"},
				confirm: []string{"developer tools, application, cookies of the provider's host: is AUTH_SESSION_ID there?"},
				do:      "https for `public_url`.",
				without: "https for the provider's public name.",
			},
			{
				what:    "The form was posted to another host than it came from: the provider takes its name from the Host, and the proxy changes it.",
				checks:  []string{"D6"},
				confirm: []string{"the form's address in the page's source"},
				do:      "The door sends the public Host; fix the provider's hostname all the same.",
				without: "Fix Keycloak's --hostname.",
			},
			{
				what:    "The login page lay open too long, was bookmarked, or its cookie was too big: a very long state makes it so.",
				confirm: []string{"begin at the app: it works"},
				do:      "The door keeps the state that Keycloak sees short.",
				without: "Begin at the app; keep `state` short.",
			},
		},
	},
	{
		id: "needs-login", title: "a silent login found nobody logged in",
		says: []says{
			{by: "every provider", text: "login_required", seen: Live},
			{by: "every provider", text: "interaction_required", seen: Documentation},
			{by: "every provider", text: "consent_required", seen: Documentation},
		},
		means: "The app asked with prompt=none, and the provider would have had to show a page (OIDC Core §3.1.2.6). That is an answer and no mistake.",
		causes: []cause{{
			what:    "Nobody is logged in at the provider in this browser; or the app asks in an iframe, where browsers do not send the provider's cookies.",
			checks:  []string{"D5"},
			confirm: []string{"the same address in a tab of its own"},
			do:      "Silent logins in an iframe on another site need `browser_binding: false`.",
			without: "Begin an ordinary login when the silent one is refused; put app and provider under one domain.",
		}},
	},
	{
		id: "access-denied", title: "the provider refused the person",
		says: []says{
			{by: "every provider", text: "access_denied", seen: Live},
		},
		means: "The provider sent the browser back with error=access_denied: the person said no, or a rule of the provider did.",
		causes: []cause{{
			what:    "The person pressed Cancel, has no access to this application, or a policy of the provider refused.",
			confirm: []string{"the provider's event log"},
			do:      "The door decides nothing here: it passes the answer on.",
			without: "The provider's settings for this application.",
		}},
	},
}
