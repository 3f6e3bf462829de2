// Package horizon knows which network a request comes from, and which metadata
// that caller may see. Nobody else decides what a caller is told.
//
// Reading starts at [Listener.Caller]: which of the configured origins did this
// request use? Then [View]: the provider's metadata as that caller can use it.
package horizon

import (
	"errors"
	"net/netip"
)

// Horizon is what a caller can reach.
type Horizon string

// The horizons.
const (
	Public   Horizon = "public"
	Internal Horizon = "internal"
)

// Forwarded says which header fields of a trusted proxy are believed.
type Forwarded string

// The kinds of forwarding.
const (
	None       Forwarded = ""
	XForwarded Forwarded = "x-forwarded" // X-Forwarded-For, -Host, -Proto
	RFC7239    Forwarded = "rfc7239"     // Forwarded
)

// Listener is one socket: the origins that it serves and whom it believes.
// Origins are spelt as browsers spell them: lower case, no default port.
type Listener struct {
	Public         []string // public origins; the first is the issuer's
	Internal       []string // internal origins
	TLS            bool     // the door itself ends TLS here
	TrustedProxies []netip.Prefix
	Forwarded      Forwarded
}

// Caller is who asks, by the origin that it used.
type Caller struct {
	Horizon Horizon
	Origin  string     // always one of the listener's, never text of the request
	Address netip.Addr // the client's, as far as proxies are believed
}

// Errors of Caller.
var (
	ErrMisdirected = errors.New("no origin of this listener") // 421, RFC 9110 §15.5.20
	ErrHost        = errors.New("no usable Host")             // 400, RFC 9112 §3.2
)
