package horizon

import (
	"strings"

	"onedoor/oidc"
)

// Carried is what the door can carry besides the plain code flow.
type Carried struct {
	// Everything is for a door whose apps all are in relay mode: their requests
	// pass untouched, so whatever the provider offers works.
	Everything bool

	// Registration is for a dynamic registration endpoint that was opened
	// (RFC 7591). Closed, it is not named: a client registered there would be
	// unknown to the door (THREATS T-76).
	Registration bool
}

// frontChannel are the members that a browser opens. They lie on a public
// origin, whoever asks.
var frontChannel = []string{
	"authorization_endpoint", "end_session_endpoint", "device_verification_endpoint",
}

// backChannel are the members that a server calls. They lie on the origin that
// the caller used: the one that it can reach.
var backChannel = []string{
	"token_endpoint", "jwks_uri", "userinfo_endpoint", "introspection_endpoint",
	"revocation_endpoint", "pushed_authorization_request_endpoint", "registration_endpoint",
	"device_authorization_endpoint", "backchannel_authentication_endpoint",
}

// View is the metadata as a caller with that origin can use it. m is the
// provider's own document, which speaks of publicOrigin. Front channel
// endpoints lie on the public origin (or on the public alias that the caller
// used), back channel endpoints on the caller's. The issuer is one, whoever
// asks (OIDC Discovery §4.3), and whatever else the provider says stays in its
// place and spelling, less what the door cannot carry.
//
// An endpoint that does not lie under the public origin is another server's and
// stays as it is.
func View(m *oidc.Metadata, publicOrigin string, c Caller, can Carried) *oidc.Metadata {
	v := m.Clone()
	front := publicOrigin
	if c.Horizon == Public {
		front = c.Origin
	}
	for _, name := range frontChannel {
		move(v, name, publicOrigin, front)
	}
	for _, name := range backChannel {
		move(v, name, publicOrigin, c.Origin)
	}
	withhold(v, can)
	return v
}

// move sets a member's URL, which lies under one origin, under another.
func move(m *oidc.Metadata, name, from, to string) {
	if from == to {
		return
	}
	u := m.String(name)
	if rest, ok := strings.CutPrefix(u, from); ok && (rest == "" || rest[0] == '/' || rest[0] == '?') {
		m.Set(name, to+rest)
	}
}

// withhold leaves out what cannot work through the door, so that no client
// tries it.
func withhold(m *oidc.Metadata, can Carried) {
	// TLS ends at the door: no client certificate reaches the provider there
	// (RFC 8705 §5).
	m.Delete("mtls_endpoint_aliases")
	// session_state is computed for the origin of the redirect URI that the
	// provider knows, the door's, and not for the app's, which would see a
	// changed session without end (OIDC Session Management §3.2; THREATS T-65).
	m.Delete("check_session_iframe")
	if !can.Registration {
		m.Delete("registration_endpoint")
	}
	if can.Everything {
		return
	}
	// The door rewrites state and code. A signed or encrypted request or
	// response cannot be rewritten, and tokens from the authorization endpoint
	// hash what it rewrote (THREATS rule 8, §3.7).
	m.Keep("response_types_supported", func(s string) bool { return s == "code" })
	m.Keep("grant_types_supported", func(s string) bool { return s != "implicit" })
	m.Keep("response_modes_supported", func(s string) bool { return s == "query" || s == "form_post" })
	for _, name := range []string{"request_parameter_supported", "request_uri_parameter_supported"} {
		// The default of the second is true (OIDC Discovery §3): said, not left out.
		m.Set(name, false)
	}
	for _, name := range m.Names() {
		if strings.HasPrefix(name, "request_object_") || strings.HasPrefix(name, "authorization_signing_") ||
			strings.HasPrefix(name, "authorization_encryption_") {
			m.Delete(name)
		}
	}
	for _, name := range []string{"require_request_uri_registration", "require_signed_request_object"} {
		m.Delete(name)
	}
}
