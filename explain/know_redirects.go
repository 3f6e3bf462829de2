package explain

import "strings"

// The provider does not send the browser back to where the app wants it.

var redirects = []entry{
	{
		id: "redirect-uri", title: "the provider does not know the app's redirect URI",
		says: []says{
			{by: "Keycloak's page", text: "Invalid parameter: redirect_uri", seen: Live},
			{by: "Keycloak's log", text: `error="invalid_redirect_uri", redirect_uri="{redirect_uri}"`, seen: Live},
			{by: "Keycloak's log", text: "error=invalid_redirect_uri, … redirect_uri={redirect_uri}", seen: Thread},
			{by: "Keycloak's log", text: "error=invalid_redirect_uri, redirect_uri={redirect_uri}", seen: Source},
			{by: "Keycloak's log", text: "invalid_redirect_uri", seen: Live},
			{by: "authentik's page", text: "The request fails due to a missing, invalid, or mismatching redirection URI (redirect_uri).", seen: Thread},
			{by: "authentik's log", text: "Invalid redirect uri (regex comparison)", seen: Thread, below: belowAuthentik},
			{by: "authentik's log", text: `"redirect_uri_given": "{redirect_uri}"`, seen: Thread, below: belowAuthentik},
			{by: "authentik's log", text: "redirect_uri_given", seen: Thread, below: belowAuthentik},
			{by: "authentik's log", text: "redirect_uri_expected", seen: Thread, below: belowAuthentik},
			{by: "fosite: Hydra, Authelia", text: "The 'redirect_uri' parameter does not match any of the OAuth 2.0 Client's pre-registered redirect urls.", seen: Source},
			{by: "Dex", text: `Unregistered redirect_uri ("{redirect_uri}").`, seen: Source},
			{by: "Zitadel", text: "The requested redirect_uri is missing in the client configuration.", seen: Live},
			{by: panva, text: "redirect_uri did not match any of the client's registered redirect_uris", seen: Live},
			{by: "Pocket ID", text: "invalid callback URL, it might be necessary for an admin to fix this", seen: Thread},
			{by: "oauthlib: Django OAuth Toolkit", text: "Mismatching redirect URI.", seen: Live},
			{by: "Google", text: "Error 400: redirect_uri_mismatch", seen: Documentation},
			{by: "Google, and others by this code", text: "redirect_uri_mismatch", seen: Documentation},
			{by: "Entra ID", text: "AADSTS50011", seen: Documentation},
			{by: "Okta", text: "must be a Login redirect URI in the client app settings", seen: Documentation},
			{by: "Auth0", text: "Callback URL mismatch", seen: Documentation},
			{by: "Cognito", text: "redirect_mismatch", seen: Documentation},
		},
		means: "The authorization request's redirect_uri, {redirect_uri|which the message hides}, is none of those that the provider has for this client. It compares them octet for octet, and tells the app nothing.",
		look:  redirectCauses,
		causes: []cause{
			{
				what:    "It is not registered: a new tenant, a new host, another port or path; or registered with a slash at the end, in other case, or under another client.",
				finding: "redirect.unregistered",
				checks:  []string{"D4"},
				confirm: []string{"redirect_uri in the address of the login page, beside the client's list at the provider"},
				do: "Register the door's one URI, {public_url}/onedoor/callback, once; tenants are the door's business. If it is registered: is the app in the door's " +
					"configuration? Otherwise its own URI went through unchanged.",
				without: "Add {redirect_uri|the value of the request} to the client's redirect URIs, to the letter.",
			},
			{
				what:    "The app makes it from a wrong base: http, because TLS ends at a proxy that it does not hear of; an internal name; localhost; a base URL of another deployment.",
				finding: "redirect.unregistered",
				checks:  []string{"D4", "D6"},
				confirm: []string{"does its scheme and host stand in the browser's address bar?"},
				do:      "The same holds before a door: `redirect_uri.unknown` in its log names the difference.",
				without: "Let the proxy send X-Forwarded-Proto and X-Forwarded-Host and the app believe them, or set its base URL (NEXTAUTH_URL, AUTH_URL, APP_BASE_URL, Grafana: root_url).",
			},
			{
				what:    "A pattern that does not mean what it looks like: Keycloak's * works at the end only (https://*.example.com/* matches no tenant), authentik's regular expressions need \\. and \\?.",
				finding: "redirect.unregistered",
				checks:  []string{"D4"},
				confirm: []string{"the client's list at the provider"},
				do:      "Exact URIs; the door needs one.",
				without: "Exact URIs (authentik: mode strict).",
			},
		},
		see: []string{"docs/deploy/keycloak.md", "docs/deploy/authentik.md"},
	},
	{
		id: "redirect-uri-token", title: "the token request names another redirect URI than the login did",
		says: []says{
			{by: "Keycloak's token endpoint", text: "Incorrect redirect_uri", seen: Live},
			{by: panva + ", its events", text: "authorization code redirect_uri mismatch", seen: Live},
			{by: "fosite: Hydra, Authelia", text: `The "redirect_uri" from this request does not match the one from the authorize request.`, seen: Source},
			{by: "Dex", text: "redirect_uri did not match URI from initial request.", seen: Source},
		},
		means: "The code was issued for one redirect URI, and the token request carries another one (RFC 6749 §4.1.3).",
		causes: []cause{
			{
				what:    "A relay or rule rewrote it in the authorization request alone, or the app sends the relay's address in one of the two requests only.",
				checks:  []string{"D4"},
				confirm: []string{"redirect_uri of both requests: the browser's address bar, and the app's debug log"},
				do:      "In transparent mode the door rewrites both: does the token request go to the door? In relay mode the app sends the relay's address in both.",
				without: "Send the same value in both (@auth0/nextjs-auth0 3: redirectUri for handleLogin and handleCallback; openid-client 6 takes it from the URL that it is called with).",
			},
			{
				what:    "The library computes it twice: from the request's host at the login, from a setting or from behind the proxy at the callback.",
				confirm: []string{"does the app see the public scheme and host at its callback?"},
				do:      "`code.redirect_uri` in the door's log has both.",
				without: "Let the app believe X-Forwarded-Proto and X-Forwarded-Host, or set its base URL.",
			},
		},
		see: []string{"docs/apps/nextjs-auth0.md", "docs/apps/openid-client.md"},
	},
	{
		id: "logout-uri", title: "the provider does not know the address after the logout",
		says: []says{
			{by: "Keycloak's page", text: "Invalid redirect uri", seen: Live},
			{by: panva, text: "post_logout_redirect_uri not registered", seen: Live},
			{by: "Zitadel", text: "post_logout_redirect_uri invalid", seen: Live},
		},
		means: "The logout request's post_logout_redirect_uri is none of the client's.",
		causes: []cause{{
			what:    "It is not registered; it is a list of its own beside the redirect URIs.",
			checks:  []string{"D4"},
			confirm: []string{"post_logout_redirect_uri in the address, beside the client's valid post logout redirect URIs"},
			do:      "Register the door's, which `onedoor check` prints, and list the app's paths in `logouts`.",
			without: "Add it at the provider, to the letter.",
		}},
	},
	{
		id: "client-unknown", title: "the provider does not know the client",
		says: []says{
			{by: "Keycloak's page", text: "Client not found.", seen: Live},
			{by: "Keycloak's log", text: `error="client_not_found"`, seen: Live},
			{by: "Keycloak's log", text: "error=client_not_found", seen: Source},
			{by: "authentik's page", text: "The client identifier (client_id) is missing or invalid.", seen: Thread},
			{by: "oauthlib: Django OAuth Toolkit", text: "Invalid client_id parameter value.", seen: Live},
			{by: panva, text: "client is invalid", seen: Live},
			{by: "Zitadel", text: "unable to retrieve client by id", seen: Live},
			{by: "Google", text: "Error 401: invalid_client", seen: Documentation},
			{by: "Entra ID", text: "AADSTS700016", seen: Documentation},
		},
		means: "At this issuer there is no client with the client_id of the request.",
		causes: []cause{{
			what:    "Another realm, tenant or environment; or a misspelt client_id. It is compared in upper and lower case.",
			finding: "client.unknown",
			checks:  []string{"D4"},
			confirm: []string{"client_id in the address of the login page, beside the provider's list in that realm"},
			do:      "`client_id` in `apps` and the app's issuer belong to one realm.",
			without: "Use the issuer in which the client is.",
		}},
	},
}

// belowAuthentik finds the two values that authentik logs.
var belowAuthentik = below{
	"redirect_uri": `\bredirect_uri_given"?[:=]\s*"?([^"\s,}]+)`,
	"want":         `\bredirect_uri_expected"?[:=]\s*\[?"?([^"\s,}\]]+)`,
}

// redirectCauses looks at the redirect URI itself.
func redirectCauses(v values) (all []cause) {
	uri := v["redirect_uri"]
	if uri == "" {
		return nil
	}
	if v["want"] != "" {
		all = append(all, nearMiss(v["want"], uri)...)
	}
	u := parse(uri)
	host, _ := splitAddress(u.host)
	switch place := placeOf(host); {
	case u.scheme == "http" && (place == outside || place == public):
		all = append(all, cause{
			what: "{redirect_uri} is http: the app does not hear that a proxy before it speaks https.", finding: "app.scheme", checks: []string{"D4", "D6"},
			confirm: []string{"is the page with the login button https in the browser?"},
			do:      "The same holds before a door: see `redirect_uri.unknown`.",
			without: "Let the proxy send X-Forwarded-Proto: https and the app believe it, or set its base URL to https://….",
		})
	case place == inside || place == private:
		all = append(all, cause{
			what: "{redirect_uri} is on a name of the private network, which no browser can open: the app takes its base from the request that the proxy sends it.", checks: []string{"D4", "D6"},
			confirm: []string{"the app's base URL, and the Host that its proxy sends"},
			do:      "The same holds before a door: it sends browsers to the tenants' own sites alone.",
			without: "Let the proxy pass Host or X-Forwarded-Host, or set the app's base URL.",
		})
	}
	if strings.Contains(u.path, "//") {
		all = append(all, cause{
			what: "{redirect_uri} has two slashes in its path: a base URL with a slash at its end was put before a path.", checks: []string{"D4"},
			without: "Take the slash off the app's base URL.",
		})
	}
	if u.query != "" {
		all = append(all, cause{
			what: "{redirect_uri} has a query: what the app puts behind its callback changes, and what is registered does not.", checks: []string{"D4"},
			without: "Put such values into `state`.",
		})
	}
	return all
}

// nearMiss compares with a registered one that the log names.
func nearMiss(registered, given string) []cause {
	differences := Differ(registered, given)
	if len(differences) == 0 || len(differences) > 2 {
		return nil
	}
	texts := make([]string, len(differences))
	for i, d := range differences {
		texts[i] = d.Text
	}
	return []cause{{
		what: "It differs from the registered {want} in " + strings.Join(texts, "; ") + ".", checks: []string{"D4"},
		without: "Make both the same, to the letter.",
	}}
}
