// Package gateway is the http.Handler that every request walks through.
//
// One login in reading order: [Gateway.Handler] names the routes; authorize.go
// checks the redirect URI, seals the state and sends the browser on;
// callback.go opens it, asks the registry again and seals the code; token.go
// opens that, compares client and redirect URI, and passes the provider's
// answer on unread. Beside it discovery.go, relay.go and passthrough.go.
package gateway

import (
	"log/slog"
	"net/http"
	"time"

	"onedoor/horizon"
	"onedoor/oidc"
	"onedoor/seal"
	"onedoor/tenant"
	"onedoor/upstream"
)

// Options of a Gateway.
type Options struct {
	PublicOrigin string // the issuer's origin
	Directory    *tenant.Directory
	Provider     *upstream.Provider
	Ring         *seal.Ring
	LoginTTL     time.Duration // how long a person may take to log in
	CodeTTL      time.Duration // how long an app may take to redeem the code
	Closed       []string      // path prefixes of the provider that are not for the public
	Log          *slog.Logger
	Now          func() time.Time
}

// Gateway is the door.
type Gateway struct{ Options }

// New makes a Gateway.
func New(o Options) *Gateway { return &Gateway{o} }

// Handler is the door as one listener shows it.
func (g *Gateway) Handler(l *horizon.Listener) http.Handler { return http.NotFoundHandler() }

// request is what the handlers of one request share.
type request struct {
	*http.Request
	caller horizon.Caller
	id     string // quoted on error pages and in the log
	log    *slog.Logger
}

// The handlers of transparent mode; ps are parsed and hold each known name once
// at most. They are in authorize.go, callback.go, token.go, par.go and logout.go.
type _ func(w http.ResponseWriter, r *request, iss []*upstream.Issuer, ps oidc.Params)
