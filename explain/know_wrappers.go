package explain

// Messages that only say that a login failed. What stands beside them says why.

var beside = []cause{
	{
		what:    "The lines after it, or the error's `cause`, name the reason: paste them too.",
		confirm: []string{"the same log, the next 20 lines"},
	},
	{
		what:    "If there are none: the way from the app to the provider is the first to look at.",
		checks:  []string{"D1", "D2"},
		confirm: []string{"docker exec APP curl -v DISCOVERY_URL"},
		do:      "The discovery URL at the door's internal origin.",
		without: "Make the public name known and reachable in the app's network.",
	},
}

var wrappers = []entry{
	{
		id: "fetch-failed", title: "a request failed; the reason is in `cause`",
		says: []says{
			{by: undici, text: "TypeError: fetch failed", seen: Live},
			{by: undici, text: "fetch failed", seen: Live},
		},
		wraps: vague,
		means: "Node's fetch hides the reason in the error's `cause`, which many programs do not print: ECONNREFUSED, ENOTFOUND, a certificate, a time limit.",
		causes: []cause{
			{
				what:    "Mostly the provider's name leads to the app's own container (ECONNREFUSED 127.0.0.1) or nowhere (ENOTFOUND).",
				finding: "reach.loopback",
				checks:  []string{"D1"},
				confirm: []string{`docker exec APP node -e 'fetch("DISCOVERY_URL").then(r => console.log(r.status), e => console.log(e.cause))'`},
				do:      "The discovery URL at the door's internal origin; for strict clients the public name inside.",
				without: "Make the public name known and reachable in the app's network.",
			},
			{
				what:    "A certificate that Node.js does not trust.",
				finding: "tls.authority",
				checks:  []string{"D8"},
				confirm: []string{"the same command names it"},
				without: "NODE_EXTRA_CA_CERTS with the authority.",
			},
		},
		see: []string{publicNameInside},
	},
	{
		id: "next-auth", title: "next-auth could not begin or finish the login",
		says: []says{
			{by: "next-auth 4", text: "SIGNIN_OAUTH_ERROR", seen: Live},
			{by: "next-auth 4", text: "GET_AUTHORIZATION_URL_ERROR", seen: Source},
			{by: "next-auth 4", text: "OAUTH_CALLBACK_HANDLER_ERROR", seen: Live},
			{by: "next-auth 4", text: "OAUTH_CALLBACK_ERROR", seen: Live},
			{by: "next-auth 4's page", text: "Try signing in with a different account.", seen: Live},
			{by: "next-auth 4, in the address", text: "error=OAuthSignin", seen: Live},
			{by: "next-auth 4, in the address", text: "error=OAuthCallback", seen: Live},
		},
		wraps: nothing,
		means: "The person sees “Try signing in with a different account.”, which is misleading: another account changes nothing. The server's log has the reason behind the code.",
		causes: []cause{
			{
				what:    "OAuthSignin: the discovery document could not be read: the app does not reach its `wellKnown`.",
				checks:  []string{"D1", "D2"},
				confirm: []string{"docker exec APP curl -v WELL_KNOWN"},
				do:      "`wellKnown` at the door's internal origin.",
				without: "A `wellKnown` that the app's container reaches.",
			},
			{
				what:    "OAuthCallback: cookies, the token request, or the token.",
				checks:  []string{"D5", "D3"},
				confirm: []string{"the line after [next-auth][error][OAUTH_CALLBACK_ERROR] in the server's log"},
				without: "Explain that line.",
			},
		},
		see: []string{"docs/apps/next-auth.md"},
	},
	{
		id: "authjs", title: "Auth.js could not finish the login",
		says: []says{
			{by: "Auth.js 5", text: "CallbackRouteError", seen: Live},
			{by: "Auth.js 5", text: "OAuthCallbackError", seen: Live},
			{by: "Auth.js 5, in the address", text: "error=Configuration", seen: Live},
			{by: "Auth.js 5's page", text: "There is a problem with the server configuration.", seen: Live},
		},
		wraps:  nothing,
		means:  "Auth.js shows one page for nearly everything. The log has the reason in the line [auth][cause].",
		causes: beside,
		see:    []string{"docs/apps/authjs.md"},
	},
	{
		id: "nextjs-auth0", title: "nextjs-auth0 hides why the login failed",
		says: []says{
			{by: "@auth0/nextjs-auth0 4's page", text: "An error occurred during the authorization flow.", seen: Live},
			{by: "@auth0/nextjs-auth0 4's page", text: "An error occurred while trying to exchange the authorization code.", seen: Live},
			{by: "@auth0/nextjs-auth0 4's page", text: "An error occurred while trying to initiate the login request.", seen: Live},
		},
		wraps: nothing,
		means: "Version 4 writes nothing into the log where the callback fails: the reason is in the error's `cause`.",
		causes: []cause{
			{
				what:    "A token or a response that it does not take: another issuer, a wrong secret, a code that is gone.",
				checks:  []string{"D2", "D3"},
				confirm: []string{"new Auth0Client({ onCallback: async (error, …) => { console.error(error, error?.cause); … } })"},
				without: "Explain what that prints.",
			},
			{
				what:    "While initiating the login: discovery failed. The log has a line `performing the discovery request`.",
				checks:  []string{"D1", "D2"},
				confirm: []string{"docker exec APP curl -v ISSUER/.well-known/openid-configuration"},
				do:      "The public name inside: this client is strict.",
				without: "Make the public name reachable in the app's network.",
			},
		},
		see: []string{"docs/apps/nextjs-auth0.md"},
	},
	{
		id: "openid-client", title: "openid-client did not take an answer; the reason is in `cause`",
		says: []says{
			{by: "openid-client 6", text: "ClientError: invalid response encountered", seen: Live},
			{by: "openid-client 6", text: "invalid response encountered", seen: Live},
			{by: "openid-client 6", text: "server responded with an error in the response body", seen: Live},
			{by: "openid-client 6", text: "authorization response from the server is an error", seen: Live},
		},
		wraps:  nothing,
		means:  "The error's `cause` has the reason: an issuer, a state, an `error` of the provider.",
		causes: beside,
		see:    []string{"docs/apps/openid-client.md"},
	},
	{
		id: "oauth2-proxy", title: "oauth2-proxy could not finish the login",
		says: []says{
			{by: oaproxy, text: "Error redeeming code during OAuth2 callback", seen: Live},
			{by: oaproxy, text: "Error while parsing OAuth2 callback: {code}", seen: Live},
			{by: oaproxy, text: "ERROR: Failed to initialise OAuth2 Proxy", seen: Live},
			{by: oaproxy, text: "could not verify id_token", seen: Live},
			{by: oaproxy, text: "failed to fetch claims from profile URL", seen: Source},
		},
		wraps:  nothing,
		means:  "What stands behind the colon is the reason.",
		causes: beside,
		see:    []string{"docs/apps/oauth2-proxy.md"},
	},
	{
		id: "spring", title: "Spring Security could not finish the login",
		says: []says{
			{by: spring, text: "[invalid_token_response] An error occurred while attempting to retrieve the OAuth 2.0 Access Token Response", seen: Live},
			{by: spring, text: "[invalid_id_token] An error occurred while attempting to decode the Jwt", seen: Live},
			{by: spring, text: "An error occurred while attempting to decode the Jwt", seen: Live},
		},
		wraps:  nothing,
		means:  "What stands behind the colon is the reason, and the `Caused by` lines of the log have more.",
		causes: beside,
	},
	{
		id: "better-auth", title: "Better Auth did not take the provider's answer",
		says: []says{
			{by: better, text: "id_token failed verification against the discovery JWKS or expected nonce", seen: Live},
			{by: better, text: "[Better Auth]: Unable to get user info", seen: Live},
			{by: better + ", in the address", text: "error=unable_to_get_user_info", seen: Live},
			{by: better, text: "[Better Auth]: Failed to validate authorization code", seen: Live},
			{by: better + ", in the address", text: "error=invalid_code", seen: Live},
		},
		wraps: vague,
		means: "The token, or the request for it, was refused, and the message does not say by which rule.",
		causes: []cause{
			{
				what:    "With `id_token failed verification`: the token's iss, aud, key or nonce is not what the discovery document of the app's URL says. Mostly the provider has two names.",
				finding: "token.issuer",
				checks:  []string{"D3", "D7"},
				confirm: []string{"the token's iss and aud, decoded on your own machine, beside `issuer` of the document that the app reads"},
				do:      "The discovery URL of the door: it names one issuer, whoever asks.",
				without: "Fix the provider's name (Keycloak: --hostname).",
			},
			{
				what:    "With `Failed to validate authorization code`: the token request was refused. The lines under it have the provider's error.",
				checks:  []string{"D1"},
				confirm: []string{"the provider's log at that second"},
				without: "Explain that error.",
			},
		},
	},
	{
		id: "keycloak-connect", title: "keycloak-connect could not redeem the code",
		says: []says{
			{by: kcConnect, text: "Could not obtain grant code", seen: Live},
			{by: kcConnect, text: "Grant validation failed. Reason:", seen: Live},
		},
		wraps:  vague,
		means:  "What stands behind the colon is the reason; a bare status is the token endpoint's.",
		causes: beside,
	},
	{
		id: "omniauth", title: "OmniAuth could not finish the login",
		says: []says{
			{by: ruby, text: ") Authentication failure! ", seen: Live},
			{by: ruby + ", in the address", text: "/auth/failure?message=", seen: Live},
		},
		wraps:  nothing,
		means:  "What stands behind it is the reason; the log's line has it with the exception's name.",
		causes: beside,
	},
	{
		id: "grafana", title: "Grafana could not redeem the code",
		says: []says{
			{by: "Grafana", text: "login.OAuthLogin(NewTransportWithCode)", seen: Thread},
			{by: "Grafana", text: "failed to exchange code to token", seen: Thread},
		},
		wraps: vague,
		means: "The login page worked, in the browser; the token request, which Grafana's server sends, did not.",
		causes: []cause{{
			what:    "`token_url` has the public name, which leads to Grafana's own container or nowhere.",
			checks:  []string{"D1"},
			confirm: []string{"docker exec grafana curl -v TOKEN_URL"},
			do:      "auth_url at the public origin; token_url and api_url at the door's internal one.",
			without: "The same with the provider's internal address, if it has a fixed public name.",
		}},
	},
	{
		id: "discovery-go", title: "a Go program could not read the discovery document",
		says: []says{
			{by: "Argo CD", text: `failed to query provider "{url}"`, seen: Thread},
			{by: "Vault", text: "error checking oidc discovery URL", seen: Thread},
			{by: "kubelogin", text: "oidc discovery error", seen: Thread},
			{by: "kube-apiserver", text: "oidc authenticator: initializing plugin:", seen: Thread},
		},
		wraps:  vague,
		means:  "What stands behind the colon is the reason; if there is none, the way to the issuer is.",
		causes: beside,
	},
	{
		id: "invalid-grant", title: "the token request was refused",
		says: []says{
			{by: "every provider", text: "invalid_grant", seen: Live},
			{by: panva, text: "grant request is invalid", seen: Live},
			{by: "every provider", text: "unauthorized_client", seen: Live},
		},
		wraps: hints,
		means: "The error code alone does not tell why; the provider's description or its log does. A door's own refusal says `the authorization code is not valid for this request`, and its log has the rule.",
		causes: []cause{
			{
				what:    "The code was used twice, is too old, or was given to another client.",
				checks:  []string{"D5"},
				confirm: []string{"the provider's log at that second; `code.…` in the door's"},
				without: "Redeem a code once, and at once.",
			},
			{
				what:    "redirect_uri differs from the authorization request's.",
				checks:  []string{"D4"},
				confirm: []string{"redirect_uri of both requests"},
				without: "Send the same value in both.",
			},
			{
				what:    "PKCE: the verifier belongs to another login.",
				confirm: []string{"try in a private window with one tab"},
				without: "Begin the login on the host to which it returns.",
			},
			{
				what:    "The refresh token has expired, was used before, or its session has ended.",
				confirm: []string{"it happens some time after the login"},
				without: "Let the person log in again.",
			},
		},
	},
	{
		id: "unsupported-response", title: "the provider does not carry this kind of login",
		says: []says{
			{by: "every provider", text: "unsupported_response_type", seen: Source},
			{by: "every provider", text: "unsupported_response_mode", seen: Source},
			{by: "every provider", text: "request_not_supported", seen: Source},
			{by: "every provider", text: "temporarily_unavailable", seen: Source},
			{by: "every provider", text: "server_error", seen: Source},
		},
		wraps: hints,
		means: "An error code of RFC 6749 or OpenID Connect without more.",
		causes: []cause{{
			what:    "The provider's log says what it met; a door refuses implicit and hybrid flows and request objects, and its log has the rule.",
			confirm: []string{"the logs at that second"},
			do:      "Only `code` is carried, with response_mode query or form_post.",
			without: "Use the authorization code flow.",
		}},
	},
}
