package demo

import (
	"net/http"
	"strings"
)

// explain says in a sentence or two what a hop is for.
func (s *site) explain(h Hop) hopView {
	v := hopView{Hop: h}
	switch {
	case h.Channel == Back:
		v.Note = s.explainServer(h)
	case h.To == Door:
		v.Note = s.explainDoor(h)
	default:
		v.Note = s.explainSite(h)
	}
	return v
}

func (s *site) explainSite(h Hop) string {
	path := strings.TrimPrefix(h.URL.Base, s.Origin())
	switch _, code := lookup(h.URL.Params, "code"); {
	case path == loginPath:
		return "The site makes a state, a nonce and a PKCE verifier for this login, and sends the browser to the authorization endpoint."
	case path == CallbackPath && code:
		return "The site gets its own state back and a code, which its server redeems before it answers: see the next request."
	case path == CallbackPath:
		return "The site gets its own state back, and an error."
	case path == leavePath:
		return "The site forgets its session, and asks the provider, by way of the browser, to end the one there."
	}
	return "You are here."
}

func (s *site) explainDoor(h Hop) string {
	path := strings.TrimPrefix(h.URL.Base, s.demo.Public)
	_, asks := lookup(h.URL.Params, "response_type")
	_, leaves := lookup(h.URL.Params, "post_logout_redirect_uri")
	relay := strings.HasPrefix(path, "/tenants/")
	switch {
	case relay && strings.HasSuffix(path, "/callback"):
		return "The relay. The tenant is in the path and must be in the registry; the query goes on octet for octet."
	case relay:
		return "The relay once more: this app’s library believes that it lives where its callback is, so it returns there, and the relay leads home."
	case strings.HasPrefix(path, "/onedoor/callback"):
		return "The one redirect URI that the provider knows. The door opens the sealed state, asks the registry again, gives the site its own state back, and seals the code: it is good for this client and this site only."
	case strings.HasPrefix(path, "/onedoor/logout"):
		return "The one address after a logout that the provider knows. The door opens the sealed state and leads back to the site."
	case h.Status >= http.StatusBadRequest:
		return "This was refused."
	case asks && len(h.Changes) > 0:
		return "The door finds the redirect URI among those of the tenants, byte for byte, and puts the registered one in its place. The site’s own address and state travel inside the sealed state."
	case asks:
		return "Nothing changes: the provider knows this redirect URI, which is the relay’s."
	case leaves && len(h.Changes) > 0:
		return "The door swaps the address to return to, as it does at a login."
	case leaves:
		return "Nothing changes: the provider knows this address, which is the relay’s."
	case h.Method == http.MethodPost:
		return "The password goes to the provider. The door passes it on and keeps nothing of it."
	}
	return "The provider’s own page, through the door."
}

func (s *site) explainServer(h Hop) string {
	for _, p := range h.Body {
		if p.Name == "grant_type" && len(h.Changes) > 0 {
			return "The site’s server redeems its code at an address that your browser could not open. The door opens the seal, compares client and redirect URI, and asks with what the provider knows. It passes the tokens on unread."
		}
		if p.Name == "grant_type" {
			return "The site’s server redeems its code at an address that your browser could not open. Nothing changes on the way."
		}
	}
	if strings.HasSuffix(h.URL.Base, "/.well-known/openid-configuration") {
		return "The provider’s metadata, as a server in this network can use it."
	}
	return "The provider’s keys, at the first login: the site verifies ID tokens by itself."
}
