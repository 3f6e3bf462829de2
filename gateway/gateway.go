// Package gateway is the http.Handler that every request walks through.
//
// One login in reading order: [Gateway.Handler] names the routes; authorize.go
// checks the redirect URI, seals the state and sends the browser on;
// callback.go opens it, asks the registry again and seals the code; token.go
// opens that, compares client and redirect URI, and passes the provider's
// answer on unread. Beside it discovery.go, relay.go and passthrough.go.
package gateway

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"onedoor/horizon"
	"onedoor/page"
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
	States       States        // for states that are too long to travel; nil refuses them
	LoginTTL     time.Duration // how long a person may take to log in
	CodeTTL      time.Duration // how long an app may take to redeem the code
	Limits       Limits
	Exposed      []string // private paths of the provider that are open all the same
	Log          *slog.Logger
	Now          func() time.Time

	// Ready says, by nil, that what the door needs besides the provider is there;
	// nil where there is nothing.
	Ready func() error

	// Observe is told of each request when it has been answered, by the
	// goroutine that answered it: it must be quick. nil costs nothing.
	Observe func(*Event)
	// InFlight counts the requests that are being answered; nil: nobody asks.
	InFlight *atomic.Int64
}

// Gateway is the door.
type Gateway struct {
	Options
	documents sync.Map // document -> *rendered
	rendered  atomic.Int64
	draining  atomic.Bool

	longStates *rate.Limiter
	secure     bool // browsers take Secure cookies from the public origin
}

// New makes a Gateway.
func New(o Options) *Gateway {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	o.Limits = o.Limits.withDefaults()
	return &Gateway{Options: o, longStates: rate.NewLimiter(longStatesEachSecond, longStatesAtOnce), secure: trustsCookies(o.PublicOrigin)}
}

// Drain makes the door say that it is not ready, so that balancers send
// nothing new while it finishes what it has.
func (g *Gateway) Drain() { g.draining.Store(true) }

// request is what the handlers of one request share.
type request struct {
	*http.Request
	caller horizon.Caller
	id     string // quoted on error pages and in the log
	log    *slog.Logger

	// target is the request target as it stood on the wire, neither decoded nor
	// cleaned: what is compared is what is sent on (THREATS T-57). path and query
	// are its two parts; query is "" or begins with "?".
	target, path, query string
	route               string // for the log
	endpoint            upstream.Endpoint

	read    bool // the body was read, and is there as a whole
	ownCORS bool // the door has said which scripts may read the answer
	event   Event

	// modify, where set, changes the provider's answer before it is sent on.
	modify func(*http.Response) error
}

// Handler is the door as one listener shows it. The routes are named here and
// nowhere else.
func (g *Gateway) Handler(l *horizon.Listener) http.Handler {
	return g.entrance(func(w *recorder, r *request) {
		var err error
		if r.caller, err = l.Caller(r.Request); err != nil {
			g.refuseHost(w, r, err)
			return
		}
		g.dispatch(w, r)
	})
}

// entrance is what every request comes through, whoever sends it.
func (g *Gateway) entrance(next func(*recorder, *request)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, hr *http.Request) {
		visit := &struct { // one piece of memory for all that a request needs
			request
			recorder
			id [1]string
		}{request{Request: hr, id: newID(), log: g.Log}, recorder{ResponseWriter: w}, [1]string{}}
		r, seen := &visit.request, &visit.recorder
		if hr.ProtoMajor == 2 {
			seen.ResponseWriter = stream{w, g.Limits.WriteTimeout}
		}
		r.event.Time = g.Now()
		if g.InFlight != nil {
			g.InFlight.Add(1)
			defer g.InFlight.Add(-1)
		}
		defer g.finish(seen, r)
		visit.id[0] = r.id
		w.Header()["X-Request-Id"] = visit.id[:]
		if err := r.readTarget(g.Limits.URLLength); err != nil {
			g.refuseTarget(seen, r, err)
			return
		}
		if health, ok := strings.CutPrefix(r.path, "/onedoor/health/"); ok {
			g.health(seen, r, health) // whatever the Host: orchestrators ask by address
			return
		}
		next(seen, r)
	})
}

// dispatch chooses by the raw path. There is no ServeMux: it decodes and cleans
// a path before it matches, and redirects where the two differ.
func (g *Gateway) dispatch(w *recorder, r *request) {
	switch {
	case strings.HasPrefix(r.path, "/tenants/"), isAppRelay(r.path):
		r.route, r.event.Leg = "relay", LegRelay
		g.relay(w, r)
		return
	case strings.HasPrefix(r.path, "/onedoor/"):
		g.own(w, r)
		return
	}
	plain, err := plainPath(r.path)
	if err != nil {
		g.refuse(w, r, http.StatusBadRequest, page.BadRequest, err)
		return
	}
	if i, at, ok := g.documentAt(r.path, plain); ok {
		r.route = "discovery"
		g.discovery(w, r, i, at)
		return
	}
	endpoint, iss, err := g.Provider.At(r.path)
	if err != nil {
		g.notReady(w, r, err)
		return
	}
	if r.path != plain {
		there, _, err := g.Provider.At(plain)
		if err != nil {
			g.notReady(w, r, err)
			return
		}
		if err := disguised(r.path, plain, endpoint, there); err != nil {
			g.refuse(w, r, http.StatusBadRequest, page.BadRequest, err)
			return
		}
	}
	if endpoint == "" && g.Provider.Resembles(plain) != "" {
		g.refuse(w, r, http.StatusBadRequest, page.BadRequest, rule{"path.spelling", r.path, "the case that the provider's document has"})
		return
	}
	if private := g.closed(r.path, plain); private != "" {
		r.route = "closed"
		g.refuse(w, r, http.StatusForbidden, page.ClosedPath, rule{"path.closed", r.path, "a path that is not below " + private + ", or that provider.expose names"})
		return
	}
	r.endpoint, r.route = endpoint, string(endpoint)
	g.takePart(w, r, iss)
}

// takePart hands a request to whoever takes part in its endpoint.
func (g *Gateway) takePart(w *recorder, r *request, iss []*upstream.Issuer) {
	switch r.endpoint {
	case upstream.Authorization, upstream.EndSession:
		if r.caller.Horizon == horizon.Public && r.caller.Origin != g.PublicOrigin {
			g.toPublicOrigin(w, r)
			return
		}
		if r.endpoint == upstream.Authorization {
			g.authorize(w, r, iss)
		} else {
			g.endSession(w, r, iss)
		}
		return
	case upstream.Token, upstream.PAR, upstream.Userinfo, upstream.Revocation:
		if g.cors(w, r) {
			return
		}
		switch r.endpoint {
		case upstream.Token:
			g.token(w, r, iss)
			return
		case upstream.PAR:
			g.pushed(w, r, iss)
			return
		}
	case "":
		r.route = "proxy"
	}
	g.pass(w, r)
}

// own are the door's own addresses. The registered ones are for browsers, which
// use the public origin.
func (g *Gateway) own(w *recorder, r *request) {
	if r.caller.Origin == g.PublicOrigin {
		switch {
		case at(r.path, callbackPath):
			r.route, r.event.Leg = "callback", LegCallback
			g.callback(w, r)
			return
		case at(r.path, logoutPath):
			r.route, r.event.Leg = "logout", LegLoggedOut
			g.loggedOut(w, r)
			return
		}
	}
	g.refuse(w, r, http.StatusNotFound, page.NotFound, rule{"path.unknown", r.path, "an address of the door"})
}

// The registered addresses: with several issuers, the issuer's path follows.
const (
	callbackPath = "/onedoor/callback"
	logoutPath   = "/onedoor/logout"
)

// at says whether a path is base or lies below it.
func at(path, base string) bool {
	rest, ok := strings.CutPrefix(path, base)
	return ok && (rest == "" || rest[0] == '/')
}

// toPublicOrigin sends a browser that came by a public alias to the origin that
// the provider speaks of. There it keeps its cookies through the whole login.
func (g *Gateway) toPublicOrigin(w *recorder, r *request) {
	h := w.Header()
	h["Location"] = []string{g.PublicOrigin + r.path + r.query}
	h["Cache-Control"] = noStore
	h["Referrer-Policy"] = noReferrer
	w.WriteHeader(http.StatusTemporaryRedirect)
}

// notReady answers where an issuer's metadata is not there: not yet, or never.
func (g *Gateway) notReady(w http.ResponseWriter, r *request, err error) {
	switch {
	case errors.Is(err, upstream.ErrNoTenant):
		g.refuse(w, r, http.StatusNotFound, page.UnknownTenant, err)
		return
	case errors.Is(err, upstream.ErrNoIssuer):
		g.refuse(w, r, http.StatusNotFound, page.NotFound, err)
		return
	}
	w.Header()["Retry-After"] = retryAfter
	g.refuse(w, r, http.StatusServiceUnavailable, page.ProviderUnavailable, err)
}

func (g *Gateway) refuseHost(w *recorder, r *request, err error) {
	r.route = "refused"
	if errors.Is(err, horizon.ErrMisdirected) {
		g.refuse(w, r, http.StatusMisdirectedRequest, page.Misdirected, err)
		return
	}
	g.refuse(w, r, http.StatusBadRequest, page.BadRequest, err)
}

func (g *Gateway) refuseTarget(w *recorder, r *request, err error) {
	r.route = "refused"
	if errors.Is(err, errTooLong) {
		g.refuse(w, r, http.StatusRequestURITooLong, page.TooLarge, err)
		return
	}
	g.refuse(w, r, http.StatusBadRequest, page.BadRequest, err)
}

// refuse answers with a page of the door's own, never a redirect, and writes
// one line that says which rule refused which value and what it expected. The
// value is never a secret: whoever makes e sees to that.
//
// Where the registry could not look, it is 503 whatever else it would have been.
func (g *Gateway) refuse(w http.ResponseWriter, r *request, status int, key string, e error) {
	if couldNotLook(e) {
		status, key = http.StatusServiceUnavailable, page.ProviderUnavailable
		w.Header()["Retry-After"] = retryAfter
	}
	g.logRefusal(r, status, e)
	page.Refuse(w, r.Request, status, page.Refusal{Key: key, Reference: r.id})
}

// rule is a refusal by one of this package's own rules.
type rule struct{ name, got, want string }

func (e rule) Error() string {
	return fmt.Sprintf("%s: %q, expected %s", e.name, shorten(e.got), e.want)
}

// shorten cuts a value for the log.
func shorten(s string) string {
	if len(s) > 300 {
		return s[:300] + "…"
	}
	return s
}
